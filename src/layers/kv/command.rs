//! [`Cmd`]: what the log carries.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::answer::Versioned;

/// A command, and the place it has in its client's session.
///
/// A session makes repetitions harmless: whoever sends the same `(client, seq)` again gets the answer of the first time. Commands
/// that are harmless by themselves (those of sessions, and revocations) need none, and have `client` 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The session: a random number that its client opened, not 0. 0: none.
    pub client: u128,
    /// The number of the command in the session, ascending, from 1. Commands may arrive in any order.
    pub seq: u64,
    /// The client has the answers of all commands below: they need not be kept.
    pub ack_below: u64,
    /// What is to be done.
    pub cmd: Cmd,
}

impl Request {
    /// A command without a session.
    pub fn without_session(cmd: Cmd) -> Self {
        Request {
            client: 0,
            seq: 0,
            ack_below: 0,
            cmd,
        }
    }
}

/// What the log can ask of the state machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cmd {
    /// Writes a value, whatever was there.
    Put {
        /// Where.
        key: Bytes,
        /// What.
        value: Bytes,
        /// The record ends with this lease.
        lease: Option<u64>,
    },
    /// Deletes a record, if it is there.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// Writes or deletes, if what is there is as expected.
    Cas {
        /// Where.
        key: Bytes,
        /// What must be there.
        expect: Expect,
        /// What to write; `None` deletes.
        value: Option<Bytes>,
        /// The record ends with this lease.
        lease: Option<u64>,
    },
    /// Writes where nothing is, for ever: nobody changes or deletes it afterwards.
    WriteOnce {
        /// Where.
        key: Bytes,
        /// What.
        value: Bytes,
    },
    /// Several comparisons, and one of two lists of operations: all of the list, or nothing.
    Txn(Txn),
    /// A new lease. Its number is the revision of this command, so that no number is ever used again: a revocation that was meant
    /// for one lease cannot end another.
    LeaseGrant {
        /// How long it lives without being renewed, in milliseconds.
        ttl_ms: u64,
    },
    /// Ends a lease and deletes its records.
    LeaseRevoke {
        /// Which.
        id: u64,
        /// In the name of the leader of this term, whose clock says that the lease has run out. If the log has it in another
        /// term, it is void: the deadline was another leader's. `None`: in the name of whoever holds the lease.
        term: Option<u64>,
    },
    /// Opens a session. One that is open stays as it is.
    SessionOpen {
        /// A random number, never used before.
        client: u128,
    },
    /// Its client has no use for it any more.
    SessionClose {
        /// Which.
        client: u128,
    },
    /// The leader of this term has not heard of the session for too long. Void in another term.
    SessionExpire {
        /// Which.
        client: u128,
        /// The term of the leader that says so.
        term: u64,
    },
}

impl Cmd {
    /// Whether the command changes the same, done once or twice, and so goes without a session.
    pub fn is_harmless_twice(&self) -> bool {
        matches!(
            self,
            Cmd::LeaseRevoke { .. }
                | Cmd::SessionOpen { .. }
                | Cmd::SessionClose { .. }
                | Cmd::SessionExpire { .. }
        )
    }
}

/// What must be at a key for a command to do anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Expect {
    /// Nothing.
    Absent,
    /// Something.
    Exists,
    /// What was last written at this revision.
    Rev(u64),
    /// This value.
    Value(Bytes),
}

impl Expect {
    /// Whether this is what is there.
    pub fn holds(&self, current: Option<&Versioned>) -> bool {
        match self {
            Expect::Absent => current.is_none(),
            Expect::Exists => current.is_some(),
            Expect::Rev(rev) => current.is_some_and(|current| current.mod_rev == *rev),
            Expect::Value(value) => current.is_some_and(|current| current.value == *value),
        }
    }

    pub(super) fn value(&self) -> Option<&[u8]> {
        match self {
            Expect::Value(value) => Some(value),
            Expect::Absent | Expect::Exists | Expect::Rev(_) => None,
        }
    }
}

/// Comparisons, and what is done if all of them hold, or else.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Txn {
    /// All must hold.
    pub cmp: Vec<Compare>,
    /// Done in this order if they do.
    pub then: Vec<Op>,
    /// Done in this order if one does not.
    pub els: Vec<Op>,
}

/// One comparison of a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compare {
    /// Where.
    pub key: Bytes,
    /// What must be there.
    pub expect: Expect,
}

/// One operation of a transaction. It sees what those before it have done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Op {
    /// Writes a value.
    Put {
        /// Where.
        key: Bytes,
        /// What.
        value: Bytes,
        /// The record ends with this lease.
        lease: Option<u64>,
    },
    /// Deletes a record, if it is there.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// Reads a record.
    Get {
        /// Which.
        key: Bytes,
    },
}

impl Op {
    /// The key that it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Op::Put { key, .. } | Op::Delete { key } | Op::Get { key } => key,
        }
    }
}
