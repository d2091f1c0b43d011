//! NewReno: double the window every round trip until something is lost, then halve it and grow by one
//! datagram a round trip (RFC 5681 s3, RFC 6582, RFC 9002 s7.3).

use std::time::Duration;

use super::window::{self, Flight, Rounds};
use super::{AckSample, Cause, Congested, Controller, Sent, initial_window, minimum_window};
use crate::time::Time;

/// Tenths of the window left by a loss (RFC 5681 s3.1).
const AFTER_LOSS: u64 = 5;
/// Tenths of the window left by a mark: routers mark while their queues are short (RFC 8511 s3.1).
const AFTER_MARK: u64 = 8;

/// The controller. All figures are bytes.
///
/// ```
/// use aqueduct::congestion::{AckSample, Cause, Congested, Controller, NewReno};
/// use aqueduct::time::Time;
///
/// let mut reno = NewReno::new(1_200);
/// assert_eq!(reno.cwnd(), 12_000);
/// reno.on_ack(&AckSample { newly_acked: 12_000, growth: 12_000, ..AckSample::default() });
/// assert_eq!(reno.cwnd(), 24_000);
/// reno.on_congestion(&Congested { now: Time::ZERO, cause: Cause::Loss, inflight: 24_000 });
/// assert_eq!(reno.cwnd(), 12_000);
/// ```
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: u16,
    target: Target,
    rounds: Rounds,
    flight: Flight,
    /// What a reduction changed, as long as it may prove to be wrong.
    before: Option<Target>,
}

/// What reductions change, and what is restored if they were wrong (RFC 4015).
#[derive(Clone, Copy, Debug)]
struct Target {
    cwnd: u64,
    ssthresh: u64,
    /// Bytes acknowledged above `ssthresh` for which the window has not grown yet.
    credit: u64,
}

impl NewReno {
    /// A controller at its initial window, for datagrams of at most `mtu` bytes.
    pub fn new(mtu: u16) -> Self {
        NewReno {
            mtu: mtu.max(1),
            target: Target {
                cwnd: initial_window(mtu),
                ssthresh: u64::MAX,
                credit: 0,
            },
            rounds: Rounds::default(),
            flight: Flight::default(),
            before: None,
        }
    }

    fn is_slow_start(&self) -> bool {
        self.target.cwnd < self.target.ssthresh
    }

    /// Grows by all of `bytes` up to `ssthresh` (RFC 3465 without its limit, which would punish a
    /// receiver that acknowledges rarely); returns what is left of them.
    fn slow_start(&mut self, bytes: u64) -> u64 {
        let target = &mut self.target;
        let growth = bytes.min(target.ssthresh.saturating_sub(target.cwnd));
        target.cwnd = target.cwnd.saturating_add(growth);
        bytes - growth
    }

    /// Grows by a datagram for each window of bytes; a part of a window is kept for the next time.
    fn avoid_congestion(&mut self, bytes: u64) {
        let (mtu, target) = (u64::from(self.mtu), &mut self.target);
        target.credit = target.credit.saturating_add(bytes);
        loop {
            // Only whole datagrams are ever in flight: they are what one round trip acknowledges.
            let round = target.cwnd - target.cwnd % mtu;
            if target.credit < round {
                break;
            }
            target.credit -= round;
            target.cwnd = target.cwnd.saturating_add(mtu);
        }
    }

    /// Reduces what was used of the window to these tenths of it.
    fn reduce(&mut self, event: &Congested, tenths: u64) {
        let used = self.flight.used(self.target.cwnd, event);
        let left = used / 10 * tenths + used % 10 * tenths / 10;
        let window = left.max(minimum_window(self.mtu));
        self.target = Target {
            cwnd: window,
            ssthresh: window,
            credit: 0,
        };
    }
}

impl Controller for NewReno {
    fn answers_marks(&self) -> bool {
        true
    }

    fn on_ack(&mut self, sample: &AckSample) {
        if self.rounds.begins(sample) {
            self.flight.on_round(sample);
        }
        let beyond = self.slow_start(sample.growth);
        self.avoid_congestion(beyond);
    }

    fn on_congestion(&mut self, event: &Congested) {
        match event.cause {
            Cause::Loss => {
                self.before = Some(self.target);
                self.reduce(event, AFTER_LOSS);
            }
            Cause::Mark => {
                // A mark is true, whatever becomes of losses before it. In slow start the window may be
                // twice what the path holds: it falls as after a loss (RFC 8511 s3.1).
                self.before = None;
                let slow_start = self.is_slow_start();
                self.reduce(event, if slow_start { AFTER_LOSS } else { AFTER_MARK });
            }
            // What the loss before it said of ssthresh stays true: slow start leads back there.
            Cause::Persistent => {
                self.before.get_or_insert(self.target);
                self.target.cwnd = minimum_window(self.mtu);
                self.target.credit = 0;
            }
        }
    }

    fn on_undo(&mut self, _now: Time) {
        // If the window has grown beyond what it was, all that led there holds.
        if let Some(before) = self.before.take() {
            if before.cwnd >= self.target.cwnd {
                self.target = before;
            }
        }
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.flight.on_sent(sent, self.target.cwnd, self.mtu);
    }

    fn on_restart_from_idle(&mut self, _now: Time, delivered: u64) {
        let Target { cwnd, ssthresh, .. } = self.target;
        self.target = Target {
            cwnd: window::after_pause(cwnd, delivered, self.mtu),
            ssthresh: window::ssthresh_after_pause(cwnd, ssthresh),
            credit: 0,
        };
        self.before = None;
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.max(1);
        self.target.cwnd = self.target.cwnd.max(minimum_window(mtu));
    }

    fn cwnd(&self) -> u64 {
        self.target.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.target.ssthresh
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        window::pacing_rate(self.target.cwnd, self.is_slow_start(), srtt)
    }

    fn state(&self) -> &'static str {
        if self.is_slow_start() {
            "slow start"
        } else {
            "congestion avoidance"
        }
    }
}

#[cfg(test)]
mod tests;
