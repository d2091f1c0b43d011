//! Bodies that tasks read and write piece by piece.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::link::Link;
use crate::layers::msg::error::RpcError;
use crate::layers::msg::inflow::Next;

/// How long to wait for the other side to go on; the time counts from the moment at which it was waited for first.
#[derive(Debug, Default)]
struct Patience {
    limit: Option<Duration>,
    until: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Whether it has ended; the task is woken when it does.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(limit)));
        until.as_mut().poll(cx).is_ready()
    }

    /// The other side went on.
    fn renew(&mut self) {
        self.until = None;
    }
}

/// Reads a body: of a call that is served, or of an answer. Dropping it throws the rest away; of an answer that has not ended it
/// cancels the call.
#[derive(Debug)]
pub struct BodyReader {
    link: Option<Arc<Link>>,
    id: u64,
    is_answer: bool,
    current: Bytes,
    patience: Patience,
}

impl BodyReader {
    /// A body that is here already.
    pub(super) fn whole(body: Bytes) -> Self {
        BodyReader {
            link: None,
            id: 0,
            is_answer: false,
            current: body,
            patience: Patience::default(),
        }
    }

    /// A body that comes in pieces, into an inflow that is there.
    pub(super) fn flowing(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyReader {
            link: Some(link),
            id,
            is_answer,
            current: Bytes::new(),
            patience: Patience::default(),
        }
    }

    /// Waits no longer than this for a piece.
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience.limit = Some(patience);
        self
    }

    /// The rest of the body.
    ///
    /// # Errors
    /// [`RpcError`] of the call; [`RpcError::TooLarge`] if it is longer than `max` bytes.
    ///
    /// # Cancel safety
    /// The reader is gone, as if it had been dropped.
    pub async fn read_whole(mut self, max: usize) -> Result<Bytes, RpcError> {
        if self.link.is_none() && self.current.len() <= max {
            return Ok(std::mem::take(&mut self.current));
        }
        let mut whole = Vec::new();
        while let Some(piece) = self.next_piece().await? {
            if whole.len() + piece.len() > max {
                let maybe_executed = self.is_answer;
                return Err(RpcError::TooLarge {
                    max,
                    maybe_executed,
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }

    /// The next piece as it came; `None` at the end.
    ///
    /// # Errors
    /// [`RpcError`] of the call.
    ///
    /// # Cancel safety
    /// Nothing is taken.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, RpcError> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RpcError>> {
        if !self.current.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.current))));
        }
        let Some(link) = &self.link else {
            return Poll::Ready(Ok(None));
        };
        let mut state = link.lock();
        let Some(inflow) = state.core.inflows.get_mut(&self.id) else {
            return Poll::Ready(Ok(None));
        };
        match inflow.next() {
            Next::Piece(piece, counted) => {
                drop(state);
                let id = self.id;
                link.with(|core, _| core.session.consumed(id, counted));
                self.patience.renew();
                Poll::Ready(Ok(Some(piece)))
            }
            Next::End(how) => Poll::Ready(how.map(|()| None)),
            Next::Wait => {
                state.on_reader_waits(self.id, cx);
                drop(state);
                if self.patience.poll(cx) {
                    return Poll::Ready(Err(out_of_patience()));
                }
                Poll::Pending
            }
        }
    }
}

/// The other side has not gone on with a body for too long.
fn out_of_patience() -> RpcError {
    RpcError::Deadline {
        maybe_executed: true,
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.current.is_empty() {
            let next = ready!(self.poll_piece(cx)).map_err(io::Error::other)?;
            self.current = next.unwrap_or_default();
        }
        let len = self.current.len().min(buf.remaining());
        buf.put_slice(&self.current.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else {
            return;
        };
        let (id, is_answer) = (self.id, self.is_answer);
        link.lock().on_reader_leaves(id);
        link.with(|core, _| core.on_reader_gone(id, is_answer));
    }
}

/// Writes a body: of a call, or of an answer. [`BodyWriter::finish`] (or `shutdown`) ends it; dropping it before gives the call up.
#[derive(Debug)]
pub struct BodyWriter {
    link: Arc<Link>,
    id: u64,
    is_answer: bool,
    is_finished: bool,
    patience: Patience,
}

impl BodyWriter {
    pub(super) fn new(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyWriter {
            link,
            id,
            is_answer,
            is_finished: false,
            patience: Patience::default(),
        }
    }

    /// Waits no longer than this for room.
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience.limit = Some(patience);
        self
    }

    /// Hands over more of the body; waits while the other side reads slower than this one writes.
    ///
    /// # Errors
    /// `BrokenPipe` if nobody wants the body any more: the reader of the answer says why.
    ///
    /// # Cancel safety
    /// A part of it may have been handed over.
    pub async fn send(&mut self, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            let room = poll_fn(|cx| self.poll_room(cx)).await?;
            let piece = data.split_to(data.len().min(room));
            self.push(piece);
        }
        Ok(())
    }

    /// The body is complete.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.is_finished, true) {
            let id = self.id;
            self.link.with(|core, _| core.session.end_body(id));
        }
    }

    fn push(&mut self, piece: Bytes) {
        let id = self.id;
        self.link.with(|core, _| core.session.push_body(id, piece));
        self.patience.renew();
    }

    /// How many bytes may be handed over, at least one.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.link.lock();
        match state.core.session.body_room(self.id) {
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(0) => {
                state.on_writer_waits(self.id, cx);
                drop(state);
                if self.patience.poll(cx) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Poll::Pending
            }
            Some(room) => Poll::Ready(Ok(room)),
        }
    }
}

impl AsyncWrite for BodyWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(cx))?;
        let piece = Bytes::copy_from_slice(&data[..data.len().min(room)]);
        let len = piece.len();
        self.push(piece);
        Poll::Ready(Ok(len))
    }

    /// Nothing to do: whatever was taken leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The body is complete.
    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        let (id, is_answer) = (self.id, self.is_answer);
        self.link.lock().on_writer_leaves(id);
        if !self.is_finished {
            self.link.with(|core, _| core.on_writer_gone(id, is_answer));
        }
    }
}
