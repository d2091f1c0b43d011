//! What we owe the peer, and how soon (docs/WIRE.md, "When to acknowledge"; RFC 9293 s3.8.6.3,
//! RFC 9000 s13.2).
//!
//! The number before the peer's first counts as received, so the set of received numbers is never
//! empty. Numbers below the replay floor are forgotten, and never new again.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::limits::RECEIVED_RANGES_MAX;
use crate::range_set::RangeSet;
use crate::time::Time;
use crate::wire::{Ecn, EcnCounts, PacketNumber, TruncatedNumber, len_u64};

/// More unacknowledged packets than this are acknowledged at once.
const PACKETS_MAX: u32 = 64;
/// More unacknowledged bytes than this are acknowledged at once: two offload batches, and half of what makes a
/// sender on this machine wait (`outbound/gather.rs`).
const BYTES_MAX: u64 = 128 << 10;
/// DATA among so many packets at the start of a connection is acknowledged two by two, for the sender's sake: its
/// window is small and grows with every acknowledgement.
const EAGER_PACKETS: u64 = 16;
/// No acknowledgement waits for less than this.
const DELAY_MIN: Duration = Duration::from_millis(1);

/// What a packet number is to the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Never seen.
    New,
    /// Received before, or too old to tell.
    Old,
}

/// What a newly received packet asks of its acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Its number.
    pub number: PacketNumber,
    /// Bytes of the datagram.
    pub size: usize,
    /// It is DATA.
    pub(crate) is_data: bool,
    /// IMM, FIN, PROBE, PATH, a hole made or filled in the stream: acknowledge at once.
    pub at_once: bool,
    /// Its ECN mark.
    pub ecn: Option<Ecn>,
}

/// The received packet numbers and the acknowledgement that is owed for them.
#[derive(Debug)]
pub(super) struct Acks {
    received: RangeSet,
    floor: PacketNumber,
    largest_at: Time,
    packets: u64,
    unacked_packets: u32,
    unacked_data: u32,
    unacked_bytes: u64,
    /// The last packet had a congestion mark.
    marked: bool,
    /// Marks of the packets received, for the sender.
    ecn: EcnCounts,
    owed: Owed,
    max_delay: Duration,
    next_ack_number: u64,
    dropped: bool,
}

/// How urgently an acknowledgement is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owed {
    Nothing,
    By(Time),
    Now,
}

impl Acks {
    /// Nothing received yet; `first` is the peer's first packet number.
    pub(super) fn new(first: PacketNumber, max_delay: Duration) -> Self {
        let mut received = RangeSet::new();
        received.insert(first.prev().get()..first.get());
        Acks {
            received,
            floor: first.prev(),
            largest_at: Time::ZERO,
            packets: 0,
            unacked_packets: 0,
            unacked_data: 0,
            unacked_bytes: 0,
            marked: false,
            ecn: EcnCounts::default(),
            owed: Owed::Nothing,
            max_delay,
            next_ack_number: 1,
            dropped: false,
        }
    }

    /// The largest number received; the number before the peer's first if there is none.
    pub(super) fn largest(&self) -> PacketNumber {
        let end = self
            .received
            .last()
            .map_or(self.floor.get(), |range| range.end - 1);
        PacketNumber::new(end)
    }

    /// The packet number with these low bits, as seen from what was received (RFC 9000 A.3).
    pub(super) fn expand(&self, number: TruncatedNumber) -> PacketNumber {
        number.expand(self.largest().next())
    }

    /// Whether a packet of this number was seen before.
    pub(super) fn standing(&self, number: PacketNumber) -> Standing {
        if number < self.floor || self.received.contains(number.get()) {
            Standing::Old
        } else {
            Standing::New
        }
    }

    /// A new packet was received and all that it carried was taken. `srtt` shortens how long its
    /// acknowledgement may wait if nothing asks for more haste; `window` is our receive window in bytes.
    pub(super) fn on_received(
        &mut self,
        now: Time,
        arrived: Arrived,
        srtt: Option<Duration>,
        window: u64,
    ) {
        let largest = self.largest();
        let in_order = arrived.number == largest.next();
        if arrived.number > largest {
            self.largest_at = now;
        }
        self.received
            .insert(arrived.number.get()..arrived.number.get() + 1);
        self.forget_oldest_range();
        self.packets += 1;
        self.unacked_packets += 1;
        self.unacked_data += u32::from(arrived.is_data);
        self.unacked_bytes += len_u64(arrived.size);
        self.ecn.add(arrived.ecn);
        let first_ce = self.is_first_mark(arrived.ecn);
        let many = self.unacked_packets > PACKETS_MAX
            || self.unacked_bytes > BYTES_MAX.min(window / 4)
            || (self.packets <= EAGER_PACKETS && self.unacked_data >= 2);
        if arrived.at_once || !in_order || first_ce || many {
            self.owe_now();
        } else {
            self.owe_by(now + self.delay(srtt));
        }
    }

    /// How long a lone acknowledgement waits.
    fn delay(&self, srtt: Option<Duration>) -> Duration {
        let quarter = srtt.map_or(self.max_delay, |srtt| srtt / 4);
        self.max_delay.min(quarter.max(DELAY_MIN))
    }

    /// Whether congestion was experienced, and not by the packet before (RFC 9000 s13.2.1).
    fn is_first_mark(&mut self, ecn: Option<Ecn>) -> bool {
        let marked = ecn == Some(Ecn::Ce);
        let first = marked && !self.marked;
        self.marked = marked;
        first
    }

    /// Keeps the set within its bound; what is forgotten must never count as new.
    fn forget_oldest_range(&mut self) {
        while self.received.len() > RECEIVED_RANGES_MAX {
            if let Some(range) = self.received.pop_first() {
                self.floor = self.floor.max(PacketNumber::new(range.end));
            }
        }
    }

    /// The sender tracks nothing below `oldest`: neither do we (docs/WIRE.md, DATA `aux`).
    pub(super) fn raise_floor(&mut self, oldest: PacketNumber) {
        let floor = oldest.min(self.largest());
        if floor > self.floor {
            self.floor = floor;
            self.received.remove(0..floor.get());
        }
    }

    /// Something could not be taken for lack of room: say so, at once.
    pub(super) fn on_dropped(&mut self) {
        self.dropped = true;
        self.owe_now();
    }

    /// An acknowledgement leaves at the next opportunity.
    pub(super) fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    /// An acknowledgement leaves at `at`, unless one leaves before.
    pub(super) fn owe_by(&mut self, at: Time) {
        self.owed = match self.owed {
            Owed::Nothing => Owed::By(at),
            Owed::By(earlier) => Owed::By(earlier.min(at)),
            Owed::Now => Owed::Now,
        };
    }

    /// Whether a packet of its own must carry an acknowledgement now.
    pub(super) fn is_due(&self, now: Time) -> bool {
        match self.owed {
            Owed::Nothing => false,
            Owed::By(at) => at <= now,
            Owed::Now => true,
        }
    }

    /// Whether an acknowledgement should ride on a packet that leaves anyway.
    pub(super) fn is_owed(&self) -> bool {
        self.owed != Owed::Nothing
    }

    /// When the delayed acknowledgement is due.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.owed {
            Owed::By(at) => Some(at),
            Owed::Nothing | Owed::Now => None,
        }
    }

    /// The numbers to report, highest range first.
    pub(super) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<PacketNumber>> + '_ {
        self.received
            .iter()
            .rev()
            .map(|range| PacketNumber::new(range.start)..=PacketNumber::new(range.end - 1))
    }

    /// Time since the largest number was received; zero before the first packet.
    pub(super) fn age_of_largest(&self, now: Time) -> Duration {
        if self.packets == 0 {
            Duration::ZERO
        } else {
            now - self.largest_at
        }
    }

    /// Whether something was dropped for lack of room since the last block.
    pub(super) fn has_dropped(&self) -> bool {
        self.dropped
    }

    /// A block with all this left.
    pub(super) fn on_reported(&mut self) {
        self.owed = Owed::Nothing;
        self.unacked_packets = 0;
        self.unacked_data = 0;
        self.unacked_bytes = 0;
        self.dropped = false;
    }

    /// The number of the next ACK packet; taking it uses it up.
    pub(super) fn take_ack_number(&mut self) -> u64 {
        let number = self.next_ack_number;
        self.next_ack_number += 1;
        number
    }

    /// The marks counted so far; `None` while there are none, which says the same in fewer bytes.
    pub(super) fn ecn_counts(&self) -> Option<EcnCounts> {
        (self.ecn != EcnCounts::default()).then_some(self.ecn)
    }

    /// Packets received that were new.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }
}

#[cfg(test)]
mod tests;
