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

/// The time for deadlines that another host counts too: it goes on while this one sleeps, where the system has such a clock.
#[cfg(all(feature = "kv", target_os = "linux", not(model)))]
pub(crate) fn boot() -> Time {
    use nix::time::{ClockId, clock_gettime};
    // Linux has had this clock since 2.6.39; where it is forbidden, the other one is what there is.
    let Ok(since_boot) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        return now();
    };
    Time::ZERO + Duration::from(since_boot)
}

/// The time for deadlines that another host counts too.
#[cfg(all(feature = "kv", any(not(target_os = "linux"), model)))]
pub(crate) fn boot() -> Time {
    now()
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
