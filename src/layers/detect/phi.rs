//! [`PhiAccrual`]: how unusual a silence is (Hayashibara et al., "The phi accrual failure detector", 2004).
//!
//! The intervals between heartbeats are taken for normally distributed. `phi` is minus the decimal logarithm of the
//! probability that a heartbeat is still to come after this much silence: at 8 one in a hundred million.

use std::collections::VecDeque;
use std::time::Duration;

use super::detector::{Detector, Liveness, judge, next_of};
use crate::time::Time;

/// Intervals that are remembered at most, whatever the configuration says.
const WINDOW_MAX: usize = 10_000;
/// No silence is more standard deviations beyond the usual than this; where the search for a level ends.
const DEVIATIONS_MAX: f64 = 64.0;

/// How a [`PhiAccrual`] judges.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PhiConfig {
    /// From this `phi` on the peer counts as dead. 8: one false alarm in a hundred million heartbeats, if intervals were
    /// really normally distributed.
    pub threshold: f64,
    /// From this `phi` on the peer is suspect.
    pub suspect: f64,
    /// Intervals that are remembered; 1 to 10,000.
    pub window: usize,
    /// The least standard deviation that is believed: a path that was very steady may become less so.
    pub min_std: Duration,
    /// Silence that is granted on top of the usual interval: heartbeats lost in a row, garbage collections.
    pub pause: Duration,
    /// What an interval is taken for before one was measured.
    pub first_interval: Duration,
}

impl Default for PhiConfig {
    /// For heartbeats each 100 ms over a path that loses none.
    fn default() -> Self {
        PhiConfig {
            threshold: 8.0,
            suspect: 3.0,
            window: 200,
            min_std: Duration::from_millis(50),
            pause: Duration::ZERO,
            first_interval: Duration::from_millis(100),
        }
    }
}

impl PhiConfig {
    /// For heartbeats at this interval over a path that loses some: a silence of a little less than seven intervals is death,
    /// so six heartbeats in a row may be lost.
    pub fn for_interval(interval: Duration) -> Self {
        PhiConfig {
            min_std: interval / 2,
            pause: interval * 3,
            first_interval: interval,
            ..PhiConfig::default()
        }
    }
}

/// A suspicion that grows with the silence, the faster the steadier the heartbeats were.
///
/// ```
/// use aqueduct::detect::{Detector, Liveness, PhiAccrual, PhiConfig};
/// use aqueduct::time::Time;
///
/// let mut peer = PhiAccrual::new(PhiConfig::default());
/// for beat in 1..=50 {
///     peer.heard(Time::from_millis(100 * beat));
/// }
/// assert_eq!(peer.liveness(Time::from_millis(5_150)), Liveness::Alive);
/// assert!(peer.level(Time::from_millis(5_300)) > 3.0);
/// assert!(matches!(peer.liveness(Time::from_millis(5_500)), Liveness::Dead { .. }));
/// ```
#[derive(Clone, Debug)]
pub struct PhiAccrual {
    config: PhiConfig,
    /// Intervals, nanoseconds.
    intervals: VecDeque<u64>,
    sum: u128,
    sum_of_squares: u128,
    /// The latest heartbeat.
    beat_at: Option<Time>,
    /// The latest sign of life.
    heard_at: Option<Time>,
    /// The interval that ends with the next heartbeat says nothing.
    is_disturbed: bool,
}

impl PhiAccrual {
    /// A peer of which nothing was heard yet.
    pub fn new(config: PhiConfig) -> Self {
        PhiAccrual {
            config,
            intervals: VecDeque::new(),
            sum: 0,
            sum_of_squares: 0,
            beat_at: None,
            heard_at: None,
            is_disturbed: false,
        }
    }

    /// The mean interval.
    pub fn mean(&self) -> Duration {
        let Ok(count @ 1..) = u128::try_from(self.intervals.len()) else {
            return self.config.first_interval;
        };
        nanoseconds(self.sum / count)
    }

    /// The standard deviation of the intervals, at least the configured one.
    pub fn std(&self) -> Duration {
        let Ok(count @ 1..) = u128::try_from(self.intervals.len()) else {
            return self.config.min_std.max(self.config.first_interval / 4);
        };
        let mean = self.sum / count;
        let variance = (self.sum_of_squares / count).saturating_sub(mean * mean);
        nanoseconds(variance.isqrt()).max(self.config.min_std)
    }

    /// The silence after which the suspicion is `phi`.
    pub fn silence_of(&self, phi: f64) -> Duration {
        let deviations = deviations_of(phi);
        let spread = self.std().as_secs_f64() * deviations;
        let usual = self.mean() + self.config.pause;
        if spread < 0.0 {
            usual.saturating_sub(Duration::try_from_secs_f64(-spread).unwrap_or(Duration::MAX))
        } else {
            usual.saturating_add(Duration::try_from_secs_f64(spread).unwrap_or(Duration::MAX))
        }
    }

    fn learn(&mut self, interval: Duration) {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let wide = u128::from(interval);
        self.intervals.push_back(interval);
        self.sum += wide;
        self.sum_of_squares = self.sum_of_squares.saturating_add(wide * wide);
        while self.intervals.len() > self.config.window.clamp(1, WINDOW_MAX) {
            let oldest = u128::from(self.intervals.pop_front().unwrap_or(0));
            self.sum -= oldest;
            self.sum_of_squares = self.sum_of_squares.saturating_sub(oldest * oldest);
        }
    }

    /// When the peer becomes suspect, and when it dies, if nothing is heard.
    fn crossings(&self, heard_at: Time) -> (Time, Time) {
        let at = |phi| heard_at + self.silence_of(phi);
        (at(self.config.suspect), at(self.config.threshold))
    }
}

impl Detector for PhiAccrual {
    fn heard(&mut self, now: Time) {
        // The end of an outage is not an interval: it would make the detector blind for the next one.
        let was_dead = matches!(self.liveness(now), Liveness::Dead { .. });
        let disturbed = std::mem::take(&mut self.is_disturbed) || was_dead;
        if let Some(before) = self.beat_at.filter(|_| !disturbed) {
            self.learn(now - before);
        }
        self.beat_at = Some(now);
        self.evidence(now);
    }

    fn evidence(&mut self, at: Time) {
        self.heard_at = self.heard_at.max(Some(at));
    }

    fn forgive(&mut self, now: Time, held_up: Duration) {
        self.is_disturbed = true;
        self.heard_at = self.heard_at.map(|at| (at + held_up).min(now));
    }

    /// `phi`.
    fn level(&self, now: Time) -> f64 {
        let Some(heard_at) = self.heard_at else {
            return 0.0;
        };
        let usual = self.mean() + self.config.pause;
        let beyond = (now - heard_at).as_secs_f64() - usual.as_secs_f64();
        phi_of(beyond / self.std().as_secs_f64().max(f64::MIN_POSITIVE))
    }

    fn liveness(&self, now: Time) -> Liveness {
        let Some(heard_at) = self.heard_at else {
            return Liveness::Unknown;
        };
        let (suspect, dead) = self.crossings(heard_at);
        judge(now, suspect, dead, self.level(now))
    }

    fn next_check(&self, now: Time) -> Option<Time> {
        let (suspect, dead) = self.crossings(self.heard_at?);
        next_of(now, suspect, dead)
    }
}

fn nanoseconds(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The logistic approximation of the normal distribution: its tail beyond `deviations`, as `phi`.
fn phi_of(deviations: f64) -> f64 {
    let deviations = deviations.clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX);
    let exponent = deviations * (1.5976 + 0.070_566 * deviations * deviations);
    // ln(1 + e^x) without overflow, in decimal digits.
    let digits = exponent.max(0.0) + (-exponent.abs()).exp().ln_1p();
    digits / std::f64::consts::LN_10
}

/// The inverse of [`phi_of`], which grows with its argument: found by halving.
fn deviations_of(phi: f64) -> f64 {
    let (mut low, mut high) = (-DEVIATIONS_MAX, DEVIATIONS_MAX);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if phi_of(middle) < phi {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
