//! Packets go somewhere else from now on: what that means for those on their way to where they went before.
//!
//! ```text
//!   sent to the old address | sent to the new one
//!                           ^ path_from
//! ```
//! Invariant: a packet below `path_from` is not in flight as far as the window counts, and neither its
//! acknowledgement nor its loss says anything about the present path.

use super::Recovery;
use super::report::{Limit, Outcome};
use super::{RttEstimator, acknowledgement::of_path};
use crate::time::Time;

impl Recovery {
    /// A new path: round trip, cwnd and mtu start anew (RFC 9000 s9.4); what is in flight stays tracked, but counts
    /// neither as in flight on the new path nor as a sign of anything there.
    pub fn on_new_path(&mut self, mtu: u16) {
        self.rtt = RttEstimator::default();
        self.sampled_from = None;
        self.leave_path();
        self.idle_since = None;
        self.ecn.on_new_path(self.path_from);
        self.restart_congestion(mtu);
    }

    /// The peer has another port on the same host: round trip, window and trust in ECN stay (RFC 9000 s9.4), and
    /// what is in flight is sent again at once, as [`Recovery::abandon_flight`] says.
    pub fn on_rebound(&mut self, now: Time, out: &mut Outcome) {
        self.abandon_flight(now, out);
        self.leave_path();
        self.reduction = None;
        // A reduction cannot be found mistaken any more: arrivals of the old path are not told apart.
        self.episode.confirm();
        // What was delivered until now tells no rate of what comes: the path stood still in between.
        self.delivery.on_drained(Limit::Application, Some(now));
        self.after_event(now);
    }

    /// Everything in flight went to an address where the peer is no more. It is lost, and is to be sent again, but
    /// no congestion has taken it: the controller does not hear of it, nor the ECN of the path. A late arrival is
    /// still recognised.
    pub fn abandon_flight(&mut self, now: Time, out: &mut Outcome) {
        while let Some(lost) = self.sent.lose_oldest(now) {
            self.counts.lost += 1;
            self.counts.bytes_lost += u64::from(lost.size);
            out.lost.push(of_path(lost.contents, false));
        }
    }

    /// The next packet is the first one of the present path.
    fn leave_path(&mut self) {
        self.tell_sent();
        self.lost_run.clear();
        self.probe_timer.reset_backoff();
        self.path_from = self.next_number();
        self.bytes_in_flight = 0;
    }
}
