//! Where a service is: a question that is asked again each time that somebody connects.
//!
//! Whatever can be given to `connect` is a [`Resolve`]: an address, several, `"name:port"`, `("name", port)`. A program with a registry of
//! its own implements the trait. What comes of it is tried in the manner of RFC 8305
//! ([`Stream::connect`](crate::Stream::connect)).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Says where a service is now.
///
/// ```
/// use aqueduct::discovery::Resolve;
/// use std::net::SocketAddr;
///
/// /// The instances that a program knows of.
/// struct Registry(Vec<SocketAddr>);
///
/// impl Resolve for Registry {
///     fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
///         Ok(self.0.clone())
///     }
/// }
///
/// assert_eq!("127.0.0.1:80".resolve()?, [SocketAddr::from(([127, 0, 0, 1], 80))]);
/// assert_eq!(Registry(Vec::new()).resolve()?, []);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Resolve: Send + Sync {
    /// The addresses, those first that are to be tried first. It may block.
    ///
    /// # Errors
    /// If they cannot be had now; whoever asks tries again later.
    fn resolve(&self) -> io::Result<Vec<SocketAddr>>;
}

impl<A: ToSocketAddrs + Send + Sync + ?Sized> Resolve for A {
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.to_socket_addrs()?.collect())
    }
}

/// The same for tasks.
#[cfg(feature = "tokio")]
pub mod tokio {
    use std::io;
    use std::net::SocketAddr;

    use tokio::net::{ToSocketAddrs, lookup_host};

    /// Says where a service is now: [`crate::discovery::Resolve`] for tasks.
    ///
    /// ```
    /// use aqueduct::discovery::tokio::Resolve;
    /// use std::net::SocketAddr;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// assert_eq!("127.0.0.1:80".resolve().await?, [SocketAddr::from(([127, 0, 0, 1], 80))]);
    /// # Ok(())
    /// # }
    /// ```
    pub trait Resolve: Send + Sync {
        /// The addresses, those first that are to be tried first.
        ///
        /// # Errors
        /// If they cannot be had now; whoever asks tries again later.
        fn resolve(&self) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
    }

    impl<A: ToSocketAddrs + Clone + Send + Sync> Resolve for A {
        async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(lookup_host(self.clone()).await?.collect())
        }
    }
}
