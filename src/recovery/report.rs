//! What recovery is told about packets, and what it answers.

use std::ops::Range;
use std::time::Duration;

use super::EcnState;
use crate::time::Time;
use crate::wire::{Offset, PacketNumber};

/// What a packet carried: what must be repaired if it is lost, and what its acknowledgement proves.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Contents {
    /// Bytes of the stream.
    pub data: Range<Offset>,
    /// The FIN.
    pub fin: bool,
    /// It was a path-MTU probe of this many bytes; its loss is no sign of congestion.
    pub mtu_probe: Option<u16>,
    /// A datagram of the application, which is not repeated.
    pub dgram: bool,
    /// It left with an ECN mark, ECT(0): the peer must count it when it arrives.
    pub marked: bool,
}

/// A numbered packet that has just left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// Its number.
    pub number: PacketNumber,
    /// Bytes of the datagram.
    pub size: u16,
    /// IMM was set: the peer answers at once.
    pub imm: bool,
    /// What it carried.
    pub contents: Contents,
}

/// What an acknowledgement or a timeout means for the stream. The caller owns it, drains it, reuses it;
/// what is found is added to its lists, while its other fields are those of the last call.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Contents that have arrived; also such as were declared lost before.
    pub acked: Vec<Contents>,
    /// Contents that must be sent again.
    pub lost: Vec<Contents>,
    /// Ack-eliciting packets that the probe timeout asks for, exempt from cwnd (RFC 9002 s6.2.4).
    pub probes: u8,
    /// The largest packet newly acknowledged, if any was.
    pub largest_newly_acked: Option<PacketNumber>,
    /// Bytes of the longest datagram newly acknowledged on the present path.
    pub largest_size: u16,
}

/// What a packet is sent for, as far as admission cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendClass {
    /// Stream data: within cwnd and pacing.
    Data {
        /// Bytes that wait to be sent, this packet's included: where they are fewer than the pacer lets through at
        /// once, they need not wait for more.
        waiting: u64,
    },
    /// A probe or a control packet: exempt from both, but counted.
    Probe,
}

/// Whether a packet may leave now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// Yes.
    Send,
    /// The pacer says: at this time.
    At(Time),
    /// cwnd is full, or an unpaced burst is: when something is acknowledged or lost.
    AwaitAck,
}

/// What keeps a sender from sending more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// It has nothing to send: no new data, nothing lost to repeat.
    Application,
    /// The peer's window.
    Window,
    /// The congestion window.
    Cwnd,
    /// The pacer: the next packet has its time.
    Pacing,
}

/// An acknowledgement names a packet that was never sent (security: the caller counts these).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("acknowledges a packet that was never sent")]
pub struct AckOfUnsent;

/// Numbers for `info()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoverySnapshot {
    /// Smoothed round trip, once there was a sample.
    pub srtt: Option<Duration>,
    /// Mean deviation of the round trip.
    pub rttvar: Duration,
    /// Smallest round trip.
    pub min_rtt: Option<Duration>,
    /// Latest round trip.
    pub latest_rtt: Option<Duration>,
    /// Congestion window, bytes.
    pub cwnd: u64,
    /// Slow-start threshold, bytes; `u64::MAX` before the first loss.
    pub ssthresh: u64,
    /// Bytes in flight on the present path.
    pub bytes_in_flight: u64,
    /// Pacing rate, bytes a second; 0 when not pacing.
    pub pacing_rate: u64,
    /// Numbered packets sent: those acknowledged, those declared lost, and those in flight.
    pub packets_sent: u64,
    /// Of those, acknowledged before they were declared lost.
    pub packets_acked: u64,
    /// Of those, declared lost, whatever became of them later.
    pub packets_lost: u64,
    /// Of those declared lost, found to have arrived after all.
    pub packets_spurious: u64,
    /// Bytes of the packets declared lost.
    pub bytes_lost: u64,
    /// Bytes of those that turned out to have arrived.
    pub bytes_spurious: u64,
    /// The latest delivery rate that the application did not limit, bytes of datagrams a second.
    pub delivery_rate: Option<u64>,
    /// The name of the algorithm.
    pub algorithm: &'static str,
    /// What it is about: "slow start", ...
    pub state: &'static str,
    /// Numbered packets in flight, on whatever path.
    pub packets_in_flight: u64,
    /// Probe timeouts since something was acknowledged.
    pub pto_count: u32,
    /// How far the trust in the present path's ECN goes.
    pub ecn: EcnState,
    /// Packets that the peer received with a congestion mark.
    pub packets_marked: u64,
}
