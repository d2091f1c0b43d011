//! The numbers of the wire as types: offsets, packet numbers, connection ids, windows.
//!
//! Each type has only the arithmetic that means something for it, and all of it saturates: no peer can
//! make a number wrap. This is the one file where a number changes its width with `as`.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;

/// A position in the byte stream of one direction, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The first byte of a stream.
    pub const ZERO: Offset = Offset(0);
    /// Above every offset that a stream can reach.
    pub const MAX: Offset = Offset(u64::MAX);

    /// The offset `bytes` after the start of the stream.
    pub const fn new(bytes: u64) -> Self {
        Offset(bytes)
    }

    /// Bytes from the start of the stream.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `bytes` further on.
    pub const fn plus(self, bytes: u64) -> Self {
        Offset(self.0.saturating_add(bytes))
    }

    /// The offset `len` further on, for lengths in memory.
    pub const fn plus_len(self, len: usize) -> Self {
        self.plus(len as u64)
    }

    /// Bytes from `earlier` to here; 0 if `earlier` is later.
    pub const fn since(self, earlier: Offset) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Bytes from `earlier` to here as a length in memory; 0 if `earlier` is later.
    pub const fn len_since(self, earlier: Offset) -> usize {
        let len = self.since(earlier);
        if len > usize::MAX as u64 {
            usize::MAX
        } else {
            len as usize
        }
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Length of a range of offsets, in bytes; 0 if it is empty.
pub fn range_len(range: &Range<Offset>) -> usize {
    range.end.len_since(range.start)
}

/// The number of a datagram, never used twice in one direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PacketNumber(u64);

impl PacketNumber {
    /// The packet number `number`.
    pub const fn new(number: u64) -> Self {
        PacketNumber(number)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The following number.
    pub const fn next(self) -> Self {
        PacketNumber(self.0.saturating_add(1))
    }

    /// The number before; 0 stays 0.
    pub const fn prev(self) -> Self {
        PacketNumber(self.0.saturating_sub(1))
    }

    /// The number `count` further on.
    pub const fn plus(self, count: u64) -> Self {
        PacketNumber(self.0.saturating_add(count))
    }

    /// The number `count` before; never below 0.
    pub const fn minus(self, count: u64) -> Self {
        PacketNumber(self.0.saturating_sub(count))
    }

    /// The number `count` before; `None` if that would be below 0.
    pub const fn checked_minus(self, count: u64) -> Option<Self> {
        match self.0.checked_sub(count) {
            Some(number) => Some(PacketNumber(number)),
            None => None,
        }
    }

    /// How many numbers after `earlier` this one is; 0 if `earlier` is later.
    pub const fn since(self, earlier: PacketNumber) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The low 32 bits, as they stand on the wire.
    pub const fn truncate(self) -> TruncatedNumber {
        TruncatedNumber(self.0 as u32)
    }
}

impl fmt::Debug for PacketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The low 32 bits of a packet number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TruncatedNumber(u32);

impl From<PacketNumber> for TruncatedNumber {
    fn from(number: PacketNumber) -> Self {
        number.truncate()
    }
}

impl TruncatedNumber {
    /// These 32 bits.
    pub const fn new(bits: u32) -> Self {
        TruncatedNumber(bits)
    }

    /// The 32 bits.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The packet number with these low bits that lies nearest to `expected` (RFC 9000 A.3).
    ///
    /// Of two equally near ones the higher is taken; the result is never below 0 nor beyond 2^64.
    pub const fn expand(self, expected: PacketNumber) -> PacketNumber {
        const HALF: u64 = 1 << 31;
        const FULL: u64 = 1 << 32;
        let candidate = (expected.0 & !(FULL - 1)) | self.0 as u64;
        if candidate.saturating_add(HALF) <= expected.0 {
            return match candidate.checked_add(FULL) {
                Some(above) => PacketNumber(above),
                None => PacketNumber(candidate),
            };
        }
        if candidate > expected.0.saturating_add(HALF) && candidate >= FULL {
            return PacketNumber(candidate - FULL);
        }
        PacketNumber(candidate)
    }
}

/// The name that the receiver of packets gave to a connection: 64 random bits, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(NonZeroU64);

impl ConnectionId {
    /// The id with these bits; `None` for 0, which names no connection.
    pub const fn new(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(ConnectionId(bits)),
            None => None,
        }
    }

    /// The 64 bits.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Bytes that a receiver allows beyond what it has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Window(u32);

impl Window {
    /// A window of `bytes`.
    pub const fn new(bytes: u32) -> Self {
        Window(bytes)
    }

    /// The widest window that fits the wire and is not wider than `bytes`.
    pub const fn saturating(bytes: u64) -> Self {
        if bytes > u32::MAX as u64 {
            Window(u32::MAX)
        } else {
            Window(bytes as u32)
        }
    }

    /// Bytes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The low 32 bits of a number, for clocks that wrap.
pub const fn low_u32(number: u64) -> u32 {
    number as u32
}

/// A length in memory as a number of the wire.
pub const fn len_u64(len: usize) -> u64 {
    len as u64
}
