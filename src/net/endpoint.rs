//! [`Endpoint`]: many connections over one UDP socket.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::close::drain_at_exit;
use super::connect::open_first;
use super::error::invalid;
use super::stream::{connect_error, this_host_if_unspecified, try_each};
use super::{Listener, Stream};
use crate::config::{Config, EndpointConfig};
use crate::error::ResetCode;
use crate::runtime::{self, Owner, Port, Shard, SocketOptions};

/// A UDP socket for any number of connections in both directions, served by one thread.
///
/// Clones are handles to the same endpoint. Dropping the last one lets its streams live on; the socket
/// closes when they are over.
///
/// ```
/// use aqueduct::Endpoint;
/// use std::io::{Read, Write};
///
/// let one = Endpoint::bind("127.0.0.1:0")?;
/// let two = Endpoint::bind("127.0.0.1:0")?;
/// let listener = two.listen()?;
/// let mut out = one.connect(two.local_addr()?)?;
/// let mut back = one.connect(two.local_addr()?)?;
/// assert_eq!(out.local_addr()?, back.local_addr()?);
/// out.write_all(b"x")?;
/// let (mut stream, _) = listener.accept()?;
/// stream.read_exact(&mut [0])?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    anchor: Arc<Anchor>,
    config: Arc<Config>,
}

/// Keeps an endpoint open: its handles and its listener hold it.
pub(super) struct Anchor {
    pub(super) shard: Arc<Shard>,
    pub(super) port: Arc<Port>,
    /// Connections that may wait for `accept`.
    pub(super) backlog: usize,
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.shard.disown();
    }
}

/// What [`Endpoint::close`] found when it was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Connections that ended in order in the meantime.
    pub finished: usize,
    /// Connections that were not over in time, and were reset.
    pub aborted: usize,
}

impl Endpoint {
    /// Binds a UDP socket. Port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` if somebody has the port; no address is ever reused silently.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Endpoint> {
        EndpointBuilder::new().bind(addr)
    }

    /// An endpoint with other settings than the defaults.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::new()
    }

    /// Opens a stream to the first address that answers.
    ///
    /// # Errors
    /// As [`Stream::connect`].
    pub fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<Stream> {
        open_first(addr, &self.config, |addr| self.begin(addr))
    }

    /// Begins a connection over the endpoint's socket.
    pub(super) fn begin(&self, addr: SocketAddr) -> io::Result<Owner> {
        drain_at_exit();
        let Anchor { shard, port, .. } = &*self.anchor;
        let addr = this_host_if_unspecified(addr);
        shard
            .connect(port, |endpoint, now| {
                endpoint.connect(now, addr, self.config.clone())
            })
            .map_err(connect_error)
    }

    /// How its connections behave.
    #[cfg(feature = "tokio")]
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Opens a stream with a peer that does the same at the same time, both with `token`, not 0. Neither
    /// needs to listen. Exactly one stream results.
    ///
    /// # Errors
    /// As [`Stream::connect`]; `InvalidInput` for a token that is 0 or in use here.
    pub fn connect_rendezvous(&self, addr: SocketAddr, token: u64) -> io::Result<Stream> {
        drain_at_exit();
        let Anchor { shard, port, .. } = &*self.anchor;
        let owner = shard
            .connect(port, |endpoint, now| {
                endpoint.connect_rendezvous(now, addr, token, self.config.clone())
            })
            .map_err(connect_error)?;
        Stream::opened(owner, &self.config)
    }

    /// Lets others open connections.
    ///
    /// # Errors
    /// `AddrInUse` if the endpoint has a listener.
    pub fn listen(&self) -> io::Result<Listener> {
        Listener::new(self.anchor.clone(), self.config.clone())
    }

    /// The address of its socket.
    ///
    /// # Errors
    /// None today; kept as an `io::Result` as everywhere in `std::net`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.anchor.port.local)
    }

    /// Waits until no connection is left, for at most `timeout`; whether that is so.
    pub fn wait_idle(&self, timeout: Duration) -> bool {
        self.anchor.shard.wait_idle(Some(runtime::now() + timeout))
    }

    /// Waits for at most `timeout` until all connections are over, then resets the others.
    pub fn close(self, timeout: Duration) -> Report {
        let shard = &self.anchor.shard;
        let before = shard.cells().len();
        shard.wait_idle(Some(runtime::now() + timeout));
        let left = shard.cells();
        for cell in &left {
            cell.with(|state, _| state.connection.abort(ResetCode::ABORTED));
            cell.wake_all();
        }
        Report {
            finished: before.saturating_sub(left.len()),
            aborted: left.len(),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("local", &self.anchor.port.local)
            .finish_non_exhaustive()
    }
}

/// Settings for an [`Endpoint`].
#[derive(Clone, Debug, Default)]
#[must_use = "bind it"]
pub struct EndpointBuilder {
    endpoint: EndpointConfig,
    config: Config,
}

impl EndpointBuilder {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the socket and what all connections share behave.
    pub fn endpoint_config(mut self, config: EndpointConfig) -> Self {
        self.endpoint = config;
        self
    }

    /// How each connection behaves.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Binds a UDP socket and starts the thread that serves it.
    ///
    /// # Errors
    /// `InvalidInput` if a value of a configuration is out of its range, with the
    /// [`ConfigError`](crate::config::ConfigError) as its source; `AddrInUse` if somebody has the port;
    /// what the system says about the address.
    pub fn bind<A: ToSocketAddrs>(self, addr: A) -> io::Result<Endpoint> {
        self.bind_served(addr, runtime::start)
    }

    /// As [`EndpointBuilder::bind`], on a shard that `start` has served.
    pub(super) fn bind_served<A: ToSocketAddrs>(
        self,
        addr: A,
        start: impl Fn(Arc<EndpointConfig>) -> io::Result<Arc<Shard>>,
    ) -> io::Result<Endpoint> {
        self.endpoint.validate().map_err(invalid)?;
        self.config.validate().map_err(invalid)?;
        drain_at_exit();
        let endpoint = Arc::new(self.endpoint);
        let config = Arc::new(self.config);
        try_each(addr, |bind| {
            let options = SocketOptions {
                bind,
                peer: None,
                buffer: endpoint.socket_buffer,
            };
            let shard = start(endpoint.clone())?;
            let port = match shard.open_port(&options) {
                Ok(port) => port,
                Err(error) => {
                    shard.disown();
                    return Err(error);
                }
            };
            let anchor = Anchor {
                shard,
                port,
                backlog: endpoint.backlog,
            };
            Ok(Endpoint {
                anchor: Arc::new(anchor),
                config: config.clone(),
            })
        })
    }
}
