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

/// The timers of one connection.
#[derive(Debug, Default)]
pub(super) struct Timers {
    slots: [Option<Time>; KINDS.len()],
}

impl Timers {
    /// Sets the timer, whatever it was set to before.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        if let Some(slot) = self.slot(timer) {
            *slot = Some(at);
        }
    }

    /// Sets the timer unless it is set already.
    pub(super) fn set_if_stopped(&mut self, timer: Timer, at: Time) {
        if let Some(slot) = self.slot(timer) {
            slot.get_or_insert(at);
        }
    }

    /// Stops the timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.slot(timer) {
            *slot = None;
        }
    }

    /// Stops all timers.
    pub(super) fn stop_all(&mut self) {
        self.slots = Default::default();
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Deadline> {
        self.iter().min_by_key(|deadline| deadline.at)
    }

    /// Every deadline that is set.
    pub(super) fn iter(&self) -> impl Iterator<Item = Deadline> + '_ {
        let slots = KINDS.into_iter().zip(self.slots);
        slots.filter_map(|(why, at)| Some(Deadline { at: at?, why }))
    }

    fn slot(&mut self, timer: Timer) -> Option<&mut Option<Time>> {
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
