//! The checksum: CRC-32 (IEEE) over the whole datagram, its own field taken as zero.

/// The checksum that belongs into bytes 4..8 of `datagram` (whatever stands there now).
///
/// # Panics
/// If the datagram is shorter than a header.
pub fn checksum(_datagram: &[u8]) -> u32 {
    todo!()
}

/// Whether the datagram carries its right checksum; false for one that is too short for a header.
pub fn is_intact(_datagram: &[u8]) -> bool {
    todo!()
}
