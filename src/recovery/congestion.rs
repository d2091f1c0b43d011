//! How many bytes may be in flight: the interface of the algorithms, and the algorithms.

mod new_reno;

use std::time::Duration;

use crate::wire::PacketNumber;

pub use new_reno::NewReno;

/// Datagrams of the initial window (RFC 6928 s2).
const INITIAL_DATAGRAMS: u64 = 10;
/// Bytes of the initial window, as long as two datagrams fit (RFC 6928 s2).
const INITIAL_BYTES: u64 = 14_600;
/// Datagrams that every window holds (RFC 9002 s7.2).
const MIN_DATAGRAMS: u64 = 2;

/// What one acknowledgement tells a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSample {
    /// Bytes acknowledged for the first time, of packets sent since the last reduction.
    pub newly_acked: u64,
    /// The window held the sender back when it sent them, or in the round before (RFC 9002 s7.8).
    pub cwnd_limited: bool,
}

/// Why a window must shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CongestionEvent {
    /// Packets were lost; told at most once for each round trip (RFC 9002 s7.3.2).
    Loss,
    /// Everything sent for a long time was lost (RFC 9002 s7.6).
    Persistent,
}

/// A congestion controller: told what happened, asked for its window.
pub trait Controller {
    /// Something was acknowledged.
    fn on_ack(&mut self, sample: &AckSample);
    /// The network is congested.
    fn on_congestion(&mut self, event: CongestionEvent);
    /// The sender was silent for so long that the window no longer describes the path (RFC 5681 s4.1).
    fn on_restart_from_idle(&mut self);
    /// Datagrams now have up to `mtu` bytes.
    fn on_mtu(&mut self, mtu: u16);
    /// Bytes that may be in flight.
    fn cwnd(&self) -> u64;
    /// The window from which growth is slow, bytes; `u64::MAX` while that is not known.
    fn ssthresh(&self) -> u64;
    /// How fast packets should leave when a round trip takes `srtt`, bytes a second.
    fn pacing_rate(&self, srtt: Duration) -> u64;
}

/// The algorithm of a connection.
#[derive(Clone, Debug)]
pub enum Algorithm {
    /// RFC 5681 and RFC 6582 as RFC 9002 s7 combines them.
    NewReno(NewReno),
}

impl Controller for Algorithm {
    fn on_ack(&mut self, sample: &AckSample) {
        match self {
            Algorithm::NewReno(reno) => reno.on_ack(sample),
        }
    }

    fn on_congestion(&mut self, event: CongestionEvent) {
        match self {
            Algorithm::NewReno(reno) => reno.on_congestion(event),
        }
    }

    fn on_restart_from_idle(&mut self) {
        match self {
            Algorithm::NewReno(reno) => reno.on_restart_from_idle(),
        }
    }

    fn on_mtu(&mut self, mtu: u16) {
        match self {
            Algorithm::NewReno(reno) => reno.on_mtu(mtu),
        }
    }

    fn cwnd(&self) -> u64 {
        match self {
            Algorithm::NewReno(reno) => reno.cwnd(),
        }
    }

    fn ssthresh(&self) -> u64 {
        match self {
            Algorithm::NewReno(reno) => reno.ssthresh(),
        }
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        match self {
            Algorithm::NewReno(reno) => reno.pacing_rate(srtt),
        }
    }
}

/// The initial window, bytes: ten datagrams, or fewer large ones (RFC 6928 s2).
pub fn initial_window(mtu: u16) -> u64 {
    let mtu = u64::from(mtu);
    (INITIAL_DATAGRAMS * mtu).min(INITIAL_BYTES.max(MIN_DATAGRAMS * mtu))
}

/// The smallest window, bytes (RFC 9002 s7.2).
pub fn minimum_window(mtu: u16) -> u64 {
    MIN_DATAGRAMS * u64::from(mtu)
}

/// Whether the window, and not the application, held the sender back.
///
/// Asked when packets leave, not when their acknowledgements arrive: by then the flight has shrunk and
/// every window looks wide. The answer holds for the round trip in which it was found and for the
/// next one, because a window that was full once in a round was the limit of that round.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowUse {
    /// A packet of this number or above, once acknowledged, begins a new round.
    round_end: PacketNumber,
    full_now: bool,
    full_before: bool,
}

impl WindowUse {
    pub(super) fn new(first: PacketNumber) -> Self {
        WindowUse {
            round_end: first,
            full_now: false,
            full_before: false,
        }
    }

    /// A packet left, and `room` bytes of the window remain: it is full if no datagram fits.
    pub(super) fn on_sent(&mut self, room: u64, mtu: u16) {
        self.full_now |= room < u64::from(mtu);
    }

    /// Packets up to `largest` arrived, `next` is the next to be sent: was the window the limit?
    pub(super) fn on_acked(&mut self, largest: PacketNumber, next: PacketNumber) -> bool {
        let limited = self.full_now || self.full_before;
        if largest >= self.round_end {
            self.round_end = next;
            self.full_before = self.full_now;
            self.full_now = false;
        }
        limited
    }
}
