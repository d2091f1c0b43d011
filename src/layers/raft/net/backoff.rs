//! [`Backoff`]: the pauses between attempts to reach somebody who cannot be reached.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(50);
/// The longest: whoever comes back is found within it.
const LONGEST: Duration = Duration::from_secs(1);

/// 50 ms, doubled each time up to a second, each a fifth longer or shorter by chance, so that nodes do not knock in step.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    next: Duration,
    /// SplitMix64.
    chance: u64,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Backoff {
            next: FIRST,
            chance: seed,
        }
    }

    /// Somebody was reached: the next pause is the first again.
    pub(super) fn reset(&mut self) {
        self.next = FIRST;
    }

    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        let percent = u32::try_from(80 + self.draw() % 41).expect("at most 120");
        Some(pause * percent / 100)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn pauses_double_to_a_second_each_within_a_fifth() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed);
            for expected in [50, 100, 200, 400, 800, 1_000, 1_000, 1_000] {
                let pause = backoff.next().expect("there is always one");
                let expected = Duration::from_millis(expected);
                assert!(pause >= expected * 8 / 10, "seed {seed}: {pause:?}");
                assert!(pause <= expected * 12 / 10, "seed {seed}: {pause:?}");
            }
            backoff.reset();
            let first = backoff.next().expect("there is always one");
            assert!(first <= Duration::from_millis(60));
        }
        let first = |seed| Backoff::new(seed).next();
        assert!((1..50).any(|seed| first(seed) != first(0)), "they differ");
    }
}
