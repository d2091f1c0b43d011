//! Connections that wait for `accept`.

use std::collections::VecDeque;
use std::sync::Arc;
#[cfg(feature = "_tasks")]
use std::task::{Context, Poll};

use super::cell::{Blocked, Limit, Owner};
use super::leader::{Baton, Standing, Waiting};
use super::platform::{Mutex, MutexGuard};
use super::shard::Shard;
#[cfg(feature = "_tasks")]
use super::tasks::Seat;
use super::turn::Wish;
use super::waiters::Waiters;
use super::{clock, lock};
use crate::config::Config;
use crate::time::Time;

/// The queue between a loop and a listener.
#[derive(Debug)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    acceptors: Waiters,
    /// Connections that may wait; one more is let in, as Linux does for `listen`.
    limit: usize,
    /// How the accepted connections behave.
    pub(crate) config: Arc<Config>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Owner>,
    nonblocking: bool,
    /// The loop has gone: nothing will come.
    ended: bool,
}

impl Backlog {
    pub(crate) fn new(limit: usize, config: Arc<Config>) -> Self {
        Backlog {
            state: Mutex::default(),
            acceptors: Waiters::default(),
            limit,
            config,
        }
    }

    /// Adds a connection. The shard knows a backlog only while its listener lives.
    pub(crate) fn push(&self, owner: Owner) {
        lock(&self.state).waiting.push_back(owner);
        self.acceptors.wake();
    }

    /// Whether one more may wait.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.state).waiting.len() <= self.limit
    }

    /// Takes the connection that has waited longest; true if there was no room before.
    pub(crate) fn accept(
        &self,
        shard: &Arc<Shard>,
        limit: Limit,
    ) -> Result<(Owner, bool), Blocked> {
        let mut state = lock(&self.state);
        let limit = if state.nonblocking { Limit::Now } else { limit };
        let deadline = match limit {
            Limit::After(wait) => Some(clock::now() + wait),
            Limit::Now | Limit::Never => None,
        };
        let mut waiting: Option<Waiting> = None;
        loop {
            let was_full = state.waiting.len() > self.limit;
            if let Some(owner) = state.waiting.pop_front() {
                return Ok((owner, was_full));
            }
            if state.ended {
                return Err(Blocked::LoopEnded);
            }
            if limit == Limit::Now {
                return Err(Blocked::Nonblocking);
            }
            let waiting = waiting
                .get_or_insert_with(|| Baton::enter(shard, Wish::Arrival, self.config.busy_poll()));
            let (again, in_time) = self.wait_as(waiting, state, deadline);
            state = again;
            if !in_time {
                return Err(Blocked::TimedOut);
            }
        }
    }

    /// Takes the connection that has waited longest, and whether there was no room before; if there is none, the
    /// task is woken when one comes.
    #[cfg(feature = "_tasks")]
    pub(crate) fn poll_accept(
        &self,
        seat: &Seat,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Owner, bool), Blocked>> {
        let mut state = lock(&self.state);
        let was_full = state.waiting.len() > self.limit;
        if let Some(owner) = state.waiting.pop_front() {
            return Poll::Ready(Ok((owner, was_full)));
        }
        if state.ended {
            return Poll::Ready(Err(Blocked::LoopEnded));
        }
        self.acceptors.tasks.enter(seat, cx.waker());
        Poll::Pending
    }

    /// Gives a seat back.
    #[cfg(feature = "_tasks")]
    pub(crate) fn leave(&self, seat: &Seat) {
        self.acceptors.tasks.leave(seat);
    }

    /// Waits for a connection: leads, asks to, or sleeps. False once `until` has passed.
    fn wait_as<'s>(
        &'s self,
        waiting: &mut Waiting,
        state: MutexGuard<'s, State>,
        until: Option<Time>,
    ) -> (MutexGuard<'s, State>, bool) {
        if waiting.standing() == Standing::Follows {
            return self.acceptors.wait(state, until);
        }
        if until.is_some_and(|until| until <= clock::now()) {
            return (state, false);
        }
        drop(state);
        match waiting.standing() {
            Standing::Leads => waiting.turn(until),
            _ => waiting.obtain(),
        }
        (lock(&self.state), true)
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        lock(&self.state).nonblocking = nonblocking;
    }

    /// The listener goes: what nobody accepted.
    pub(crate) fn close(&self) -> VecDeque<Owner> {
        std::mem::take(&mut lock(&self.state).waiting)
    }

    /// The loop has ended.
    pub(crate) fn end(&self) {
        lock(&self.state).ended = true;
        self.acceptors.wake();
    }
}
