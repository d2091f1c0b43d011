//! Memory for received bytes: chunks of fixed size that tile the stream.
//!
//! ```text
//!   offset   0         2048      4096      6144      8192
//!            |----------|---------|---------|---------|
//!                 read      held     absent     held
//!                       ^ base, front of `chunks`
//! ```
//!
//! Byte `n` of the stream has its place in chunk `n / CHUNK_BYTES` and nowhere else. So whatever the order,
//! size and overlap of the segments, the chunks held are at most those that the window touches.

use std::collections::VecDeque;
use std::fmt;

use crate::limits::CHUNK_BYTES;
use crate::wire::Offset;

/// Free chunks that are kept for the data to come in any case: as much as one receive call can deliver (64 KiB).
///
/// A reader that keeps up empties all chunks after each batch. To allocate them anew each time would
/// treble the cost of a segment (180 instead of 64 ns, measured). [`Tiles::shrink`] gives them back.
const SPARE_MIN: usize = 32;
/// The most that are kept, where more were held at one time: the window on one machine (1 MiB). A reader there finds
/// 160 KiB at a time, and allocating them took a tenth of the receiver's time.
const SPARE_MAX: usize = 512;

type Chunk = Box<[u8; CHUNK_BYTES]>;

/// The chunks of one stream, from the first that holds unread bytes.
#[derive(Default)]
pub(super) struct Tiles {
    /// Where the first chunk begins; a multiple of `CHUNK_BYTES`.
    base: Offset,
    chunks: VecDeque<Option<Chunk>>,
    /// Chunks in `chunks`.
    held: usize,
    /// The most that `held` was since the memory was given back.
    held_max: usize,
    spare: Vec<Chunk>,
}

impl Tiles {
    /// Puts bytes in their place, which is not below `base`.
    pub(super) fn write(&mut self, at: Offset, mut data: &[u8]) {
        debug_assert!(at >= self.base, "written below what was read");
        let distance = at.len_since(self.base);
        let mut index = distance / CHUNK_BYTES;
        let mut from = distance % CHUNK_BYTES;
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(CHUNK_BYTES - from));
            self.chunk_mut(index)[from..from + now.len()].copy_from_slice(now);
            data = later;
            from = 0;
            index += 1;
        }
    }

    /// The chunk at this place, made when it is first touched.
    fn chunk_mut(&mut self, index: usize) -> &mut [u8; CHUNK_BYTES] {
        if self.chunks.len() <= index {
            self.chunks.resize_with(index + 1, || None);
        }
        let (held, spare) = (&mut self.held, &mut self.spare);
        let held_max = &mut self.held_max;
        self.chunks[index].get_or_insert_with(|| {
            *held += 1;
            *held_max = (*held_max).max(*held);
            spare.pop().unwrap_or_else(|| Box::new([0; CHUNK_BYTES]))
        })
    }

    /// Copies bytes that were written out again; they stay.
    pub(super) fn copy_to(&self, from: Offset, buf: &mut [u8]) {
        let mut at = 0;
        for part in self.slices(from, buf.len()) {
            buf[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// Appends `len` bytes that were written; they stay.
    pub(super) fn append_to(&self, from: Offset, len: usize, buf: &mut Vec<u8>) {
        for part in self.slices(from, len) {
            buf.extend_from_slice(part);
        }
    }

    /// The `len` bytes from an offset on, chunk by chunk.
    fn slices(&self, from: Offset, len: usize) -> impl Iterator<Item = &[u8]> {
        let distance = from.len_since(self.base);
        let mut index = distance / CHUNK_BYTES;
        let mut at = distance % CHUNK_BYTES;
        let mut left = len;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let chunk = self.chunks.get(index).and_then(Option::as_deref);
            let chunk = chunk.expect("bytes are read only after they were written");
            let part = &chunk[at..CHUNK_BYTES.min(at + left)];
            (index, at, left) = (index + 1, 0, left - part.len());
            Some(part)
        })
    }

    /// Everything below `offset` was read: those chunks are free.
    pub(super) fn release_below(&mut self, offset: Offset) {
        while offset.len_since(self.base) >= CHUNK_BYTES {
            self.pop_front();
            self.base = self.base.plus_len(CHUNK_BYTES);
        }
    }

    /// Everything that was written lies below `offset` and was read: all chunks are free.
    pub(super) fn release_all(&mut self, offset: Offset) {
        self.release_below(offset);
        self.pop_front();
        debug_assert!(self.chunks.is_empty(), "a chunk above all that was written");
    }

    /// Everything is thrown away; the next byte to be written is at `offset` or above.
    pub(super) fn clear(&mut self, offset: Offset) {
        let below = offset.len_since(Offset::ZERO) / CHUNK_BYTES * CHUNK_BYTES;
        *self = Tiles {
            base: Offset::ZERO.plus_len(below),
            ..Tiles::default()
        };
    }

    fn pop_front(&mut self) {
        if let Some(chunk) = self.chunks.pop_front().flatten() {
            self.held -= 1;
            if self.spare.len() < self.spare_max() {
                self.spare.push(chunk);
            }
        }
    }

    /// How many free chunks are kept: seven eighths of those that were needed at one time, within bounds.
    fn spare_max(&self) -> usize {
        (self.held_max - self.held_max / 8).clamp(SPARE_MIN, SPARE_MAX)
    }

    /// Gives back all memory that no byte needs.
    pub(super) fn shrink(&mut self) {
        self.spare = Vec::new();
        self.held_max = self.held;
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Checks what must hold between any two calls; everything below `read_offset` was read.
    #[cfg(test)]
    pub(super) fn invariants(&self, read_offset: Offset) {
        assert!(self.base <= read_offset, "unread bytes were released");
        assert!(
            read_offset.len_since(self.base) < CHUNK_BYTES,
            "a chunk was read and not released"
        );
        assert_eq!(
            self.base.len_since(Offset::ZERO) % CHUNK_BYTES,
            0,
            "a chunk begins off the grid"
        );
        assert_eq!(
            self.held,
            self.chunks.iter().flatten().count(),
            "chunks miscounted"
        );
        assert!(
            self.spare.len() <= SPARE_MAX,
            "more spare chunks than allowed"
        );
        assert!(
            self.chunks.back().is_none_or(Option::is_some),
            "the last chunk is absent"
        );
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        (self.held + self.spare.len()) * CHUNK_BYTES
            + self.chunks.capacity() * size_of::<Option<Chunk>>()
            + self.spare.capacity() * size_of::<Chunk>()
    }
}

impl fmt::Debug for Tiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiles")
            .field("base", &self.base)
            .field("held", &self.held)
            .field("spare", &self.spare.len())
            .finish_non_exhaustive()
    }
}
