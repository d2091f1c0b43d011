//! Bodies that are read and written piece by piece.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::error::{RpcError, Status, code};
use super::link::Link;

/// A body as it comes, until somebody reads it. Its window bounds what lies here.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    pieces: VecDeque<Bytes>,
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
        if !data.is_empty() {
            self.pieces.push_back(data);
        }
    }

    /// No more comes; the first end counts.
    pub(super) fn end(&mut self, how: Result<(), RpcError>) {
        self.end.get_or_insert(how);
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
}

impl BodyReader {
    /// A body that is here already.
    pub(super) fn whole(body: Bytes) -> Self {
        BodyReader {
            link: None,
            id: 0,
            is_answer: false,
            current: body,
        }
    }

    /// A body that comes in pieces, into an [`Inflow`] that is there.
    pub(super) fn flowing(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyReader {
            link: Some(link),
            id,
            is_answer,
            current: Bytes::new(),
        }
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
                return Ok(Some(piece));
            }
            match &inflow.end {
                Some(Ok(())) => return Ok(None),
                Some(Err(error)) => return Err(error.clone()),
                None => core = link.wait(core),
            }
        }
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
            let Some(inflow) = core.inflows.remove(&id) else {
                return;
            };
            let left: usize = inflow.pieces.iter().map(Bytes::len).sum();
            core.session
                .consumed(id, left.saturating_sub(inflow.inline));
            if is_answer && inflow.end.is_none() {
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
}

impl BodyWriter {
    pub(super) fn new(link: Arc<Link>, id: u64, is_answer: bool) -> Self {
        BodyWriter {
            link,
            id,
            is_answer,
            is_finished: false,
        }
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
        let mut core = self.link.lock();
        loop {
            match core.session.body_room(self.id) {
                None => return Err(io::ErrorKind::BrokenPipe.into()),
                Some(0) => core = self.link.wait(core),
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
