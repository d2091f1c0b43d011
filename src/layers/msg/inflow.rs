//! [`Inflow`]: a body as it comes, until somebody reads it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::error::RpcError;
use super::flow::CHUNK_BYTES;

/// A body as it comes, until somebody reads it. Its window bounds what lies here.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    /// Two that are neighbours have more than a chunk together, however short the pieces are that come.
    pub(super) pieces: VecDeque<BytesMut>,
    end: Option<Result<(), RpcError>>,
    /// Bytes of the first frame, for which no window is to be moved.
    inline: usize,
}

/// What a reader of a body finds.
pub(super) enum Next {
    /// Bytes, and how many of them count for the windows.
    Piece(Bytes, usize),
    /// The body is complete, or will never be.
    End(Result<(), RpcError>),
    /// Nothing yet.
    Wait,
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

    /// Takes the next piece.
    pub(super) fn next(&mut self) -> Next {
        if let Some(piece) = self.pieces.pop_front() {
            let uncounted = self.inline.min(piece.len());
            self.inline -= uncounted;
            let counted = piece.len() - uncounted;
            return Next::Piece(piece.freeze(), counted);
        }
        self.end.clone().map_or(Next::Wait, Next::End)
    }

    /// Whether a reader need not wait.
    #[cfg(feature = "tokio")]
    pub(super) fn is_readable(&self) -> bool {
        !self.pieces.is_empty() || self.end.is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Bytes of windows that nobody has read.
    pub(super) fn unread(&self) -> usize {
        let held: usize = self.pieces.iter().map(BytesMut::len).sum();
        held.saturating_sub(self.inline)
    }

    /// No more comes; the first end counts.
    pub(super) fn end(&mut self, how: Result<(), RpcError>) {
        self.end.get_or_insert(how);
    }
}
