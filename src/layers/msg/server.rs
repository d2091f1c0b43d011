//! [`RpcServer`]: answers calls, each on a thread of a pool.

use std::fmt;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::body::{BodyReader, BodyWriter};
use super::error::{RpcError, Status, code};
use super::ext::Ext;
use super::hello::Hello;
use super::link::{Handler, Link};
use super::session::{Request, Role};
use super::workers::Workers;
use crate::layers::clock::Lamport;
use crate::time::Time;
use crate::{Listener, Stream, runtime};

/// How a server serves.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// How long to wait for a client's HELLO. Default 10 s.
    pub hello_timeout: Duration,
    /// Handlers that run at once, over all connections. Default 64.
    pub threads: usize,
    /// Calls that wait for one of those; further ones are refused. Default 1,024.
    pub waiting: usize,
    /// The longest request that is handed to a handler whole, bytes. Default 16 MiB.
    pub request_max: usize,
    /// How long a handler waits for the next piece of a request, and for room for the next of its answer: a client that stands
    /// still would keep the thread for ever. Default 30 s.
    pub body_timeout: Duration,
    /// Connections at once, each with two threads; further ones are closed. Default 1,024.
    pub connections: usize,
    /// Stamps every answer.
    pub clock: Option<Arc<Lamport>>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            hello_timeout: Duration::from_secs(10),
            threads: 64,
            waiting: 1_024,
            request_max: 16 << 20,
            body_timeout: Duration::from_secs(30),
            connections: 1_024,
            clock: None,
        }
    }
}

/// What a handler knows of a call beside its body.
#[derive(Clone, Debug)]
pub struct CallCx {
    /// Which method.
    pub method: u16,
    /// What stood beside the body.
    pub ext: Ext,
    /// Who calls.
    pub peer: Hello,
    deadline: Option<Time>,
    cancelled: Arc<AtomicBool>,
}

impl CallCx {
    /// Whether nobody waits for the answer any more: the caller has cancelled, his time is over, or he is gone.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Time that the caller has left; `None`: all there is.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.map(|at| at - runtime::now())
    }
}

/// An answer.
pub enum Reply {
    /// Whole.
    Whole(Bytes),
    /// As it is read, for answers too long to be held.
    Stream(Box<dyn Read + Send>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Whole(body) => write!(f, "Whole({} bytes)", body.len()),
            Reply::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// What a server does. A function of context and whole body is one too.
pub trait Service: Send + Sync + 'static {
    /// Answers a call, on a thread of the pool.
    ///
    /// # Errors
    /// [`Status`], which is sent to the caller.
    fn call(&self, cx: &CallCx, body: BodyReader) -> Result<Reply, Status>;

    /// Takes a message that nobody answers.
    fn notify(&self, cx: &CallCx, body: Bytes) {
        let _ = (cx, body);
    }
}

/// A function as a service: takes whole bodies.
struct Whole<F> {
    function: F,
    request_max: usize,
}

impl<F> Service for Whole<F>
where
    F: Fn(&CallCx, Bytes) -> Result<Bytes, Status> + Send + Sync + 'static,
{
    fn call(&self, cx: &CallCx, body: BodyReader) -> Result<Reply, Status> {
        let body = body.read_whole(self.request_max);
        let body = body.map_err(|error| body_refused(&error))?;
        (self.function)(cx, body).map(Reply::Whole)
    }
}

/// Serves calls over as many streams as there are. Dropping it closes them.
pub struct RpcServer {
    hello: Hello,
    config: ServerConfig,
    shared: Arc<Shared>,
    links: Mutex<Vec<Weak<Link>>>,
}

struct Shared {
    service: Box<dyn Service>,
    workers: Workers,
    body_timeout: Duration,
}

impl RpcServer {
    /// A server whose calls are answered by a function of context and whole body.
    pub fn new(
        hello: Hello,
        config: ServerConfig,
        function: impl Fn(&CallCx, Bytes) -> Result<Bytes, Status> + Send + Sync + 'static,
    ) -> Self {
        let request_max = config.request_max;
        RpcServer::with_service(
            hello,
            config,
            Whole {
                function,
                request_max,
            },
        )
    }

    /// A server with a service that may stream.
    pub fn with_service(hello: Hello, config: ServerConfig, service: impl Service) -> Self {
        let shared = Shared {
            service: Box::new(service),
            workers: Workers::new(config.threads, config.waiting),
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
    pub fn serve(&self, listener: &Listener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            // One connection too many, or no thread for one, is no reason to serve nobody.
            if let Err(error) = self.serve_stream(stream) {
                tracing::warn!(%error, "a connection is not served");
            }
        }
    }

    /// Serves one stream, which this side has accepted. Returns at once.
    ///
    /// # Errors
    /// If there are too many ([`ServerConfig::connections`]), or there is no thread for it. The stream is closed.
    pub fn serve_stream(&self, stream: Stream) -> io::Result<()> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        if links.len() >= self.config.connections {
            return Err(io::Error::other("too many connections"));
        }
        let greet_by = runtime::now() + self.config.hello_timeout;
        let session = super::Session::new(Role::Acceptor, self.hello.clone());
        let mut session = session.with_greeting_by(greet_by);
        if let Some(clock) = &self.config.clock {
            session = session.with_clock(clock.clone());
        }
        let link = Link::start(stream, session, Some(Arc::new(Front(self.shared.clone()))))?;
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
        self.links()
            .iter()
            .filter(|link| link.lock().session.is_open())
            .count()
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
        self.shared.workers.stop();
    }
}

impl fmt::Debug for RpcServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcServer")
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

/// The link's way to the pool.
struct Front(Arc<Shared>);

impl Handler for Front {
    fn on_request(&self, link: &Arc<Link>, request: Request, cancelled: Arc<AtomicBool>) {
        let (shared, theirs, id) = (self.0.clone(), link.clone(), request.id);
        let taken = self
            .0
            .workers
            .run(move || shared.answer(&theirs, request, cancelled));
        if !taken {
            let status = Status::refused(code::OVERLOADED, "too many calls wait for a thread");
            link.with(|core, _| core.refuse_unread(id, &status));
        }
    }

    /// One-way messages for which there is no thread are lost, as their senders must expect.
    fn on_oneway(&self, link: &Arc<Link>, method: u16, ext: Ext, body: Bytes) {
        let (shared, peer) = (self.0.clone(), link.lock().peer.clone());
        self.0.workers.run(move || {
            let cx = CallCx {
                method,
                ext,
                peer: peer.unwrap_or_default(),
                deadline: None,
                cancelled: Arc::default(),
            };
            shared.service.notify(&cx, body);
        });
    }
}

impl Shared {
    /// Runs the handler of a call and sends its answer.
    fn answer(&self, link: &Arc<Link>, request: Request, cancelled: Arc<AtomicBool>) {
        let time = request
            .ext
            .deadline_ms
            .map(|ms| Duration::from_millis(u64::from(ms)));
        let id = request.id;
        let body = if request.more {
            BodyReader::flowing(link.clone(), id, false).with_patience(self.body_timeout)
        } else {
            BodyReader::whole(request.body)
        };
        let cx = CallCx {
            method: request.method,
            ext: request.ext,
            peer: link.lock().peer.clone().unwrap_or_default(),
            deadline: time.map(|time| runtime::now() + time),
            cancelled,
        };
        // A handler that panics answers too: its caller must not wait for ever.
        let call = AssertUnwindSafe(|| self.service.call(&cx, body));
        let reply = catch_unwind(call)
            .unwrap_or_else(|_| Err(Status::new(code::PANICKED, "the handler panicked")));
        match reply {
            Ok(Reply::Whole(body)) => link.with(|core, _| core.respond(id, body)),
            Ok(Reply::Stream(body)) => stream_out(link, id, body, self.body_timeout),
            Err(status) => link.with(|core, _| core.refuse(id, &status)),
        }
    }
}

/// Sends an answer as it is read.
fn stream_out(link: &Arc<Link>, id: u64, mut body: Box<dyn Read + Send>, patience: Duration) {
    let begun = link.with(|core, _| core.session.respond_streaming(id, Ext::default()));
    if !begun {
        return link.with(|core, _| core.on_answered(id));
    }
    let mut writer = BodyWriter::new(link.clone(), id, true).with_patience(patience);
    if io::copy(&mut body, &mut writer).is_ok() {
        writer.finish();
        link.with(|core, _| core.on_answered(id));
    }
}

/// What a caller hears whose request could not be read: nothing was executed.
pub(super) fn body_refused(error: &RpcError) -> Status {
    let code = match error {
        RpcError::TooLarge { .. } => code::TOO_LARGE,
        _ => code::MALFORMED,
    };
    Status::refused(code, error.to_string())
}

pub(super) fn unknown_method(method: u16) -> Status {
    Status::refused(code::UNKNOWN_METHOD, format!("no method {method}"))
}
