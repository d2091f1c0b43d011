//! [`RpcServer`]: answers calls, each in a task of its own.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::{BodyReader, BodyWriter};
use super::gate::Gate;
use super::link::{Handler, Link};
use super::signal::Cancel;
use crate::layers::msg::error::{Status, code};
use crate::layers::msg::ext::Ext;
use crate::layers::msg::flow::CHUNK_BYTES;
use crate::layers::msg::hello::Hello;
use crate::layers::msg::server::{ServerConfig, body_refused};
use crate::layers::msg::session::{Request, Role, Session};
use crate::layers::task_clock::TaskClock;
use crate::time::Time;
use crate::tokio::{Listener, Stream};

/// What a handler knows of a call beside its body.
#[derive(Clone, Debug)]
pub struct CallCx {
    /// Which method.
    pub method: u16,
    /// What stood beside the body.
    pub ext: Ext,
    /// Who calls.
    pub peer: Hello,
    clock: TaskClock,
    deadline: Option<Time>,
    cancelled: Cancel,
}

impl CallCx {
    /// Whether nobody waits for the answer any more: the caller has cancelled, his time is over, or he is gone.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_raised()
    }

    /// Waits until nobody waits for the answer any more. For a message that nobody answers: for ever.
    ///
    /// # Cancel safety
    /// Nothing is lost: whoever waits again hears it again.
    pub async fn cancelled(&self) {
        self.cancelled.raised().await;
    }

    /// Time that the caller has left; `None`: all there is.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at - self.clock.now())
    }
}

/// An answer.
pub enum Reply {
    /// Whole.
    Whole(Bytes),
    /// As it is read, for answers too long to be held.
    Stream(Pin<Box<dyn AsyncRead + Send>>),
}

impl Reply {
    /// An answer as it is read.
    pub fn stream(body: impl AsyncRead + Send + 'static) -> Self {
        Reply::Stream(Box::pin(body))
    }
}

impl From<Bytes> for Reply {
    fn from(body: Bytes) -> Self {
        Reply::Whole(body)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Whole(body) => write!(f, "Whole({} bytes)", body.len()),
            Reply::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What a server does. [`RpcServer::new`] makes one of a function of context and whole body.
///
/// ```
/// use aqueduct::msg::tokio::{BodyReader, CallCx, Reply, Service};
/// use aqueduct::msg::Status;
///
/// /// Gives back what it gets, as it comes.
/// struct Mirror;
///
/// impl Service for Mirror {
///     async fn call(&self, _: CallCx, body: BodyReader) -> Result<Reply, Status> {
///         Ok(Reply::stream(body))
///     }
/// }
/// ```
pub trait Service: Send + Sync + 'static {
    /// Answers a call, in a task of its own. The task is not dropped when nobody waits for the answer any more;
    /// [`CallCx::cancelled`] tells it so.
    ///
    /// # Errors
    /// [`Status`], which is sent to the caller.
    fn call(
        &self,
        cx: CallCx,
        body: BodyReader,
    ) -> impl Future<Output = Result<Reply, Status>> + Send;

    /// Takes a message that nobody answers.
    fn notify(&self, cx: CallCx, body: Bytes) -> impl Future<Output = ()> + Send {
        let _ = (cx, body);
        async {}
    }
}

/// A function as a service: takes whole bodies.
struct Whole<F> {
    function: F,
    request_max: usize,
}

impl<F, A> Service for Whole<F>
where
    F: Fn(CallCx, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Bytes, Status>> + Send,
{
    async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        let body = body.read_whole(self.request_max).await;
        let body = body.map_err(|error| body_refused(&error))?;
        (self.function)(cx, body).await.map(Reply::Whole)
    }
}

type Boxed<'s, T> = Pin<Box<dyn Future<Output = T> + Send + 's>>;

/// A service whatever its type.
trait AnyService: Send + Sync {
    fn call(&self, cx: CallCx, body: BodyReader) -> Boxed<'_, Result<Reply, Status>>;
    fn notify(&self, cx: CallCx, body: Bytes) -> Boxed<'_, ()>;
}

impl<S: Service> AnyService for S {
    fn call(&self, cx: CallCx, body: BodyReader) -> Boxed<'_, Result<Reply, Status>> {
        Box::pin(Service::call(self, cx, body))
    }

    fn notify(&self, cx: CallCx, body: Bytes) -> Boxed<'_, ()> {
        Box::pin(Service::notify(self, cx, body))
    }
}

/// Serves calls over as many streams as there are. Dropping it closes them.
///
/// An example is at [the module](super). Of [`ServerConfig`], `threads` counts handlers here, each a task.
pub struct RpcServer {
    hello: Hello,
    config: ServerConfig,
    shared: Arc<Shared>,
    links: Mutex<Vec<Weak<Link>>>,
}

struct Shared {
    service: Box<dyn AnyService>,
    gate: Arc<Gate>,
    body_timeout: Duration,
}

impl RpcServer {
    /// A server whose calls are answered by a function of context and whole body.
    pub fn new<A>(
        hello: Hello,
        config: ServerConfig,
        function: impl Fn(CallCx, Bytes) -> A + Send + Sync + 'static,
    ) -> Self
    where
        A: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        let request_max = config.request_max;
        let service = Whole {
            function,
            request_max,
        };
        RpcServer::with_service(hello, config, service)
    }

    /// A server with a service that may stream.
    pub fn with_service(hello: Hello, config: ServerConfig, service: impl Service) -> Self {
        let shared = Shared {
            service: Box::new(service),
            gate: Gate::new(config.threads, config.waiting),
            body_timeout: config.body_timeout,
        };
        RpcServer {
            hello,
            config,
            shared: Arc::new(shared),
            links: Mutex::new(Vec::new()),
        }
    }

    /// Serves every connection of a listener, until that fails.
    ///
    /// # Errors
    /// That of `accept`.
    ///
    /// # Panics
    /// As [`RpcServer::serve_stream`].
    ///
    /// # Cancel safety
    /// No further connection is taken; those that were are served on, as long as the server lives.
    pub async fn serve(&self, listener: &Listener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            // One connection too many is no reason to serve nobody.
            if let Err(error) = self.serve_stream(stream) {
                tracing::warn!(%error, "a connection is not served");
            }
        }
    }

    /// Serves one stream, which this side has accepted. Returns at once.
    ///
    /// # Errors
    /// If there are too many ([`ServerConfig::connections`]). The stream is closed.
    ///
    /// # Panics
    /// Outside of a runtime, and in one without a timer.
    pub fn serve_stream(&self, stream: Stream) -> io::Result<()> {
        let probe = stream.blocking().try_clone()?;
        self.start(stream, Some(probe))
    }

    /// As [`RpcServer::serve_stream`], any stream: one of TLS, say.
    ///
    /// # Errors
    /// As [`RpcServer::serve_stream`].
    ///
    /// # Panics
    /// As [`RpcServer::serve_stream`].
    pub fn serve_io(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        self.start(io, None)
    }

    fn start(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        probe: Option<crate::Stream>,
    ) -> io::Result<()> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        if links.len() >= self.config.connections {
            return Err(io::Error::other("too many connections"));
        }
        let begin = |now: Time| {
            let session = Session::new(Role::Acceptor, self.hello.clone());
            let session = session.with_greeting_by(now + self.config.hello_timeout);
            match &self.config.clock {
                Some(clock) => session.with_clock(clock.clone()),
                None => session,
            }
        };
        let handler = Arc::new(Front(self.shared.clone()));
        let link = Link::start(io, probe, begin, Some(handler));
        links.push(Arc::downgrade(&link));
        Ok(())
    }

    /// Takes no further calls; those that run are answered.
    pub fn go_away(&self, why: &str) {
        for link in self.links() {
            link.with(|core, _| core.session.go_away(why));
        }
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        let is_open = |link: &&Arc<Link>| link.lock().core.session.is_open();
        self.links().iter().filter(is_open).count()
    }

    fn links(&self) -> Vec<Arc<Link>> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        for link in self.links() {
            link.close("the server has ended");
        }
        self.shared.gate.stop();
    }
}

impl fmt::Debug for RpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcServer")
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

/// The link's way to the handlers.
struct Front(Arc<Shared>);

impl Handler for Front {
    fn on_request(&self, link: &Arc<Link>, request: Request, cancelled: Cancel) {
        let (shared, theirs, id) = (self.0.clone(), link.clone(), request.id);
        let job = async move { shared.answer(&theirs, request, cancelled).await };
        if !self.0.gate.run(job) {
            let status = Status::refused(code::OVERLOADED, "too many calls wait for a handler");
            link.with(|core, _| core.refuse_unread(id, &status));
        }
    }

    /// One-way messages for which there is no room are lost, as their senders must expect.
    fn on_oneway(&self, link: &Arc<Link>, method: u16, ext: Ext, body: Bytes) {
        let (shared, cx) = (
            self.0.clone(),
            context(link, method, ext, Cancel::default()),
        );
        self.0.gate.run(async move {
            // A panic ends the message, and nothing else.
            let _ = unpanicked(shared.service.notify(cx, body)).await;
        });
    }
}

fn context(link: &Link, method: u16, ext: Ext, cancelled: Cancel) -> CallCx {
    let clock = link.clock();
    let time = ext
        .deadline_ms
        .map(|ms| Duration::from_millis(u64::from(ms)));
    CallCx {
        method,
        ext,
        peer: link.lock().core.peer.clone().unwrap_or_default(),
        deadline: time.map(|time| clock.now() + time),
        clock,
        cancelled,
    }
}

impl Shared {
    /// Runs the handler of a call and sends its answer.
    async fn answer(&self, link: &Arc<Link>, request: Request, cancelled: Cancel) {
        let id = request.id;
        let body = if request.more {
            BodyReader::flowing(link.clone(), id, false).with_patience(self.body_timeout)
        } else {
            BodyReader::whole(request.body)
        };
        let cx = context(link, request.method, request.ext, cancelled);
        // A handler that panics answers too: its caller must not wait for ever.
        let panicked = |()| Err(Status::new(code::PANICKED, "the handler panicked"));
        let begun = catch_unwind(AssertUnwindSafe(|| self.service.call(cx, body)));
        let reply = match begun {
            Ok(call) => unpanicked(call).await.unwrap_or_else(panicked),
            Err(_) => panicked(()),
        };
        match reply {
            Ok(Reply::Whole(body)) => link.with(|core, _| core.respond(id, body)),
            Ok(Reply::Stream(body)) => stream_out(link, id, body, self.body_timeout).await,
            Err(status) => link.with(|core, _| core.refuse(id, &status)),
        }
    }
}

/// What a handler gives; `Err` if it panics.
async fn unpanicked<T>(mut handler: Boxed<'_, T>) -> Result<T, ()> {
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(())),
        }
    })
    .await
}

/// Sends an answer as it is read.
async fn stream_out(
    link: &Arc<Link>,
    id: u64,
    mut body: Pin<Box<dyn AsyncRead + Send>>,
    patience: Duration,
) {
    let begun = link.with(|core, _| core.session.respond_streaming(id, Ext::default()));
    if !begun {
        return link.with(|core, _| core.on_answered(id));
    }
    let mut writer = BodyWriter::new(link.clone(), id, true).with_patience(patience);
    // A reader that fails, or a client that is gone: the writer gives the call up.
    while let Ok(piece) = read_piece(&mut body).await {
        if piece.is_empty() {
            writer.finish();
            return link.with(|core, _| core.on_answered(id));
        }
        if writer.send(piece).await.is_err() {
            return;
        }
    }
}

/// The next piece; an empty one at the end.
async fn read_piece(body: &mut Pin<Box<dyn AsyncRead + Send>>) -> io::Result<Bytes> {
    let mut piece = vec![0; CHUNK_BYTES];
    let mut buffer = ReadBuf::new(&mut piece);
    poll_fn(|cx| body.as_mut().poll_read(cx, &mut buffer)).await?;
    let len = buffer.filled().len();
    piece.truncate(len);
    Ok(piece.into())
}
