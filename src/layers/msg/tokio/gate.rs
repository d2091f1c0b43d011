//! [`Gate`]: handlers as tasks, up to a bound, with a bounded queue before them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets so many jobs run at once.
pub(super) struct Gate {
    state: Mutex<State>,
    running_max: usize,
    waiting_max: usize,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<Job>,
    has_stopped: bool,
}

impl Gate {
    pub(super) fn new(running_max: usize, waiting_max: usize) -> Arc<Self> {
        Arc::new(Gate {
            state: Mutex::default(),
            running_max: running_max.max(1),
            waiting_max,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a job in this runtime as soon as there is a place; false if too many wait.
    pub(super) fn run(self: &Arc<Self>, job: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut state = self.lock();
        if state.has_stopped {
            return false;
        }
        if state.running < self.running_max {
            state.running += 1;
            drop(state);
            let place = Place(Some(self.clone()));
            tokio::spawn(place.work(Box::pin(job)));
            return true;
        }
        if state.waiting.len() >= self.waiting_max {
            return false;
        }
        state.waiting.push_back(Box::pin(job));
        true
    }

    /// What waits is dropped; what runs ends by itself.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.has_stopped = true;
        let jobs = std::mem::take(&mut state.waiting);
        drop(state);
        drop(jobs);
    }
}

/// One of the places; it is free again when it is dropped.
struct Place(Option<Arc<Gate>>);

impl Place {
    async fn work(mut self, first: Job) {
        let mut job = Some(first);
        while let Some(current) = job {
            current.await;
            job = self.next();
        }
    }

    /// What waited longest; if nothing does, the place is given up in the same moment, so that nobody begins to wait for it.
    fn next(&mut self) -> Option<Job> {
        let gate = self.0.as_ref()?;
        let mut state = gate.lock();
        let job = state.waiting.pop_front();
        if job.is_none() {
            state.running -= 1;
            drop(state);
            self.0 = None;
        }
        job
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = &self.0 {
            gate.lock().running -= 1;
        }
    }
}
