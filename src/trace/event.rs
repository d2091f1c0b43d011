//! What there is to tell: events as values.

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::error::{CloseReason, ResetCode};
use crate::time::{Time, Timer};
use crate::trace::Metrics;
use crate::wire::{
    Ecn, EcnCounts, Flags, Kind, Offset, PacketNumber, PathMessage, ProbeKind, Window,
};

/// An event, and when it happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// When.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// Something that happened on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// What one side told of itself in the handshake.
    Parameters(Parameters),
    /// A packet left.
    Sent {
        /// The packet, as it stands on the wire.
        packet: PacketSeen,
        /// An expired probe timeout sent it.
        is_timeout_probe: bool,
    },
    /// A packet came.
    Received {
        /// The packet, as it stands on the wire.
        packet: PacketSeen,
        /// What became of it.
        fate: Fate,
    },
    /// Packets were acknowledged that were in flight.
    Acked(Vec<RangeInclusive<PacketNumber>>),
    /// Packets were acknowledged that had been declared lost.
    Spurious(Vec<RangeInclusive<PacketNumber>>),
    /// A packet was declared lost.
    Lost {
        /// Its number.
        number: PacketNumber,
        /// By which rule.
        trigger: LossTrigger,
    },
    /// The window was reduced; for which sign of congestion.
    Congested(&'static str),
    /// Every loss that the window was reduced for proved to be none: the window is what it was.
    Undone,
    /// A deadline came.
    TimerFired(Timer),
    /// Numbers of recovery and congestion control changed: those that did.
    Metrics(Metrics),
    /// The congestion control is about something else.
    Congestion {
        /// Its name.
        algorithm: &'static str,
        /// What it was about; empty at the beginning.
        old: &'static str,
        /// What it is about now.
        new: &'static str,
    },
    /// The connection is further on.
    State {
        /// How far, in qlog's words.
        stage: Stage,
        /// The same in the words of RFC 9293.
        name: &'static str,
    },
    /// Something else than before keeps the sender from sending more.
    Limited(&'static str),
    /// Datagrams have another size, bytes.
    Mtu {
        /// The size before; `None` at the beginning.
        old: Option<u16>,
        /// The size from now on.
        new: u16,
    },
    /// The path's ECN is trusted more, or less.
    Ecn(&'static str),
    /// Packets go to another address.
    Path(SocketAddr),
    /// The connection is over; why, unless both sides had finished.
    Closed(Option<CloseReason>),
    /// Nobody took the events for too long: what follows is missing.
    Cut,
}

/// What one side told of itself in the handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// Told by this side, not by the peer.
    pub is_own: bool,
    /// The window at the beginning, bytes.
    pub window: u64,
    /// The longest datagram that it takes; `None` if that is not kept.
    pub max_datagram: Option<u16>,
    /// The longest time that it lets an acknowledgement wait.
    pub max_ack_delay: Duration,
    /// The idle timeout that holds.
    pub idle_timeout: Option<Duration>,
}

/// One packet as it stands on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketSeen {
    /// Its type.
    pub kind: Kind,
    /// Its number; `None` for types that have none of their own.
    pub number: Option<PacketNumber>,
    /// Bytes of the datagram.
    pub size: usize,
    /// Its ECN mark.
    pub mark: Option<Ecn>,
    /// Its flags.
    pub flags: Flags,
    /// The bytes of the stream that it carries; DATA only.
    pub data: Option<Range<Offset>>,
    /// The acknowledgement that rides along.
    pub ack: Option<Acknowledgement>,
    /// PROBE: what for.
    pub probe: Option<ProbeKind>,
    /// PATH: challenge or response.
    pub path: Option<PathMessage>,
    /// RST: its code.
    pub reset: Option<ResetCode>,
}

/// An ACK block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acknowledgement {
    /// The packets that it names, highest first.
    pub ranges: Vec<RangeInclusive<PacketNumber>>,
    /// How long the largest had waited.
    pub delay: Duration,
    /// All bytes of the stream below have arrived.
    pub offset: Offset,
    /// Bytes allowed beyond `offset`.
    pub window: Window,
    /// Bytes that the application has not read.
    pub unread: u32,
    /// Counts of ECN marks.
    pub ecn: Option<EcnCounts>,
}

/// What became of a packet that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was taken.
    Taken,
    /// Its number had come before.
    Duplicate,
    /// It broke a rule, could not be held, or was not for this state.
    Dropped,
}

/// The rule by which a packet counts as lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossTrigger {
    /// Too many packets that were sent later have arrived (RFC 9002 s6.1.1).
    Reordering,
    /// It is too old, and one that was sent later has arrived (RFC 9002 s6.1.2).
    Time,
}

/// How far a connection is, in the words of qlog (`ConnectionState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// SYNs are sent.
    Attempted,
    /// The peer has answered, and does not know yet that it was heard.
    HandshakeStarted,
    /// Both directions are open.
    HandshakeConfirmed,
    /// At least one side has finished.
    Closing,
    /// Over.
    Closed,
}
