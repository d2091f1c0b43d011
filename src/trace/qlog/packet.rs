//! A packet in the words of QUIC: a header, its size, and what it carries as frames.

use std::ops::RangeInclusive;

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::Millis;
use crate::trace::{Acknowledgement, Fate, PacketSeen};
use crate::wire::{Ecn, Kind, PacketNumber, PathMessage, ProbeKind, range_len};

/// Frames in a packet at most: what its type adds, an acknowledgement, a window.
const FRAMES_MAX: usize = 3;

/// `TransportPacketSent`, `TransportPacketReceived`, `TransportPacketDropped`.
#[derive(Serialize)]
pub(super) struct Packet<'p> {
    header: Header,
    raw: Raw,
    frames: Frames<'p>,
    /// The type in the words of docs/WIRE.md.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecn: Option<&'static str>,
    /// The acknowledgement must not wait.
    #[serde(skip_serializing_if = "is_false")]
    imm: bool,
    /// The data was sent before.
    #[serde(skip_serializing_if = "is_false")]
    retransmission: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<&'static str>,
}

#[derive(Serialize)]
struct Header {
    packet_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet_number: Option<u64>,
}

#[derive(Serialize)]
struct Raw {
    length: usize,
}

impl<'p> Packet<'p> {
    pub(super) fn sent(seen: &'p PacketSeen, is_timeout_probe: bool) -> Self {
        Self::new(seen, is_timeout_probe.then_some("pto_probe"))
    }

    /// The name of the event, and its data.
    pub(super) fn received(seen: &'p PacketSeen, fate: Fate) -> (&'static str, Self) {
        match fate {
            Fate::Taken => ("transport:packet_received", Self::new(seen, None)),
            Fate::Duplicate => (
                "transport:packet_dropped",
                Self::new(seen, Some("duplicate")),
            ),
            Fate::Dropped => (
                "transport:packet_dropped",
                Self::new(seen, Some("unexpected_packet")),
            ),
        }
    }

    fn new(seen: &'p PacketSeen, trigger: Option<&'static str>) -> Self {
        let (kind, packet_type) = names(seen.kind);
        Packet {
            header: Header {
                packet_type,
                packet_number: seen.number.map(PacketNumber::get),
            },
            raw: Raw { length: seen.size },
            frames: Frames(frames(seen)),
            kind,
            ecn: seen.mark.map(|mark| match mark {
                Ecn::Ect0 => "ECT(0)",
                Ecn::Ect1 => "ECT(1)",
                Ecn::Ce => "CE",
            }),
            imm: seen.flags.imm,
            retransmission: seen.flags.retransmitted,
            trigger,
        }
    }
}

/// The name of a type here, and the `PacketType` that comes nearest to it.
fn names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Syn => ("SYN", "initial"),
        Kind::SynAck => ("SYNACK", "handshake"),
        Kind::Data => ("DATA", "1RTT"),
        Kind::Ack => ("ACK", "1RTT"),
        Kind::Dgram => ("DGRAM", "1RTT"),
        Kind::Rst => ("RST", "1RTT"),
        Kind::Probe => ("PROBE", "1RTT"),
        Kind::Path => ("PATH", "1RTT"),
        Kind::Unknown => ("UNKNOWN", "stateless_reset"),
        Kind::Versions => ("VERSIONS", "version_negotiation"),
    }
}

/// A part of a packet as `QuicFrame`.
#[derive(Serialize)]
#[serde(tag = "frame_type", rename_all = "snake_case")]
enum Frame<'p> {
    Stream {
        stream_id: u64,
        offset: u64,
        length: usize,
        #[serde(skip_serializing_if = "is_false")]
        fin: bool,
    },
    Ack {
        ack_delay: Millis,
        acked_ranges: Ranges<'p>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ect0: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ect1: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ce: Option<u32>,
        /// All bytes of the stream below have arrived.
        ack_offset: u64,
        /// Of those, bytes that the application has not read.
        #[serde(skip_serializing_if = "is_zero")]
        unread: u32,
    },
    MaxData {
        maximum: u64,
    },
    Ping {
        #[serde(skip_serializing_if = "is_false")]
        mtu_probe: bool,
    },
    PathChallenge {
        data: String,
    },
    PathResponse {
        data: String,
    },
    ConnectionClose {
        error_space: &'static str,
        error_code: u16,
    },
}

/// The frames that there are.
struct Frames<'p>([Option<Frame<'p>>; FRAMES_MAX]);

impl Serialize for Frames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().flatten())
    }
}

fn frames(seen: &PacketSeen) -> [Option<Frame<'_>>; FRAMES_MAX] {
    let ack = seen.ack.as_ref();
    let edge = |ack: &Acknowledgement| Frame::MaxData {
        maximum: ack.offset.plus(u64::from(ack.window.get())).get(),
    };
    [content(seen), ack.map(ack_frame), ack.map(edge)]
}

/// What the packet's type adds to it.
fn content(seen: &PacketSeen) -> Option<Frame<'_>> {
    if let Some(data) = &seen.data {
        return Some(Frame::Stream {
            stream_id: 0,
            offset: data.start.get(),
            length: range_len(data),
            fin: seen.flags.fin,
        });
    }
    if let Some(probe) = seen.probe {
        let mtu_probe = probe == ProbeKind::Mtu;
        return Some(Frame::Ping { mtu_probe });
    }
    if let Some(code) = seen.reset {
        return Some(Frame::ConnectionClose {
            error_space: "transport",
            error_code: code.get(),
        });
    }
    seen.path.map(|message| match message {
        PathMessage::Challenge(nonce) => Frame::PathChallenge {
            data: format!("{nonce:016x}"),
        },
        PathMessage::Response(nonce) => Frame::PathResponse {
            data: format!("{nonce:016x}"),
        },
    })
}

fn ack_frame(ack: &Acknowledgement) -> Frame<'_> {
    Frame::Ack {
        ack_delay: Millis::of(ack.delay),
        acked_ranges: Ranges(&ack.ranges),
        ect0: ack.ecn.map(|counts| counts.ect0),
        ect1: ack.ecn.map(|counts| counts.ect1),
        ce: ack.ecn.map(|counts| counts.ce),
        ack_offset: ack.offset.get(),
        unread: ack.unread,
    }
}

/// `[[1,2],[4]]`.
struct Ranges<'p>(&'p [RangeInclusive<PacketNumber>]);

impl Serialize for Ranges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for range in self.0 {
            let (start, end) = (range.start().get(), range.end().get());
            if start == end {
                list.serialize_element(&[start])?;
            } else {
                list.serialize_element(&[start, end])?;
            }
        }
        list.end()
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
