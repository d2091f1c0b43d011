//! The checksum: CRC-32 (IEEE) over the whole datagram, its own field taken as zero.
//!
//! It finds damage, not forgery: who can see packets can compute it. UDP's own 16-bit sum misses one
//! damaged datagram in 65,536, and may be off.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use super::decode::Reader;
use super::layout::{BASE_LEN, at};

/// The checksum that belongs into bytes 4..8 of `datagram` (whatever stands there now).
///
/// # Panics
/// If the datagram is shorter than a header.
pub fn checksum(datagram: &[u8]) -> u32 {
    assert!(
        datagram.len() >= BASE_LEN,
        "a datagram has at least a header"
    );
    split(datagram).map_or(0, |(_, computed)| computed)
}

/// Whether the datagram carries its right checksum; false for one that is too short for a header.
pub fn is_intact(datagram: &[u8]) -> bool {
    datagram.len() >= BASE_LEN
        && split(datagram).is_some_and(|(carried, computed)| carried == computed)
}

/// The checksum that a datagram carries, and the one that it should carry.
fn split(datagram: &[u8]) -> Option<(u32, u32)> {
    let mut reader = Reader(datagram);
    let before: &[u8; at::CHECKSUM] = reader.take()?;
    let carried = reader.u32()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(&[0; size_of::<u32>()]);
    hasher.update(reader.take_rest());
    Some((carried, hasher.finalize()))
}
