//! [`Pool`]: several connections to one peer, a number for each class, so that what is urgent never waits behind what is long.
//!
//! Within one connection bodies take turns, but bytes that are in the stream's buffer, or lost on the way, hold up all that
//! follows. Another connection is not held up by them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::client::{CallOptions, ClientConfig, RpcClient};
use super::error::RpcError;
use super::hello::Hello;
use crate::Stream;

/// What a call is like, as far as others should not wait for it. Any number will do; these are usual.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Class(pub u8);

impl Class {
    /// Small, and urgent: heartbeats, votes, look-ups.
    pub const CONTROL: Class = Class(0);
    /// The usual.
    pub const NORMAL: Class = Class(1);
    /// Long: files, snapshots.
    pub const BULK: Class = Class(2);
}

type Connect = Box<dyn Fn(Class) -> io::Result<Stream> + Send + Sync>;

/// Connections to one peer, opened when they are wanted and again when they have failed.
///
/// ```
/// use aqueduct::msg::{CallCx, CallOptions, Class, ClientConfig, Hello, Pool, RpcServer, ServerConfig};
/// use aqueduct::{Endpoint, Listener};
/// use bytes::Bytes;
///
/// # let echo = |_: &CallCx, body: Bytes| Ok(body);
/// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
/// # let listener = Listener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// # std::thread::spawn(move || server.serve(&listener));
/// // All connections of this peer share one UDP socket.
/// let endpoint = Endpoint::bind("127.0.0.1:0")?;
/// let pool = Pool::new(move |_| endpoint.connect(address), Hello::default(), ClientConfig::default(), 1);
/// let answer = pool.call(Class::CONTROL, 1, "quick".into(), &CallOptions::default())?;
/// assert_eq!(answer, "quick");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    connect: Connect,
    hello: Hello,
    config: ClientConfig,
    per_class: usize,
    clients: Mutex<BTreeMap<Class, Vec<RpcClient>>>,
}

impl Pool {
    /// A pool of up to `per_class` connections of each class (at least 1), which `connect` opens.
    pub fn new(
        connect: impl Fn(Class) -> io::Result<Stream> + Send + Sync + 'static,
        hello: Hello,
        config: ClientConfig,
        per_class: usize,
    ) -> Self {
        Pool {
            connect: Box::new(connect),
            hello,
            config,
            per_class: per_class.max(1),
            clients: Mutex::new(BTreeMap::new()),
        }
    }

    /// A connection of this class: the one with the fewest calls, or a new one while there may be more.
    ///
    /// # Errors
    /// [`RpcError`] of opening one; nothing was sent.
    pub fn client(&self, class: Class) -> Result<RpcClient, RpcError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let of_class = clients.entry(class).or_default();
        of_class.retain(RpcClient::is_open);
        let idlest = of_class.iter().min_by_key(|client| client.calls());
        if let Some(client) =
            idlest.filter(|it| it.calls() == 0 || of_class.len() >= self.per_class)
        {
            return Ok(client.clone());
        }
        drop(clients);
        // Others of the pool must not wait for the handshake.
        let client = self.open(class)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let of_class = clients.entry(class).or_default();
        if of_class.len() < self.per_class {
            of_class.push(client.clone());
        }
        Ok(client)
    }

    fn open(&self, class: Class) -> Result<RpcClient, RpcError> {
        let stream = (self.connect)(class);
        let stream = stream.map_err(|error| RpcError::NotSent(error.to_string()))?;
        RpcClient::over(stream, self.hello.clone(), self.config.clone())
    }

    /// Calls a method over a connection of this class.
    ///
    /// # Errors
    /// As [`RpcClient::call`].
    pub fn call(
        &self,
        class: Class,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        self.client(class)?.call_with(method, body, options)
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients
            .values()
            .flatten()
            .filter(|client| client.is_open())
            .count()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("per_class", &self.per_class)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
