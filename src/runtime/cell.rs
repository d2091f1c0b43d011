//! One connection as threads share it: a mutex, who waits, and what its owner wants.
//!
//! Whoever changes the connection drains it before he lets go: sends what it wants to send, on his own
//! thread, tells the waiters, and moves its deadline. So a write needs no other thread to leave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::leader::{Baton, Standing, Waiting};
use super::platform::{Mutex, MutexGuard, ThreadId, current_id};
use super::port::{Port, Sent, Stall};
use super::shard::Shard;
use super::turn::Wish;
use super::waiters::Waiters;
use super::{clock, lock};
use crate::connection::{Connection, Event, Farewell, Linger};
use crate::endpoint::Handle;
use crate::error::{CloseReason, ResetCode};
use crate::time::{Deadline, Time, Timer};
use crate::trace::Tracer;
use crate::wire::{Batch, ConnectionId};

/// How often one drain looks at transmits, events and timeouts in turn, before it leaves the rest to the
/// loop: a bound against a connection that always has one thing more.
const DRAIN_ROUNDS_MAX: usize = 8;

/// Probe timeouts in a row after which it is looked whether this host still has the socket's address. The first
/// one is a matter of a lost packet.
const SILENT_TIMEOUTS: u32 = 2;

/// One connection and everything that threads need to share it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) handle: Handle,
    pub(crate) peer: SocketAddr,
    /// This side's address, as exactly as it is known.
    pub(crate) local: SocketAddr,
    pub(crate) port: Arc<Port>,
    pub(crate) shard: Arc<Shard>,
    state: Mutex<CellState>,
    readers: Waiters,
    /// Writers, and whoever waits for the connection to open; threads that wait for delivery, too.
    writers: Waiters,
    /// Tasks that wait for delivery: it comes with every acknowledgement, and is no news to a writer.
    #[cfg(feature = "_tasks")]
    watchers: Waiters,
}

/// What the mutex guards.
#[derive(Debug)]
pub(crate) struct CellState {
    pub(crate) connection: Connection,
    pub(crate) options: Options,
    /// Why the connection failed, if it did; reported or not.
    pub(crate) failure: Option<CloseReason>,
    /// The latest time that the connection was told.
    latest: Time,
    /// The deadline that the shard knows.
    deadline: Option<Time>,
    /// On the loop's list of connections to drain in this turn.
    touched: bool,
    /// Waiting for room in the socket.
    parked: bool,
    /// The thread that waits for this connection by taking the shard's turns.
    leader: Option<ThreadId>,
    /// The endpoint has forgotten it: no more deadlines.
    closed: bool,
    /// The loop ended and left it behind.
    pub(super) orphaned: bool,
    tracer: Tracer,
}

/// What the owner set; clones of a stream share it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) nonblocking: bool,
    pub(crate) nodelay: bool,
    pub(crate) linger: Option<Duration>,
}

/// Which waiters an operation joins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Read,
    Write,
    /// Of a task: it waits for delivery.
    #[cfg(feature = "_tasks")]
    Delivery,
}

/// Why an operation did not end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blocked {
    /// The stream is not to block.
    Nonblocking,
    /// The time is over.
    TimedOut,
    /// The thread that serves the socket has ended.
    LoopEnded,
}

/// What a drain found that concerns others than the connection.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) opened: Option<ConnectionId>,
    pub(crate) closed: Option<Farewell>,
    pub(crate) stall: Option<Stall>,
    /// The connection holds data that has stood still since then.
    pub(crate) stalled: Option<Time>,
    readers: bool,
    writers: bool,
    delivered: bool,
    wake_loop: bool,
    /// The quantum was used up, and perhaps more wants to leave.
    more: bool,
}

impl Cell {
    pub(crate) fn new(
        shard: Arc<Shard>,
        port: Arc<Port>,
        handle: Handle,
        mut connection: Connection,
        local: SocketAddr,
    ) -> Self {
        let tracer = connection.open_trace(local, clock::wall);
        Cell {
            handle,
            peer: connection.remote(),
            local,
            port,
            shard,
            state: Mutex::new(CellState {
                connection,
                options: Options::default(),
                failure: None,
                latest: Time::ZERO,
                deadline: None,
                touched: false,
                parked: false,
                leader: None,
                closed: false,
                orphaned: false,
                tracer,
            }),
            readers: Waiters::default(),
            writers: Waiters::default(),
            #[cfg(feature = "_tasks")]
            watchers: Waiters::default(),
        }
    }

    /// Locks the connection. Drain it afterwards if anything was changed.
    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        lock(&self.state)
    }

    /// Changes the connection and drains it.
    pub(crate) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut CellState, Time) -> T) -> T {
        let mut state = self.lock();
        let now = state.now(clock::now());
        let answer = act(&mut state, now);
        self.drain(state, now);
        answer
    }

    /// Tries `attempt` until it has an answer, sleeping between the tries.
    ///
    /// `timeout` reads the limit from the options; the attempt must not change anything if it has none.
    pub(crate) fn block_on<T>(
        self: &Arc<Self>,
        side: Side,
        limit: impl Fn(&Options) -> Limit,
        mut attempt: impl FnMut(&mut CellState) -> Option<T>,
    ) -> Result<T, Blocked> {
        let mut state = self.lock();
        let mut deadline = None;
        let mut waiting: Option<Waiting> = None;
        loop {
            if state.orphaned {
                return Err(Blocked::LoopEnded);
            }
            if let Some(answer) = attempt(&mut state) {
                let now = state.now(clock::now());
                self.drain(state, now);
                return Ok(answer);
            }
            let until = match limit(&state.options) {
                Limit::Now => return Err(Blocked::Nonblocking),
                Limit::Never => None,
                Limit::After(wait) => Some(*deadline.get_or_insert_with(|| clock::now() + wait)),
            };
            let waiting = waiting.get_or_insert_with(|| {
                let busy_poll = state.connection.config().busy_poll();
                Baton::enter(&self.shard, Wish::Packet(self.handle), busy_poll)
            });
            let (again, in_time) = self.wait_as(waiting, side, state, until);
            state = again;
            if !in_time {
                return Err(Blocked::TimedOut);
            }
        }
    }

    /// Waits for anything to happen: leads, asks to, or sleeps. False once `until` has passed.
    fn wait_as<'s>(
        &'s self,
        waiting: &mut Waiting,
        side: Side,
        mut state: MutexGuard<'s, CellState>,
        until: Option<Time>,
    ) -> (MutexGuard<'s, CellState>, bool) {
        if waiting.standing() == Standing::Follows {
            return self.waiters(side).wait(state, until);
        }
        if until.is_some_and(|until| until <= clock::now()) {
            return (state, false);
        }
        // From here on whoever changes the connection wakes the poll, not only the waiters.
        state.leader = Some(current_id());
        drop(state);
        match waiting.standing() {
            Standing::Leads => waiting.turn(until),
            _ => waiting.obtain(),
        }
        let mut state = self.lock();
        state.leader = None;
        (state, true)
    }

    /// Marks the connection as touched in this turn; true if it was not yet.
    pub(crate) fn touch(state: &mut CellState) -> bool {
        !std::mem::replace(&mut state.touched, true)
    }

    /// Sends what there is to send, wakes who waits, moves the deadline, tells the shard (contract C1).
    pub(crate) fn drain(self: &Arc<Self>, state: MutexGuard<'_, CellState>, now: Time) {
        self.drain_some(state, now, usize::MAX);
    }

    /// As [`Cell::drain`], but sends no further batch once `quantum` bytes have left; then it stays touched, and the
    /// answer is true: it must be drained again before anybody sleeps.
    pub(crate) fn drain_some(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, CellState>,
        now: Time,
        quantum: usize,
    ) -> bool {
        let mut news = News::default();
        let mut batch = self.shard.batches.take();
        for _ in 0..DRAIN_ROUNDS_MAX {
            news.more = self.transmit(&mut state, now, &mut batch, quantum, &mut news);
            state.take_events(&mut news);
            // What waits for the peer is the loop's: the peer's answer may lie in the socket, unread.
            if news.more || !state.is_due(now) || state.connection.is_overdue(now) {
                break;
            }
            state.connection.handle_timeout(now);
        }
        state.touched = news.more;
        self.move_deadline(&mut state, &mut news);
        state.write_trace();
        // Waiters are counted under the lock, and woken after it: they need it at once.
        let readers = news.readers && self.readers.any();
        let writers = news.writers && self.writers.any();
        let told = news.readers || news.writers || news.delivered;
        news.wake_loop |= told && state.is_led_by_another();
        drop(state);
        self.shard.batches.give(batch);
        if readers {
            self.readers.wake();
        }
        if writers {
            self.writers.wake();
        } else if news.delivered {
            self.writers.wake_threads();
        }
        #[cfg(feature = "_tasks")]
        if news.delivered {
            self.watchers.wake();
        }
        if news.wake_loop {
            self.shard.mailbox.wake();
        }
        self.shard.settle(self, now, &news);
        news.more
    }

    /// Sends until there is nothing more to send, or `quantum` bytes have left; whether it was the latter.
    fn transmit(
        self: &Arc<Self>,
        state: &mut CellState,
        now: Time,
        batch: &mut Batch,
        quantum: usize,
        news: &mut News,
    ) -> bool {
        let mut left = 0;
        while left < quantum {
            if self.port.is_stalled() {
                if state.parked || self.port.park(self) {
                    state.parked = true;
                    return false;
                }
                continue;
            }
            batch.clear();
            let Some(to) = state.connection.poll_transmit(now, batch) else {
                return false;
            };
            left += batch.bytes().len();
            match self.port.send(now, &to, batch) {
                Sent::All => {}
                Sent::Stalled(why) => news.stall = Some(why),
                Sent::TooLarge { before } => state.connection.handle_refused(now, batch, before),
                Sent::Away { before } => {
                    if self.port.reopen(now, &self.shard.registry) {
                        state.connection.handle_moved(now, before);
                    }
                }
            }
        }
        true
    }

    fn move_deadline(&self, state: &mut CellState, news: &mut News) {
        let deadline = state.connection.poll_timeout().map(rounded);
        if deadline != state.deadline && !state.closed {
            state.deadline = deadline;
            news.wake_loop = self.shard.timers().set(self.handle, deadline);
        }
    }

    /// Whether the peer must be heard before the deadline is dealt with.
    pub(crate) fn is_overdue(&self, now: Time) -> bool {
        self.lock().connection.is_overdue(now)
    }

    /// The deadline has come: the shard has forgotten it. All that the socket held has been read, if the
    /// connection waits for its peer.
    pub(crate) fn fire(&self, now: Time) -> MutexGuard<'_, CellState> {
        let mut state = self.lock();
        let now = state.now(now);
        state.deadline = None;
        if state.is_due(now) {
            state.connection.handle_timeout(now);
            self.look_after_address(&mut state, now);
        }
        state
    }

    /// The peer stays silent: perhaps this host's address has gone. Of an IPv4 address every send says so, but
    /// Linux sends from an IPv6 address that it no longer has.
    fn look_after_address(&self, state: &mut CellState, now: Time) {
        let is_silent = state.connection.pto_count() >= SILENT_TIMEOUTS;
        if is_silent && self.port.has_lost_address() && self.port.reopen(now, &self.shard.registry)
        {
            state.connection.handle_moved(now, usize::MAX);
        }
    }

    /// The socket has room again.
    pub(crate) fn unpark(&self) -> MutexGuard<'_, CellState> {
        let mut state = self.lock();
        state.parked = false;
        state
    }

    /// The loop has ended without having served this connection to its end.
    pub(crate) fn orphan(&self) {
        let mut state = self.lock();
        state.orphaned = true;
        state.failure.get_or_insert(CloseReason::LoopEnded);
        drop(state);
        self.wake_waiters();
    }

    /// Wakes everybody who waits, to look again.
    pub(crate) fn wake_all(&self) {
        let led = self.lock().is_led_by_another();
        self.wake_waiters();
        if led {
            self.shard.mailbox.wake();
        }
    }

    fn wake_waiters(&self) {
        self.readers.wake();
        self.writers.wake();
        #[cfg(feature = "_tasks")]
        self.watchers.wake();
    }

    pub(super) fn waiters(&self, side: Side) -> &Waiters {
        match side {
            Side::Read => &self.readers,
            Side::Write => &self.writers,
            #[cfg(feature = "_tasks")]
            Side::Delivery => &self.watchers,
        }
    }
}

/// When the loop looks at a deadline: at a whole millisecond, so that many are looked at together, but
/// at the pacer's exactly.
fn rounded(due: Deadline) -> Time {
    if due.why == Timer::Pacing {
        due.at
    } else {
        due.at.next_millisecond()
    }
}

/// How long an operation may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    Now,
    After(Duration),
    Never,
}

impl Options {
    /// How long an operation with this timeout may wait.
    pub(crate) fn limit(&self, timeout: Option<Duration>) -> Limit {
        match timeout {
            _ if self.nonblocking => Limit::Now,
            None => Limit::Never,
            Some(timeout) => Limit::After(timeout),
        }
    }
}

impl CellState {
    /// The time to tell the connection: it never runs backwards, whichever thread read its clock first.
    pub(crate) fn now(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Writes what the connection did, if somebody wants to know.
    fn write_trace(&mut self) {
        self.connection.write_trace(&mut self.tracer);
    }

    /// Whether a deadline of the connection has come.
    fn is_due(&self, now: Time) -> bool {
        let due = self.connection.poll_timeout();
        due.is_some_and(|due| due.at <= now)
    }

    /// Whether a thread other than this one sleeps in the poll for this connection's sake.
    fn is_led_by_another(&self) -> bool {
        self.leader.is_some_and(|leader| leader != current_id())
    }

    /// Whether the connection ended by a reset or an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some() || self.connection.is_failed()
    }

    fn take_events(&mut self, news: &mut News) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Opened { peer_cid } => {
                    news.opened = Some(peer_cid);
                    news.writers = true;
                }
                Event::Readable => news.readers = true,
                Event::Writable => news.writers = true,
                Event::Delivered => news.delivered = true,
                Event::Stalled(since) => news.stalled = Some(since),
                Event::Failed(reason) => {
                    self.failure = Some(reason);
                    news.tell_everybody();
                }
                Event::Closed(farewell) => {
                    self.closed = true;
                    news.closed = Some(farewell);
                    news.tell_everybody();
                }
            }
        }
    }
}

impl News {
    fn tell_everybody(&mut self) {
        (self.readers, self.writers, self.delivered) = (true, true, true);
    }
}

/// Holds a connection for the application. When it is dropped nobody can use the connection any more:
/// it delivers what was written, and closes.
#[derive(Debug)]
pub(crate) struct Owner(pub(crate) Arc<Cell>);

impl Owner {
    /// Ends the connection with a reset, as nobody will ever look at it.
    pub(crate) fn reject(self) {
        self.0
            .with(|state, _| state.connection.abort(ResetCode::ABORTED));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.0.lock().orphaned {
            return;
        }
        self.0.with(|state, now| {
            let linger = state.options.linger.map_or(Linger::Background, Linger::For);
            state.connection.release(now, linger);
        });
    }
}
