//! One direction of a path: which datagrams get through it, when, and in what condition.
//!
//! A datagram passes the stages in this order: filters, partition, loss, MTU, ECN marks, duplication, corruption,
//! queue and rate, a bottleneck that is shared with other links, delay and jitter. Sizes are those of the UDP
//! payload; headers of UDP and IP count nothing.

use std::time::Duration;

use crate::time::Time;
use crate::wire::Ecn;

use super::fault::{Corruption, EcnFault, Loss, LossState};
use super::{BottleneckId, Rng};

/// How one direction of a path treats datagrams. A new one is perfect: it adds nothing, not even time.
///
/// ```
/// use aqueduct::sim::{Link, Loss};
/// use std::time::Duration;
///
/// let link = Link::new()
///     .rate_bits(10_000_000)
///     .queue_bytes(64_000)
///     .delay(Duration::from_millis(20))
///     .loss(Loss::random(0.01));
/// assert_eq!(link.serialization(1250), Duration::from_millis(1));
/// ```
#[derive(Clone, Debug)]
pub struct Link {
    pub(super) rate_bits: Option<u64>,
    pub(super) queue_bytes: u64,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) jitter_reorders: bool,
    pub(super) reorder: f64,
    pub(super) reorder_by: Reorder,
    pub(super) loss: Loss,
    pub(super) duplicate: f64,
    pub(super) copies_max: u32,
    pub(super) corrupt: f64,
    pub(super) replay: f64,
    pub(super) mtu: usize,
    pub(super) mark: f64,
    pub(super) ecn: EcnFault,
    pub(super) bottleneck: Option<BottleneckId>,
}

/// How a reordered datagram falls behind others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reorder {
    /// It takes this much longer.
    Delay(Duration),
    /// It waits until so many later datagrams have left before it, for a second at most.
    Distance(u32),
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

impl Link {
    /// A perfect link: no delay, no bound of rate, no fault.
    pub fn new() -> Self {
        Link {
            rate_bits: None,
            queue_bytes: u64::MAX,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            jitter_reorders: false,
            reorder: 0.0,
            reorder_by: Reorder::Distance(1),
            loss: Loss::None,
            duplicate: 0.0,
            copies_max: 1,
            corrupt: 0.0,
            replay: 0.0,
            mtu: usize::MAX,
            mark: 0.0,
            ecn: EcnFault::None,
            bottleneck: None,
        }
    }

    /// Bits a second; a datagram that comes while others are sent waits in the queue.
    #[must_use]
    pub fn rate_bits(mut self, bits_per_second: u64) -> Self {
        self.rate_bits = Some(bits_per_second.max(1));
        self
    }

    /// Bytes that may wait for their turn, the datagram that is being sent included; what comes on top is
    /// dropped (drop-tail). An idle link takes any datagram.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// The way itself: time from leaving the queue to arriving.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Additional delay, each datagram its own, evenly from 0 to `jitter`; the order is kept.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        (self.jitter, self.jitter_reorders) = (jitter, false);
        self
    }

    /// As [`Link::jitter`], but a datagram with a short delay overtakes one with a long delay.
    #[must_use]
    pub fn reordering_jitter(mut self, jitter: Duration) -> Self {
        (self.jitter, self.jitter_reorders) = (jitter, true);
        self
    }

    /// With this probability a datagram falls behind later ones.
    #[must_use]
    pub fn reorder(mut self, probability: f64, by: Reorder) -> Self {
        (self.reorder, self.reorder_by) = (probability, by);
        self
    }

    /// Which datagrams are lost.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// With this probability a datagram arrives more than once: 1 to `copies_max` further times.
    #[must_use]
    pub fn duplicate(mut self, probability: f64, copies_max: u32) -> Self {
        (self.duplicate, self.copies_max) = (probability, copies_max.max(1));
        self
    }

    /// With this probability a datagram is damaged: bits flipped, cut, extended, emptied, halves swapped.
    #[must_use]
    pub fn corrupt(mut self, probability: f64) -> Self {
        self.corrupt = probability;
        self
    }

    /// With this probability a datagram is followed by a copy of one of the 64 before it.
    #[must_use]
    pub fn replay(mut self, probability: f64) -> Self {
        self.replay = probability;
        self
    }

    /// Larger datagrams vanish without a word (UDP payload bytes).
    #[must_use]
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = bytes;
        self
    }

    /// With this probability a datagram is marked (ECN CE), if its sender says that it understands marks.
    #[must_use]
    pub fn mark(mut self, probability: f64) -> Self {
        self.mark = probability;
        self
    }

    /// What a broken box does with the ECN field.
    #[must_use]
    pub fn ecn(mut self, fault: EcnFault) -> Self {
        self.ecn = fault;
        self
    }

    /// The link leads through a bottleneck, behind its own queue and rate; several links may lead through one.
    #[must_use]
    pub fn through(mut self, bottleneck: BottleneckId) -> Self {
        self.bottleneck = Some(bottleneck);
        self
    }

    /// The same rate, queue, bottleneck, delay, jitter in order, and MTU; nothing is lost, copied, damaged, marked
    /// or reordered any more.
    #[must_use]
    pub fn without_faults(self) -> Self {
        Link {
            jitter_reorders: false,
            reorder: 0.0,
            loss: Loss::None,
            duplicate: 0.0,
            corrupt: 0.0,
            replay: 0.0,
            mark: 0.0,
            ecn: EcnFault::None,
            ..self
        }
    }

    /// The time that the link needs to send `bytes` bytes.
    pub fn serialization(&self, bytes: usize) -> Duration {
        let Some(rate) = self.rate_bits else {
            return Duration::ZERO;
        };
        let bit_nanos = u128::try_from(bytes).expect("a length") * 8_000_000_000;
        Duration::from_nanos(u64::try_from(bit_nanos / u128::from(rate)).unwrap_or(u64::MAX))
    }
}

/// What became of the datagrams that entered a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkStats {
    /// Datagrams that entered.
    pub entered: u64,
    /// Their bytes.
    pub entered_bytes: u64,
    /// Datagrams that left, copies and replays included.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Dropped by a filter.
    pub filtered: u64,
    /// Dropped by a partition.
    pub partitioned: u64,
    /// Dropped by the loss model.
    pub lost: u64,
    /// Dropped because the queue was full, that of the bottleneck included.
    pub overflowed: u64,
    /// Dropped by the bottleneck's policer.
    pub policed: u64,
    /// Dropped because they carried an ECN mark.
    pub ecn_dropped: u64,
    /// Marked by the link itself (ECN CE).
    pub marked: u64,
    /// Dropped because they were larger than the MTU.
    pub too_large: u64,
    /// Additional copies.
    pub duplicated: u64,
    /// Old datagrams that came again.
    pub replayed: u64,
    /// Damaged.
    pub corrupted: u64,
    /// Fell behind others on purpose.
    pub reordered: u64,
}

impl LinkStats {
    /// Datagrams to which something was done: dropped, copied, damaged, reordered.
    pub fn faults(&self) -> u64 {
        let dropped = self.filtered + self.partitioned + self.lost + self.overflowed;
        let changed = self.duplicated + self.replayed + self.corrupted + self.reordered;
        dropped + self.too_large + self.policed + self.ecn_dropped + self.marked + changed
    }
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) from: std::net::SocketAddr,
    pub(super) to: std::net::SocketAddr,
    pub(super) bytes: Vec<u8>,
    pub(super) ecn: Option<Ecn>,
}

/// What a link does with a datagram that entered.
#[derive(Debug)]
pub(super) enum Leaving {
    /// It arrives at this time.
    At(Time, Parcel),
    /// It comes to the bottleneck at this time.
    Bottleneck(Time, Parcel),
    /// It waits for others; look again at this time if it is still there.
    Held(Time, u64),
}

/// One direction of a path at work.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) link: Link,
    pub(super) stats: LinkStats,
    pub(super) is_down: bool,
    /// The shortest way that this link ever was.
    pub(super) delay_min: Duration,
    loss: LossState,
    rng: Rng,
    busy_until: Time,
    last_arrival: Time,
    held: Vec<Held>,
    held_count: u64,
    history: Vec<Parcel>,
}

#[derive(Debug)]
struct Held {
    id: u64,
    left: u32,
    parcel: Parcel,
}

/// Old datagrams that a link keeps for replays.
const HISTORY: usize = 64;
/// The longest that a reordered datagram waits for others.
const HOLD_MAX: Duration = Duration::from_secs(1);

impl LinkState {
    pub(super) fn new(link: Link, seed: u64, name: &str) -> Self {
        LinkState {
            delay_min: link.delay,
            link,
            stats: LinkStats::default(),
            is_down: false,
            loss: LossState::default(),
            rng: Rng::new(seed, name),
            busy_until: Time::ZERO,
            last_arrival: Time::ZERO,
            held: Vec::new(),
            held_count: 0,
            history: Vec::new(),
        }
    }

    /// Changes what the link does.
    pub(super) fn set(&mut self, link: Link) {
        self.delay_min = self.delay_min.min(link.delay);
        self.link = link;
    }

    /// Takes a datagram in; what leaves, and when, is added to `out`.
    pub(super) fn enter(&mut self, now: Time, mut parcel: Parcel, out: &mut Vec<Leaving>) {
        if self.is_dropped(&parcel) {
            return;
        }
        self.change_mark(&mut parcel);
        let old = self.remember(&parcel);
        let mut copies = 0;
        if self.rng.chance(self.link.duplicate) {
            copies = self.rng.between(1, u64::from(self.link.copies_max));
        }
        for _ in 0..copies {
            self.stats.duplicated += 1;
            self.transport(now, parcel.clone(), out);
        }
        self.transport(now, parcel, out);
        if let Some(old) = old {
            self.stats.replayed += 1;
            self.transport(now, old, out);
        }
    }

    fn is_dropped(&mut self, parcel: &Parcel) -> bool {
        let stats = &mut self.stats;
        stats.entered += 1;
        stats.entered_bytes += length(&parcel.bytes);
        if self.is_down {
            stats.partitioned += 1;
        } else if self.loss.is_lost(&self.link.loss, &mut self.rng) {
            stats.lost += 1;
        } else if parcel.bytes.len() > self.link.mtu {
            stats.too_large += 1;
        } else if parcel.ecn.is_some() && self.link.ecn == EcnFault::Drop {
            stats.ecn_dropped += 1;
        } else {
            return false;
        }
        true
    }

    /// What becomes of the ECN field.
    fn change_mark(&mut self, parcel: &mut Parcel) {
        if parcel.ecn.is_none() {
            return;
        }
        if self.rng.chance(self.link.mark) {
            parcel.ecn = Some(Ecn::Ce);
            self.stats.marked += 1;
        }
        parcel.ecn = match self.link.ecn {
            EcnFault::Bleach => None,
            EcnFault::Ect1 if parcel.ecn == Some(Ecn::Ect0) => Some(Ecn::Ect1),
            EcnFault::Ce => Some(Ecn::Ce),
            EcnFault::Ect1 | EcnFault::None | EcnFault::Drop => parcel.ecn,
        };
    }

    /// Keeps a copy of the datagram for later, and chooses one of the kept ones to come again.
    fn remember(&mut self, parcel: &Parcel) -> Option<Parcel> {
        if self.link.replay <= 0.0 {
            return None;
        }
        let kept = self.history.len();
        let old = (kept > 0 && self.rng.chance(self.link.replay))
            .then(|| self.history[self.rng.index(kept)].clone());
        if kept < HISTORY {
            self.history.push(parcel.clone());
        } else {
            let slot = self.rng.index(kept);
            self.history[slot] = parcel.clone();
        }
        old
    }

    /// Damage, queue and rate of one copy; then the bottleneck, or the way.
    fn transport(&mut self, now: Time, mut parcel: Parcel, out: &mut Vec<Leaving>) {
        if self.rng.chance(self.link.corrupt) {
            self.stats.corrupted += 1;
            Corruption::random(&mut self.rng).apply(&mut self.rng, &mut parcel.bytes);
        }
        let Some(sent_at) = self.through_queue(now, parcel.bytes.len()) else {
            self.stats.overflowed += 1;
            return;
        };
        if self.link.bottleneck.is_some() {
            out.push(Leaving::Bottleneck(sent_at, parcel));
        } else {
            self.travel(sent_at, parcel, out);
        }
    }

    /// The way of a datagram whose last bit was sent at `sent_at`: reordering, delay and jitter.
    pub(super) fn travel(&mut self, sent_at: Time, parcel: Parcel, out: &mut Vec<Leaving>) {
        let is_reordered = self.rng.chance(self.link.reorder);
        self.stats.reordered += u64::from(is_reordered);
        match self.link.reorder_by {
            Reorder::Distance(left) if is_reordered && left > 0 => {
                self.hold(sent_at, left, parcel, out);
            }
            Reorder::Delay(delay) if is_reordered => {
                let at = sent_at + self.link.delay + delay;
                self.deliver(at, parcel, out);
            }
            _ => {
                let at = self.arrival(sent_at);
                self.deliver(at, parcel, out);
                self.release_overtaken(at, out);
            }
        }
    }

    /// When the last bit leaves the queue; `None` if there is no room in it.
    fn through_queue(&mut self, now: Time, bytes: usize) -> Option<Time> {
        let Some(rate) = self.link.rate_bits else {
            return Some(now);
        };
        let backlog_nanos = (self.busy_until - now).as_nanos();
        let backlog = (backlog_nanos * u128::from(rate)).div_ceil(8_000_000_000);
        let wanted = backlog + u128::from(length_of(bytes));
        if backlog > 0 && wanted > u128::from(self.link.queue_bytes) {
            return None;
        }
        self.busy_until = self.busy_until.max(now) + self.link.serialization(bytes);
        Some(self.busy_until)
    }

    fn arrival(&mut self, sent_at: Time) -> Time {
        let at = sent_at + self.link.delay + self.rng.duration(self.link.jitter);
        if self.link.jitter_reorders {
            return at;
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }

    fn deliver(&mut self, at: Time, parcel: Parcel, out: &mut Vec<Leaving>) {
        self.stats.delivered += 1;
        self.stats.delivered_bytes += length(&parcel.bytes);
        out.push(Leaving::At(at, parcel));
    }

    fn hold(&mut self, sent_at: Time, left: u32, parcel: Parcel, out: &mut Vec<Leaving>) {
        let id = self.held_count;
        self.held_count += 1;
        self.held.push(Held { id, left, parcel });
        out.push(Leaving::Held(sent_at + HOLD_MAX, id));
    }

    /// One more datagram has gone ahead of those that wait.
    fn release_overtaken(&mut self, at: Time, out: &mut Vec<Leaving>) {
        let mut index = 0;
        while let Some(held) = self.held.get_mut(index) {
            held.left -= 1;
            if held.left == 0 {
                let held = self.held.remove(index);
                self.deliver(at, held.parcel, out);
            } else {
                index += 1;
            }
        }
    }

    /// The waiting datagram, if it still waits, leaves now.
    pub(super) fn release(&mut self, now: Time, id: u64, out: &mut Vec<Leaving>) {
        if let Some(index) = self.held.iter().position(|held| held.id == id) {
            let held = self.held.remove(index);
            self.deliver(now + self.link.delay, held.parcel, out);
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    length_of(bytes.len())
}

fn length_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
