//! Randomness that is a function of the endpoint's seed: SipHash-2-4-128 in counter mode.
//!
//! The first half of the seed is the key and the second half part of every input, so that all 256 bits
//! count. Who does not know the seed cannot tell the output from chance, nor compute one value from others.

use std::fmt;

use siphasher::sip128::SipHasher24;

use crate::wire::{ConnectionId, PacketNumber};

/// A key of the hashes that protect the endpoint from guesses.
pub(super) type Key = [u8; 16];

/// SipHash-2-4-128 of `bytes` under `key`, as two words.
pub(super) fn keyed_hash(key: &Key, bytes: &[u8]) -> (u64, u64) {
    SipHasher24::new_with_key(key).hash(bytes).as_u64()
}

/// The 128 bits of a hash as a key.
pub(super) fn key((high, low): (u64, u64)) -> Key {
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

/// The bits as a connection id. One in 2^64 draws is 0, which names nothing; it becomes 1.
pub(super) fn connection_id(bits: u64) -> ConnectionId {
    const ONE: ConnectionId = match ConnectionId::new(1) {
        Some(one) => one,
        None => unreachable!(),
    };
    ConnectionId::new(bits).unwrap_or(ONE)
}

/// The bits as a first packet number: 1..2^30.
pub(super) fn first_number(bits: u64) -> PacketNumber {
    const BELOW: u64 = (1 << 30) - 1;
    PacketNumber::new((bits & BELOW).max(1))
}

/// The source of an endpoint's random numbers.
pub(super) struct Random {
    key: Key,
    input: [u8; 24],
    counter: u64,
}

impl Random {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let (mut key, mut input) = ([0; 16], [0; 24]);
        key.copy_from_slice(&seed[..16]);
        input[..16].copy_from_slice(&seed[16..]);
        Random {
            key,
            input,
            counter: 0,
        }
    }

    /// The next 128 bits.
    fn block(&mut self) -> (u64, u64) {
        self.input[16..].copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        keyed_hash(&self.key, &self.input)
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.block().0
    }

    /// A fresh key.
    pub(super) fn key(&mut self) -> Key {
        key(self.block())
    }
}

impl fmt::Debug for Random {
    /// Without the seed: who knows it knows every key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_the_seed_changes_the_output() {
        let first = |seed: &[u8; 32]| Random::new(seed).bits();
        let zero = first(&[0; 32]);
        for at in 0..32 {
            let mut seed = [0; 32];
            seed[at] = 1;
            assert_ne!(first(&seed), zero, "byte {at}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut one, mut two) = (Random::new(&[7; 32]), Random::new(&[7; 32]));
        let draw = |random: &mut Random| (random.bits(), random.key());
        assert!((0..1_000).all(|_| draw(&mut one) == draw(&mut two)));
    }

    #[test]
    fn a_million_ids_do_not_repeat_and_each_bit_is_even() {
        const COUNT: usize = 1_000_000;
        let mut random = Random::new(&[3; 32]);
        let mut ids: Vec<u64> = (0..COUNT)
            .map(|_| connection_id(random.bits()).get())
            .collect();
        for bit in 0..64 {
            let ones = ids.iter().filter(|id| **id >> bit & 1 == 1).count();
            // Five standard deviations of 500 each.
            assert!(ones.abs_diff(COUNT / 2) < 2_500, "bit {bit}: {ones}");
        }
        // Low bytes by chi-square: 255 degrees of freedom, far beyond the 99.99 % point of 347.
        let mut counts = [0_f64; 256];
        for id in &ids {
            counts[usize::try_from(id & 0xff).unwrap()] += 1.0;
        }
        let expected = 1_000_000.0 / 256.0;
        let chi: f64 = counts
            .iter()
            .map(|n| (n - expected).powi(2) / expected)
            .sum();
        assert!(chi < 360.0, "chi-square {chi}");
        // No correlation with time: consecutive ids share half of their bits.
        let shared: u64 = ids
            .windows(2)
            .map(|w| u64::from((w[0] ^ w[1]).count_ones()))
            .sum();
        let mean = shared as f64 / (COUNT - 1) as f64;
        assert!((mean - 32.0).abs() < 0.05, "mean distance {mean}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), COUNT);
    }

    #[test]
    fn edges_of_ids_and_first_numbers() {
        assert_eq!(connection_id(0).get(), 1);
        assert_eq!(connection_id(u64::MAX).get(), u64::MAX);
        assert_eq!(first_number(0).get(), 1);
        assert_eq!(first_number(1 << 30).get(), 1);
        assert_eq!(first_number(u64::MAX).get(), (1 << 30) - 1);
    }
}
