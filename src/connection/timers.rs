//! One slot for every timer of a connection: set, stop, the next one, the ones that are due.
//!
//! There are about a dozen kinds, so a linear scan is cheaper than any queue, and prints well.

use crate::time::{Deadline, Time, Timer};

/// The timers that are kept here. Loss, probe and delayed-acknowledgement deadlines are computed by their
/// owners.
const KINDS: [Timer; 13] = [
    Timer::Syn,
    Timer::Connect,
    Timer::Pacing,
    Timer::ZeroWindow,
    Timer::KeepAlive,
    Timer::Idle,
    Timer::User,
    Timer::Path,
    Timer::Liveness,
    Timer::Linger,
    Timer::FinWait2,
    Timer::Silence,
    Timer::Rest,
];

/// What a slot says whose timer is stopped: an `Option` in each would double the memory of an idle connection's timers.
const STOPPED: Time = Time::MAX;

/// The timers of one connection.
#[derive(Debug)]
pub(super) struct Timers {
    slots: [Time; KINDS.len()],
}

impl Default for Timers {
    fn default() -> Self {
        Timers {
            slots: [STOPPED; KINDS.len()],
        }
    }
}

impl Timers {
    /// Sets the timer, whatever it was set to before.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if let Some(slot) = self.slot(timer) {
            *slot = at;
        }
    }

    /// Sets the timer unless it is set already.
    pub(super) fn set_if_stopped(&mut self, timer: Timer, at: Time) {
        if let Some(slot) = self.slot(timer).filter(|slot| **slot == STOPPED) {
            *slot = at;
        }
    }

    /// Stops the timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.slot(timer) {
            *slot = STOPPED;
        }
    }

    /// Stops all timers.
    pub(super) fn stop_all(&mut self) {
        *self = Timers::default();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.iter().min_by_key(|deadline| deadline.at)
    }

    /// Every deadline that is set.
    pub(super) fn iter(&self) -> impl Iterator<Item = Deadline> + '_ {
        let slots = KINDS.into_iter().zip(self.slots);
        let set = slots.filter(|(_, at)| *at != STOPPED);
        set.map(|(why, at)| Deadline { at, why })
    }

    fn slot(&mut self, timer: Timer) -> Option<&mut Time> {
        let index = KINDS.iter().position(|kind| *kind == timer);
        debug_assert!(index.is_some(), "{timer:?} is computed, not kept");
        self.slots.get_mut(index?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_deadline_is_the_earliest_and_says_why() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Idle, Time::from_millis(30));
        timers.set(Timer::Syn, Time::from_millis(10));
        timers.set_if_stopped(Timer::Syn, Time::from_millis(5));
        assert_eq!(
            timers.next(),
            Some(Deadline {
                at: Time::from_millis(10),
                why: Timer::Syn
            })
        );
        timers.stop(Timer::Syn);
        assert_eq!(
            timers.next().map(|deadline| deadline.why),
            Some(Timer::Idle)
        );
        timers.stop(Timer::Idle);
        assert_eq!(timers.next(), None);
    }
}
