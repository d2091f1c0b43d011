//! How much more than the rate explains is acknowledged at once (section 5.5.9): links that gather
//! packets, and receivers that answer rarely, need so much more in flight.

use std::time::Duration;

use super::arithmetic::carried;
use crate::time::Time;

/// Rounds over which the maximum is taken once the pipe was full (`ExtraAckedFilterLen`).
const FILTER_ROUNDS: u64 = 10;
const SLOTS: usize = 10;

/// The estimate of aggregation, bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct ExtraAcked {
    interval_start: Option<Time>,
    /// Bytes acknowledged since.
    delivered: u64,
    /// The maximum of each of the last rounds, and which round it was.
    maxima: [(u64, u64); SLOTS],
    next: usize,
    /// Whether the pipe was full, so that ten rounds count and not one.
    steady: bool,
}

impl ExtraAcked {
    /// `newly_acked` bytes were acknowledged while the rate was `bw`; never more than `cwnd` is extra.
    pub(super) fn update(&mut self, now: Time, bw: u64, newly_acked: u64, cwnd: u64, round: u64) {
        let interval = self
            .interval_start
            .map_or(Duration::ZERO, |start| now - start);
        let mut expected = carried(bw, interval);
        if self.delivered <= expected {
            self.restart(now);
            expected = 0;
        }
        self.delivered = self.delivered.saturating_add(newly_acked);
        let extra = self.delivered.saturating_sub(expected).min(cwnd);
        self.note(extra, round);
    }

    /// Counts from here: nothing was in flight that could have been gathered.
    pub(super) fn restart(&mut self, now: Time) {
        self.interval_start = Some(now);
        self.delivered = 0;
    }

    /// The pipe was full once: longer memory from now on.
    pub(super) fn set_steady(&mut self, steady: bool) {
        self.steady = steady;
    }

    /// The estimate in round `round`.
    pub(super) fn extra_acked(&self, round: u64) -> u64 {
        let window = if self.steady { FILTER_ROUNDS } else { 1 };
        let recent = self.maxima.iter().filter(|(at, _)| at + window > round);
        recent.map(|&(_, extra)| extra).max().unwrap_or(0)
    }

    /// Keeps the largest of each round; a new round takes the place of the oldest.
    fn note(&mut self, extra: u64, round: u64) {
        if self.maxima[self.next].0 != round {
            self.next = (self.next + 1) % SLOTS;
            self.maxima[self.next] = (round, 0);
        }
        let largest = &mut self.maxima[self.next].1;
        *largest = extra.max(*largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 1_000_000;

    #[test]
    fn a_burst_after_silence_is_extra_and_a_steady_flow_is_not() {
        let mut steady = ExtraAcked::default();
        let mut bursty = ExtraAcked::default();
        for tick in 1..=20 {
            let now = Time::from_millis(tick);
            steady.update(now, RATE, 1_000, 100_000, 1);
            if tick % 10 == 0 {
                bursty.update(now, RATE, 10_000, 100_000, 1);
            }
        }
        assert_eq!(steady.extra_acked(1), 1_000, "one acknowledgement's worth");
        assert_eq!(bursty.extra_acked(1), 10_000);
    }

    #[test]
    fn extra_is_remembered_for_ten_rounds_or_for_one_while_starting() {
        let mut extra = ExtraAcked::default();
        extra.update(Time::ZERO, RATE, 50_000, 100_000, 1);
        extra.update(Time::from_millis(100), RATE, 1_000, 100_000, 2);
        assert_eq!(extra.extra_acked(2), 1_000);
        extra.set_steady(true);
        assert_eq!(extra.extra_acked(2), 50_000);
        for round in 3..=10 {
            extra.update(Time::from_millis(100 * round), RATE, 1_000, 100_000, round);
        }
        assert_eq!(extra.extra_acked(10), 50_000);
        assert_eq!(extra.extra_acked(11), 1_000);
    }

    #[test]
    fn extra_is_never_more_than_the_window() {
        let mut extra = ExtraAcked::default();
        extra.update(Time::ZERO, RATE, 500_000, 20_000, 1);
        assert_eq!(extra.extra_acked(1), 20_000);
    }
}
