//! What a failed call means: the table of docs/RAFT.md ("What openraft is told"), as a function.

use std::fmt;

use crate::layers::msg::RpcError;
use crate::layers::raft::wire::{Fault, FaultKind};

/// Heartbeats without an answer, in a row and on one connection, after which it is taken for dead.
pub(super) const MISSED_MAX: u32 = 3;

/// How a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// There is no connection: the name does not resolve, nobody listens, or it is another node, cluster or version.
    NotConnected(String),
    /// The connection ended during the call.
    Broken(String),
    /// No answer in time; whether anything at all came from the peer within that time.
    Late { heard: bool },
    /// The peer answered, but with a failure.
    Fault(Fault),
    /// The peer, or this side, has too much to do, or takes no calls.
    Refused(String),
    /// What came is no answer.
    Garbled(String),
    /// This side is silent, because no quorum answers it.
    Silent,
}

impl Failure {
    /// What an error of a call over an open connection is.
    pub(super) fn of(error: RpcError, heard: bool) -> Self {
        match error {
            RpcError::NotSent(_) | RpcError::Unknown(_) => Failure::Broken(error.to_string()),
            RpcError::Closed(_) => Failure::Broken(error.to_string()),
            RpcError::Deadline { .. } | RpcError::Cancelled { .. } => Failure::Late { heard },
            RpcError::WrongPeer(_) => Failure::NotConnected(error.to_string()),
            RpcError::Protocol(_) => Failure::Garbled(error.to_string()),
            error => Failure::Refused(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotConnected(why) => write!(f, "not connected: {why}"),
            Failure::Broken(why) => write!(f, "the connection broke: {why}"),
            Failure::Late { heard: true } => {
                f.write_str("no answer in time from a peer that lives")
            }
            Failure::Late { heard: false } => f.write_str("no answer, and nothing else, in time"),
            Failure::Fault(fault) => fault.fmt(f),
            Failure::Refused(why) => write!(f, "refused: {why}"),
            Failure::Garbled(why) => write!(f, "no answer can be read: {why}"),
            Failure::Silent => {
                f.write_str("no quorum answers this leader: it is silent for a while")
            }
        }
    }
}

impl std::error::Error for Failure {}

/// What openraft is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It waits before it tries again.
    Unreachable,
    /// It tries again at once.
    Network,
    /// It tries again at once, and knows that the peer may have done it.
    Timeout,
}

/// What openraft is told, and whether the connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) answer: Answer,
    pub(super) resets: bool,
}

/// What is remembered of the calls before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Track {
    /// Calls in a row without an answer, on this connection.
    missed: u32,
    /// The last connection broke, and nothing was answered since.
    broke: bool,
}

impl Track {
    /// The peer answered, whatever it said.
    pub(super) fn on_answer(&mut self) {
        *self = Track::default();
    }

    /// A new connection has missed nothing.
    pub(super) fn on_connected(&mut self) {
        self.missed = 0;
    }

    pub(super) fn missed(self) -> u32 {
        self.missed
    }

    /// Judges a failed call.
    pub(super) fn judge(&mut self, failure: &Failure) -> Verdict {
        let (answer, resets) = match failure {
            Failure::NotConnected(_) | Failure::Silent => (Answer::Unreachable, false),
            // Once at once: the peer may have restarted, and appends may be repeated.
            Failure::Broken(_) if !self.broke => (Answer::Network, true),
            Failure::Broken(_) => (Answer::Unreachable, true),
            Failure::Late { heard: false } => (Answer::Unreachable, true),
            Failure::Late { heard: true } => {
                self.missed += 1;
                (Answer::Timeout, self.missed >= MISSED_MAX)
            }
            Failure::Fault(Fault {
                kind: FaultKind::SnapshotBroken,
                ..
            }) => (Answer::Network, false),
            Failure::Fault(_) | Failure::Refused(_) => (Answer::Unreachable, false),
            Failure::Garbled(_) => (Answer::Unreachable, true),
        };
        match failure {
            Failure::Broken(_) => self.broke = true,
            Failure::Fault(_) => self.on_answer(),
            _ => {}
        }
        if resets {
            self.missed = 0;
        }
        Verdict { answer, resets }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Failure, MISSED_MAX, Track, Verdict};
    use crate::layers::msg::{Mismatch, RpcError, Status, code};
    use crate::layers::raft::wire::{Fault, FaultKind};

    fn judge(failure: Failure) -> (Answer, bool) {
        let Verdict { answer, resets } = Track::default().judge(&failure);
        (answer, resets)
    }

    #[test]
    fn r2_who_cannot_be_connected_to_is_unreachable() {
        let refused = Failure::NotConnected("refused".into());
        assert_eq!(judge(refused), (Answer::Unreachable, false));
        let wrong = Mismatch::Wire { got: 1, want: 9 };
        let wrong = Failure::of(RpcError::WrongPeer(wrong), true);
        assert_eq!(judge(wrong), (Answer::Unreachable, false));
    }

    #[test]
    fn r2_a_connection_that_breaks_is_a_network_error_once_and_then_unreachable() {
        let mut track = Track::default();
        let broken = Failure::of(RpcError::Unknown("reset".into()), true);
        let judged = |track: &mut Track| {
            let verdict = track.judge(&broken);
            assert!(verdict.resets);
            track.on_connected();
            verdict.answer
        };
        assert_eq!(judged(&mut track), Answer::Network);
        assert_eq!(judged(&mut track), Answer::Unreachable);
        assert_eq!(judged(&mut track), Answer::Unreachable);
        track.on_answer();
        assert_eq!(judged(&mut track), Answer::Network, "an answer begins anew");
    }

    #[test]
    fn r2_a_slow_peer_that_is_heard_is_a_timeout_and_keeps_its_connection() {
        let late = RpcError::Deadline {
            maybe_executed: true,
        };
        assert_eq!(judge(Failure::of(late, true)), (Answer::Timeout, false));
    }

    #[test]
    fn r2_a_silent_peer_is_unreachable_and_loses_its_connection() {
        let late = RpcError::Deadline {
            maybe_executed: true,
        };
        assert_eq!(judge(Failure::of(late, false)), (Answer::Unreachable, true));
    }

    #[test]
    fn r2_three_missed_heartbeats_reset_the_connection_and_the_count_begins_anew() {
        let mut track = Track::default();
        let late = Failure::Late { heard: true };
        for round in 0..4 {
            for missed in 1..=MISSED_MAX {
                let verdict = track.judge(&late);
                assert_eq!(verdict.resets, missed == MISSED_MAX, "round {round}");
            }
            track.on_connected();
            assert_eq!(track.missed(), 0);
        }
        track.judge(&late);
        track.judge(&late);
        track.on_answer();
        assert!(!track.judge(&late).resets, "an answer ends the count");
    }

    #[test]
    fn r2_a_peer_whose_raft_has_stopped_is_unreachable() {
        let fatal = Fault::new(FaultKind::Fatal, "the disk");
        assert_eq!(judge(Failure::Fault(fatal)), (Answer::Unreachable, false));
    }

    #[test]
    fn what_else_a_peer_says_is_unreachable_and_no_reason_to_hurry() {
        let busy = RpcError::Remote(Status::refused(code::OVERLOADED, "busy"));
        assert_eq!(judge(Failure::of(busy, true)), (Answer::Unreachable, false));
        let garbled = RpcError::Protocol("what?".into());
        assert_eq!(
            judge(Failure::of(garbled, true)),
            (Answer::Unreachable, true)
        );
        assert_eq!(judge(Failure::Silent), (Answer::Unreachable, false));
    }
}
