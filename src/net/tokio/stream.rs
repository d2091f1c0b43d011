//! [`Stream`]: reading, writing and waiting, for tasks.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::ToSocketAddrs;
use tokio::task::coop;

use super::connect::open_first;
use super::owned::{self, OwnedReadHalf, OwnedWriteHalf};
use super::split::{self, ReadHalf, WriteHalf};
use crate::config::Config;
use crate::connection::{Connection, ReadError, WriteError};
use crate::net::Stream as Blocking;
use crate::net::close::{CloseError, Closed, Delivered, delivery, drain_at_exit, how_it_ended};
use crate::net::error::{failed, invalid, of_blocked, of_read, of_write};
use crate::net::stream::{begin, read_vectored, write_vectored};
use crate::runtime::{self, Blocked, Cell, CellState, Seat, Side, driver};

/// Bytes that [`Stream::try_read_buf`] takes at most in one call: they pass through memory of its own.
const TRY_READ_BUF_MAX: usize = 1 << 14;

/// A reliable stream of bytes in both directions, over UDP: what `tokio::net::TcpStream` is over IP.
///
/// It implements [`AsyncRead`] and [`AsyncWrite`]; the methods of `AsyncReadExt` and `AsyncWriteExt` have the
/// cancel safety that tokio documents for them. As with tokio's, at most one task reads and one writes by the
/// `poll_*` functions: the latest is woken. Any number may wait in the `async` methods.
///
/// Dropping it closes the connection once everything written is delivered. `shutdown`, or dropping the owned write
/// half, ends the writing side alone.
///
/// ```
/// use aqueduct::tokio::{Listener, Stream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let mut client = Stream::connect(listener.local_addr()?).await?;
/// let (mut server, _) = listener.accept().await?;
///
/// client.write_all(b"hello").await?;
/// let mut buf = [0; 5];
/// server.read_exact(&mut buf).await?;
/// assert_eq!(&buf, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Stream {
    inner: Blocking,
    read: Flank,
    write: Flank,
}

/// One direction, as the tasks of one stream wait for it.
struct Flank {
    seat: Seat,
    /// Whether a try is worth it because the last one had an answer, as tokio keeps readiness until a try has none.
    may_try: AtomicBool,
}

impl Flank {
    fn new(may_try: bool) -> Self {
        Flank {
            seat: Seat::default(),
            may_try: AtomicBool::new(may_try),
        }
    }

    fn may_try(&self) -> bool {
        self.may_try.load(Ordering::Relaxed)
    }

    fn note(&self, had_answer: bool) {
        self.may_try.store(had_answer, Ordering::Relaxed);
    }
}

impl Stream {
    /// Opens a stream over a UDP socket of its own, to the first address that answers; several are tried as by
    /// [`crate::Stream::connect`] (outside of a runtime, and on other systems than Linux, one after the other).
    ///
    /// # Errors
    /// The error of the address that failed last: `ConnectionRefused` if nobody listens there, `TimedOut` if nobody answers
    /// within the connect timeout (20 s by default).
    ///
    /// # Panics
    /// In a runtime without a reactor: build it with `enable_io` or `enable_all`.
    ///
    /// # Cancel safety
    /// A connection that is not open yet is given up, and the peer told.
    pub async fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<Stream> {
        Stream::connect_shared(addr, Arc::default()).await
    }

    /// As [`Stream::connect`], with a configuration.
    ///
    /// # Errors
    /// As [`Stream::connect`]; `InvalidInput` if a value of the configuration is out of its range.
    ///
    /// # Panics
    /// As [`Stream::connect`].
    ///
    /// # Cancel safety
    /// As [`Stream::connect`].
    pub async fn connect_with<A: ToSocketAddrs>(addr: A, config: &Config) -> io::Result<Stream> {
        Stream::connect_shared(addr, Arc::new(config.clone())).await
    }

    pub(super) async fn connect_shared<A: ToSocketAddrs>(
        addr: A,
        config: Arc<Config>,
    ) -> io::Result<Stream> {
        config.validate().map_err(invalid)?;
        open_first(addr, &config, |addr| {
            begin(&driver::common()?, addr, &config)
        })
        .await
    }

    /// A stream for tasks out of one for threads. Who serves it does not change, nor does any other handle to it.
    ///
    /// # Errors
    /// None today; the signature is that of `tokio::net::TcpStream`.
    pub fn from_std(stream: Blocking) -> io::Result<Stream> {
        Ok(Stream::new(stream, true))
    }

    /// The stream for threads, set not to block, as in tokio. From here on a thread of this crate serves it,
    /// whether its runtime runs or not, and with it what shares its UDP socket, or was opened in the same
    /// runtime before.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub fn into_std(self) -> io::Result<Blocking> {
        runtime::serve(&self.cell().shard)?;
        self.inner.set_nonblocking(true)?;
        self.inner.try_clone()
    }

    /// A stream; `accepted` ones are tried before anybody waits for them.
    pub(super) fn new(inner: Blocking, accepted: bool) -> Stream {
        Stream {
            inner,
            read: Flank::new(accepted),
            write: Flank::new(true),
        }
    }

    pub(crate) fn blocking(&self) -> &Blocking {
        &self.inner
    }

    pub(super) fn cell(&self) -> &Arc<Cell> {
        self.inner.cell()
    }

    /// Splits the stream into borrowed halves, one to read and one to write at the same time.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits the stream into owned halves, which may go to different tasks. Dropping the write half ends the
    /// writing side.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned::split(self)
    }

    // --- readiness ----------------------------------------------------------------------------------

    /// Waits until the stream is ready in one of the ways asked for, as far as it is known: a try may still find
    /// nothing. What is ready stays so until a try finds nothing.
    ///
    /// # Errors
    /// The connection's, if what serves it has ended.
    ///
    /// # Cancel safety
    /// Nothing is taken. What is ready stays so.
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let ready = self
            .cell()
            .wait_on([Side::Read, Side::Write], |state| {
                self.readiness(state, interest)
            })
            .await;
        ready.map_err(|blocked| of_blocked(self.cell().peer, blocked))
    }

    /// Waits until a read is worth trying.
    ///
    /// # Errors
    /// As [`Stream::ready`].
    ///
    /// # Cancel safety
    /// As [`Stream::ready`].
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until a write is worth trying.
    ///
    /// # Errors
    /// As [`Stream::ready`].
    ///
    /// # Cancel safety
    /// As [`Stream::ready`].
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Polls for a read to be worth trying. The latest task of this and of `poll_read` is woken.
    ///
    /// # Errors
    /// As [`Stream::ready`].
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready((Side::Read, &self.read.seat), Interest::READABLE, cx)
    }

    /// Polls for a write to be worth trying. The latest task of this and of `poll_write` is woken.
    ///
    /// # Errors
    /// As [`Stream::ready`].
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready((Side::Write, &self.write.seat), Interest::WRITABLE, cx)
    }

    fn poll_ready(
        &self,
        seat: (Side, &Seat),
        interest: Interest,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let ready = self
            .cell()
            .poll_on(&[seat], cx, |state| self.readiness(state, interest));
        ready.map(|ready| match ready {
            Ok(_) => Ok(()),
            Err(blocked) => Err(of_blocked(self.cell().peer, blocked)),
        })
    }

    fn readiness(&self, state: &CellState, interest: Interest) -> Option<Ready> {
        let connection = &state.connection;
        let signs = [
            (
                Ready::READABLE,
                interest.is_readable() && (self.read.may_try() || connection.is_readable()),
            ),
            (
                Ready::READ_CLOSED,
                interest.is_readable() && connection.is_read_ended(),
            ),
            (
                Ready::WRITABLE,
                interest.is_writable() && (self.write.may_try() || connection.is_writable()),
            ),
            (
                Ready::WRITE_CLOSED,
                interest.is_writable() && connection.is_ended(),
            ),
            (Ready::ERROR, interest.is_error() && state.has_failed()),
        ];
        let seen = signs.into_iter().filter(|(_, is_so)| *is_so);
        let ready = seen.fold(Ready::EMPTY, |all, (sign, _)| all | sign);
        (!ready.is_empty()).then_some(ready)
    }

    /// Tries `io` if the stream is ready in one of the ways asked for, and takes note if it would block.
    ///
    /// # Errors
    /// `WouldBlock` if the stream is not ready; what `io` says.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        io: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        if self.readiness(&self.cell().lock(), interest).is_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let outcome = io();
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            if interest.is_readable() {
                self.read.note(false);
            }
            if interest.is_writable() {
                self.write.note(false);
            }
        }
        outcome
    }

    /// Waits until the stream is ready in one of the ways asked for and `io` does not block.
    ///
    /// # Errors
    /// As [`Stream::ready`]; what `io` says.
    ///
    /// # Cancel safety
    /// Safe if `io` is: it never waits, and its result is returned at once.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut io: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.ready(interest).await?;
            match self.try_io(interest, &mut io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }

    // --- without waiting ----------------------------------------------------------------------------

    /// Reads what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is; otherwise as a read.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_reading(|connection| connection.read(buf))
    }

    /// Reads what is there into several buffers, one after another, without waiting.
    ///
    /// # Errors
    /// As [`Stream::try_read`].
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.try_reading(|connection| read_vectored(connection, bufs))
    }

    /// Reads what is there, at most 16 KiB in one call, and advances the buffer by it.
    ///
    /// # Errors
    /// As [`Stream::try_read`].
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let mut bytes = [0; TRY_READ_BUF_MAX];
        let most = buf.remaining_mut().min(bytes.len());
        let len = self.try_read(&mut bytes[..most])?;
        buf.put_slice(&bytes[..len]);
        Ok(len)
    }

    /// Reads what is there without taking it and without waiting: the next read sees the same bytes again.
    ///
    /// # Errors
    /// As [`Stream::try_read`].
    pub fn try_peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_reading(|connection| connection.peek(buf))
    }

    /// Writes as much as there is room for, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; otherwise as a write.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.try_writing(|connection| connection.write(buf))
    }

    /// Writes as much of several buffers as there is room for, without waiting.
    ///
    /// # Errors
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.try_writing(|connection| write_vectored(connection, bufs))
    }

    fn try_reading(
        &self,
        mut read: impl FnMut(&mut Connection) -> Result<usize, ReadError>,
    ) -> io::Result<usize> {
        drain_at_exit();
        let cell = self.cell();
        let outcome = cell.try_on(|state| answer_of_read(read(&mut state.connection)));
        self.read.note(outcome.is_ok());
        of_reading(cell, outcome)
    }

    fn try_writing(
        &self,
        mut write: impl FnMut(&mut Connection) -> Result<usize, WriteError>,
    ) -> io::Result<usize> {
        drain_at_exit();
        let cell = self.cell();
        let outcome = cell.try_on(|state| answer_of_write(write(&mut state.connection)));
        self.write.note(outcome.is_ok());
        of_writing(cell, outcome)
    }

    // --- peeking ------------------------------------------------------------------------------------

    /// Reads without taking: the next read sees the same bytes again.
    ///
    /// # Errors
    /// As a read.
    ///
    /// # Cancel safety
    /// Nothing is taken in any case.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        drain_at_exit();
        let cell = self.cell();
        let outcome = cell
            .wait_on([Side::Read], |state| {
                answer_of_read(state.connection.peek(buf))
            })
            .await;
        of_reading(cell, outcome)
    }

    /// Polls for data to read without taking it; how much was put into `buf`, which is advanced by it.
    ///
    /// # Errors
    /// As a read.
    pub fn poll_peek(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.poll_filling(cx, buf, Connection::peek))?;
        buf.advance(len);
        Poll::Ready(Ok(len))
    }

    // --- beyond tokio's -----------------------------------------------------------------------------

    /// Waits until everything written so far is delivered. Set a limit with `tokio::time::timeout`.
    ///
    /// # Errors
    /// The connection's own error, without taking it, if it failed first; `NotConnected` if both sides have
    /// finished and the peer had not reported everything as read: it has everything, but will report no more.
    ///
    /// # Cancel safety
    /// Nothing changes: delivery goes on.
    pub async fn wait_delivered(&self, what: Delivered) -> io::Result<()> {
        let cell = self.cell();
        let outcome = cell
            .wait_on([Side::Delivery], |state| delivery(state, what))
            .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(failed(cell.peer, reason)),
            Err(blocked) => Err(of_blocked(cell.peer, blocked)),
        }
    }

    /// Ends the writing side, waits until everything is acknowledged, and lets the stream go.
    ///
    /// # Errors
    /// See [`CloseError`].
    ///
    /// # Cancel safety
    /// The stream is gone, as if it had been dropped: the rest is delivered in the background.
    pub async fn close(self) -> Result<Closed, CloseError> {
        let cell = self.cell();
        cell.with(|state, _| state.connection.shutdown_write());
        let outcome = cell
            .wait_on([Side::Delivery], |state| delivery(state, Delivered::Acked))
            .await;
        how_it_ended(cell, outcome)
    }

    // --- what the traits are made of ----------------------------------------------------------------

    pub(super) fn poll_read_in(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = ready!(self.poll_filling(cx, buf, Connection::read))?;
        buf.advance(len);
        Poll::Ready(Ok(()))
    }

    /// Polls `read` with the part of the buffer that is free; it is not advanced.
    fn poll_filling(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        read: impl Fn(&mut Connection, &mut [u8]) -> Result<usize, ReadError>,
    ) -> Poll<io::Result<usize>> {
        self.poll_reading(cx, |connection| {
            // Memory that was never written to is cleared first: no more of it than there is to put into it.
            let most = buf.remaining().min(connection.unread().max(1));
            read(connection, buf.initialize_unfilled_to(most))
        })
    }

    /// Polls `read` until it has an answer.
    pub(super) fn poll_reading(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&mut Connection) -> Result<usize, ReadError>,
    ) -> Poll<io::Result<usize>> {
        drain_at_exit();
        let turn = ready!(coop::poll_proceed(cx));
        let cell = self.cell();
        let polled = cell.poll_on(&[(Side::Read, &self.read.seat)], cx, |state| {
            answer_of_read(read(&mut state.connection))
        });
        self.read.note(polled.is_ready());
        let outcome = ready!(polled);
        turn.made_progress();
        Poll::Ready(of_reading(cell, outcome))
    }

    /// Polls `write` until it has an answer.
    pub(super) fn poll_writing(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&mut Connection) -> Result<usize, WriteError>,
    ) -> Poll<io::Result<usize>> {
        drain_at_exit();
        let turn = ready!(coop::poll_proceed(cx));
        let cell = self.cell();
        let polled = cell.poll_on(&[(Side::Write, &self.write.seat)], cx, |state| {
            answer_of_write(write(&mut state.connection))
        });
        self.write.note(polled.is_ready());
        let outcome = ready!(polled);
        turn.made_progress();
        Poll::Ready(of_writing(cell, outcome))
    }

    pub(super) fn poll_write_in(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |connection| connection.write(buf))
    }

    pub(super) fn poll_write_vectored_in(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, |connection| write_vectored(connection, bufs))
    }

    /// Ends the writing side; of a connection that is over this is no error, as in tokio.
    pub(super) fn shut_writing(&self) -> io::Result<()> {
        match self.inner.shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        }
    }
}

fn answer_of_read(outcome: Result<usize, ReadError>) -> Option<Result<usize, ReadError>> {
    (outcome != Err(ReadError::Blocked)).then_some(outcome)
}

fn answer_of_write(outcome: Result<usize, WriteError>) -> Option<Result<usize, WriteError>> {
    (outcome != Err(WriteError::Blocked)).then_some(outcome)
}

fn of_reading(
    cell: &Cell,
    outcome: Result<Result<usize, ReadError>, Blocked>,
) -> io::Result<usize> {
    match outcome {
        Ok(outcome) => outcome.map_err(|error| of_read(cell.peer, error)),
        Err(blocked) => Err(of_blocked(cell.peer, blocked)),
    }
}

fn of_writing(
    cell: &Cell,
    outcome: Result<Result<usize, WriteError>, Blocked>,
) -> io::Result<usize> {
    match outcome {
        Ok(outcome) => outcome.map_err(|error| of_write(cell.peer, error)),
        Err(blocked) => Err(of_blocked(cell.peer, blocked)),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_read_in(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_in(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored_in(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing to do: whatever was taken leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the writing side: FIN after everything written. Does not wait for the peer to have it.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shut_writing())
    }
}

impl TryFrom<Blocking> for Stream {
    type Error = io::Error;

    fn try_from(stream: Blocking) -> io::Result<Stream> {
        Stream::from_std(stream)
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
