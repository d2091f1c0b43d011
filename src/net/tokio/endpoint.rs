//! [`Endpoint`]: many connections, both ways, over one UDP socket, for tasks.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use tokio::net::ToSocketAddrs;

use super::connect::open_first;
use super::{Listener, Stream};
use crate::net::{Endpoint as Blocking, EndpointBuilder};
use crate::runtime::driver;

/// A UDP socket that carries many connections: [`crate::Endpoint`] for tasks.
///
/// ```
/// use aqueduct::tokio::Endpoint;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let here = Endpoint::bind("127.0.0.1:0").await?;
/// let there = Endpoint::bind("127.0.0.1:0").await?;
/// let listener = there.listen()?;
/// for _ in 0..3 {
///     let stream = here.connect(there.local_addr()?).await?;
///     assert_eq!(stream.local_addr()?, here.local_addr()?);
///     listener.accept().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Endpoint {
    inner: Blocking,
}

impl Endpoint {
    /// Binds a UDP socket. Port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` if somebody has the port; no address is ever reused silently.
    ///
    /// # Panics
    /// In a runtime without a reactor: build it with `enable_io` or `enable_all`.
    ///
    /// # Cancel safety
    /// Nothing stays bound.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Endpoint> {
        Endpoint::bind_with(addr, EndpointBuilder::new()).await
    }

    /// As [`Endpoint::bind`], with the settings of a builder.
    ///
    /// # Errors
    /// As [`Endpoint::bind`]; `InvalidInput` if a value of a configuration is out of its range.
    ///
    /// # Panics
    /// As [`Endpoint::bind`].
    ///
    /// # Cancel safety
    /// As [`Endpoint::bind`].
    pub async fn bind_with<A: ToSocketAddrs>(
        addr: A,
        builder: EndpointBuilder,
    ) -> io::Result<Endpoint> {
        let addrs: Vec<SocketAddr> = tokio::net::lookup_host(addr).await?.collect();
        let inner = builder.bind_served(&addrs[..], driver::start)?;
        Ok(Endpoint { inner })
    }

    /// An endpoint for tasks out of one for threads. Who serves it does not change, nor does any other handle.
    pub fn from_std(endpoint: Blocking) -> Endpoint {
        Endpoint { inner: endpoint }
    }

    /// Opens a stream to the first address that answers.
    ///
    /// # Errors
    /// As [`Stream::connect`].
    ///
    /// # Cancel safety
    /// As [`Stream::connect`].
    pub async fn connect<A: ToSocketAddrs>(&self, addr: A) -> io::Result<Stream> {
        open_first(addr, self.inner.config(), |addr| self.inner.begin(addr)).await
    }

    /// Lets others open connections.
    ///
    /// # Errors
    /// `AddrInUse` if the endpoint has a listener.
    pub fn listen(&self) -> io::Result<Listener> {
        Listener::from_std(self.inner.listen()?)
    }

    /// The address of its socket.
    ///
    /// # Errors
    /// None today; kept as an `io::Result` as everywhere in `tokio::net`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
