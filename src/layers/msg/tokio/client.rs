//! [`RpcClient`]: calls over one stream, for tasks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::ToSocketAddrs;
use tokio::sync::oneshot;

use super::body::{BodyReader, BodyWriter};
use super::link::Link;
use crate::layers::msg::client::{CallOptions, ClientConfig};
use crate::layers::msg::codec::Codec;
use crate::layers::msg::error::RpcError;
use crate::layers::msg::ext::Ext;
use crate::layers::msg::health::Health;
use crate::layers::msg::hello::Hello;
use crate::layers::msg::session::{Role, Session};
use crate::time::Time;
use crate::tokio::{Endpoint, Stream};

/// Calls over one stream. A handle: clones share the connection, and the last one that is dropped closes it.
///
/// An example is at [the module](super).
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
    /// Connects over a UDP socket of its own, and waits until the other side has said who it is.
    ///
    /// # Errors
    /// As [`RpcClient::over`]; [`RpcError::NotSent`] if nobody can be connected to.
    ///
    /// # Panics
    /// In a runtime without a reactor or a timer.
    ///
    /// # Cancel safety
    /// The connection is given up.
    pub async fn connect(
        to: impl ToSocketAddrs,
        hello: Hello,
        config: ClientConfig,
    ) -> Result<Self, RpcError> {
        let stream = Stream::connect(to)
            .await
            .map_err(|error| not_sent(&error))?;
        RpcClient::over(stream, hello, config).await
    }

    /// As [`RpcClient::connect`], over the UDP socket of an endpoint, which many connections share.
    ///
    /// # Errors
    /// As [`RpcClient::connect`].
    ///
    /// # Cancel safety
    /// The connection is given up.
    pub async fn connect_from(
        endpoint: &Endpoint,
        to: impl ToSocketAddrs,
        hello: Hello,
        config: ClientConfig,
    ) -> Result<Self, RpcError> {
        let stream = endpoint
            .connect(to)
            .await
            .map_err(|error| not_sent(&error))?;
        RpcClient::over(stream, hello, config).await
    }

    /// A client over a stream that this side has connected. Waits until the other side has said who it is.
    ///
    /// # Errors
    /// [`RpcError::WrongPeer`] if it is not the one wanted; [`RpcError::NotSent`] if the stream fails.
    ///
    /// # Panics
    /// Outside of a runtime, and in one without a timer.
    ///
    /// # Cancel safety
    /// The connection is given up.
    pub async fn over(
        stream: Stream,
        hello: Hello,
        config: ClientConfig,
    ) -> Result<Self, RpcError> {
        let probe = stream.blocking().try_clone();
        let probe = probe.map_err(|error| not_sent(&error))?;
        RpcClient::start(stream, Some(probe), hello, config).await
    }

    /// As [`RpcClient::over`], over any stream: one of TLS, say.
    ///
    /// # Errors
    /// As [`RpcClient::over`].
    ///
    /// # Panics
    /// As [`RpcClient::over`].
    ///
    /// # Cancel safety
    /// The stream is dropped.
    pub async fn over_io(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        hello: Hello,
        config: ClientConfig,
    ) -> Result<Self, RpcError> {
        RpcClient::start(io, None, hello, config).await
    }

    async fn start(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        probe: Option<crate::Stream>,
        hello: Hello,
        config: ClientConfig,
    ) -> Result<Self, RpcError> {
        let begin = |now: Time| {
            let session = Session::new(Role::Connector, hello);
            let session = session.with_greeting_by(now + config.hello_timeout);
            match &config.clock {
                Some(clock) => session.with_clock(clock.clone()),
                None => session,
            }
        };
        let link = Link::start(io, probe, begin, None);
        let owner = Arc::new(Owner(link));
        owner.0.greeted().await?;
        Ok(RpcClient { owner, config })
    }

    fn link(&self) -> &Arc<Link> {
        &self.owner.0
    }

    /// What the other side has said of itself.
    pub fn peer(&self) -> Hello {
        self.link().lock().core.peer.clone().unwrap_or_default()
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// [`RpcError`], which says whether the call may have been executed.
    ///
    /// # Cancel safety
    /// The call is cancelled; whether it was executed nobody knows. Before the first poll nothing is sent.
    pub async fn call(&self, method: u16, body: Bytes) -> Result<Bytes, RpcError> {
        self.call_with(method, body, &CallOptions::default()).await
    }

    /// As [`RpcClient::call`], with options.
    ///
    /// # Errors
    /// As [`RpcClient::call`].
    ///
    /// # Cancel safety
    /// As [`RpcClient::call`].
    pub async fn call_with(
        &self,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        let (done, answer) = oneshot::channel();
        let timeout: Option<Duration> = options.timeout.or(self.config.call_timeout);
        let limits = (timeout, self.config.answer_max);
        let call = (method, options.ext(), body);
        let begun = self.link().with(|core, now| {
            let done = |result| drop(done.send(result));
            core.call(now, call, limits, Box::new(done))
        });
        let mut waiting = Waiting {
            link: self.link(),
            id: begun.map_err(|(error, _)| error)?,
            is_over: false,
        };
        let result = answer.await;
        waiting.is_over = true;
        result.unwrap_or_else(|_| Err(RpcError::Unknown("the connection's task has ended".into())))
    }

    /// Calls a method with values instead of bytes.
    ///
    /// # Errors
    /// As [`RpcClient::call`]; [`RpcError::Protocol`] if the answer is no such value.
    ///
    /// # Cancel safety
    /// As [`RpcClient::call`].
    pub async fn call_value<Q: Serialize, A: DeserializeOwned>(
        &self,
        codec: &impl Codec,
        method: u16,
        value: &Q,
    ) -> Result<A, RpcError> {
        let body = codec
            .encode(value)
            .map_err(|error| RpcError::NotSent(error.to_string()))?;
        Ok(codec.decode(&self.call(method, body).await?)?)
    }

    /// Calls a method whose request and answer are too long to be held: both flow, and may do so at the same time. Does not wait.
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

    /// Sends a message that nobody answers. Does not wait.
    ///
    /// # Errors
    /// [`RpcError`]: nothing was sent. [`RpcError::Overloaded`] if too much waits to be sent.
    pub fn notify(&self, method: u16, body: Bytes) -> Result<(), RpcError> {
        self.link()
            .with(|core, _| core.session.notify(method, Ext::default(), body))
    }

    /// Calls that wait for their answers.
    pub fn calls(&self) -> usize {
        self.link().lock().core.session.calls()
    }

    /// Whether calls can be made: the session is open, and the other side does not leave.
    pub fn is_open(&self) -> bool {
        let state = self.link().lock();
        state.core.session.is_open() && state.core.session.peer_leaves().is_none()
    }

    /// How the connection does.
    pub fn health(&self) -> Health {
        self.link().health()
    }

    /// Takes no further calls of the other side, and tells it so; those that run are answered.
    pub fn go_away(&self, why: &str) {
        self.link().with(|core, _| core.session.go_away(why));
    }
}

fn not_sent(error: &io::Error) -> RpcError {
    RpcError::NotSent(error.to_string())
}

/// A call whose answer somebody waits for; dropped before, it is cancelled.
struct Waiting<'c> {
    link: &'c Arc<Link>,
    id: u64,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let id = self.id;
            self.link.with(|core, _| core.forget(id));
        }
    }
}
