//! How long a round trip takes (RFC 6298 s2, RFC 9002 s5).

use std::time::Duration;

use crate::time::Time;

/// The granularity G that variance and loss thresholds never go below (RFC 9002 s6.1.2, kGranularity).
///
/// Packets are stamped with nanoseconds, but a thread wakes some 50 us late, and timers of common
/// event loops count milliseconds. Less would take a late wake-up for a lost packet.
pub const GRANULARITY: Duration = Duration::from_millis(1);

/// The round trip that is assumed before the first sample (RFC 9002 s6.2.2).
pub const INITIAL_RTT: Duration = Duration::from_millis(333);

/// The shortest round trip that is believed: what divides by it must not blow up.
const RTT_MIN: Duration = Duration::from_micros(1);

/// How long a smallest round trip is believed, at most; half of it, at least. A path that has become longer
/// without any loss is known as such after that (Linux keeps it for five minutes, too).
const MIN_RTT_WINDOW: Duration = Duration::from_secs(300);

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
    lately: Smallest,
}

/// The smallest of the samples of a window of time. Time goes on in steps of half a window: what is kept is
/// the smallest sample of the present half and that of the half before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Smallest {
    /// When the present half began; `None` before the time was told.
    began: Option<Time>,
    present: Option<Duration>,
    before: Option<Duration>,
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
        let min_rtt = self.lately.take(rtt);
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

    /// The latest round trip; `None` before the first sample.
    pub fn latest(&self) -> Option<Duration> {
        self.estimate.map(|estimate| estimate.latest)
    }

    /// The smallest round trip of the last minutes; `None` before the first sample.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.lately.smallest()
    }

    /// Time goes on, and a sample follows: a minimum that is too old is forgotten for it.
    pub fn advance(&mut self, now: Time) {
        self.lately.advance(now);
    }

    /// The larger of the smoothed round trip and the latest one: how long an answer may take without
    /// being late (RFC 9002 s6.1.2). [`INITIAL_RTT`] before the first sample.
    pub fn expected(&self) -> Duration {
        self.estimate
            .map_or(INITIAL_RTT, |estimate| estimate.srtt.max(estimate.latest))
    }

    /// The smaller of the smoothed round trip and the latest one: how fast a window may be spread. While a queue
    /// drains the smoothed one stays behind by several round trips, and would hold a small window back by as much as
    /// the queue was long. `None` before the first sample.
    pub fn spreading(&self) -> Option<Duration> {
        self.estimate
            .map(|estimate| estimate.srtt.min(estimate.latest))
    }

    /// The next sample becomes the minimum: the path may have changed (RFC 9002 s5.2).
    pub fn forget_min_rtt(&mut self) {
        self.lately.forget();
    }
}

impl Smallest {
    /// Takes a sample; the smallest now.
    fn take(&mut self, rtt: Duration) -> Duration {
        let present = self.present.map_or(rtt, |least| least.min(rtt));
        self.present = Some(present);
        self.before.map_or(present, |least| least.min(present))
    }

    fn smallest(&self) -> Option<Duration> {
        let samples = [self.present, self.before];
        samples.into_iter().flatten().min()
    }

    fn advance(&mut self, now: Time) {
        let half = MIN_RTT_WINDOW / 2;
        let passed = now - *self.began.get_or_insert(now);
        if passed >= half {
            self.before = self.present.take().filter(|_| passed < half * 2);
            self.began = Some(now);
        }
    }

    fn forget(&mut self) {
        (self.present, self.before) = (None, None);
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
    fn a_queue_that_is_gone_does_not_spread_the_window_any_more() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.spreading(), None);
        rtt.sample(ms(80), ms(0));
        rtt.sample(ms(40), ms(0));
        assert_eq!((rtt.srtt(), rtt.spreading()), (Some(ms(75)), Some(ms(40))));
        rtt.sample(ms(300), ms(0));
        assert_eq!(rtt.spreading(), rtt.srtt(), "a late one slows nothing down");
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
    fn a_minimum_is_believed_for_some_minutes_and_no_longer() {
        let secs = |secs: u64| Time::from_millis(secs * 1_000);
        let mut rtt = RttEstimator::default();
        let mut take = |now: u64, millis: u64| {
            rtt.advance(secs(now));
            rtt.sample(ms(millis), Duration::ZERO);
            rtt.min_rtt().unwrap()
        };
        assert_eq!(take(0, 10), ms(10));
        // The path has become longer. The old figure lives on for at least half a window, at most a whole.
        for now in 1..300 {
            assert_eq!(take(now, 50), ms(10), "after {now} s");
        }
        for now in 300..310 {
            assert_eq!(take(now, 60), ms(50), "after {now} s");
        }
        // After an hour of nothing the next sample stands alone.
        assert_eq!(take(4_000, 80), ms(80));
    }

    #[test]
    fn a_sample_taken_before_any_time_was_told_is_not_old() {
        let mut rtt = RttEstimator::default();
        rtt.sample(ms(10), Duration::ZERO);
        rtt.advance(Time::from_millis(86_400_000));
        rtt.sample(ms(50), Duration::ZERO);
        assert_eq!(rtt.min_rtt(), Some(ms(10)));
    }

    #[test]
    fn a_path_of_steady_round_trips_never_forgets_its_minimum() {
        let mut rtt = RttEstimator::default();
        for second in 0..10_000_u64 {
            rtt.advance(Time::from_millis(second * 1_000));
            rtt.sample(ms(20 + second % 50), Duration::ZERO);
            assert_eq!(rtt.min_rtt(), Some(ms(20)));
        }
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
