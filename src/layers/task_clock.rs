//! [`TaskClock`]: the clock of tasks, which is tokio's: a test may stop it, and deadlines stand still with it.

use std::time::Duration;

use tokio::time::Instant;

use crate::time::Time;

/// Tokio's time, as the machines of the layers count it: since the clock was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskClock {
    origin: Instant,
}

impl TaskClock {
    pub(super) fn start() -> Self {
        TaskClock {
            origin: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    /// The instant at which [`TaskClock::now`] is `at`, as far as tokio can count.
    pub(super) fn instant(&self, at: Time) -> Instant {
        /// Longer than any program runs.
        const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
        self.origin + (at - Time::ZERO).min(FAR)
    }
}
