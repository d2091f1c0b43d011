//! How many bytes may be in flight, and how fast they leave: the algorithms, and what they are told.
//!
//! A [`Controller`] is told of every packet sent, acknowledged and lost, and asked for its window and its
//! pacing rate. It holds no clock, no packet and no timer: [`recovery`](crate::recovery) owns those. All
//! figures are bytes of datagrams, bytes a second, and instants.
//!
//! ```text
//!   packets sent, acknowledged, lost      AckSample, LostPacket, Congested
//!   recovery  ---------------------------------------------->  Controller
//!             <----------------------------------------------
//!                  cwnd, pacing_rate, send_quantum
//! ```

mod algorithm;
mod auto;
mod bbr;
mod choice;
mod cube_root;
mod cubic;
mod hystart;
mod new_reno;
mod window;

use std::fmt;
use std::time::Duration;

use crate::time::Time;
use crate::wire::PacketNumber;

pub use algorithm::Algorithm;
pub use auto::Auto;
pub use bbr::Bbr;
pub use choice::{Congestion, Custom, Setup};
pub use cubic::Cubic;
pub use new_reno::NewReno;

/// Datagrams of the initial window (RFC 6928 s2).
const INITIAL_DATAGRAMS: u64 = 10;
/// Bytes of the initial window, as long as two datagrams fit (RFC 6928 s2).
const INITIAL_BYTES: u64 = 14_600;
/// Datagrams that every window holds (RFC 9002 s7.2).
const MIN_DATAGRAMS: u64 = 2;

/// A packet left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sent {
    /// When.
    pub now: Time,
    /// Bytes of the datagram.
    pub size: u64,
    /// Bytes in flight before it.
    pub inflight: u64,
    /// The application has nothing more to send behind it, and the window has room.
    pub app_limited: bool,
    /// How long nothing had been in flight, if nothing was: time since the last acknowledgement.
    pub idle: Option<Duration>,
}

/// What one acknowledgement tells a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AckSample {
    /// When it came.
    pub now: Time,
    /// Bytes acknowledged for the first time.
    pub newly_acked: u64,
    /// Of those, the bytes for which a window may grow: of packets sent since the last reduction, and in
    /// flight at a time when the window was full (RFC 9002 s7.3.2, s7.8).
    pub growth: u64,
    /// Bytes declared lost by the same acknowledgement.
    pub newly_lost: u64,
    /// Packets newly reported with a congestion mark (ECN CE).
    pub newly_marked: u64,
    /// Bytes in flight before it.
    pub inflight_before: u64,
    /// Bytes in flight after it.
    pub inflight: u64,
    /// Bytes ever acknowledged, these included.
    pub delivered: u64,
    /// Bytes ever declared lost, these included.
    pub lost: u64,
    /// The round trip that it measured, if it did.
    pub rtt: Option<Duration>,
    /// Smoothed round trip.
    pub srtt: Duration,
    /// Smallest round trip.
    pub min_rtt: Duration,
    /// What the newest acknowledged packet tells of the path; `None` if only packets declared lost before
    /// turned out to have arrived.
    pub rate: Option<RateSample>,
    /// The window was full at some time since the newest acknowledged packet was sent.
    pub cwnd_limited: bool,
}

/// A delivery rate, measured from the sending of a packet to its acknowledgement
/// (draft-ietf-ccwg-bbr, "Delivery Rate Samples").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RateSample {
    /// Bytes delivered when the packet was sent.
    pub prior_delivered: u64,
    /// Bytes delivered since.
    pub delivered: u64,
    /// The time that they took, at the sender or at the receiver, whichever was longer.
    pub interval: Duration,
    /// `delivered` over `interval`, bytes a second; `None` if the interval is shorter than the smallest
    /// round trip, which no true one can be.
    pub rate: Option<u64>,
    /// Bytes in flight once the packet was sent, it included.
    pub tx_in_flight: u64,
    /// Bytes declared lost since the packet was sent.
    pub lost: u64,
    /// The application, not the path, limited the rate at some time in between.
    pub app_limited: bool,
}

/// A packet was declared lost. Path-MTU probes are not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostPacket {
    /// When it was declared lost.
    pub now: Time,
    /// Its number: losses whose numbers follow each other are one range.
    pub number: PacketNumber,
    /// Bytes of the datagram.
    pub size: u64,
    /// When it was sent.
    pub sent_at: Time,
    /// Bytes delivered when it was sent.
    pub prior_delivered: u64,
    /// Bytes in flight once it was sent, it included.
    pub tx_in_flight: u64,
    /// Bytes declared lost since it was sent, it included.
    pub lost: u64,
    /// It was sent while the application limited the rate.
    pub app_limited: bool,
}

/// Why a window must shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Packets were lost; told at most once for each round trip (RFC 9002 s7.3.2).
    Loss,
    /// A router marked packets instead of dropping them; at most once for each round trip (RFC 3168 s6.1.2).
    Mark,
    /// Everything sent for a long time was lost (RFC 9002 s7.6).
    Persistent,
}

/// The network is congested: the beginning of an episode of recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Congested {
    /// When that was found out.
    pub now: Time,
    /// By which sign.
    pub cause: Cause,
    /// Bytes in flight before the losses were taken off.
    pub inflight: u64,
}

/// A congestion controller: told what happened, asked for its window.
///
/// A user's own controller implements this; [`Congestion::custom`] puts it into a connection's
/// configuration. Everything but the first five methods has a default.
pub trait Controller: fmt::Debug + Send {
    /// Something was acknowledged. Called once for each acknowledgement, after [`Controller::on_lost`] and
    /// [`Controller::on_congestion`] for what it found lost.
    fn on_ack(&mut self, sample: &AckSample);
    /// The network is congested. Told once for each episode; its losses may prove to be none:
    /// [`Controller::on_undo`].
    fn on_congestion(&mut self, event: &Congested);
    /// Datagrams now have up to `mtu` bytes. The window keeps its bytes, and holds two datagrams at least.
    fn on_mtu(&mut self, mtu: u16);
    /// Bytes that may be in flight.
    fn cwnd(&self) -> u64;
    /// How fast packets should leave when a round trip takes `srtt`, bytes a second.
    fn pacing_rate(&self, srtt: Duration) -> u64;

    /// A packet left.
    fn on_sent(&mut self, sent: &Sent) {
        let _ = sent;
    }
    /// A packet was declared lost; every one is told, also during recovery.
    fn on_lost(&mut self, lost: &LostPacket) {
        let _ = lost;
    }
    /// Every packet declared lost in this episode has arrived after all: what [`Controller::on_congestion`]
    /// changed is to be restored (RFC 4015, RFC 9438 s4.9).
    fn on_undo(&mut self, now: Time) {
        let _ = now;
    }
    /// The sender was silent for so long that the window no longer describes the path (RFC 5681 s4.1).
    /// `delivered`: bytes delivered in the last round trip before the silence.
    fn on_restart_from_idle(&mut self, now: Time, delivered: u64) {
        let _ = (now, delivered);
    }
    /// The window from which growth is slow, bytes; `u64::MAX` while that is not known.
    fn ssthresh(&self) -> u64 {
        u64::MAX
    }
    /// Bytes that should leave together; `None` for what a millisecond carries.
    fn send_quantum(&self) -> Option<u64> {
        None
    }
    /// Whether proportional rate reduction (RFC 9937) spreads the reduction over a round trip.
    fn uses_prr(&self) -> bool {
        true
    }
    /// Whether it answers [`Cause::Mark`] as it answers a loss: only then may packets say that routers may
    /// mark them instead of dropping them (RFC 3168 s5).
    fn answers_marks(&self) -> bool {
        false
    }
    /// The state for people: "slow start", "congestion avoidance", ...
    fn state(&self) -> &'static str {
        ""
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
