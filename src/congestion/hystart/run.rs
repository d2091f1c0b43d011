//! Round trips in a row that are all too long: a queue, and no accident.

use std::time::Duration;

use crate::congestion::AckSample;
use crate::time::Time;

/// How many it takes: as many as judge a round (RFC 9406 s4.2, N_RTT_SAMPLE).
const SAMPLES_MIN: u32 = 8;
/// The part of a round trip that they take at least: what comes in one clump was held up by one thing.
const SPAN_DIVISOR: u32 = 8;

/// A run of round trips, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    began: Time,
    samples: u32,
    shortest: Duration,
}

impl Run {
    /// Adds a round trip that is too long, or begins anew after one that is not.
    pub(super) fn extend(&mut self, now: Time, rtt: Duration, is_long: bool) {
        if !is_long {
            *self = Run::default();
        } else if self.samples == 0 {
            *self = Run {
                began: now,
                samples: 1,
                shortest: rtt,
            };
        } else {
            self.samples = self.samples.saturating_add(1);
            self.shortest = self.shortest.min(rtt);
        }
    }

    /// The shortest, if there are enough of them for long enough.
    pub(super) fn least(&self, sample: &AckSample) -> Option<Duration> {
        let is_enough = self.samples >= SAMPLES_MIN;
        let is_long = sample.now - self.began >= sample.min_rtt / SPAN_DIVISOR;
        (is_enough && is_long).then_some(self.shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(40);

    /// The shortest of `rtts`, which came `apart` from each other, if they are a run.
    fn run(apart: Duration, rtts: &[u64]) -> Option<Duration> {
        let (mut run, mut now) = (Run::default(), Time::ZERO);
        for rtt in rtts {
            now += apart;
            let rtt = Duration::from_millis(*rtt);
            run.extend(now, rtt, rtt >= RTT + Duration::from_millis(5));
        }
        run.least(&AckSample {
            now,
            min_rtt: RTT,
            ..AckSample::default()
        })
    }

    #[test]
    fn eight_long_ones_are_a_run_and_tell_the_shortest() {
        let rtts = [60, 50, 47, 49, 60, 70, 70, 80];
        let millisecond = Duration::from_millis(1);
        assert_eq!(run(millisecond, &rtts), Some(Duration::from_millis(47)));
        assert_eq!(run(millisecond, &rtts[..7]), None);
    }

    #[test]
    fn one_short_round_trip_ends_it() {
        let rtts = [60, 60, 60, 60, 44, 60, 60, 60, 60];
        assert_eq!(run(Duration::from_millis(2), &rtts), None);
    }

    #[test]
    fn a_clump_that_was_held_up_is_none() {
        assert_eq!(run(Duration::from_micros(100), &[60; 40]), None);
        assert_eq!(run(Duration::ZERO, &[60; 4_000]), None);
    }
}
