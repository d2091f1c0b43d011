//! One datagram as a value: what it says, borrowed from its bytes.

use super::{AckBlock, ConnectionId, Offset, Opening, Options, TruncatedNumber};
use crate::error::ResetCode;

/// The version of the protocol that this crate speaks.
pub const VERSION: u8 = 1;

/// The type of a packet (docs/WIRE.md, "Flags and types").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// Opens a connection.
    Syn,
    /// Answers a SYN.
    SynAck,
    /// Bytes of the stream.
    Data,
    /// An acknowledgement alone.
    Ack,
    /// An unreliable datagram.
    Dgram,
    /// Aborts a connection.
    Rst,
    /// Asks for an acknowledgement.
    Probe,
    /// Challenge or response of a path.
    Path,
    /// "I have no such connection."
    Unknown,
    /// The versions that somebody speaks.
    Versions,
}

/// The flag bits of the base header that a sender of any kind chooses; ACK and EXT follow from content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// FIN: offset + payload is the final size of the stream. DATA only.
    pub fin: bool,
    /// IMM: acknowledge this packet at once.
    pub imm: bool,
    /// PSH: ends an application write. DATA only.
    pub push: bool,
    /// RETX: the payload was sent before.
    pub retransmitted: bool,
}

/// What the cheapest look at a datagram says: enough to find its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// The packet's type.
    pub kind: Kind,
    /// The connection id it is for; `None` in a SYN.
    pub dcid: Option<ConnectionId>,
}

/// A decoded datagram; usable as it is.
#[derive(Clone, Debug)]
pub struct Packet<'d> {
    /// The receiver's connection id; `None` only in a SYN.
    pub dcid: Option<ConnectionId>,
    /// The packet number's low bits.
    pub pn: TruncatedNumber,
    /// Flags.
    pub flags: Flags,
    /// The acknowledgement that rides along.
    pub ack: Option<AckBlock<'d>>,
    /// Options (TLVs).
    pub options: Options<'d>,
    /// What the packet's type adds.
    pub body: Body<'d>,
}

/// What a packet's type adds to it.
#[derive(Clone, Debug)]
pub enum Body<'d> {
    /// Opens a connection.
    Syn(Opening),
    /// Answers a SYN.
    SynAck(Opening),
    /// Bytes of the stream.
    Data(Data<'d>),
    /// An acknowledgement alone, with its number, from 1.
    Ack {
        /// The acknowledgement number.
        number: u64,
    },
    /// An unreliable datagram.
    Dgram {
        /// Its number, from 0.
        id: u64,
        /// Its content.
        payload: &'d [u8],
    },
    /// Aborts the connection.
    Rst {
        /// Why.
        code: ResetCode,
        /// The end of what its sender had sent.
        highest: Offset,
    },
    /// Asks for an acknowledgement.
    Probe(ProbeKind),
    /// Challenge or response of a path.
    Path(PathMessage),
    /// "I have no such connection": echoes `dcid` and `pn` of the packet that caused it.
    Unknown,
    /// The versions that somebody speaks, one a byte.
    Versions(&'d [u8]),
}

/// A piece of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data<'d> {
    /// Where its first byte stands.
    pub offset: Offset,
    /// The bytes.
    pub payload: &'d [u8],
    /// This packet's number minus the oldest number that its sender still tracks; 65,535 = that or more.
    pub tracked: u16,
}

/// Why a PROBE was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProbeKind {
    /// Liveness, keep-alive or window probe (`aux` 0).
    Liveness,
    /// Path MTU: padded (`aux` 1).
    Mtu,
}

/// A PATH packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathMessage {
    /// Asks the receiver to repeat the nonce.
    Challenge(u64),
    /// Repeats it.
    Response(u64),
}

/// Why a datagram is not a packet of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Shorter than a base header.
    #[error("shorter than a header")]
    Truncated,
}

/// Length, version and type: the checks that come before the look-up of the connection.
///
/// # Errors
/// Shorter than a header, a version that is not spoken here, an unknown type, a zero id.
pub fn glance(_datagram: &[u8]) -> Result<Glance, DecodeError> {
    todo!()
}

/// The whole datagram, its checksum aside (see [`super::integrity::is_intact`]).
///
/// # Errors
/// Whatever docs/WIRE.md calls malformed.
pub fn decode(_datagram: &[u8]) -> Result<Packet<'_>, DecodeError> {
    todo!()
}
