//! Who waits for something to happen to a connection or a listener.
//!
//! A wake-up of nobody costs nothing: waiters are counted, and the count changes only under the mutex
//! that also guards what they wait for.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::clock;
use super::platform::{AtomicUsize, Condvar, MutexGuard};
#[cfg(feature = "_tasks")]
use super::tasks::Tasks;
use crate::time::Time;

/// Threads and tasks that wait for one kind of event.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    condvar: Condvar,
    count: AtomicUsize,
    /// Entered under the same mutex that a thread lets go of to wait.
    #[cfg(feature = "_tasks")]
    pub(crate) tasks: Tasks,
}

impl Waiters {
    /// Lets go of the mutex until woken, or until `deadline`; false once that has passed.
    ///
    /// May return without a reason: the caller looks again.
    pub(crate) fn wait<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        deadline: Option<Time>,
    ) -> (MutexGuard<'m, T>, bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let woken = match deadline {
            None => (
                self.condvar
                    .wait(guard)
                    .unwrap_or_else(PoisonError::into_inner),
                true,
            ),
            Some(deadline) => self.wait_until(guard, deadline),
        };
        self.count.fetch_sub(1, Ordering::Relaxed);
        woken
    }

    fn wait_until<'m, T>(
        &self,
        guard: MutexGuard<'m, T>,
        deadline: Time,
    ) -> (MutexGuard<'m, T>, bool) {
        let left = deadline - clock::now();
        if left.is_zero() {
            return (guard, false);
        }
        let (guard, _) = self
            .condvar
            .wait_timeout(guard, left)
            .unwrap_or_else(PoisonError::into_inner);
        (guard, true)
    }

    /// Whether anybody waits. Exact while the mutex is held; `wake` may follow after it is let go.
    pub(crate) fn any(&self) -> bool {
        #[cfg(feature = "_tasks")]
        if self.tasks.any() {
            return true;
        }
        self.any_thread()
    }

    fn any_thread(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Wakes everybody who waits.
    pub(crate) fn wake(&self) {
        self.wake_threads();
        #[cfg(feature = "_tasks")]
        self.tasks.wake();
    }

    /// Wakes the threads that wait, and no task.
    pub(crate) fn wake_threads(&self) {
        if self.any_thread() {
            self.condvar.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_waiter_is_woken_and_a_deadline_ends_the_wait() {
        let shared = Arc::new((Mutex::new(false), Waiters::default()));
        let theirs = shared.clone();
        let waiter = std::thread::spawn(move || {
            let (mutex, waiters) = &*theirs;
            let mut guard = mutex.lock().unwrap();
            while !*guard {
                guard = waiters.wait(guard, None).0;
            }
        });
        let (mutex, waiters) = &*shared;
        *mutex.lock().unwrap() = true;
        waiters.wake();
        waiter.join().unwrap();
        assert!(!waiters.any());

        let soon = clock::now() + Duration::from_millis(1);
        let mut guard = mutex.lock().unwrap();
        loop {
            let (again, in_time) = waiters.wait(guard, Some(soon));
            guard = again;
            if !in_time {
                break;
            }
        }
        assert!(clock::now() >= soon);
    }
}
