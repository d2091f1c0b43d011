//! Connections that hold memory and do not move: an application that does not read, a peer that takes nothing.
//!
//! When the endpoint's memory is used up, they are given up, the longest still first (docs/ARCHITECTURE.md,
//! "Memory"). Finding out costs two looks, a second apart, and no look for each packet.

use super::{Budget, Connection, Phase};
use crate::error::{CloseReason, ResetCode};
use crate::stream::RecvCredit;
use crate::time::Time;
use crate::wire::Offset;

use std::sync::Arc;

use super::autotune::SMALL_WINDOW;
use super::budget::Account;

/// How far the application has read, and the peer has acknowledged.
type Mark = (Offset, Offset);

/// Whether a connection that holds memory moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It holds nothing, or nobody has looked.
    Moves,
    /// It held memory then, and had come so far.
    Watched { since: Time, at: Mark },
    /// It had not moved when it was looked at again; the endpoint was told.
    Stalled { at: Mark },
}

impl Standing {
    /// Whether somebody is to look again.
    pub(super) fn is_watched(self) -> bool {
        matches!(self, Standing::Watched { .. })
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

    /// Looks whether data stands still: seen twice without a step, the endpoint is told.
    pub(super) fn look_at_progress(&mut self, now: Time) {
        let at = self.mark();
        self.standing = match self.standing {
            _ if !self.holds_data() => Standing::Moves,
            Standing::Watched { since, at: before } if before == at => {
                self.pending.stalled = Some(since);
                Standing::Stalled { at }
            }
            Standing::Stalled { at: before } if before == at => self.standing,
            _ => Standing::Watched { since: now, at },
        };
    }

    /// Gives the connection up because its endpoint is short of memory, if it still stands still; whether it
    /// did. What was received and not read is gone, the peer is told by a RST, the application by an error.
    pub fn evict(&mut self) -> bool {
        let stands = self.standing == (Standing::Stalled { at: self.mark() });
        if !stands || self.phase != Phase::Open {
            return false;
        }
        self.wants.reset = Some(ResetCode::RESOURCES);
        self.fail(CloseReason::Resources("memory of the endpoint"));
        self.assembler.clear();
        self.account.rest(self.memory());
        true
    }

    fn holds_data(&self) -> bool {
        let received = self.assembler.highest() > self.assembler.read_offset();
        received || self.send.snd_una() < self.send.end()
    }

    fn mark(&self) -> Mark {
        (self.assembler.read_offset(), self.send.snd_una())
    }
}
