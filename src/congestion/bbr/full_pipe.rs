//! Is the pipe full? (Section 5.3.1.2.) It is when three rounds of trying did not raise the rate by a
//! quarter. Rounds that the application limited tried nothing.

use super::arithmetic::percent;

/// Growth that says that there is more to be had, hundredths.
const GROWTH: u64 = 125;
/// Rounds without growth after which the pipe is full.
const ROUNDS: u8 = 3;
/// Rounds after which it is full if what was sent beyond its rate is seen to wait in a queue: the first tells
/// of what was sent before the attempt, the second of the attempt.
const ROUNDS_WITH_QUEUE: u8 = 2;
/// Growth that a probe of 125 would have brought, hundredths: less is none.
const LEAST_GROWTH: u64 = 110;

/// The estimator.
#[derive(Clone, Debug, Default)]
pub(super) struct FullPipe {
    /// The pipe was full at some time.
    pub(super) full_bw_reached: bool,
    /// The present attempt has found it full.
    pub(super) full_bw_now: bool,
    full_bw: u64,
    full_bw_count: u8,
    /// The last round brought next to nothing.
    stands_still: bool,
}

impl FullPipe {
    /// A new attempt begins, from a rate of `full_bw`.
    pub(super) fn reset(&mut self, full_bw: u64) {
        self.full_bw = full_bw;
        self.full_bw_count = 0;
        self.full_bw_now = false;
        self.stands_still = false;
    }

    /// A round that the application did not limit measured `rate`.
    pub(super) fn on_round(&mut self, rate: u64) {
        if self.full_bw_now {
            return;
        }
        if rate >= percent(self.full_bw, GROWTH) {
            self.reset(rate);
            return;
        }
        self.full_bw_count += 1;
        self.stands_still = rate < percent(self.full_bw, LEAST_GROWTH);
        if self.full_bw_count >= ROUNDS {
            self.fill();
        }
    }

    /// Whether a queue that is there now is what the attempt has brought, and all that it has.
    pub(super) fn is_full_with_queue(&self) -> bool {
        self.stands_still && self.full_bw_count >= ROUNDS_WITH_QUEUE
    }

    /// The pipe is full, by whatever sign.
    pub(super) fn fill(&mut self) {
        self.full_bw_now = true;
        self.full_bw_reached = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rounds_without_a_quarter_more_fill_the_pipe() {
        let mut pipe = FullPipe::default();
        for rate in [1_000, 1_250, 1_300, 1_400, 1_563] {
            pipe.on_round(rate);
            assert!(!pipe.full_bw_now, "{rate}");
        }
        pipe.on_round(1_900);
        pipe.on_round(1_900);
        assert!(!pipe.full_bw_now);
        pipe.on_round(1_900);
        assert!(pipe.full_bw_now && pipe.full_bw_reached);
        pipe.reset(0);
        assert!(!pipe.full_bw_now && pipe.full_bw_reached);
    }

    #[test]
    fn growth_is_a_quarter_and_not_a_third() {
        let mut pipe = FullPipe::default();
        pipe.on_round(1_000);
        pipe.on_round(1_000);
        pipe.on_round(1_000);
        pipe.on_round(1_251);
        assert!(!pipe.full_bw_now);
    }
}
