//! Startup doubles the rate in each round trip until the pipe is full or loses too much; Drain takes the
//! queue away that this has left (sections 5.3.1 and 5.3.2).

use super::undo::Interrupted;
use super::{Bbr, Rs, State};

/// `StartupFullLossCnt`: runs of lost packets in one round that are no accident.
const STARTUP_FULL_LOSS_CNT: u32 = 6;
/// Rounds after which Drain ends even if the queue is still there: the rate was overestimated.
const DRAIN_ROUNDS_MAX: u64 = 3;

impl Bbr {
    /// `EnterStartup`.
    pub(super) fn enter_startup(&mut self) {
        self.state = State::Startup;
    }

    /// `CheckFullBWReached`: once in each round that the application did not limit.
    pub(super) fn check_full_bw_reached(&mut self, rs: &Rs) {
        if self.rounds.round_start && !rs.app_limited {
            if let Some(rate) = rs.rate {
                self.full_pipe.on_round(rate);
            }
        }
    }

    /// `CheckStartupDone`.
    pub(super) fn check_startup_done(&mut self, rs: &Rs) {
        if self.state != State::Startup {
            return;
        }
        self.check_startup_high_loss(rs);
        if self.full_pipe.full_bw_reached {
            self.state = State::Drain;
            self.drain_start_round = self.rounds.round_count;
        }
    }

    /// `CheckStartupHighLoss`: at the end of a round that began with a loss, so that losses have been
    /// repaired for a whole round. It matters not whether the application limits the rate.
    fn check_startup_high_loss(&mut self, rs: &Rs) {
        let is_high = self.losses.loss_round_start
            && self.losses.ranges() >= STARTUP_FULL_LOSS_CNT
            && self.is_inflight_too_high(rs.lost, rs.tx_in_flight);
        if !is_high || self.is_startup_loss_innocent(rs) {
            return;
        }
        self.interrupt(Interrupted::Startup);
        self.full_pipe.fill();
        self.long_term.inflight_longterm = self.bdp().max(self.short_term.inflight_latest());
    }

    /// Whether the losses of the round that ends came without a queue, and are no more than a bad path loses
    /// by itself. Startup sends nearly twice what arrives: where that is too much, a queue has to grow, or, if
    /// there is none, much more has to be lost. (The draft ends Startup here, too, at a rate that chance
    /// chooses: where one packet of twenty is lost, at a third or a tenth of what the path carries.)
    fn is_startup_loss_innocent(&self, rs: &Rs) -> bool {
        !self.by_the_draft && self.losses.is_innocent(rs, &self.judge(false))
    }

    /// `CheckDrainDone`.
    pub(super) fn check_drain_done(&mut self, rs: &Rs) {
        if self.state != State::Drain {
            return;
        }
        let is_drained = rs.inflight <= self.inflight_at(self.bw);
        let takes_long = self.rounds.round_count > self.drain_start_round + DRAIN_ROUNDS_MAX;
        if is_drained || takes_long {
            self.start_probe_bw_down(rs.now, rs.total);
        }
    }
}
