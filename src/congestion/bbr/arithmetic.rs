//! Rates, times and fractions of them without overflow and without floats.

use std::time::Duration;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// A bound that bounds nothing.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// `numerator / denominator` of `value`, rounded down.
pub(super) fn part(value: u64, numerator: u64, denominator: u64) -> u64 {
    saturate(u128::from(value) * u128::from(numerator) / u128::from(denominator))
}

/// `percent` hundredths of `value`.
pub(super) fn percent(value: u64, percent: u64) -> u64 {
    part(value, percent, 100)
}

/// Bytes that `rate` bytes a second carry in `time`.
pub(super) fn carried(rate: u64, time: Duration) -> u64 {
    saturate(u128::from(rate).saturating_mul(time.as_nanos()) / SECOND)
}

/// Bytes a second that carry `bytes` in `time`; times below a microsecond count as one, for no path
/// is faster and a clock may be coarser.
pub(super) fn rate_of(bytes: u64, time: Duration) -> u64 {
    saturate(u128::from(bytes) * SECOND / time.as_nanos().max(1_000))
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Numbers that follow from a seed (SplitMix64): for what only must not be in step with other flows.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// A number from 0 to `most`, both included.
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        mixed % most.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_product_of_rate_and_time_overflows() {
        assert_eq!(carried(u64::MAX, Duration::MAX), u64::MAX);
        assert_eq!(carried(12_500_000, Duration::from_millis(40)), 500_000);
        assert_eq!(rate_of(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(rate_of(500_000, Duration::from_millis(40)), 12_500_000);
        assert_eq!(percent(u64::MAX, 277), u64::MAX);
        assert_eq!(percent(1_000, 277), 2_770);
    }

    #[test]
    fn random_numbers_follow_from_their_seed_and_fill_their_range() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.up_to(9)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((0..10).all(|number| draw(7).contains(&number)));
    }
}
