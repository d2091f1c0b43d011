//! What one loop serves: its sockets, its connections, their deadlines; and how threads reach them.
//!
//! Order of locks: shard, then one cell, then the leaves (timers, a port's queue, the pool of batches).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::backlog::Backlog;
use super::batches::Batches;
use super::cell::{Cell, News, Owner};
use super::deadlines::{Deadlines, slot_index};
use super::leader::Baton;
use super::mailbox::{Command, Mailbox};
use super::platform::{AtomicBool, Mutex, MutexGuard, Registry, Token};
use super::port::{Port, Stall};
use super::socket::SocketOptions;
use super::waiters::Waiters;
use super::{clock, lock};
use crate::connection::{Connection, Farewell};
use crate::endpoint::{self, ConnectError, Handle, Listening};
use crate::time::Time;
use crate::wire::Batch;

/// When a socket that was full below itself is tried again.
const CONGESTED_RETRY: Duration = Duration::from_millis(1);

/// The waker's token; a port at index `i` has `i + 1`.
pub(crate) const WAKER: Token = Token(0);

/// What one loop serves.
#[derive(Debug)]
pub(crate) struct Shard {
    state: Mutex<ShardState>,
    timers: Mutex<Timers>,
    pub(crate) mailbox: Mailbox,
    /// Who takes the turns.
    pub(crate) baton: Baton,
    pub(crate) registry: Registry,
    pub(crate) batches: Batches,
    /// Who waits until no connection is left.
    idle: Waiters,
    ended: AtomicBool,
    /// What tells a runtime's reactor of deadlines.
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    pub(super) alarm: super::driver::AlarmSlot,
}

/// What the shard's mutex guards.
#[derive(Debug)]
pub(crate) struct ShardState {
    pub(crate) endpoint: endpoint::Endpoint,
    /// Where the endpoint writes its answers.
    pub(crate) reply: Batch,
    latest: Time,
    cells: Vec<Option<Arc<Cell>>>,
    live: usize,
    ports: Vec<Option<Arc<Port>>>,
    free_ports: Vec<usize>,
    /// Sockets that close at a time: their last connection is over.
    closing: BinaryHeap<Reverse<(Time, usize)>>,
    /// Sockets to try again, in the order of their times.
    congested: Vec<(Time, Arc<Port>)>,
    pub(crate) backlog: Option<Arc<Backlog>>,
    /// Whether new connections can still come: somebody holds the endpoint, or it is the process's own.
    owned: bool,
    /// Until when the last connections' peers may still need an answer.
    quiet_at: Time,
}

/// The deadlines, and until when the loop sleeps.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: Deadlines,
    /// When the shard itself has something to do.
    chores: Option<Time>,
    /// Until when the loop sleeps; `Time::ZERO`: it is awake.
    asleep_until: Time,
}

impl Timers {
    /// Sets a connection's deadline; true if the loop must be woken to know.
    pub(crate) fn set(&mut self, handle: Handle, at: Option<Time>) -> bool {
        self.deadlines.set(handle, at);
        at.is_some_and(|at| self.hurry(at))
    }

    /// Takes the next connection whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Handle> {
        self.deadlines.pop_due(now)
    }

    /// Says until when the loop will sleep now (`None`: until it is woken).
    pub(crate) fn sleep(&mut self) -> Option<Time> {
        let next = [self.deadlines.earliest(), self.chores]
            .into_iter()
            .flatten()
            .min();
        self.asleep_until = next.unwrap_or(Time::MAX);
        next
    }

    /// The loop is awake, and will look at every deadline before it sleeps.
    pub(crate) fn awake(&mut self) {
        self.asleep_until = Time::ZERO;
    }

    /// Whether the shard's own chores are due.
    pub(crate) fn are_chores_due(&self, now: Time) -> bool {
        self.chores.is_some_and(|at| at <= now)
    }

    /// Whether `at` is before the loop wakes; asked once, as the loop is woken then.
    fn hurry(&mut self, at: Time) -> bool {
        let hurry = at < self.asleep_until;
        if hurry {
            self.asleep_until = at;
        }
        hurry
    }
}

impl Shard {
    pub(crate) fn new(endpoint: endpoint::Endpoint, registry: Registry, mailbox: Mailbox) -> Self {
        Shard {
            state: Mutex::new(ShardState {
                endpoint,
                reply: Batch::new(),
                latest: Time::ZERO,
                cells: Vec::new(),
                live: 0,
                ports: Vec::new(),
                free_ports: Vec::new(),
                closing: BinaryHeap::new(),
                congested: Vec::new(),
                backlog: None,
                owned: true,
                quiet_at: Time::ZERO,
            }),
            timers: Mutex::default(),
            mailbox,
            baton: Baton::new(),
            registry,
            batches: Batches::default(),
            idle: Waiters::default(),
            ended: AtomicBool::new(false),
            #[cfg(all(feature = "tokio", target_os = "linux"))]
            alarm: super::driver::AlarmSlot::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ShardState> {
        lock(&self.state)
    }

    pub(crate) fn timers(&self) -> MutexGuard<'_, Timers> {
        lock(&self.timers)
    }

    /// Whether the loop has ended: nothing new can be served.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Opens a socket in this shard.
    pub(crate) fn open_port(&self, options: &SocketOptions) -> io::Result<Arc<Port>> {
        let index = self.lock().reserve_port();
        // The system calls happen without the lock.
        let port = Port::open(&self.registry, Token(index + 1), options).map(Arc::new);
        let mut state = self.lock();
        match port {
            Ok(port) => {
                state.ports[index] = Some(port.clone());
                Ok(port)
            }
            Err(error) => {
                state.free_ports.push(index);
                Err(error)
            }
        }
    }

    /// Begins a connection over `port`; its first packet leaves before this returns.
    pub(crate) fn connect(
        self: &Arc<Self>,
        port: &Arc<Port>,
        begin: impl FnOnce(&mut endpoint::Endpoint, Time) -> Result<(Handle, Connection), ConnectError>,
    ) -> Result<Owner, ConnectError> {
        let mut state = self.lock();
        let now = state.now(clock::now());
        let begun = match begin(&mut state.endpoint, now) {
            Ok(begun) => begun,
            Err(error) => {
                self.abandon(state, port);
                return Err(error);
            }
        };
        let cell = state.insert(self, port, begun, port.local);
        let orphan = self.has_ended();
        drop(state);
        if orphan {
            cell.orphan();
        } else {
            cell.with(|_, _| ());
        }
        Ok(Owner(cell))
    }

    /// Closes a port whose only connection could not begin.
    fn abandon(&self, mut state: MutexGuard<'_, ShardState>, port: &Arc<Port>) {
        if port.single {
            state.close_port(&self.registry, port.token.0 - 1);
        }
    }

    /// Does what a drain found to be done outside the connection.
    pub(crate) fn settle(self: &Arc<Self>, cell: &Arc<Cell>, now: Time, news: &News) {
        let nothing = news.opened.is_none() && news.closed.is_none() && news.stall.is_none();
        if nothing && news.stalled.is_none() {
            return;
        }
        let mut state = self.lock();
        let now = state.now(now);
        if let Some(peer_cid) = news.opened {
            state.endpoint.on_opened(cell.handle, peer_cid);
        }
        if let Some(since) = news.stalled {
            state.endpoint.on_stalled(cell.handle, since);
        }
        if let Some(farewell) = news.closed {
            self.timers().deadlines.remove(cell.handle);
            state.remove(now, cell, farewell);
            if state.live == 0 && self.idle.any() {
                self.idle.wake();
            }
        }
        if let Some(stall) = news.stall {
            self.on_stall(&mut state, now, &cell.port, stall);
        }
        self.plan_chores(&state);
    }

    /// Has the loop try again when a full socket may have room.
    pub(crate) fn on_stall(&self, state: &mut ShardState, now: Time, port: &Arc<Port>, why: Stall) {
        match why {
            Stall::Full => port.watch_writable(&self.registry),
            Stall::Congested => state.congested.push((now + CONGESTED_RETRY, port.clone())),
        }
    }

    /// Tells the timers when the shard itself must be looked at, and wakes the loop if it sleeps longer.
    pub(crate) fn plan_chores(&self, state: &ShardState) {
        let chores = [
            state.endpoint.poll_timeout(),
            state.closing.peek().map(|Reverse((at, _))| *at),
            state.congested.first().map(|(at, _)| *at),
        ];
        let chores = chores.into_iter().flatten().min();
        let mut timers = self.timers();
        timers.chores = chores;
        let hurry = chores.is_some_and(|at| timers.hurry(at));
        drop(timers);
        if hurry {
            self.mailbox.wake();
        }
    }

    /// Does the chores that are due; the congested sockets to try again.
    pub(crate) fn do_chores(&self, now: Time) -> Vec<Arc<Port>> {
        let mut state = self.lock();
        let now = state.now(now);
        if state.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            state.endpoint.handle_timeout(now);
        }
        while state
            .closing
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= now)
        {
            if let Some(Reverse((_, index))) = state.closing.pop() {
                state.close_port(&self.registry, index);
            }
        }
        let due = state.congested.partition_point(|(at, _)| *at <= now);
        let retries = state.congested.drain(..due).map(|(_, port)| port).collect();
        self.plan_chores(&state);
        retries
    }

    /// Nobody will begin a connection here any more.
    pub(crate) fn disown(&self) {
        self.lock().owned = false;
        self.mailbox.send(Command::Review);
    }

    /// Whether the loop has nothing left to serve, now or ever. Closes what nobody needs.
    pub(crate) fn review(&self) -> bool {
        let mut state = self.lock();
        if state.owned || state.live > 0 {
            return false;
        }
        if state.closing.is_empty() {
            state.close_shared();
            self.plan_chores(&state);
        }
        state.ports.iter().all(Option::is_none)
    }

    /// The loop has ended. Every connection that is left ends with it, and every waiter is told.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // The turns hold the shard, and the shard the turns: this parts them.
        drop(self.baton.end());
        let mut state = self.lock();
        let cells: Vec<Arc<Cell>> = state.cells.drain(..).flatten().collect();
        state.live = 0;
        for index in 0..state.ports.len() {
            state.close_port(&self.registry, index);
        }
        let backlog = state.backlog.take();
        self.idle.wake();
        drop(state);
        for cell in &cells {
            cell.orphan();
        }
        if let Some(backlog) = backlog {
            backlog.end();
        }
    }

    /// The connections that are not over.
    pub(crate) fn cells(&self) -> Vec<Arc<Cell>> {
        self.lock().cells.iter().flatten().cloned().collect()
    }

    /// Waits until no connection is left; false if `deadline` comes first.
    pub(crate) fn wait_idle(&self, deadline: Option<Time>) -> bool {
        let mut state = self.lock();
        while state.live > 0 {
            let (again, in_time) = self.idle.wait(state, deadline);
            state = again;
            if !in_time {
                return state.live == 0;
            }
        }
        true
    }

    /// Lets strangers open connections; false if there is a listener already.
    pub(crate) fn listen(&self, backlog: &Arc<Backlog>) -> bool {
        let mut state = self.lock();
        if state.backlog.is_some() || self.has_ended() {
            return false;
        }
        state.backlog = Some(backlog.clone());
        state
            .endpoint
            .set_listening(Listening::Yes, &backlog.config);
        true
    }

    /// Lets nobody in any more; what was not accepted is reset.
    pub(crate) fn unlisten(&self, backlog: &Arc<Backlog>) {
        let mut state = self.lock();
        state.backlog = None;
        state.endpoint.set_listening(Listening::No, &backlog.config);
        drop(state);
        for owner in backlog.close() {
            owner.reject();
        }
    }

    /// There is room in the backlog again.
    pub(crate) fn resume(&self, backlog: &Arc<Backlog>) {
        let mut state = self.lock();
        if state.backlog.is_some() && backlog.has_room() {
            state
                .endpoint
                .set_listening(Listening::Yes, &backlog.config);
        }
    }
}

impl ShardState {
    /// The time to tell the endpoint: it never runs backwards.
    pub(crate) fn now(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// The connection with this handle, if it is not over.
    pub(crate) fn cell(&self, handle: Handle) -> Option<&Arc<Cell>> {
        let cell = self.cells.get(slot_index(handle))?.as_ref();
        cell.filter(|cell| cell.handle == handle)
    }

    /// The socket whose events have this token.
    pub(crate) fn port(&self, token: Token) -> Option<&Arc<Port>> {
        self.ports.get(token.0.checked_sub(1)?)?.as_ref()
    }

    /// Puts a new connection on the table.
    pub(crate) fn insert(
        &mut self,
        shard: &Arc<Shard>,
        port: &Arc<Port>,
        (handle, mut connection): (Handle, Connection),
        local: SocketAddr,
    ) -> Arc<Cell> {
        connection.set_socket_buffer(port.receive_buffer);
        let cell = Cell::new(shard.clone(), port.clone(), handle, connection, local);
        let cell = Arc::new(cell);
        let index = slot_index(handle);
        if index >= self.cells.len() {
            self.cells.resize(index + 1, None);
        }
        self.cells[index] = Some(cell.clone());
        self.live += 1;
        cell
    }

    fn remove(&mut self, now: Time, cell: &Arc<Cell>, farewell: Farewell) {
        if self.cell(cell.handle).is_none() {
            return;
        }
        self.cells[slot_index(cell.handle)] = None;
        self.live -= 1;
        self.endpoint.remove(now, cell.handle, farewell);
        let quiet_at = match farewell {
            Farewell::TimeWait(last) => now + last.three_pto,
            Farewell::Spent => now,
        };
        self.quiet_at = self.quiet_at.max(quiet_at);
        if cell.port.single {
            self.closing
                .push(Reverse((quiet_at, cell.port.token.0 - 1)));
        } else if self.live == 0 && !self.owned {
            self.close_shared();
        }
    }

    fn reserve_port(&mut self) -> usize {
        self.free_ports.pop().unwrap_or_else(|| {
            self.ports.push(None);
            self.ports.len() - 1
        })
    }

    fn close_port(&mut self, registry: &Registry, index: usize) {
        if let Some(port) = self.ports[index].take() {
            port.close(registry);
            self.free_ports.push(index);
        }
    }

    /// Plans the end of sockets that no connection uses and none will.
    fn close_shared(&mut self) {
        let at = self.quiet_at;
        let open = (0..self.ports.len()).filter(|index| self.ports[*index].is_some());
        let closing: Vec<_> = open.map(|index| Reverse((at, index))).collect();
        self.closing.extend(closing);
    }
}
