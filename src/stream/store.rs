//! The bytes of a stream between two offsets: copied into a ring, or linked where the caller had them.
//!
//! ```text
//!   first                                              end
//!     | copied | linked      | copied | linked | copied |
//!     pieces, each with its start; none while all is copied
//! ```
//!
//! A linked piece is charged with the whole slice that the caller handed over, until its last byte is gone:
//! so long the caller's memory is pinned, whatever part of it was acknowledged.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::len_u64;

/// Shorter slices are copied: to keep them would cost more than the copy.
const LINKED_MIN: usize = 2_048;

/// The bytes, in order.
#[derive(Default)]
pub(super) struct Store {
    /// All copied bytes, of whatever piece.
    ring: VecDeque<u8>,
    /// Which bytes are where; none while all of them are in the ring.
    pieces: VecDeque<Piece>,
    /// The position of the first byte, and of the first byte of the ring among all that were ever copied.
    first: u64,
    ring_first: u64,
    /// Bytes that the store holds.
    len: usize,
    /// Bytes of the slices that linked pieces pin.
    pinned: usize,
}

/// Bytes that stand together; they end where the next piece begins.
struct Piece {
    start: u64,
    place: Place,
}

enum Place {
    /// In the ring, from this one of all the bytes ever copied on.
    Ring(u64),
    Linked(Bytes),
}

impl Store {
    /// Copies bytes to the end; makes room for `room` bytes first, if there is less.
    pub(super) fn copy(&mut self, data: &[u8], room: usize) {
        if data.is_empty() {
            return;
        }
        if room > self.ring.capacity() {
            self.ring.reserve_exact(room - self.ring.len());
        }
        let follows_linked = matches!(
            self.pieces.back(),
            Some(Piece {
                place: Place::Linked(_),
                ..
            })
        );
        if follows_linked {
            let place = Place::Ring(self.ring_first + len_u64(self.ring.len()));
            self.append(place);
        }
        self.ring.extend(data);
        self.len += data.len();
    }

    /// Whether a slice of this length is worth to be linked.
    pub(super) fn links(len: usize) -> bool {
        len >= LINKED_MIN
    }

    /// Takes a slice to the end as it is.
    pub(super) fn link(&mut self, data: Bytes) {
        if self.pieces.is_empty() && self.len > 0 {
            self.pieces.push_back(Piece {
                start: self.first,
                place: Place::Ring(self.ring_first),
            });
        }
        let len = data.len();
        self.append(Place::Linked(data));
        self.len += len;
        self.pinned += len;
    }

    fn append(&mut self, place: Place) {
        let start = self.first + len_u64(self.len);
        self.pieces.push_back(Piece { start, place });
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that the ring has memory for.
    pub(super) fn ring_capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Copied bytes that are held.
    pub(super) fn ring_len(&self) -> usize {
        self.ring.len()
    }

    /// Bytes of the callers' memory that are pinned.
    pub(super) fn pinned(&self) -> usize {
        self.pinned
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.ring.capacity() + self.pinned + self.pieces.capacity() * size_of::<Piece>()
    }

    /// The bytes `from..to`, counted from the first, slice by slice.
    pub(super) fn slices(&self, from: usize, to: usize) -> impl Iterator<Item = &[u8]> {
        let position = self.first + len_u64(from);
        let next = self.pieces.partition_point(|piece| piece.start <= position);
        // The piece that holds a byte is the one before the first that begins behind it.
        let (mut at, mut index) = (from, next);
        let mut back: &[u8] = &[];
        std::iter::from_fn(move || {
            if !back.is_empty() {
                return Some(std::mem::take(&mut back));
            }
            if at >= to {
                return None;
            }
            let end = self.piece_end(index).min(to);
            let (front, rest) = self.piece_slices(index, at, end);
            (at, index, back) = (end, index + 1, rest);
            Some(front)
        })
    }

    /// Where the piece before the one at `next` ends, counted from the first byte.
    fn piece_end(&self, next: usize) -> usize {
        self.pieces.get(next).map_or(self.len, |piece| {
            usize::try_from(piece.start - self.first).expect("pieces are in memory")
        })
    }

    /// The bytes `from..to` of the piece before the one at `next`; of the ring they may be two slices.
    fn piece_slices(&self, next: usize, from: usize, to: usize) -> (&[u8], &[u8]) {
        let position = self.first + len_u64(from);
        let piece = next.checked_sub(1).and_then(|index| self.pieces.get(index));
        let at = |start: u64| usize::try_from(start).expect("a place in memory");
        match piece {
            Some(Piece {
                start,
                place: Place::Linked(bytes),
            }) => {
                let begin = at(position - start);
                (&bytes[begin..begin + (to - from)], &[])
            }
            Some(Piece {
                start,
                place: Place::Ring(copied),
            }) => {
                let begin = at(copied + (position - start) - self.ring_first);
                self.ring_slices(begin, begin + (to - from))
            }
            None => self.ring_slices(from, to),
        }
    }

    fn ring_slices(&self, from: usize, to: usize) -> (&[u8], &[u8]) {
        let (front, back) = self.ring.as_slices();
        let seam = front.len();
        if from >= seam {
            return (&back[from - seam..to - seam], &[]);
        }
        (&front[from..to.min(seam)], &back[..to.saturating_sub(seam)])
    }

    /// Lets the first `count` bytes go, and the slices that are done with.
    pub(super) fn drop_front(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let front = self.pieces.front();
            let is_ring = front.is_none_or(|piece| matches!(piece.place, Place::Ring(_)));
            let piece_len = self.piece_end(1);
            let now = left.min(piece_len);
            if is_ring {
                self.ring.drain(..now);
                self.ring_first += len_u64(now);
            }
            if now == piece_len {
                self.pop_piece();
            }
            self.first += len_u64(now);
            self.len -= now;
            left -= now;
            if now < piece_len {
                self.trim_front();
            }
        }
    }

    fn pop_piece(&mut self) {
        if let Some(Piece {
            place: Place::Linked(bytes),
            ..
        }) = self.pieces.pop_front()
        {
            self.pinned -= bytes.len();
        }
        let front = self.pieces.front();
        let is_ring = front.is_some_and(|piece| matches!(piece.place, Place::Ring(_)));
        if self.pieces.len() == 1 && is_ring {
            // What is left stands in the ring alone.
            self.pieces.clear();
        }
    }

    /// The first piece has lost bytes at its front.
    fn trim_front(&mut self) {
        if let Some(Piece {
            start,
            place: Place::Ring(copied),
        }) = self.pieces.front_mut()
        {
            (*start, *copied) = (self.first, self.ring_first);
        }
    }

    /// Gives back the memory of a ring without bytes, if it has more than `kept` bytes.
    pub(super) fn shrink(&mut self, kept: usize) {
        if self.ring.is_empty() && self.ring.capacity() > kept {
            self.ring = VecDeque::new();
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
