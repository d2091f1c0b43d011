//! The options of a stream and questions about it: the same as those of the blocking [`crate::Stream`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::Stream;
use crate::config::Keepalive;
use crate::connection::Info;

impl Stream {
    /// The address of the peer, as it was when the stream was opened.
    ///
    /// # Errors
    /// `NotConnected` once the connection was reset or failed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.blocking().peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// None today; the signature is that of `tokio::net::TcpStream`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.blocking().local_addr()
    }

    /// The error that is pending, if any, as `SO_ERROR`: taking it reports it.
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.blocking().take_error()
    }

    /// Remembers the wish that each write leave at once, which it does either way
    /// ([`crate::Stream::set_nodelay`]).
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.blocking().set_nodelay(nodelay)
    }

    /// What [`Stream::set_nodelay`] set.
    ///
    /// # Errors
    /// None.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.blocking().nodelay()
    }

    /// Sets how long delivery may go on after the stream is dropped; zero: not at all, the peer reads a reset;
    /// `None`: until delivered, or the user timeout. A drop never blocks, so this is not deprecated here as it is
    /// in tokio.
    ///
    /// # Errors
    /// None.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.blocking().set_linger(linger)
    }

    /// As [`Stream::set_linger`] with zero.
    ///
    /// # Errors
    /// None.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// What [`Stream::set_linger`] set.
    ///
    /// # Errors
    /// None.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.blocking().linger()
    }

    /// Sets the time to live (IPv6: hop limit) of what leaves, for all streams of the same UDP socket
    /// ([`crate::Stream::set_ttl`]).
    ///
    /// # Errors
    /// What the system says about the number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.blocking().set_ttl(ttl)
    }

    /// The time to live (IPv6: hop limit) of what leaves.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.blocking().ttl()
    }

    /// Has a silent peer asked whether it is still there; `None`: not.
    ///
    /// # Errors
    /// As [`crate::Stream::set_keepalive`].
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.blocking().set_keepalive(keepalive)
    }

    /// Sets how long written data may stay unacknowledged before the connection fails; `None`: for ever.
    ///
    /// # Errors
    /// As [`crate::Stream::set_user_timeout`].
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.blocking().set_user_timeout(timeout)
    }

    /// A snapshot of what the connection knows, like `TCP_INFO`.
    pub fn info(&self) -> Info {
        self.blocking().info()
    }

    /// Ends the stream at once: what is on its way is lost, the peer reads a reset
    /// ([`crate::Stream::abort`]).
    pub fn abort(&self, code: u16) {
        self.blocking().abort(code);
    }
}
