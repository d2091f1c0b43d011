//! Connections that hold memory and do not move: an application that does not read, a peer that takes nothing,
//! or next to nothing.
//!
//! When the endpoint's memory is used up, they are given up, the longest still first (docs/ARCHITECTURE.md,
//! "Memory"). Finding out costs a look each second while something comes or leaves, and no look for each packet.
//!
//! ```text
//!   since           from                                          now
//!   |- too little ->|- no byte for a second ---------------------->|   still
//!   |- too little ->|- in 8 s less than a step ------------------->|   still
//!                   |- a step ------------------------------------>|   moves: watched anew from here
//! ```

use super::{Budget, Connection, Phase};
use crate::error::{CloseReason, ResetCode};
use crate::stream::RecvCredit;
use crate::time::Time;

use std::sync::Arc;
use std::time::Duration;

use super::autotune::SMALL_WINDOW;
use super::budget::Account;

/// Not a byte for so long is standing still.
const STILL: Duration = Duration::from_secs(1);
/// Too little in so long is standing still too: long enough for some datagrams of 10 kbit/s.
const WINDOW: Duration = Duration::from_secs(8);
/// Bytes in a [`WINDOW`] that are enough for a connection that holds little: 512 a second. Less would let one
/// peer hold many windows for next to nothing.
const STEP_MIN: u64 = 4 << 10;
/// The windows of 8 s in ten minutes: what is held shall not take longer at its pace.
const WINDOWS_MAX: u64 = 75;

/// Bytes of the stream, both directions together.
#[derive(Clone, Copy, Debug)]
struct Progress {
    /// Received and not read, or written and not acknowledged.
    held: u64,
    /// Ever read, or acknowledged.
    done: u64,
}

/// Whether a connection that holds memory moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It holds nothing, or nobody has looked.
    Moves,
    /// It held memory when it was looked at.
    Watched(Watch),
}

/// How far a connection had come, and how far it must come to count as moving.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watch {
    /// No step was made since.
    since: Time,
    /// The present window began then, with so much done.
    from: Time,
    done: u64,
    /// Bytes to do in a window.
    step: u64,
    /// The endpoint was told that it stands still.
    is_told: bool,
}

impl Standing {
    /// Whether somebody is to look again, even if nothing happens.
    pub(super) fn is_watched(self) -> bool {
        matches!(self, Standing::Watched(watch) if !watch.is_told)
    }

    /// Whether somebody is to look again once something has moved.
    pub(super) fn is_told(self) -> bool {
        matches!(self, Standing::Watched(watch) if watch.is_told)
    }

    /// Looks how far it has come. Since when it stands still, if that is news.
    fn look(&mut self, now: Time, progress: Progress) -> Option<Time> {
        if progress.held == 0 {
            *self = Standing::Moves;
            return None;
        }
        match self {
            Standing::Watched(watch) if !watch.has_moved(progress.done) => {
                watch.look(now, progress)
            }
            Standing::Watched(_) | Standing::Moves => {
                *self = Standing::Watched(Watch::new(now, now, progress));
                None
            }
        }
    }

    /// Whether it stood still when it was looked at, and has not moved since, with so many bytes done.
    fn stands(self, done: u64) -> bool {
        matches!(self, Standing::Watched(watch) if watch.is_told && !watch.has_moved(done))
    }
}

impl Watch {
    /// A new window, of a connection that made no step since.
    fn new(since: Time, now: Time, progress: Progress) -> Self {
        let Progress { held, done } = progress;
        Watch {
            since,
            from: now,
            done,
            // A dialogue that is seen between two short messages moves by them.
            step: (held / WINDOWS_MAX).max(STEP_MIN).min(held),
            is_told: false,
        }
    }

    fn has_moved(&self, done: u64) -> bool {
        done.saturating_sub(self.done) >= self.step
    }

    /// It has not made a step: whether for too long.
    fn look(&mut self, now: Time, progress: Progress) -> Option<Time> {
        let is_silent = progress.done == self.done;
        if now - self.from < if is_silent { STILL } else { WINDOW } {
            return None;
        }
        let was_told = self.is_told;
        if !is_silent {
            *self = Watch::new(self.since, now, progress);
        }
        self.is_told = true;
        (!was_told).then_some(self.since)
    }
}

impl Connection {
    /// Has the connection take its memory from this budget, as all of its endpoint do; for one that is new.
    pub(crate) fn share(&mut self, budget: Arc<Budget>) {
        self.account = Account::with(budget);
        if self.account.is_tight() && self.phase == Phase::Opening {
            let window = self.config.receive_window().min(SMALL_WINDOW);
            self.recv_credit = RecvCredit::new(window);
        }
    }

    /// Looks whether data stands still: if so, the endpoint is told.
    pub(super) fn look_at_progress(&mut self, now: Time) {
        let progress = self.progress();
        if let Some(since) = self.standing.look(now, progress) {
            self.pending.stalled = Some(since);
        }
    }

    /// Something was taken: whether it is enough, a look in a second tells.
    pub(super) fn look_again(&mut self, now: Time) {
        if self.standing.is_told() {
            self.arm_rest(now);
        }
    }

    /// Gives the connection up because its endpoint is short of memory, if it still stands still; whether it
    /// did. What was received and not read is gone, the peer is told by a RST, the application by an error.
    pub fn evict(&mut self) -> bool {
        let stands = self.standing.stands(self.progress().done);
        if !stands || self.phase != Phase::Open {
            return false;
        }
        self.wants.reset = Some(ResetCode::RESOURCES);
        self.fail(CloseReason::Resources("memory of the endpoint"));
        self.assembler.clear();
        self.account.rest(self.memory());
        true
    }

    fn progress(&self) -> Progress {
        let (read, acked) = (self.assembler.read_offset(), self.send.snd_una());
        let received = self.assembler.highest().since(read);
        Progress {
            held: received.saturating_add(self.send.end().since(acked)),
            done: read.get().saturating_add(acked.get()),
        }
    }
}

#[cfg(test)]
mod tests;
