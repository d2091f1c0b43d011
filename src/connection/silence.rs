//! Has data stopped in its midst? A receiver that owes nothing says nothing, and so nobody learns that a NAT has
//! given it another port, or that its address has gone (docs/WIRE.md, "Address changes").
//!
//! ```text
//!   data, data, data,  ...a round trip without...  PROBE, padded --> the peer sees where we are, and may answer
//!                                                                    with three times as much
//! ```
//! The peer is known to have more while the newest of its bytes does not end what its application wrote (PSH),
//! while a byte before it is missing, and while our window has room. So an idle stream, one whose writer pauses
//! and one whose reader does not read are never asked about, and nothing wakes up for them.
//!
//! Invariant: each silence is asked about once, in at most one of [`PACKETS_MIN`] packets of data; whether the
//! question itself is lost, the probe timeout finds out.

use std::time::Duration;

use super::Connection;
use crate::limits::DATAGRAM_MIN;
use crate::time::{Time, Timer};
use crate::wire::{Data, Flags};
use crate::wire::{Offset, len_u64};

/// The shortest silence that means something: a shorter one is the pause of a busy machine.
const SILENCE_MIN: Duration = Duration::from_millis(10);
/// Packets of data before the first question, and from one to the next: fewer are no flow, and a sender with a window of
/// two packets pauses in every round trip.
const PACKETS_MIN: u32 = 16;
/// Bytes of the question: three times as many hold a datagram for an address that has not proved itself, and each
/// byte more makes the gap longer on a slow line.
pub(super) const QUESTION_BYTES: usize = DATAGRAM_MIN / 2;

/// What is known of the flow of data towards this side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silence {
    /// Data came, or the window opened for it.
    since: Time,
    /// The furthest end of what the peer's application wrote.
    pushed: Offset,
    /// Packets of data since the last question.
    packets: u32,
    /// A question is on its way, and no data has come since.
    is_asking: bool,
}

impl Silence {
    /// Before the first byte.
    pub(super) fn new(now: Time) -> Self {
        Silence {
            since: now,
            pushed: Offset::ZERO,
            packets: 0,
            is_asking: false,
        }
    }

    /// Whether a PROBE that leaves now is to be padded, so that the answer may carry data.
    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }
}

impl Connection {
    /// Data that was not received before has come.
    pub(super) fn note_flow(&mut self, now: Time, data: &Data<'_>, flags: Flags) {
        if flags.push || flags.fin {
            let end = data.offset.plus(len_u64(data.payload.len()));
            self.silence.pushed = self.silence.pushed.max(end);
        }
        self.silence.packets = self.silence.packets.saturating_add(1);
        self.silence.is_asking = false;
        self.expect_data(now);
    }

    /// From now on more data should come within a round trip, if the peer has any.
    pub(super) fn expect_data(&mut self, now: Time) {
        self.silence.since = now;
        if self.is_data_due() {
            let due = now + self.silence_max();
            self.timers.set_if_stopped(Timer::Silence, due);
        } else {
            self.timers.stop(Timer::Silence);
        }
    }

    /// The peer has been silent since the timer was set, or has it?
    pub(super) fn fire_silence(&mut self, now: Time) {
        if !self.is_data_due() {
            return;
        }
        let due = self.silence.since + self.silence_max();
        if now < due {
            return self.timers.set(Timer::Silence, due);
        }
        if self.silence.packets >= PACKETS_MIN {
            self.silence.packets = 0;
            self.silence.is_asking = true;
            self.wants.liveness = true;
        }
    }

    /// How long nothing may come in the midst of a flow: what is sent for our last acknowledgement takes a round trip.
    fn silence_max(&self) -> Duration {
        let rtt = self.recovery.rtt().srtt();
        rtt.unwrap_or(self.recovery.pto()).max(SILENCE_MIN)
    }

    /// Whether the peer has data that it may send.
    fn is_data_due(&self) -> bool {
        let (highest, next) = (self.assembler.highest(), self.assembler.rcv_nxt());
        let has_more = highest > self.silence.pushed && !self.is_peer_shut_out();
        !self.recv_half.is_complete() && (next < highest || has_more)
    }

    /// Whether our window may keep the peer from sending more: below a quarter it is told anew as soon as the application
    /// reads, and a sender does not use crumbs (RFC 9293 s3.8.6.2).
    pub(super) fn is_peer_shut_out(&self) -> bool {
        let room = self.recv_credit.edge().since(self.assembler.highest());
        room < self.recv_credit.window() / 4
    }
}

#[cfg(test)]
mod tests;
