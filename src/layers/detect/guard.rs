//! [`PauseGuard`]: whether it was this process that did not run.

use std::time::Duration;

use crate::time::Time;

/// Compares when somebody wanted to be woken with when he was.
///
/// A process that was stopped, swapped out, or starved finds all its timers late, and every peer silent. The idea is that of
/// Lifeguard (arXiv 1707.00788): before suspecting others, suspect yourself.
///
/// ```
/// use aqueduct::detect::PauseGuard;
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let mut guard = PauseGuard::new(Duration::from_millis(100));
/// assert_eq!(guard.awake(Time::from_millis(1_000)), None);
/// assert_eq!(guard.awake(Time::from_millis(1_110)), None, "late, but not by half an interval");
/// assert_eq!(guard.awake(Time::from_millis(3_210)), Some(Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PauseGuard {
    interval: Duration,
    due: Option<Time>,
}

impl PauseGuard {
    /// A guard that wants to be woken at this interval, or more often.
    pub const fn new(interval: Duration) -> Self {
        PauseGuard {
            interval,
            due: None,
        }
    }

    /// When it wants to be woken.
    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// It runs: for how long it did not, if the wake-up was more than half an interval late.
    pub fn awake(&mut self, now: Time) -> Option<Duration> {
        let late = self.due.map_or(Duration::ZERO, |due| now - due);
        self.due = Some(now + self.interval);
        (late > self.interval / 2).then_some(late)
    }
}
