//! Seeded randomness: one generator for each component, so that adding a component shifts no other.

use std::time::Duration;

/// A generator of pseudo-random numbers (xoshiro256**), the same on every machine.
///
/// Not for secrets: whoever knows the seed knows every number.
///
/// ```
/// use aqueduct::sim::Rng;
///
/// let mut loss = Rng::new(7, "loss of link a-b");
/// let mut twin = Rng::new(7, "loss of link a-b");
/// assert_eq!(loss.next_u64(), twin.next_u64());
/// assert_ne!(Rng::new(7, "another name").next_u64(), Rng::new(8, "another name").next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of the component `name` in a simulation with this seed.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut mixed = mix(seed ^ fnv1a(name.as_bytes()));
        let state = [(); 4].map(|()| {
            mixed = mixed.wrapping_add(GOLDEN);
            mix(mixed)
        });
        Rng { state }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next_u64().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).expect("64 bits remain")
    }

    /// An index below `len`; 0 if it is 0.
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).expect("below a length")
    }

    /// A number of `low..=high`; `low` if the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.next_u32()) / 4_294_967_296.0
    }

    /// True with this probability: never for 0, always for 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A duration up to `max`.
    pub fn duration(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    /// A time between two events that come at random with this mean distance (exponential).
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())].clone()
    }

    /// 32 random bytes: the seed of an endpoint.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes());
        }
        seed
    }
}

/// 2^64 divided by the golden ratio: the step of splitmix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finisher of splitmix64: every bit of the input changes half the bits of the output.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// FNV-1a with 64 bits.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_on(FNV_START, bytes)
}

/// Where FNV-1a begins.
pub(super) const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a continued.
pub(super) fn fnv1a_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_has_its_published_values() {
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn numbers_below_a_bound_are_even() {
        let mut rng = Rng::new(1, "even");
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[rng.index(10)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_600..10_400).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn probabilities_at_the_ends_are_certain() {
        let mut rng = Rng::new(1, "ends");
        assert!((0..1_000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }

    #[test]
    fn exponential_times_have_their_mean() {
        let mut rng = Rng::new(1, "mean");
        let mean = Duration::from_millis(10);
        let sum: Duration = (0..100_000).map(|_| rng.exponential(mean)).sum();
        assert!((sum / 100_000).abs_diff(mean) < Duration::from_micros(150));
    }
}
