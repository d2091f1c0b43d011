//! What happens when a deadline comes: one short function for each timer.

use std::time::Duration;

use super::handshake::Handshake;
use super::idle::Verdict;
use super::{Connection, Phase};
use crate::error::{CloseReason, ResetCode};
use crate::limits::BACKOFF_MAX;
use crate::recovery::Outcome;
use crate::time::{Time, Timer};

/// Silence after which buffers are given back: long against any round trip in use.
const REST: Duration = Duration::from_secs(1);

impl Connection {
    /// The deadline of [`Connection::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Time) {
        self.advance(now);
        self.note_timer(now, self.recovery.deadline());
        self.fire_recovery(now);
        if self.acks.deadline().is_some_and(|at| at <= now) {
            self.acks.owe_now();
        }
        while let Some(due) = self.timers.next().filter(|deadline| deadline.at <= now) {
            self.timers.stop(due.why);
            self.note_timer(now, Some(due));
            self.fire(now, due.why);
        }
        self.settle(now);
        self.note_changes(now);
    }

    /// Whether a deadline has come that something from the peer could have made void. A driver that finds so
    /// reads what its socket holds before it calls [`Connection::handle_timeout`].
    pub fn is_overdue(&self, now: Time) -> bool {
        let has_come = |at: Time, why: Timer| at <= now && why.awaits_peer();
        let recovery = self.recovery.deadline();
        self.phase != Phase::Over
            && (recovery.is_some_and(|due| has_come(due.at, due.why))
                || self.timers.iter().any(|due| has_come(due.at, due.why)))
    }

    fn fire(&mut self, now: Time, timer: Timer) {
        match timer {
            Timer::Syn => self.fire_syn(),
            Timer::Connect => self.fire_connect(now),
            Timer::ZeroWindow => self.fire_zero_window(),
            Timer::KeepAlive => self.fire_keepalive(now),
            Timer::Idle => self.follow_verdict(Timer::Idle, self.idle.on_idle_timer(now)),
            Timer::User => self.fire_user(now),
            Timer::Path => {
                let action = self.path.on_timer(now, self.recovery.pto());
                self.follow(now, action);
            }
            Timer::Liveness => self.wants.liveness = true,
            Timer::Linger => self.end_linger(),
            Timer::FinWait2 => self.end_fin_wait_2(),
            Timer::Silence => self.fire_silence(now),
            Timer::Rest => self.fire_rest(now),
            // These only wake the driver, which then polls transmits.
            Timer::Pacing | Timer::Loss | Timer::Probe | Timer::AckDelay => {}
        }
    }

    fn fire_recovery(&mut self, now: Time) {
        if self
            .recovery
            .deadline()
            .is_none_or(|deadline| deadline.at > now)
        {
            return;
        }
        let mut outcome = std::mem::take(&mut self.outcome);
        self.recovery.on_timeout(now, &mut outcome);
        let probes = outcome.probes;
        self.outcome = outcome;
        self.repair();
        if probes > 0 {
            self.note_stall();
        }
    }

    fn fire_syn(&mut self) {
        if let Some(syn) = self.syn_sent() {
            syn.due = true;
        }
    }

    fn fire_connect(&mut self, now: Time) {
        let (attempts, after) = match &self.handshake {
            Handshake::SynSent(syn) => (syn.attempts, now - syn.started),
            Handshake::Proving { .. } => {
                return self.fail(CloseReason::TimedOut {
                    after: super::handshake::PROVING_MAX,
                });
            }
            Handshake::Done => return,
        };
        self.fail(CloseReason::ConnectTimedOut { attempts, after });
    }

    /// The window has been closed, or too small to use, for long enough to ask.
    fn fire_zero_window(&mut self) {
        self.window_probes = self.window_probes.saturating_add(1);
        if self.send_credit.limit() > self.send.snd_nxt() {
            self.wants.small_segment = true;
        } else {
            self.wants.liveness = true;
        }
    }

    fn fire_keepalive(&mut self, now: Time) {
        let verdict = self.idle.on_keepalive_timer(now, self.is_in_flight());
        self.follow_verdict(Timer::KeepAlive, verdict);
    }

    fn fire_user(&mut self, now: Time) {
        let verdict = self.idle.on_user_timer(now, self.waiting_since());
        self.follow_verdict(Timer::User, verdict);
    }

    /// Since when this side waits for the peer, as the user timeout counts. An owner may wait for a closed
    /// window as long as he likes; a stream without one waits only while its bytes are taken.
    fn waiting_since(&self) -> Option<Time> {
        if self.released {
            return (!self.is_all_acked()).then_some(self.idle.advanced_at);
        }
        self.is_in_flight().then_some(self.idle.progress_at)
    }

    /// Whether the user timer is needed.
    pub(super) fn is_awaiting_delivery(&self) -> bool {
        self.waiting_since().is_some()
    }

    /// Quiet for long enough: an idle connection holds no buffers.
    fn fire_rest(&mut self, now: Time) {
        self.look_at_progress(now);
        if std::mem::take(&mut self.lacks_memory) {
            self.pending.writable = true;
        }
        let due = self.idle.heard_at + REST;
        if now < due {
            self.timers.set(Timer::Rest, due);
            return;
        }
        self.send.shrink();
        self.assembler.shrink();
        self.recovery.rest();
        self.outcome = Outcome::default();
        self.rest_windows();
        self.account.rest(self.memory());
        if self.standing.is_watched() {
            self.timers.set(Timer::Rest, now + REST);
        }
    }

    fn follow_verdict(&mut self, timer: Timer, verdict: Verdict) {
        match verdict {
            Verdict::Again(at) => self.timers.set(timer, at),
            Verdict::Probe(at) => {
                self.wants.liveness = true;
                self.timers.set(timer, at);
            }
            Verdict::Stop => {}
            Verdict::End(reason) => self.end_by_silence(reason),
        }
    }

    /// The peer was silent for too long. One that lives after all learns of it by a RST; of the idle
    /// timeout it knows itself.
    fn end_by_silence(&mut self, reason: CloseReason) {
        let agreed = matches!(reason, CloseReason::Idle { .. });
        if self.phase == Phase::Open && !agreed {
            self.wants.reset = Some(ResetCode::TIMED_OUT);
        }
        self.fail(reason);
    }

    // --- setting them -------------------------------------------------------------------------------

    /// Sets the timers that watch for silence, unless they run.
    pub(super) fn arm_silence(&mut self, now: Time) {
        if let Some(after) = self.idle.idle_timeout {
            self.timers.set_if_stopped(Timer::Idle, now + after);
        }
        if let Some(keepalive) = self.idle.keepalive {
            let due = self.idle.heard_at + keepalive.idle;
            self.timers.set_if_stopped(Timer::KeepAlive, due.max(now));
        }
    }

    /// Sets the timer that gives memory back, unless it runs.
    pub(super) fn arm_rest(&mut self, now: Time) {
        self.timers.set_if_stopped(Timer::Rest, now + REST);
    }

    /// Sets the user timer, unless it runs.
    pub(super) fn arm_user_timer(&mut self, now: Time) {
        if let Some(after) = self.idle.user_timeout {
            self.timers.set_if_stopped(Timer::User, now + after);
        }
    }

    /// Sets the zero-window timer, unless it runs: probe timeouts that double (RFC 9293 s3.8.6.1).
    pub(super) fn arm_zero_window(&mut self, now: Time) {
        let wait = self
            .recovery
            .pto()
            .saturating_mul(1 << self.window_probes.min(16));
        self.timers
            .set_if_stopped(Timer::ZeroWindow, now + wait.min(BACKOFF_MAX));
    }

    /// Sets the path timer as the path has it, or stops it.
    pub(super) fn arm_path(&mut self) {
        match self.path.deadline() {
            Some(at) => self.timers.set(Timer::Path, at),
            None => self.timers.stop(Timer::Path),
        }
    }
}
