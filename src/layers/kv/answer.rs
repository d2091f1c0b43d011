//! [`Answer`]: what the state machine says to a command, and what has changed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A value, and when it came to be. Revisions are indices of the log: every command has its own, and greater ones are later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// Since when there has been a record at the key without a break. Whoever holds a lock has this as fencing token.
    pub create_rev: u64,
    /// When it was last written.
    pub mod_rev: u64,
    /// The lease that it ends with.
    pub lease: Option<u64>,
    /// It was written once for ever.
    pub is_final: bool,
}

/// What the state machine answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Answer {
    /// It is written, at this revision.
    Written {
        /// The revision of the command, and of what it wrote.
        rev: u64,
    },
    /// There is no record at the key now.
    Deleted {
        /// The revision of the command.
        rev: u64,
        /// There was one before.
        existed: bool,
    },
    /// What is there is not what was expected: nothing was done.
    NotExpected {
        /// What is there.
        current: Option<Versioned>,
    },
    /// Somebody was earlier: nothing was done.
    Already(Versioned),
    /// What a transaction did.
    Txn {
        /// Its revision, and that of all it wrote.
        rev: u64,
        /// Its comparisons held: it did `then`, not `els`.
        held: bool,
        /// An answer to each operation of that branch.
        results: Vec<OpAnswer>,
    },
    /// The lease exists.
    Granted {
        /// Its number.
        id: u64,
    },
    /// The lease does not exist, or the revocation was void.
    Revoked {
        /// It was ended by this command.
        ended: bool,
    },
    /// The session is open.
    Opened,
    /// The session is not open, or the command was void.
    Closed {
        /// It was closed by this command.
        ended: bool,
    },
    /// Nothing was done.
    Refused(Refusal),
}

impl Answer {
    /// What it costs to keep, in bytes.
    pub(super) fn cost(&self) -> usize {
        let carried = match self {
            Answer::NotExpected {
                current: Some(current),
            }
            | Answer::Already(current) => current.value.len(),
            Answer::Txn { results, .. } => results
                .iter()
                .map(|result| RESULT_OVERHEAD + result.value_len())
                .sum(),
            _ => 0,
        };
        RESULT_OVERHEAD + carried
    }
}

/// What an answer costs beside the value that it carries, in bytes.
const RESULT_OVERHEAD: usize = 64;

/// What one operation of a transaction answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OpAnswer {
    /// It is written.
    Written,
    /// There is no record at the key now.
    Deleted {
        /// There was one before.
        existed: bool,
    },
    /// What was there when its turn came.
    Got(Option<Versioned>),
}

impl OpAnswer {
    fn value_len(&self) -> usize {
        match self {
            OpAnswer::Got(Some(found)) => found.value.len(),
            OpAnswer::Got(None) | OpAnswer::Written | OpAnswer::Deleted { .. } => 0,
        }
    }
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The session was never opened, or is gone. Whether the command was executed in it before cannot be told any more.
    #[error("the session is not open, or not any more")]
    SessionExpired,
    /// The client had said that it has the answer of this command.
    #[error("the answer of this command was acknowledged before")]
    Stale,
    /// The session keeps as many answers as it may: the client acknowledges too little.
    #[error("the session keeps too many answers that were not acknowledged")]
    SessionFull,
    /// All sessions together keep as much as they may.
    #[error("all sessions together keep too many answers that were not acknowledged")]
    ResultsFull,
    /// There are as many sessions as there may be.
    #[error("too many sessions")]
    Sessions,
    /// 0 is no number of a session.
    #[error("a session cannot have the number 0")]
    SessionNumber,
    /// A key has at least one byte, and not more than [`key_bytes`](super::Limits::key_bytes).
    #[error("a key of no byte, or too long")]
    KeyLength,
    /// A value has at most [`value_bytes`](super::Limits::value_bytes).
    #[error("the value is too long")]
    ValueLength,
    /// A transaction with too many comparisons or operations, or too many bytes.
    #[error("the transaction is too long")]
    TxnLength,
    /// What a transaction reads is too much for an answer.
    #[error("the transaction reads too many bytes")]
    AnswerLength,
    /// The store is full.
    #[error("the store is full")]
    StoreFull,
    /// The record was written once for ever.
    #[error("the record was written once for ever")]
    Final,
    /// There is no such lease, or not any more.
    #[error("there is no such lease, or not any more")]
    NoLease,
    /// There are as many leases as there may be.
    #[error("too many leases")]
    Leases,
    /// The lease has as many records as it may have.
    #[error("the lease has too many records")]
    LeaseFull,
    /// The time is not between [`lease_ttl_min_ms`](super::Limits::lease_ttl_min_ms) and
    /// [`lease_ttl_max_ms`](super::Limits::lease_ttl_max_ms).
    #[error("a lease cannot live so short or so long")]
    Ttl,
}

/// What a command changed, for whoever keeps a copy of the state (on disk) or tells others of it (watchers).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Change {
    /// A record is so now, or gone.
    Record {
        /// Where.
        key: Bytes,
        /// What is there.
        record: Option<Versioned>,
    },
    /// A lease lives so long without being renewed, or is gone.
    Lease {
        /// Which.
        id: u64,
        /// In milliseconds.
        ttl_ms: Option<u64>,
    },
    /// A session has acknowledged all answers below this (they are gone), or is gone with all that it kept.
    Session {
        /// Which.
        client: u128,
        /// In sequence numbers.
        ack_below: Option<u64>,
    },
    /// A session keeps an answer.
    Result {
        /// Which session.
        client: u128,
        /// To which command.
        seq: u64,
        /// The answer.
        answer: Answer,
    },
}
