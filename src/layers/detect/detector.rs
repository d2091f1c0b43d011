//! What every detector says, and the simplest one.

use std::time::Duration;

use crate::time::Time;

/// What a detector takes a peer for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Liveness {
    /// It was never heard.
    Unknown,
    /// It was heard a short while ago.
    Alive,
    /// It has been silent for longer than usual.
    Suspect {
        /// Since when.
        since: Time,
        /// How strong the suspicion is, see [`Detector::level`].
        level: f64,
    },
    /// It has been silent for so long that it counts as dead.
    Dead {
        /// Since when.
        since: Time,
    },
}

/// Turns signs of life, and their absence, into a suspicion.
pub trait Detector {
    /// A heartbeat came, of those that come at intervals.
    fn heard(&mut self, now: Time);

    /// Anything else came from the peer, at `at`: proof of life, but no interval to measure.
    fn evidence(&mut self, at: Time);

    /// This process was itself held up for so long: silence of that time says nothing.
    fn forgive(&mut self, now: Time, held_up: Duration);

    /// How strong the suspicion is: 0 just after a sign of life, growing without bound. Its unit is the detector's own.
    fn level(&self, now: Time) -> f64;

    /// What the peer is taken for.
    fn liveness(&self, now: Time) -> Liveness;

    /// When [`Detector::liveness`] will next change if nothing is heard; `None` if it will not.
    fn next_check(&self, now: Time) -> Option<Time>;
}

/// Silence for a fixed time is death, and for half of it a reason to suspect.
///
/// ```
/// use aqueduct::detect::{Deadline, Detector, Liveness};
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let mut peer = Deadline::new(Duration::from_millis(500));
/// peer.heard(Time::from_millis(100));
/// assert_eq!(peer.liveness(Time::from_millis(200)), Liveness::Alive);
/// assert!(matches!(peer.liveness(Time::from_millis(400)), Liveness::Suspect { .. }));
/// assert_eq!(peer.liveness(Time::from_millis(600)), Liveness::Dead { since: Time::from_millis(600) });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    timeout: Duration,
    heard_at: Option<Time>,
}

impl Deadline {
    /// A peer that counts as dead once it has been silent for `timeout`. Nothing was heard of it yet.
    pub const fn new(timeout: Duration) -> Self {
        Deadline {
            timeout,
            heard_at: None,
        }
    }
}

impl Detector for Deadline {
    fn heard(&mut self, now: Time) {
        self.evidence(now);
    }

    fn evidence(&mut self, at: Time) {
        self.heard_at = self.heard_at.max(Some(at));
    }

    fn forgive(&mut self, now: Time, held_up: Duration) {
        self.heard_at = self.heard_at.map(|at| (at + held_up).min(now));
    }

    /// The silence in units of the timeout: 1 is death.
    fn level(&self, now: Time) -> f64 {
        let silence = self.heard_at.map_or(Duration::ZERO, |at| now - at);
        silence.as_secs_f64() / self.timeout.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn liveness(&self, now: Time) -> Liveness {
        let Some(at) = self.heard_at else {
            return Liveness::Unknown;
        };
        let (suspect, dead) = (at + self.timeout / 2, at + self.timeout);
        judge(now, suspect, dead, self.level(now))
    }

    fn next_check(&self, now: Time) -> Option<Time> {
        let at = self.heard_at?;
        next_of(now, at + self.timeout / 2, at + self.timeout)
    }
}

/// What a peer is that is suspect and dead from these times on.
pub(super) fn judge(now: Time, suspect: Time, dead: Time, level: f64) -> Liveness {
    if now >= dead {
        Liveness::Dead { since: dead }
    } else if now >= suspect {
        Liveness::Suspect {
            since: suspect,
            level,
        }
    } else {
        Liveness::Alive
    }
}

/// The first of both times that is still to come.
pub(super) fn next_of(now: Time, suspect: Time, dead: Time) -> Option<Time> {
    [suspect, dead].into_iter().find(|at| *at > now)
}
