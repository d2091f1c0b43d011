//! HyStart++: leaves slow start when the round trip grows, before anything is lost (RFC 9406).
//!
//! When every round trip of a round is longer than those of the round before, a queue may have begun to
//! grow: from then on the window grows by a quarter of what it did ("conservative slow start"). If the
//! round trip falls again it was an accident, and slow start goes on; if it does not in five rounds, slow
//! start is over.
//!
//! Packets are paced, so the limit of RFC 9406 on growth by one acknowledgement (L) is infinite. And so a round need not
//! be over to be judged: a flight that is spread over the round trip queues only where it is more than the path carries,
//! and then the round trip grows within it. Eight in a row that are too long mean what the shortest of the whole next
//! round would, at half the window.

mod run;

use std::time::Duration;

use super::AckSample;
use run::Run;

/// The round trip has grown if it has by at least this (MIN_RTT_THRESH).
const GROWTH_MIN: Duration = Duration::from_millis(4);
/// Or by this, however long it is (MAX_RTT_THRESH).
const GROWTH_MAX: Duration = Duration::from_millis(16);
/// Or by this part of it, between the two (MIN_RTT_DIVISOR).
const GROWTH_DIVISOR: u32 = 8;
/// A single round trip is too long by this part: slow start is paced at twice what the window is worth, so a flight that the
/// path could carry in a round trip queues in the midst of one, on 200 ms for longer than [`GROWTH_MAX`].
const LONG_DIVISOR: u32 = 4;
/// Round trips measured before a round is judged (N_RTT_SAMPLE).
const SAMPLES_MIN: u32 = 8;
/// Conservative slow start grows by this part of what slow start does (CSS_GROWTH_DIVISOR).
const CONSERVATIVE_DIVISOR: u64 = 4;
/// Rounds of conservative slow start, the begun one included (CSS_ROUNDS).
const CONSERVATIVE_ROUNDS: u32 = 5;
/// Below this round trip a growth by [`GROWTH_MIN`] says nothing of a queue: the noise of a host is as large.
const SRTT_MIN: Duration = Duration::from_millis(1);

/// Watches the round trips of the first slow start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HyStart {
    /// The shortest round trip of the round before.
    last_round: Option<Duration>,
    /// The shortest round trip of this round.
    this_round: Option<Duration>,
    /// Round trips measured in this round.
    samples: u32,
    /// Round trips in a row that are too long.
    run: Run,
    conservative: Option<Conservative>,
}

/// The round trip has grown.
#[derive(Clone, Copy, Debug)]
struct Conservative {
    /// The shortest of the round trips that were too long.
    baseline: Duration,
    /// The shortest round trip of this round, or of its part since then.
    least: Option<Duration>,
    /// Rounds ended since.
    rounds: u32,
    /// Bytes that were in flight when the round trip grew: with them the queue began.
    flight: u64,
    /// Acknowledged bytes that were too few to grow by one.
    credit: u64,
}

impl Conservative {
    /// Whether round trips are shorter again than those that were too long.
    fn is_over(&self) -> bool {
        self.least.is_some_and(|least| least < self.baseline)
    }
}

/// What HyStart++ makes of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// Slow start grows by these bytes.
    Grow(u64),
    /// Slow start is over; so many bytes fill the path.
    Leave(u64),
}

impl HyStart {
    /// Whether the round trip has grown, so that growth is slower.
    pub(super) fn is_conservative(&self) -> bool {
        self.conservative.is_some()
    }

    /// An acknowledgement in slow start; `begins_round`: it is the first of a round trip.
    pub(super) fn on_ack(&mut self, sample: &AckSample, begins_round: bool) -> Advice {
        if sample.srtt < SRTT_MIN {
            *self = HyStart::default();
            return Advice::Grow(sample.growth);
        }
        if begins_round {
            if let Some(flight) = self.begin_round() {
                return Advice::Leave(path_bytes(sample, flight));
            }
        }
        if let Some(rtt) = sample.rtt {
            self.samples += 1;
            self.this_round = Some(shorter(self.this_round, rtt));
            match &mut self.conservative {
                Some(conservative) => conservative.least = Some(shorter(conservative.least, rtt)),
                None => self
                    .run
                    .extend(sample.now, rtt, is_long(self.last_round, rtt)),
            }
            self.judge(sample);
        }
        Advice::Grow(self.growth(sample.growth))
    }

    /// Starts to measure anew. The flight that made the delay, if conservative slow start is over.
    fn begin_round(&mut self) -> Option<u64> {
        self.last_round = self.this_round.take();
        self.samples = 0;
        let conservative = self.conservative.as_mut()?;
        conservative.least = None;
        conservative.rounds += 1;
        (conservative.rounds >= CONSERVATIVE_ROUNDS).then_some(conservative.flight)
    }

    /// Compares the round trips of this round with those of an earlier one, once there are enough.
    fn judge(&mut self, sample: &AckSample) {
        let has_enough = self.samples >= SAMPLES_MIN;
        match self.conservative {
            // Shorter again: the growth was an accident.
            Some(conservative) if has_enough && conservative.is_over() => {
                self.conservative = None;
                self.run = Run::default();
                self.samples = 0;
            }
            Some(_) => {}
            None => {
                let least = self.this_round.filter(|_| has_enough);
                let least = least.filter(|least| has_grown(self.last_round, *least));
                if let Some(least) = least.or(self.run.least(sample)) {
                    self.slow_down(sample, least);
                }
            }
        }
    }

    /// Round trips have grown to `least` and more.
    fn slow_down(&mut self, sample: &AckSample, least: Duration) {
        self.conservative = Some(Conservative {
            baseline: least,
            least: None,
            rounds: 0,
            flight: sample.rate.map_or(0, |rate| rate.tx_in_flight),
            credit: 0,
        });
        // The next decision needs round trips of its own.
        self.samples = 0;
    }

    /// How much the window grows for `bytes`.
    fn growth(&mut self, bytes: u64) -> u64 {
        let Some(conservative) = &mut self.conservative else {
            return bytes;
        };
        let total = bytes.saturating_add(conservative.credit);
        conservative.credit = total % CONSERVATIVE_DIVISOR;
        total / CONSERVATIVE_DIVISOR
    }
}

/// Whether `rtt` is longer than the shortest of the round before by more than chance.
fn has_grown(last_round: Option<Duration>, rtt: Duration) -> bool {
    last_round.is_some_and(|last| {
        let growth = (last / GROWTH_DIVISOR).clamp(GROWTH_MIN, GROWTH_MAX);
        rtt >= last + growth
    })
}

/// Whether `rtt` alone is longer than the shortest of the round before by more than pacing makes it.
fn is_long(last_round: Option<Duration>, rtt: Duration) -> bool {
    last_round.is_some_and(|last| rtt >= last + (last / LONG_DIVISOR).max(GROWTH_MIN))
}

fn shorter(least: Option<Duration>, rtt: Duration) -> Duration {
    least.map_or(rtt, |least| least.min(rtt))
}

/// The bytes that fill the path: `flight`, with which the delay began, not the window, which has grown
/// several times over until that was known. If the delay was not ours the path holds more than that
/// flight, namely what it delivers in its shortest round trip.
fn path_bytes(sample: &AckSample, flight: u64) -> u64 {
    let rate = sample.rate.and_then(|rate| rate.rate).unwrap_or(0);
    let product = u128::from(rate) * sample.min_rtt.as_nanos() / 1_000_000_000;
    u64::try_from(product).unwrap_or(u64::MAX).max(flight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::RateSample;
    use crate::time::Time;

    const DATAGRAM: u64 = 1_200;

    fn sample(rtt: Duration) -> AckSample {
        AckSample {
            newly_acked: DATAGRAM,
            growth: DATAGRAM,
            rtt: Some(rtt),
            srtt: rtt,
            min_rtt: rtt,
            rate: Some(RateSample {
                tx_in_flight: 77_000,
                ..RateSample::default()
            }),
            ..AckSample::default()
        }
    }

    /// A round of `samples` acknowledgements; the advice of the last.
    fn round(hystart: &mut HyStart, rtt: Duration, samples: u32) -> Advice {
        let mut advice = Advice::Grow(0);
        for nth in 0..samples {
            advice = hystart.on_ack(&sample(rtt), nth == 0);
        }
        advice
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// In conservative slow start since the end of a round of `after`.
    fn conservative(before: Duration, after: Duration) -> HyStart {
        let mut hystart = HyStart::default();
        round(&mut hystart, before, 8);
        round(&mut hystart, after, 8);
        assert!(hystart.is_conservative());
        hystart
    }

    #[test]
    fn the_round_trip_has_grown_by_an_eighth_but_by_4_ms_at_least_and_16_ms_at_most() {
        for (before, growth) in [(2, 4), (16, 4), (32, 4), (80, 10), (128, 16), (600, 16)] {
            for (more, grown) in [(growth * 1_000 - 1, false), (growth * 1_000, true)] {
                let mut hystart = HyStart::default();
                round(&mut hystart, ms(before), 8);
                round(&mut hystart, ms(before) + Duration::from_micros(more), 8);
                assert_eq!(
                    hystart.is_conservative(),
                    grown,
                    "{before} ms and {more} us"
                );
            }
        }
    }

    #[test]
    fn a_round_is_judged_by_its_eighth_sample_and_not_before() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(40), 8);
        round(&mut hystart, ms(80), 7);
        assert!(!hystart.is_conservative());
        hystart.on_ack(&sample(ms(80)), false);
        assert!(hystart.is_conservative());
    }

    #[test]
    fn one_short_round_trip_in_a_round_is_enough_to_go_on() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(40), 8);
        round(&mut hystart, ms(80), 7);
        for _ in 0..20 {
            hystart.on_ack(&sample(ms(41)), false);
        }
        assert!(!hystart.is_conservative());
    }

    /// Acknowledgements of round trips in milliseconds, one each 2 ms; whether growth is slow after each.
    fn paced(hystart: &mut HyStart, from: u64, rtts: &[u64]) -> Vec<bool> {
        let mut slow = Vec::new();
        for (nth, rtt) in (0..).zip(rtts) {
            let mut sample = sample(ms(*rtt));
            (sample.now, sample.min_rtt) = (Time::from_millis(from + 2 * nth), ms(40));
            hystart.on_ack(&sample, nth == 0);
            slow.push(hystart.is_conservative());
        }
        slow
    }

    #[test]
    fn a_round_trip_that_grows_within_a_round_is_seen_before_its_end() {
        let mut hystart = HyStart::default();
        paced(&mut hystart, 0, &[40; 8]);
        let growing: Vec<u64> = (40..60).collect();
        let slow = paced(&mut hystart, 40, &growing);
        // The eighth from 50 ms on.
        assert_eq!(slow.iter().position(|slow| *slow), Some(17), "{slow:?}");
        // The next round has a queue from its beginning: that stays so.
        let slow = paced(&mut hystart, 100, &[52; 12]);
        assert!(slow.iter().all(|slow| *slow));
    }

    #[test]
    fn a_queue_that_drains_between_flights_slows_the_rest_of_its_round_only() {
        let mut hystart = HyStart::default();
        paced(&mut hystart, 0, &[40; 8]);
        paced(&mut hystart, 40, &[40, 50, 51, 52, 53, 54, 55, 56, 57]);
        assert!(hystart.is_conservative());
        let slow = paced(&mut hystart, 80, &[41; 9]);
        assert_eq!(slow.iter().position(|slow| !slow), Some(7), "{slow:?}");
        assert_eq!(hystart.this_round, Some(ms(41)), "the whole round counts");
    }

    #[test]
    fn long_round_trips_among_short_ones_are_no_queue() {
        let mut hystart = HyStart::default();
        paced(&mut hystart, 0, &[40; 8]);
        let rtts: Vec<u64> = (0..200).map(|n| if n % 8 == 0 { 44 } else { 60 }).collect();
        let slow = paced(&mut hystart, 40, &rtts);
        assert!(slow.iter().all(|slow| !slow));
    }

    /// neqo #3505: an acknowledgement between two rounds belonged to none.
    #[test]
    fn the_acknowledgement_that_ends_a_round_is_the_first_of_the_next() {
        let mut hystart = HyStart::default();
        round(&mut hystart, ms(40), 8);
        hystart.on_ack(&sample(ms(90)), true);
        assert_eq!((hystart.last_round, hystart.samples), (Some(ms(40)), 1));
    }

    /// neqo #3506: samples from before conservative slow start ended it at once.
    #[test]
    fn conservative_slow_start_is_judged_by_samples_of_its_own() {
        let mut hystart = conservative(ms(40), ms(50));
        for _ in 0..7 {
            hystart.on_ack(&sample(ms(49)), false);
            assert!(hystart.is_conservative());
        }
        hystart.on_ack(&sample(ms(49)), false);
        assert!(
            !hystart.is_conservative(),
            "an accident: slow start goes on"
        );
    }

    #[test]
    fn conservative_slow_start_grows_by_a_quarter_and_loses_no_byte() {
        let mut hystart = conservative(ms(40), ms(50));
        let grow = |hystart: &mut HyStart, bytes| {
            let sample = AckSample {
                growth: bytes,
                ..sample(ms(50))
            };
            match hystart.on_ack(&sample, false) {
                Advice::Grow(bytes) => bytes,
                Advice::Leave(_) => panic!("left"),
            }
        };
        assert_eq!(grow(&mut hystart, 1_200), 300);
        let total: u64 = (0..1_000).map(|_| grow(&mut hystart, 3)).sum();
        assert_eq!(total, 750);
    }

    #[test]
    fn five_rounds_of_long_round_trips_end_slow_start_at_the_flight_that_made_them() {
        let mut hystart = conservative(ms(40), ms(50));
        for _ in 0..4 {
            let advice = round(&mut hystart, ms(55), 8);
            assert_eq!(advice, Advice::Grow(300));
        }
        let advice = hystart.on_ack(&sample(ms(55)), true);
        assert_eq!(advice, Advice::Leave(77_000));
    }

    #[test]
    fn a_path_that_carries_more_than_that_flight_is_left_as_full_as_it_is() {
        let mut hystart = conservative(ms(40), ms(50));
        for _ in 0..4 {
            round(&mut hystart, ms(55), 8);
        }
        let mut last = sample(ms(55));
        last.min_rtt = ms(40);
        last.rate = Some(RateSample {
            rate: Some(5_000_000),
            ..RateSample::default()
        });
        assert_eq!(hystart.on_ack(&last, true), Advice::Leave(200_000));
    }

    #[test]
    fn below_a_millisecond_round_trips_say_nothing() {
        let mut hystart = HyStart::default();
        for micros in [50, 400, 999] {
            let mut sample = sample(ms(60));
            sample.srtt = Duration::from_micros(micros);
            for nth in 0..20 {
                assert_eq!(hystart.on_ack(&sample, nth == 0), Advice::Grow(DATAGRAM));
            }
        }
        assert!(!hystart.is_conservative() && hystart.samples == 0);
    }
}
