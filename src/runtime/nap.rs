//! [`Nap`]: a task waits for a time, with a reactor alone: no timer of the runtime's is asked for.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::clock;
use crate::time::Time;

/// A timer is never set to nothing, which would stop it.
const SOONEST: Duration = Duration::from_nanos(1);

/// Waits until one time after another.
#[derive(Debug, Default)]
pub(crate) struct Nap {
    timer: Option<(Time, AsyncFd<OwnedFd>)>,
}

impl Nap {
    /// Whether `until` has come; the task is woken when it does. Outside of a runtime nobody wakes it.
    pub(crate) fn poll(&mut self, until: Time, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if until <= clock::now() {
            self.timer = None;
            return Poll::Ready(Ok(()));
        }
        if Handle::try_current().is_err() {
            return Poll::Pending;
        }
        if self.timer.as_ref().is_none_or(|(at, _)| *at != until) {
            self.timer = Some((until, ring_at(until)?));
        }
        let Some((_, timer)) = &self.timer else {
            return Poll::Pending;
        };
        // It rings once, and no earlier.
        ready!(timer.poll_read_ready(cx))?.retain_ready();
        self.timer = None;
        Poll::Ready(Ok(()))
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe to call; an owned descriptor keeps what that one asks for"
)]
fn ring_at(until: Time) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
    let after = TimeSpec::from_duration((until - clock::now()).max(SOONEST));
    timer.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
    AsyncFd::with_interest(timer.into(), Interest::READABLE)
}
