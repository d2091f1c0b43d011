//! Waiting without a thread: a task tries, and leaves its waker if there is no answer yet.
//!
//! The waker is left under the lock under which the answer was looked for, so that no change comes in between.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::cell::{Blocked, Cell, CellState, Side};
use super::clock;
use super::tasks::Seat;

impl Cell {
    /// Tries `attempt`; if it has no answer, perhaps once more after a look into the sockets; if it has none then,
    /// the task is woken when it may have one, from each of the seats.
    ///
    /// As for [`Cell::block_on`], the attempt must not change anything if it has no answer.
    pub(crate) fn poll_on<T>(
        self: &Arc<Self>,
        seats: &[(Side, &Seat)],
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut CellState) -> Option<T>,
    ) -> Poll<Result<T, Blocked>> {
        let enter = |_: &CellState| {
            for (side, seat) in seats {
                self.waiters(*side).tasks.enter(seat, cx.waker());
            }
        };
        let looks = self.shard.is_look_due();
        if looks {
            if let Some(outcome) = self.try_here(&mut attempt, |_| ()) {
                return Poll::Ready(outcome);
            }
            self.shard.look();
        }
        let outcome = self.try_here(&mut attempt, enter);
        if looks || outcome.is_none() {
            self.shard.on_look(outcome.is_some());
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }

    /// Tries `attempt` once, and if it has no answer, once more after a look into the sockets.
    pub(crate) fn try_on<T>(
        self: &Arc<Self>,
        mut attempt: impl FnMut(&mut CellState) -> Option<T>,
    ) -> Result<T, Blocked> {
        if let Some(outcome) = self.try_here(&mut attempt, |_| ()) {
            return outcome;
        }
        self.shard.look();
        let outcome = self.try_here(&mut attempt, |_| ());
        outcome.unwrap_or(Err(Blocked::Nonblocking))
    }

    /// Tries `attempt`; if it has no answer, does `or_else` before anybody else can change anything.
    fn try_here<T>(
        self: &Arc<Self>,
        attempt: &mut impl FnMut(&mut CellState) -> Option<T>,
        or_else: impl FnOnce(&CellState),
    ) -> Option<Result<T, Blocked>> {
        let mut state = self.lock();
        if state.orphaned {
            return Some(Err(Blocked::LoopEnded));
        }
        let Some(answer) = attempt(&mut state) else {
            or_else(&state);
            return None;
        };
        let now = state.now(clock::now());
        self.drain(state, now);
        Some(Ok(answer))
    }

    /// Waits until `attempt` has an answer. Dropped before, it has changed nothing.
    pub(crate) async fn wait_on<T, const N: usize>(
        self: &Arc<Self>,
        sides: [Side; N],
        mut attempt: impl FnMut(&mut CellState) -> Option<T>,
    ) -> Result<T, Blocked> {
        let visit = Visit {
            cell: self,
            seats: sides.map(|side| (side, Seat::default())),
        };
        poll_fn(|cx| {
            let seats = visit.seats.each_ref().map(|(side, seat)| (*side, seat));
            self.poll_on(&seats, cx, &mut attempt)
        })
        .await
    }

    /// Gives a seat back.
    pub(crate) fn leave(&self, side: Side, seat: &Seat) {
        self.waiters(side).tasks.leave(seat);
    }
}

/// The seats of one future.
struct Visit<'c, const N: usize> {
    cell: &'c Arc<Cell>,
    seats: [(Side, Seat); N],
}

impl<const N: usize> Drop for Visit<'_, N> {
    fn drop(&mut self) {
        for (side, seat) in &self.seats {
            self.cell.leave(*side, seat);
        }
    }
}
