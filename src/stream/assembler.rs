//! Segments in any order become bytes in order, within fixed memory (RFC 9293 s3.10.7.4).
//!
//! ```text
//!   read_offset        rcv_nxt                       highest        limit
//!       |   unread        |  gap  |  held  |  gap  |  held |          |
//! ```
//!
//! What was taken is kept until it is read, so it may be acknowledged at once: there is no reneging. The
//! first copy of a byte wins; a later one with other contents changes nothing. Memory is bounded by the
//! window whatever the peer does: see [`Assembler::memory`].
//!
//! Bytes are copied to their place in tiles; but those of a large train of datagrams in order stay in the slab
//! where they were received, until they are read.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::{CHUNK_BYTES, GAPS_MAX};
use crate::range_set::RangeSet;
use crate::stream::linked::{KEPT_MIN, Linked};
use crate::stream::tiles::Tiles;
use crate::wire::{Offset, Slab};

/// The most that a read copies into memory of its own: an allocator keeps pieces of this size at hand, and gives
/// larger ones back to the system each time.
const COPIED_MAX: usize = 64 << 10;

/// The receiving half's bytes.
///
/// ```
/// use aqueduct::stream::Assembler;
/// use aqueduct::wire::Offset;
///
/// let limit = Offset::new(100);
/// let mut assembler = Assembler::new();
/// let late = assembler.insert(Offset::new(5), b" world", limit)?;
/// assert!(late.out_of_order);
/// let first = assembler.insert(Offset::ZERO, b"hello", limit)?;
/// assert!(first.filled_gap);
/// assert_eq!(first.advanced, 11);
///
/// let mut buf = [0; 16];
/// let len = assembler.read(&mut buf);
/// assert_eq!(&buf[..len], b"hello world");
/// # Ok::<(), aqueduct::stream::AssemblerError>(())
/// ```
#[derive(Debug, Default)]
pub struct Assembler {
    tiles: Tiles,
    linked: Linked,
    read_offset: Offset,
    rcv_nxt: Offset,
    /// What was received beyond the first gap: each range stands behind one gap.
    early: RangeSet,
}

/// What an accepted segment did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Inserted {
    /// Bytes of it that were new.
    pub new: usize,
    /// Bytes by which the in-order stream grew.
    pub advanced: usize,
    /// It closed a gap, wholly or in part, that stood before it came.
    pub filled_gap: bool,
    /// It began beyond the first byte that was missing, new or not.
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

    /// The segments that are inserted from now on, until [`Assembler::end_train`], lie in this slab, of which `len`
    /// bytes were received. If they are many they stay there, instead of being copied.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use aqueduct::limits::SLAB_BYTES;
    /// use aqueduct::stream::Assembler;
    /// use aqueduct::wire::{Offset, Slab};
    ///
    /// let mut slab = Slab::new();
    /// slab.space().fill(7);
    /// let slab = Arc::new(slab);
    /// let mut assembler = Assembler::new();
    /// assembler.begin_train(&slab, SLAB_BYTES);
    /// let segment = &(*slab).as_ref()[32..];
    /// assembler.insert(Offset::ZERO, segment, Offset::new(1 << 20))?;
    /// assembler.end_train();
    /// assert_eq!(Arc::strong_count(&slab), 2, "nothing was copied yet");
    ///
    /// let mut buf = vec![0; SLAB_BYTES];
    /// assert_eq!(assembler.read(&mut buf), segment.len());
    /// assert_eq!(Arc::strong_count(&slab), 1);
    /// # Ok::<(), aqueduct::stream::AssemblerError>(())
    /// ```
    pub fn begin_train(&mut self, slab: &Arc<Slab>, len: usize) {
        if len >= KEPT_MIN {
            self.linked.begin(slab);
        }
    }

    /// What comes next lies elsewhere. A slab of which this stream has less than half is given back, its bytes are
    /// copied.
    pub fn end_train(&mut self) {
        let tiles = &mut self.tiles;
        self.linked.end(|at, data| tiles.write(at, data));
    }

    /// Takes a segment that ends at or below `limit` (the right edge). First copy of a byte wins.
    ///
    /// An empty segment changes nothing, wherever it stands.
    ///
    /// # Errors
    /// See [`AssemblerError`]; the segment is then untouched.
    pub fn insert(
        &mut self,
        at: Offset,
        data: &[u8],
        limit: Offset,
    ) -> Result<Inserted, AssemblerError> {
        if data.is_empty() {
            return Ok(Inserted::default());
        }
        let end = at.plus_len(data.len());
        if end > limit || end == Offset::MAX {
            return Err(AssemblerError::BeyondWindow);
        }
        if at > self.rcv_nxt {
            return self.insert_early(at, data, end);
        }
        let known = self.rcv_nxt.len_since(at);
        if known >= data.len() {
            return Ok(Inserted::default());
        }
        Ok(self.insert_next(&data[known..], end))
    }

    /// Takes bytes that begin at `rcv_nxt`.
    fn insert_next(&mut self, data: &[u8], end: Offset) -> Inserted {
        let start = self.rcv_nxt;
        if self.early.is_empty() {
            if !self.linked.keep(start, data) {
                self.tiles.write(start, data);
            }
            self.rcv_nxt = end;
            return Inserted {
                new: data.len(),
                advanced: data.len(),
                ..Inserted::default()
            };
        }
        let new = self.write_missing(start, data, end);
        self.rcv_nxt = end;
        while let Some(range) = self
            .early
            .first()
            .filter(|range| range.start <= self.rcv_nxt.get())
        {
            self.rcv_nxt = self.rcv_nxt.max(Offset::new(range.end));
            self.early.pop_first();
        }
        let advanced = self.rcv_nxt.len_since(start);
        Inserted {
            new,
            advanced,
            filled_gap: true,
            out_of_order: false,
        }
    }

    /// Takes bytes that begin beyond `rcv_nxt`.
    fn insert_early(
        &mut self,
        at: Offset,
        data: &[u8],
        end: Offset,
    ) -> Result<Inserted, AssemblerError> {
        let range = at.get()..end.get();
        if self.early.len() >= GAPS_MAX && !self.early.touches(&range) {
            return Err(AssemblerError::TooManyGaps);
        }
        let below_highest = range.start..range.end.min(self.highest().get());
        let filled_gap = self.early.missing(below_highest).next().is_some();
        let new = self.write_missing(at, data, end);
        self.early.insert(range);
        Ok(Inserted {
            new,
            advanced: 0,
            filled_gap,
            out_of_order: true,
        })
    }

    /// Writes what of `data` was not received before; how many bytes.
    fn write_missing(&mut self, at: Offset, data: &[u8], end: Offset) -> usize {
        let mut new = 0;
        for hole in self.early.missing(at.get()..end.get()) {
            let (from, to) = (Offset::new(hole.start), Offset::new(hole.end));
            self.tiles
                .write(from, &data[from.len_since(at)..to.len_since(at)]);
            new += to.len_since(from);
        }
        new
    }

    /// Copies in-order bytes out; how many.
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        let len = self.peek(buf);
        self.consume(len);
        len
    }

    /// At most `max` in-order bytes, and at most 64 KiB, in memory of their own; fewer if those behind them can be
    /// lent.
    pub fn read_bytes(&mut self, max: usize) -> Bytes {
        let start = self.read_offset;
        let end = start.plus_len(max.min(self.unread()).min(COPIED_MAX));
        let end = self.linked.next_lendable(start, end).unwrap_or(end);
        let len = end.len_since(start);
        let mut bytes = Vec::with_capacity(len);
        let tiles = &self.tiles;
        self.linked.walk(
            start,
            end,
            &mut bytes,
            |bytes, part| bytes.extend_from_slice(part),
            |bytes, from, to| tiles.append_to(from, to.len_since(from), bytes),
        );
        self.consume(len);
        bytes.into()
    }

    /// At most `max` in-order bytes where they were received, if the next piece there is large enough. `share` makes
    /// `Bytes` of a slab; slices of them are handed out until all of the slab is read.
    pub fn lend(&mut self, max: usize, share: impl FnOnce(Arc<Slab>) -> Bytes) -> Option<Bytes> {
        let bytes = self.linked.lend(self.read_offset, max, share)?;
        self.consume(bytes.len());
        Some(bytes)
    }

    /// Copies in-order bytes out and leaves them in place; how many.
    pub fn peek(&self, buf: &mut [u8]) -> usize {
        let len = buf.len().min(self.unread());
        let (start, tiles) = (self.read_offset, &self.tiles);
        self.linked.walk(
            start,
            start.plus_len(len),
            &mut &mut buf[..len],
            |rest, part| fill(rest, part.len(), |to| to.copy_from_slice(part)),
            |rest, from, to| {
                fill(rest, to.len_since(from), |buf| tiles.copy_to(from, buf));
            },
        );
        len
    }

    /// Throws the in-order bytes away; how many.
    pub fn discard(&mut self) -> usize {
        let len = self.unread();
        self.consume(len);
        len
    }

    /// Throws away everything that was received and not read, and gives its memory back: the connection is given up.
    pub fn clear(&mut self) {
        self.read_offset = self.rcv_nxt;
        self.early = RangeSet::new();
        self.tiles.clear(self.read_offset);
        self.linked.clear();
    }

    /// The next `len` in-order bytes are read: their memory is free.
    fn consume(&mut self, len: usize) {
        self.read_offset = self.read_offset.plus_len(len);
        self.linked.release_below(self.read_offset);
        if self.read_offset == self.highest() {
            self.tiles.release_all(self.read_offset);
            self.early.shrink();
        } else {
            self.tiles.release_below(self.read_offset);
        }
    }

    /// The first byte that is missing.
    pub fn rcv_nxt(&self) -> Offset {
        self.rcv_nxt
    }

    /// The first byte that the application has not read.
    pub fn read_offset(&self) -> Offset {
        self.read_offset
    }

    /// In-order bytes that wait for the application.
    pub fn unread(&self) -> usize {
        self.rcv_nxt.len_since(self.read_offset)
    }

    /// Gaps in what was received.
    pub fn gaps(&self) -> usize {
        self.early.len()
    }

    /// One past the highest byte received, in order or not.
    pub fn highest(&self) -> Offset {
        self.early
            .last()
            .map_or(self.rcv_nxt, |range| Offset::new(range.end))
    }

    /// Bytes of memory held.
    ///
    /// With segments that end within a window of `w` bytes beyond what was read, at most `w` and two chunks
    /// for data, and for order 16 bytes per gap, 16 per chunk and 256: 279 KiB for a window of 256 KiB. Where trains
    /// stay in their slabs, at most twice the window and a slab more.
    pub fn memory(&self) -> usize {
        self.tiles.memory() + self.early.memory() + self.linked.memory()
    }

    /// Bytes of memory that the next segment may take beside its own length.
    pub fn room_for_next(&self) -> usize {
        2 * CHUNK_BYTES + self.linked.room_for_next()
    }

    /// Gives back the memory that no byte needs; for a connection that has been quiet for a while.
    ///
    /// Until then up to 1 MiB that held data stays for the next data: a stream that flows does not allocate.
    pub fn shrink(&mut self) {
        self.tiles.shrink();
        self.early.shrink();
        self.linked.shrink();
    }

    /// Checks what must hold between any two calls.
    #[cfg(test)]
    pub(super) fn invariants(&self) {
        self.tiles.invariants(self.read_offset);
        self.linked.invariants(self.read_offset, self.rcv_nxt);
        self.early.invariants();
        assert!(
            self.read_offset <= self.rcv_nxt,
            "read what was not received"
        );
        assert!(self.gaps() <= GAPS_MAX, "more gaps than allowed");
        if let Some(first) = self.early.first() {
            assert!(
                first.start > self.rcv_nxt.get(),
                "no gap before what came early"
            );
        }
    }
}

/// Has the first `len` bytes of a buffer filled, and leaves the rest.
fn fill(rest: &mut &mut [u8], len: usize, write: impl FnOnce(&mut [u8])) {
    let (now, later) = std::mem::take(rest).split_at_mut(len);
    write(now);
    *rest = later;
}

#[cfg(test)]
mod tests;
