//! The cycle of a flow that knows its path (section 5.3.3): make room (Down), keep the rate (Cruise),
//! fill the pipe (Refill), try more (Up).
//!
//! How often it tries is a matter of coexistence: a probe may cost others packets, so a flow waits two to
//! three seconds, or as many round trips as a Reno flow needs to win its window back, whichever is less.

use std::time::Duration;

use super::arithmetic::{part, percent};
use super::long_term::HEADROOM;
use super::short_term::BETA;
use super::undo::Interrupted;
use super::{Bbr, Rs, State};
use crate::congestion::LostPacket;
use crate::time::Time;

/// Round trips between probes at most, less zero or one at random.
const RENO_ROUNDS_MAX: u64 = 63;
/// The shortest wait between probes, and what is added at random at most.
const PROBE_WAIT_MIN: Duration = Duration::from_secs(2);
const PROBE_WAIT_RANDOM_NANOS: u64 = 1_000_000_000;

/// A round trip that is longer than the smallest by this part of it, and by this time, shows a queue.
const QUEUE_SHARE: u32 = 8;
const QUEUE_MIN: Duration = Duration::from_millis(1);

/// What the acknowledgements at hand tell: those of a probe come a round trip after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckPhase {
    /// Nothing of a probe.
    Init,
    /// Refill fills the pipe; nothing of it is back yet.
    Refilling,
    /// Up has begun; nothing of it is back yet.
    ProbeStarting,
    /// They tell of Up.
    ProbeFeedback,
    /// Up is over; they still tell of it.
    ProbeStopping,
}

/// Where the flow is in its cycle.
#[derive(Clone, Debug)]
pub(super) struct Cycle {
    ack_phase: AckPhase,
    /// When the cycle began.
    cycle_stamp: Time,
    bw_probe_wait: Duration,
    rounds_since_probe_up: u64,
    /// Losses are of packets that a probe sent.
    is_bw_probe_sample: bool,
    /// The last probe lost too much.
    prev_probe_too_high: bool,
    /// The last probe ended where the one before it had lost too much.
    prev_probe_precautionary: bool,
}

impl Cycle {
    /// Before the first cycle.
    pub(super) fn new() -> Self {
        Cycle {
            ack_phase: AckPhase::Init,
            cycle_stamp: Time::ZERO,
            bw_probe_wait: Duration::ZERO,
            rounds_since_probe_up: 0,
            is_bw_probe_sample: false,
            prev_probe_too_high: false,
            prev_probe_precautionary: false,
        }
    }

    /// A round trip is over.
    pub(super) fn on_round(&mut self) {
        self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
    }

    /// Nothing sent from now on is of a probe.
    pub(super) fn stop_probe(&mut self) {
        self.ack_phase = AckPhase::ProbeStopping;
    }

    /// Whether the last probe lost too much.
    #[cfg(test)]
    pub(super) fn prev_probe_too_high(&self) -> bool {
        self.prev_probe_too_high
    }
}

impl Bbr {
    /// `StartProbeBW_DOWN`.
    pub(super) fn start_probe_bw_down(&mut self, now: Time, delivered: u64) {
        self.losses.reset();
        self.short_term.reset_latest();
        self.long_term.stop_growth();
        self.pick_probe_wait();
        self.cycle.cycle_stamp = now;
        self.cycle.stop_probe();
        self.rounds.begin(delivered);
        self.state = State::ProbeBwDown;
    }

    /// `PickProbeWait`: at random, or flows that began together would probe together.
    fn pick_probe_wait(&mut self) {
        self.cycle.rounds_since_probe_up = self.random.up_to(1);
        let more = Duration::from_nanos(self.random.up_to(PROBE_WAIT_RANDOM_NANOS));
        self.cycle.bw_probe_wait = PROBE_WAIT_MIN + more;
    }

    /// `StartProbeBW_CRUISE`.
    pub(super) fn start_probe_bw_cruise(&mut self) {
        self.state = State::ProbeBwCruise;
    }

    /// `StartProbeBW_REFILL`.
    pub(super) fn start_probe_bw_refill(&mut self, delivered: u64) {
        self.short_term.reset();
        self.long_term.prepare_growth();
        self.cycle.prev_probe_precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.rounds.begin(delivered);
        self.state = State::ProbeBwRefill;
    }

    /// `StartProbeBW_UP`.
    fn start_probe_bw_up(&mut self, rs: &Rs) {
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.rounds.begin(rs.total);
        self.full_pipe.reset(rs.delivery_rate());
        self.state = State::ProbeBwUp;
        self.long_term.raise_slope(self.cwnd, self.mtu);
    }

    /// `UpdateProbeBWCyclePhase`.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, rs: &Rs) {
        if !self.full_pipe.full_bw_reached || self.adapt_long_term_model(rs) {
            return;
        }
        match self.state {
            State::ProbeBwDown if self.is_time_to_probe_bw(rs.now) => {
                self.start_probe_bw_refill(rs.total);
            }
            State::ProbeBwDown if self.is_time_to_cruise(rs) => self.start_probe_bw_cruise(),
            State::ProbeBwCruise if self.is_time_to_probe_bw(rs.now) => {
                self.start_probe_bw_refill(rs.total);
            }
            State::ProbeBwRefill if self.rounds.round_start => {
                self.cycle.is_bw_probe_sample = true;
                self.start_probe_bw_up(rs);
            }
            State::ProbeBwUp => self.go_down_in_time(rs),
            _ => {}
        }
    }

    /// `IsTimeToProbeBW`.
    fn is_time_to_probe_bw(&self, now: Time) -> bool {
        let waited = now > self.cycle.cycle_stamp + self.cycle.bw_probe_wait;
        waited || self.is_reno_coexistence_probe_time()
    }

    /// `IsRenoCoexistenceProbeTime`: Reno wins back a datagram in each round, so a window of as many
    /// datagrams takes as many rounds.
    fn is_reno_coexistence_probe_time(&self) -> bool {
        let reno_rounds = (self.target_inflight() / self.mtu).max(1);
        self.cycle.rounds_since_probe_up >= reno_rounds.min(RENO_ROUNDS_MAX)
    }

    /// `IsTimeToCruise`.
    fn is_time_to_cruise(&self, rs: &Rs) -> bool {
        let headroom = self.inflight_with_headroom();
        rs.inflight <= headroom && rs.inflight <= self.inflight_at(self.max_bw.max_bw())
    }

    /// Ends a probe that has not lost too much; if its losses are only to come, they will say so.
    fn go_down_in_time(&mut self, rs: &Rs) {
        if self.is_time_to_go_down(rs) {
            self.cycle.prev_probe_too_high = false;
            self.start_probe_bw_down(rs.now, rs.total);
        }
    }

    /// `IsTimeToGoDown`.
    fn is_time_to_go_down(&mut self, rs: &Rs) -> bool {
        let longterm = self.long_term.inflight_longterm;
        // The window ends there too, so that never quite so much is in flight, and least of all after an
        // acknowledgement: what counts is that no further packet would fit.
        let is_risky = rs.inflight_before.saturating_add(self.mtu) > longterm;
        if self.cycle.prev_probe_too_high && is_risky {
            self.cycle.prev_probe_precautionary = true;
            return true;
        }
        if rs.cwnd_limited && self.cwnd >= longterm {
            // The bound limits the rate, so a rate that does not grow says nothing of the pipe.
            self.full_pipe.reset(rs.delivery_rate());
            return false;
        }
        self.full_pipe.full_bw_now || self.is_queueing_only(rs)
    }

    /// Whether the probe brings a queue and no rate: then a third round would bring more queue. (The draft
    /// has no such test, and leaves a whole pipe in the queue.)
    fn is_queueing_only(&self, rs: &Rs) -> bool {
        let (Some(rtt), Some(min_rtt)) = (rs.rtt, self.min_rtt.min_rtt()) else {
            return false;
        };
        let has_queue = rtt > min_rtt + (min_rtt / QUEUE_SHARE).max(QUEUE_MIN);
        !self.by_the_draft && has_queue && self.full_pipe.is_full_with_queue()
    }

    /// `AdaptLongTermModel`; true if it has changed the state.
    fn adapt_long_term_model(&mut self, rs: &Rs) -> bool {
        let phase = self.cycle.ack_phase;
        if self.rounds.round_start && phase == AckPhase::ProbeStarting {
            self.cycle.ack_phase = AckPhase::ProbeFeedback;
        }
        let is_over = self.rounds.round_start && phase == AckPhase::ProbeStopping;
        if is_over && self.end_probe_feedback(rs) {
            return true;
        }
        if !self.is_inflight_too_high(rs.lost, rs.tx_in_flight) {
            self.long_term.raise_to(rs.tx_in_flight);
            if self.state == State::ProbeBwUp {
                self.probe_inflight_longterm_upward(rs);
            }
        }
        false
    }

    /// All that the last probe had to tell is told; true if that was so little that the next begins.
    fn end_probe_feedback(&mut self, rs: &Rs) -> bool {
        self.cycle.is_bw_probe_sample = false;
        self.cycle.ack_phase = AckPhase::Init;
        if !self.state.is_probe_bw() {
            return false;
        }
        if !rs.app_limited {
            self.max_bw.advance();
        }
        let was_safe = self.cycle.prev_probe_precautionary && !self.cycle.prev_probe_too_high;
        if was_safe {
            self.start_probe_bw_refill(rs.total);
        }
        was_safe
    }

    /// `ProbeInflightLongtermUpward`.
    fn probe_inflight_longterm_upward(&mut self, rs: &Rs) {
        let is_bounded = self.long_term.is_bounded();
        if !is_bounded || !rs.cwnd_limited || self.cwnd < self.long_term.inflight_longterm {
            return;
        }
        self.long_term.grow(rs.newly_acked, self.mtu);
        if self.rounds.round_start {
            self.long_term.raise_slope(self.cwnd, self.mtu);
        }
    }

    /// `IsInflightTooHigh`: more was lost of what was in flight than a queue may cost. One packet of a window
    /// of fifty or less is no rate (in the draft it is).
    pub(super) fn is_inflight_too_high(&self, lost: u64, tx_in_flight: u64) -> bool {
        let single = if self.by_the_draft { 0 } else { self.mtu };
        lost > part(tx_in_flight, self.loss_thresh(), 1_000).max(single)
    }

    /// The part of `HandleLostPacket` that concerns probes: where did losses become too many?
    pub(super) fn handle_lost_probe(&mut self, packet: &LostPacket) {
        if !self.cycle.is_bw_probe_sample
            || !self.is_inflight_too_high(packet.lost, packet.tx_in_flight)
        {
            return;
        }
        let inflight = self.inflight_at_loss(packet);
        self.handle_inflight_too_high(packet.now, inflight, packet.app_limited);
    }

    /// `InflightAtLoss`: the prefix of the packet (which may stand for a burst) with which losses crossed
    /// the threshold t solves (lost_prev + prefix) / (inflight_prev + prefix) = t.
    fn inflight_at_loss(&self, packet: &LostPacket) -> u64 {
        let inflight_prev = packet.tx_in_flight.saturating_sub(packet.size);
        let lost_prev = packet.lost.saturating_sub(packet.size);
        let excess = part(inflight_prev, self.loss_thresh(), 1_000).saturating_sub(lost_prev);
        let lost_prefix = part(excess, 1_000, 1_000 - self.loss_thresh());
        inflight_prev.saturating_add(lost_prefix)
    }

    /// A mark came back for what a probe sent.
    pub(super) fn handle_marked_probe(&mut self, now: Time, inflight: u64) {
        if self.cycle.is_bw_probe_sample {
            self.handle_inflight_too_high(now, inflight, false);
        }
    }

    /// `HandleInflightTooHigh`: once for each probe.
    fn handle_inflight_too_high(&mut self, now: Time, tx_in_flight: u64, app_limited: bool) {
        self.cycle.prev_probe_too_high = true;
        self.cycle.is_bw_probe_sample = false;
        if !app_limited {
            let least = percent(self.target_inflight(), BETA);
            self.long_term.inflight_longterm = self.safe_below(tx_in_flight).max(least);
        }
        if self.state == State::ProbeBwUp {
            self.interrupt(Interrupted::ProbeBwUp);
            self.start_probe_bw_down(now, self.delivered);
        }
    }

    /// The bound for a flow that lost too much with `tx_in_flight`: what leaves headroom, unless that is less
    /// than the path holds without a queue. (The draft bounds at what was in flight, so that the next probe
    /// begins with a queue as full as the last has left it; beside CUBIC in a queue of one bandwidth-delay
    /// product the flow then has 0.7 of the link and not 0.55.)
    fn safe_below(&self, tx_in_flight: u64) -> u64 {
        if self.by_the_draft {
            return tx_in_flight;
        }
        let with_headroom = tx_in_flight - percent(tx_in_flight, HEADROOM);
        with_headroom
            .max(self.inflight_without_queue())
            .min(tx_in_flight)
    }
}
