//! Segments in any order become bytes in order, within fixed memory (RFC 9293 s3.10.7.4).

use crate::wire::Offset;

/// The receiving half's bytes.
#[derive(Debug, Default)]
pub struct Assembler {}

/// What an accepted segment did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Inserted {
    /// Bytes of it that were new.
    pub new: usize,
    /// Bytes by which the in-order stream grew.
    pub advanced: usize,
    /// It closed a gap, wholly or in part, that stood before it came.
    pub filled_gap: bool,
    /// It left a gap before it.
    pub out_of_order: bool,
}

/// Why a segment was not taken; nothing has changed, and its packet must not be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblerError {
    /// It would make one more gap than `GAPS_MAX`.
    #[error("too many gaps in the received stream")]
    TooManyGaps,
    /// It reaches beyond the limit that the peer was given.
    #[error("data beyond the advertised window")]
    BeyondWindow,
}

impl Assembler {
    /// An empty one; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }
    /// Takes a segment that ends at or below `limit` (the right edge). First copy of a byte wins.
    ///
    /// # Errors
    /// See [`AssemblerError`]; the segment is then untouched.
    pub fn insert(
        &mut self,
        _at: Offset,
        _data: &[u8],
        _limit: Offset,
    ) -> Result<Inserted, AssemblerError> {
        todo!()
    }
    /// Copies in-order bytes out; how many.
    pub fn read(&mut self, _buf: &mut [u8]) -> usize {
        todo!()
    }
    /// Copies in-order bytes out and leaves them in place; how many.
    pub fn peek(&self, _buf: &mut [u8]) -> usize {
        todo!()
    }
    /// Throws the in-order bytes away; how many.
    pub fn discard(&mut self) -> usize {
        todo!()
    }
    /// The first byte that is missing.
    pub fn rcv_nxt(&self) -> Offset {
        todo!()
    }
    /// The first byte that the application has not read.
    pub fn read_offset(&self) -> Offset {
        todo!()
    }
    /// In-order bytes that wait for the application.
    pub fn unread(&self) -> usize {
        todo!()
    }
    /// Gaps in what was received.
    pub fn gaps(&self) -> usize {
        todo!()
    }
    /// One past the highest byte received, in order or not.
    pub fn highest(&self) -> Offset {
        todo!()
    }
    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        todo!()
    }
}
