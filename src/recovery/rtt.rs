//! How long a round trip takes (RFC 6298 s2, RFC 9002 s5).

use std::time::Duration;

/// The granularity G that variance and loss thresholds never go below (RFC 9002 s6.1.2, kGranularity).
///
/// Packets are stamped with nanoseconds, but a thread wakes some 50 us late, and timers of common
/// event loops count milliseconds. Less would take a late wake-up for a lost packet.
pub const GRANULARITY: Duration = Duration::from_millis(1);

/// The round trip that is assumed before the first sample (RFC 9002 s6.2.2).
pub const INITIAL_RTT: Duration = Duration::from_millis(333);

/// The shortest round trip that is believed: what divides by it must not blow up.
const RTT_MIN: Duration = Duration::from_micros(1);

/// Smoothed round trip, its deviation, and its minimum.
///
/// ```
/// use aqueduct::recovery::RttEstimator;
/// use std::time::Duration;
///
/// let mut rtt = RttEstimator::default();
/// assert_eq!(rtt.srtt(), None);
/// rtt.sample(Duration::from_millis(80), Duration::ZERO);
/// assert_eq!(rtt.srtt(), Some(Duration::from_millis(80)));
/// assert_eq!(rtt.rttvar(), Duration::from_millis(40));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RttEstimator {
    /// `None` before the first sample.
    estimate: Option<Estimate>,
    /// The smallest sample; `None` before the first, and after [`RttEstimator::forget_min_rtt`].
    min_rtt: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Estimate {
    latest: Duration,
    srtt: Duration,
    rttvar: Duration,
}

impl RttEstimator {
    /// Takes a round trip, of which the peer says that it spent `ack_delay` before answering.
    ///
    /// The delay is taken off, but never so much that less than `min_rtt` remains; `min_rtt` itself
    /// knows no delay (RFC 9002 s5.2, s5.3). The caller bounds the delay by what the peer promised.
    pub fn sample(&mut self, rtt: Duration, ack_delay: Duration) {
        let rtt = rtt.max(RTT_MIN);
        let min_rtt = self.min_rtt.map_or(rtt, |min| min.min(rtt));
        self.min_rtt = Some(min_rtt);
        let adjusted = rtt.saturating_sub(ack_delay).max(min_rtt);
        self.estimate = Some(match self.estimate {
            None => Estimate {
                latest: rtt,
                srtt: rtt,
                rttvar: rtt / 2,
            },
            Some(old) => old.updated(rtt, adjusted),
        });
    }

    /// The smoothed round trip; `None` before the first sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.estimate.map(|estimate| estimate.srtt)
    }

    /// The mean deviation of the round trip; zero before the first sample.
    pub fn rttvar(&self) -> Duration {
        self.estimate
            .map_or(Duration::ZERO, |estimate| estimate.rttvar)
    }

    /// The smallest round trip; `None` before the first sample.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt
    }

    /// The larger of the smoothed round trip and the latest one: how long an answer may take without
    /// being late (RFC 9002 s6.1.2). [`INITIAL_RTT`] before the first sample.
    pub fn expected(&self) -> Duration {
        self.estimate
            .map_or(INITIAL_RTT, |estimate| estimate.srtt.max(estimate.latest))
    }

    /// The next sample becomes the minimum: the path may have changed (RFC 9002 s5.2).
    pub fn forget_min_rtt(&mut self) {
        self.min_rtt = None;
    }
}

impl Estimate {
    /// RFC 9002 s5.3; the gains of 1/8 and 1/4 are those of RFC 6298 s2.3.
    fn updated(self, latest: Duration, adjusted: Duration) -> Self {
        let deviation = self.srtt.abs_diff(adjusted);
        Estimate {
            latest,
            srtt: (self.srtt * 7 + adjusted) / 8,
            rttvar: (self.rttvar * 3 + deviation) / 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_sample_is_taken_as_it_is() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.expected(), INITIAL_RTT);
        rtt.sample(ms(100), ms(20));
        assert_eq!(rtt.srtt(), Some(ms(100)));
        assert_eq!(rtt.rttvar(), ms(50));
        assert_eq!(rtt.min_rtt(), Some(ms(100)));
    }

    #[test]
    fn later_samples_are_smoothed_by_an_eighth_and_a_quarter() {
        let mut rtt = RttEstimator::default();
        // (sample, delay) -> (srtt, rttvar) in microseconds, computed by hand from RFC 9002 s5.3.
        let table = [
            (100_000, 0, 100_000, 50_000),
            (180_000, 0, 110_000, 57_500),
            (110_000, 0, 110_000, 43_125),
            (190_000, 40_000, 115_000, 42_343),
            (95_000, 0, 112_500, 36_757),
        ];
        for (sample, delay, srtt, rttvar) in table {
            rtt.sample(Duration::from_micros(sample), Duration::from_micros(delay));
            assert_eq!(rtt.srtt().unwrap().as_micros(), srtt, "srtt after {sample}");
            assert_eq!(rtt.rttvar().as_micros(), rttvar, "rttvar after {sample}");
        }
    }

    #[test]
    fn an_ack_delay_never_takes_a_sample_below_the_minimum() {
        let mut rtt = RttEstimator::default();
        rtt.sample(ms(50), ms(0));
        rtt.sample(ms(60), ms(1_000));
        assert_eq!(rtt.srtt(), Some(ms(50)));
        assert_eq!(rtt.min_rtt(), Some(ms(50)));
    }

    #[test]
    fn a_round_trip_of_nothing_counts_as_a_microsecond() {
        let mut rtt = RttEstimator::default();
        rtt.sample(Duration::ZERO, Duration::ZERO);
        assert_eq!(rtt.srtt(), Some(Duration::from_micros(1)));
        assert_eq!(rtt.expected(), Duration::from_micros(1));
    }

    #[test]
    fn eight_weeks_of_round_trip_are_a_sample_like_any_other() {
        let weeks = Duration::from_secs(8 * 7 * 86_400);
        let mut rtt = RttEstimator::default();
        for _ in 0..100 {
            rtt.sample(weeks, Duration::ZERO);
        }
        assert_eq!(rtt.srtt(), Some(weeks));
        rtt.sample(Duration::from_nanos(u64::MAX), Duration::ZERO);
        assert!(rtt.srtt() > Some(weeks));
    }

    #[test]
    fn a_forgotten_minimum_is_the_next_sample() {
        let mut rtt = RttEstimator::default();
        rtt.sample(ms(10), ms(0));
        rtt.forget_min_rtt();
        rtt.sample(ms(90), ms(0));
        assert_eq!(rtt.min_rtt(), Some(ms(90)));
        assert_eq!(rtt.srtt(), Some(ms(20)));
    }
}
