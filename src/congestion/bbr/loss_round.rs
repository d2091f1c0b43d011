//! Losses, counted by round trips (section 5.5.10), and which of them are the noise of the path.
//!
//! A loss round begins with the first loss after a round without, or where the last one ended. Its losses
//! are answered once, at its end.

use std::time::Duration;

use super::Rs;
use super::arithmetic::part;
use crate::congestion::LostPacket;
use crate::wire::PacketNumber;

/// Of what earlier rounds have shown, this part is remembered in each round: seven eighths. A small
/// window needs several rounds to tell one lost packet of a hundred from one of ten.
const MEMORY: (u64, u64) = (7, 8);
/// How much longer than the smallest round trip a round may be without a queue: this, or a twentieth.
const QUEUE_MIN: Duration = Duration::from_millis(1);

/// The present loss round.
#[derive(Clone, Debug, Default)]
pub(super) struct LossRound {
    /// Something was lost in it.
    pub(super) is_loss_in_round: bool,
    /// The acknowledgement at hand ends it.
    pub(super) loss_round_start: bool,
    /// A packet sent with so many bytes delivered ends it.
    loss_round_delivered: u64,
    /// It began with a loss that the next acknowledgement is still to date.
    begins: bool,
    /// Runs of packet numbers that were lost.
    ranges: u32,
    last_lost: Option<PacketNumber>,
    lost: u64,
    acked: u64,
    min_rtt: Option<Duration>,
    marked: bool,
    /// Of all rounds that were judged.
    recent: History,
    /// Of those whose losses cannot come of the flow's rate.
    innocent: History,
}

/// Bytes of the rounds before, the older the less.
#[derive(Clone, Debug, Default)]
struct History {
    lost: u64,
    all: u64,
}

/// What the flow knows when it judges a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    /// Thousandths of the bytes that noise may cost on any path.
    pub(super) noise: u64,
    /// And that it may cost on a bad one; whoever loses more sends too much, queue or not.
    pub(super) noise_max: u64,
    /// The smallest round trip known.
    pub(super) min_rtt: Option<Duration>,
    /// Bytes of a packet.
    pub(super) mtu: u64,
    /// The flow drains what its last probe has left: a queue is its own, and no sign of others.
    pub(super) is_draining: bool,
    /// The rate is cut already, so far that losses which go on are none of its doing.
    pub(super) is_cut: bool,
}

/// What the losses of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// None, or no more than noise costs.
    Noise,
    /// More, but there was no queue that could have overflowed.
    Unexplained,
    /// Of a queue, or a router says so.
    Congestion,
}

impl LossRound {
    /// A packet was lost.
    pub(super) fn on_lost(&mut self, packet: &LostPacket) {
        if self.last_lost.map(PacketNumber::next) != Some(packet.number) {
            self.ranges += 1;
        }
        self.last_lost = Some(packet.number);
        self.lost = self.lost.saturating_add(packet.size);
        self.begin();
    }

    /// A router marked packets, which is no noise.
    pub(super) fn on_mark(&mut self) {
        self.marked = true;
        self.begin();
    }

    fn begin(&mut self) {
        self.begins |= !self.is_loss_in_round;
        self.is_loss_in_round = true;
    }

    /// An acknowledgement begins to be processed.
    pub(super) fn on_ack(&mut self, rs: &Rs) {
        if std::mem::take(&mut self.begins) {
            self.loss_round_delivered = rs.total;
        }
        self.acked = self.acked.saturating_add(rs.newly_acked);
        self.min_rtt = match (self.min_rtt, rs.rtt) {
            (Some(least), Some(rtt)) => Some(least.min(rtt)),
            (least, rtt) => least.or(rtt),
        };
        self.loss_round_start = rs.prior_delivered >= self.loss_round_delivered;
        if self.loss_round_start {
            self.loss_round_delivered = rs.total;
        }
    }

    /// The acknowledgement is processed: if it ended the round, a new one is counted.
    pub(super) fn on_ack_end(&mut self) {
        if self.loss_round_start {
            self.forget();
        }
    }

    /// What was lost says nothing any more (`ResetCongestionSignals`).
    pub(super) fn reset(&mut self) {
        self.is_loss_in_round = false;
        self.begins = false;
        self.forget();
    }

    fn forget(&mut self) {
        (self.ranges, self.lost, self.acked) = (0, 0, 0);
        (self.min_rtt, self.marked) = (None, false);
    }

    /// Runs of lost packets in this round: a burst counts once.
    pub(super) fn ranges(&self) -> u32 {
        self.ranges
    }

    /// Judges the losses of the round that ends here.
    pub(super) fn judge(&mut self, judge: Judge) -> Verdict {
        let has_queue = self.has_queue(judge.min_rtt);
        if self.marked || has_queue && !judge.is_draining {
            self.innocent.fade();
            return Verdict::Congestion;
        }
        self.recent.add(self.lost, self.acked);
        let is_few = self.recent.is_few(judge.noise, judge.mtu);
        let is_much = self.recent.per_mille() > judge.noise_max;
        if !is_few && (has_queue || is_much) {
            return Verdict::Congestion;
        }
        if is_few || judge.is_cut {
            self.innocent.add(self.lost, self.acked);
        }
        if is_few {
            Verdict::Noise
        } else {
            Verdict::Unexplained
        }
    }

    /// Thousandths of the bytes that were lost when no rate of the flow's could have been the cause.
    pub(super) fn innocent_per_mille(&self) -> u64 {
        self.innocent.per_mille()
    }

    /// Whether the round had neither queue nor mark, and what was lost since the packet of `rs` left agrees with
    /// what a bad path loses, whatever the rate.
    pub(super) fn is_innocent(&self, rs: &Rs, judge: &Judge) -> bool {
        let seen = History {
            lost: rs.lost,
            all: rs.tx_in_flight,
        };
        !self.marked && !self.has_queue(judge.min_rtt) && seen.is_few(judge.noise_max, judge.mtu)
    }

    /// Whether not even the fastest packet of the round found the path empty.
    fn has_queue(&self, min_rtt: Option<Duration>) -> bool {
        let (Some(least), Some(min_rtt)) = (self.min_rtt, min_rtt) else {
            return true;
        };
        least > min_rtt + (min_rtt / 20).max(QUEUE_MIN)
    }
}

impl History {
    fn add(&mut self, lost: u64, acked: u64) {
        let (kept, of) = MEMORY;
        let all = lost.saturating_add(acked);
        self.lost = (self.lost / of * kept).saturating_add(lost);
        self.all = (self.all / of * kept).saturating_add(all);
    }

    /// Whether what was lost agrees with the rate of noise: above it by at most three times the standard
    /// deviation of so many packets lost by chance.
    fn is_few(&self, noise: u64, mtu: u64) -> bool {
        let expected = u128::from(self.all) * u128::from(noise) / 1_000;
        let excess = u128::from(self.lost).saturating_sub(expected);
        excess.saturating_mul(excess) <= 9 * expected * u128::from(mtu)
    }

    /// Remembers less of the losses, and as many packets.
    fn fade(&mut self) {
        let (kept, of) = MEMORY;
        self.lost = self.lost / of * kept;
    }

    fn per_mille(&self) -> u64 {
        part(self.lost, 1_000, self.all.max(1))
    }
}
