//! Streams whose every byte is known: a function of the connection and the offset.
//!
//! All are windows into one random block of a prime length, repeated without end: making the bytes
//! costs the sender nothing, checking them costs the receiver one comparison, and bytes that are
//! lost, doubled or moved by less than a period do not match.

use bytes::Bytes;

/// Prime, so that no packet or buffer size divides it; small, so that it stays in the cache.
const PERIOD: usize = 262_139;
/// The longest slice that can be had in one piece.
pub(crate) const SLICE_MAX: usize = 1 << 20;
/// Moves every connection to another place in the block.
const STEP: u64 = 104_729;

/// The random block.
pub(crate) struct Pattern(Bytes);

impl Pattern {
    /// The one pattern that both processes make.
    pub(crate) fn new() -> Pattern {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut block: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        })
        .take(PERIOD)
        .collect();
        for index in 0..SLICE_MAX {
            block.push(block[index]);
        }
        Pattern(block.into())
    }

    /// `length` bytes, at most [`SLICE_MAX`], from `offset` of the stream of `connection`.
    pub(crate) fn slice(&self, connection: u64, offset: u64, length: usize) -> &[u8] {
        let begin = begin(connection, offset);
        &self.0[begin..begin + length]
    }

    /// The same bytes, shared instead of borrowed.
    pub(crate) fn bytes(&self, connection: u64, offset: u64, length: usize) -> Bytes {
        let begin = begin(connection, offset);
        self.0.slice(begin..begin + length)
    }

    /// Whether `bytes` are those from `offset` of the stream of `connection`.
    pub(crate) fn matches(&self, connection: u64, offset: u64, bytes: &[u8]) -> bool {
        self.slice(connection, offset, bytes.len()) == bytes
    }
}

fn begin(connection: u64, offset: u64) -> usize {
    let position = offset.wrapping_add(connection.wrapping_mul(STEP));
    let period = u64::try_from(PERIOD).expect("the period is small");
    usize::try_from(position % period).expect("the period is small")
}
