//! What the path carries at the moment (section 5.5.10.3): lowered round by round while packets are lost,
//! forgotten before the next probe.

use super::Rs;
use super::arithmetic::{UNBOUNDED, percent};

/// `Beta`: no round takes more than three tenths away, hundredths.
pub(super) const BETA: u64 = 70;

/// Hundredths of the largest rate at which no flow keeps a queue of its own: what Down sends at.
const DRAINING: u64 = 90;

/// The short-term bounds and what they follow.
#[derive(Clone, Debug)]
pub(super) struct ShortTerm {
    /// Bytes a second.
    pub(super) bw_shortterm: u64,
    /// Bytes.
    pub(super) inflight_shortterm: u64,
    /// The largest delivery rate of this loss round.
    bw_latest: u64,
    /// The most delivered between the sending and the acknowledgement of a packet in this loss round.
    inflight_latest: u64,
}

impl ShortTerm {
    /// No bounds.
    pub(super) fn new() -> Self {
        ShortTerm {
            bw_shortterm: UNBOUNDED,
            inflight_shortterm: UNBOUNDED,
            bw_latest: 0,
            inflight_latest: 0,
        }
    }

    /// An acknowledgement begins to be processed.
    pub(super) fn on_ack(&mut self, rs: &Rs) {
        self.bw_latest = self.bw_latest.max(rs.delivery_rate());
        self.inflight_latest = self.inflight_latest.max(rs.delivered);
    }

    /// The acknowledgement that ended a loss round is processed; it is the first of the next.
    pub(super) fn on_round_end(&mut self, rs: &Rs) {
        self.bw_latest = rs.delivery_rate();
        self.inflight_latest = rs.delivered;
    }

    /// `ResetCongestionSignals`.
    pub(super) fn reset_latest(&mut self) {
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// `ResetShortTermModel`.
    pub(super) fn reset(&mut self) {
        self.bw_shortterm = UNBOUNDED;
        self.inflight_shortterm = UNBOUNDED;
    }

    /// A round with losses is over: toward what was delivered in it, from `max_bw` and `cwnd` if nothing
    /// bounded before.
    pub(super) fn adapt(&mut self, max_bw: u64, cwnd: u64) {
        if self.bw_shortterm == UNBOUNDED {
            self.bw_shortterm = max_bw;
        }
        if self.inflight_shortterm == UNBOUNDED {
            self.inflight_shortterm = cwnd;
        }
        self.bw_shortterm = self.bw_latest.max(percent(self.bw_shortterm, BETA));
        self.inflight_shortterm = self
            .inflight_latest
            .max(percent(self.inflight_shortterm, BETA));
    }

    /// Losses without a queue cut the rate once, as CUBIC would, and the volume not below what the path
    /// holds (`bdp`): what is in flight makes no queue. A rate that is lower already was cut for a reason.
    pub(super) fn adapt_once(&mut self, max_bw: u64, cwnd: u64, bdp: u64) {
        let least = percent(max_bw, BETA);
        let is_above = self.bw_shortterm >= least;
        self.adapt(max_bw, cwnd);
        if is_above {
            self.bw_shortterm = self.bw_shortterm.max(least);
            self.inflight_shortterm = self.inflight_shortterm.max(bdp);
        }
    }

    /// Whether the rate is cut by no more than that, and by enough to let any queue of the flow's own drain.
    pub(super) fn is_cut_once(&self, max_bw: u64) -> bool {
        (percent(max_bw, BETA)..=percent(max_bw, DRAINING)).contains(&self.bw_shortterm)
    }

    /// See the field.
    pub(super) fn inflight_latest(&self) -> u64 {
        self.inflight_latest
    }
}
