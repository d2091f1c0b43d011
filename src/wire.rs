//! The format: bytes to [`Packet`] and back. docs/WIRE.md is its specification.

mod ack;
mod builder;
mod handshake;
pub mod integrity;
mod packet;
mod seq;
mod transmit;

pub use ack::{AckBlock, AckFields, AckRanges, EcnCounts, InvalidAck};
pub use builder::PacketBuilder;
pub use handshake::{Opening, Options};
pub use packet::{
    Body, Data, DecodeError, Flags, Glance, Kind, Packet, PathMessage, ProbeKind, VERSION, decode,
    glance,
};
pub use seq::{
    ConnectionId, Offset, PacketNumber, TruncatedNumber, Window, len_u64, low_u32, range_len,
};
pub use transmit::{Batch, Ecn, Meta, Transmit};
