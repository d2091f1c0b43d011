//! One turn of the loop: wait, receive, fire, drain, send. A plain function; it owns no thread.
//!
//! A turn that finds much to receive stops after [`DATAGRAMS_PER_TURN`] datagrams, so that deadlines
//! and senders get their turn; it does not sleep before it has received the rest.

mod routes;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::cell::Cell;
use super::clock;
use super::mailbox::Command;
use super::platform::{Events, Poll};
use super::port::Port;
use super::shard::{Shard, ShardState, WAKER};
use super::sleep::{self, Precision};
use super::socket::{IcmpReport, Receiver, Train, is_news};
use super::spin::Spin;
use crate::endpoint::Handle;
use crate::time::Time;
use routes::Routes;

/// Datagrams that one turn receives, empty and broken ones included; the train that reaches it is
/// finished.
const DATAGRAMS_PER_TURN: usize = 64;
/// Datagrams that are received before a connection is told that its peer was silent for too long: those that a
/// socket's buffer of 8 MiB holds, at 2 KiB each. Who sends more, of whatever, stops no timer by it.
const DATAGRAMS_BEFORE_TIMEOUT: usize = 4_096;
/// Entries of a socket's error queue that are read at one time.
const ERRORS_PER_TURN: usize = 16;
/// Bytes that one connection sends before the next one that wants to send has its turn: a batch, so that fairness
/// breaks none up.
const QUANTUM: usize = 64 << 10;
/// Events that one wait takes.
const EVENTS_MAX: usize = 256;
/// Turns in a row that ask only the sockets that were ready, before one asks for all events: what comes to the
/// others waits no longer than these take.
const UNASKED_MAX: u32 = 8;
/// While a thread looks again and again, every so many looks are for all events, the others for one socket alone.
const LOOKS_PER_ASKING: u32 = 8;
/// A train of fewer datagrams is short: if it was what a waiting thread waits for, it gets it before the socket is
/// asked for more.
const SHORT_TRAIN: usize = 8;

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    Continue,
    Stop,
}

/// Takes the turns of one shard.
#[derive(Debug)]
pub(crate) struct Turns {
    shard: Arc<Shard>,
    poll: Poll,
    events: Events,
    receiver: Receiver,
    /// Sockets that may have something to receive, each in turn.
    ready: VecDeque<Arc<Port>>,
    /// Sockets with something in their error queue.
    erring: Vec<Arc<Port>>,
    /// Sockets that may have room again.
    writable: Vec<Arc<Port>>,
    /// The socket that something was received from last: a thread that looks again and again asks it alone.
    hot: Option<Arc<Port>>,
    /// Turns in a row that received from sockets known to be ready, and did not ask for the others.
    unasked: u32,
    /// Connections to drain in this turn.
    touched: VecDeque<Arc<Cell>>,
    /// Somebody new has come in this turn.
    has_admitted: bool,
    /// Connections whose peer was silent for too long, unless their sockets say otherwise.
    overdue: Vec<Arc<Cell>>,
    /// What it has brought to look again and again before a sleep.
    pub(crate) spin: Spin,
}

/// What the thread that takes the turns waits for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Wish {
    /// Nothing of its own.
    #[default]
    Nothing,
    /// A packet for this connection.
    Packet(Handle),
    /// Somebody new.
    Arrival,
}

/// How a thread wants to wait in its turns.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Patience {
    /// When the wait ends; `None`: never.
    pub(crate) limit: Option<Time>,
    /// What it waits for.
    pub(crate) wish: Wish,
    /// Until when it looks again and again before it sleeps.
    pub(crate) spin_until: Time,
    /// Whether it has slept.
    pub(crate) slept: bool,
}

impl Turns {
    pub(crate) fn new(shard: Arc<Shard>, poll: Poll) -> Self {
        Turns {
            shard,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            receiver: Receiver::new(),
            ready: VecDeque::new(),
            erring: Vec::new(),
            writable: Vec::new(),
            hot: None,
            unasked: 0,
            touched: VecDeque::new(),
            has_admitted: false,
            overdue: Vec::new(),
            spin: Spin::new(),
        }
    }

    /// Takes one turn; waits as `patience` says. The clock is read after the wait; again after every train that was
    /// received; and again before a connection is told that its peer was silent.
    pub(crate) fn turn(&mut self, patience: &mut Patience) -> io::Result<Flow> {
        self.has_admitted = false;
        if !self.ready.is_empty() && self.erring.is_empty() && self.unasked < UNASKED_MAX {
            self.unasked += 1;
            let now = clock::now();
            if self.receive(now, DATAGRAMS_PER_TURN, Wish::Nothing) > 0 {
                return Ok(self.finish(now));
            }
        }
        self.unasked = 0;
        let received = self.wait(patience)?;
        let now = clock::now();
        Ok(match received {
            0 => self.serve(now, patience.wish),
            _ => self.finish(now),
        })
    }

    /// Whether the next turn has something to do that no socket will report: what the latest one left, or did not
    /// ask for.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub(crate) fn has_more(&self) -> bool {
        let is_full = self.events.iter().nth(EVENTS_MAX - 1).is_some();
        let is_left = !self.ready.is_empty() || !self.erring.is_empty() || !self.touched.is_empty();
        is_full || is_left || self.unasked > 0
    }

    /// All of a turn but its wait.
    fn serve(&mut self, now: Time, wish: Wish) -> Flow {
        self.sort_events();
        self.receive(now, DATAGRAMS_PER_TURN, wish);
        self.finish(now)
    }

    /// All of a turn after it has received.
    fn finish(&mut self, now: Time) -> Flow {
        let mut flow = self.obey();
        if self.fire(now) == Flow::Stop {
            flow = Flow::Stop;
        }
        self.drain(now);
        self.send(now);
        flow
    }

    // --- step 1: wait ---------------------------------------------------------------------------

    /// Waits until a socket, a deadline or another thread wants something; how many datagrams it received meanwhile.
    fn wait(&mut self, patience: &mut Patience) -> io::Result<usize> {
        let is_idle = self.ready.is_empty() && self.erring.is_empty() && self.touched.is_empty();
        let polled = if is_idle {
            let until = self.shard.timers().sleep();
            let polled = self.sleep(until, patience);
            self.shard.timers().awake();
            polled
        } else {
            self.look().map(|()| 0)
        };
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(0)
            }
            polled => polled,
        }
    }

    /// Looks until `patience` is at its end, then sleeps until there are events, or until `deadline`; how many
    /// datagrams it received meanwhile.
    fn sleep(&mut self, deadline: Option<Time>, patience: &mut Patience) -> io::Result<usize> {
        let until = [deadline, patience.limit].into_iter().flatten().min();
        let spin_until = patience.spin_until.min(until.unwrap_or(Time::MAX));
        let mut now = clock::now();
        for look in 0.. {
            if now >= spin_until {
                break;
            }
            let received = self.spin(now, look, patience.wish)?;
            if received > 0 || !self.events.is_empty() {
                return Ok(received);
            }
            now = clock::now();
        }
        patience.slept = true;
        let precision = match deadline {
            Some(deadline) if !deadline.is_whole_millisecond() => Precision::Exact,
            _ => Precision::Millisecond,
        };
        let timeout = until.map(|until| until - now);
        sleep::poll(&mut self.poll, &mut self.events, timeout, precision)?;
        Ok(0)
    }

    /// Looks once: for events, or for datagrams at the socket that had some last; how many it received.
    fn spin(&mut self, now: Time, look: u32, wish: Wish) -> io::Result<usize> {
        let hot = self.hot.clone();
        if let Some(hot) = hot.filter(|_| look % LOOKS_PER_ASKING != 0) {
            self.heat(&hot);
            return Ok(self.receive(now, DATAGRAMS_PER_TURN, wish));
        }
        self.look()?;
        Ok(0)
    }

    /// Puts a socket on the list of those to receive from.
    fn heat(&mut self, port: &Arc<Port>) {
        if !port.is_ready.swap(true, Ordering::Relaxed) {
            self.ready.push_back(port.clone());
        }
    }

    /// Takes the events that are there.
    fn look(&mut self) -> io::Result<()> {
        let (poll, events) = (&mut self.poll, &mut self.events);
        sleep::poll(poll, events, Some(Duration::ZERO), Precision::Millisecond)
    }

    /// Puts the sockets that reported something on their lists.
    fn sort_events(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let state = self.shard.lock();
        for event in self.events.iter().filter(|event| event.token() != WAKER) {
            let Some(port) = state.port(event.token()) else {
                continue;
            };
            let is_new = !port.is_ready.swap(true, Ordering::Relaxed);
            if is_new {
                self.ready.push_back(port.clone());
            }
            if event.is_writable() {
                self.writable.push(port.clone());
            }
            if event.is_error() {
                self.erring.push(port.clone());
            }
        }
    }

    /// Does what other threads asked for.
    fn obey(&mut self) -> Flow {
        let mut flow = Flow::Continue;
        for command in self.shard.mailbox.take() {
            match command {
                Command::Review if self.shard.review() => flow = Flow::Stop,
                Command::Review => {}
                #[cfg(test)]
                Command::Panic => panic!("asked for by a test"),
            }
        }
        flow
    }

    // --- step 2: receive ------------------------------------------------------------------------

    /// Receives from each ready socket in turn, until all are empty, `most` datagrams have come, or the `wish` of
    /// who takes the turn; how many came.
    fn receive(&mut self, now: Time, most: usize, wish: Wish) -> usize {
        for port in std::mem::take(&mut self.erring) {
            if self.receive_errors(&port, now) {
                self.erring.push(port);
            }
        }
        let mut datagrams = 0;
        while datagrams < most {
            let Some(port) = self.ready.pop_front() else {
                break;
            };
            match port.receive(&mut self.receiver) {
                Ok(train) => {
                    // What was received came before this moment, but perhaps after `now`, if the thread was stopped
                    // in between; told the earlier time, a connection would measure less than the round trip.
                    let now = clock::now().max(now);
                    let came = self.deliver(&port, now, &train);
                    datagrams += came;
                    if self.hot.as_ref().is_none_or(|hot| !Arc::ptr_eq(hot, &port)) {
                        self.hot = Some(port.clone());
                    }
                    self.ready.push_back(port);
                    if came < SHORT_TRAIN && self.is_granted(wish) {
                        break;
                    }
                }
                Err(error) if is_passing(&error) => {
                    datagrams += 1;
                    self.receive_errors(&port, now);
                    self.ready.push_back(port);
                }
                Err(_) => port.is_ready.store(false, Ordering::Relaxed),
            }
        }
        datagrams
    }

    /// Whether what the thread that takes the turn waits for may have come.
    fn is_granted(&self, wish: Wish) -> bool {
        match wish {
            Wish::Nothing => false,
            Wish::Packet(handle) => self.touched.iter().any(|cell| cell.handle == handle),
            Wish::Arrival => self.has_admitted,
        }
    }

    /// Passes a train of datagrams on; how many there were.
    fn deliver(&mut self, port: &Arc<Port>, now: Time, train: &Train) -> usize {
        if train.len == 0 || train.truncated {
            return 1;
        }
        let shard = self.shard.clone();
        let mut state = shard.lock();
        let now = state.now(now);
        let mut routes = Routes::new(&shard, &mut state, port, now, train, &self.receiver);
        self.has_admitted |= routes.deliver(&mut self.touched);
        self.relieve(&mut state, now);
        train.len.div_ceil(train.stride.max(1))
    }

    /// Gives connections up that stand still, if the endpoint's memory is used up.
    fn relieve(&mut self, state: &mut ShardState, now: Time) {
        while let Some(handle) = state.endpoint.poll_eviction() {
            let Some(cell) = state.cell(handle) else {
                continue;
            };
            let mut held = cell.lock();
            if held.connection.evict() && Cell::touch(&mut held) {
                tracing::warn!(peer = %cell.peer, ?now, "given up: the endpoint's memory is used up");
                self.touched.push_back(cell.clone());
            }
        }
    }

    /// Reads a socket's error queue and tells the connections whose packets it quotes; whether there may
    /// be more.
    fn receive_errors(&mut self, port: &Arc<Port>, now: Time) -> bool {
        for _ in 0..ERRORS_PER_TURN {
            let Some(report) = port.receive_error(&mut self.receiver) else {
                return false;
            };
            self.believe(port, now, &report);
        }
        true
    }

    fn believe(&mut self, port: &Arc<Port>, now: Time, report: &IcmpReport) {
        let Some(error) = report.error else {
            return;
        };
        let state = self.shard.lock();
        let quoted = self.receiver.bytes(report.quoted);
        let Some(quoted) = state.endpoint.find_quoted(report.to, quoted) else {
            return;
        };
        let Some(cell) = state
            .cell(quoted.handle)
            .filter(|cell| Arc::ptr_eq(&cell.port, port))
        else {
            return;
        };
        let mut held = cell.lock();
        let now = held.now(now);
        held.connection.handle_icmp(now, error, quoted.number);
        if Cell::touch(&mut held) {
            self.touched.push_back(cell.clone());
        }
    }

    // --- step 3: fire ---------------------------------------------------------------------------

    /// Fires the deadlines that have come: the connections', then the shard's own.
    fn fire(&mut self, now: Time) -> Flow {
        loop {
            let due = self.shard.timers().pop_due(now);
            let Some(handle) = due else {
                break;
            };
            let cell = self.shard.lock().cell(handle).cloned();
            match cell {
                Some(cell) if cell.is_overdue(now) => self.overdue.push(cell),
                Some(cell) => self.alarm(cell, now),
                None => {}
            }
        }
        self.fire_overdue(now, DATAGRAMS_BEFORE_TIMEOUT);
        if !self.shard.timers().are_chores_due(now) {
            return Flow::Continue;
        }
        self.writable.extend(self.shard.do_chores(now));
        if self.shard.review() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    /// Fires deadlines that mean silence of the peer, after its socket has been read to the end, or `most`
    /// datagrams of it: what came between the poll and now, or was too much for one turn, may be the answer
    /// that is missed.
    fn fire_overdue(&mut self, now: Time, most: usize) {
        if self.overdue.is_empty() {
            return;
        }
        let now = clock::now().max(now);
        // The list's memory stays its own.
        let mut overdue = std::mem::take(&mut self.overdue);
        for cell in &overdue {
            self.heat(&cell.port);
        }
        self.receive(now, most, Wish::Nothing);
        for cell in overdue.drain(..) {
            self.alarm(cell, now);
        }
        self.overdue = overdue;
    }

    fn alarm(&mut self, cell: Arc<Cell>, now: Time) {
        if Cell::touch(&mut cell.fire(now)) {
            self.touched.push_back(cell);
        }
    }

    // --- steps 4 and 5: drain and send ----------------------------------------------------------

    /// Sends what the touched connections want to send, and tells their waiters: each in its turn and no more than
    /// [`QUANTUM`] of each, if there are several. What is left waits for the next turn, which comes without a sleep.
    fn drain(&mut self, now: Time) {
        let quantum = if self.touched.len() > 1 {
            QUANTUM
        } else {
            usize::MAX
        };
        for _ in 0..self.touched.len() {
            let Some(cell) = self.touched.pop_front() else {
                return;
            };
            let mut state = cell.lock();
            let now = state.now(now);
            if cell.drain_some(state, now, quantum) {
                self.touched.push_back(cell);
            }
        }
    }

    /// Sends what is left of the last turn: nobody may take the next one soon.
    pub(crate) fn leave(&mut self) {
        let now = clock::now();
        while !self.touched.is_empty() {
            self.drain(now);
        }
    }

    /// Sends what full sockets kept, and lets their connections go on.
    fn send(&mut self, now: Time) {
        for port in self.writable.drain(..) {
            match port.flush(now) {
                Ok(starved) => {
                    port.watch_writable(&self.shard.registry);
                    for cell in starved {
                        let mut state = cell.unpark();
                        let now = state.now(now);
                        cell.drain(state, now);
                    }
                }
                Err(why) => {
                    let mut state = self.shard.lock();
                    let now = state.now(now);
                    self.shard.on_stall(&mut state, now, &port, why);
                    self.shard.plan_chores(&state);
                }
            }
        }
    }
}

/// Whether an error of a receive is the news of one packet, with more to receive behind it.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted || is_news(error)
}

#[cfg(test)]
mod tests;
