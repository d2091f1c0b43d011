//! The smallest round trip of ten seconds, and when it is time to look for it (section 5.3.4.3).

use std::time::Duration;

use crate::time::Time;

/// `ProbeRTTInterval`: the flow makes room to measure so often.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// But not more often than once in so many round trips: a measurement takes two, at half the rate, and so
/// costs a twentieth. The draft has no such bound; a path of one second would lose a sixth of its rate.
const PROBE_RTT_ROUNDS: u32 = 20;
/// `MinRTTFilterLen`, in those intervals: the last measurement is still known during the next.
const MIN_RTT_FILTER_LEN: u32 = 2;

/// A round trip that is longer than the smallest by no more than this part of it finds the path as empty.
const SAME_SHARE: u32 = 32;

/// A measurement, and when it was made.
#[derive(Clone, Copy, Debug)]
struct Stamped {
    rtt: Duration,
    at: Time,
}

/// Both filters.
#[derive(Clone, Debug, Default)]
pub(super) struct MinRtt {
    /// Of ten seconds.
    min: Option<Stamped>,
    /// Of five: `probe_rtt_min_delay`, `probe_rtt_min_stamp`.
    recent: Option<Stamped>,
    /// The recent one was too old when the last acknowledgement came.
    probe_rtt_expired: bool,
}

impl MinRtt {
    /// The estimate; `None` before the first.
    pub(super) fn min_rtt(&self) -> Option<Duration> {
        self.min.map(|min| min.rtt)
    }

    /// Whether nothing lower was seen for so long that the queue should be drained to look.
    pub(super) fn probe_rtt_expired(&self) -> bool {
        self.probe_rtt_expired
    }

    /// An acknowledgement came, and perhaps it measured a round trip.
    pub(super) fn update(&mut self, now: Time, rtt: Option<Duration>) {
        let interval = self.interval();
        let is_old = |stamped: Stamped, age: Duration| now > stamped.at + age;
        self.probe_rtt_expired = self.recent.is_some_and(|recent| is_old(recent, interval));
        if let Some(rtt) = rtt {
            let is_lower = self.recent.is_none_or(|recent| rtt < recent.rtt);
            if is_lower || self.probe_rtt_expired {
                self.recent = Some(Stamped { rtt, at: now });
            }
        }
        let Some(recent) = self.recent else { return };
        let memory = interval.saturating_mul(MIN_RTT_FILTER_LEN);
        let gives_way = |min: Stamped| recent.rtt < min.rtt || is_old(min, memory);
        if self.min.is_none_or(gives_way) {
            self.min = Some(recent);
        }
    }

    /// An acknowledgement came that measured `rtt`. If it is time to look, and that found the path as empty as it
    /// was ever seen, there is nothing to make room for: the smallest is confirmed. It is kept as it was, or it
    /// would creep upward where a queue grows slowly. (The draft empties the path all the same.)
    pub(super) fn confirm(&mut self, now: Time, rtt: Duration) {
        let (interval, is_empty) = (self.interval(), |min| rtt <= min + min / SAME_SHARE);
        let is_due = (self.recent).is_some_and(|recent| now > recent.at + interval);
        if let Some(least) = self.min_rtt().filter(|&min| is_due && is_empty(min)) {
            let confirmed = Some(Stamped {
                rtt: least.min(rtt),
                at: now,
            });
            (self.min, self.recent) = (confirmed, confirmed);
        }
    }

    fn interval(&self) -> Duration {
        let min_rtt = self.min_rtt().unwrap_or_default();
        PROBE_RTT_INTERVAL.max(min_rtt.saturating_mul(PROBE_RTT_ROUNDS))
    }

    /// The flow has just drained the queue and looked: the next time is an interval from now.
    pub(super) fn schedule(&mut self, now: Time) {
        if let Some(recent) = &mut self.recent {
            recent.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn the_first_acknowledgement_at_any_time_finds_nothing_expired() {
        let mut filter = MinRtt::default();
        filter.update(Time::from_millis(3_600_000), ms(40));
        assert!(!filter.probe_rtt_expired());
        assert_eq!(filter.min_rtt(), ms(40));
    }

    #[test]
    fn a_long_path_is_measured_once_in_twenty_round_trips() {
        let mut filter = MinRtt::default();
        filter.update(Time::ZERO, ms(1_000));
        filter.update(Time::from_millis(20_000), ms(1_100));
        assert!(!filter.probe_rtt_expired());
        filter.update(Time::from_millis(20_001), ms(1_100));
        assert!(filter.probe_rtt_expired());
        assert_eq!(filter.min_rtt(), ms(1_000));
    }

    #[test]
    fn a_path_that_is_found_empty_in_time_need_not_be_emptied() {
        let mut filter = MinRtt::default();
        filter.update(Time::ZERO, ms(64));
        for (millis, rtt, is_expired) in [
            (5_001, 66, false),
            (10_002, 66, false),
            (10_003, 70, false),
            (15_003, 67, true),
        ] {
            let (now, rtt) = (Time::from_millis(millis), Duration::from_millis(rtt));
            filter.confirm(now, rtt);
            filter.update(now, Some(rtt));
            assert_eq!(filter.probe_rtt_expired(), is_expired, "{millis}");
            assert_eq!(filter.min_rtt(), ms(64), "it does not creep");
        }
    }

    #[test]
    fn a_minimum_is_kept_for_ten_seconds_and_looked_for_every_five() {
        let mut filter = MinRtt::default();
        filter.update(Time::ZERO, ms(40));
        filter.update(Time::from_millis(5_000), ms(50));
        assert!(!filter.probe_rtt_expired());
        filter.update(Time::from_millis(5_001), ms(50));
        assert!(filter.probe_rtt_expired());
        assert_eq!(filter.min_rtt(), ms(40));
        filter.update(Time::from_millis(10_001), ms(55));
        assert_eq!(filter.min_rtt(), ms(50));
        filter.update(Time::from_millis(10_002), ms(30));
        assert_eq!(filter.min_rtt(), ms(30), "a lower one counts at once");
    }
}
