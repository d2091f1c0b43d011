//! Threads that run handlers: as many as there is work for, up to a bound, with a bounded queue before them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A thread that found nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads.
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads_max: usize,
    waiting_max: usize,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    has_stopped: bool,
}

impl Workers {
    pub(super) fn new(threads_max: usize, waiting_max: usize) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            work: Condvar::new(),
        };
        Workers {
            shared: Arc::new(shared),
            threads_max: threads_max.max(1),
            waiting_max,
        }
    }

    /// Runs a job as soon as there is a thread; false if too many wait, or there is no thread to be had.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.shared.lock();
        let is_free = state.idle > state.jobs.len();
        if state.has_stopped || (!is_free && state.jobs.len() >= self.waiting_max + state.idle) {
            return false;
        }
        if !is_free && state.threads < self.threads_max {
            let shared = self.shared.clone();
            let name = "aqueduct-msg-worker".to_owned();
            match thread::Builder::new()
                .name(name)
                .spawn(move || shared.work())
            {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return false,
                Err(_) => {}
            }
        }
        state.jobs.push_back(Box::new(job));
        drop(state);
        self.shared.work.notify_one();
        true
    }

    /// What waits is dropped; what runs ends by itself.
    pub(super) fn stop(&self) {
        let mut state = self.shared.lock();
        state.has_stopped = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            if state.has_stopped {
                break;
            }
            state.idle += 1;
            let idle = |state: &mut State| state.jobs.is_empty() && !state.has_stopped;
            let waited = self.work.wait_timeout_while(state, IDLE, idle);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.idle -= 1;
            if state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn beyond_its_bounds_nothing_is_taken() {
        let workers = Workers::new(2, 3);
        let (go, gone) = mpsc::channel::<()>();
        let gone = Arc::new(Mutex::new(gone));
        let (say, began) = mpsc::channel();
        let job = || {
            let (say, gone) = (say.clone(), gone.clone());
            move || {
                say.send(()).expect("the test waits");
                // Ends once the other side is dropped.
                let _ = gone.lock().map(|gone| gone.recv());
            }
        };
        for _ in 0..2 {
            assert!(workers.run(job()));
            began.recv().expect("a thread for each");
        }
        let taken = (0..10).filter(|_| workers.run(job())).count();
        assert_eq!(taken, 3);
        drop(go);
        for _ in 0..3 {
            began.recv().expect("what waited runs");
        }
    }
}
