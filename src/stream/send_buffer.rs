//! Bytes from `write` until they are acknowledged, and which of them to send next.
//!
//! ```text
//!      snd_una            snd_nxt            end
//!  acked  |  in flight, lost  |   not yet sent  |   room up to the capacity
//! ```
//!
//! A byte leaves when it and all before it are acknowledged. Of the bytes in between, two disjoint sets
//! say which are acknowledged already and which are lost; all others are in flight.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::range_set::RangeSet;
use crate::stream::store::Store;
use crate::wire::{Offset, range_len};

/// Memory that an empty buffer keeps, so that a small write does not allocate each time.
const IDLE_BYTES_MAX: usize = 2_048;

/// The sending half's bytes.
///
/// ```
/// use aqueduct::stream::SendBuffer;
/// use aqueduct::wire::Offset;
///
/// let mut buffer = SendBuffer::new(1 << 20);
/// assert_eq!(buffer.write(b"hello world"), 11);
/// let range = buffer.take_new(5, Offset::MAX).expect("11 bytes are waiting");
/// assert_eq!(buffer.slices(range.clone()).concat(), b"hello");
/// buffer.on_lost(range.clone());
/// assert_eq!(buffer.take_lost(1_400), Some(range.clone()));
/// assert_eq!(buffer.on_acked(range), 5);
/// assert_eq!(buffer.snd_una(), Offset::new(5));
/// ```
pub struct SendBuffer {
    capacity: usize,
    /// The bytes `snd_una..end`.
    bytes: Store,
    snd_una: Offset,
    snd_nxt: Offset,
    /// Within `snd_una + 1..snd_nxt`: acknowledged before a byte below was. As many ranges as there are
    /// packets in flight at most, and so of `lost`.
    acked: RangeSet,
    /// Within `snd_una..snd_nxt`, nothing of it in `acked`: to be sent again.
    lost: RangeSet,
}

impl SendBuffer {
    /// An empty buffer that takes at most `capacity` bytes; allocates nothing yet.
    pub fn new(capacity: usize) -> Self {
        SendBuffer {
            capacity,
            bytes: Store::default(),
            snd_una: Offset::ZERO,
            snd_nxt: Offset::ZERO,
            acked: RangeSet::new(),
            lost: RangeSet::new(),
        }
    }

    /// Takes as much of `data` as fits; how much that was.
    pub fn write(&mut self, data: &[u8]) -> usize {
        let taken = data.len().min(self.free());
        self.bytes.copy(&data[..taken], self.ring_for(taken));
        taken
    }

    /// As [`SendBuffer::write`], but keeps the slice instead of a copy, if it is long enough to be worth it: the
    /// caller's memory is pinned until all of it is acknowledged, and charged so long.
    pub fn write_bytes(&mut self, data: &Bytes) -> usize {
        let taken = data.len().min(self.free());
        if !Store::links(taken) {
            return self.write(&data[..taken]);
        }
        self.bytes.link(data.slice(..taken));
        taken
    }

    /// Bytes for which the ring has memory once `more` were copied: at least doubled, but never beyond the
    /// capacity.
    fn ring_for(&self, more: usize) -> usize {
        let needed = self.bytes.ring_len() + more;
        let held = self.bytes.ring_capacity();
        if needed <= held {
            return held;
        }
        needed.max(held.saturating_mul(2)).min(self.capacity)
    }

    /// Bytes for which there is memory once `more` were written, of which no more than `free` count.
    pub fn room_for(&self, more: usize) -> usize {
        self.ring_for(more.min(self.free())) + self.bytes.pinned()
    }

    /// Bytes that `write` would take now.
    pub fn free(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    /// How many bytes the buffer takes in all.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Has the buffer take more or fewer bytes; what it holds stays, even if that is more.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// The oldest byte that is not acknowledged.
    pub fn snd_una(&self) -> Offset {
        self.snd_una
    }

    /// The first byte that was never sent.
    pub fn snd_nxt(&self) -> Offset {
        self.snd_nxt
    }

    /// One past the last byte written.
    pub fn end(&self) -> Offset {
        self.snd_una.plus_len(self.bytes.len())
    }

    /// Whether bytes are marked lost and wait for their repetition.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Bytes of the next lost range; 0 if nothing is lost.
    pub fn next_lost_len(&self) -> u64 {
        self.lost.first().map_or(0, |range| range.end - range.start)
    }

    /// The next lost range of at most `max` bytes; it counts as in flight again.
    pub fn take_lost(&mut self, max: usize) -> Option<Range<Offset>> {
        self.lost
            .take_first(Offset::ZERO.plus_len(max).get())
            .map(offsets)
    }

    /// The next range never sent, of at most `max` bytes and not beyond `limit`; moves `snd_nxt`.
    pub fn take_new(&mut self, max: usize, limit: Offset) -> Option<Range<Offset>> {
        let start = self.snd_nxt;
        let end = start.plus_len(max).min(limit).min(self.end());
        if end <= start {
            return None;
        }
        self.snd_nxt = end;
        Some(start..end)
    }

    /// The oldest sent and unacknowledged range of at most `max` bytes, for a probe; changes nothing but
    /// that a lost mark on it is cleared.
    pub fn take_oldest(&mut self, max: usize) -> Option<Range<Offset>> {
        let start = self.snd_una;
        let acked = self
            .acked
            .first()
            .map_or(Offset::MAX, |acked| Offset::new(acked.start));
        let end = start.plus_len(max).min(acked).min(self.snd_nxt);
        if end <= start {
            return None;
        }
        self.lost.remove(numbers(&(start..end)));
        Some(start..end)
    }

    /// The bytes of a range that is sent and not wholly acknowledged, slice by slice.
    ///
    /// # Panics
    /// If the range is not within `snd_una..end`.
    pub fn pieces(&self, range: Range<Offset>) -> impl Iterator<Item = &[u8]> {
        assert!(
            self.snd_una <= range.start && range.start <= range.end && range.end <= self.end(),
            "{range:?} is not within {:?}..{:?}",
            self.snd_una,
            self.end(),
        );
        let from = range.start.len_since(self.snd_una);
        let to = range.end.len_since(self.snd_una);
        self.bytes.slices(from, to)
    }

    /// The same slices in a list.
    ///
    /// # Panics
    /// As [`SendBuffer::pieces`].
    pub fn slices(&self, range: Range<Offset>) -> Vec<&[u8]> {
        self.pieces(range).collect()
    }

    /// The range has arrived at the peer (acknowledged packet, or everything below its `ack_offset`);
    /// parts beyond `snd_nxt` are ignored. How many bytes that were new.
    pub fn on_acked(&mut self, range: Range<Offset>) -> usize {
        let range = self.in_flight_part(range);
        if range.is_empty() {
            return 0;
        }
        self.lost.remove(numbers(&range));
        if range.start > self.snd_una {
            return self.ack_early(&range);
        }
        self.ack_oldest(range.end)
    }

    /// Notes a range that arrived before the oldest byte did.
    fn ack_early(&mut self, range: &Range<Offset>) -> usize {
        let new = self
            .acked
            .missing(numbers(range))
            .map(|hole| range_len(&offsets(hole)))
            .sum();
        self.acked.insert(numbers(range));
        new
    }

    /// Everything from the oldest byte up to `to` has arrived: it can go, and what follows if it is known.
    fn ack_oldest(&mut self, to: Offset) -> usize {
        let mut counted = 0;
        let mut una = to;
        while let Some(acked) = self
            .acked
            .first()
            .map(offsets)
            .filter(|acked| acked.start <= una)
        {
            counted += range_len(&acked);
            una = una.max(acked.end);
            self.acked.pop_first();
        }
        let freed = una.len_since(self.snd_una);
        self.bytes.drop_front(freed);
        self.snd_una = una;
        if self.bytes.len() == 0 {
            self.rest();
        }
        freed - counted
    }

    /// The packet with the range is lost: repeat what of it is not acknowledged.
    pub fn on_lost(&mut self, range: Range<Offset>) {
        let range = self.in_flight_part(range);
        for hole in self.acked.missing(numbers(&range)) {
            self.lost.insert(hole);
        }
    }

    /// Forgets all bytes and gives their memory back: the connection was reset.
    pub fn clear(&mut self) {
        self.snd_una = self.end();
        self.snd_nxt = self.snd_una;
        self.bytes = Store::default();
        self.acked = RangeSet::new();
        self.lost = RangeSet::new();
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.memory() + self.acked.memory() + self.lost.memory()
    }

    /// Gives back the memory of an empty buffer; for a connection that has been quiet for a while.
    ///
    /// Until then an empty buffer keeps at most 2 KiB, so that small writes do not allocate each time.
    pub fn shrink(&mut self) {
        self.bytes.shrink(0);
        self.acked.shrink();
        self.lost.shrink();
    }

    /// The part of a range that was sent and is not below the oldest unacknowledged byte.
    fn in_flight_part(&self, range: Range<Offset>) -> Range<Offset> {
        range.start.max(self.snd_una)..range.end.min(self.snd_nxt)
    }

    /// Checks what must hold between any two calls.
    #[cfg(test)]
    fn invariants(&self) {
        self.acked.invariants();
        self.lost.invariants();
        assert!(
            self.snd_una <= self.snd_nxt && self.snd_nxt <= self.end(),
            "{self:?}"
        );
        let sent = self.snd_una.get()..self.snd_nxt.get();
        for range in self.acked.iter().chain(self.lost.iter()) {
            assert!(
                sent.start <= range.start && range.end <= sent.end,
                "not in flight: {self:?}"
            );
        }
        assert!(
            self.acked
                .first()
                .is_none_or(|acked| acked.start > sent.start),
            "{self:?}"
        );
        for range in self.lost.iter() {
            let unacked: Vec<_> = self.acked.missing(range.clone()).collect();
            assert_eq!(unacked, [range], "both lost and acknowledged: {self:?}");
        }
    }

    /// Everything is acknowledged: keeps no more memory than an idle connection may cost.
    fn rest(&mut self) {
        self.bytes.shrink(IDLE_BYTES_MAX);
        self.acked.shrink();
        self.lost.shrink();
    }
}

impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer")
            .field("snd_una", &self.snd_una)
            .field("snd_nxt", &self.snd_nxt)
            .field("end", &self.end())
            .field("acked", &self.acked)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn numbers(range: &Range<Offset>) -> Range<u64> {
    range.start.get()..range.end.get()
}

fn offsets(range: Range<u64>) -> Range<Offset> {
    Offset::new(range.start)..Offset::new(range.end)
}

#[cfg(test)]
mod tests;
