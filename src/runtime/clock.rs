//! The clock of the process: the only place that asks the system for the time.

#[cfg(not(model))]
use std::sync::OnceLock;
use std::time::Duration;
#[cfg(not(model))]
use std::time::{Instant, SystemTime};

#[cfg(not(model))]
use crate::time::Time;

#[cfg(model)]
pub(crate) use super::model::now;

/// The instant that is [`Time::ZERO`]: when the clock was read first.
#[cfg(not(model))]
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// What time it is. Never earlier than an earlier answer, whichever thread asked.
#[cfg(not(model))]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads a clock"
)]
pub(crate) fn now() -> Time {
    let now = Instant::now();
    let origin = *ORIGIN.get_or_init(|| now);
    Time::ZERO + now.saturating_duration_since(origin)
}

/// What people call the time: since the Unix epoch, unless the system's clock is before it. For traces alone.
#[cfg(not(model))]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads a clock"
)]
pub(crate) fn wall() -> Option<Duration> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok()
}

/// A model has no calendar.
#[cfg(model)]
pub(crate) fn wall() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let readings: Vec<Time> = (0..1_000).map(|_| now()).collect();
        assert!(readings.is_sorted());
    }
}
