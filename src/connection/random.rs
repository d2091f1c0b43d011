//! The connection's own randomness: a keyed hash of a counter, so that no output tells the next one.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The second half of the key; the first is the seed.
const KEY: u64 = 0x6171_7565_6475_6374;

/// A sequence of numbers that follows from its seed (C3).
#[derive(Debug)]
pub(super) struct Random {
    seed: u64,
    count: u64,
}

impl Random {
    /// The sequence of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Random { seed, count: 0 }
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        let mut hasher = SipHasher13::new_with_keys(self.seed, KEY);
        hasher.write_u64(self.count);
        hasher.finish()
    }
}
