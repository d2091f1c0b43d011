//! BBR version 3: measures how fast the path delivers and how long it takes when empty, and sends so much
//! and no more (draft-ietf-ccwg-bbr-06; sections without a number of their own are of that draft).
//!
//! ```text
//!                 fills the pipe         queue gone              from time to time
//!   Startup ------------------> Drain ------------> ProbeBW ------------------------> ProbeRTT
//!                                                    |   ^    <----------------------
//!                                                    v   |
//!                                     Down -> Cruise -> Refill -> Up
//! ```
//!
//! The model has a rate and a volume, each on two time scales. Long: `max_bw`, the largest rate of two
//! cycles, and `inflight_longterm`, what a probe has shown to be too much. Short: what losses since the
//! last probe have made of them. From these and the smallest round trip follow, with the gains of each
//! state, the pacing rate and the window (`control`).
//!
//! Names of the draft are kept for its variables and in the comments of its functions.
//!
//! Where it deviates from the draft ([`Bbr::by_the_draft`] does not), and why:
//!
//! * In Down, Cruise and ProbeRTT, losses that are no more than noise (1 %, or the loss tolerance of the
//!   configuration) and come without a queue do not lower the short-term bounds; more of them without a queue
//!   lower the rate once, to Beta. The draft's rate falls by the loss rate in every round between two probes.
//!   What is lost when the flow's rate cannot be the cause, a probe may lose too (`loss_round`).
//! * Losses end Startup only with a queue, or above 10 %: what is lost by chance does not say that the pipe is
//!   full (`startup`).
//! * Startup sends at four times the measured rate and not at 2.77 times; its window is the draft's (`control`).
//! * One packet is no loss rate: a probe has gone too far when two are lost (`probe_bw`).
//! * A probe that brings a queue and no rate ends a round earlier, and one that lost too much leaves
//!   headroom at once; Down leaves it as Cruise does, but never of what the path holds without a queue
//!   (`probe_bw`, `control`). Others find room sooner, and the round trip stays shorter.
//! * A path that is found empty when it is time to measure is not emptied to be measured (`min_rtt`).
//! * A path of more than 250 ms measures its round trip less often than every five seconds (`min_rtt`).

mod arithmetic;
mod control;
mod extra_acked;
mod full_pipe;
mod long_term;
mod loss_round;
mod max_bw;
mod min_rtt;
mod probe_bw;
mod probe_rtt;
mod rounds;
mod short_term;
mod startup;
mod undo;

use std::time::Duration;

use super::{
    AckSample, Cause, Congested, Controller, LostPacket, RateSample, Sent, Setup, initial_window,
    minimum_window,
};
use crate::time::Time;

use arithmetic::Random;
use extra_acked::ExtraAcked;
use full_pipe::FullPipe;
use long_term::LongTerm;
use loss_round::{Judge, LossRound, Verdict};
use max_bw::MaxBwFilter;
use min_rtt::MinRtt;
use probe_bw::Cycle;
use probe_rtt::ProbeRtt;
use rounds::Rounds;
use short_term::ShortTerm;
use undo::Undo;

/// `LossThresh`, thousandths: a probe that loses more went too far.
const LOSS_THRESH: u64 = 20;
/// Thousandths of the packets whose loss is noise on any path.
const NOISE: u64 = 10;
/// More is not taken for noise unless the configuration says so, thousandths.
const NOISE_MAX: u64 = 100;

/// The controller. Volumes are bytes, rates bytes a second.
///
/// ```
/// use aqueduct::congestion::{Bbr, Controller, Setup};
/// use std::time::Duration;
///
/// let bbr = Bbr::new(Setup::new(1_200));
/// assert_eq!((bbr.cwnd(), bbr.state()), (12_000, "startup"));
/// // The initial window in a round trip, 2.77 times as fast.
/// assert_eq!(bbr.pacing_rate(Duration::from_millis(40)), 831_000);
/// ```
#[derive(Clone, Debug)]
pub struct Bbr {
    mtu: u64,
    initial_cwnd: u64,
    /// Thousandths of the packets whose loss is noise.
    noise: u64,
    by_the_draft: bool,
    random: Random,
    state: State,
    rounds: Rounds,
    max_bw: MaxBwFilter,
    min_rtt: MinRtt,
    extra_acked: ExtraAcked,
    full_pipe: FullPipe,
    losses: LossRound,
    short_term: ShortTerm,
    long_term: LongTerm,
    cycle: Cycle,
    probe_rtt: ProbeRtt,
    undo: Undo,
    /// The state before the losses that the next acknowledgement will tell of.
    before_event: Option<Undo>,
    drain_start_round: u64,
    /// The last loss round ended in Down: what is left of it is in the next.
    was_draining: bool,
    /// The smaller of `max_bw` and `bw_shortterm`.
    bw: u64,
    cwnd: u64,
    /// The window before a measurement or a timeout made it small.
    prior_cwnd: u64,
    /// `None` before the first acknowledgement.
    pacing_rate: Option<u64>,
    send_quantum: u64,
    /// Everything was lost, and no round has passed without loss since.
    timed_out: bool,
    /// The application had nothing to send behind the last packet.
    ran_dry: bool,
    /// The first packets after a silence are in flight.
    idle_restart: bool,
    /// Bytes delivered at the last acknowledgement.
    delivered: u64,
}

/// The state of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    Drain,
    ProbeBwDown,
    ProbeBwCruise,
    ProbeBwRefill,
    ProbeBwUp,
    ProbeRtt,
}

impl State {
    fn is_probe_bw(self) -> bool {
        self.is_probe_bw_but_up() || self == State::ProbeBwUp
    }

    fn is_probe_bw_but_up(self) -> bool {
        matches!(
            self,
            State::ProbeBwDown | State::ProbeBwCruise | State::ProbeBwRefill
        )
    }

    /// Whether it accelerates: losses then say where the limit is, not that the path became worse.
    fn is_probing(self) -> bool {
        matches!(
            self,
            State::Startup | State::ProbeBwRefill | State::ProbeBwUp
        )
    }
}

/// What one acknowledgement tells: the draft's RS, and what it asks of C at that moment.
#[derive(Clone, Copy, Debug)]
struct Rs {
    now: Time,
    newly_acked: u64,
    /// Bytes in flight, before it and after it.
    inflight_before: u64,
    inflight: u64,
    /// Bytes ever delivered.
    total: u64,
    rtt: Option<Duration>,
    srtt: Duration,
    cwnd_limited: bool,
    /// Bytes delivered when the newest acknowledged packet was sent, and since.
    prior_delivered: u64,
    delivered: u64,
    rate: Option<u64>,
    tx_in_flight: u64,
    lost: u64,
    app_limited: bool,
}

impl Rs {
    fn new(sample: &AckSample, rate: &RateSample) -> Self {
        Rs {
            now: sample.now,
            newly_acked: sample.newly_acked,
            inflight_before: sample.inflight_before,
            inflight: sample.inflight,
            total: sample.delivered,
            rtt: sample.rtt,
            srtt: sample.srtt,
            cwnd_limited: sample.cwnd_limited,
            prior_delivered: rate.prior_delivered,
            delivered: rate.delivered,
            rate: rate.rate,
            tx_in_flight: rate.tx_in_flight,
            lost: rate.lost,
            app_limited: rate.app_limited,
        }
    }

    /// 0 if none was measured.
    fn delivery_rate(&self) -> u64 {
        self.rate.unwrap_or(0)
    }
}

impl Bbr {
    /// A controller at its initial window. A loss tolerance above 1 % is what counts as noise then, and a
    /// probe may lose twice as much.
    pub fn new(setup: Setup) -> Self {
        let noise = NOISE.max(u64::from(setup.loss_tolerance));
        let mtu = u64::from(setup.mtu.max(1));
        Bbr {
            mtu,
            initial_cwnd: initial_window(setup.mtu),
            noise,
            by_the_draft: false,
            random: Random::new(setup.seed),
            state: State::Startup,
            rounds: Rounds::default(),
            max_bw: MaxBwFilter::default(),
            min_rtt: MinRtt::default(),
            extra_acked: ExtraAcked::default(),
            full_pipe: FullPipe::default(),
            losses: LossRound::default(),
            short_term: ShortTerm::new(),
            long_term: LongTerm::new(),
            cycle: Cycle::new(),
            probe_rtt: ProbeRtt::default(),
            undo: Undo::default(),
            before_event: None,
            drain_start_round: 0,
            was_draining: false,
            bw: 0,
            cwnd: initial_window(setup.mtu),
            prior_cwnd: 0,
            pacing_rate: None,
            send_quantum: 2 * mtu,
            timed_out: false,
            ran_dry: false,
            idle_restart: false,
            delivered: 0,
        }
    }

    /// The draft to the letter, without the deviations that the module's page names: to compare with.
    pub fn by_the_draft(setup: Setup) -> Self {
        Bbr {
            by_the_draft: true,
            ..Bbr::new(setup)
        }
    }

    /// `UpdateOnACK`.
    fn update(&mut self, sample: &AckSample, rate: &RateSample) {
        let mut rs = Rs::new(sample, rate);
        rs.app_limited |= self.probe_rtt.held_back(rs.prior_delivered);
        self.update_model_and_state(&rs);
        self.update_control_parameters(&rs);
    }

    /// `UpdateModelAndState`.
    fn update_model_and_state(&mut self, rs: &Rs) {
        self.losses.on_ack(rs);
        self.short_term.on_ack(rs);
        self.update_congestion_signals(rs);
        self.update_ack_aggregation(rs);
        self.check_full_bw_reached(rs);
        self.check_startup_done(rs);
        self.check_drain_done(rs);
        self.update_probe_bw_cycle_phase(rs);
        self.update_min_rtt(rs);
        self.check_probe_rtt(rs);
        if self.losses.loss_round_start {
            self.short_term.on_round_end(rs);
            self.losses.on_ack_end();
        }
        self.bw = self.max_bw.max_bw().min(self.short_term.bw_shortterm);
    }

    /// `UpdateCongestionSignals`: the rate on every acknowledgement, losses once for each round.
    fn update_congestion_signals(&mut self, rs: &Rs) {
        self.rounds.update(rs.prior_delivered, rs.total);
        if self.rounds.round_start {
            self.cycle.on_round();
        }
        if let Some(rate) = rs.rate {
            self.max_bw.update(rate, rs.app_limited);
        }
        if self.losses.loss_round_start {
            self.end_loss_round();
        }
    }

    /// `AdaptLowerBoundsFromCongestion`, less the noise; and after a timeout, a round without loss restores
    /// the window.
    fn end_loss_round(&mut self) {
        let is_loss = std::mem::take(&mut self.losses.is_loss_in_round);
        if !is_loss && std::mem::take(&mut self.timed_out) {
            self.restore_cwnd();
        }
        if self.state.is_probing() {
            return;
        }
        let verdict = self.judge_losses();
        let max_bw = self.max_bw.max_bw();
        match verdict {
            _ if !is_loss => {}
            Verdict::Noise => {}
            Verdict::Unexplained => {
                let bdp = self.bdp_multiple(max_bw, 100);
                self.short_term.adapt_once(max_bw, self.cwnd, bdp);
            }
            Verdict::Congestion => self.short_term.adapt(max_bw, self.cwnd),
        }
    }

    /// `UpdateMinRTT`.
    fn update_min_rtt(&mut self, rs: &Rs) {
        if let Some(rtt) = rs.rtt.filter(|_| !self.by_the_draft) {
            self.min_rtt.confirm(rs.now, rtt);
        }
        self.min_rtt.update(rs.now, rs.rtt);
    }

    /// What the losses of the round that ends are. Only a flow that knows its path can tell.
    fn judge_losses(&mut self) -> Verdict {
        let is_down = self.state == State::ProbeBwDown;
        let is_draining = std::mem::replace(&mut self.was_draining, is_down) || is_down;
        let knows_path = self.state.is_probe_bw() || self.state == State::ProbeRtt;
        if self.by_the_draft || !knows_path {
            return Verdict::Congestion;
        }
        self.losses.judge(self.judge(is_draining))
    }

    /// What a verdict on losses rests on.
    fn judge(&self, is_draining: bool) -> Judge {
        Judge {
            noise: self.noise,
            noise_max: NOISE_MAX.max(self.noise),
            min_rtt: self.min_rtt.min_rtt(),
            mtu: self.mtu,
            is_draining,
            is_cut: self.short_term.is_cut_once(self.max_bw.max_bw()),
        }
    }

    /// Thousandths of what is in flight that a probe may lose: `LossThresh` above what is lost anyway, or
    /// twice that.
    fn loss_thresh(&self) -> u64 {
        if self.by_the_draft {
            return LOSS_THRESH;
        }
        let innocent = self.losses.innocent_per_mille().min(NOISE_MAX);
        let noise = self.noise.max(innocent);
        (LOSS_THRESH + innocent).max(2 * noise)
    }

    /// `UpdateACKAggregation`.
    fn update_ack_aggregation(&mut self, rs: &Rs) {
        let round = self.rounds.round_count;
        self.extra_acked.set_steady(self.full_pipe.full_bw_reached);
        self.extra_acked
            .update(rs.now, self.bw, rs.newly_acked, self.cwnd, round);
    }

    /// `HandleRestartFromIdle`.
    fn handle_restart_from_idle(&mut self, now: Time) {
        self.idle_restart = true;
        self.extra_acked.restart(now);
        if self.state.is_probe_bw() {
            self.set_pacing_rate(100);
        } else if self.state == State::ProbeRtt {
            self.check_probe_rtt_done(now, self.delivered);
        }
    }
}

impl Controller for Bbr {
    fn on_ack(&mut self, sample: &AckSample) {
        self.delivered = sample.delivered;
        if let Some(rate) = &sample.rate {
            self.update(sample, rate);
        }
        self.before_event = None;
    }

    fn on_sent(&mut self, sent: &Sent) {
        // A window that is acknowledged at once leaves nothing in flight either: only who had nothing to
        // send was idle.
        if sent.inflight == 0 && self.ran_dry {
            self.handle_restart_from_idle(sent.now);
        }
        self.ran_dry = sent.app_limited;
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        self.save_state_upon_loss();
        self.losses.on_lost(lost);
        self.handle_lost_probe(lost);
    }

    fn on_congestion(&mut self, event: &Congested) {
        match event.cause {
            // Each lost packet was told already.
            Cause::Loss => self.begin_episode(),
            Cause::Mark => {
                self.begin_episode();
                self.losses.on_mark();
                self.handle_marked_probe(event.now, event.inflight);
            }
            Cause::Persistent => {
                self.save_cwnd();
                self.timed_out = true;
                self.cwnd = minimum_window(u16::try_from(self.mtu).unwrap_or(u16::MAX));
            }
        }
    }

    fn on_undo(&mut self, _now: Time) {
        self.handle_spurious_loss_detection();
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu.max(1));
        self.cwnd = self.cwnd.max(self.min_pipe_cwnd());
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.pacing_rate
            .unwrap_or_else(|| self.initial_pacing_rate(srtt))
    }

    fn send_quantum(&self) -> Option<u64> {
        self.pacing_rate.map(|_| self.send_quantum)
    }

    /// Its own model answers losses.
    fn uses_prr(&self) -> bool {
        false
    }

    fn state(&self) -> &'static str {
        match self.state {
            State::Startup => "startup",
            State::Drain => "drain",
            State::ProbeBwDown => "probe bandwidth: down",
            State::ProbeBwCruise => "probe bandwidth: cruise",
            State::ProbeBwRefill => "probe bandwidth: refill",
            State::ProbeBwUp => "probe bandwidth: up",
            State::ProbeRtt => "probe round trip",
        }
    }
}

#[cfg(test)]
mod tests;
