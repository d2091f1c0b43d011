//! Which packets arrived, which are lost, and when the next one may leave: knows packets and byte
//! counts, never the stream's contents (RFC 9002; docs/ARCHITECTURE.md, "One lost segment").

pub mod congestion;
mod loss;
mod pacer;
mod pto;
mod rtt;
mod sent_packets;

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::time::{Deadline, Time};
use crate::wire::{Offset, PacketNumber};

pub use pacer::Pacer;
pub use rtt::RttEstimator;
pub use sent_packets::SentPackets;

/// What a packet carried that must be repaired if it is lost.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Contents {
    /// Bytes of the stream.
    pub data: Range<Offset>,
    /// The FIN.
    pub fin: bool,
    /// It was a path-MTU probe of this many bytes; its loss is no sign of congestion.
    pub mtu_probe: Option<u16>,
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

/// What an acknowledgement or a timeout means for the stream. The caller owns it, drains it, reuses it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Contents that have arrived.
    pub acked: Vec<Contents>,
    /// Contents that must be sent again.
    pub lost: Vec<Contents>,
    /// Ack-eliciting packets that the probe timeout asks for, exempt from cwnd (RFC 9002 s6.2.4).
    pub probes: u8,
    /// The largest packet newly acknowledged, if any was.
    pub largest_newly_acked: Option<PacketNumber>,
}

/// What a packet is sent for, as far as admission cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendClass {
    /// Stream data: within cwnd and pacing.
    Data,
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
    /// cwnd is full: when something is acknowledged or lost.
    AwaitAck,
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
    /// Congestion window, bytes.
    pub cwnd: u64,
    /// Slow-start threshold, bytes; `u64::MAX` before the first loss.
    pub ssthresh: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Pacing rate, bytes a second; 0 when not pacing.
    pub pacing_rate: u64,
    /// Numbered packets sent, acknowledged, declared lost, and of those: found to have arrived after all.
    pub packets_sent: u64,
    /// See above.
    pub packets_acked: u64,
    /// See above.
    pub packets_lost: u64,
    /// See above.
    pub packets_spurious: u64,
    /// Probe timeouts since something was acknowledged.
    pub pto_count: u32,
}

/// Loss recovery, congestion control and pacing of one connection.
#[derive(Debug)]
pub struct Recovery {}

impl Recovery {
    /// Recovery whose first packet will be `first`, with datagrams of at most `mtu` bytes.
    pub fn new(_first: PacketNumber, _mtu: u16) -> Self {
        todo!()
    }
    /// The number that the next numbered packet must have.
    pub fn next_number(&self) -> PacketNumber {
        todo!()
    }
    /// The oldest number still tracked (in flight, or lost and remembered); `next_number` if none.
    pub fn oldest_tracked(&self) -> PacketNumber {
        todo!()
    }
    /// A round trip measured by the handshake.
    pub fn on_handshake_rtt(&mut self, _rtt: Duration) {
        todo!()
    }
    /// The peer's longest acknowledgement delay.
    pub fn set_max_ack_delay(&mut self, _delay: Duration) {
        todo!()
    }
    /// The path carries datagrams of `mtu` bytes.
    pub fn set_mtu(&mut self, _mtu: u16) {
        todo!()
    }
    /// Whether a packet of `size` bytes may leave now.
    pub fn admission(&self, _now: Time, _size: u16, _class: SendClass) -> Admission {
        todo!()
    }
    /// A numbered packet left. `app_limited`: nothing more is waiting behind it.
    ///
    /// # Panics
    /// If its number is not `next_number()`.
    pub fn on_sent(&mut self, _now: Time, _packet: SentPacket, _app_limited: bool) {
        todo!()
    }
    /// An ACK block arrived: `ranges` highest first. Work is proportional to what is newly resolved.
    ///
    /// # Errors
    /// [`AckOfUnsent`]; nothing has changed then.
    pub fn on_ack(
        &mut self,
        _now: Time,
        _ranges: impl Iterator<Item = RangeInclusive<PacketNumber>> + Clone,
        _delay: Duration,
        _out: &mut Outcome,
    ) -> Result<(), AckOfUnsent> {
        todo!()
    }
    /// The deadline has come: packets are lost by age, or probes are wanted.
    pub fn on_timeout(&mut self, _now: Time, _out: &mut Outcome) {
        todo!()
    }
    /// When `on_timeout` must be called; `None` exactly when nothing ack-eliciting is in flight.
    pub fn deadline(&self) -> Option<Deadline> {
        todo!()
    }
    /// Whether the number was sent and is neither acknowledged nor forgotten.
    pub fn is_outstanding(&self, _number: PacketNumber) -> bool {
        todo!()
    }
    /// The time of sending of the oldest packet in flight.
    pub fn oldest_in_flight(&self) -> Option<Time> {
        todo!()
    }
    /// The probe timeout without back-off: srtt + max(4 rttvar, G) + the peer's delay.
    pub fn pto(&self) -> Duration {
        todo!()
    }
    /// A new path: round trip, cwnd and mtu start anew; what is in flight stays tracked.
    pub fn on_new_path(&mut self, _mtu: u16) {
        todo!()
    }
    /// Forgets everything in flight: the connection was reset.
    pub fn clear(&mut self) {
        todo!()
    }
    /// Numbers for people.
    pub fn snapshot(&self) -> RecoverySnapshot {
        todo!()
    }
    /// The round-trip estimator.
    pub fn rtt(&self) -> &RttEstimator {
        todo!()
    }
}
