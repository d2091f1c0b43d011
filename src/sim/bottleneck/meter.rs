//! What a bottleneck measures of itself over a window of time.

use std::time::Duration;

use crate::time::Time;

/// Steps within each doubling of the delay: percentiles are exact to 1/64.
const STEPS: u64 = 64;
/// Doublings of a nanosecond.
const DOUBLINGS: usize = 64;

/// How long datagrams waited, how many bytes passed, and how much of the time something was being sent.
#[derive(Clone, Debug)]
pub struct QueueMeter {
    begin: Time,
    now: Time,
    bytes: u64,
    count: u64,
    waited: u128,
    longest: Duration,
    busy: Duration,
    busy_until: Time,
    /// Datagrams by waiting time: `STEPS` counts for each doubling, on demand.
    counts: Vec<u64>,
}

impl QueueMeter {
    pub(super) fn new(begin: Time) -> Self {
        QueueMeter {
            begin,
            now: begin,
            bytes: 0,
            count: 0,
            waited: 0,
            longest: Duration::ZERO,
            busy: Duration::ZERO,
            busy_until: begin,
            counts: Vec::new(),
        }
    }

    pub(super) fn at(&self, now: Time) -> Self {
        QueueMeter {
            now,
            ..self.clone()
        }
    }

    pub(super) fn on_passed(&mut self, now: Time, waited: Duration, bytes: u64) {
        self.now = now;
        self.bytes += bytes;
        self.count += 1;
        self.waited += waited.as_nanos();
        self.longest = self.longest.max(waited);
        let index = bucket(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX));
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
    }

    /// Something is being sent until then.
    pub(super) fn on_busy(&mut self, from: Time, until: Time) {
        self.busy += until - from;
        self.busy_until = until;
    }

    /// What is being sent takes until `after`, instead of until the time that was said before.
    pub(super) fn on_busy_until(&mut self, after: Time) {
        let before = std::mem::replace(&mut self.busy_until, after);
        self.busy = (self.busy + (after - before)).saturating_sub(before - after);
    }

    /// How long it has measured.
    pub fn window(&self) -> Duration {
        self.now - self.begin
    }

    /// Datagrams that passed.
    pub fn datagrams(&self) -> u64 {
        self.count
    }

    /// Bytes that passed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes a second that passed.
    pub fn rate(&self) -> f64 {
        let seconds = self.window().as_secs_f64();
        if seconds > 0.0 {
            self.bytes as f64 / seconds
        } else {
            0.0
        }
    }

    /// The share of the time in which something was being sent.
    pub fn utilisation(&self) -> f64 {
        let window = self.window().as_secs_f64();
        let busy = self.busy.saturating_sub(self.busy_until - self.now);
        if window > 0.0 {
            busy.as_secs_f64() / window
        } else {
            0.0
        }
    }

    /// The mean time that a datagram waited for others, its own sending not counted.
    pub fn mean_delay(&self) -> Duration {
        let mean = self.waited / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The longest time that a datagram waited.
    pub fn longest_delay(&self) -> Duration {
        self.longest
    }

    /// The time that `share` (0 to 1) of the datagrams waited no longer than, exact to a sixty-fourth.
    pub fn delay_percentile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil();
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen > 0 && seen as f64 >= wanted {
                return Duration::from_nanos(ceiling(index)).min(self.longest);
            }
        }
        self.longest
    }
}

/// The bucket of a waiting time: small ones by themselves, then `STEPS` for each doubling.
fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return usize::try_from(nanos).expect("a small number");
    }
    let shift = nanos.ilog2() - STEPS.ilog2();
    let step = usize::try_from((nanos >> shift) - STEPS).expect("below the steps");
    let doubling = usize::try_from(shift).expect("below 64");
    let steps = usize::try_from(STEPS).expect("a small number");
    debug_assert!(doubling < DOUBLINGS, "a number of 64 bits");
    steps + doubling * steps + step
}

/// The largest waiting time of a bucket.
fn ceiling(index: usize) -> u64 {
    let steps = usize::try_from(STEPS).expect("a small number");
    if index < steps {
        return u64::try_from(index).expect("a small number");
    }
    let (doubling, step) = ((index - steps) / steps, (index - steps) % steps);
    let step = STEPS + u64::try_from(step).expect("below the steps");
    let low = u128::from(step) << doubling;
    let width = 1_u128 << doubling;
    u64::try_from(low + width - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_times_to_a_sixty_fourth() {
        for nanos in (0..100_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let top = ceiling(bucket(nanos));
            assert!(
                top >= nanos && top - nanos <= nanos / STEPS,
                "{nanos}: {top}"
            );
        }
    }

    #[test]
    fn percentiles_and_the_mean_are_those_of_the_times() {
        let mut meter = QueueMeter::new(Time::ZERO);
        for micros in (1..=1_000).rev() {
            meter.on_passed(Time::from_millis(9), Duration::from_micros(micros), 10);
        }
        let near = |share: f64, micros: f64| {
            let found = meter.delay_percentile(share).as_secs_f64() * 1e6;
            assert!(
                (found / micros - 1.0).abs() <= 1.0 / 64.0,
                "{share}: {found}"
            );
        };
        near(0.5, 500.0);
        near(0.95, 950.0);
        near(1.0, 1_000.0);
        near(0.0, 1.0);
        assert_eq!(meter.mean_delay(), Duration::from_nanos(500_500));
        assert_eq!(meter.longest_delay(), Duration::from_millis(1));
        assert_eq!((meter.bytes(), meter.datagrams()), (10_000, 1_000));
    }
}
