//! [`RpcClient`]: calls over one stream, blocking or with a callback.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::{BodyReader, BodyWriter};
use super::codec::Codec;
use super::error::RpcError;
use super::ext::{Ext, IdemKey};
use super::health::Health;
use super::hello::Hello;
use super::link::{Link, greet};
use super::session::{Role, Session};
use crate::detect::Evidence;
use crate::layers::clock::Lamport;
use crate::{Stream, runtime};

/// How a client calls unless a call says otherwise.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// How long to wait for the other side's HELLO. Default 10 s.
    pub hello_timeout: Duration,
    /// How long to wait for an answer; `None`: for ever. Default 30 s.
    pub call_timeout: Option<Duration>,
    /// The longest answer that is taken whole, bytes. Default 16 MiB.
    pub answer_max: usize,
    /// Stamps every call.
    pub clock: Option<Arc<Lamport>>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            hello_timeout: Duration::from_secs(10),
            call_timeout: Some(Duration::from_secs(30)),
            answer_max: 16 << 20,
            clock: None,
        }
    }
}

/// What is special about one call.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// How long to wait for the answer, instead of what the client is configured for.
    pub timeout: Option<Duration>,
    /// The idempotency key.
    pub idem: Option<IdemKey>,
    /// The trace that the call belongs to.
    pub trace: Option<[u8; 16]>,
    /// The group that it is for.
    pub group: Option<u64>,
}

impl CallOptions {
    pub(super) fn ext(&self) -> Ext {
        Ext {
            idem: self.idem,
            trace: self.trace,
            group: self.group,
            ..Ext::default()
        }
    }
}

/// Calls over one stream. A handle: clones share the connection, and the last one that is dropped closes it.
///
/// ```
/// use aqueduct::msg::{CallCx, ClientConfig, Hello, RpcClient, RpcServer, ServerConfig, Status};
/// use aqueduct::{Listener, Stream};
/// use bytes::Bytes;
///
/// let shout = |_: &CallCx, body: Bytes| -> Result<Bytes, Status> { Ok(body.to_ascii_uppercase().into()) };
/// let server = RpcServer::new(Hello::default(), ServerConfig::default(), shout);
/// let listener = Listener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// std::thread::spawn(move || server.serve(&listener));
///
/// let client = RpcClient::over(Stream::connect(address)?, Hello::default(), ClientConfig::default())?;
/// assert_eq!(client.call(1, "hello".into())?, "HELLO");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RpcClient {
    owner: Arc<Owner>,
    config: ClientConfig,
}

/// Closes the connection when nobody holds it any more.
#[derive(Debug)]
struct Owner(Arc<Link>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close("this side has closed the connection");
    }
}

impl RpcClient {
    /// A client over a stream that this side has connected. Waits until the other side has said who it is.
    ///
    /// # Errors
    /// [`RpcError::WrongPeer`] if it is not the one wanted; [`RpcError::NotSent`] if the stream fails.
    pub fn over(stream: Stream, hello: Hello, config: ClientConfig) -> Result<Self, RpcError> {
        let greet_by = runtime::now() + config.hello_timeout;
        let mut session = Session::new(Role::Connector, hello).with_greeting_by(greet_by);
        if let Some(clock) = &config.clock {
            session = session.with_clock(clock.clone());
        }
        let link = greet(stream, session)?;
        let owner = Arc::new(Owner(link));
        Ok(RpcClient { owner, config })
    }

    fn link(&self) -> &Arc<Link> {
        &self.owner.0
    }

    /// What the other side has said of itself.
    pub fn peer(&self) -> Hello {
        self.link().lock().peer.clone().unwrap_or_default()
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`RpcError`], which says whether the call may have been executed.
    pub fn call(&self, method: u16, body: Bytes) -> Result<Bytes, RpcError> {
        self.call_with(method, body, &CallOptions::default())
    }

    /// As [`RpcClient::call`], with options.
    ///
    /// # Errors
    /// As [`RpcClient::call`].
    pub fn call_with(
        &self,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        let (done, answer) = mpsc::sync_channel(1);
        self.call_then(method, body, options, move |result| {
            // Who waits is there until he has it.
            let _ = done.send(result);
        });
        answer.recv().unwrap_or_else(|_| {
            Err(RpcError::Unknown(
                "the connection's thread has ended".into(),
            ))
        })
    }

    /// Calls a method; `done` gets the answer, on a thread of the connection: it should be quick, and must not wait for other
    /// calls of this client.
    pub fn call_then(
        &self,
        method: u16,
        body: Bytes,
        options: &CallOptions,
        done: impl FnOnce(Result<Bytes, RpcError>) + Send + 'static,
    ) {
        let limits = (self.timeout(options), self.config.answer_max);
        self.link()
            .call(method, options.ext(), body, limits, Box::new(done));
    }

    /// Calls a method with values instead of bytes.
    ///
    /// # Errors
    /// As [`RpcClient::call`]; [`RpcError::Protocol`] if the answer is no such value.
    pub fn call_value<Q: Serialize, A: DeserializeOwned>(
        &self,
        codec: &impl Codec,
        method: u16,
        value: &Q,
    ) -> Result<A, RpcError> {
        let body = codec
            .encode(value)
            .map_err(|error| RpcError::NotSent(error.to_string()))?;
        Ok(codec.decode(&self.call(method, body)?)?)
    }

    /// Calls a method whose request and answer are too long to be held: both flow, and may do so at the same time.
    ///
    /// # Errors
    /// [`RpcError`]: nothing was sent.
    pub fn call_streaming(
        &self,
        method: u16,
        options: &CallOptions,
    ) -> Result<(BodyWriter, BodyReader), RpcError> {
        let link = self.link();
        let (ext, timeout) = (options.ext(), options.timeout);
        let id = link.with(|core, now| core.call_streaming(now, (method, ext), timeout))?;
        let request = BodyWriter::new(link.clone(), id, false);
        Ok((request, BodyReader::flowing(link.clone(), id, true)))
    }

    /// Sends a message that nobody answers.
    ///
    /// # Errors
    /// [`RpcError`]: nothing was sent.
    pub fn notify(&self, method: u16, body: Bytes) -> Result<(), RpcError> {
        self.link()
            .with(|core, _| core.session.notify(method, Ext::default(), body))
    }

    /// Calls that wait for their answers.
    pub fn calls(&self) -> usize {
        self.link().lock().session.calls()
    }

    /// Whether calls can be made: the session is open, and the other side does not leave.
    pub fn is_open(&self) -> bool {
        let core = self.link().lock();
        core.session.is_open() && core.session.peer_leaves().is_none()
    }

    /// How the connection does.
    pub fn health(&self) -> Health {
        let core = self.link().lock();
        Health {
            is_open: core.session.is_open(),
            leaves: core.session.peer_leaves().map(str::to_owned),
            calls: core.session.calls(),
            evidence: Some(self.evidence()),
        }
    }

    /// What the transport knows of the other side, for a detector.
    pub fn evidence(&self) -> Evidence {
        let stream = self.link().stream();
        Evidence::of(&stream.info(), stream.failure())
    }

    /// Takes no further calls of the other side, and tells it so; those that run are answered.
    pub fn go_away(&self, why: &str) {
        self.link().with(|core, _| core.session.go_away(why));
    }

    fn timeout(&self, options: &CallOptions) -> Option<Duration> {
        options.timeout.or(self.config.call_timeout)
    }
}
