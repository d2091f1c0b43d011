//! [`Pinger`]: asks a peer that says nothing by itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::detector::{Detector, Liveness};
use super::guard::PauseGuard;
use crate::time::Time;

/// Pings whose answers are still awaited; an answer to an older one is proof of life without a round trip.
const AWAITED_MAX: usize = 8;

/// What a [`Pinger`] wants or has found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PingEvent {
    /// Send the peer a ping with this number, which it is to send back.
    Ping(u64),
    /// The peer is heard, for the first time or again.
    Up,
    /// It has been silent for longer than usual.
    Suspect(f64),
    /// It counts as dead. The pings go on: it may come back.
    Down,
}

/// What was said of the peer last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    Nothing,
    Up,
    Suspect,
    Down,
}

/// Pings a peer each interval unless it was heard anyway, and says what it is taken for.
///
/// ```
/// use aqueduct::detect::{Deadline, PingEvent, Pinger};
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let mut pinger = Pinger::new(Duration::from_millis(100), Deadline::new(second));
/// let mut now = Time::from_millis(1);
/// let Some(PingEvent::Ping(number)) = pinger.poll(now) else { panic!("asks at once") };
/// now += Duration::from_millis(30);
/// assert_eq!(pinger.on_pong(now, number), Some(Duration::from_millis(30)));
/// assert_eq!(pinger.poll(now), Some(PingEvent::Up));
/// assert_eq!(pinger.poll(now), None);
/// ```
#[derive(Clone, Debug)]
pub struct Pinger<D> {
    interval: Duration,
    detector: D,
    guard: PauseGuard,
    next_ping: Option<Time>,
    next_number: u64,
    awaited: VecDeque<(u64, Time)>,
    said: Said,
}

impl<D: Detector> Pinger<D> {
    /// A peer that is asked each `interval` and judged by `detector`. The first ping is due at once.
    pub fn new(interval: Duration, detector: D) -> Self {
        Pinger {
            interval,
            detector,
            guard: PauseGuard::new(interval),
            next_ping: None,
            next_number: 1,
            awaited: VecDeque::new(),
            said: Said::Nothing,
        }
    }

    /// The answer to a ping came: its round trip, if it is one that is awaited. Any other changes nothing: it may be a copy.
    pub fn on_pong(&mut self, now: Time, number: u64) -> Option<Duration> {
        let at = self
            .awaited
            .iter()
            .position(|(awaited, _)| *awaited == number)?;
        let (_, sent) = self.awaited.remove(at)?;
        self.detector.heard(now);
        self.postpone(now);
        Some(now - sent)
    }

    /// Anything else came from the peer: it needs no ping for an interval.
    pub fn evidence(&mut self, now: Time) {
        self.detector.evidence(now);
        self.postpone(now);
    }

    fn postpone(&mut self, now: Time) {
        self.next_ping = self.next_ping.max(Some(now + self.interval));
    }

    /// What is to do or to know now; to be asked until it says `None`.
    pub fn poll(&mut self, now: Time) -> Option<PingEvent> {
        if let Some(held_up) = self.guard.awake(now) {
            self.detector.forgive(now, held_up);
        }
        if let Some(event) = self.news(now) {
            return Some(event);
        }
        if self.next_ping.is_some_and(|at| at > now) {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.next_ping = Some(now + self.interval);
        if self.awaited.len() >= AWAITED_MAX {
            self.awaited.pop_front();
        }
        self.awaited.push_back((number, now));
        Some(PingEvent::Ping(number))
    }

    fn news(&mut self, now: Time) -> Option<PingEvent> {
        let (said, event) = match self.detector.liveness(now) {
            Liveness::Unknown => return None,
            Liveness::Alive => (Said::Up, PingEvent::Up),
            Liveness::Suspect { .. } if self.said == Said::Down => return None,
            Liveness::Suspect { level, .. } => (Said::Suspect, PingEvent::Suspect(level)),
            Liveness::Dead { .. } => (Said::Down, PingEvent::Down),
        };
        (std::mem::replace(&mut self.said, said) != said).then_some(event)
    }

    /// When to [`Pinger::poll`] again, at the latest.
    pub fn next_check(&self, now: Time) -> Option<Time> {
        let ping = self.next_ping.unwrap_or(now);
        let check = self.detector.next_check(now).unwrap_or(ping);
        Some(ping.min(check).min(self.guard.due().unwrap_or(ping)))
    }
}
