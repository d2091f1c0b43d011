//! A shard without a thread of its own: a task of tokio's takes its turns.
//!
//! All that a loop waits for meets in one descriptor: the sockets, the mailbox and, here, a timer are on one
//! `epoll` instance, and that instance is itself something to poll. tokio's reactor watches it, and wakes the
//! task when anything is on it. Between two polls nobody holds the turns: whoever looks for data may take one
//! in passing ([`Shard::look`]), and a thread that blocks may lead as ever.
//!
//! Invariant: whoever held the turns while something came, and whoever leaves deadlines behind, rings the
//! mailbox, so that the task looks again.
//!
//! When the runtime goes, its tasks are dropped, and this one starts a thread for the connections that are left.
//! So does a stream that becomes one for threads: they may well keep the runtime from running.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use mio::unix::SourceFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{self, Handle};

pub(crate) use super::nap::Nap;
use super::platform::{Interest, Mutex, Registry, Token};
use super::shard::Shard;
use super::turn::{Flow, Patience, Turns};
use super::{background, clock, lock};
use crate::config::EndpointConfig;
use crate::time::Time;

/// Turns that one poll of the task takes before it lets other tasks run.
const TURNS_PER_POLL: usize = 4;
/// The token of the timer: no port has it.
const TIMER: Token = Token(usize::MAX);
/// Looks before a wait that found nothing, after which most are left out: where each answer is waited for, as in a
/// ping-pong, a look costs a system call and never finds it.
const DRY_LOOKS_MAX: u32 = 2;
/// Of those that are left out, every so many-th is taken all the same.
const DRY_LOOKS_PAUSE: u32 = 32;
/// A timer is never set to nothing, which would stop it.
const SOONEST: Duration = Duration::from_nanos(1);

/// The shards of the streams that own their socket, one for each runtime.
static COMMON: Mutex<Vec<(runtime::Id, Weak<Shard>)>> = Mutex::new(Vec::new());

/// Starts a shard that the current runtime drives; without a runtime, one with a thread.
///
/// # Panics
/// If the runtime has no reactor (`enable_io`).
pub(crate) fn start(config: Arc<EndpointConfig>) -> io::Result<Arc<Shard>> {
    let Ok(handle) = Handle::try_current() else {
        return super::start(config);
    };
    let (shard, driver) = prepare(config, Bond::Endpoint)?;
    drop(handle.spawn(driver));
    Ok(shard)
}

/// The shard of all streams that own their socket and were opened in the current runtime; without a runtime,
/// the process's.
///
/// # Panics
/// As [`start`].
pub(crate) fn common() -> io::Result<Arc<Shard>> {
    let Ok(handle) = Handle::try_current() else {
        return super::common();
    };
    let id = handle.id();
    let mut known = lock(&COMMON);
    known.retain(|(_, shard)| shard.upgrade().is_some_and(|shard| shard.baton.is_driven()));
    let found = known.iter().find(|(of, _)| *of == id);
    if let Some(shard) = found.and_then(|(_, shard)| shard.upgrade()) {
        return Ok(shard);
    }
    let (shard, driver) = prepare(Arc::new(EndpointConfig::default()), Bond::Runtime)?;
    known.push((id, Arc::downgrade(&shard)));
    drop(known);
    drop(handle.spawn(driver));
    Ok(shard)
}

/// A shard, and the task that is to drive it.
fn prepare(config: Arc<EndpointConfig>, bond: Bond) -> io::Result<(Arc<Shard>, Driver)> {
    let shard = super::prepare(config)?;
    match Driver::new(&shard, bond) {
        Ok(driver) => Ok((shard, driver)),
        Err(error) => {
            shard.end();
            Err(error)
        }
    }
}

/// Whose a shard is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bond {
    /// An endpoint's, which tells when it needs it no more.
    Endpoint,
    /// The runtime's: it needs it no more when it goes.
    Runtime,
}

/// The task that takes a shard's turns.
#[derive(Debug)]
struct Driver {
    shard: Arc<Shard>,
    /// All that the loop waits for.
    epoll: AsyncFd<OwnedFd>,
    bond: Bond,
    /// A turn is due, whatever the reactor says.
    is_due: bool,
}

impl Driver {
    #[expect(
        deprecated,
        reason = "its successor is unsafe to call; an owned descriptor keeps what that one asks for"
    )]
    fn new(shard: &Arc<Shard>, bond: Bond) -> io::Result<Self> {
        let alarm = Alarm::new(&shard.registry)?;
        let epoll = AsyncFd::with_interest(
            shard.registry.as_fd().try_clone_to_owned()?,
            tokio::io::Interest::READABLE,
        )?;
        // Nobody else knows the shard yet.
        let _ = shard.alarm.set(alarm);
        shard.baton.begin_task();
        Ok(Driver {
            shard: shard.clone(),
            epoll,
            bond,
            is_due: true,
        })
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !std::mem::take(&mut self.is_due) {
                match self.epoll.poll_read_ready(cx) {
                    Poll::Pending => return Poll::Pending,
                    // The runtime shuts down: the drop of this task sees to the rest.
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(mut ready)) => ready.clear_ready(),
                }
            }
            match self.shard.advance() {
                Advance::Rests => {}
                Advance::GoesOn => {
                    self.is_due = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Advance::Ended => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.shard.has_ended() {
            return;
        }
        if self.bond == Bond::Runtime {
            self.shard.disown();
        }
        if self.shard.review() {
            self.shard.end();
        } else if let Err(error) = background::serve(&self.shard) {
            tracing::warn!(%error, "no thread could be started for the streams of a runtime that has gone");
            self.shard.end();
        }
    }
}

/// What is left after some turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Advance {
    /// Nothing, before the reactor says so; or somebody else has the turns, and rings when he leaves them.
    Rests,
    /// Something to do now.
    GoesOn,
    /// The loop has ended, or a thread has taken over.
    Ended,
}

impl Shard {
    /// Takes a turn if the shard is a runtime's and nobody holds the turns: what a socket holds then counts as here.
    pub(crate) fn look(self: &Arc<Self>) {
        if self.baton.is_driven() && self.advance() == Advance::GoesOn {
            self.mailbox.wake();
        }
    }

    /// Whether who finds nothing should look before it waits: seldom while such looks find nothing.
    pub(crate) fn is_look_due(&self) -> bool {
        self.alarm.get().is_some_and(|alarm| {
            let dry = alarm.dry_looks.load(Ordering::Relaxed);
            dry < DRY_LOOKS_MAX || dry % DRY_LOOKS_PAUSE == 0
        })
    }

    /// Somebody found nothing and waits, or has looked and found what it waited for.
    pub(crate) fn on_look(&self, has_found: bool) {
        if let Some(alarm) = self.alarm.get() {
            let dry = alarm.dry_looks.load(Ordering::Relaxed);
            let dry = if has_found { 0 } else { dry.wrapping_add(1) };
            alarm.dry_looks.store(dry, Ordering::Relaxed);
        }
    }

    /// Serves what there is to serve, without sleeping.
    fn advance(self: &Arc<Self>) -> Advance {
        let Some(mut turns) = self.baton.take_for_driver() else {
            let is_over = self.has_ended() || !self.baton.is_driven();
            return if is_over {
                Advance::Ended
            } else {
                Advance::Rests
            };
        };
        for _ in 0..TURNS_PER_POLL {
            // It neither sleeps nor looks twice: the reactor waits.
            let mut passing = Patience {
                limit: Some(Time::ZERO),
                ..Patience::default()
            };
            let turned = catch_unwind(AssertUnwindSafe(|| turns.turn(&mut passing)));
            if !matches!(turned, Ok(Ok(Flow::Continue))) {
                return self.stop(turns);
            }
            if !turns.has_more() {
                break;
            }
        }
        let has_more = turns.has_more();
        if !has_more {
            self.set_alarm();
        }
        let was_missed = self.baton.give_back_by_driver(turns);
        if has_more || was_missed {
            Advance::GoesOn
        } else {
            Advance::Rests
        }
    }

    /// The loop cannot go on, or has nothing left to serve.
    fn stop(&self, turns: Turns) -> Advance {
        drop(turns);
        self.end();
        // For the task, if this is another's look into the sockets.
        self.mailbox.wake();
        Advance::Ended
    }

    /// Has the descriptor report the next deadline.
    fn set_alarm(&self) {
        let until = self.timers().sleep();
        let (Some(alarm), Some(until)) = (self.alarm.get(), until) else {
            return;
        };
        if let Err(error) = alarm.set(until) {
            // Late is better than never: the task turns again at once until it succeeds.
            tracing::warn!(%error, "a timer could not be set");
            self.mailbox.wake();
        }
    }
}

/// A timer on the shard's `epoll` instance: as exact as the pacer needs, and no concern of the runtime's.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: TimerFd,
    /// When it rings; `Time::ZERO`: not.
    at: Mutex<Time>,
    /// Waits since a look before one found something.
    dry_looks: AtomicU32,
}

/// Where a shard keeps its alarm.
pub(crate) type AlarmSlot = OnceLock<Alarm>;

impl Alarm {
    fn new(registry: &Registry) -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&timer.as_fd());
        registry.register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        Ok(Alarm {
            timer,
            at: Mutex::new(Time::ZERO),
            dry_looks: AtomicU32::new(0),
        })
    }

    /// Rings at `until` at the latest. If it is set to ring before, it does, once, for nothing: deadlines mostly
    /// move back, and that costs no system call then.
    fn set(&self, until: Time) -> io::Result<()> {
        let mut at = lock(&self.at);
        let now = clock::now();
        if *at > now && *at <= until {
            return Ok(());
        }
        let after = TimeSpec::from_duration((until - now).max(SOONEST));
        self.timer
            .set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
        *at = until.max(now);
        Ok(())
    }
}
