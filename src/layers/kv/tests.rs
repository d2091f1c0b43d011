//! The state machine: each command, each bound, each effect once, the same state everywhere.

mod bounds;
mod commands;
mod leases;
mod model;
mod once;
mod races;
mod snapshots;
mod world;

use std::time::Duration;

use bytes::Bytes;

use super::*;

/// A state, and a log that grows by one entry a command.
#[derive(Clone)]
struct Log {
    state: StateMachine,
    at: Position,
    seq: u64,
}

/// The session of commands whose session does not matter.
const CLIENT: u128 = 0xc0ffee;

impl Log {
    fn new() -> Self {
        Log::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let mut log = Log {
            state: StateMachine::new(limits),
            at: Position { index: 0, term: 1 },
            seq: 0,
        };
        assert_eq!(
            log.run_bare(Cmd::SessionOpen { client: CLIENT }).answer,
            Answer::Opened
        );
        log
    }

    fn request(&mut self, request: &Request) -> Applied {
        self.at.index += 1;
        let applied = self.state.apply(self.at, request);
        self.state.check_invariants();
        applied
    }

    fn run_bare(&mut self, cmd: Cmd) -> Applied {
        self.request(&Request::without_session(cmd))
    }

    /// The next command of the session, whose client has all answers so far.
    fn run(&mut self, cmd: Cmd) -> Applied {
        self.seq += 1;
        let seq = self.seq;
        let request = Request {
            client: CLIENT,
            seq,
            ack_below: seq,
            cmd,
        };
        self.request(&request)
    }

    fn answer(&mut self, cmd: Cmd) -> Answer {
        self.run(cmd).answer
    }

    fn refusal(&mut self, cmd: Cmd) -> Option<Refusal> {
        let before = self.state.clone();
        match self.answer(cmd) {
            Answer::Refused(refusal) => {
                let of = |state: &StateMachine| {
                    let records = state
                        .range(b"", None)
                        .map(|(key, record)| (key.clone(), record.clone()));
                    (
                        records.collect::<Vec<_>>(),
                        state.leases().collect::<Vec<_>>(),
                    )
                };
                assert_eq!(of(&before), of(&self.state), "a refusal changes nothing");
                Some(refusal)
            }
            _ => None,
        }
    }

    fn grant(&mut self, ttl_ms: u64) -> u64 {
        match self.answer(Cmd::LeaseGrant { ttl_ms }) {
            Answer::Granted { id } => id,
            other => panic!("a lease, not {other:?}"),
        }
    }

    fn value(&self, key: &[u8]) -> Option<Bytes> {
        self.state.record(key).map(|record| record.value.clone())
    }
}

fn put(key: &'static str, value: impl Into<Bytes>) -> Cmd {
    Cmd::Put {
        key: key.into(),
        value: value.into(),
        lease: None,
    }
}

fn put_with(key: &'static str, value: &'static str, lease: u64) -> Cmd {
    Cmd::Put {
        key: key.into(),
        value: value.into(),
        lease: Some(lease),
    }
}

fn delete(key: &'static str) -> Cmd {
    Cmd::Delete { key: key.into() }
}

fn cas(key: &'static str, expect: Expect, value: Option<&'static str>) -> Cmd {
    let value = value.map(Bytes::from);
    Cmd::Cas {
        key: key.into(),
        expect,
        value,
        lease: None,
    }
}

fn write_once(key: &'static str, value: &'static str) -> Cmd {
    Cmd::WriteOnce {
        key: key.into(),
        value: value.into(),
    }
}

fn snapshot_of(state: &StateMachine) -> Vec<u8> {
    let mut file = Vec::new();
    let bytes = write_snapshot(state, &mut file).expect("a Vec takes everything");
    assert_eq!(bytes, u64::try_from(file.len()).expect("small"));
    file
}
