//! Which numbered packets are still of interest, and what they carried.
//!
//! A ring with one slot for every number from the oldest tracked one to the newest sent:
//!
//! ```text
//!   forgotten | lost, remembered, or acknowledged | in flight, or acknowledged | not sent yet
//!             ^ first                             ^ oldest in flight           ^ next
//! ```
//!
//! Invariant: nothing below the oldest packet in flight is in flight, and nothing above it is lost.
//! Losses are declared from the oldest upwards only, and the cursor never moves back, so every slot is
//! passed once in its life. An acknowledged slot says how far below it the next interesting one may
//! be; an acknowledgement that repeats a long range steps over what it has settled before. So neither
//! costs more than what is newly resolved, however much is in flight.
//!
//! When a packet left, and what was known then, is kept once for all packets that left together; when it was
//! declared lost, once for all that were declared lost together.

mod batches;

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};

use super::{Contents, SentPacket};
use crate::time::Time;
use crate::wire::{Offset, PacketNumber, range_len};

use batches::Batches;
pub(super) use batches::Mark;

pub use batches::Snapshot;

/// Slots whose memory an empty ring keeps until a rest: those of a window on one machine (1 MiB) in datagrams of
/// 1,472 bytes, where it is empty after each of them.
const SLOTS_KEPT: usize = 1_024;
/// With nothing in flight, more slots than these are not kept for the sake of remembered losses.
const REMEMBERED_WHEN_QUIET: usize = 256;

/// The packets in flight, and those declared lost a short while ago.
///
/// ```
/// use aqueduct::recovery::{Contents, SentPacket, SentPackets, Snapshot};
/// use aqueduct::wire::PacketNumber;
///
/// let first = PacketNumber::new(7);
/// let mut sent = SentPackets::new(first);
/// let packet = SentPacket { number: first, size: 1200, imm: false, contents: Contents::default() };
/// sent.push(&packet, &Snapshot::default());
/// assert!(sent.is_outstanding(first));
///
/// let mut sizes = Vec::new();
/// sent.acknowledge(first..=first, |_, packet| sizes.push(packet.size));
/// assert_eq!(sizes, [1200]);
/// assert_eq!(sent.oldest_tracked(), first.next());
/// ```
#[derive(Debug)]
pub struct SentPackets {
    slots: VecDeque<Slot>,
    batches: Batches,
    /// When packets were declared lost, oldest first; only of packets still remembered.
    losses: VecDeque<Losses>,
    /// The number of `slots[0]`.
    first: PacketNumber,
    /// Slots before the oldest packet in flight; all of them, if none is in flight.
    resolved: usize,
    /// Packets in flight.
    in_flight: usize,
}

/// What is known of one number.
#[derive(Clone, Copy, Debug)]
enum Slot {
    /// In flight, or lost and remembered.
    Tracked(Record),
    /// Acknowledged: the slots from here down to `skip` - 1 below are acknowledged too.
    Acked {
        /// Slots to step down, at least 1.
        skip: u32,
    },
}

/// 24 bytes for each packet.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// The first byte of the stream that it carried.
    start: Offset,
    /// The batch that it left with.
    batch: u32,
    /// Bytes of the stream; of a path-MTU probe, the size that it probes.
    len: u16,
    size: u16,
    fin: bool,
    mtu_probe: bool,
    dgram: bool,
    marked: bool,
    lost: bool,
}

/// Packets declared lost at the same time.
#[derive(Clone, Copy, Debug)]
struct Losses {
    /// The newest of them.
    through: PacketNumber,
    at: Time,
}

/// A packet that left the state "in flight", or that arrived after it was declared lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What was known when it was sent.
    pub sent: Snapshot,
    /// It had been declared lost before.
    pub was_lost: bool,
    /// Bytes of the datagram.
    pub size: u16,
    /// What it carried.
    pub contents: Contents,
}

/// The oldest packet in flight, as far as loss detection cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// Its number.
    pub number: PacketNumber,
    /// When it was sent.
    pub sent_at: Time,
}

impl SentPackets {
    /// An empty ring whose first packet will be `first`; allocates nothing.
    pub fn new(first: PacketNumber) -> Self {
        SentPackets {
            slots: VecDeque::new(),
            batches: Batches::default(),
            losses: VecDeque::new(),
            first,
            resolved: 0,
            in_flight: 0,
        }
    }

    /// The number that the next packet must have.
    pub fn next_number(&self) -> PacketNumber {
        self.number_of(self.slots.len())
    }

    /// The oldest number in flight or remembered; `next_number` if there is none.
    pub fn oldest_tracked(&self) -> PacketNumber {
        self.first
    }

    /// Packets in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The oldest packet in flight.
    pub fn oldest_in_flight(&self) -> Option<Oldest> {
        match self.slots.get(self.resolved)? {
            Slot::Tracked(record) => Some(Oldest {
                number: self.number_of(self.resolved),
                sent_at: self.batches.get(record.batch).sent_at,
            }),
            Slot::Acked { .. } => None,
        }
    }

    /// Whether the number was sent and is neither acknowledged nor forgotten.
    pub fn is_outstanding(&self, number: PacketNumber) -> bool {
        let Some(index) = self.index_of(number) else {
            return false;
        };
        matches!(self.slots.get(index), Some(Slot::Tracked(_)))
    }

    /// Remembers a packet that left, and what was known then; it left not before the one sent last.
    ///
    /// # Panics
    /// If its number is not [`SentPackets::next_number`], or its data longer than a datagram.
    pub fn push(&mut self, packet: &SentPacket, sent: &Snapshot) {
        assert_eq!(
            packet.number,
            self.next_number(),
            "packet numbers are used in order, each once"
        );
        let batch = self.batches.push(sent, packet.size);
        self.slots
            .push_back(Slot::Tracked(Record::new(batch, packet)));
        self.in_flight += 1;
    }

    /// The next number is never sent: it counts as settled, and [`SentPackets::next_number`] is one more.
    pub fn leave_out(&mut self) {
        self.slots.push_back(Slot::Acked { skip: 1 });
        self.settle();
    }

    /// Settles the packets of `range` that are tracked, and tells each to `found`, highest first.
    ///
    /// Costs the number of those packets, not the length of the range.
    pub fn acknowledge(
        &mut self,
        range: RangeInclusive<PacketNumber>,
        mut found: impl FnMut(PacketNumber, Resolved),
    ) {
        let newest = self.next_number().prev();
        let (start, end) = (self.first.max(*range.start()), newest.min(*range.end()));
        if self.slots.is_empty() || start > end {
            return;
        }
        let (Some(low), Some(high)) = (self.index_of(start), self.index_of(end)) else {
            return;
        };
        // `below` - 1 is the slot to look at next.
        let mut below = high + 1;
        while below > low {
            let index = below - 1;
            visit();
            below = match self.slots[index] {
                Slot::Acked { skip } => self.step_over(index, skip),
                Slot::Tracked(record) => {
                    self.in_flight -= usize::from(!record.lost);
                    self.slots[index] = Slot::Acked { skip: 1 };
                    let sent = self.batches.get(record.batch);
                    found(self.number_of(index), record.resolved(sent));
                    index
                }
            };
        }
        // The next acknowledgement that repeats this range crosses it in one step.
        let skip = to_skip(high + 1 - below);
        self.slots[high] = Slot::Acked { skip };
        self.settle();
    }

    /// Where to go on below the acknowledged slot `index`: one past the next slot to look at.
    ///
    /// Doubles the slot's step on the way, so that repeated odd ranges become cheap too.
    fn step_over(&mut self, index: usize, skip: u32) -> usize {
        let below = below(index, skip);
        let Some(next) = below.checked_sub(1) else {
            return 0;
        };
        let Slot::Acked { skip: further } = self.slots[next] else {
            return below;
        };
        let skip = skip.saturating_add(further);
        self.slots[index] = Slot::Acked { skip };
        self::below(index, skip)
    }

    /// Declares the oldest packet in flight lost; it stays known until [`SentPackets::forget_lost`].
    pub fn lose_oldest(&mut self, now: Time) -> Option<Resolved> {
        let Some(Slot::Tracked(record)) = self.slots.get_mut(self.resolved) else {
            return None;
        };
        let resolved = record.resolved(self.batches.get(record.batch));
        record.lost = true;
        visit();
        self.in_flight -= 1;
        self.note_loss(now, self.number_of(self.resolved));
        self.settle();
        Some(resolved)
    }

    fn note_loss(&mut self, now: Time, through: PacketNumber) {
        match self.losses.back_mut() {
            Some(newest) if newest.at == now => newest.through = through,
            _ => self.losses.push_back(Losses { through, at: now }),
        }
    }

    /// Takes the newest packet back, if it is in flight: it has not left after all, and its number is the next one
    /// again. What was kept for its batch is put right by [`SentPackets::restore`], which must follow.
    pub(super) fn unsend_newest(&mut self) -> Option<Resolved> {
        let newest = self.slots.len().checked_sub(1)?;
        let Slot::Tracked(record) = self.slots[newest] else {
            return None;
        };
        if record.lost {
            return None;
        }
        let resolved = record.resolved(self.batches.get(record.batch));
        self.slots.pop_back();
        self.in_flight -= 1;
        Some(resolved)
    }

    /// What sending more changes beside the packets themselves.
    pub(super) fn mark(&self) -> Mark {
        self.batches.mark()
    }

    /// Everything sent since `mark` was taken back, and nothing else happened.
    pub(super) fn restore(&mut self, mark: Mark) {
        self.batches.restore(mark);
    }

    /// Forgets the packets that were declared lost at or before the time that `declared` answers; it is
    /// asked only if there is a loss to forget.
    pub fn forget_lost(&mut self, declared: impl FnOnce() -> Time) {
        let Some(Slot::Tracked(Record { lost: true, .. })) = self.slots.front() else {
            return;
        };
        let declared = declared();
        while let Some(losses) = self.losses.front().filter(|losses| losses.at <= declared) {
            let through = losses.through;
            while self.first <= through {
                self.drop_first();
            }
            self.losses.pop_front();
        }
        self.trim();
    }

    /// With nothing in flight: gives the memory back, and forgets losses if many slots hang on them.
    pub fn quiet(&mut self) {
        if self.in_flight == 0 && self.slots.len() > REMEMBERED_WHEN_QUIET {
            self.clear();
        }
    }

    /// Gives back the memory of an empty ring; for a connection that has been quiet for a while.
    pub fn shrink(&mut self) {
        if self.slots.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything but the next number, and gives the memory back.
    pub fn clear(&mut self) {
        self.first = self.next_number();
        self.slots = VecDeque::new();
        self.batches.clear();
        self.batches.release();
        self.losses = VecDeque::new();
        self.resolved = 0;
        self.in_flight = 0;
    }

    /// Bytes of memory that the ring holds.
    pub fn memory(&self) -> usize {
        let losses = self.losses.capacity() * size_of::<Losses>();
        self.slots.capacity() * size_of::<Slot>() + losses + self.batches.memory()
    }

    /// Restores the invariant after a slot was resolved.
    fn settle(&mut self) {
        while self.resolved < self.slots.len() && !self.is_in_flight(self.resolved) {
            visit();
            self.resolved += 1;
        }
        self.trim();
    }

    /// Drops what nobody asks for any more: acknowledged slots at the front, and what belonged to them.
    fn trim(&mut self) {
        while let Some(Slot::Acked { .. }) = self.slots.front() {
            self.drop_first();
        }
        while self
            .losses
            .front()
            .is_some_and(|losses| losses.through < self.first)
        {
            self.losses.pop_front();
        }
        match self.slots.front() {
            Some(Slot::Tracked(record)) => self.batches.forget_before(record.batch),
            _ => self.release_memory(),
        }
    }

    fn drop_first(&mut self) {
        debug_assert!(self.resolved > 0, "a packet in flight is not forgotten");
        visit();
        self.slots.pop_front();
        self.resolved -= 1;
        self.first = self.first.next();
    }

    /// The ring is empty.
    fn release_memory(&mut self) {
        self.batches.clear();
        self.losses.shrink_to(0);
        if self.slots.capacity() > SLOTS_KEPT {
            self.slots.shrink_to(SLOTS_KEPT);
        }
    }

    fn is_in_flight(&self, index: usize) -> bool {
        matches!(self.slots[index], Slot::Tracked(record) if !record.lost)
    }

    fn number_of(&self, index: usize) -> PacketNumber {
        // A ring never holds more slots than a u64 counts.
        self.first.plus(u64::try_from(index).unwrap_or(u64::MAX))
    }

    fn index_of(&self, number: PacketNumber) -> Option<usize> {
        if number < self.first {
            return None;
        }
        usize::try_from(number.since(self.first)).ok()
    }
}

#[cfg(test)]
thread_local! {
    /// Slots that this thread has looked at: the work that was done, whatever the machine.
    static VISITS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// A slot is looked at.
#[inline]
fn visit() {
    #[cfg(test)]
    VISITS.with(|visits| visits.set(visits.get() + 1));
}

/// Slots that this thread has looked at so far.
#[cfg(test)]
pub(super) fn visits() -> u64 {
    VISITS.with(std::cell::Cell::get)
}

/// One past the slot to look at after stepping down `skip` slots from `index`.
fn below(index: usize, skip: u32) -> usize {
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    (index + 1).saturating_sub(skip)
}

/// A step as a slot holds it; a shorter one than asked for is right too, only slower.
fn to_skip(slots: usize) -> u32 {
    u32::try_from(slots).unwrap_or(u32::MAX)
}

impl Record {
    fn new(batch: u32, packet: &SentPacket) -> Self {
        let contents = &packet.contents;
        let data_len = u16::try_from(range_len(&contents.data))
            .expect("the data of a packet fits into a datagram of at most 65,535 bytes");
        debug_assert!(
            contents.mtu_probe.is_none() || data_len == 0,
            "a path-MTU probe carries no data"
        );
        Record {
            batch,
            start: contents.data.start,
            len: contents.mtu_probe.unwrap_or(data_len),
            size: packet.size,
            fin: contents.fin,
            mtu_probe: contents.mtu_probe.is_some(),
            dgram: contents.dgram,
            marked: contents.marked,
            lost: false,
        }
    }

    fn resolved(&self, sent: &Snapshot) -> Resolved {
        Resolved {
            sent: *sent,
            was_lost: self.lost,
            size: self.size,
            contents: self.contents(),
        }
    }

    fn contents(&self) -> Contents {
        Contents {
            data: self.data(),
            fin: self.fin,
            mtu_probe: self.mtu_probe.then_some(self.len),
            dgram: self.dgram,
            marked: self.marked,
        }
    }

    fn data(&self) -> Range<Offset> {
        let len = if self.mtu_probe { 0 } else { self.len };
        self.start..self.start.plus(u64::from(len))
    }
}

#[cfg(test)]
mod tests;
