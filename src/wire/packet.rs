//! One datagram as a value: what it says, borrowed from its bytes.
//!
//! [`decode`](super::decode) makes it, [`PacketBuilder`](super::PacketBuilder) writes its like.

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

/// A decoded datagram; usable as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
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

impl Packet<'_> {
    /// The packet's type.
    pub const fn kind(&self) -> Kind {
        self.body.kind()
    }
}

/// What a packet's type adds to it.
#[derive(Clone, PartialEq, Eq, Debug)]
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

impl Body<'_> {
    /// The type that this is the content of.
    pub const fn kind(&self) -> Kind {
        match self {
            Body::Syn(_) => Kind::Syn,
            Body::SynAck(_) => Kind::SynAck,
            Body::Data(_) => Kind::Data,
            Body::Ack { .. } => Kind::Ack,
            Body::Dgram { .. } => Kind::Dgram,
            Body::Rst { .. } => Kind::Rst,
            Body::Probe(_) => Kind::Probe,
            Body::Path(_) => Kind::Path,
            Body::Unknown => Kind::Unknown,
            Body::Versions(_) => Kind::Versions,
        }
    }
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
