//! Sleeping until an event or a deadline.
//!
//! `epoll_wait` counts in milliseconds, and its wake-ups come in the context of the sender, so that a
//! scheduler may run the receiver where the sender stops. `ppoll` counts in nanoseconds, but over an
//! epoll descriptor it costs a second call and a wake-up more. So all deadlines but the pacer's lie on
//! whole milliseconds ([`Precision::Millisecond`]).

use std::io;
use std::time::Duration;

use super::platform::{Events, Poll};

/// How exactly a sleep must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Precision {
    /// Up to a millisecond late.
    Millisecond,
    /// As exactly as the platform can.
    Exact,
}

/// Waits for events; returns without any when the timeout has passed, never before.
#[cfg(all(target_os = "linux", not(model)))]
pub(crate) fn poll(
    poll: &mut Poll,
    events: &mut Events,
    timeout: Option<Duration>,
    precision: Precision,
) -> io::Result<()> {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, ppoll};
    use nix::sys::time::TimeSpec;

    match timeout {
        Some(timeout) if !timeout.is_zero() && precision == Precision::Exact => {
            let mut fds = [PollFd::new(poll.registry().as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from_duration(timeout)), None)? {
                0 => {
                    events.clear();
                    Ok(())
                }
                _ => poll.poll(events, Some(Duration::ZERO)),
            }
        }
        timeout => poll.poll(events, timeout),
    }
}

/// Waits for events; returns without any when the timeout has passed, never before.
#[cfg(any(not(target_os = "linux"), model))]
pub(crate) fn poll(
    poll: &mut Poll,
    events: &mut Events,
    timeout: Option<Duration>,
    _precision: Precision,
) -> io::Result<()> {
    poll.poll(events, timeout)
}
