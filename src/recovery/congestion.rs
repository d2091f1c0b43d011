//! How many bytes may be in flight: the interface of the algorithms, and the algorithms.

mod new_reno;

use std::time::Duration;

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
    /// Bytes acknowledged for the first time that may widen the window: of packets sent since the last
    /// reduction, and in flight at a time when the window was full (RFC 9002 s7.3.2, s7.8).
    pub newly_acked: u64,
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
