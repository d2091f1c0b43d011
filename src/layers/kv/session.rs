//! Sessions: which commands were executed, and what was answered.
//!
//! The answers are part of the replicated state, so that whoever repeats a command at another leader, or after a snapshot, gets the
//! answer of the first time. A session is forgotten only by a command of the log; never to make room, since a forgotten session
//! would turn a late repetition into a second effect.

use std::collections::BTreeMap;

use super::answer::{Answer, Change, Refusal};
use super::limits::Limits;

/// All sessions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<u128, Session>,
    /// Of the answers of all.
    bytes: usize,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Session {
    /// The client has all answers below.
    ack_below: u64,
    results: BTreeMap<u64, Answer>,
    bytes: usize,
}

/// What is known of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    New,
    Answered(Answer),
    Refused(Refusal),
}

impl Sessions {
    pub(super) fn open(
        &mut self,
        limits: &Limits,
        client: u128,
        changes: &mut Vec<Change>,
    ) -> Answer {
        if client == 0 {
            return Answer::Refused(Refusal::SessionNumber);
        }
        if self.open.contains_key(&client) {
            return Answer::Opened;
        }
        if self.open.len() >= limits.sessions {
            return Answer::Refused(Refusal::Sessions);
        }
        self.insert(client, 1);
        changes.push(Change::Session {
            client,
            ack_below: Some(1),
        });
        Answer::Opened
    }

    pub(super) fn close(&mut self, client: u128, changes: &mut Vec<Change>) -> bool {
        let Some(session) = self.open.remove(&client) else {
            return false;
        };
        self.bytes -= session.bytes;
        changes.push(Change::Session {
            client,
            ack_below: None,
        });
        true
    }

    /// A command comes: whether it is to be executed.
    pub(super) fn begin(
        &mut self,
        limits: &Limits,
        (client, seq, ack_below): (u128, u64, u64),
        changes: &mut Vec<Change>,
    ) -> Seen {
        let Some(session) = self.open.get_mut(&client) else {
            return Seen::Refused(Refusal::SessionExpired);
        };
        // A command cannot acknowledge its own answer.
        let freed = session.acknowledge(ack_below.min(seq));
        if let Some(freed) = freed {
            self.bytes -= freed;
            changes.push(Change::Session {
                client,
                ack_below: Some(session.ack_below),
            });
        }
        if seq < session.ack_below {
            return Seen::Refused(Refusal::Stale);
        }
        if let Some(answer) = session.results.get(&seq) {
            return Seen::Answered(answer.clone());
        }
        if session.results.len() >= limits.session_results || session.bytes >= limits.session_bytes
        {
            return Seen::Refused(Refusal::SessionFull);
        }
        if self.bytes >= limits.results_bytes {
            return Seen::Refused(Refusal::ResultsFull);
        }
        Seen::New
    }

    /// A command that was new was executed.
    pub(super) fn finish(
        &mut self,
        (client, seq): (u128, u64),
        answer: &Answer,
        changes: &mut Vec<Change>,
    ) {
        if self.insert_result(client, seq, answer.clone()) {
            changes.push(Change::Result {
                client,
                seq,
                answer: answer.clone(),
            });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn has(&self, client: u128) -> bool {
        self.open.contains_key(&client)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u128> + '_ {
        self.open.keys().copied()
    }

    /// Each session with what it has acknowledged, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, &Session)> {
        self.open.iter().map(|(client, session)| (*client, session))
    }

    /// A session as a snapshot has it. False if it is there.
    pub(super) fn insert(&mut self, client: u128, ack_below: u64) -> bool {
        let session = Session {
            ack_below,
            ..Session::default()
        };
        self.open.insert(client, session).is_none()
    }

    /// An answer as a snapshot has it. False if the session is not there, or has it, or would have acknowledged it.
    pub(super) fn insert_result(&mut self, client: u128, seq: u64, answer: Answer) -> bool {
        let Some(session) = self.open.get_mut(&client) else {
            return false;
        };
        if seq < session.ack_below || session.results.contains_key(&seq) {
            return false;
        }
        let cost = answer.cost();
        session.results.insert(seq, answer);
        session.bytes += cost;
        self.bytes += cost;
        true
    }
}

impl Session {
    /// Forgets what the client has. How many bytes that frees; `None` if it says nothing new.
    fn acknowledge(&mut self, below: u64) -> Option<usize> {
        if below <= self.ack_below {
            return None;
        }
        self.ack_below = below;
        let kept = self.results.split_off(&below);
        let gone = std::mem::replace(&mut self.results, kept);
        let freed = gone.values().map(Answer::cost).sum();
        self.bytes -= freed;
        Some(freed)
    }

    pub(super) fn ack_below(&self) -> u64 {
        self.ack_below
    }

    pub(super) fn results(&self) -> impl Iterator<Item = (u64, &Answer)> {
        self.results.iter().map(|(seq, answer)| (*seq, answer))
    }
}
