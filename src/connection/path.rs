//! Where the peer is, and what happens when it seems to have moved (docs/WIRE.md, "Address changes").
//!
//! A packet from elsewhere proves only that somebody had seen it. A new port on the same address (a NAT
//! that rebound) is followed at once, within three times the bytes that came from there; a new address
//! only once it has answered a challenge **and** the old path has failed to answer a probe.

mod local;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::time::Time;
use crate::wire::{Meta, PathMessage};

/// Challenges sent before a candidate is given up.
const CHALLENGES_MAX: u8 = 3;
/// An answer is waited for twice as long with each candidate that gave none, up to this: a path that has become much longer
/// than its round trip was measured would be asked again and again, and each time for too short (RFC 9002 s6.2.2 begins
/// new paths with as much).
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Bytes of a challenge: a base header.
const CHALLENGE_BYTES: u64 = 32;
/// Bytes that may go to an address that has not answered, for each byte that came from it.
const AMPLIFICATION_MAX: u64 = 3;
/// Responses that wait to be sent; a flood of challenges cannot queue more.
const RESPONSES_MAX: usize = 2;
/// Packets about paths that a peer may draw and not acknowledge: each costs the memory of a packet in flight, and no
/// window holds them back. An honest peer draws a few in a change of path.
const UNACKED_MAX: u8 = 64;
/// Of those, what a change of path takes: its challenges and the probe of the old path.
const CHANGE_COST: u8 = CHALLENGES_MAX + 1;

/// A remote address and the local one to reach it from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The local address, on a socket bound to all.
    pub local_ip: Option<IpAddr>,
}

/// The path in use, and the one that may follow it.
#[derive(Debug)]
pub(super) struct Path {
    current: Route,
    change: Option<Box<Change>>,
    responses: Vec<(Route, u64)>,
    /// Packets about paths that the peer may still draw before it acknowledges some of what it was sent.
    credit: u8,
    /// Candidates in a row that gave no answer.
    unanswered: u8,
    /// Before then no candidate is examined: the last one had not had a probe timeout to answer.
    next_change: Time,
}

/// A change of path under examination.
#[derive(Debug)]
struct Change {
    candidate: Route,
    old: Route,
    kind: ChangeKind,
    nonce: u64,
    challenges: u8,
    challenge_due: bool,
    /// When the path timer must fire. Moves only when a challenge leaves or the kind changes: what the peer sends
    /// cannot put it off.
    due: Time,
    /// Until when the old path may answer.
    old_until: Time,
    received: u64,
    sent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ChangeKind {
    /// Same address, new port: already in use.
    Rebound,
    /// Another address: has not answered yet.
    Moving,
    /// Another address that has answered; the old path may still answer its probe.
    Answered,
}

/// A valid packet that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// Bytes of the datagram.
    pub len: u64,
    /// It has the highest number so far.
    pub is_newest: bool,
}

/// What the connection must do about its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PathAction {
    /// Nothing.
    Keep,
    /// The peer has another port, which is in use now: nobody is at the old one.
    Rebound,
    /// Send a probe on the old path: another address claims to be the peer's.
    ProbeOld,
    /// The path has changed: round trip, window and MTU start anew.
    Moved,
}

impl Path {
    /// The path of the handshake.
    pub(super) fn new(remote: SocketAddr, local_ip: Option<IpAddr>) -> Self {
        Path {
            current: Route { remote, local_ip },
            change: None,
            responses: Vec::new(),
            credit: UNACKED_MAX,
            unanswered: 0,
            next_change: Time::ZERO,
        }
    }

    /// How long an answer is waited for where a probe timeout is `pto`.
    fn patience(&self, pto: Duration) -> Duration {
        let doubled = pto.saturating_mul(1 << self.unanswered.min(10));
        doubled.min(PATIENCE_MAX).max(pto)
    }

    /// The peer has acknowledged so many packets for the first time: it may draw as many. Not more, or the
    /// acknowledgement of the oldest packet, again and again, would fill the memory with younger ones.
    pub(super) fn on_acknowledged(&mut self, packets: u64) {
        let more = u8::try_from(packets).unwrap_or(UNACKED_MAX);
        self.credit = self.credit.saturating_add(more).min(UNACKED_MAX);
    }

    /// Where packets go.
    pub(super) fn current(&self) -> Route {
        self.current
    }

    /// A valid packet came; `pto` is how long an answer may take.
    pub(super) fn on_packet(
        &mut self,
        now: Time,
        meta: &Meta,
        came: Came,
        pto: Duration,
        nonce: impl FnOnce() -> u64,
    ) -> PathAction {
        let from = Route {
            remote: meta.from,
            local_ip: meta.to_ip,
        };
        if let Some(change) = &mut self.change {
            if from.remote == change.candidate.remote {
                change.received = change.received.saturating_add(came.len);
                return PathAction::Keep;
            }
            if from.remote == change.old.remote {
                return self.come_back(now, came.is_newest);
            }
        }
        if came.is_newest && from.remote != self.current.remote && self.may_begin(now) {
            return self.begin_change(from, came.len, nonce(), now + pto);
        }
        PathAction::Keep
    }

    /// The peer speaks at the proven address after all. A candidate that is in use already has a probe timeout first, so that
    /// two ports that take turns do not have everything sent again at each turn.
    fn come_back(&mut self, now: Time, is_newest: bool) -> PathAction {
        let in_use = |change: &Change| change.kind == ChangeKind::Rebound;
        let stays = |change: &Change| in_use(change) && !(is_newest && change.old_until <= now);
        match self.change.take_if(|change| !stays(change)) {
            Some(change) if in_use(&change) => {
                self.current = change.old;
                PathAction::Rebound
            }
            _ => PathAction::Keep,
        }
    }

    /// Whether another candidate may be examined: one at a time, and one in a probe timeout, so that addresses that take
    /// turns draw no more challenges than one does.
    fn may_begin(&self, now: Time) -> bool {
        now >= self.next_change && self.credit >= CHANGE_COST
    }

    fn begin_change(
        &mut self,
        candidate: Route,
        received: u64,
        nonce: u64,
        due: Time,
    ) -> PathAction {
        let rebound = candidate.remote.ip() == self.current.remote.ip();
        // A candidate that has proved nothing yet is no address to fall back to, nor to stay at.
        let proven = self.unproven().map_or(self.current, |change| change.old);
        let (kind, action) = if rebound {
            (ChangeKind::Rebound, PathAction::Rebound)
        } else {
            (ChangeKind::Moving, PathAction::ProbeOld)
        };
        self.credit = self.credit.saturating_sub(CHANGE_COST);
        self.next_change = due;
        self.current = if rebound { candidate } else { proven };
        self.change = Some(Box::new(Change {
            candidate,
            old: proven,
            kind,
            nonce,
            challenges: 0,
            challenge_due: true,
            due,
            old_until: due,
            received,
            sent: 0,
        }));
        action
    }

    /// A PATH packet came from `meta.from`.
    pub(super) fn on_message(
        &mut self,
        now: Time,
        meta: &Meta,
        message: PathMessage,
    ) -> PathAction {
        match message {
            PathMessage::Challenge(nonce) => {
                let back = Route {
                    remote: meta.from,
                    local_ip: meta.to_ip,
                };
                if self.responses.len() < RESPONSES_MAX && self.credit > 0 {
                    self.credit -= 1;
                    self.responses.push((back, nonce));
                }
                PathAction::Keep
            }
            PathMessage::Response(nonce) => self.on_response(now, meta.from, nonce),
        }
    }

    fn on_response(&mut self, now: Time, from: SocketAddr, nonce: u64) -> PathAction {
        let Some(change) = &mut self.change else {
            return PathAction::Keep;
        };
        let proves =
            nonce == change.nonce && from == change.candidate.remote && change.challenges > 0;
        if proves {
            self.unanswered = 0;
        }
        match change.kind {
            ChangeKind::Rebound if proves => {
                self.change = None;
                PathAction::Keep
            }
            ChangeKind::Moving if proves => {
                change.kind = ChangeKind::Answered;
                change.challenge_due = false;
                change.due = change.old_until;
                self.move_if_old_is_silent(now)
            }
            _ => PathAction::Keep,
        }
    }

    /// The candidate has answered: it is the peer's address once the old one has had its time.
    fn move_if_old_is_silent(&mut self, now: Time) -> PathAction {
        let Some(change) = self.change.take_if(|change| change.old_until <= now) else {
            return PathAction::Keep;
        };
        self.current = change.candidate;
        PathAction::Moved
    }

    /// The path timer fired; a challenge that leaves for it has `pto` to be answered, or longer where none was before.
    pub(super) fn on_timer(&mut self, now: Time, pto: Duration) -> PathAction {
        let patience = self.patience(pto);
        let Some(change) = &mut self.change else {
            return PathAction::Keep;
        };
        if change.kind == ChangeKind::Answered {
            return self.move_if_old_is_silent(now);
        }
        if change.challenges < CHALLENGES_MAX {
            change.challenge_due = true;
            change.due = now + patience;
            return PathAction::Keep;
        }
        let in_use = change.kind == ChangeKind::Rebound;
        self.current = change.old;
        self.unanswered = self.unanswered.saturating_add(1);
        self.change = None;
        // What went to a candidate in use was taken by no congestion.
        if in_use {
            PathAction::Rebound
        } else {
            PathAction::Keep
        }
    }

    /// When the path timer must fire.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.change.as_ref().map(|change| change.due)
    }

    /// Whether a change is being examined.
    pub(super) fn is_changing(&self) -> bool {
        self.change.is_some()
    }

    /// Whether a PATH packet waits.
    pub(super) fn has_message(&self) -> bool {
        !self.responses.is_empty()
            || self
                .change
                .as_ref()
                .is_some_and(|change| change.challenge_due)
    }

    /// The next PATH packet to send, and where to; a challenge has as long to be answered as in [`Path::on_timer`].
    pub(super) fn take_message(
        &mut self,
        now: Time,
        pto: Duration,
    ) -> Option<(Route, PathMessage)> {
        if let Some((route, nonce)) = self.responses.pop() {
            return Some((route, PathMessage::Response(nonce)));
        }
        let patience = self.patience(pto);
        let change = self.change.as_mut().filter(|change| change.challenge_due)?;
        change.challenge_due = false;
        change.challenges += 1;
        change.due = now + patience;
        Some((change.candidate, PathMessage::Challenge(change.nonce)))
    }

    /// Whether `len` more bytes may go to the current address: until it has answered, three times what
    /// came from it, less what the challenges to come need.
    pub(super) fn may_send(&self, len: u64) -> bool {
        self.unproven().is_none_or(|change| {
            let challenges = u64::from(CHALLENGES_MAX.saturating_sub(change.challenges));
            let wanted = len.saturating_add(challenges * CHALLENGE_BYTES);
            change.sent.saturating_add(wanted) <= change.received.saturating_mul(AMPLIFICATION_MAX)
        })
    }

    /// `len` bytes left for the current address.
    pub(super) fn on_sent(&mut self, len: u64) {
        if let Some(change) = &mut self.change {
            if change.kind == ChangeKind::Rebound {
                change.sent = change.sent.saturating_add(len);
            }
        }
    }

    /// Whether packets go to an address that has not answered its challenge.
    pub(super) fn is_unproven(&self) -> bool {
        self.unproven().is_some()
    }

    fn unproven(&self) -> Option<&Change> {
        self.change
            .as_deref()
            .filter(|change| change.kind == ChangeKind::Rebound)
    }
}

#[cfg(test)]
mod tests;
