//! In-order bytes that stay where they were received, instead of being copied.
//!
//! ```text
//!   parts   [ start, where in its slab ] [ .. ] [ .. ] | [ .. ] [ .. ]
//!   slabs   [ slab, 3 parts ]                          | [ slab, 2 parts ]
//! ```
//!
//! A part pins its whole slab. So a slab is kept only if half of it was bytes of this stream, and what is pinned
//! is at most twice what was promised: see [`Linked::memory`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::SLAB_BYTES;
use crate::wire::{Offset, Slab};

/// Fewer bytes in one segment are copied: to keep the part would cost as much, and small parts would be many.
const PART_MIN: usize = 512;
/// Bytes of one train that a stream must keep for its slab to be kept.
pub(super) const KEPT_MIN: usize = SLAB_BYTES / 2;
/// Fewer bytes in one piece are not worth a call of their own, nor that who keeps them pins a slab.
const LENT_MIN: usize = 8 << 10;

/// The parts of the stream that lie in slabs, in order.
#[derive(Default)]
pub(super) struct Linked {
    parts: VecDeque<Part>,
    slabs: VecDeque<Held>,
    /// The slab in which the segments lie that come now.
    arriving: Option<Arc<Slab>>,
}

/// Bytes of one segment; their slab is the one that counts the part.
#[derive(Clone, Copy)]
struct Part {
    start: Offset,
    /// Where in the slab.
    from: usize,
    len: usize,
}

/// A slab with parts that were not read yet.
struct Held {
    source: Source,
    parts: usize,
    /// Bytes that were kept, read or not.
    kept: usize,
}

enum Source {
    Own(Arc<Slab>),
    /// Slices of it were handed out, and keep it alive too.
    Lent(Bytes),
}

impl AsRef<[u8]> for Source {
    fn as_ref(&self) -> &[u8] {
        match self {
            Source::Own(slab) => (**slab).as_ref(),
            Source::Lent(bytes) => bytes,
        }
    }
}

impl Part {
    fn end(&self) -> Offset {
        self.start.plus_len(self.len)
    }
}

impl Linked {
    /// The segments that come from now on lie in this slab.
    pub(super) fn begin(&mut self, slab: &Arc<Slab>) {
        self.arriving = Some(Arc::clone(slab));
    }

    /// Keeps the bytes of a segment, which begin at `start`, the end of all parts or behind it; false if they are to
    /// be copied.
    pub(super) fn keep(&mut self, start: Offset, data: &[u8]) -> bool {
        let Some(slab) = self.arriving.as_ref().filter(|_| data.len() >= PART_MIN) else {
            return false;
        };
        let Some(range) = slab.find(data) else {
            return false;
        };
        if !self.holds_arriving() {
            self.slabs.push_back(Held {
                source: Source::Own(Arc::clone(slab)),
                parts: 0,
                kept: 0,
            });
        }
        let held = self
            .slabs
            .back_mut()
            .expect("it was pushed if it was missing");
        held.parts += 1;
        held.kept += data.len();
        self.parts.push_back(Part {
            start,
            from: range.start,
            len: data.len(),
        });
        true
    }

    /// Whether the newest slab is the one whose segments come now.
    fn holds_arriving(&self) -> bool {
        match (&self.arriving, self.slabs.back().map(|held| &held.source)) {
            (Some(slab), Some(Source::Own(newest))) => Arc::ptr_eq(slab, newest),
            _ => false,
        }
    }

    /// Memory that the next segment may take beside its own length: a slab, if it is the first of it.
    pub(super) fn room_for_next(&self) -> usize {
        if self.arriving.is_some() && !self.holds_arriving() {
            SLAB_BYTES
        } else {
            0
        }
    }

    /// No more segments lie in the slab. If too little of it was kept, `copy` gets the bytes, and the slab goes.
    pub(super) fn end(&mut self, mut copy: impl FnMut(Offset, &[u8])) {
        let is_held = self.holds_arriving();
        self.arriving = None;
        if !is_held || self.slabs.back().is_none_or(|held| held.kept >= KEPT_MIN) {
            return;
        }
        if let Some(held) = self.slabs.pop_back() {
            let first = self.parts.len() - held.parts;
            for part in self.parts.drain(first..) {
                copy(
                    part.start,
                    &held.source.as_ref()[part.from..part.from + part.len],
                );
            }
        }
    }

    /// Where, behind `from` and before `to`, the first part begins that is large enough to be handed out.
    pub(super) fn next_lendable(&self, from: Offset, to: Offset) -> Option<Offset> {
        let mut parts = self.parts.iter().take_while(|part| part.start < to);
        let part = parts.find(|part| part.start > from && part.len >= LENT_MIN)?;
        Some(part.start)
    }

    /// The first part, at most `max` bytes of it, as it is, if it begins at `at` and is worth it. It stays.
    /// `share` has slices of a slab keep it.
    pub(super) fn lend(
        &mut self,
        at: Offset,
        max: usize,
        share: impl FnOnce(Arc<Slab>) -> Bytes,
    ) -> Option<Bytes> {
        let part = *self.parts.front().filter(|part| part.start == at)?;
        let len = part.len.min(max);
        if len < LENT_MIN {
            return None;
        }
        let held = self.slabs.front_mut()?;
        if let Source::Own(slab) = &held.source {
            held.source = Source::Lent(share(Arc::clone(slab)));
        }
        match &held.source {
            Source::Lent(bytes) => Some(bytes.slice(part.from..part.from + len)),
            Source::Own(_) => None,
        }
    }

    /// The bytes `from..to`: `each` gets what lies in slabs, and where it begins, in order; `between` gets the
    /// ranges that do not.
    pub(super) fn walk<T>(
        &self,
        from: Offset,
        to: Offset,
        target: &mut T,
        each: impl Fn(&mut T, &[u8]),
        between: impl Fn(&mut T, Offset, Offset),
    ) {
        let mut at = from;
        let mut slabs = self.slabs.iter();
        let (mut left, mut bytes): (usize, &[u8]) = (0, &[]);
        for part in &self.parts {
            while left == 0 {
                let held = slabs.next().expect("every part has a slab");
                (left, bytes) = (held.parts, held.source.as_ref());
            }
            left -= 1;
            if part.start >= to {
                break;
            }
            if part.end() <= at {
                continue;
            }
            if at < part.start {
                between(target, at, part.start);
                at = part.start;
            }
            let (skipped, end) = (at.len_since(part.start), to.min(part.end()));
            let len = end.len_since(at);
            each(
                target,
                &bytes[part.from + skipped..part.from + skipped + len],
            );
            at = end;
        }
        if at < to {
            between(target, at, to);
        }
    }

    /// Everything below `offset` was read: slabs without another part are free.
    pub(super) fn release_below(&mut self, offset: Offset) {
        while let Some(part) = self.parts.front_mut() {
            if part.start >= offset {
                return;
            }
            let read = offset.len_since(part.start).min(part.len);
            part.start = part.start.plus_len(read);
            part.from += read;
            part.len -= read;
            if part.len > 0 {
                return;
            }
            self.parts.pop_front();
            let held = self.slabs.front_mut().expect("every part has a slab");
            held.parts -= 1;
            if held.parts == 0 {
                self.slabs.pop_front();
            }
        }
    }

    /// Forgets all parts.
    pub(super) fn clear(&mut self) {
        *self = Linked {
            arriving: self.arriving.take(),
            ..Linked::default()
        };
    }

    /// Gives back the memory that no part needs.
    pub(super) fn shrink(&mut self) {
        self.parts.shrink_to_fit();
        self.slabs.shrink_to_fit();
    }

    /// Bytes of memory held: whole slabs.
    pub(super) fn memory(&self) -> usize {
        self.slabs.len() * SLAB_BYTES
            + self.slabs.capacity() * size_of::<Held>()
            + self.parts.capacity() * size_of::<Part>()
    }

    /// Checks what must hold between any two calls.
    #[cfg(test)]
    pub(super) fn invariants(&self, read_offset: Offset, rcv_nxt: Offset) {
        let mut at = read_offset;
        for part in &self.parts {
            assert!(part.start >= at, "parts overlap, or were read");
            assert!(part.len > 0, "an empty part");
            at = part.end();
        }
        assert!(at <= rcv_nxt, "a part that is not in order");
        let counted: usize = self.slabs.iter().map(|held| held.parts).sum();
        assert_eq!(counted, self.parts.len(), "parts without a slab");
        assert!(
            self.slabs.iter().all(|held| held.parts > 0),
            "a slab is held for nothing"
        );
    }
}

impl fmt::Debug for Linked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linked")
            .field("parts", &self.parts.len())
            .field("slabs", &self.slabs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
