//! Bytes to [`Packet`]: every rule by which a datagram is dropped, in the order of its cost.
//!
//! Nothing here can panic or loop: fields are taken from the front of a slice that only gets shorter,
//! and each taking says whether there was enough.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use super::layout::{BASE_LEN, BASE_WORDS, WORD, flag, purpose};
use super::{
    AckBlock, Body, ConnectionId, Data, Flags, Kind, Offset, Opening, Options, Packet, PathMessage,
    ProbeKind, TruncatedNumber, VERSION,
};
use crate::error::ResetCode;
use crate::limits::SYN_BYTES;

/// Why a datagram is not a packet of this protocol; it is dropped without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than a base header.
    #[error("shorter than a header")]
    Truncated,
    /// Another version of the protocol (and no SYN).
    #[error("of version {0}")]
    Version(u8),
    /// A SYN of another version: the one packet of another version that is answered, with VERSIONS.
    #[error("a SYN of version {}", .0.version)]
    ForeignSyn(ForeignSyn),
    /// A type that does not exist.
    #[error("of the unknown type {0}")]
    Kind(u8),
    /// A connection id of 0 where one must stand.
    #[error("has no connection id")]
    ZeroId,
    /// A SYN that names a connection of its receiver.
    #[error("a SYN for a connection that exists")]
    AddressedSyn,
    /// A SYN that is not padded, and so could draw an answer longer than itself.
    #[error("a SYN that is too short")]
    ShortSyn,
    /// A reserved channel.
    #[error("of channel {0}")]
    Channel(u8),
    /// A flag that the type does not have, or ACK missing in an ACK.
    #[error("its flags do not belong to its type")]
    Flags,
    /// A header length below that of the base header.
    #[error("its header is shorter than a base header")]
    HeaderTooShort,
    /// A header that is longer than the datagram.
    #[error("its header is longer than the datagram")]
    HeaderBeyondEnd,
    /// A header longer or shorter than type, flags and ACK block say.
    #[error("its header has another length than its contents")]
    HeaderLength,
    /// Header and payload together are longer than the datagram.
    #[error("its payload is longer than the datagram")]
    PayloadBeyondEnd,
    /// A payload in a packet whose type has none.
    #[error("has a payload, which its type has not")]
    UnexpectedPayload,
    /// Something else than zeros behind the payload.
    #[error("its padding is not zero")]
    Padding,
    /// A SYN or SYNACK whose first packet number is 0.
    #[error("opens with packet number 0")]
    FirstNumber,
    /// A PROBE or PATH for an unknown purpose.
    #[error("probes for the unknown purpose {0}")]
    Purpose(u16),
    /// More ranges in an ACK block than allowed.
    #[error("acknowledges {0} ranges, which are too many")]
    AckRanges(u8),
    /// An ACK block that calls more bytes unread than it acknowledges.
    #[error("has more bytes unread than received")]
    AckUnread,
    /// An option that is longer than what is left of the header.
    #[error("an option ends beyond the header")]
    OptionBeyondEnd,
    /// A known option of a length that it cannot have.
    #[error("option {0:#04x} has a wrong length")]
    OptionLength(u8),
    /// A known option that stands there twice.
    #[error("option {0:#04x} stands there twice")]
    OptionTwice(u8),
    /// An unknown critical option in a packet that opens no connection.
    #[error("has an unknown critical option")]
    CriticalOption,
}

/// What the answer to a SYN of another version needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ForeignSyn {
    /// The SYN's version; the answer carries it too.
    pub version: u8,
    /// The SYN's own connection id: where the answer goes.
    pub cid: ConnectionId,
    /// The SYN's packet number, which the answer repeats.
    pub pn: TruncatedNumber,
}

/// What the cheapest look at a datagram says: enough to find its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// The packet's type.
    pub kind: Kind,
    /// The connection id it is for; `None` in a SYN.
    pub dcid: Option<ConnectionId>,
}

/// Length, version and type: the checks that come before the look-up of the connection.
///
/// # Errors
/// Shorter than a header, another version, an unknown type, a zero id, a SYN that is too short or has
/// an id. A SYN of another version is [`DecodeError::ForeignSyn`]; check its checksum, then answer it.
pub fn glance(datagram: &[u8]) -> Result<Glance, DecodeError> {
    let base = Base::read(&mut Reader(datagram)).ok_or(DecodeError::Truncated)?;
    base.glance(datagram.len())
}

/// The whole datagram, its checksum aside (see [`super::integrity::is_intact`]).
///
/// # Errors
/// Whatever docs/WIRE.md calls malformed.
pub fn decode(datagram: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let mut rest = Reader(datagram);
    let base = Base::read(&mut rest).ok_or(DecodeError::Truncated)?;
    let Glance { kind, dcid } = base.glance(datagram.len())?;
    if base.channel != 0 {
        return Err(DecodeError::Channel(base.channel));
    }
    let flags = base.flags(kind)?;
    let Sections { header, payload } = base.sections(kind, rest)?;

    let mut header = Reader(header);
    let body = base.body(kind, &mut header, payload)?;
    let ack = match base.has(flag::ACK) {
        true => Some(AckBlock::decode(&mut header)?),
        false => None,
    };
    let packet = |options| Packet {
        dcid,
        pn: base.pn,
        flags,
        ack,
        options,
        body,
    };
    if header.is_empty() {
        return Ok(packet(Options::default()));
    }
    if !kind.is_opening() && !base.has(flag::EXT) {
        return Err(DecodeError::HeaderLength);
    }
    let options = Options::decode(header.take_rest())?;
    if options.unknown_critical && !kind.is_opening() {
        return Err(DecodeError::CriticalOption);
    }
    Ok(packet(options))
}

/// Type, receiver's id (`None` for a SYN) and number of a packet of ours that somebody quotes.
///
/// The quote may be cut short and its checksum cannot be trusted: what it says is believed only if a
/// connection has such a packet outstanding. `None` for fewer than 20 bytes, another version, an
/// unknown type, or an id that no packet of this type has.
pub fn quoted(bytes: &[u8]) -> Option<(Kind, Option<ConnectionId>, TruncatedNumber)> {
    let mut reader = Reader(bytes);
    let [version_type] = *reader.take()?;
    let _flags_lengths_checksum: &[u8; 7] = reader.take()?;
    let dcid = reader.u64()?;
    let pn = TruncatedNumber::new(reader.u32()?);
    if version_type >> 4 != VERSION {
        return None;
    }
    let kind = Kind::from_bits(version_type & 0x0f)?;
    let dcid = ConnectionId::new(dcid);
    let is_possible = dcid.is_none() == matches!(kind, Kind::Syn);
    is_possible.then_some((kind, dcid, pn))
}

/// The base header's fields as they stand there.
struct Base {
    version: u8,
    kind_bits: u8,
    flags: u8,
    payload_len: u16,
    dcid: u64,
    pn: TruncatedNumber,
    header_words: u8,
    channel: u8,
    aux: u16,
    offset: u64,
}

/// What follows the base header.
struct Sections<'d> {
    /// The rest of the header.
    header: &'d [u8],
    payload: &'d [u8],
}

impl Base {
    #[inline]
    fn read(datagram: &mut Reader<'_>) -> Option<Base> {
        let mut field = Reader(datagram.take::<BASE_LEN>()?);
        let [version_type, flags] = *field.take()?;
        let payload_len = field.u16()?;
        let _checksum = field.u32()?;
        let dcid = field.u64()?;
        let pn = TruncatedNumber::new(field.u32()?);
        let [header_words, channel] = *field.take()?;
        Some(Base {
            version: version_type >> 4,
            kind_bits: version_type & 0x0f,
            flags,
            payload_len,
            dcid,
            pn,
            header_words,
            channel,
            aux: field.u16()?,
            offset: field.u64()?,
        })
    }

    fn has(&self, bit: u8) -> bool {
        self.flags & bit != 0
    }

    /// `len`: of the datagram.
    #[inline]
    fn glance(&self, len: usize) -> Result<Glance, DecodeError> {
        if self.version != VERSION {
            return Err(self.foreign(len));
        }
        let kind = Kind::from_bits(self.kind_bits).ok_or(DecodeError::Kind(self.kind_bits))?;
        let dcid = ConnectionId::new(self.dcid);
        match (kind, dcid) {
            (Kind::Syn, _) => self.check_syn(len)?,
            (_, None) => return Err(DecodeError::ZeroId),
            _ => {}
        }
        Ok(Glance { kind, dcid })
    }

    /// The rules for a SYN that hold in every version.
    fn check_syn(&self, len: usize) -> Result<(), DecodeError> {
        if self.dcid != 0 {
            return Err(DecodeError::AddressedSyn);
        }
        if len < SYN_BYTES {
            return Err(DecodeError::ShortSyn);
        }
        Ok(())
    }

    /// What is wrong with a packet of another version: a SYN is worth an answer.
    #[cold]
    fn foreign(&self, len: usize) -> DecodeError {
        if Kind::from_bits(self.kind_bits) != Some(Kind::Syn) {
            return DecodeError::Version(self.version);
        }
        if let Err(error) = self.check_syn(len) {
            return error;
        }
        match ConnectionId::new(self.offset) {
            None => DecodeError::ZeroId,
            Some(cid) => DecodeError::ForeignSyn(ForeignSyn {
                version: self.version,
                cid,
                pn: self.pn,
            }),
        }
    }

    #[inline]
    fn flags(&self, kind: Kind) -> Result<Flags, DecodeError> {
        let is_data = matches!(kind, Kind::Data);
        let has_stream_flag = self.has(flag::FIN | flag::PSH);
        let ack_misplaced = self.has(flag::ACK) && !kind.may_carry_ack();
        let ack_missing = matches!(kind, Kind::Ack) && !self.has(flag::ACK);
        let ext_misplaced = self.has(flag::EXT) && kind.is_opening();
        if (has_stream_flag && !is_data) || ack_misplaced || ack_missing || ext_misplaced {
            return Err(DecodeError::Flags);
        }
        Ok(Flags {
            fin: self.has(flag::FIN),
            imm: self.has(flag::IMM),
            push: self.has(flag::PSH),
            retransmitted: self.has(flag::RETX),
        })
    }

    /// Cuts what follows the base header.
    #[inline]
    fn sections<'d>(&self, kind: Kind, mut rest: Reader<'d>) -> Result<Sections<'d>, DecodeError> {
        let words = self.header_words.checked_sub(BASE_WORDS);
        let words = words.ok_or(DecodeError::HeaderTooShort)?;
        let header_len = usize::from(words).saturating_mul(WORD);
        let header = rest.slice(header_len).ok_or(DecodeError::HeaderBeyondEnd)?;
        let payload_len = usize::from(self.payload_len);
        let payload = rest
            .slice(payload_len)
            .ok_or(DecodeError::PayloadBeyondEnd)?;
        if !payload.is_empty() && !kind.may_carry_payload() {
            return Err(DecodeError::UnexpectedPayload);
        }
        // Without an early exit, so that the compiler may look at many bytes at once.
        let padding = rest.take_rest();
        if padding.iter().fold(0, |all, byte| all | byte) != 0 {
            return Err(DecodeError::Padding);
        }
        Ok(Sections { header, payload })
    }

    /// What the type adds. Takes the opening, if the type has one, off `header`.
    #[inline]
    fn body<'d>(
        &self,
        kind: Kind,
        header: &mut Reader<'_>,
        payload: &'d [u8],
    ) -> Result<Body<'d>, DecodeError> {
        Ok(match kind {
            Kind::Data => Body::Data(Data {
                offset: Offset::new(self.offset),
                payload,
                tracked: self.aux,
            }),
            Kind::Ack => Body::Ack {
                number: self.offset,
            },
            Kind::Dgram => Body::Dgram {
                id: self.offset,
                payload,
            },
            Kind::Rst => Body::Rst {
                code: ResetCode::new(self.aux),
                highest: Offset::new(self.offset),
            },
            Kind::Probe => Body::Probe(match self.aux {
                purpose::LIVENESS => ProbeKind::Liveness,
                purpose::MTU => ProbeKind::Mtu,
                other => return Err(DecodeError::Purpose(other)),
            }),
            Kind::Path => Body::Path(match self.aux {
                purpose::CHALLENGE => PathMessage::Challenge(self.offset),
                purpose::RESPONSE => PathMessage::Response(self.offset),
                other => return Err(DecodeError::Purpose(other)),
            }),
            Kind::Unknown => Body::Unknown,
            Kind::Versions => Body::Versions(payload),
            Kind::Syn => Body::Syn(self.opening(header)?),
            Kind::SynAck => Body::SynAck(self.opening(header)?),
        })
    }

    /// The fixed part of a SYN or SYNACK.
    fn opening(&self, header: &mut Reader<'_>) -> Result<Opening, DecodeError> {
        if self.pn.get() == 0 {
            return Err(DecodeError::FirstNumber);
        }
        let cid = ConnectionId::new(self.offset).ok_or(DecodeError::ZeroId)?;
        Opening::decode(cid, self.aux, header).ok_or(DecodeError::HeaderLength)
    }
}

/// Bytes that have not been read; every method takes from the front, or nothing if there are too few.
pub(super) struct Reader<'d>(pub(super) &'d [u8]);

impl<'d> Reader<'d> {
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Option<&'d [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn slice(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().copied().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().copied().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().copied().map(u64::from_be_bytes)
    }

    pub(super) fn take_rest(&mut self) -> &'d [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
