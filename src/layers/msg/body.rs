//! Bodies that are read and written piece by piece.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::error::RpcError;
use super::inflow::Next;
use super::link::Link;
use crate::runtime;

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
            match inflow.next() {
                Next::Piece(piece, counted) => {
                    drop(core);
                    let id = self.id;
                    link.with(|core, _| core.session.consumed(id, counted));
                    return Ok(Some(piece));
                }
                Next::End(how) => return how.map(|()| None),
                Next::Wait => core = link.wait_until(core, until).ok_or_else(out_of_patience)?,
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
        link.with(|core, _| core.on_reader_gone(id, is_answer));
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
        self.link.with(|core, _| core.on_writer_gone(id, is_answer));
    }
}
