//! [`Backoff`]: how long to wait before the next attempt, longer each time, and never as long as everybody else.

use std::time::Duration;

/// Pauses that double up to a most, each of them up to a fifth shorter or longer, so that many who lost the same peer do not all come
/// back in the same moment.
///
/// ```
/// use aqueduct::msg::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), 7);
/// let pauses: Vec<u128> = (0..6).map(|_| backoff.next_pause().as_millis()).collect();
/// assert!((40..=60).contains(&pauses[0]) && (80..=120).contains(&pauses[1]));
/// assert!((800..=1_200).contains(&pauses[5]));
/// backoff.reset();
/// assert!(backoff.next_pause() <= Duration::from_millis(60));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    chance: u64,
}

impl Backoff {
    /// Pauses from `min` to `max`; the same seed gives the same ones.
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Backoff {
            min,
            max: max.max(min),
            failures: 0,
            chance: seed,
        }
    }

    /// The pause after one more failure.
    pub fn next_pause(&mut self) -> Duration {
        let doubled = self.min.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let thousandths = 800 + self.next_number() % 401;
        let factor = u32::try_from(thousandths).expect("at most 1,200");
        doubled.min(self.max).saturating_mul(factor) / 1_000
    }

    /// It went well: the next pause is the shortest again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64.
    fn next_number(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
