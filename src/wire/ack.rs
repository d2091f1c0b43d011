//! The ACK block: what a receiver has, as validated ranges.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Offset, PacketNumber, TruncatedNumber, Window};

/// Cumulative counts of numbered packets by ECN mark, modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EcnCounts {
    /// Packets that arrived with ECT(0).
    pub ect0: u32,
    /// Packets that arrived with ECT(1).
    pub ect1: u32,
    /// Packets that arrived with CE.
    pub ce: u32,
}

/// All of an ACK block but its further ranges, as its sender gives it and its receiver gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckFields {
    /// Time from receiving the largest number to sending this; the wire has units of 8 µs.
    pub delay: Duration,
    /// Something was dropped for lack of buffer since the last block.
    pub dropped: bool,
    /// All stream bytes below are received; the final size + 1 once the FIN and all before it are.
    pub ack_offset: Offset,
    /// Bytes allowed beyond `ack_offset`.
    pub window: Window,
    /// In-order bytes that the application has not read yet.
    pub unread: u32,
    /// ECN counters, where both sides agreed on them.
    pub ecn: Option<EcnCounts>,
}

/// A decoded ACK block; its packet numbers are still truncated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckBlock<'d> {
    /// All but the packet numbers.
    pub fields: AckFields,
    ack_pn: TruncatedNumber,
    run: u32,
    ranges: &'d [u8],
}

/// An ACK block names packet numbers below the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("acknowledges packet numbers below the first")]
pub struct InvalidAck;

/// The packet numbers that a block acknowledges, highest range first, none below the first number - 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckRanges<'d> {
    largest: PacketNumber,
    run: u32,
    ranges: &'d [u8],
}

impl<'d> AckBlock<'d> {
    /// The block's packet numbers: `ack_pn` becomes the number nearest to `largest_sent`.
    ///
    /// # Errors
    /// If a range reaches below `first` - 1, `first` being the first number that this side used.
    pub fn expand(
        &self,
        _largest_sent: PacketNumber,
        _first: PacketNumber,
    ) -> Result<AckRanges<'d>, InvalidAck> {
        todo!()
    }
}

impl AckRanges<'_> {
    /// The largest number that is acknowledged.
    pub fn largest(&self) -> PacketNumber {
        self.largest
    }

    /// The ranges, highest first, disjoint, with a gap between any two.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<PacketNumber>> + Clone {
        let _ = (self.run, self.ranges);
        std::iter::empty()
    }
}
