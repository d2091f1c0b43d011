//! The packets in flight.
/// A ring indexed by packet number.
#[derive(Debug)]
pub struct SentPackets {}
