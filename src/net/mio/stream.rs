//! [`Stream`]: reading and writing by events.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::bell::{Sign, Tone};
use crate::config::Config;
use crate::connection::{Connection, Info, ReadError, WriteError};
use crate::net::Stream as Blocking;
use crate::net::error::{StreamError, of_blocked, of_read, of_write};
use crate::net::stream::{begin, is_opened, read_vectored, write_vectored};
use crate::runtime::{self, Blocked, Cell, CellState, Side};

/// A stream whose readiness a `mio::Poll` tells: what `mio::net::TcpStream` is over IP.
///
/// Register it, wait for events, and read or write until `WouldBlock`: see the [module](super).
pub struct Stream {
    inner: Blocking,
    read: Sign,
    write: Sign,
}

impl Stream {
    /// Begins a connection over a UDP socket of its own, and does not wait. It is open once it is writable and
    /// [`Stream::peer_addr`] has an answer; [`Stream::take_error`] says why it will never be.
    ///
    /// # Errors
    /// What the system says about the address.
    pub fn connect(addr: SocketAddr) -> io::Result<Stream> {
        let config = Arc::new(Config::default());
        let owner = begin(&runtime::common()?, addr, &config)?;
        let stream = Stream::from_std(Blocking::from_owner(owner, &config))?;
        stream.read.quiet();
        stream.write.quiet();
        let waits = [(Side::Read, &stream.read), (Side::Write, &stream.write)];
        for (side, sign) in waits {
            let mut cx = Context::from_waker(&sign.waker);
            let opened = stream
                .cell()
                .poll_on(&[(side, &sign.seat)], &mut cx, is_opened);
            if opened.is_ready() {
                sign.ring();
            }
        }
        Ok(stream)
    }

    /// A stream for events out of one for threads. Any other handle to it stays as it is.
    ///
    /// # Errors
    /// What the system says if it has no descriptors left.
    pub fn from_std(stream: Blocking) -> io::Result<Stream> {
        Ok(Stream {
            inner: stream,
            read: Sign::new(Tone::Readable)?,
            write: Sign::new(Tone::Writable)?,
        })
    }

    fn cell(&self) -> &Arc<Cell> {
        self.inner.cell()
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `NotConnected` before the connection is open, and once it was reset or failed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        if !self.cell().lock().connection.is_open() {
            let peer = self.cell().peer;
            return Err(StreamError::NotConnected { peer }.into());
        }
        self.inner.peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// None today; the signature is that of `mio::net::TcpStream`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// Shuts one direction or both down ([`crate::Stream::shutdown`]).
    ///
    /// # Errors
    /// `NotConnected` once the connection was reset or failed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    /// Remembers the wish that each write leave at once, which it does either way.
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    /// What [`Stream::set_nodelay`] set.
    ///
    /// # Errors
    /// None.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.inner.nodelay()
    }

    /// Sets the time to live (IPv6: hop limit) of what leaves ([`crate::Stream::set_ttl`]).
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

    /// The error that is pending, if any, as `SO_ERROR`: taking it reports it.
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.inner.take_error()
    }

    /// A snapshot of what the connection knows, like `TCP_INFO`.
    pub fn info(&self) -> Info {
        self.inner.info()
    }

    /// Reads without taking: the next read sees the same bytes again.
    ///
    /// # Errors
    /// As a read; `WouldBlock` if nothing is there.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.reading(|connection| connection.peek(buf))
    }

    fn reading(
        &self,
        mut read: impl FnMut(&mut Connection) -> Result<usize, ReadError>,
    ) -> io::Result<usize> {
        let outcome = self.attempt(Side::Read, &self.read, |state| {
            let outcome = read(&mut state.connection);
            (outcome != Err(ReadError::Blocked)).then_some(outcome)
        });
        let peer = self.cell().peer;
        match outcome {
            Ok(outcome) => outcome.map_err(|error| of_read(peer, error)),
            Err(blocked) => Err(of_blocked(peer, blocked)),
        }
    }

    fn writing(
        &self,
        mut write: impl FnMut(&mut Connection) -> Result<usize, WriteError>,
    ) -> io::Result<usize> {
        let outcome = self.attempt(Side::Write, &self.write, |state| {
            let outcome = write(&mut state.connection);
            (outcome != Err(WriteError::Blocked)).then_some(outcome)
        });
        let peer = self.cell().peer;
        match outcome {
            Ok(outcome) => outcome.map_err(|error| of_write(peer, error)),
            Err(blocked) => Err(of_blocked(peer, blocked)),
        }
    }

    /// Tries `attempt`. If it has no answer the sign is quiet from here on, until it may have one.
    fn attempt<T>(
        &self,
        side: Side,
        sign: &Sign,
        mut attempt: impl FnMut(&mut CellState) -> Option<T>,
    ) -> Result<T, Blocked> {
        let cell = self.cell();
        match cell.try_on(&mut attempt) {
            Err(Blocked::Nonblocking) => {}
            outcome => return outcome,
        }
        sign.quiet();
        let mut cx = Context::from_waker(&sign.waker);
        match cell.poll_on(&[(side, &sign.seat)], &mut cx, attempt) {
            Poll::Pending => Err(Blocked::Nonblocking),
            Poll::Ready(outcome) => {
                sign.ring();
                outcome
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reading(|connection| connection.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.reading(|connection| read_vectored(connection, bufs))
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&*self).write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writing(|connection| connection.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.writing(|connection| write_vectored(connection, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.read.listen(registry, token, interests.is_readable())?;
        self.write.listen(registry, token, interests.is_writable())
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
        self.read.listen(registry, Token(0), false)?;
        self.write.listen(registry, Token(0), false)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let cell = self.cell();
        cell.leave(Side::Read, &self.read.seat);
        cell.leave(Side::Write, &self.write.seat);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
