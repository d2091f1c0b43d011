//! The ACK block: what a receiver has, as validated ranges.
//!
//! On the wire the ranges are distances, counted downwards from the largest number:
//!
//! ```text
//!    first - 1                                                         largest
//!        |   ... | len + 1 received | gap + 1 not | run + 1 received  |
//!        +-------------------------------------------------------------> packet numbers
//! ```
//!
//! Invariant: nobody sees a range before [`AckBlock::expand`] has walked all of them with checked
//! arithmetic; a block that would reach below the first number - 1 never becomes [`AckRanges`].

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use std::ops::RangeInclusive;
use std::time::Duration;

use super::decode::Reader;
use super::layout::{ACK_LEN, DELAY_UNIT, RANGE_LEN, ack_flag};
use super::{DecodeError, Ecn, Offset, PacketNumber, TruncatedNumber, Window};
use crate::limits::ACK_RANGES_DECODE_MAX;

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

impl AckFields {
    /// The longest delay that the field can tell, 65,535 units: it may have been longer.
    pub const DELAY_MAX: Duration = Duration::from_micros(524_280);
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
    /// Takes a block, with its ranges and counters, from the front of `header`.
    ///
    /// Always inlined: a call would copy the result twice, which makes a packet twice as dear to read.
    #[inline(always)]
    pub(super) fn decode(header: &mut Reader<'d>) -> Result<Self, DecodeError> {
        let fixed = Fixed::read(header).ok_or(DecodeError::HeaderLength)?;
        let count = usize::from(fixed.range_count);
        if count > ACK_RANGES_DECODE_MAX {
            return Err(DecodeError::AckRanges(fixed.range_count));
        }
        let ranges = header.slice(count.saturating_mul(RANGE_LEN));
        let ranges = ranges.ok_or(DecodeError::HeaderLength)?;
        let ecn = match fixed.flags & ack_flag::ECN != 0 {
            true => Some(EcnCounts::read(header).ok_or(DecodeError::HeaderLength)?),
            false => None,
        };
        if u64::from(fixed.unread) > fixed.ack_offset {
            return Err(DecodeError::AckUnread);
        }
        Ok(AckBlock {
            fields: fixed.fields(ecn),
            ack_pn: fixed.ack_pn,
            run: fixed.run,
            ranges,
        })
    }

    /// The block's packet numbers: `ack_pn` becomes the number nearest to `largest_sent`.
    ///
    /// The result may name numbers above `largest_sent`: the caller knows which it has sent.
    ///
    /// # Errors
    /// If a range reaches below `first` - 1, `first` being the first number that this side used.
    pub fn expand(
        &self,
        largest_sent: PacketNumber,
        first: PacketNumber,
    ) -> Result<AckRanges<'d>, InvalidAck> {
        let ranges = AckRanges {
            largest: self.ack_pn.expand(largest_sent),
            run: self.run,
            ranges: self.ranges,
        };
        ranges.check(first.prev())?;
        Ok(ranges)
    }

    /// The largest number that is acknowledged, as it stands on the wire: for logs.
    pub fn ack_pn(&self) -> TruncatedNumber {
        self.ack_pn
    }
}

impl<'d> AckRanges<'d> {
    /// The largest number that is acknowledged.
    pub fn largest(&self) -> PacketNumber {
        self.largest
    }

    /// The ranges, highest first, disjoint, with a gap between any two.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<PacketNumber>> + Clone + use<'d> {
        // `check` has seen every step, so none can fail here.
        self.walk().map_while(Result::ok)
    }

    fn check(&self, lowest: PacketNumber) -> Result<(), InvalidAck> {
        for range in self.walk() {
            if *range?.start() < lowest {
                return Err(InvalidAck);
            }
        }
        Ok(())
    }

    fn walk(&self) -> Walk<'d> {
        Walk {
            top: Some((self.largest, self.run)),
            start: self.largest,
            ranges: self.ranges,
        }
    }
}

/// Goes down the ranges; an `Err` is the last item, if there is one.
#[derive(Clone, Debug)]
struct Walk<'d> {
    /// Where the topmost range ends and how many more numbers it has, until that was given.
    top: Option<(PacketNumber, u32)>,
    /// Where the range given last begins.
    start: PacketNumber,
    /// The ranges that are still to come.
    ranges: &'d [u8],
}

impl Walk<'_> {
    /// End of the next range, and how many more numbers it has; an end below number 0 is `None`.
    fn next_end(&mut self) -> Option<(Option<PacketNumber>, u32)> {
        if let Some((largest, run)) = self.top.take() {
            return Some((Some(largest), run));
        }
        let mut reader = Reader(self.ranges);
        let (gap, len) = (reader.u32()?, reader.u32()?);
        self.ranges = reader.0;
        // gap + 1 numbers are missing below `start`, so the next received one is gap + 2 below it.
        let distance = u64::from(gap).saturating_add(2);
        Some((self.start.checked_minus(distance), len))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<RangeInclusive<PacketNumber>, InvalidAck>;

    fn next(&mut self) -> Option<Self::Item> {
        let (end, len) = self.next_end()?;
        let range = end.and_then(|end| Some(end.checked_minus(u64::from(len))?..=end));
        match &range {
            Some(range) => self.start = *range.start(),
            None => self.ranges = &[],
        }
        Some(range.ok_or(InvalidAck))
    }
}

/// A block without its ranges and counters, as it stands on the wire.
struct Fixed {
    ack_pn: TruncatedNumber,
    delay: u16,
    range_count: u8,
    flags: u8,
    ack_offset: u64,
    window: u32,
    unread: u32,
    run: u32,
}

impl Fixed {
    #[inline(always)]
    fn read(header: &mut Reader<'_>) -> Option<Fixed> {
        let mut field = Reader(header.take::<ACK_LEN>()?);
        let ack_pn = TruncatedNumber::new(field.u32()?);
        let delay = field.u16()?;
        let [range_count, flags] = *field.take()?;
        Some(Fixed {
            ack_pn,
            delay,
            range_count,
            flags,
            ack_offset: field.u64()?,
            window: field.u32()?,
            unread: field.u32()?,
            run: field.u32()?,
        })
    }

    fn fields(&self, ecn: Option<EcnCounts>) -> AckFields {
        let delay = u64::from(self.delay).saturating_mul(u64::from(DELAY_UNIT));
        AckFields {
            delay: Duration::from_micros(delay),
            dropped: self.flags & ack_flag::DROPPED != 0,
            ack_offset: Offset::new(self.ack_offset),
            window: Window::new(self.window),
            unread: self.unread,
            ecn,
        }
    }
}

impl EcnCounts {
    /// Counts one more packet, which arrived with this mark or with none.
    pub fn add(&mut self, mark: Option<Ecn>) {
        let counter = match mark {
            None => return,
            Some(Ecn::Ect0) => &mut self.ect0,
            Some(Ecn::Ect1) => &mut self.ect1,
            Some(Ecn::Ce) => &mut self.ce,
        };
        *counter = counter.wrapping_add(1);
    }

    fn read(header: &mut Reader<'_>) -> Option<EcnCounts> {
        Some(EcnCounts {
            ect0: header.u32()?,
            ect1: header.u32()?,
            ce: header.u32()?,
        })
    }
}
