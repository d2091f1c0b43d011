//! Who takes the turns of a shard: its own thread, or a thread of the application that waits anyway.
//!
//! A thread that blocks in `read` and sleeps until another thread has received its data pays for two
//! wake-ups where the kernel's TCP pays for one. So a waiting thread takes the turns itself: it leads.
//! The shard's own thread lets go when it is asked to, and takes over again when nobody leads.
//!
//! ```text
//!                   asks                       leaves
//!   background  ---------->  a waiting thread ---------->  nobody
//!        ^                                                    |
//!        +------- at once if others wait, else after a tick --+
//! ```
//! Only the sole waiting thread of a shard leads: where many wait, passing the turns on would cost as
//! much as it spares. A thread in `accept` leads too, but makes way for one that reads or writes.
//!
//! Invariant: when nobody holds the turns, the background thread looks again within two ticks;
//! when the application holds them, the holder looks at every event and deadline of the shard.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::platform::{Condvar, Mutex, MutexGuard};
use super::shard::Shard;
use super::turn::{Flow, Patience, Turns, Wish};
use super::{clock, lock, spin};
use crate::config::BusyPoll;
use crate::time::Time;

/// How long nobody needs to have led before the background thread takes over. It bounds what others pay
/// while the application leads now and then: the peers of a thread that waits for another shard, or does
/// not wait at all, are served one or two ticks late. Longer ticks spare nothing that can be measured.
const TICK: Duration = Duration::from_millis(1);
/// Ticks of one and the same lead after which the background thread sleeps until it is called.
const TICKS_OF_ONE_LEAD: u32 = 5;

/// The right to take turns, and who has it.
#[derive(Debug)]
pub(crate) struct Baton {
    state: Mutex<State>,
    /// The background thread waits here while it does not hold the turns.
    background: Condvar,
    /// A thread that asked for the turns waits here.
    asking: Condvar,
}

#[derive(Debug)]
struct State {
    /// The turns, while nobody holds them.
    turns: Option<Turns>,
    holder: Holder,
    /// Somebody waits for the holder to let go.
    asked: bool,
    /// Threads that wait to read or to write, the leader included.
    waiting: usize,
    /// Threads that wait in `accept`.
    accepting: usize,
    /// How often the application let go of the turns.
    leads: u64,
    /// The background thread sleeps without a tick.
    asleep: bool,
    /// There is a background thread.
    has_thread: bool,
    /// A runtime's task takes the turns when nobody else has them; there is no background thread then.
    driven: bool,
    /// The task wanted the turns while somebody had them.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    missed: bool,
    /// The loop is to end, or has ended.
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holder {
    Nobody,
    Background,
    Application(Rank),
}

/// What a thread of the application waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rank {
    /// A connection that nobody has accepted yet: makes way.
    Accept,
    /// Its own connection.
    Stream,
}

impl Rank {
    fn of(wish: Wish) -> Self {
        match wish {
            Wish::Arrival => Rank::Accept,
            Wish::Nothing | Wish::Packet(_) => Rank::Stream,
        }
    }
}

impl Baton {
    /// Nobody holds the turns yet, and there are none: see [`Baton::begin`].
    pub(crate) fn new() -> Self {
        Baton {
            state: Mutex::new(State {
                turns: None,
                holder: Holder::Nobody,
                asked: false,
                waiting: 0,
                accepting: 0,
                leads: 0,
                asleep: false,
                has_thread: false,
                driven: false,
                #[cfg(all(feature = "tokio", target_os = "linux"))]
                missed: false,
                ended: false,
            }),
            background: Condvar::new(),
            asking: Condvar::new(),
        }
    }

    /// The first to take turns starts with these.
    pub(crate) fn begin(&self, turns: Turns) {
        lock(&self.state).turns = Some(turns);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    // --- the background thread --------------------------------------------------------------------

    /// Waits until the background thread is needed; `None` when the loop is to end.
    pub(crate) fn take_for_background(&self) -> Option<Turns> {
        let mut state = self.lock();
        let (mut seen, mut same) = (state.leads, 0);
        loop {
            if state.ended {
                return None;
            }
            let is_free = state.holder == Holder::Nobody && !state.asked;
            let is_needed = state.waiting > 0 || state.leads == seen;
            if is_free && is_needed && state.turns.is_some() {
                state.holder = Holder::Background;
                return state.turns.take();
            }
            same = if state.leads == seen { same + 1 } else { 0 };
            seen = state.leads;
            state = self.park(state, same);
        }
    }

    /// Sleeps for a tick, or, while one lead lasts, until it ends.
    fn park<'s>(&self, mut state: MutexGuard<'s, State>, same: u32) -> MutexGuard<'s, State> {
        let is_led = state.holder != Holder::Nobody || state.asked;
        if is_led && same >= TICKS_OF_ONE_LEAD {
            state.asleep = true;
            let woken = self.background.wait(state);
            let mut state = woken.unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
            return state;
        }
        let woken = self.background.wait_timeout(state, TICK);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether somebody waits for the turns.
    pub(crate) fn is_asked(&self) -> bool {
        self.lock().asked
    }

    /// The background thread lets go.
    pub(crate) fn give_back(&self, turns: Turns) {
        self.lock().put(turns);
        self.asking.notify_all();
    }

    /// There is to be a background thread, and no task; false if there is one.
    pub(crate) fn begin_background(&self) -> bool {
        let mut state = self.lock();
        state.driven = false;
        !std::mem::replace(&mut state.has_thread, true)
    }

    /// The loop has ended: nobody leads any more. Returns the turns, to be dropped.
    pub(crate) fn end(&self) -> Option<Turns> {
        let mut state = self.lock();
        state.ended = true;
        self.background.notify_one();
        self.asking.notify_all();
        state.turns.take()
    }

    // --- a runtime's task ---------------------------------------------------------------------------

    /// Whether a runtime's task takes the turns.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_driven(&self) -> bool {
        self.lock().driven
    }

    /// A runtime's task begins to take the turns.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub(crate) fn begin_task(&self) {
        self.lock().driven = true;
    }

    /// Takes the turns if nobody holds them or asks for them. Otherwise whoever lets go tells the task.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub(crate) fn take_for_driver(&self) -> Option<Turns> {
        let mut state = self.lock();
        let is_free = state.driven && state.holder == Holder::Nobody && !state.asked;
        state.missed = !is_free;
        let turns = if is_free { state.turns.take() } else { None };
        if turns.is_some() {
            state.holder = Holder::Background;
        }
        turns
    }

    /// Lets go; whether the task wanted them meanwhile.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub(crate) fn give_back_by_driver(&self, turns: Turns) -> bool {
        let mut state = self.lock();
        state.put(turns);
        self.asking.notify_all();
        std::mem::take(&mut state.missed)
    }

    // --- threads of the application -----------------------------------------------------------------

    /// A thread begins to wait. It may lead; see [`Waiting::standing`].
    pub(crate) fn enter(shard: &Arc<Shard>, wish: Wish, busy_poll: BusyPoll) -> Waiting {
        let rank = Rank::of(wish);
        let mut state = shard.baton.lock();
        *state.count(rank) += 1;
        let mut waiting = Waiting {
            shard: shard.clone(),
            rank,
            wish,
            turns: None,
            has_asked: false,
            busy_poll: spin::mode(busy_poll),
            lead: None,
        };
        waiting.try_take(&mut state);
        waiting
    }
}

impl State {
    fn count(&mut self, rank: Rank) -> &mut usize {
        match rank {
            Rank::Stream => &mut self.waiting,
            Rank::Accept => &mut self.accepting,
        }
    }

    /// Whether a thread that has just begun to wait should lead.
    fn is_best(&self, rank: Rank) -> bool {
        match rank {
            Rank::Stream => self.waiting == 1,
            Rank::Accept => self.waiting == 0 && self.accepting == 1,
        }
    }

    fn put(&mut self, turns: Turns) {
        self.turns = Some(turns);
        self.holder = Holder::Nobody;
    }
}

/// What a waiting thread has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Take a turn: [`Waiting::turn`].
    Leads,
    /// Let go of every lock and call [`Waiting::obtain`].
    Asks,
    /// Sleep until woken.
    Follows,
}

/// A thread that waits for something of a shard.
#[derive(Debug)]
pub(crate) struct Waiting {
    shard: Arc<Shard>,
    rank: Rank,
    wish: Wish,
    /// The turns, while this thread leads.
    turns: Option<Turns>,
    has_asked: bool,
    /// How it wants to wait.
    busy_poll: BusyPoll,
    /// Its lead, once it has taken a turn: only then the background thread may count on it.
    lead: Option<Lead>,
}

/// What one lead has been like so far.
#[derive(Debug)]
struct Lead {
    began: Time,
    /// How long it was to look before it slept.
    budget: Duration,
    patience: Patience,
}

impl Waiting {
    /// What this thread has to do.
    pub(crate) fn standing(&self) -> Standing {
        match (&self.turns, self.has_asked) {
            (Some(_), _) => Standing::Leads,
            (None, true) => Standing::Asks,
            (None, false) => Standing::Follows,
        }
    }

    fn try_take(&mut self, state: &mut State) {
        if state.ended || !state.is_best(self.rank) {
            return;
        }
        match state.holder {
            Holder::Nobody if !state.asked => {
                state.holder = Holder::Application(self.rank);
                self.turns = state.turns.take();
            }
            Holder::Background | Holder::Application(Rank::Accept) if !state.asked => {
                state.asked = true;
                self.has_asked = true;
                self.shard.mailbox.wake();
            }
            _ => {}
        }
    }

    /// Waits until the holder has let go. Must be called without any lock: the holder may need it.
    pub(crate) fn obtain(&mut self) {
        let shard = self.shard.clone();
        let mut state = shard.baton.lock();
        while state.turns.is_none() && !state.ended {
            let woken = shard.baton.asking.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        state.asked = false;
        self.has_asked = false;
        self.turns = state.turns.take();
        if self.turns.is_some() {
            state.holder = Holder::Application(self.rank);
        }
    }

    /// Takes one turn, asleep until `until` at the longest. If the loop cannot go on, it ends, and the
    /// shard's own thread tells everybody who waits. So does a panic in the turn: it is none of the
    /// application's.
    pub(crate) fn turn(&mut self, until: Option<Time>) {
        let Some(turns) = &mut self.turns else { return };
        let lead = self.lead.get_or_insert_with(|| {
            let budget = turns.spin.budget(self.busy_poll);
            Lead::begin(self.wish, budget)
        });
        lead.patience.limit = until;
        match catch_unwind(AssertUnwindSafe(|| turns.turn(&mut lead.patience))) {
            Ok(Ok(Flow::Continue)) => self.make_way(),
            Ok(Ok(Flow::Stop)) => self.stop(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the loop that serves a socket ends");
                self.stop();
            }
            Err(_) => self.stop(),
        }
    }

    /// The loop cannot go on: its own thread ends it.
    fn stop(&mut self) {
        let turns = self.turns.take();
        let mut state = self.shard.baton.lock();
        state.ended = true;
        let is_driven = state.driven;
        drop(state);
        self.shard.baton.background.notify_one();
        drop(turns);
        if is_driven {
            self.shard.end();
        }
    }

    /// Who accepts lets go for one who reads or writes.
    fn make_way(&mut self) {
        if self.rank == Rank::Stream {
            return;
        }
        let mut state = self.shard.baton.lock();
        if state.asked {
            if let Some(turns) = self.turns.take() {
                state.put(turns);
                self.shard.baton.asking.notify_all();
            }
        }
    }
}

impl Lead {
    fn begin(wish: Wish, budget: Duration) -> Self {
        let began = clock::now();
        let patience = Patience {
            wish,
            spin_until: began + budget,
            ..Patience::default()
        };
        Lead {
            began,
            budget,
            patience,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let (Some(turns), Some(lead)) = (&mut self.turns, &self.lead) {
            let waited = clock::now() - lead.began;
            let slept = lead.patience.slept;
            turns.spin.on_wait(lead.budget, waited, slept);
            turns.leave();
        }
        let mut state = self.shard.baton.lock();
        *state.count(self.rank) -= 1;
        if self.has_asked {
            state.asked = false;
        }
        let led = self.turns.is_some();
        if let Some(turns) = self.turns.take() {
            state.put(turns);
            state.leads += u64::from(self.lead.is_some());
        }
        let others_wait = state.waiting > 0;
        if state.driven {
            self.shard.mailbox.wake();
        }
        if state.holder != Holder::Nobody {
            return;
        }
        // Whoever asked and leaves without them must wake a background thread that sleeps, too: it let
        // go for him, and nobody else will.
        if state.asked {
            self.shard.baton.asking.notify_all();
        } else if state.asleep || (led && others_wait) {
            self.shard.baton.background.notify_one();
        }
    }
}
