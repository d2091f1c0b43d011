//! What the sender does about congestion: the episode, the degrees by which its window shrinks, and the way
//! back when it was a mistake.
//!
//! ```text
//!   loss, mark --> begin_episode --> begin_reduction ... progress ... the flight is settled
//!                        |                                     or
//!                        +------ every loss of it arrives late ------> undo
//! ```

use super::Recovery;
use super::episode::Episode;
use super::prr::{Progress, Reduction};
use crate::congestion::{Cause, Controller};
use crate::time::Time;
use crate::trace::Event;
use crate::wire::PacketNumber;

impl Recovery {
    /// The window is reduced for the loss of `first`, or for a mark on a packet sent before it.
    pub(super) fn begin_episode(&mut self, cause: Cause, first: PacketNumber) {
        self.episode = Episode::begin(cause, first, self.next_number());
    }

    /// The controller has reduced its window: it is approached by degrees. `flight`: bytes in flight before
    /// the event that showed the congestion.
    ///
    /// Acknowledgements set the pace, as long as they come by themselves. After a probe timeout they had stopped, and
    /// with nothing left in flight none will come: then the pacer sets it, within the window (RFC 9002 s7.7).
    pub(super) fn begin_reduction(&mut self, flight: u64) {
        let mtu = u64::from(self.mtu);
        let is_clocked = self.controller.uses_prr() && self.has_clock && self.bytes_in_flight > 0;
        self.reduction = is_clocked.then(|| Reduction::new(self.controller.cwnd(), flight, mtu));
    }

    /// `delivered` bytes arrived, `largest` the newest packet of them; nothing was found lost if `is_clean`.
    ///
    /// An acknowledgement is safe if a packet sent since the reduction arrived and nothing more was lost: what
    /// the advance of SND.UNA shows in TCP, that repairs get through (RFC 9937 s6, SafeACK). The reduction is
    /// over when everything sent before it is settled and the window is what it shall be.
    pub(super) fn progress(&mut self, delivered: u64, largest: PacketNumber, is_clean: bool) {
        let Some(reduction) = &mut self.reduction else {
            return;
        };
        let until = self.episode.until();
        reduction.on_delivered(Progress {
            bytes: delivered,
            inflight: self.bytes_in_flight,
            is_safe: is_clean && largest >= until,
            mtu: u64::from(self.mtu),
        });
        let oldest = self.sent.oldest_in_flight();
        let is_settled = oldest.is_none_or(|packet| packet.number >= until);
        if is_settled && reduction.is_complete(self.bytes_in_flight) {
            self.reduction = None;
        }
    }

    /// Nothing is in flight any more, by an acknowledgement, by age or because the peer has moved: none will come that
    /// could set the pace. That ends the recovery that RFC 9937 paces, as its retransmission timeout does, and the
    /// window is what the controller says.
    pub(super) fn end_reduction_without_flight(&mut self) {
        if self.bytes_in_flight == 0 {
            self.reduction = None;
        }
    }

    /// Every loss of the episode was a mistake: the window is what it was (RFC 4015, RFC 9438 s4.9).
    pub(super) fn undo(&mut self, now: Time) {
        self.reduction = None;
        self.log.note(now, || Event::Undone);
        self.controller.on_undo(now);
    }

    /// One number in a window or so is never used (RFC 9000 s21.4).
    pub(super) fn leave_out_a_number(&mut self) {
        let next = self.next_number();
        if self.skips.is_due(next, self.sent.in_flight()) {
            self.sent.leave_out();
            self.skips.on_left_out(next);
        }
    }

    /// A number left out is forgotten when nobody can lie about it any more.
    pub(super) fn settle_left_out(&mut self) {
        let window = self.window_packets();
        let oldest = self.sent.oldest_tracked();
        let next = self.sent.next_number();
        self.skips.on_window(next, window);
        let settled = self.skips.settle(oldest, self.largest_acked, next, window);
        if let Some(number) = settled {
            self.lost_run.pass_over(number);
        }
    }
}

/// How many datagrams a window holds.
pub(super) fn packets(window: u64, mtu: u16) -> u64 {
    window / u64::from(mtu).max(1)
}
