//! How much in flight the path has ever borne (sections 5.3.3.5 and 5.5.10.2): learned from probes that
//! lost too much, raised by probes that did not.

use super::arithmetic::{UNBOUNDED, percent};

/// `Headroom`: what a cruising flow leaves to others, hundredths.
pub(super) const HEADROOM: u64 = 15;
/// The step doubles in each round at most so often.
const DOUBLINGS_MAX: u32 = 30;

/// The long-term bound, bytes.
#[derive(Clone, Debug)]
pub(super) struct LongTerm {
    /// Unbounded until a probe went too far.
    pub(super) inflight_longterm: u64,
    /// Bytes to be acknowledged for each datagram that the bound grows by.
    probe_up_acked_per_inc: u64,
    /// Bytes acknowledged for which it has not grown yet.
    bw_probe_up_acked: u64,
    /// Rounds for which it has grown in this probe.
    bw_probe_up_rounds: u32,
}

impl LongTerm {
    /// No bound.
    pub(super) fn new() -> Self {
        LongTerm {
            inflight_longterm: UNBOUNDED,
            probe_up_acked_per_inc: UNBOUNDED,
            bw_probe_up_acked: 0,
            bw_probe_up_rounds: 0,
        }
    }

    /// Whether a probe ever went too far.
    pub(super) fn is_bounded(&self) -> bool {
        self.inflight_longterm != UNBOUNDED
    }

    /// The bound less what is left to others (`InflightWithHeadroom`).
    pub(super) fn with_headroom(&self, mtu: u64, min_pipe_cwnd: u64) -> u64 {
        if !self.is_bounded() {
            return UNBOUNDED;
        }
        let headroom = percent(self.inflight_longterm, HEADROOM).max(mtu);
        self.inflight_longterm
            .saturating_sub(headroom)
            .max(min_pipe_cwnd)
    }

    /// A probe is prepared: it will begin with the smallest step.
    pub(super) fn prepare_growth(&mut self) {
        self.bw_probe_up_rounds = 0;
        self.bw_probe_up_acked = 0;
    }

    /// No probe runs: nothing grows.
    pub(super) fn stop_growth(&mut self) {
        self.probe_up_acked_per_inc = UNBOUNDED;
    }

    /// `RaiseInflightLongtermSlope`: in each round of a probe by twice as many datagrams as in the last.
    pub(super) fn raise_slope(&mut self, cwnd: u64, mtu: u64) {
        self.probe_up_acked_per_inc = (cwnd >> self.bw_probe_up_rounds).max(mtu);
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(DOUBLINGS_MAX);
    }

    /// `newly_acked` bytes arrived while the bound was what limited the probe. What is short of a step is
    /// kept for the next.
    pub(super) fn grow(&mut self, newly_acked: u64, mtu: u64) {
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(newly_acked);
        let steps = self.bw_probe_up_acked / self.probe_up_acked_per_inc;
        self.bw_probe_up_acked -= steps * self.probe_up_acked_per_inc;
        self.inflight_longterm = self
            .inflight_longterm
            .saturating_add(steps.saturating_mul(mtu));
    }

    /// So much was in flight, and nothing spoke against it.
    pub(super) fn raise_to(&mut self, tx_in_flight: u64) {
        if self.is_bounded() {
            self.inflight_longterm = self.inflight_longterm.max(tx_in_flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1_000;

    #[test]
    fn growth_doubles_every_round_and_keeps_what_is_short_of_a_step() {
        let mut bound = LongTerm::new();
        bound.inflight_longterm = 100_000;
        bound.prepare_growth();
        let mut growth = Vec::new();
        for _round in 0..5 {
            let before = bound.inflight_longterm;
            bound.raise_slope(100_000, MTU);
            // 33 acknowledgements whose size divides no step.
            (0..33).for_each(|_| bound.grow(3_031, MTU));
            growth.push((bound.inflight_longterm - before) / MTU);
        }
        assert_eq!(growth, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn headroom_is_a_datagram_at_least_and_leaves_a_pipe() {
        let mut bound = LongTerm::new();
        assert_eq!(bound.with_headroom(MTU, 4 * MTU), UNBOUNDED);
        bound.inflight_longterm = 100_000;
        assert_eq!(bound.with_headroom(MTU, 4 * MTU), 85_000);
        bound.inflight_longterm = 5_500;
        assert_eq!(bound.with_headroom(MTU, 4 * MTU), 4_500);
        bound.inflight_longterm = 4_500;
        assert_eq!(bound.with_headroom(MTU, 4 * MTU), 4_000);
    }

    #[test]
    fn a_bound_that_is_not_set_stays_unset() {
        let mut bound = LongTerm::new();
        bound.raise_to(50_000);
        bound.grow(u64::MAX, MTU);
        bound.grow(u64::MAX, MTU);
        assert!(!bound.is_bounded());
    }
}
