//! Tasks that wait: wakers, in the place of threads that sleep.
//!
//! Each task has a [`Seat`] of its own, so that the latest waker of one poll function replaces the earlier
//! one, and futures that wait at the same time do not disturb each other.

use std::sync::atomic::Ordering;
use std::task::Waker;

use super::lock;
use super::platform::{AtomicUsize, Mutex};

/// The number of a seat that was never taken.
const NONE: usize = usize::MAX;

/// Where one task waits, at one [`Tasks`] only. Whoever owns it gives it back with [`Tasks::leave`].
#[derive(Debug)]
pub(crate) struct Seat(AtomicUsize);

impl Default for Seat {
    fn default() -> Self {
        Seat(AtomicUsize::new(NONE))
    }
}

/// Wakers that wait for one kind of event.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    rows: Mutex<Rows>,
    /// Wakers in the rows.
    count: AtomicUsize,
}

/// Never longer than the most seats that were taken at once.
#[derive(Debug, Default)]
struct Rows {
    wakers: Vec<Option<Waker>>,
    /// Rows that belong to no seat.
    free: Vec<usize>,
}

impl Tasks {
    /// Has the task woken once, at the next [`Tasks::wake`].
    pub(crate) fn enter(&self, seat: &Seat, waker: &Waker) {
        let mut rows = lock(&self.rows);
        let mut row = seat.0.load(Ordering::Relaxed);
        if row == NONE {
            row = rows.reserve();
            seat.0.store(row, Ordering::Relaxed);
        }
        match &mut rows.wakers[row] {
            Some(known) => known.clone_from(waker),
            none => {
                *none = Some(waker.clone());
                self.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Gives a seat back; its task is woken no more.
    pub(crate) fn leave(&self, seat: &Seat) {
        let row = seat.0.swap(NONE, Ordering::Relaxed);
        if row == NONE {
            return;
        }
        let mut rows = lock(&self.rows);
        let waker = rows.wakers[row].take();
        rows.free.push(row);
        drop(rows);
        if waker.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether any task waits.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes every task that waits, outside the lock: a waker may run anything.
    pub(crate) fn wake(&self) {
        if !self.any() {
            return;
        }
        let mut rows = lock(&self.rows);
        let mut waiting = rows.wakers.iter_mut().filter_map(Option::take);
        // Nearly always there is one, and then nothing is allocated.
        let first = waiting.next();
        let others: Vec<Waker> = waiting.collect();
        drop(rows);
        let woken = usize::from(first.is_some()) + others.len();
        self.count.fetch_sub(woken, Ordering::Relaxed);
        first.into_iter().chain(others).for_each(Waker::wake);
    }
}

impl Rows {
    fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    /// A waker that counts.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn new() -> (Arc<Bell>, Waker) {
            let bell = Arc::new(Bell::default());
            (bell.clone(), bell.into())
        }

        fn rung(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn everybody_is_woken_once_and_the_latest_waker_of_a_seat_counts() {
        let tasks = Tasks::default();
        let (seats, bells): (Vec<_>, Vec<_>) =
            (0..3).map(|_| (Seat::default(), Bell::new())).unzip();
        for (seat, (_, waker)) in seats.iter().zip(&bells) {
            tasks.enter(seat, waker);
        }
        let (late, late_waker) = Bell::new();
        tasks.enter(&seats[1], &late_waker);
        tasks.wake();
        tasks.wake();
        assert!(!tasks.any());
        let rung: Vec<_> = bells.iter().map(|(bell, _)| bell.rung()).collect();
        assert_eq!((rung, late.rung()), (vec![1, 0, 1], 1));
    }

    #[test]
    fn whoever_leaves_is_not_woken_and_leaves_room() {
        let tasks = Tasks::default();
        let (bell, waker) = Bell::new();
        for _ in 0..1_000 {
            let seat = Seat::default();
            tasks.enter(&seat, &waker);
            tasks.leave(&seat);
            tasks.leave(&seat);
        }
        assert!(!tasks.any());
        tasks.wake();
        assert_eq!(bell.rung(), 0);
        assert_eq!(lock(&tasks.rows).wakers.len(), 1);
    }
}
