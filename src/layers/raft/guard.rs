//! [`QuorumGuard`]: a leader that no quorum answers falls silent for a while, so that others can elect one that does.
//!
//! In openraft 0.9 a leader that has lost its quorum goes on with its heartbeats. A follower that still hears it keeps its lease, and
//! votes for nobody else, although all others hear that follower and each other: nothing is decided although a quorum is connected
//! (the outage of Cloudflare in 2020; openraft#2080). A leader cannot know whether that is so. It can be silent for as long as a lease
//! lasts and an election takes, and if nobody was elected it has lost nothing, for without a quorum it could decide nothing.
//!
//! ```text
//!   acknowledged   |  2 x election_max  |   silent   |   speaks   |   silent   | ...   until a quorum answers
//! ```

use std::time::Duration;

use crate::time::Time;

/// Decides whether a leader may speak. Told the time and when a quorum last answered; does nothing by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumGuard {
    /// Without an answer of a quorum for longer than this the leader doubts.
    patience: Duration,
    /// How long it is silent, and then how long it speaks.
    period: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// A quorum answers, or this is no leader.
    Trusted,
    Silent {
        until: Time,
    },
    Speaks {
        until: Time,
    },
}

impl QuorumGuard {
    /// A guard for nodes whose longest election timeout, which is also the lease of followers, is this.
    pub fn new(election_max: Duration) -> Self {
        QuorumGuard {
            patience: election_max * 2,
            period: election_max * 2,
            phase: Phase::Trusted,
        }
    }

    /// Whether the leader may speak at `now`, if a quorum answered `since_quorum` ago; `None` if it is no leader, or a new one that
    /// nobody has answered yet. `now` does not go back.
    ///
    /// ```
    /// use aqueduct::raft::QuorumGuard;
    /// use aqueduct::time::Time;
    /// use std::time::Duration;
    ///
    /// let ms = Duration::from_millis;
    /// let mut guard = QuorumGuard::new(ms(300));
    /// let begin = Time::ZERO;
    /// assert!(guard.may_speak(begin, Some(ms(600))));
    /// assert!(!guard.may_speak(begin + ms(1), Some(ms(601))), "silent for 600 ms");
    /// assert!(guard.may_speak(begin + ms(601), Some(ms(1_201))), "then not, for as long");
    /// assert!(!guard.may_speak(begin + ms(1_201), Some(ms(1_801))));
    /// assert!(guard.may_speak(begin + ms(1_202), Some(ms(20))), "a quorum answers");
    /// ```
    pub fn may_speak(&mut self, now: Time, since_quorum: Option<Duration>) -> bool {
        if since_quorum.is_none_or(|since| since <= self.patience) {
            self.phase = Phase::Trusted;
            return true;
        }
        let until = now + self.period;
        self.phase = match self.phase {
            Phase::Trusted => Phase::Silent { until },
            Phase::Silent { until: end } if end <= now => Phase::Speaks { until },
            Phase::Speaks { until: end } if end <= now => Phase::Silent { until },
            phase => phase,
        };
        !matches!(self.phase, Phase::Silent { .. })
    }

    /// Whether a quorum answers, as far as the last question showed: without one neither writes nor reads should be tried.
    pub fn has_quorum(&self) -> bool {
        self.phase == Phase::Trusted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::QuorumGuard;
    use crate::time::Time;

    const ELECTION_MAX: Duration = Duration::from_millis(300);
    const TICK: Duration = Duration::from_millis(5);

    /// Whether the guard lets the leader speak at each tick of `time` without an answer.
    fn without_quorum(time: Duration) -> Vec<(Duration, bool)> {
        let mut guard = QuorumGuard::new(ELECTION_MAX);
        let mut at = Duration::ZERO;
        let mut seen = Vec::new();
        while at < time {
            seen.push((at, guard.may_speak(Time::ZERO + at, Some(at))));
            at += TICK;
        }
        seen
    }

    #[test]
    fn a_leader_is_silent_for_a_lease_and_an_election() {
        let seen = without_quorum(Duration::from_secs(10));
        let mut silences = Vec::new();
        let mut begun = None;
        for (at, speaks) in seen {
            match (speaks, begun) {
                (false, None) => begun = Some(at),
                (true, Some(begin)) => {
                    silences.push(at - begin);
                    begun = None;
                }
                _ => {}
            }
        }
        assert!(silences.len() >= 7, "it alternates: {silences:?}");
        for silence in silences {
            // The lease of the follower that still hears it, and its longest election timeout.
            assert!(silence >= ELECTION_MAX * 2, "{silence:?}");
            assert!(silence <= ELECTION_MAX * 2 + TICK, "{silence:?}");
        }
    }

    #[test]
    fn the_first_silence_begins_in_time_for_a_new_leader_within_four_leases() {
        let seen = without_quorum(Duration::from_secs(2));
        let first = seen.iter().find(|(_, speaks)| !speaks);
        let (at, _) = first.expect("it falls silent");
        assert!(*at <= ELECTION_MAX * 2 + TICK, "{at:?}");
    }

    #[test]
    fn an_answer_of_a_quorum_ends_the_doubt_at_once() {
        let mut guard = QuorumGuard::new(ELECTION_MAX);
        let late = Some(ELECTION_MAX * 3);
        assert!(!guard.may_speak(Time::ZERO, late));
        assert!(!guard.has_quorum());
        assert!(guard.may_speak(Time::ZERO + TICK, Some(TICK)));
        assert!(guard.has_quorum());
        assert!(
            !guard.may_speak(Time::ZERO + TICK * 2, late),
            "and the next doubt is a new one"
        );
    }

    #[test]
    fn followers_and_new_leaders_are_not_held_back() {
        let mut guard = QuorumGuard::new(ELECTION_MAX);
        for tick in 0..1_000 {
            assert!(guard.may_speak(Time::ZERO + TICK * tick, None));
        }
    }
}
