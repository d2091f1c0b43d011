//! [`StateMachine`]: the same log, the same state, on every node.
//!
//! No clock, no chance, no I/O: what a command does follows from the state, the command, and its place in the log (index and term).
//! Deadlines of leases are not in here; that one has run out is the leader's word, and comes as a command.

mod store;

use std::ops::Bound;

use bytes::Bytes;

use super::answer::{Answer, Change, OpAnswer, Refusal, Versioned};
use super::command::{Cmd, Expect, Op, Request, Txn};
use super::limits::Limits;
use super::session::{Seen, Sessions};
use super::snapshot::ENGINE_BYTES_MAX;
pub(super) use store::Store;
use store::Write;

/// Where a command stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The index: the revision of the command.
    pub index: u64,
    /// The term of the leader that wrote the entry.
    pub term: u64,
}

/// What came of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// What its client is told.
    pub answer: Answer,
    /// What is different now. Empty if nothing is.
    pub changes: Vec<Change>,
}

/// The replicated state: records, leases, sessions, and how far in the log that is.
///
/// ```
/// use aqueduct::kv::{Answer, Cmd, Limits, Position, Request, StateMachine};
///
/// let mut state = StateMachine::new(Limits::default());
/// state.apply(Position { index: 1, term: 1 }, &Request::without_session(Cmd::SessionOpen { client: 7 }));
/// let put = Cmd::Put { key: "color".into(), value: "red".into(), lease: None };
/// let request = Request { client: 7, seq: 1, ack_below: 1, cmd: put };
/// let first = state.apply(Position { index: 2, term: 1 }, &request);
/// assert_eq!(first.answer, Answer::Written { rev: 2 });
///
/// // The client has not heard the answer, and asks again, perhaps another leader: the answer of the first time, and no effect.
/// let again = state.apply(Position { index: 3, term: 2 }, &request);
/// assert_eq!(again.answer, Answer::Written { rev: 2 });
/// assert_eq!(state.record(b"color").map(|record| record.mod_rev), Some(2));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateMachine {
    limits: Limits,
    applied: Position,
    store: Store,
    sessions: Sessions,
    /// What the engine that drives the log wants kept beside the state: its own name of the position, the membership.
    engine: Bytes,
}

impl StateMachine {
    /// The state before the first entry of a log.
    pub fn new(limits: Limits) -> Self {
        StateMachine {
            limits,
            applied: Position::default(),
            store: Store::default(),
            sessions: Sessions::default(),
            engine: Bytes::new(),
        }
    }

    /// Executes a command. Entries of the log that carry none (a leader's first, a membership) are told to [`skip`](Self::skip).
    ///
    /// # Panics
    ///
    /// If the entry does not come after the last one: an engine that does this has lost its place.
    pub fn apply(&mut self, at: Position, request: &Request) -> Applied {
        self.skip(at);
        let mut changes = Vec::new();
        let answer = if request.cmd.is_harmless_twice() {
            self.execute(&request.cmd, &mut changes)
        } else {
            self.execute_in_session(request, &mut changes)
        };
        Applied { answer, changes }
    }

    /// An entry without a command.
    ///
    /// # Panics
    ///
    /// As [`apply`](Self::apply).
    pub fn skip(&mut self, at: Position) {
        // The first entry of a log may have the index 0.
        let is_first = at.index == 0 && self.applied == Position::default();
        assert!(
            (at.index > self.applied.index || is_first) && at.term >= self.applied.term,
            "entry {at:?} applied after {:?}",
            self.applied
        );
        self.applied = at;
    }

    /// The bounds that this state keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The last entry that is in the state.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// The record at a key.
    pub fn record(&self, key: &[u8]) -> Option<&Versioned> {
        self.store.record(key)
    }

    /// Records whose keys begin with `prefix`, in the order of their keys; behind the key `after`, if there is one.
    pub fn range<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Versioned)> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(Bytes::copy_from_slice(after)),
            None => Bound::Included(Bytes::copy_from_slice(prefix)),
        };
        let records = self.store.records_from(from);
        records.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        self.store.len()
    }

    /// What they cost, in bytes, as [`Limits::store_bytes`] counts.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Number and time to live, in milliseconds, of every lease.
    pub fn leases(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.store.leases()
    }

    /// How long a lease lives without being renewed, in milliseconds; `None` if there is none.
    pub fn lease_ttl_ms(&self, id: u64) -> Option<u64> {
        self.store.lease_ttl_ms(id)
    }

    /// The keys of the records that end with a lease.
    pub fn lease_keys(&self, id: u64) -> Vec<Bytes> {
        self.store.lease_keys(id)
    }

    /// The numbers of all sessions.
    pub fn sessions(&self) -> impl Iterator<Item = u128> + '_ {
        self.sessions.numbers()
    }

    /// Whether this session is open.
    pub fn has_session(&self, client: u128) -> bool {
        self.sessions.has(client)
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// What [`set_engine`](Self::set_engine) left.
    pub fn engine(&self) -> &Bytes {
        &self.engine
    }

    /// Leaves something for the engine that drives the log, at most 1 MiB; snapshots carry it.
    ///
    /// # Panics
    ///
    /// If it is longer: no snapshot with it could be read.
    pub fn set_engine(&mut self, engine: Bytes) {
        assert!(
            engine.len() <= ENGINE_BYTES_MAX,
            "the engine leaves too much"
        );
        self.engine = engine;
    }

    pub(super) fn parts(&self) -> (&Store, &Sessions) {
        (&self.store, &self.sessions)
    }

    pub(super) fn parts_mut(&mut self) -> (&mut Store, &mut Sessions) {
        (&mut self.store, &mut self.sessions)
    }

    pub(super) fn set_applied(&mut self, applied: Position) {
        self.applied = applied;
    }

    /// The invariants of its parts.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        self.store.check_invariants();
    }

    fn execute_in_session(&mut self, request: &Request, changes: &mut Vec<Change>) -> Answer {
        let Request { client, seq, .. } = *request;
        let place = (client, seq, request.ack_below);
        match self.sessions.begin(&self.limits, place, changes) {
            Seen::Answered(answer) => answer,
            Seen::Refused(refusal) => Answer::Refused(refusal),
            Seen::New => {
                let answer = self.execute(&request.cmd, changes);
                self.sessions.finish((client, seq), &answer, changes);
                answer
            }
        }
    }

    /// All of a command, or nothing.
    fn execute(&mut self, cmd: &Cmd, changes: &mut Vec<Change>) -> Answer {
        let result = self.limits.check(cmd);
        match result.and_then(|()| self.attempt(cmd, changes)) {
            Ok(answer) => {
                self.store.commit(changes);
                answer
            }
            Err(refusal) => {
                self.store.roll_back();
                Answer::Refused(refusal)
            }
        }
    }

    fn attempt(&mut self, cmd: &Cmd, changes: &mut Vec<Change>) -> Result<Answer, Refusal> {
        match cmd {
            Cmd::Put { key, value, lease } => self.write(key, value, *lease),
            Cmd::Delete { key } => self.delete(key),
            Cmd::Cas {
                key,
                expect,
                value,
                lease,
            } => self.compare_and_swap(key, expect, value.as_ref(), *lease),
            Cmd::WriteOnce { key, value } => self.write_once(key, value),
            Cmd::Txn(txn) => self.transact(txn),
            Cmd::LeaseGrant { ttl_ms } => self.grant(*ttl_ms, changes),
            Cmd::LeaseRevoke { id, term } => Ok(self.revoke(*id, *term, changes)),
            Cmd::SessionOpen { client } => Ok(self.sessions.open(&self.limits, *client, changes)),
            Cmd::SessionClose { client } => Ok(Answer::Closed {
                ended: self.sessions.close(*client, changes),
            }),
            Cmd::SessionExpire { client, term } => Ok(Answer::Closed {
                ended: *term == self.applied.term && self.sessions.close(*client, changes),
            }),
        }
    }

    fn write(&mut self, key: &Bytes, value: &Bytes, lease: Option<u64>) -> Result<Answer, Refusal> {
        let rev = self.applied.index;
        let write = Write {
            key,
            value,
            lease,
            rev,
            is_final: false,
        };
        self.store.write(&self.limits, write)?;
        Ok(Answer::Written { rev })
    }

    fn delete(&mut self, key: &Bytes) -> Result<Answer, Refusal> {
        let existed = self.store.delete(key)?;
        let rev = self.applied.index;
        Ok(Answer::Deleted { rev, existed })
    }

    fn compare_and_swap(
        &mut self,
        key: &Bytes,
        expect: &Expect,
        value: Option<&Bytes>,
        lease: Option<u64>,
    ) -> Result<Answer, Refusal> {
        let current = self.store.record(key);
        if !expect.holds(current) {
            let current = current.cloned();
            return Ok(Answer::NotExpected { current });
        }
        match value {
            Some(value) => self.write(key, value, lease),
            None => self.delete(key),
        }
    }

    fn write_once(&mut self, key: &Bytes, value: &Bytes) -> Result<Answer, Refusal> {
        if let Some(current) = self.store.record(key) {
            return Ok(Answer::Already(current.clone()));
        }
        let rev = self.applied.index;
        let write = Write {
            key,
            value,
            lease: None,
            rev,
            is_final: true,
        };
        self.store.write(&self.limits, write)?;
        Ok(Answer::Written { rev })
    }

    fn transact(&mut self, txn: &Txn) -> Result<Answer, Refusal> {
        let mut comparisons = txn.cmp.iter();
        let held = comparisons.all(|cmp| cmp.expect.holds(self.store.record(&cmp.key)));
        let branch = if held { &txn.then } else { &txn.els };
        let mut results = Vec::with_capacity(branch.len());
        let mut read_bytes = 0;
        for op in branch {
            results.push(match op {
                Op::Put { key, value, lease } => {
                    self.write(key, value, *lease)?;
                    OpAnswer::Written
                }
                Op::Delete { key } => OpAnswer::Deleted {
                    existed: self.store.delete(key)?,
                },
                Op::Get { key } => {
                    let found = self.store.record(key).cloned();
                    read_bytes += found.as_ref().map_or(0, |found| found.value.len());
                    OpAnswer::Got(found)
                }
            });
            if read_bytes > self.limits.txn_bytes {
                return Err(Refusal::AnswerLength);
            }
        }
        let rev = self.applied.index;
        Ok(Answer::Txn { rev, held, results })
    }

    fn grant(&mut self, ttl_ms: u64, changes: &mut Vec<Change>) -> Result<Answer, Refusal> {
        let id = self.applied.index;
        self.store.grant(&self.limits, id, ttl_ms)?;
        let ttl_ms = Some(ttl_ms);
        changes.push(Change::Lease { id, ttl_ms });
        Ok(Answer::Granted { id })
    }

    fn revoke(&mut self, id: u64, term: Option<u64>, changes: &mut Vec<Change>) -> Answer {
        // A deadline of another term was another leader's: this one has given all leases their full time again.
        let is_void = term.is_some_and(|term| term != self.applied.term);
        let ended = !is_void && self.store.revoke(id);
        if ended {
            changes.push(Change::Lease { id, ttl_ms: None });
        }
        Answer::Revoked { ended }
    }
}
