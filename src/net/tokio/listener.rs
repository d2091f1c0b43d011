//! [`Listener`]: connections that others open, for tasks.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::ToSocketAddrs;
use tokio::task::coop;

use super::{Endpoint, Stream};
use crate::config::Config;
use crate::net::{EndpointBuilder, Listener as Blocking};
use crate::runtime::{self, Seat};

/// A socket that takes connections: what `tokio::net::TcpListener` is over IP. All its streams share one UDP
/// socket.
///
/// Dropping it resets the connections that nobody accepted; accepted ones live on.
///
/// ```
/// use aqueduct::tokio::{Listener, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let client = Stream::connect(listener.local_addr()?).await?;
/// let (server, peer) = listener.accept().await?;
/// assert_eq!(peer, client.local_addr()?);
/// assert_eq!(server.peer_addr()?, peer);
/// # Ok(())
/// # }
/// ```
pub struct Listener {
    inner: Blocking,
    /// Where the task of `poll_accept` waits.
    seat: Seat,
}

impl Listener {
    /// Binds a UDP socket and listens on it. Port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` if somebody has the port; no address is ever reused silently.
    ///
    /// # Panics
    /// In a runtime without a reactor: build it with `enable_io` or `enable_all`.
    ///
    /// # Cancel safety
    /// Nothing stays bound.
    pub async fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Listener> {
        Listener::bind_with(addr, &Config::default()).await
    }

    /// As [`Listener::bind`], with a configuration for the connections to come.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `InvalidInput` if a value of the configuration is out of its range.
    ///
    /// # Panics
    /// As [`Listener::bind`].
    ///
    /// # Cancel safety
    /// As [`Listener::bind`].
    pub async fn bind_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Listener> {
        let builder = EndpointBuilder::new().config(config.clone());
        Endpoint::bind_with(addr, builder).await?.listen()
    }

    /// A listener for tasks out of one for threads. Who serves it does not change, nor does any other handle to
    /// it.
    ///
    /// # Errors
    /// None today; the signature is that of `tokio::net::TcpListener`.
    pub fn from_std(listener: Blocking) -> io::Result<Listener> {
        Ok(Listener {
            inner: listener,
            seat: Seat::default(),
        })
    }

    /// The listener for threads, set not to block, as in tokio. From here on a thread of this crate serves it and
    /// its streams, whether the runtime runs or not.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub fn into_std(self) -> io::Result<Blocking> {
        runtime::serve(self.inner.shard())?;
        self.inner.set_nonblocking(true)?;
        self.inner.try_clone()
    }

    /// Takes the connection that has waited longest; waits for one if there is none.
    ///
    /// # Errors
    /// The listener's, if what serves it has ended. No peer can cause one.
    ///
    /// # Cancel safety
    /// No connection is lost: the next accept takes it.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let visit = Visit {
            listener: self,
            seat: Seat::default(),
        };
        poll_fn(|cx| self.poll_accept_from(&visit.seat, cx)).await
    }

    /// Polls for a connection. The latest task is woken.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        self.poll_accept_from(&self.seat, cx)
    }

    fn poll_accept_from(
        &self,
        seat: &Seat,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let turn = ready!(coop::poll_proceed(cx));
        let accepted = ready!(self.inner.poll_accept(seat, cx));
        turn.made_progress();
        Poll::Ready(accepted.map(|(stream, peer)| (Stream::new(stream, true), peer)))
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// None today; the signature is that of `tokio::net::TcpListener`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Sets the time to live (IPv6: hop limit) of what leaves, for all streams of this listener.
    ///
    /// # Errors
    /// What the system says about the number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.inner.set_ttl(ttl)
    }

    /// The time to live (IPv6: hop limit) of what leaves.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.inner.ttl()
    }
}

/// The seat of one future.
struct Visit<'l> {
    listener: &'l Listener,
    seat: Seat,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.listener.inner.leave(&self.seat);
    }
}

impl TryFrom<Blocking> for Listener {
    type Error = io::Error;

    fn try_from(listener: Blocking) -> io::Result<Listener> {
        Listener::from_std(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.leave(&self.seat);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::error::CloseReason;
    use crate::net::StreamError;
    use crate::runtime::Command;

    fn is_loop_ended(error: &io::Error) -> bool {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        matches!(
            cause,
            Some(StreamError::Failed {
                reason: CloseReason::LoopEnded,
                ..
            })
        )
    }

    /// The loop is the runtime's task here, or a look into the sockets in passing.
    async fn a_panic_is_everybodys_error() {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        let mut reading = Vec::new();
        for _ in 0..4 {
            clients.push(Stream::connect(addr).await.unwrap());
            let (mut server, _) = listener.accept().await.unwrap();
            reading.push(tokio::spawn(async move {
                let error = server.read(&mut [0; 8]).await.unwrap_err();
                (error, server.write(b"x").await.unwrap_err())
            }));
        }
        let shard = listener.inner.shard().clone();
        let accepting = tokio::spawn(async move { listener.accept().await });
        tokio::task::yield_now().await;
        shard.mailbox.send(Command::Panic);
        for reader in reading {
            let (read, write) = reader.await.unwrap();
            assert!(is_loop_ended(&read) && is_loop_ended(&write));
        }
        assert!(is_loop_ended(&accepting.await.unwrap().unwrap_err()));
        assert!(shard.has_ended());
    }

    #[tokio::test]
    async fn a_panic_of_the_loop_is_an_error_on_every_task_and_never_a_hang() {
        a_panic_is_everybodys_error().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_of_the_loop_is_an_error_in_a_runtime_with_workers_too() {
        a_panic_is_everybodys_error().await;
    }
}
