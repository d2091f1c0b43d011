//! What to go back to when losses prove to be none (section 5.5.11).

use super::{Bbr, State};

/// A search that losses ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// Startup.
    Startup,
    /// A probe.
    ProbeBwUp,
}

/// The state before the losses of an episode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Undo {
    /// What its losses have ended since.
    interrupted: Option<Interrupted>,
    cwnd: u64,
    bw_shortterm: u64,
    inflight_shortterm: u64,
    inflight_longterm: u64,
}

impl Bbr {
    /// `SaveStateUponLoss`, before the first loss of an event; if the event turns out to begin an episode,
    /// the state is kept for as long as that may be undone.
    pub(super) fn save_state_upon_loss(&mut self) {
        self.before_event.get_or_insert(Undo {
            interrupted: None,
            cwnd: self.cwnd,
            bw_shortterm: self.short_term.bw_shortterm,
            inflight_shortterm: self.short_term.inflight_shortterm,
            inflight_longterm: self.long_term.inflight_longterm,
        });
    }

    /// The losses at hand begin an episode.
    pub(super) fn begin_episode(&mut self) {
        self.save_state_upon_loss();
        self.undo = self.before_event.unwrap_or_default();
    }

    /// Losses have ended a search.
    pub(super) fn interrupt(&mut self, search: Interrupted) {
        self.undo.interrupted = Some(search);
        if let Some(undo) = &mut self.before_event {
            undo.interrupted = Some(search);
        }
    }

    /// `HandleSpuriousLossDetection`: the bounds of before, and the search that was interrupted.
    pub(super) fn handle_spurious_loss_detection(&mut self) {
        self.losses.reset();
        self.full_pipe.reset(0);
        let (short, long, undo) = (&mut self.short_term, &mut self.long_term, &mut self.undo);
        self.cwnd = self.cwnd.max(undo.cwnd);
        short.bw_shortterm = short.bw_shortterm.max(undo.bw_shortterm);
        short.inflight_shortterm = short.inflight_shortterm.max(undo.inflight_shortterm);
        long.inflight_longterm = long.inflight_longterm.max(undo.inflight_longterm);
        match undo.interrupted.take() {
            Some(Interrupted::Startup) if self.state != State::Startup => {
                self.full_pipe.full_bw_reached = false;
                if self.state != State::ProbeRtt {
                    self.enter_startup();
                }
            }
            Some(Interrupted::ProbeBwUp) if self.state.is_probe_bw_but_up() => {
                self.start_probe_bw_refill(self.delivered);
            }
            _ => {}
        }
    }

    /// `SaveCwnd`: what a measurement or a timeout is about to make small.
    pub(super) fn save_cwnd(&mut self) {
        let is_small = self.timed_out || self.state == State::ProbeRtt;
        let before = if is_small { self.prior_cwnd } else { 0 };
        self.prior_cwnd = self.cwnd.max(before);
    }

    /// `RestoreCwnd`.
    pub(super) fn restore_cwnd(&mut self) {
        self.cwnd = self.cwnd.max(self.prior_cwnd);
    }
}
