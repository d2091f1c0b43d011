//! [`Stream`]: opening, reading, writing.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::close::drain_at_exit;
use super::connect::{no_address, open_first};
use super::error::{StreamError, failed, of_blocked, of_read, of_write};
use crate::config::{Config, EndpointConfig, TIMEOUT_MAX, TIMEOUT_MIN};
use crate::connection::{Connection, Info, ReadError, WriteError};
use crate::endpoint::ConnectError;
use crate::error::{CloseReason, ResetCode};
use crate::runtime::{self, Cell, CellState, Limit, Owner, Shard, Side, SocketOptions};

/// A reliable stream of bytes in both directions, over UDP: what `std::net::TcpStream` is over IP.
///
/// A handle is a reference. When the last one is dropped, what was written is still delivered in the
/// background, then the connection closes. The process must live that long: see [`drain`](crate::drain).
///
/// ```
/// use aqueduct::{Listener, Stream};
/// use std::io::{Read, Write};
///
/// let listener = Listener::bind("127.0.0.1:0")?;
/// let address = listener.local_addr()?;
/// let server = std::thread::spawn(move || -> std::io::Result<()> {
///     let (mut stream, _) = listener.accept()?;
///     let mut request = String::new();
///     stream.read_to_string(&mut request)?;
///     stream.write_all(request.to_uppercase().as_bytes())
/// });
///
/// let mut stream = Stream::connect(address)?;
/// stream.write_all(b"hello")?;
/// stream.shutdown(std::net::Shutdown::Write)?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert_eq!(answer, "HELLO");
/// server.join().expect("no panic")?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Stream {
    owner: Arc<Owner>,
}

impl Stream {
    /// Opens a stream over a UDP socket of its own, to the first address that answers.
    ///
    /// A name is resolved anew each time. Several addresses are tried in the manner of RFC 8305: both families in turns, the next one
    /// a quarter of a second after the one before, or as soon as one fails, and those that lose are given up.
    ///
    /// # Errors
    /// The error of the address that failed last: `ConnectionRefused` if nobody listens there, `TimedOut` if nobody
    /// answers within the connect timeout (20 s by default).
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Stream> {
        Stream::connect_with(addr, &Config::default())
    }

    /// As [`Stream::connect`], for one address and at most `timeout`, rounded up to 1 ms or down to 365 days.
    ///
    /// # Errors
    /// As [`Stream::connect`]; `InvalidInput` if the timeout is zero.
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<Stream> {
        if timeout.is_zero() {
            return Err(zero_timeout());
        }
        let config = Config {
            connect_timeout: timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX),
            ..Config::default()
        };
        connect_one(*addr, &Arc::new(config))
    }

    /// As [`Stream::connect`], with a configuration.
    ///
    /// # Errors
    /// As [`Stream::connect`]; `InvalidInput` if a value of the configuration is out of its range.
    pub fn connect_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Stream> {
        let config = Arc::new(config.clone());
        open_first(addr, &config, |addr| {
            begin(&runtime::common()?, addr, &config)
        })
    }

    /// The first handle to an open connection, with the options that its configuration says.
    pub(super) fn from_owner(owner: Owner, config: &Config) -> Stream {
        owner.0.lock().options.nodelay = config.nodelay;
        Stream {
            owner: Arc::new(owner),
        }
    }

    /// Waits until a connection that was begun is open.
    pub(super) fn opened(owner: Owner, config: &Config) -> io::Result<Stream> {
        let cell = &owner.0;
        let opened = cell.block_on(Side::Write, |_| Limit::Never, is_opened);
        match opened {
            Ok(Ok(())) => Ok(Stream::from_owner(owner, config)),
            Ok(Err(reason)) => Err(failed(cell.peer, reason)),
            Err(blocked) => Err(of_blocked(cell.peer, blocked)),
        }
    }

    pub(super) fn cell(&self) -> &Arc<Cell> {
        &self.owner.0
    }

    /// The address of the peer, as it was when the stream was opened.
    ///
    /// # Errors
    /// `NotConnected` once the connection was reset or failed.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let peer = self.cell().peer;
        if self.cell().lock().has_failed() {
            return Err(StreamError::NotConnected { peer }.into());
        }
        Ok(peer)
    }

    /// The address of this side.
    ///
    /// # Errors
    /// None today; the signature is that of `std::net::TcpStream`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.cell().local)
    }

    /// Shuts one direction or both down. Doing it again does nothing.
    ///
    /// After `Write` the peer reads the end of the stream, once it has read everything before. After
    /// `Read` this side reads what has arrived, then the end; what comes later is thrown away.
    ///
    /// # Errors
    /// `NotConnected` once the connection was reset or failed.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        drain_at_exit();
        let cell = self.cell();
        let failed = cell.with(|state, _| {
            if state.has_failed() {
                return true;
            }
            if matches!(how, Shutdown::Write | Shutdown::Both) {
                state.connection.shutdown_write();
            }
            if matches!(how, Shutdown::Read | Shutdown::Both) {
                state.connection.shutdown_read();
            }
            false
        });
        cell.wake_all();
        if failed {
            return Err(StreamError::NotConnected { peer: cell.peer }.into());
        }
        Ok(())
    }

    /// Another handle to the same stream: position, options and errors are shared.
    ///
    /// # Errors
    /// None today; the signature is that of `std::net::TcpStream`.
    pub fn try_clone(&self) -> io::Result<Stream> {
        Ok(Stream {
            owner: self.owner.clone(),
        })
    }

    /// Reads without taking: the next read sees the same bytes again.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|connection| connection.peek(buf))
    }

    /// Reads at most `max` bytes into a buffer of their own; empty at the end of the stream.
    ///
    /// Pieces of 8 KiB and more are handed out where they were received, as on loopback, where datagrams are large: one
    /// call returns one piece. Smaller ones are copied together, at most 64 KiB of them, into memory of just their
    /// length. A piece keeps the 64 KiB into which it was received, which count as memory of the endpoint until its
    /// last piece is dropped; while that memory is short everything is copied.
    ///
    /// # Errors
    /// As a read.
    pub fn read_bytes(&self, max: usize) -> io::Result<Bytes> {
        self.read_with(|connection| connection.read_bytes(max))
    }

    /// Writes from a shared buffer; how many bytes of it were taken.
    ///
    /// What was taken is not copied (but for slices below 2 KiB): the buffer stays in use until all of it is
    /// acknowledged, or the stream is gone. It counts as memory of the endpoint so long; memory around the slice
    /// that the buffer keeps alive is not known here, and does not.
    ///
    /// # Errors
    /// As a write.
    pub fn write_bytes(&self, data: Bytes) -> io::Result<usize> {
        self.write_with(|connection| connection.write_bytes(&data))
    }

    /// Ends the stream at once: what is on its way is lost, the peer reads a reset. `code` is for its
    /// eyes ([`Info::reset_code`]); codes below 256 are the protocol's and are sent as 0.
    pub fn abort(&self, code: u16) {
        let code = ResetCode::from_application(code);
        self.cell().with(|state, _| state.connection.abort(code));
        self.cell().wake_all();
    }

    /// A snapshot of what the connection knows, like `TCP_INFO`.
    pub fn info(&self) -> Info {
        let mut state = self.cell().lock();
        let now = state.now(runtime::now());
        let mut info = state.connection.info(now);
        info.socket_drops = self.cell().port.drops();
        info
    }

    fn read_with<T>(
        &self,
        mut read: impl FnMut(&mut Connection) -> Result<T, ReadError>,
    ) -> io::Result<T> {
        drain_at_exit();
        let cell = self.cell();
        let outcome = cell.block_on(
            Side::Read,
            |options| options.limit(options.read_timeout),
            |state| match read(&mut state.connection) {
                Err(ReadError::Blocked) => None,
                outcome => Some(outcome),
            },
        );
        match outcome {
            Ok(outcome) => outcome.map_err(|error| of_read(cell.peer, error)),
            Err(blocked) => Err(of_blocked(cell.peer, blocked)),
        }
    }

    fn write_with(
        &self,
        mut write: impl FnMut(&mut Connection) -> Result<usize, WriteError>,
    ) -> io::Result<usize> {
        drain_at_exit();
        let cell = self.cell();
        let outcome = cell.block_on(
            Side::Write,
            |options| options.limit(options.write_timeout),
            |state| match write(&mut state.connection) {
                Err(WriteError::Blocked) => None,
                outcome => Some(outcome),
            },
        );
        match outcome {
            Ok(outcome) => outcome.map_err(|error| of_write(cell.peer, error)),
            Err(blocked) => Err(of_blocked(cell.peer, blocked)),
        }
    }
}

fn connect_one(addr: SocketAddr, config: &Arc<Config>) -> io::Result<Stream> {
    let owner = begin(&runtime::common()?, addr, config)?;
    Stream::opened(owner, config)
}

/// Begins a connection over a socket of its own.
pub(super) fn begin(
    shard: &Arc<Shard>,
    addr: SocketAddr,
    config: &Arc<Config>,
) -> io::Result<Owner> {
    drain_at_exit();
    let addr = this_host_if_unspecified(addr);
    let buffer = EndpointConfig::default().socket_buffer;
    let port = shard.open_port(&SocketOptions::toward(addr, buffer))?;
    shard
        .connect(&port, |endpoint, now| {
            endpoint.connect(now, addr, config.clone())
        })
        .map_err(connect_error)
}

/// The address of a listener that is bound to all addresses means this host, as in the kernel.
pub(super) fn this_host_if_unspecified(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

/// The error of a connection that could not be begun.
pub(super) fn connect_error(error: ConnectError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

pub(super) fn zero_timeout() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "cannot set a timeout of zero")
}

/// Tries addresses until one answers; the error of the last one.
pub(super) fn try_each<A: ToSocketAddrs, T>(
    addr: A,
    mut act: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for addr in addr.to_socket_addrs()? {
        match act(addr) {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// Whether the connection is open, or why it will never be.
pub(super) fn is_opened(state: &mut CellState) -> Option<Result<(), CloseReason>> {
    if let Some(reason) = state.failure.clone() {
        return Some(Err(reason));
    }
    state.connection.is_open().then_some(Ok(()))
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(bufs)
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

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|connection| connection.read(buf))
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.read_with(|connection| read_vectored(connection, bufs))
    }
}

impl Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_with(|connection| connection.write(buf))
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_with(|connection| write_vectored(connection, bufs))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills one buffer after another, as far as data is there.
pub(super) fn read_vectored(
    connection: &mut Connection,
    bufs: &mut [IoSliceMut<'_>],
) -> Result<usize, ReadError> {
    let mut filled = 0;
    for buf in bufs.iter_mut().filter(|buf| !buf.is_empty()) {
        // An error is reported once: leave it to the next call, as this one returns data.
        if filled > 0 && (connection.is_failed() || !connection.is_readable()) {
            break;
        }
        let len = connection.read(buf)?;
        filled += len;
        if len < buf.len() {
            break;
        }
    }
    Ok(filled)
}

/// Takes one buffer after another; an error counts only if nothing was taken before it.
pub(super) fn write_vectored(
    connection: &mut Connection,
    bufs: &[IoSlice<'_>],
) -> Result<usize, WriteError> {
    let mut taken = 0;
    for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
        match connection.write(buf) {
            Ok(len) => {
                taken += len;
                if len < buf.len() {
                    break;
                }
            }
            Err(_) if taken > 0 => break,
            Err(error) => return Err(error),
        }
    }
    if taken == 0 {
        return connection.write(&[]);
    }
    Ok(taken)
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("local", &self.cell().local)
            .field("peer", &self.cell().peer)
            .finish_non_exhaustive()
    }
}
