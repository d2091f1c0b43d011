//! Threads as `std::thread` has them, which the world counts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use shuttle::thread::ThreadId;

use super::sync::{Condvar, Mutex, held};
use super::world;

/// As `std::thread::Builder`.
pub(crate) struct Builder;

impl Builder {
    pub(crate) fn new() -> Self {
        Builder
    }

    pub(crate) fn name(self, _: String) -> Self {
        self
    }

    pub(crate) fn spawn(self, act: impl FnOnce() + Send + 'static) -> io::Result<()> {
        begin(act);
        Ok(())
    }
}

/// The name of this thread.
pub(crate) fn current_id() -> ThreadId {
    shuttle::thread::current().id()
}

/// Does nothing for a time of the model.
pub fn sleep(time: Duration) {
    let mutex = Mutex::new(());
    drop(Condvar::new().wait_timeout(held(mutex.lock()), time));
}

/// Waits for a thread to end.
pub struct JoinHandle<T> {
    answer: Arc<(Mutex<Option<T>>, Condvar)>,
}

/// Begins a thread.
pub fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let answer = Arc::new((Mutex::new(None), Condvar::new()));
    let theirs = answer.clone();
    begin(move || {
        let given = act();
        let (slot, told) = &*theirs;
        *held(slot.lock()) = Some(given);
        told.notify_all();
    });
    JoinHandle { answer }
}

impl<T> JoinHandle<T> {
    /// What the thread returned. It sleeps as any other thread: time may pass.
    pub fn join(self) -> T {
        let (slot, told) = &*self.answer;
        let mut slot = held(slot.lock());
        loop {
            if let Some(given) = slot.take() {
                return given;
            }
            slot = held(told.wait(slot));
        }
    }
}

fn begin(act: impl FnOnce() + Send + 'static) {
    struct Leaving;
    impl Drop for Leaving {
        fn drop(&mut self) {
            world::leave();
        }
    }
    world::enter();
    shuttle::thread::spawn(move || {
        let _leaving = Leaving;
        act();
    });
}
