//! Sleeping until an event or a deadline, as exactly as the platform can.

use std::io;
use std::time::Duration;

use mio::{Events, Poll};

/// Waits for events; returns without any when the timeout has passed, never before.
#[cfg(target_os = "linux")]
pub(crate) fn poll(
    poll: &mut Poll,
    events: &mut Events,
    timeout: Option<Duration>,
) -> io::Result<()> {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, ppoll};
    use nix::sys::time::TimeSpec;

    /// From here on a millisecond more does not matter, and one system call is spared.
    const COARSE: Duration = Duration::from_millis(50);

    match timeout {
        // `epoll_wait` counts in milliseconds, `ppoll` in nanoseconds.
        Some(timeout) if !timeout.is_zero() && timeout < COARSE => {
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
#[cfg(not(target_os = "linux"))]
pub(crate) fn poll(
    poll: &mut Poll,
    events: &mut Events,
    timeout: Option<Duration>,
) -> io::Result<()> {
    poll.poll(events, timeout)
}
