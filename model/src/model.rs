//! What the runtime stands on in the model: locks, threads, time, polls and sockets of a world whose every step
//! `shuttle` chooses. `tests/model` says what is explored; nothing here is part of the crate that users get.
//!
//! Time stands still while any thread can go on. When all wait, it goes to the earliest deadline; if there is
//! none, nobody can ever go on, and that is the failure that the model looks for.

mod network;
mod poll;
mod sync;
mod thread;
mod world;

use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

pub(crate) use network::{Receiver, Socket};
pub(crate) use poll::{Events, Interest, Poll, Registry, Token, Waker};
pub(crate) use sync::{
    AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};
pub(crate) use thread::{Builder, ThreadId, current_id};
pub use thread::{JoinHandle, sleep, spawn};
pub use world::{elapsed, finish, lose};
pub(crate) use world::{now, seed};

/// Steps of one run after which it counts as one that never ends.
const STEPS_MAX: usize = 2_000_000;
/// Bytes of a thread's stack.
const STACK_BYTES: usize = 512 << 10;
/// Priorities that one run in two changes at chosen moments (the depth of "probabilistic concurrency testing").
const DEPTH: usize = 4;

/// Runs `scenario` `runs` times, each in another order of steps: half of them chosen evenly, half by priorities that
/// change seldom, which finds what needs one thread to stand still for long. `seed` decides all of them.
pub fn explore(seed: u64, runs: usize, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let half = runs.div_ceil(2);
    run(RandomScheduler::new_from_seed(seed, half), scenario.clone());
    run(PctScheduler::new_from_seed(seed, DEPTH, half), scenario);
}

fn run(scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(scenario);
}

/// A time that no scenario should need where nothing is lost: what takes longer was saved by a timer.
pub const SOON: Duration = Duration::from_millis(20);
