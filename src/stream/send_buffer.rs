//! Bytes from `write` until they are acknowledged, and which of them to send next.
//!
//! ```text
//!      snd_una            snd_nxt            end
//!  acked  |  in flight, lost  |   not yet sent  |   room up to the capacity
//! ```

use std::ops::Range;

use crate::wire::Offset;

/// The sending half's bytes.
#[derive(Debug)]
pub struct SendBuffer {
    capacity: usize,
}

impl SendBuffer {
    /// An empty buffer that takes at most `capacity` bytes; allocates nothing yet.
    pub fn new(capacity: usize) -> Self {
        SendBuffer { capacity }
    }
    /// Takes as much of `data` as fits; how much that was.
    pub fn write(&mut self, _data: &[u8]) -> usize {
        todo!()
    }
    /// Bytes that `write` would take now.
    pub fn free(&self) -> usize {
        self.capacity
    }
    /// The oldest byte that is not acknowledged.
    pub fn snd_una(&self) -> Offset {
        todo!()
    }
    /// The first byte that was never sent.
    pub fn snd_nxt(&self) -> Offset {
        todo!()
    }
    /// One past the last byte written.
    pub fn end(&self) -> Offset {
        todo!()
    }
    /// Whether bytes are marked lost and wait for their repetition.
    pub fn has_lost(&self) -> bool {
        todo!()
    }
    /// The next lost range of at most `max` bytes; it counts as in flight again.
    pub fn take_lost(&mut self, _max: usize) -> Option<Range<Offset>> {
        todo!()
    }
    /// The next range never sent, of at most `max` bytes and not beyond `limit`; moves `snd_nxt`.
    pub fn take_new(&mut self, _max: usize, _limit: Offset) -> Option<Range<Offset>> {
        todo!()
    }
    /// The oldest sent and unacknowledged range of at most `max` bytes, for a probe; changes nothing but
    /// that a lost mark on it is cleared.
    pub fn take_oldest(&mut self, _max: usize) -> Option<Range<Offset>> {
        todo!()
    }
    /// The bytes of a range that is sent and not wholly acknowledged, in one piece or two.
    ///
    /// # Panics
    /// If the range is not within `snd_una..end`.
    pub fn slices(&self, _range: Range<Offset>) -> [&[u8]; 2] {
        todo!()
    }
    /// The range has arrived at the peer (acknowledged packet, or everything below its `ack_offset`);
    /// parts beyond `snd_nxt` are ignored. How many bytes that were new.
    pub fn on_acked(&mut self, _range: Range<Offset>) -> usize {
        todo!()
    }
    /// The packet with the range is lost: repeat what of it is not acknowledged.
    pub fn on_lost(&mut self, _range: Range<Offset>) {
        todo!()
    }
    /// Forgets all bytes and gives their memory back: the connection was reset.
    pub fn clear(&mut self) {
        todo!()
    }
}
