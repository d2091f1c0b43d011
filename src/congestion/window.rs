//! What controllers that think in windows have in common: rounds, how much of the window was used, how it
//! is paced, and what a pause leaves of it.

use std::time::Duration;

use super::{AckSample, Congested, Sent, initial_window};

/// Counts round trips: one has passed when a packet is acknowledged that was sent after it began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// Bytes delivered when the present one began.
    begun_at: u64,
}

impl Rounds {
    /// Whether this acknowledgement begins a round trip. The one before ends with it, so that no
    /// acknowledgement is outside of all rounds.
    pub(super) fn begins(&mut self, sample: &AckSample) -> bool {
        let begins = sample
            .rate
            .is_some_and(|rate| rate.prior_delivered >= self.begun_at);
        if begins {
            self.begun_at = sample.delivered;
        }
        begins
    }
}

/// The most that was in flight in this round trip and in the one before, bytes; all there are while the
/// window was full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flight {
    present: u64,
    before: u64,
}

impl Flight {
    /// A packet left. A window with room for less than a datagram is full: nothing more could have left.
    pub(super) fn on_sent(&mut self, sent: &Sent, cwnd: u64, mtu: u16) {
        let inflight = sent.inflight.saturating_add(sent.size);
        let is_full = inflight.saturating_add(u64::from(mtu)) > cwnd;
        let used = if is_full { u64::MAX } else { inflight };
        self.present = self.present.max(used);
    }

    /// A round trip begins.
    pub(super) fn on_round(&mut self, sample: &AckSample) {
        self.before = self.present;
        self.present = sample.inflight;
    }

    /// How much of `cwnd` was used: what a reduction begins from. A window that nothing fills keeps its size,
    /// and says nothing of the path (RFC 9438 s4.6, RFC 7661 s4.4.1). What is in flight at the event itself
    /// would be too little to go by: the acknowledgement that shows a loss has just emptied the path.
    pub(super) fn used(&self, cwnd: u64, event: &Congested) -> u64 {
        let most = self.present.max(self.before).max(event.inflight);
        most.min(cwnd)
    }
}

/// Bytes a second that fill a window in time and yet spread it over the round trip: two windows a round
/// trip while it doubles, later five quarters (RFC 9002 s7.7).
pub(super) fn pacing_rate(cwnd: u64, doubles: bool, srtt: Duration) -> u64 {
    let quarters: u128 = if doubles { 8 } else { 5 };
    let bytes = u128::from(cwnd) * quarters * 1_000_000_000 / 4;
    let rate = bytes / srtt.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The window after a long pause: what the last round trip before it delivered, or the initial window if
/// that is more (RFC 7661 s4.4.3).
pub(super) fn after_pause(cwnd: u64, delivered: u64, mtu: u16) -> u64 {
    cwnd.min(delivered.max(initial_window(mtu)))
}

/// The threshold after a long pause: slow start leads most of the way back to the window that was in use
/// (RFC 7661 s4.4.3).
pub(super) fn ssthresh_after_pause(cwnd: u64, ssthresh: u64) -> u64 {
    ssthresh.max(cwnd / 4 * 3)
}
