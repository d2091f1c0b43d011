//! [`Pool`]: several connections to one peer, a number for each class, for tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::client::RpcClient;
use crate::layers::msg::client::{CallOptions, ClientConfig};
use crate::layers::msg::error::RpcError;
use crate::layers::msg::hello::Hello;
use crate::layers::msg::pool::Class;
use crate::tokio::Stream;

type Opening = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;
type Connect = Box<dyn Fn(Class) -> Opening + Send + Sync>;

/// Connections to one peer, opened when they are wanted and again when they have failed: [`crate::msg::Pool`] for tasks.
///
/// ```
/// use aqueduct::msg::tokio::{CallCx, Pool, RpcServer};
/// use aqueduct::msg::{CallOptions, Class, ClientConfig, Hello, ServerConfig, Status};
/// use aqueduct::tokio::{Endpoint, Listener};
/// use bytes::Bytes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let echo = |_: CallCx, body: Bytes| async move { Ok::<_, Status>(body) };
/// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
/// # let listener = Listener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # tokio::spawn(async move { server.serve(&listener).await });
/// // All connections of this peer share one UDP socket.
/// let endpoint = Endpoint::bind("127.0.0.1:0").await?;
/// let connect = move |_| {
///     let endpoint = endpoint.clone();
///     async move { endpoint.connect(address).await }
/// };
/// let pool = Pool::new(connect, Hello::default(), ClientConfig::default(), 1);
/// let answer = pool.call(Class::CONTROL, 1, "quick".into(), &CallOptions::default()).await?;
/// assert_eq!(answer, "quick");
/// # Ok(())
/// # }
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
    pub fn new<O>(
        connect: impl Fn(Class) -> O + Send + Sync + 'static,
        hello: Hello,
        config: ClientConfig,
        per_class: usize,
    ) -> Self
    where
        O: Future<Output = io::Result<Stream>> + Send + 'static,
    {
        Pool {
            connect: Box::new(move |class| Box::pin(connect(class))),
            hello,
            config,
            per_class: per_class.max(1),
            clients: Mutex::new(BTreeMap::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Class, Vec<RpcClient>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of this class: the one with the fewest calls, or a new one while there may be more.
    ///
    /// # Errors
    /// [`RpcError`] of opening one; nothing was sent.
    ///
    /// # Cancel safety
    /// A connection that is not open yet is given up.
    pub async fn client(&self, class: Class) -> Result<RpcClient, RpcError> {
        if let Some(client) = self.idlest(class) {
            return Ok(client);
        }
        // Others of the pool must not wait for the handshake.
        let stream = (self.connect)(class).await;
        let stream = stream.map_err(|error| RpcError::NotSent(error.to_string()))?;
        let client = RpcClient::over(stream, self.hello.clone(), self.config.clone()).await?;
        let mut clients = self.lock();
        let of_class = clients.entry(class).or_default();
        if of_class.len() < self.per_class {
            of_class.push(client.clone());
        }
        Ok(client)
    }

    /// The one with the fewest calls, unless there may be more connections.
    fn idlest(&self, class: Class) -> Option<RpcClient> {
        let mut clients = self.lock();
        let of_class = clients.entry(class).or_default();
        of_class.retain(RpcClient::is_open);
        let idlest = of_class.iter().min_by_key(|client| client.calls())?;
        let is_taken = idlest.calls() == 0 || of_class.len() >= self.per_class;
        is_taken.then(|| idlest.clone())
    }

    /// Calls a method over a connection of this class.
    ///
    /// # Errors
    /// As [`RpcClient::call`].
    ///
    /// # Cancel safety
    /// As [`RpcClient::call`].
    pub async fn call(
        &self,
        class: Class,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        let client = self.client(class).await?;
        client.call_with(method, body, options).await
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        let clients = self.lock();
        let all = clients.values().flatten();
        all.filter(|client| client.is_open()).count()
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
