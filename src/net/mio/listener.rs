//! [`Listener`]: connections that others open, by events.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::Stream;
use super::bell::{Sign, Tone};
use crate::net::Listener as Blocking;

/// A listener whose readiness a `mio::Poll` tells: what `mio::net::TcpListener` is over IP.
///
/// Register it for `READABLE`, and accept until `WouldBlock`: see the [module](super).
pub struct Listener {
    inner: Blocking,
    sign: Sign,
}

impl Listener {
    /// Binds a UDP socket and listens on it. Port 0 lets the system choose.
    ///
    /// # Errors
    /// `AddrInUse` if somebody has the port; no address is ever reused silently.
    pub fn bind(addr: SocketAddr) -> io::Result<Listener> {
        Listener::from_std(Blocking::bind(addr)?)
    }

    /// A listener for events out of one for threads. Any other handle to it stays as it is.
    ///
    /// # Errors
    /// What the system says if it has no descriptors left.
    pub fn from_std(listener: Blocking) -> io::Result<Listener> {
        Ok(Listener {
            inner: listener,
            sign: Sign::new(Tone::Readable)?,
        })
    }

    /// Takes the connection that has waited longest.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        self.sign.quiet();
        let mut cx = Context::from_waker(&self.sign.waker);
        match self.inner.poll_accept(&self.sign.seat, &mut cx) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(accepted) => {
                // There may be more.
                self.sign.ring();
                let (stream, peer) = accepted?;
                Ok((Stream::from_std(stream)?, peer))
            }
        }
    }

    /// The address that it listens at.
    ///
    /// # Errors
    /// None today; the signature is that of `mio::net::TcpListener`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// The error that is pending: never any, as no error of one peer is one of the listener.
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }
}

impl Source for Listener {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.sign.listen(registry, token, interests.is_readable())
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.register(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.sign.listen(registry, Token(0), false)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.inner.leave(&self.sign.seat);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
