//! The state machine against a twin that is as simple as can be: lists, searched from the front, and a copy of everything before
//! each command, to go back to.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

/// A client, the least number it may repeat, and the answers that are kept.
type Session = (u128, u64, Vec<(u64, Answer)>);

/// Chance with a seed: SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end
    }
}

#[derive(Clone)]
struct Model {
    limits: Limits,
    at: Position,
    records: Vec<(Bytes, Versioned)>,
    leases: Vec<(u64, u64)>,
    /// Number, acknowledged below, answers.
    sessions: Vec<Session>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Model {
            limits,
            at: Position::default(),
            records: vec![],
            leases: vec![],
            sessions: vec![],
        }
    }

    fn apply(&mut self, at: Position, request: &Request) -> Answer {
        self.at = at;
        if request.client == 0 {
            let before = self.clone();
            return match self.execute(&request.cmd) {
                Ok(answer) => answer,
                Err(refusal) => {
                    *self = before;
                    Answer::Refused(refusal)
                }
            };
        }
        let limits = self.limits;
        let size: usize = self
            .sessions
            .iter()
            .flat_map(|session| &session.2)
            .map(|(_, answer)| size_of_answer(answer))
            .sum();
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.0 == request.client)
        else {
            return Answer::Refused(Refusal::SessionExpired);
        };
        session.1 = session.1.max(request.ack_below.min(request.seq));
        let before = session.2.len();
        let kept: Vec<_> = session
            .2
            .iter()
            .filter(|(seq, _)| *seq >= session.1)
            .cloned()
            .collect();
        let gone: usize = session
            .2
            .iter()
            .filter(|(seq, _)| *seq < session.1)
            .map(|(_, answer)| size_of_answer(answer))
            .sum();
        assert!(kept.len() <= before);
        session.2 = kept;
        if request.seq < session.1 {
            return Answer::Refused(Refusal::Stale);
        }
        if let Some((_, answer)) = session.2.iter().find(|(seq, _)| *seq == request.seq) {
            return answer.clone();
        }
        let own: usize = session
            .2
            .iter()
            .map(|(_, answer)| size_of_answer(answer))
            .sum();
        if session.2.len() >= limits.session_results || own >= limits.session_bytes {
            return Answer::Refused(Refusal::SessionFull);
        }
        if size - gone >= limits.results_bytes {
            return Answer::Refused(Refusal::ResultsFull);
        }
        let before = self.clone();
        let answer = self.execute(&request.cmd).unwrap_or_else(|refusal| {
            *self = before;
            Answer::Refused(refusal)
        });
        let session = self
            .sessions
            .iter_mut()
            .find(|session| session.0 == request.client);
        session
            .expect("found before")
            .2
            .push((request.seq, answer.clone()));
        answer
    }

    fn execute(&mut self, cmd: &Cmd) -> Result<Answer, Refusal> {
        let rev = self.at.index;
        match cmd {
            Cmd::Put { key, value, lease } => self.put(key, value, *lease, false),
            Cmd::Delete { key } => Ok(Answer::Deleted {
                rev,
                existed: self.remove(key)?,
            }),
            Cmd::Cas {
                key,
                expect,
                value,
                lease,
            } => {
                let current = self.find(key);
                if !holds(expect, current.as_ref()) {
                    return Ok(Answer::NotExpected { current });
                }
                match value {
                    Some(value) => self.put(key, value, *lease, false),
                    None => Ok(Answer::Deleted {
                        rev,
                        existed: self.remove(key)?,
                    }),
                }
            }
            Cmd::WriteOnce { key, value } => match self.find(key) {
                Some(current) => Ok(Answer::Already(current)),
                None => self.put(key, value, None, true),
            },
            Cmd::Txn(txn) => {
                let held = txn
                    .cmp
                    .iter()
                    .all(|cmp| holds(&cmp.expect, self.find(&cmp.key).as_ref()));
                let mut results = vec![];
                for op in if held { &txn.then } else { &txn.els } {
                    results.push(match op {
                        Op::Put { key, value, lease } => {
                            self.put(key, value, *lease, false)?;
                            OpAnswer::Written
                        }
                        Op::Delete { key } => OpAnswer::Deleted {
                            existed: self.remove(key)?,
                        },
                        Op::Get { key } => OpAnswer::Got(self.find(key)),
                    });
                }
                Ok(Answer::Txn { rev, held, results })
            }
            Cmd::LeaseGrant { ttl_ms } => {
                if self.leases.len() == self.limits.leases {
                    return Err(Refusal::Leases);
                }
                self.leases.push((rev, *ttl_ms));
                Ok(Answer::Granted { id: rev })
            }
            Cmd::LeaseRevoke { id, term } => {
                let counts = term.is_none() || *term == Some(self.at.term);
                let ended = counts && self.leases.iter().any(|lease| lease.0 == *id);
                if ended {
                    self.leases.retain(|lease| lease.0 != *id);
                    self.records.retain(|(_, record)| record.lease != Some(*id));
                }
                Ok(Answer::Revoked { ended })
            }
            Cmd::SessionOpen { client } => {
                if self.sessions.iter().all(|session| session.0 != *client) {
                    if self.sessions.len() == self.limits.sessions {
                        return Err(Refusal::Sessions);
                    }
                    self.sessions.push((*client, 1, vec![]));
                }
                Ok(Answer::Opened)
            }
            Cmd::SessionClose { client } => Ok(self.close(*client)),
            Cmd::SessionExpire { client, term } if *term == self.at.term => Ok(self.close(*client)),
            Cmd::SessionExpire { .. } => Ok(Answer::Closed { ended: false }),
        }
    }

    fn close(&mut self, client: u128) -> Answer {
        let before = self.sessions.len();
        self.sessions.retain(|session| session.0 != client);
        Answer::Closed {
            ended: self.sessions.len() < before,
        }
    }

    fn find(&self, key: &Bytes) -> Option<Versioned> {
        self.records
            .iter()
            .find(|record| record.0 == *key)
            .map(|record| record.1.clone())
    }

    fn put(
        &mut self,
        key: &Bytes,
        value: &Bytes,
        lease: Option<u64>,
        is_final: bool,
    ) -> Result<Answer, Refusal> {
        let rev = self.at.index;
        let before = self.find(key);
        if before.as_ref().is_some_and(|before| before.is_final) {
            return Err(Refusal::Final);
        }
        if let Some(id) = lease {
            if self.leases.iter().all(|lease| lease.0 != id) {
                return Err(Refusal::NoLease);
            }
            let others = self
                .records
                .iter()
                .filter(|(other, record)| other != key && record.lease == Some(id));
            if others.count() >= self.limits.lease_keys
                && before.as_ref().is_none_or(|before| before.lease != lease)
            {
                return Err(Refusal::LeaseFull);
            }
        }
        self.records.retain(|record| record.0 != *key);
        let create_rev = before.map_or(rev, |before| before.create_rev);
        self.records.push((
            key.clone(),
            Versioned {
                value: value.clone(),
                create_rev,
                mod_rev: rev,
                lease,
                is_final,
            },
        ));
        let size: usize = self
            .records
            .iter()
            .map(|(key, record)| 64 + key.len() + record.value.len())
            .sum();
        if size > self.limits.store_bytes {
            return Err(Refusal::StoreFull);
        }
        Ok(Answer::Written { rev })
    }

    fn remove(&mut self, key: &Bytes) -> Result<bool, Refusal> {
        match self.find(key) {
            Some(record) if record.is_final => Err(Refusal::Final),
            found => {
                self.records.retain(|record| record.0 != *key);
                Ok(found.is_some())
            }
        }
    }

    #[track_caller]
    fn assert_is(&self, state: &StateMachine) {
        let mut records = self.records.clone();
        records.sort_by(|one, other| one.0.cmp(&other.0));
        let ours: Vec<_> = state
            .range(b"", None)
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect();
        assert_eq!(ours, records);
        assert_eq!(
            state.leases().collect::<Vec<_>>(),
            self.leases,
            "granted in ascending order"
        );
        let mut sessions: Vec<_> = self.sessions.iter().map(|session| session.0).collect();
        sessions.sort_unstable();
        assert_eq!(state.sessions().collect::<Vec<_>>(), sessions);
    }
}

fn holds(expect: &Expect, current: Option<&Versioned>) -> bool {
    match (expect, current) {
        (Expect::Absent, None) | (Expect::Exists, Some(_)) => true,
        (Expect::Rev(rev), Some(current)) => current.mod_rev == *rev,
        (Expect::Value(value), Some(current)) => current.value == *value,
        _ => false,
    }
}

fn size_of_answer(answer: &Answer) -> usize {
    match answer {
        Answer::NotExpected {
            current: Some(found),
        }
        | Answer::Already(found) => 64 + found.value.len(),
        Answer::Txn { results, .. } => {
            let read = results.iter().map(|result| match result {
                OpAnswer::Got(Some(found)) => 64 + found.value.len(),
                _ => 64,
            });
            64 + read.sum::<usize>()
        }
        _ => 64,
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..5_u8).prop_map(|key| Bytes::from(vec![b'a' + key]))
}

fn value() -> impl Strategy<Value = Bytes> {
    (0..9_usize).prop_map(|length| Bytes::from(vec![b'v'; length]))
}

/// A lease that may be there: leases are numbered by the log, which is short.
fn lease() -> impl Strategy<Value = Option<u64>> {
    option::weighted(0.4, 1..60_u64)
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        Just(Expect::Absent),
        Just(Expect::Exists),
        (1..60_u64).prop_map(Expect::Rev),
        value().prop_map(Expect::Value),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (key(), value(), lease()).prop_map(|(key, value, lease)| Op::Put { key, value, lease }),
        key().prop_map(|key| Op::Delete { key }),
        key().prop_map(|key| Op::Get { key }),
    ]
}

fn txn() -> impl Strategy<Value = Txn> {
    let compare = (key(), expect()).prop_map(|(key, expect)| Compare { key, expect });
    (vec(compare, 0..3), vec(op(), 0..4), vec(op(), 0..4)).prop_map(|(cmp, then, els)| Txn {
        cmp,
        then,
        els,
    })
}

fn client() -> impl Strategy<Value = u128> {
    1..4_u128
}

fn request() -> impl Strategy<Value = Request> {
    let in_session = prop_oneof![
        3 => (key(), value(), lease()).prop_map(|(key, value, lease)| Cmd::Put { key, value, lease }),
        1 => key().prop_map(|key| Cmd::Delete { key }),
        3 => (key(), expect(), option::of(value()), lease())
            .prop_map(|(key, expect, value, lease)| Cmd::Cas { key, expect, value, lease }),
        1 => (key(), value()).prop_map(|(key, value)| Cmd::WriteOnce { key, value }),
        2 => txn().prop_map(Cmd::Txn),
        2 => (100..5_000_u64).prop_map(|ttl_ms| Cmd::LeaseGrant { ttl_ms }),
    ];
    let bare = prop_oneof![
        2 => (1..60_u64, option::of(1..4_u64)).prop_map(|(id, term)| Cmd::LeaseRevoke { id, term }),
        4 => client().prop_map(|client| Cmd::SessionOpen { client }),
        1 => client().prop_map(|client| Cmd::SessionClose { client }),
        1 => (client(), 1..4_u64).prop_map(|(client, term)| Cmd::SessionExpire { client, term }),
    ];
    prop_oneof![
        8 => (client(), 1..12_u64, 0..10_u64, in_session)
            .prop_map(|(client, seq, ack_below, cmd)| Request { client, seq, ack_below, cmd }),
        2 => bare.prop_map(Request::without_session),
    ]
}

fn limits() -> Limits {
    Limits {
        store_bytes: 5 * 70,
        sessions: 2,
        session_results: 4,
        session_bytes: 400,
        results_bytes: 600,
        leases: 3,
        lease_keys: 2,
        ..Limits::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Every answer, and the state after every command; out of a snapshot now and then. A second node, which never sees a
    /// snapshot, has the same state, down to the bytes.
    #[test]
    fn the_state_machine_is_its_model(steps in vec((request(), 0..20_u8), 1..80)) {
        let mut model = Model::new(limits());
        let mut state = StateMachine::new(limits());
        let mut other = StateMachine::new(limits());
        let mut at = Position { index: 0, term: 1 };
        for client in 1..3 {
            at.index += 1;
            let request = Request::without_session(Cmd::SessionOpen { client });
            for answer in [state.apply(at, &request).answer, other.apply(at, &request).answer] {
                prop_assert_eq!(answer, model.apply(at, &request));
            }
        }
        for (request, event) in steps {
            at.index += 1;
            match event {
                0 => at.term += 1,
                1 => at.index += 3,
                2 => state = read_snapshot(&mut snapshot_of(&state).as_slice(), &limits()).expect("whole"),
                _ => {}
            }
            let applied = state.apply(at, &request);
            prop_assert_eq!(&applied, &other.apply(at, &request));
            prop_assert_eq!(applied.answer, model.apply(at, &request));
            state.check_invariants();
            model.assert_is(&state);
        }
        prop_assert_eq!(&state, &other);
        prop_assert_eq!(snapshot_of(&state), snapshot_of(&other));
    }

    /// Whoever follows the changes has the state: what is kept on disk is what is in memory.
    #[test]
    fn the_changes_are_all_that_changes(steps in vec(request(), 1..80)) {
        let mut state = StateMachine::new(limits());
        let mut copy = Copy::default();
        for (index, request) in (1..).zip(steps) {
            for change in state.apply(Position { index, term: 1 }, &request).changes {
                copy.follow(change);
            }
        }
        prop_assert_eq!(copy.snapshot(&state), snapshot_of(&state));
    }

    /// Whatever the bytes are, reading them is no harm.
    #[test]
    fn noise_is_no_snapshot(noise in vec(any::<u8>(), 0..200), keep in 0..60_usize) {
        let mut file = snapshot_of(&StateMachine::new(limits()));
        file.truncate(keep);
        file.extend(noise);
        prop_assert!(read_snapshot(&mut file.as_slice(), &limits()).is_err());
    }
}

/// The state as tables, made of changes alone.
#[derive(Default)]
struct Copy {
    records: std::collections::BTreeMap<Bytes, Versioned>,
    leases: std::collections::BTreeMap<u64, u64>,
    sessions: std::collections::BTreeMap<u128, u64>,
    results: std::collections::BTreeMap<(u128, u64), Answer>,
}

impl Copy {
    fn follow(&mut self, change: Change) {
        match change {
            Change::Record {
                key,
                record: Some(record),
            } => drop(self.records.insert(key, record)),
            Change::Record { key, record: None } => drop(self.records.remove(&key)),
            Change::Lease {
                id,
                ttl_ms: Some(ttl_ms),
            } => drop(self.leases.insert(id, ttl_ms)),
            Change::Lease { id, ttl_ms: None } => drop(self.leases.remove(&id)),
            Change::Session { client, ack_below } => {
                let below = ack_below.unwrap_or(u64::MAX);
                self.results
                    .retain(|(of, seq), _| *of != client || *seq >= below);
                match ack_below {
                    Some(below) => drop(self.sessions.insert(client, below)),
                    None => drop(self.sessions.remove(&client)),
                }
            }
            Change::Result {
                client,
                seq,
                answer,
            } => drop(self.results.insert((client, seq), answer)),
        }
    }

    fn snapshot(&self, of: &StateMachine) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer =
            SnapshotWriter::new(&mut file, of.applied(), of.limits(), of.engine()).expect("a Vec");
        for (id, ttl_ms) in &self.leases {
            writer.lease(*id, *ttl_ms).expect("a Vec");
        }
        for (key, record) in &self.records {
            writer.record(key, record).expect("a Vec");
        }
        for (client, ack_below) in &self.sessions {
            writer.session(*client, *ack_below).expect("a Vec");
            for ((_, seq), answer) in self.results.range((*client, 0)..=(*client, u64::MAX)) {
                writer.result(*seq, answer).expect("a Vec");
            }
        }
        writer.finish().expect("a Vec");
        file
    }
}
