//! Repeatable random numbers: the same seed and stream give the same numbers (SplitMix64).

/// One stream of random numbers.
pub(crate) struct Dice(u64);

impl Dice {
    /// The numbers of `stream`, one of many independent ones of this seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Dice {
        let mut mixer = Dice(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        Dice(mixer.next())
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0, included, to 1, not included.
    pub(crate) fn next_fraction(&mut self) -> f64 {
        let high = u32::try_from(self.next() >> 32).expect("32 bits are left");
        f64::from(high) / 4_294_967_296.0
    }

    /// `true` with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.next_fraction() < probability
    }

    /// Fills `buffer` with random bytes.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
