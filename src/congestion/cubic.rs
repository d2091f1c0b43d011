//! CUBIC: after a reduction the window returns to where it was along a cubic curve of time, dwells there,
//! and then looks for more (RFC 9438). Slow start ends by HyStart++ (RFC 9406) or by a loss.
//!
//! ```text
//!   cwnd                                             W(t) = C (t - K)^3 + W_max
//!    |              /
//!    |             /  convex: looks for more
//!  W_max - - -.--''
//!    |      .'
//!    |     /  concave: back to where it was
//!    +----+----------------- t
//!         0    K
//! ```
//!
//! On short and slow paths the curve is slower than NewReno; there a window as NewReno's with the same
//! reductions would have (`W_est`) is used instead.
//!
//! All is integers: bytes with a fraction, nanoseconds. The same inputs give the same windows everywhere.

mod curve;
mod fine;

use std::time::Duration;

use super::hystart::{Advice, HyStart};
use super::window::{self, Flight, Rounds};
use super::{AckSample, Cause, Congested, Controller, Sent, Setup, initial_window, minimum_window};
use crate::time::Time;

use curve::Curve;
use fine::Fine;

/// A part of a whole.
type Share = (u64, u64);

/// The window left by a loss (beta, RFC 9438 s4.6).
const AFTER_LOSS: Share = (7, 10);
/// The window left by a mark: routers mark while their queues are short (RFC 8511 s3.1).
const AFTER_MARK: Share = (85, 100);
/// What `W_max` is of a window that did not return to the last `W_max`: (1 + beta) / 2 (RFC 9438 s4.7).
const CONVERGENCE: Share = (85, 100);
/// Datagrams that `W_est` grows by in a round trip so that, with reductions by beta, it is on average
/// NewReno's window: 3 (1 - beta) / (1 + beta) (RFC 9438 s4.3).
const ALPHA: Share = (9, 17);
/// And once it is where it was reduced.
const ALPHA_LATER: Share = (1, 1);

/// The controller. All figures are bytes.
///
/// ```
/// use aqueduct::congestion::{AckSample, Cause, Congested, Controller, Cubic, Setup};
/// use aqueduct::time::Time;
///
/// let mut cubic = Cubic::new(Setup::new(1_200));
/// cubic.on_ack(&AckSample { newly_acked: 12_000, growth: 12_000, ..AckSample::default() });
/// assert_eq!((cubic.cwnd(), cubic.state()), (24_000, "slow start"));
/// cubic.on_congestion(&Congested { now: Time::ZERO, cause: Cause::Loss, inflight: 24_000 });
/// assert_eq!((cubic.cwnd(), cubic.state()), (16_800, "congestion avoidance"));
/// ```
#[derive(Clone, Debug)]
pub struct Cubic {
    mtu: u16,
    target: Target,
    hystart: HyStart,
    rounds: Rounds,
    flight: Flight,
    /// What a reduction changed, as long as it may prove to be wrong.
    before: Option<Box<Target>>,
}

/// What reductions change, and what is restored if they were wrong (RFC 9438 s4.9).
#[derive(Clone, Copy, Debug)]
struct Target {
    cwnd: Fine,
    ssthresh: u64,
    /// The window at which there was congestion last, or less of it; 0 if that is not known.
    w_max: u64,
    /// The window that was reduced last (`cwnd_prior`).
    prior: u64,
    /// The present stage of congestion avoidance, once something was acknowledged in it.
    stage: Option<Stage>,
}

/// A stage of congestion avoidance: from one reduction to the next.
#[derive(Clone, Copy, Debug)]
struct Stage {
    curve: Curve,
    /// Its beginning, moved on by the time that does not count.
    began: Time,
    /// The last acknowledgement: the time before it is accounted for.
    counted: Time,
    /// The window that NewReno would have (`W_est`).
    reno: Fine,
}

impl Cubic {
    /// A controller at its initial window.
    pub fn new(setup: Setup) -> Self {
        Cubic {
            mtu: setup.mtu.max(1),
            target: Target {
                cwnd: Fine::new(initial_window(setup.mtu)),
                ssthresh: u64::MAX,
                w_max: 0,
                prior: 0,
                stage: None,
            },
            hystart: HyStart::default(),
            rounds: Rounds::default(),
            flight: Flight::default(),
            before: None,
        }
    }

    fn is_slow_start(&self) -> bool {
        self.cwnd() < self.target.ssthresh
    }

    /// Grows by what is acknowledged up to `ssthresh`; returns the acknowledged bytes that are left over.
    fn slow_start(&mut self, sample: &AckSample, begins_round: bool) -> u64 {
        // Only the first slow start looks for the end of the path: a later one knows it (RFC 9406 s4.3).
        let advice = if self.target.ssthresh == u64::MAX {
            self.hystart.on_ack(sample, begins_round)
        } else {
            Advice::Grow(sample.growth)
        };
        match advice {
            Advice::Grow(bytes) => {
                let room = self.target.ssthresh.saturating_sub(self.cwnd());
                let growth = bytes.min(room);
                self.target.cwnd = self.target.cwnd.plus(Fine::new(growth));
                bytes - growth
            }
            Advice::Leave(bytes) => {
                let window = bytes.clamp(minimum_window(self.mtu), self.cwnd());
                self.target.cwnd = Fine::new(window);
                self.target.ssthresh = window;
                self.target.w_max = window;
                self.target.prior = window;
                0
            }
        }
    }

    /// Grows along the curve, or as NewReno does if that is more (RFC 9438 s4.2 to s4.5).
    fn avoid_congestion(&mut self, now: Time, srtt: Duration, acked: u64) {
        let (cwnd, mtu) = (self.cwnd(), self.mtu);
        // A round trip acknowledges a window; what is more tells nothing more.
        let acked = acked.min(cwnd);
        let (w_max, prior) = (self.target.w_max, self.target.prior);
        let stage = self.target.stage.get_or_insert_with(|| Stage {
            curve: Curve::new(cwnd, w_max, mtu),
            began: now,
            counted: now,
            reno: self.target.cwnd,
        });
        stage.counted = now;
        // Only whole datagrams are ever in flight: they are what one round trip acknowledges.
        let round = cwnd - cwnd % u64::from(mtu);
        let alpha = if stage.reno.bytes() < prior {
            ALPHA
        } else {
            ALPHA_LATER
        };
        let datagrams = u128::from(acked) * u128::from(mtu) * u128::from(alpha.0);
        stage.reno = stage
            .reno
            .plus(Fine::quotient(datagrams, round.saturating_mul(alpha.1)));
        let t = now - stage.began;
        if stage.curve.at(t) < stage.reno.bytes() {
            self.target.cwnd = self.target.cwnd.max(stage.reno);
            return;
        }
        // A round trip from now the curve is there. Never more than half a window at once, however long
        // the curve was left alone.
        let ahead = stage.curve.at(t + srtt);
        let aim = ahead.clamp(cwnd, cwnd.saturating_add(cwnd / 2));
        let growth = u128::from(aim - cwnd) * u128::from(acked);
        let grown = self.target.cwnd.plus(Fine::quotient(growth, round));
        self.target.cwnd = grown.min(Fine::new(aim)).max(self.target.cwnd);
    }

    /// Time in which the window was not used up does not count (RFC 9438 s5.8).
    fn pass_over(&mut self, time: Duration) {
        if let Some(stage) = &mut self.target.stage {
            stage.began += time;
            stage.counted += time;
        }
    }

    /// Reduces what was used of the window.
    fn reduce(&mut self, event: &Congested, left: Share) {
        let used = self.flight.used(self.cwnd(), event);
        // The reduction is one of the window as it was; only what is remembered of it is made smaller for
        // the sake of flows that have just come (RFC 9438 s4.7).
        self.target.w_max = if used < self.target.w_max {
            share(used, CONVERGENCE)
        } else {
            used
        };
        self.target.prior = used;
        self.target.ssthresh = share(used, left).max(minimum_window(self.mtu));
        self.target.cwnd = Fine::new(self.target.ssthresh);
        self.end_stage();
    }

    fn end_stage(&mut self) {
        self.target.stage = None;
        self.hystart = HyStart::default();
    }
}

impl Controller for Cubic {
    fn answers_marks(&self) -> bool {
        true
    }

    fn on_ack(&mut self, sample: &AckSample) {
        let begins_round = self.rounds.begins(sample);
        if begins_round {
            self.flight.on_round(sample);
        }
        let acked = if self.is_slow_start() {
            self.slow_start(sample, begins_round)
        } else {
            sample.growth
        };
        if acked > 0 {
            self.avoid_congestion(sample.now, sample.srtt, acked);
        } else if sample.newly_acked > 0 {
            let counted = self.target.stage.map_or(sample.now, |stage| stage.counted);
            self.pass_over(sample.now - counted);
        }
    }

    fn on_congestion(&mut self, event: &Congested) {
        match event.cause {
            Cause::Loss => {
                self.before = Some(Box::new(self.target));
                self.reduce(event, AFTER_LOSS);
            }
            Cause::Mark => {
                // A mark is true, whatever becomes of losses before it. In slow start the window may be
                // twice what the path holds: it falls as after a loss (RFC 8511 s3.1).
                self.before = None;
                let slow_start = self.is_slow_start();
                self.reduce(event, if slow_start { AFTER_LOSS } else { AFTER_MARK });
            }
            // What the loss before it said of ssthresh stays true, and slow start leads back there; the
            // curve begins there anew (RFC 9438 s4.8).
            Cause::Persistent => {
                self.before.get_or_insert_with(|| Box::new(self.target));
                self.target.cwnd = Fine::new(minimum_window(self.mtu));
                self.target.w_max = 0;
                self.end_stage();
            }
        }
    }

    fn on_undo(&mut self, _now: Time) {
        // If the window has grown beyond what it was, all that led there holds (RFC 9438 s4.9.2).
        if let Some(before) = self.before.take() {
            if before.cwnd >= self.target.cwnd {
                self.target = *before;
            }
        }
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.flight.on_sent(sent, self.cwnd(), self.mtu);
        if let Some(idle) = sent.idle {
            self.pass_over(idle);
        }
    }

    fn on_restart_from_idle(&mut self, _now: Time, delivered: u64) {
        let cwnd = self.cwnd();
        self.target.ssthresh = window::ssthresh_after_pause(cwnd, self.target.ssthresh);
        self.target.cwnd = Fine::new(window::after_pause(cwnd, delivered, self.mtu));
        self.before = None;
        self.end_stage();
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.max(1);
        let least = Fine::new(minimum_window(self.mtu));
        self.target.cwnd = self.target.cwnd.max(least);
    }

    fn cwnd(&self) -> u64 {
        self.target.cwnd.bytes()
    }

    fn ssthresh(&self) -> u64 {
        self.target.ssthresh
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        window::pacing_rate(self.cwnd(), self.is_slow_start(), srtt)
    }

    fn state(&self) -> &'static str {
        if !self.is_slow_start() {
            "congestion avoidance"
        } else if self.hystart.is_conservative() {
            "conservative slow start"
        } else {
            "slow start"
        }
    }
}

/// `part` of `bytes`, rounded down.
fn share(bytes: u64, part: Share) -> u64 {
    let bytes = u128::from(bytes) * u128::from(part.0) / u128::from(part.1);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
