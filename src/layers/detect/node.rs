//! One watched node: what is known of it, and what that means.

use std::time::Duration;

use super::detector::{Detector, Liveness};
use super::phi::PhiAccrual;
use crate::Info;
use crate::error::CloseReason;
use crate::time::Time;

/// What the transport knows of a peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// Time since anything valid came from it; `None`: nothing is known.
    pub since_heard: Option<Duration>,
    /// Bytes that reached it and that its application has not read.
    pub unread: u64,
    /// Bytes that its application has read.
    pub read: u64,
    /// Why the connection to it failed, if it did.
    pub failure: Option<CloseReason>,
}

impl Evidence {
    /// What [`Stream::info`](crate::Stream::info) says.
    pub fn of(info: &Info, failure: Option<CloseReason>) -> Self {
        let unread = u64::from(info.unread_at_peer);
        Evidence {
            since_heard: Some(info.since_heard),
            unread,
            read: info.bytes_acked.saturating_sub(unread),
            failure,
        }
    }
}

/// Why a node counts as down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its process is gone: its host says that the port is closed, or that it does not know the connection, or it ended it.
    ProcessDead,
    /// Nothing comes: the path is cut, or the host is down, or the process is stopped. From here these look alike.
    PathDead,
}

/// What was last said of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    Unknown,
    Up,
    Suspect,
    Stalled,
    Down,
}

/// What a node is taken for now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Finding {
    Unknown,
    Up,
    Suspect(f64),
    /// It lives, but its application does nothing.
    Stalled,
    Down(Verdict),
}

/// Incarnations of a node that ended: late packets of theirs are no sign of life.
const ENDED_MAX: usize = 4;

/// What a heartbeat says of the node's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// The life that was known, or the first one.
    Same,
    /// A new one: the node was started again.
    New,
    /// One that has ended.
    Old,
}

#[derive(Debug)]
pub(super) struct Node {
    /// Judges by everything that comes.
    transport: PhiAccrual,
    /// Judges by heartbeats alone.
    beats: PhiAccrual,
    incarnation: Option<u64>,
    ended: Vec<u64>,
    /// The process is known to be gone.
    is_gone: bool,
    /// How much its application had read, and since when it has read no more.
    read: u64,
    stuck_since: Option<Time>,
    pub(super) standing: Standing,
}

impl Node {
    pub(super) fn new(fresh: PhiAccrual) -> Self {
        Node {
            transport: fresh.clone(),
            beats: fresh,
            incarnation: None,
            ended: Vec::new(),
            is_gone: false,
            read: 0,
            stuck_since: None,
            standing: Standing::Unknown,
        }
    }

    /// A heartbeat of this incarnation came.
    pub(super) fn on_beat(&mut self, now: Time, incarnation: u64, fresh: &PhiAccrual) -> Life {
        if self.ended.contains(&incarnation) {
            return Life::Old;
        }
        let life = match self.incarnation {
            Some(known) if known != incarnation => {
                if self.ended.len() >= ENDED_MAX {
                    self.ended.remove(0);
                }
                self.ended.push(known);
                let (ended, standing) = (std::mem::take(&mut self.ended), self.standing);
                *self = Node::new(fresh.clone());
                (self.ended, self.standing) = (ended, standing);
                Life::New
            }
            _ => Life::Same,
        };
        self.incarnation = Some(incarnation);
        self.is_gone = false;
        self.transport.heard(now);
        self.beats.heard(now);
        life
    }

    /// What the transport says.
    pub(super) fn on_evidence(&mut self, now: Time, evidence: &Evidence) {
        if let Some(reason) = &evidence.failure {
            self.is_gone |= is_gone(reason);
            return;
        }
        if let Some(since_heard) = evidence.since_heard {
            self.transport.evidence(back(now, since_heard));
        }
        let is_stuck = evidence.unread > 0 && evidence.read == self.read;
        self.stuck_since = is_stuck.then(|| self.stuck_since.unwrap_or(now));
        self.read = evidence.read;
    }

    pub(super) fn forgive(&mut self, now: Time, held_up: Duration) {
        self.transport.forgive(now, held_up);
        self.beats.forgive(now, held_up);
        self.stuck_since = self.stuck_since.map(|at| (at + held_up).min(now));
    }

    /// What the node is taken for.
    pub(super) fn find(&self, now: Time, stall_after: Duration) -> Finding {
        if self.is_gone {
            return Finding::Down(Verdict::ProcessDead);
        }
        match self.transport.liveness(now) {
            Liveness::Unknown => Finding::Unknown,
            Liveness::Dead { .. } => Finding::Down(Verdict::PathDead),
            // Who is down is up when he is heard, and not when the suspicion has become less.
            Liveness::Suspect { .. } if self.standing == Standing::Down => {
                Finding::Down(Verdict::PathDead)
            }
            Liveness::Suspect { level, .. } => Finding::Suspect(level),
            Liveness::Alive => {
                let silent = matches!(self.beats.liveness(now), Liveness::Dead { .. });
                let stuck = self.stuck_since.is_some_and(|at| now - at >= stall_after);
                if silent || stuck {
                    Finding::Stalled
                } else {
                    Finding::Up
                }
            }
        }
    }

    /// When that will change if nothing is heard.
    pub(super) fn next_check(&self, now: Time, stall_after: Duration) -> Option<Time> {
        let stuck = self
            .stuck_since
            .map(|at| at + stall_after)
            .filter(|at| *at > now);
        let checks = [
            self.transport.next_check(now),
            self.beats.next_check(now),
            stuck,
        ];
        checks.into_iter().flatten().min()
    }

    /// How strong the suspicion is.
    pub(super) fn level(&self, now: Time) -> f64 {
        self.transport.level(now)
    }

    pub(super) fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }
}

fn back(now: Time, by: Duration) -> Time {
    Time::ZERO + (now - Time::ZERO).saturating_sub(by)
}

/// Whether a connection that ended so proves that the process behind it is gone, or has done with it.
fn is_gone(reason: &CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::Refused
            | CloseReason::Reset(_)
            | CloseReason::ReadSideGone
            | CloseReason::Ended
            | CloseReason::Forgotten
            | CloseReason::Gone
    )
}
