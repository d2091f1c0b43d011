//! The format: bytes to [`Packet`] and back. docs/WIRE.md is its specification.
//!
//! One datagram is one packet:
//!
//! ```text
//!  0        1       2             4          8       16    20             21        22    24       32
//!  +--------+-------+-------------+----------+-------+-----+--------------+---------+-----+--------+
//!  | ver typ| flags | payload_len | checksum | dcid  | pn  | header_words | channel | aux | offset |
//!  +--------+-------+-------------+----------+-------+-----+--------------+---------+-----+--------+
//!  | opening: window, clock, service (SYN and SYNACK only)                                         |
//!  | ACK block (flag ACK) | options (flag EXT; SYN, SYNACK: always) | payload | zero padding       |
//!  +-----------------------------------------------------------------------------------------------+
//! ```
//!
//! Invariant: [`decode`] accepts every byte string without a panic, and what it returns is usable as it
//! is; only an ACK block's packet numbers wait for [`AckBlock::expand`], which needs to know what was sent.
//!
//! ```
//! use aqueduct::wire::{self, Body, ConnectionId, Kind, PacketBuilder, PacketNumber};
//!
//! let mut buffer = [0; 1200];
//! let dcid = ConnectionId::new(0x1122_3344_5566_7788);
//! let mut packet = PacketBuilder::new(&mut buffer, Kind::Data, dcid, PacketNumber::new(7));
//! packet.offset(1_000);
//! packet.payload(b"hello");
//! let len = packet.finish();
//!
//! let datagram = &buffer[..len];
//! assert!(wire::integrity::is_intact(datagram));
//! let packet = wire::decode(datagram).expect("what the builder writes can be read");
//! let Body::Data(data) = packet.body else { panic!("a DATA packet") };
//! assert_eq!((data.offset.get(), data.payload), (1_000, &b"hello"[..]));
//! ```

mod ack;
mod builder;
mod decode;
mod handshake;
pub mod integrity;
mod layout;
mod packet;
mod seq;
mod slab;
#[cfg(test)]
mod tests;
mod transmit;

pub use ack::{AckBlock, AckFields, AckRanges, EcnCounts, InvalidAck};
pub use builder::PacketBuilder;
pub use decode::{DecodeError, ForeignSyn, Glance, decode, glance, quoted};
pub use handshake::{Opening, Options};
pub use packet::{Body, Data, Flags, Kind, Packet, PathMessage, ProbeKind, VERSION};
pub use seq::{
    ConnectionId, Offset, PacketNumber, TruncatedNumber, Window, len_u64, low_u32, range_len,
};
pub use slab::Slab;
pub use transmit::{Batch, Ecn, Meta, Transmit};
