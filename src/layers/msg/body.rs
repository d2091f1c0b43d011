//! Bodies that are read and written piece by piece.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::error::{RpcError, Status, code};
use super::flow::CHUNK_BYTES;
use super::link::{Core, Link};
use crate::runtime;

/// A body as it comes, until somebody reads it. Its window bounds what lies here.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    /// Two that are neighbours have more than a chunk together, however short the pieces are that come.
    pub(super) pieces: VecDeque<BytesMut>,
    end: Option<Result<(), RpcError>>,
    /// Bytes of the first frame, for which no window is to be moved.
    inline: usize,
}

impl Inflow {
    pub(super) fn begun(first: Bytes) -> Self {
        let mut inflow = Inflow::default();
        inflow.push_inline(first);
        inflow
    }

    /// More, against the window.
    pub(super) fn push(&mut self, data: Bytes) {
        self.push_piece(data);
    }

    /// What stands in the first frame, which no window counts.
    pub(super) fn push_inline(&mut self, data: Bytes) {
        self.inline += data.len();
        self.push_piece(data);
    }

    fn push_piece(&mut self, data: Bytes) {
        match self.pieces.back_mut() {
            _ if data.is_empty() => {}
            Some(last) if last.len() + data.len() <= CHUNK_BYTES => last.extend_from_slice(&data),
            _ => self.pieces.push_back(data.into()),
        }
    }

    /// Bytes of windows that nobody has read.
    fn unread(&self) -> usize {
        let held: usize = self.pieces.iter().map(BytesMut::len).sum();
        held.saturating_sub(self.inline)
    }

    /// No more comes; the first end counts.
    pub(super) fn end(&mut self, how: Result<(), RpcError>) {
        self.end.get_or_insert(how);
    }
}

impl Core {
    /// Nobody reads the body any more: its bytes count as read. Whether it had ended; `None` if there is none.
    pub(super) fn throw_away(&mut self, id: u64) -> Option<bool> {
        let inflow = self.inflows.remove(&id)?;
        self.session.consumed(id, inflow.unread());
        Some(inflow.end.is_some())
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
    /// How long to wait for the next piece; `None`: as long as the call lasts.
    patience: Option<Duration>,
}

impl BodyReader {
    /// A body that is here already.
    pub(super) fn whole(body: Bytes) -> Self {
        BodyReader {
            link: None,
            id: 0,
            is_answer: false,
            current: body,
            patience: None,
        }
    }

    /// A body that comes in pieces, into an [`Inflow`] that is there.
    pub(super) fn flowing(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyReader {
            link: Some(link),
            id,
            is_answer,
            current: Bytes::new(),
            patience: None,
        }
    }

    /// Waits no longer than this for a piece.
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The rest of the body.
    ///
    /// # Errors
    /// [`RpcError`] of the call; [`RpcError::TooLarge`] if it is longer than `max` bytes.
    pub fn read_whole(mut self, max: usize) -> Result<Bytes, RpcError> {
        if self.link.is_none() && self.current.len() <= max {
            return Ok(std::mem::take(&mut self.current));
        }
        let mut whole = Vec::new();
        while let Some(piece) = self.next_piece()? {
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
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, RpcError> {
        if !self.current.is_empty() {
            return Ok(Some(std::mem::take(&mut self.current)));
        }
        let Some(link) = &self.link else {
            return Ok(None);
        };
        let until = self.patience.map(|patience| runtime::now() + patience);
        let mut core = link.lock();
        loop {
            let Some(inflow) = core.inflows.get_mut(&self.id) else {
                return Ok(None);
            };
            if let Some(piece) = inflow.pieces.pop_front() {
                let counted = piece.len() - inflow.inline.min(piece.len());
                inflow.inline -= inflow.inline.min(piece.len());
                drop(core);
                let id = self.id;
                link.with(|core, _| core.session.consumed(id, counted));
                return Ok(Some(piece.freeze()));
            }
            match &inflow.end {
                Some(Ok(())) => return Ok(None),
                Some(Err(error)) => return Err(error.clone()),
                None => core = link.wait_until(core, until).ok_or_else(out_of_patience)?,
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

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            let next = self.next_piece().map_err(io::Error::other)?;
            self.current = next.unwrap_or_default();
        }
        let len = self.current.len().min(buf.len());
        self.current.copy_to_slice(&mut buf[..len]);
        Ok(len)
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else {
            return;
        };
        let (id, is_answer) = (self.id, self.is_answer);
        link.with(|core, _| {
            let has_ended = core.throw_away(id);
            if is_answer && has_ended == Some(false) {
                core.session.cancel(id);
            }
        });
    }
}

/// Writes a body: of a call, or of an answer. [`BodyWriter::finish`] ends it; dropping it before gives the call up.
#[derive(Debug)]
pub struct BodyWriter {
    link: Arc<Link>,
    id: u64,
    is_answer: bool,
    is_finished: bool,
    /// How long to wait for room; `None`: as long as the call lasts.
    patience: Option<Duration>,
}

impl BodyWriter {
    pub(super) fn new(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyWriter {
            link,
            id,
            is_answer,
            is_finished: false,
            patience: None,
        }
    }

    /// Waits no longer than this for room.
    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The body is complete.
    pub fn finish(mut self) {
        self.is_finished = true;
        let id = self.id;
        self.link.with(|core, _| core.session.end_body(id));
    }
}

impl Write for BodyWriter {
    /// Waits while the other side reads slower than this one writes.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let until = self.patience.map(|patience| runtime::now() + patience);
        let mut core = self.link.lock();
        loop {
            match core.session.body_room(self.id) {
                None => return Err(io::ErrorKind::BrokenPipe.into()),
                Some(0) => {
                    let waited = self.link.wait_until(core, until);
                    core = waited.ok_or(io::ErrorKind::TimedOut)?;
                }
                Some(room) => {
                    let data = Bytes::copy_from_slice(&data[..data.len().min(room)]);
                    let (id, len) = (self.id, data.len());
                    drop(core);
                    self.link.with(|core, _| core.session.push_body(id, data));
                    return Ok(len);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        let (id, is_answer) = (self.id, self.is_answer);
        self.link.with(|core, _| {
            if is_answer {
                core.refuse(
                    id,
                    &Status::new(code::PANICKED, "the handler gave up in the middle"),
                );
            } else {
                core.session.cancel(id);
                if let Some(inflow) = core.inflows.get_mut(&id) {
                    inflow.end(Err(RpcError::Cancelled {
                        maybe_executed: true,
                    }));
                }
            }
        });
    }
}
