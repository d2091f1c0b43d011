//! [`Roster`]: the connections of a pool, as a value: which one a call takes, when another is opened, when one is given up.
//!
//! ```text
//!            choose                      on_opened
//!  (none) ----------> connecting ------------------------> open: the idlest takes the call
//!             ^            |  on_failed                      |
//!             |            v                                 |  closed, leaving, silent with calls, idle too long
//!             +------ pause (backoff) <----------------------+
//! ```
//!
//! It opens nothing itself. Threads and tasks drive it alike.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backoff::Backoff;
use super::client::ClientConfig;
use super::error::{RpcError, code};
use super::ext::IdemKey;
use super::pool::Class;
use crate::time::Time;

/// Nobody tells when a call ends: so often those look who wait for a connection of another class to become idle.
const LOOK: Duration = Duration::from_millis(20);

/// How a pool opens connections, keeps them, and calls.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// How each connection calls.
    pub client: ClientConfig,
    /// Connections of a class, at least 1. Default 1.
    pub per_class: usize,
    /// Connections of all classes together, at least 1. Default 64.
    pub connections: usize,
    /// How long a call waits for a connection, while there is none. Default 10 s; zero: it takes what it gets at the first attempt.
    pub wait: Duration,
    /// Callers of a class that wait so at once; further ones fail ([`RpcError::Overloaded`]). Default 1,024.
    pub waiting: usize,
    /// How often a call is repeated: if it was surely not executed, or if it has an idempotency key. Default 3.
    pub repeats: u32,
    /// The pause after the first failure to connect; it doubles, up to `pause_max`, each a fifth longer or shorter. Default 50 ms.
    pub pause_min: Duration,
    /// The longest pause. Default 1 s.
    pub pause_max: Duration,
    /// A connection that carried no call for so long is closed; `None`: never. Default 5 min.
    pub idle_timeout: Option<Duration>,
    /// A connection with calls on it whose other side was not heard for so long gets no further ones; `None`: as long as it is open.
    /// Default 10 s.
    pub silence: Option<Duration>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            client: ClientConfig::default(),
            per_class: 1,
            connections: 64,
            wait: Duration::from_secs(10),
            waiting: 1_024,
            repeats: 3,
            pause_min: Duration::from_millis(50),
            pause_max: Duration::from_secs(1),
            idle_timeout: Some(Duration::from_secs(300)),
            silence: Some(Duration::from_secs(10)),
        }
    }
}

impl PoolConfig {
    /// Nothing is waited for, and nothing repeated: whoever calls sees each failure at once.
    pub fn fail_fast(client: ClientConfig, per_class: usize) -> Self {
        PoolConfig {
            client,
            per_class,
            connections: usize::MAX,
            wait: Duration::ZERO,
            repeats: 0,
            pause_min: Duration::ZERO,
            pause_max: Duration::ZERO,
            idle_timeout: None,
            silence: None,
            ..PoolConfig::default()
        }
    }
}

/// How the connections of a class do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PoolState {
    /// Connections that take calls.
    pub open: usize,
    /// Connections that are being opened.
    pub connecting: usize,
    /// Calls on them.
    pub calls: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
    /// After failures to connect: how long it is until the next attempt is made, if somebody wants one.
    pub pause: Option<Duration>,
    /// Why the last attempt failed, until one succeeds.
    pub last_error: Option<RpcError>,
}

/// A connection, as far as a roster asks.
pub(super) trait Member: Clone {
    /// It takes calls.
    fn is_open(&self) -> bool;
    /// Calls that wait for their answers.
    fn calls(&self) -> usize;
    /// Time since its other side was heard, if that is known.
    fn silent_for(&self) -> Option<Duration>;
}

/// What a caller is to do.
#[derive(Debug)]
pub(super) enum Choice<C> {
    /// Take this connection.
    Take(C),
    /// Open one, and tell the roster what came of it.
    Connect,
    /// Wait until the roster is told of something, but not beyond that time.
    Wait(Option<Time>),
}

#[derive(Debug)]
struct Row<C> {
    client: C,
    /// When a call was last seen on it.
    used: Time,
}

#[derive(Debug)]
struct Rows<C> {
    rows: Vec<Row<C>>,
    connecting: usize,
    waiting: usize,
    backoff: Backoff,
    /// No attempt before then.
    pause_until: Time,
    last_error: Option<RpcError>,
    /// Attempts that ever failed.
    failures: u64,
}

/// The connections of all classes.
#[derive(Debug)]
pub(super) struct Roster<C> {
    config: PoolConfig,
    classes: BTreeMap<Class, Rows<C>>,
    seed: u64,
    /// Given up: to be dropped once nobody holds a lock, for that runs what waits for their calls.
    gone: Vec<C>,
}

impl<C: Member> Roster<C> {
    pub(super) fn new(config: PoolConfig, seed: u64) -> Self {
        Roster {
            config,
            classes: BTreeMap::new(),
            seed,
            gone: Vec::new(),
        }
    }

    /// What was given up since the last time, for its owner to drop.
    pub(super) fn take_gone(&mut self) -> Vec<C> {
        std::mem::take(&mut self.gone)
    }

    fn rows(&mut self, class: Class) -> &mut Rows<C> {
        let PoolConfig {
            pause_min,
            pause_max,
            ..
        } = self.config;
        let seed = self.seed ^ u64::from(class.0);
        self.classes.entry(class).or_insert_with(|| Rows {
            rows: Vec::new(),
            connecting: 0,
            waiting: 0,
            backoff: Backoff::new(pause_min, pause_max, seed),
            pause_until: Time::ZERO,
            last_error: None,
            failures: 0,
        })
    }

    /// What a caller of this class is to do now.
    pub(super) fn choose(&mut self, now: Time, class: Class) -> Choice<C> {
        self.sweep(now);
        let per_class = self.config.per_class.max(1);
        let may_open = self.make_room(class);
        let rows = self.rows(class);
        let is_full = rows.rows.len() + rows.connecting >= per_class;
        let is_paused = now < rows.pause_until;
        let idlest = rows.rows.iter_mut().min_by_key(|row| row.client.calls());
        if let Some(row) = idlest {
            if row.client.calls() == 0 || is_full || is_paused || !may_open {
                row.used = now;
                return Choice::Take(row.client.clone());
            }
        } else if is_full {
            return Choice::Wait(None);
        } else if !may_open {
            return Choice::Wait(Some(now + LOOK));
        } else if is_paused {
            return Choice::Wait(Some(rows.pause_until));
        }
        rows.connecting += 1;
        Choice::Connect
    }

    /// Whether there may be one more, after an idle one of another class was closed for it.
    fn make_room(&mut self, class: Class) -> bool {
        let most = self.config.connections.max(1);
        let all = |rows: &Rows<C>| rows.rows.len() + rows.connecting;
        if self.classes.values().map(all).sum::<usize>() < most {
            return true;
        }
        let has_some = self.classes.get(&class).is_some_and(|rows| all(rows) > 0);
        let others = self.classes.iter_mut().filter(|(of, _)| **of != class);
        for (_, rows) in others.filter(|_| !has_some) {
            let idle = rows.rows.iter().position(|row| row.client.calls() == 0);
            if let Some(at) = idle {
                self.gone.push(rows.rows.remove(at).client);
                return true;
            }
        }
        false
    }

    /// The connection that was to be opened is open.
    pub(super) fn on_opened(&mut self, now: Time, class: Class, client: C) {
        let rows = self.rows(class);
        rows.connecting = rows.connecting.saturating_sub(1);
        rows.backoff.reset();
        rows.pause_until = now;
        rows.last_error = None;
        rows.rows.push(Row { client, used: now });
    }

    /// The connection that was to be opened could not be.
    pub(super) fn on_failed(&mut self, now: Time, class: Class, error: RpcError) {
        let rows = self.rows(class);
        rows.connecting = rows.connecting.saturating_sub(1);
        rows.pause_until = now + rows.backoff.next_pause();
        rows.last_error = Some(error);
        rows.failures += 1;
    }

    /// How many attempts have failed so far: whoever sees the number grow has seen one fail.
    pub(super) fn failures(&mut self, class: Class) -> u64 {
        self.rows(class).failures
    }

    /// Why a caller who came when `failures` attempts had failed, and can wait until `until`, should not wait any longer.
    pub(super) fn verdict(
        &mut self,
        now: Time,
        class: Class,
        (failures, until): (u64, Time),
    ) -> Option<RpcError> {
        let is_patient = !self.config.wait.is_zero();
        let has_failed = self.failures(class) > failures;
        let error = self.failure(class);
        let is_over = if is_patient {
            now >= until || (has_failed && !may_pass(&error))
        } else {
            has_failed
        };
        is_over.then_some(error)
    }

    /// A caller begins to wait; false if too many do.
    pub(super) fn begin_to_wait(&mut self, class: Class) -> bool {
        let most = self.config.waiting;
        let rows = self.rows(class);
        let may_wait = rows.waiting < most;
        rows.waiting += usize::from(may_wait);
        may_wait
    }

    pub(super) fn end_to_wait(&mut self, class: Class) {
        let rows = self.rows(class);
        rows.waiting = rows.waiting.saturating_sub(1);
    }

    /// Why a caller who does not wait any longer has no connection.
    fn failure(&mut self, class: Class) -> RpcError {
        let last = self.rows(class).last_error.clone();
        last.unwrap_or_else(|| RpcError::NotSent("no connection in time".into()))
    }

    /// Gives up what is closed, silent, or idle for too long; when to look again.
    pub(super) fn sweep(&mut self, now: Time) -> Option<Time> {
        let PoolConfig {
            idle_timeout,
            silence,
            ..
        } = self.config;
        let (mut next, gone): (Option<Time>, _) = (None, &mut self.gone);
        for rows in self.classes.values_mut() {
            rows.rows.retain_mut(|row| {
                let is_busy = row.client.calls() > 0;
                if is_busy {
                    row.used = now;
                }
                let is_silent =
                    is_busy && silence.is_some_and(|most| row.client.silent_for() > Some(most));
                let idle_at = idle_timeout.map(|timeout| row.used + timeout);
                let stays = row.client.is_open() && !is_silent && idle_at.is_none_or(|at| now < at);
                if stays {
                    next = idle_at.into_iter().chain(next).min();
                } else {
                    gone.push(row.client.clone());
                }
                stays
            });
        }
        next
    }

    pub(super) fn state(&mut self, now: Time, class: Class) -> PoolState {
        self.sweep(now);
        let Some(rows) = self.classes.get(&class) else {
            return PoolState::default();
        };
        PoolState {
            open: rows.rows.len(),
            connecting: rows.connecting,
            calls: rows.rows.iter().map(|row| row.client.calls()).sum(),
            waiting: rows.waiting,
            pause: (now < rows.pause_until).then(|| rows.pause_until - now),
            last_error: rows.last_error.clone(),
        }
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        let rows = self.classes.values().flat_map(|rows| &rows.rows);
        rows.filter(|row| row.client.is_open()).count()
    }
}

/// What may be done about a call that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remedy {
    /// Nothing: it may have been executed, or would fail again.
    None,
    /// Call again.
    Again,
    /// Call again, after a pause: the other side has too much to do.
    AfterPause,
}

/// What may be done about a failure. What may have been executed is repeated with an idempotency key alone.
pub(super) fn remedy(error: &RpcError, idem: Option<IdemKey>) -> Remedy {
    match error {
        RpcError::NotSent(_) | RpcError::Closed(_) => Remedy::Again,
        RpcError::Unknown(_) if idem.is_some() => Remedy::Again,
        RpcError::Overloaded => Remedy::AfterPause,
        RpcError::Remote(status) => match status.code {
            code::GOING_AWAY if status.refused => Remedy::Again,
            code::OVERLOADED if status.refused => Remedy::AfterPause,
            code::IN_PROGRESS if idem.is_some() => Remedy::AfterPause,
            _ => Remedy::None,
        },
        _ => Remedy::None,
    }
}

/// The failure of a call, whose last attempt failed so: if an earlier one `maybe_executed` it, so did the call.
pub(super) fn of_all_attempts(maybe_executed: bool, last: RpcError) -> RpcError {
    if maybe_executed && !last.maybe_executed() {
        return RpcError::Unknown(format!(
            "an earlier attempt may have been executed, and then: {last}"
        ));
    }
    last
}

/// Whether a failure to connect may pass by itself.
fn may_pass(error: &RpcError) -> bool {
    !matches!(error, RpcError::WrongPeer(_) | RpcError::Protocol(_))
}

#[cfg(test)]
mod tests;
