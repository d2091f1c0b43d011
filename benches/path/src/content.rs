//! Every byte of a flow is a function of the flow and of its place, so that any misplaced byte is seen.

/// Writes the bytes of the flow `seed` from `offset` on.
pub(crate) fn fill(seed: u64, offset: u64, buffer: &mut [u8]) {
    let mut at = 0;
    while at < buffer.len() {
        let position = offset + at as u64;
        let word = word(seed, position / 8).to_le_bytes();
        let skip = (position % 8) as usize;
        let len = (8 - skip).min(buffer.len() - at);
        buffer[at..at + len].copy_from_slice(&word[skip..skip + len]);
        at += len;
    }
}

/// Compares what arrived.
#[derive(Debug)]
pub(crate) struct Checker {
    seed: u64,
    offset: u64,
    expected: Vec<u8>,
    wrong: bool,
}

impl Checker {
    pub(crate) fn new(seed: u64) -> Self {
        Checker {
            seed,
            offset: 0,
            expected: Vec::new(),
            wrong: false,
        }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.expected.resize(bytes.len(), 0);
        fill(self.seed, self.offset, &mut self.expected);
        self.wrong |= self.expected != bytes;
        self.offset += bytes.len() as u64;
    }

    /// Bytes taken.
    pub(crate) fn total(&self) -> u64 {
        self.offset
    }

    pub(crate) fn is_right(&self) -> bool {
        !self.wrong
    }
}

/// The splitmix64 of the place.
fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
