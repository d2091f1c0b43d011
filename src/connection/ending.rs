//! How a connection ends: orderly, by a reset of either side, by proof that the peer is gone, or because
//! its owner left (docs/WIRE.md, "RST, unknown connections, ICMP" and "TIME_WAIT").

use std::net::SocketAddr;
use std::time::Duration;

use super::handshake::Handshake;
use super::lifecycle::{FinOrder, RecvHalf, SendHalf};
use super::{Connection, Farewell, IcmpError, LastAck, Phase};
use crate::error::{CloseReason, ResetCode};
use crate::limits::{FIN_WAIT_2_LIFE, RST_AHEAD_MAX};
use crate::time::{Time, Timer};
use crate::wire::TruncatedNumber;

/// Verified port-unreachables, one for each probe, after which the peer's process counts as gone.
const UNREACHABLES_MAX: u8 = 4;
/// Time between the quick probes that a port-unreachable starts.
const LIVENESS_INTERVAL: Duration = Duration::from_millis(10);

/// What the owner of a connection wants for the time after him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// Deliver in the background until acknowledged, or until the user timeout ends it.
    Background,
    /// Deliver for at most this long, then reset; zero resets at once.
    For(Duration),
}

impl Connection {
    // --- the peer ends it ---------------------------------------------------------------------------

    /// RST. One that refuses our SYN repeats the SYN's number; any other must be above all received.
    pub(super) fn on_rst(&mut self, pn: TruncatedNumber, code: ResetCode) {
        if self.phase == Phase::Opening {
            if pn == self.local_first.truncate() {
                self.reset_code = Some(code);
                self.fail(refusal(code));
            }
            return;
        }
        let number = self.acks.expand(pn);
        let largest = self.acks.largest();
        if number <= largest || number.since(largest) > RST_AHEAD_MAX {
            self.counters.packets_rejected += 1;
            return;
        }
        self.reset_code = Some(code);
        self.fail(self.reset_reason(CloseReason::Reset(code)));
    }

    /// After the end of the peer's stream a reset only says that it reads no more (EPIPE in the kernel).
    fn reset_reason(&self, otherwise: CloseReason) -> CloseReason {
        if self.recv_half.is_complete() {
            CloseReason::ReadSideGone
        } else {
            otherwise
        }
    }

    /// UNKNOWN: believed only for a packet of ours that is in flight, and only from where the peer is known
    /// to be. Who replays a packet from another address gets a challenge there, and must not end the
    /// connection by saying that he does not know it.
    pub(super) fn on_unknown(&mut self, from: SocketAddr, pn: TruncatedNumber) {
        let is_peer = from == self.path.current().remote && !self.path.is_changing();
        if self.phase == Phase::Open && is_peer && self.is_outstanding(pn) {
            self.fail(self.reset_reason(CloseReason::Forgotten));
        }
    }

    /// An ICMP error quotes a packet of this connection with this number (`None`: a SYN). Only a
    /// port-unreachable counts, and on an open connection only several in a row without a sign of life.
    pub fn handle_icmp(&mut self, now: Time, error: IcmpError, quoted: Option<TruncatedNumber>) {
        self.advance(now);
        if error != IcmpError::PortUnreachable {
            return;
        }
        match (self.phase, quoted) {
            (Phase::Opening, None) => self.fail(CloseReason::Refused),
            (Phase::Open, Some(number)) if self.is_next_unreachable(number) => {
                self.unreachable_below = self.recovery.next_number();
                self.unreachables += 1;
                if self.unreachables >= UNREACHABLES_MAX {
                    self.fail(self.reset_reason(CloseReason::Gone));
                } else {
                    self.timers
                        .set_if_stopped(Timer::Liveness, now + LIVENESS_INTERVAL);
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// Whether the quoted packet is in flight and was sent after the last error that counted: each error
    /// must be the answer to a new packet.
    fn is_next_unreachable(&self, number: TruncatedNumber) -> bool {
        let expanded = number.expand(self.recovery.next_number());
        self.is_outstanding(number) && expanded >= self.unreachable_below
    }

    // --- this side ends it --------------------------------------------------------------------------

    /// The connection has failed: what was received stays readable, then the reason is told once.
    pub fn fail(&mut self, reason: CloseReason) {
        if self.failed || self.phase == Phase::Over {
            return;
        }
        self.failed = true;
        self.note_failure(&reason);
        self.failure = Some(reason.clone());
        self.phase = Phase::Over;
        self.handshake = Handshake::Done;
        self.send_half = SendHalf::Reset;
        if !self.recv_half.is_complete() {
            self.recv_half = RecvHalf::Reset;
        }
        self.send.clear();
        self.datagrams.stop();
        self.recovery.clear();
        self.timers.stop_all();
        self.pending.readable = true;
        self.pending.writable = true;
        self.pending.delivered = true;
        self.pending.failed = Some(reason);
        self.pending.closed = Some(Farewell::Spent);
    }

    /// RST now. Codes below [`ResetCode::APPLICATION`] are the protocol's own.
    pub fn abort(&mut self, code: ResetCode) {
        if self.phase == Phase::Over {
            return;
        }
        if self.phase == Phase::Open {
            self.wants.reset = Some(code);
        }
        self.reset_code = Some(code);
        self.fail(CloseReason::Aborted(code));
    }

    /// The owner is gone: what was written is delivered as `linger` says, then FIN; or, if received data
    /// was left unread, then RST(unread) (RFC 2525 s2.17, after our own data instead of before).
    pub fn release(&mut self, now: Time, linger: Linger) {
        self.advance(now);
        self.released = true;
        let unread = self.assembler.unread() > 0;
        self.assembler.discard();
        match (self.phase, linger) {
            (Phase::Over, _) => return,
            (Phase::Opening, _) => self.abort(ResetCode::ABORTED),
            (Phase::Open, Linger::For(Duration::ZERO)) => self.abort(ResetCode::ABORTED),
            (Phase::Open, _) if unread && self.config.abort_on_unread() => {
                self.abort(ResetCode::UNREAD);
            }
            (Phase::Open, linger) => {
                if let Linger::For(time) = linger {
                    self.timers.set(Timer::Linger, now + time);
                }
                self.idle.advanced_at = now;
                self.arm_user_timer(now);
                if unread {
                    self.reset_at_end = true;
                } else {
                    self.shutdown_write();
                }
            }
        }
        self.settle(now);
    }

    /// The linger time is over.
    pub(super) fn end_linger(&mut self) {
        self.abort(if self.reset_at_end {
            ResetCode::UNREAD
        } else {
            ResetCode::ABORTED
        });
    }

    // --- after every input --------------------------------------------------------------------------

    /// Finds out whether the connection is over, or waits only for the peer's FIN.
    pub(super) fn settle(&mut self, now: Time) {
        if self.phase != Phase::Open {
            return;
        }
        if self.released && self.reset_at_end && self.is_all_acked() {
            self.abort(ResetCode::UNREAD);
            return;
        }
        if self.send_half != SendHalf::FinAcked {
            return;
        }
        if self.recv_half.is_complete() {
            self.finish();
        } else if self.released {
            self.timers
                .set_if_stopped(Timer::FinWait2, now + FIN_WAIT_2_LIFE);
        }
    }

    /// Both directions are done. The last acknowledgement may still be owed: it leaves first.
    fn finish(&mut self) {
        if self.acks.is_owed() {
            self.acks.owe_now();
            return;
        }
        self.phase = Phase::Over;
        self.timers.stop_all();
        self.datagrams.stop();
        self.recovery.clear();
        self.pending.delivered = true;
        self.pending.closed = Some(match self.fin_order {
            FinOrder::OursFirst => Farewell::TimeWait(self.last_ack()),
            FinOrder::TheirsFirst | FinOrder::None => Farewell::Spent,
        });
    }

    /// What the TIME_WAIT entry repeats when the peer's FIN comes again.
    fn last_ack(&mut self) -> LastAck {
        let peer_cid = self.peer.map_or(self.local_cid, |peer| peer.cid);
        LastAck {
            peer_cid,
            remote: self.path.current().remote,
            largest: self.acks.largest(),
            ack_offset: self.ack_offset(),
            next_number: self.recovery.next_number(),
            ack_number: self.acks.take_ack_number(),
            three_pto: self.recovery.pto().saturating_mul(3),
        }
    }

    /// FIN_WAIT_2 without an owner has lasted long enough.
    pub(super) fn end_fin_wait_2(&mut self) {
        self.phase = Phase::Over;
        self.timers.stop_all();
        self.recovery.clear();
        self.pending.closed = Some(Farewell::Spent);
    }
}

/// What a RST in answer to a SYN means.
fn refusal(code: ResetCode) -> CloseReason {
    match code {
        ResetCode::UNSUPPORTED | ResetCode::MODE => CloseReason::Unsupported(code),
        _ => CloseReason::Refused,
    }
}
