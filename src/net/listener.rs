//! [`Listener`]: connections that others open.

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
#[cfg(feature = "_tasks")]
use std::task::{Context, Poll, ready};

use super::close::drain_at_exit;
use super::endpoint::{Anchor, Endpoint};
use super::error::of_blocked;
use super::{EndpointBuilder, Stream};
use crate::config::Config;
#[cfg(feature = "_tasks")]
use crate::runtime::Seat;
#[cfg(feature = "tokio")]
use crate::runtime::Shard;
use crate::runtime::{Backlog, Limit};

/// A socket that takes connections: what `std::net::TcpListener` is over IP. All its streams share one
/// UDP socket.
///
/// Dropping the last handle resets the connections that nobody accepted; accepted ones live on.
///
/// ```
/// use aqueduct::{Listener, Stream};
///
/// let listener = Listener::bind("127.0.0.1:0")?;
/// let client = Stream::connect(listener.local_addr()?)?;
/// let (server, peer) = listener.accept()?;
/// assert_eq!(peer, client.local_addr()?);
/// assert_eq!(server.peer_addr()?, peer);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Listener {
    listening: Arc<Listening>,
}

/// What the handles of one listener share.
struct Listening {
    anchor: Arc<Anchor>,
    backlog: Arc<Backlog>,
    /// What the connections to come begin with.
    config: Arc<Config>,
}

impl Listener {
    /// Binds a UDP socket and listens on it. Port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` if somebody has the port; no address is ever reused silently.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<Listener> {
        Endpoint::bind(addr)?.listen()
    }

    /// As [`Listener::bind`], with a configuration for the connections to come.
    ///
    /// # Errors
    /// As [`Listener::bind`]; `InvalidInput` if a value of the configuration is out of its range, with the
    /// [`ConfigError`](crate::config::ConfigError) as its source.
    pub fn bind_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Listener> {
        EndpointBuilder::new()
            .config(config.clone())
            .bind(addr)?
            .listen()
    }

    pub(super) fn new(anchor: Arc<Anchor>, config: Arc<Config>) -> io::Result<Listener> {
        let backlog = Arc::new(Backlog::new(anchor.backlog, config.clone()));
        if !anchor.shard.listen(&backlog) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "the endpoint has a listener already, or its thread has ended",
            ));
        }
        Ok(Listener {
            listening: Arc::new(Listening {
                anchor,
                backlog,
                config,
            }),
        })
    }

    /// Takes the connection that has waited longest; waits for one if there is none.
    ///
    /// # Errors
    /// `WouldBlock` if the listener is non-blocking and there is none.
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        drain_at_exit();
        let Listening {
            anchor,
            backlog,
            config,
        } = &*self.listening;
        let (owner, was_full) = backlog
            .accept(&anchor.shard, Limit::Never)
            .map_err(|blocked| of_blocked(anchor.port.local, blocked))?;
        if was_full {
            anchor.shard.resume(backlog);
        }
        let peer = owner.0.peer;
        Ok((Stream::from_owner(owner, config), peer))
    }

    /// As [`Listener::accept`], for a task.
    #[cfg(feature = "_tasks")]
    pub(super) fn poll_accept(
        &self,
        seat: &Seat,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Stream, SocketAddr)>> {
        drain_at_exit();
        let Listening {
            anchor,
            backlog,
            config,
        } = &*self.listening;
        let (owner, was_full) = ready!(backlog.poll_accept(seat, cx))
            .map_err(|blocked| of_blocked(anchor.port.local, blocked))?;
        if was_full {
            anchor.shard.resume(backlog);
        }
        let peer = owner.0.peer;
        Poll::Ready(Ok((Stream::from_owner(owner, config), peer)))
    }

    /// Gives the seat of a task back.
    #[cfg(feature = "_tasks")]
    pub(super) fn leave(&self, seat: &Seat) {
        self.listening.backlog.leave(seat);
    }

    /// What serves it.
    #[cfg(feature = "tokio")]
    pub(super) fn shard(&self) -> &Arc<Shard> {
        &self.listening.anchor.shard
    }

    /// The connections to come, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// None today; the signature is that of `std::net::TcpListener`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.listening.anchor.port.local)
    }

    /// Another handle to the same listener.
    ///
    /// # Errors
    /// None today; the signature is that of `std::net::TcpListener`.
    pub fn try_clone(&self) -> io::Result<Listener> {
        Ok(Listener {
            listening: self.listening.clone(),
        })
    }

    /// Makes `accept` fail with `WouldBlock` rather than wait. Accepted streams block at first all the
    /// same.
    ///
    /// # Errors
    /// None.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.listening.backlog.set_nonblocking(nonblocking);
        Ok(())
    }

    /// Sets the time to live (IPv6: hop limit) of what leaves, for all streams of this listener.
    ///
    /// # Errors
    /// What the system says about the number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.listening.anchor.port.set_ttl(ttl)
    }

    /// The time to live (IPv6: hop limit) of what leaves.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.listening.anchor.port.ttl()
    }

    /// The error that is pending: never any, as no error of one peer is one of the listener.
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.anchor.shard.unlisten(&self.backlog);
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("local", &self.listening.anchor.port.local)
            .finish_non_exhaustive()
    }
}

/// The iterator of [`Listener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a Listener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<Stream>;

    fn next(&mut self) -> Option<io::Result<Stream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::thread;

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

    #[test]
    fn a_panic_of_the_loop_is_an_error_on_every_stream_and_never_a_hang() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let clients: Vec<Stream> = (0..4)
            .map(|_| Stream::connect(listener.local_addr().unwrap()).unwrap())
            .collect();
        let servers: Vec<Stream> = clients
            .iter()
            .map(|_| listener.accept().unwrap().0)
            .collect();
        let blocked: Vec<_> = servers
            .iter()
            .map(|stream| {
                let mut stream = stream.try_clone().unwrap();
                thread::spawn(move || stream.read(&mut [0; 8]))
            })
            .collect();
        let acceptor = listener.try_clone().unwrap();
        let accepting = thread::spawn(move || acceptor.accept());

        listener.listening.anchor.shard.mailbox.send(Command::Panic);
        for reader in blocked {
            assert!(is_loop_ended(&reader.join().unwrap().unwrap_err()));
        }
        assert!(is_loop_ended(&accepting.join().unwrap().unwrap_err()));
        for mut stream in servers {
            assert!(is_loop_ended(&stream.write(b"x").unwrap_err()));
            assert_eq!(
                stream.peer_addr().unwrap_err().kind(),
                ErrorKind::NotConnected
            );
        }
        assert!(listener.listening.anchor.shard.has_ended());
    }

    #[test]
    fn a_panic_in_the_turn_of_a_waiting_thread_is_its_error_too() {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let _client = Stream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let shard = listener.listening.anchor.shard.clone();
        let reading = thread::spawn(move || server.read(&mut [0; 8]));
        // Whoever takes the turns then, the reader or the shard's own thread, meets it.
        shard.mailbox.send(Command::Panic);
        assert!(is_loop_ended(&reading.join().unwrap().unwrap_err()));
    }

    #[test]
    fn whoever_asks_for_the_turns_and_goes_leaves_them_to_somebody() {
        use std::time::Duration;

        use crate::config::BusyPoll;
        use crate::runtime::{Baton, Wish};

        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let shard = listener.listening.anchor.shard.clone();
        let pass = |time| {
            let mutex = std::sync::Mutex::new(());
            let guard = mutex.lock().unwrap();
            drop(std::sync::Condvar::new().wait_timeout(guard, time).unwrap());
        };
        for wait in [0, 1, 5, 20].map(Duration::from_millis) {
            // Time for the shard's own thread to take the turns; asked, it lets go and may fall asleep.
            pass(Duration::from_millis(10));
            let waiting = Baton::enter(&shard, Wish::Nothing, BusyPoll::Off);
            pass(wait);
            drop(waiting);
            let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            drop((client, server));
        }
    }
}
