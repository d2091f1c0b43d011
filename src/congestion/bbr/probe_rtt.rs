//! Makes room to measure the round trip without a queue, if none was seen for five seconds (section 5.3.4):
//! half a pipe in flight for a fifth of a second and a round trip.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::arithmetic::percent;
use super::{Bbr, Rs, State};
use crate::time::Time;

/// `ProbeRTTDuration`.
const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// `ProbeRTTCwndGain`, hundredths.
pub(super) const PROBE_RTT_CWND_GAIN: u64 = 50;

/// The measurement that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct ProbeRtt {
    /// When it may end; `None` while too much is still in flight.
    done_stamp: Option<Time>,
    /// A round trip has passed since.
    round_done: bool,
    /// Packets sent with so many bytes delivered were held back: their delivery rates are as good as
    /// limited by the application.
    held_back: Option<RangeInclusive<u64>>,
}

impl ProbeRtt {
    /// Whether a packet sent with `prior_delivered` bytes delivered was held back.
    pub(super) fn held_back(&self, prior_delivered: u64) -> bool {
        let held_back = self.held_back.as_ref();
        held_back.is_some_and(|range| range.contains(&prior_delivered))
    }

    /// `MarkConnectionAppLimited`: until all that is in flight now is delivered.
    fn mark(&mut self, rs: &Rs) {
        let until = rs.total.saturating_add(rs.inflight).max(1);
        let from = match &self.held_back {
            Some(range) if range.contains(&rs.total) => *range.start(),
            _ => rs.total,
        };
        self.held_back = Some(from..=until);
    }
}

impl Bbr {
    /// `CheckProbeRTT`.
    pub(super) fn check_probe_rtt(&mut self, rs: &Rs) {
        let is_due = self.min_rtt.probe_rtt_expired() && !self.idle_restart;
        if self.state != State::ProbeRtt && is_due {
            self.save_cwnd();
            self.state = State::ProbeRtt;
            self.probe_rtt.done_stamp = None;
            self.cycle.stop_probe();
            self.rounds.begin(rs.total);
        }
        if self.state == State::ProbeRtt {
            self.handle_probe_rtt(rs);
        }
        if rs.delivered > 0 {
            self.idle_restart = false;
        }
    }

    /// `HandleProbeRTT`.
    fn handle_probe_rtt(&mut self, rs: &Rs) {
        self.probe_rtt.mark(rs);
        if self.probe_rtt.done_stamp.is_some() {
            self.probe_rtt.round_done |= self.rounds.round_start;
            if self.probe_rtt.round_done {
                self.check_probe_rtt_done(rs.now, rs.total);
            }
        } else if rs.inflight <= self.probe_rtt_cwnd() {
            self.probe_rtt.done_stamp = Some(rs.now + PROBE_RTT_DURATION);
            self.probe_rtt.round_done = false;
            self.rounds.begin(rs.total);
        }
    }

    /// `CheckProbeRTTDone`.
    pub(super) fn check_probe_rtt_done(&mut self, now: Time, delivered: u64) {
        if self.probe_rtt.done_stamp.is_some_and(|done| now > done) {
            self.min_rtt.schedule(now);
            self.restore_cwnd();
            self.exit_probe_rtt(now, delivered);
        }
    }

    /// `ExitProbeRTT`: little is in flight, so the cycle begins where the queue is gone already.
    fn exit_probe_rtt(&mut self, now: Time, delivered: u64) {
        self.short_term.reset();
        if self.full_pipe.full_bw_reached {
            self.start_probe_bw_down(now, delivered);
            self.start_probe_bw_cruise();
        } else {
            self.enter_startup();
        }
    }

    /// `ProbeRTTCwnd`.
    pub(super) fn probe_rtt_cwnd(&self) -> u64 {
        percent(self.bdp(), PROBE_RTT_CWND_GAIN).max(self.min_pipe_cwnd())
    }
}
