//! The time of the model, and who sleeps until what.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex, MutexGuard};

use super::network::Inbox;
use super::sync::held;
use crate::time::Time;

/// What reading the clock takes: a thread that looks again and again comes to an end.
const READING: Duration = Duration::from_nanos(500);

shuttle::lazy_static! {
    static ref WORLD: Mutex<World> = Mutex::new(World::new());
    static ref MOVED: Condvar = Condvar::new();
}

/// What all threads of a run share.
pub(super) struct World {
    now: Time,
    /// Threads that have begun and not ended, the one that runs the scenario included.
    threads: usize,
    sleepers: Vec<Sleeper>,
    next_ticket: u64,
    /// The UDP sockets that are open.
    pub(super) inboxes: BTreeMap<SocketAddr, Arc<Inbox>>,
    pub(super) next_port: u16,
    /// Sends of which nothing arrives, from now on.
    pub(super) to_lose: u32,
}

/// A thread that waits.
struct Sleeper {
    ticket: u64,
    /// The condition variable that it waits at.
    at: u64,
    until: Option<Time>,
    woken: Woken,
}

/// Why a sleeper may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    NotYet,
    Told,
    InTime,
}

impl World {
    fn new() -> Self {
        World {
            now: Time::from_millis(1),
            threads: 1,
            sleepers: Vec::new(),
            next_ticket: 1,
            inboxes: BTreeMap::new(),
            next_port: 40_000,
            to_lose: 0,
        }
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn asleep(&self) -> impl Iterator<Item = &Sleeper> {
        let sleepers = self.sleepers.iter();
        sleepers.filter(|sleeper| sleeper.woken == Woken::NotYet)
    }

    /// Lets time pass if nobody can do anything before it has.
    fn pass(&mut self) -> bool {
        if self.asleep().count() < self.threads {
            return false;
        }
        let until = self.asleep().filter_map(|sleeper| sleeper.until).min();
        let until = until.expect("somebody waits for what will never come: nobody can go on");
        self.now = self.now.max(until);
        for sleeper in &mut self.sleepers {
            let is_over = sleeper.until.is_some_and(|until| until <= self.now);
            if is_over && sleeper.woken == Woken::NotYet {
                sleeper.woken = Woken::InTime;
            }
        }
        true
    }
}

pub(super) fn world() -> MutexGuard<'static, World> {
    held(WORLD.lock())
}

/// The name of a new condition variable.
pub(super) fn ticket() -> u64 {
    world().ticket()
}

/// Notes that this thread will wait at `at`. Between this and [`sleep`] it may be woken already.
pub(super) fn lie_down(at: u64, timeout: Option<Duration>) -> u64 {
    let mut world = world();
    let ticket = world.ticket();
    let until = timeout.map(|timeout| world.now + timeout);
    world.sleepers.push(Sleeper {
        ticket,
        at,
        until,
        woken: Woken::NotYet,
    });
    ticket
}

/// Sleeps; why it ended.
pub(super) fn sleep(ticket: u64) -> Woken {
    let mut world = world();
    loop {
        let place = world.sleepers.iter().position(|one| one.ticket == ticket);
        let place = place.expect("a sleeper goes only when it wakes");
        if world.sleepers[place].woken != Woken::NotYet {
            return world.sleepers.remove(place).woken;
        }
        if world.pass() {
            MOVED.notify_all();
            continue;
        }
        world = held(MOVED.wait(world));
    }
}

/// Wakes those who sleep at `at`: all, or one of them, whichever.
pub(super) fn wake(at: u64, all: bool) {
    let mut world = world();
    let mut here: Vec<&mut Sleeper> = world.sleepers.iter_mut().collect();
    here.retain(|sleeper| sleeper.at == at && sleeper.woken == Woken::NotYet);
    if here.is_empty() {
        return;
    }
    if !all {
        let one = thread_rng().gen_range(0..here.len());
        here = vec![here.swap_remove(one)];
    }
    for sleeper in here {
        sleeper.woken = Woken::Told;
    }
    drop(world);
    MOVED.notify_all();
}

/// A thread begins.
pub(super) fn enter() {
    world().threads += 1;
}

/// A thread ends: perhaps all others wait.
pub(super) fn leave() {
    world().threads -= 1;
    MOVED.notify_all();
}

/// What time it is in the model.
pub(crate) fn now() -> Time {
    let mut world = world();
    world.now += READING;
    world.now
}

/// A seed for an endpoint.
pub(crate) fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    thread_rng().fill(&mut seed);
    seed
}

/// Loses the next `sends`, whoever sends.
pub fn lose(sends: u32) {
    world().to_lose = sends;
}

/// How much time has passed in this run.
pub fn elapsed() -> Duration {
    world().now - Time::from_millis(1)
}

/// Waits until all other threads have ended, however long that takes in the model.
pub fn finish() {
    crate::runtime::disown_common();
    loop {
        let mut world = world();
        if world.threads == 1 {
            return;
        }
        // All others wait for a time to come.
        let rest = world.asleep().count();
        if rest + 1 == world.threads && world.asleep().any(|sleeper| sleeper.until.is_some()) {
            world.threads -= 1;
            world.pass();
            world.threads += 1;
        } else if rest + 1 == world.threads {
            panic!("a thread of the crate never ends");
        }
        drop(world);
        MOVED.notify_all();
        shuttle::thread::yield_now();
    }
}
