//! Where things stand on the wire, for the decoder and the builder alike (docs/WIRE.md, "Base header").

use super::Kind;

/// Bytes of the base header.
pub(super) const BASE_LEN: usize = 32;
/// Length of the base header in the units of `header_words`.
pub(super) const BASE_WORDS: u8 = 8;
/// Bytes of a word of `header_words`.
pub(super) const WORD: usize = 4;
/// Bytes that SYN and SYNACK add to the base header, before their options.
pub(super) const OPENING_LEN: usize = 16;
/// Bytes of an ACK block without further ranges and counters.
pub(super) const ACK_LEN: usize = 28;
/// Bytes of one further range.
pub(super) const RANGE_LEN: usize = 8;
/// Bytes of the ECN counters.
pub(super) const ECN_LEN: usize = 12;
/// One unit of `ack_delay`, in microseconds.
pub(super) const DELAY_UNIT: u16 = 8;

/// Positions of the base header's fields.
pub(super) mod at {
    pub(in crate::wire) const VERSION_TYPE: usize = 0;
    pub(in crate::wire) const FLAGS: usize = 1;
    pub(in crate::wire) const PAYLOAD_LEN: usize = 2;
    pub(in crate::wire) const CHECKSUM: usize = 4;
    pub(in crate::wire) const DCID: usize = 8;
    pub(in crate::wire) const PN: usize = 16;
    pub(in crate::wire) const HEADER_WORDS: usize = 20;
    pub(in crate::wire) const AUX: usize = 22;
    pub(in crate::wire) const OFFSET: usize = 24;
}

/// Bits of the flags byte; 0x10 is the key phase of the secure mode, ignored here.
pub(super) mod flag {
    pub(in crate::wire) const FIN: u8 = 0x01;
    pub(in crate::wire) const ACK: u8 = 0x02;
    pub(in crate::wire) const IMM: u8 = 0x04;
    pub(in crate::wire) const PSH: u8 = 0x08;
    pub(in crate::wire) const EXT: u8 = 0x20;
    pub(in crate::wire) const RETX: u8 = 0x40;
    pub(in crate::wire) const RESERVED: u8 = 0x80;
}

/// Bits of `ack_flags`.
pub(super) mod ack_flag {
    pub(in crate::wire) const ECN: u8 = 0x01;
    pub(in crate::wire) const DROPPED: u8 = 0x02;
}

/// Ids of the options; bit 7 marks one that a receiver must understand.
///
/// 0x88 belongs to the secure mode; until that exists it is an unknown critical option like any other.
pub(super) mod option {
    pub(in crate::wire) const PAD: u8 = 0x00;
    pub(in crate::wire) const TOKEN: u8 = 0x02;
    pub(in crate::wire) const MAX_ACK_DELAY: u8 = 0x03;
    pub(in crate::wire) const IDLE_TIMEOUT: u8 = 0x04;
    pub(in crate::wire) const DGRAM_MAX: u8 = 0x05;
    pub(in crate::wire) const FEATURES: u8 = 0x06;
    pub(in crate::wire) const INCARNATION: u8 = 0x07;
    pub(in crate::wire) const GREASE: u8 = 0x2a;
    pub(in crate::wire) const COOKIE: u8 = 0x81;
    pub(in crate::wire) const CRITICAL: u8 = 0x80;
}

/// `aux` of a PROBE and of a PATH.
pub(super) mod purpose {
    pub(in crate::wire) const LIVENESS: u16 = 0;
    pub(in crate::wire) const MTU: u16 = 1;
    pub(in crate::wire) const CHALLENGE: u16 = 0;
    pub(in crate::wire) const RESPONSE: u16 = 1;
}

impl Kind {
    /// The four bits of the type.
    pub(super) const fn bits(self) -> u8 {
        match self {
            Kind::Syn => 1,
            Kind::SynAck => 2,
            Kind::Data => 3,
            Kind::Ack => 4,
            Kind::Dgram => 5,
            Kind::Rst => 6,
            Kind::Probe => 7,
            Kind::Path => 8,
            Kind::Unknown => 9,
            Kind::Versions => 15,
        }
    }

    /// The type with these four bits.
    pub(super) const fn from_bits(bits: u8) -> Option<Kind> {
        Some(match bits {
            1 => Kind::Syn,
            2 => Kind::SynAck,
            3 => Kind::Data,
            4 => Kind::Ack,
            5 => Kind::Dgram,
            6 => Kind::Rst,
            7 => Kind::Probe,
            8 => Kind::Path,
            9 => Kind::Unknown,
            15 => Kind::Versions,
            _ => return None,
        })
    }

    /// Whether a packet of this type consumes a packet number and asks to be acknowledged.
    pub const fn is_numbered(self) -> bool {
        matches!(self, Kind::Data | Kind::Dgram | Kind::Probe | Kind::Path)
    }

    /// Whether this type begins with the fixed part of an opening.
    pub(super) const fn is_opening(self) -> bool {
        matches!(self, Kind::Syn | Kind::SynAck)
    }

    /// Whether an ACK block may ride in this type.
    pub(super) const fn may_carry_ack(self) -> bool {
        self.is_numbered() || matches!(self, Kind::Ack)
    }

    /// Whether this type may have a payload; that of a SYN is ignored.
    pub(super) const fn may_carry_payload(self) -> bool {
        matches!(self, Kind::Syn | Kind::Data | Kind::Dgram | Kind::Versions)
    }
}
