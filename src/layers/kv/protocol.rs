//! What clients and nodes say to each other, by postcard, over [`crate::msg`].

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Versioned};

/// A [`Request`](super::Request); [`Outcome`] of an [`Answer`].
pub(super) const WRITE: u16 = 0x0200;
/// A [`Read`]; [`Outcome`] of a [`Found`].
pub(super) const READ: u16 = 0x0201;
/// Nothing; [`Outcome`] of the index that a linearizable read waits for. Of the leader.
pub(super) const READ_INDEX: u16 = 0x0202;
/// A [`Renew`]; [`Outcome`] of whether it is renewed.
pub(super) const RENEW: u16 = 0x0203;
/// A [`Watch`]; [`Outcome`] of [`Watched`](super::Watched).
pub(super) const WATCH: u16 = 0x0204;
/// Nothing; [`Outcome`] of a [`Status`].
pub(super) const STATUS: u16 = 0x0205;
/// A [`Change`]; [`Outcome`] of nothing.
pub(super) const MEMBERS: u16 = 0x0206;

/// Bytes of a request: the greatest transaction, and its comparisons.
pub(super) const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of an answer: what a read or a watch gives at most, and one record more.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Records of one answer to a read of a range.
pub(super) const RANGE_RECORDS_MAX: usize = 1_024;
/// Bytes of their values; one record always, however long.
pub(super) const RANGE_BYTES_MAX: usize = 1 << 20;
/// How long a watch waits for something to happen, milliseconds.
pub(super) const WATCH_MS_MAX: u64 = 10_000;

/// What a node answers, or why not. Where it says that it did not do it, it did not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Outcome<T> {
    Done(T),
    /// Ask the leader: the node at this address, if it is known.
    NotLeader(Option<String>),
    /// It leads, or believes so, but reaches no majority.
    NoQuorum,
    /// Something else; nothing is known of what was done.
    Failed(String),
}

/// How fresh what is read must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Consistency {
    /// All that was written before the read began, by anybody. Any node answers, after a majority has confirmed the leader.
    Linearizable,
    /// All that this session has seen or done: the token is the greatest revision that it knows of ([`KvClient::token`](super::KvClient::token)).
    /// Any node answers as soon as it has applied that.
    Sequential(u64),
    /// What the node that is asked has applied: at once, also where there is no majority.
    Eventual,
}

/// What to read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Read {
    pub(super) consistency: Consistency,
    pub(super) query: Query,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Query {
    Key(Bytes),
    /// Records whose keys begin so, behind a key.
    Range {
        prefix: Bytes,
        after: Option<Bytes>,
    },
}

/// What was read, and how old it may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Found {
    /// The index of the last entry of the log that the node had applied.
    pub applied_index: u64,
    /// The records, in the order of their keys.
    pub records: Vec<(Bytes, Versioned)>,
    /// There are more behind the last one.
    pub has_more: bool,
}

/// Leases and sessions that are still in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Renew {
    Lease(u64),
    Session(u128),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Watch {
    pub(super) prefix: Bytes,
    pub(super) after: u64,
    pub(super) wait_ms: u64,
}

/// A change of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Members {
    /// A node that gets the log, but does not vote.
    AddLearner { id: u64, addr: String },
    /// These vote; they are learners before.
    Change { voters: Vec<u64> },
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its number.
    pub id: u64,
    /// `Follower`, `Candidate`, `Leader`, `Learner` or `Shutdown`, in openraft's words.
    pub state: String,
    /// Its term.
    pub term: u64,
    /// Who leads, as far as it knows.
    pub leader: Option<u64>,
    /// The last entry of its log.
    pub last_log_index: Option<u64>,
    /// The last entry that it has applied.
    pub applied_index: u64,
    /// The last entry of its snapshot.
    pub snapshot_index: Option<u64>,
    /// Who votes.
    pub voters: Vec<u64>,
    /// Number and address of every node, learners too.
    pub nodes: Vec<(u64, String)>,
    /// Whether it leads and reaches a majority, or does not lead.
    pub has_quorum: bool,
    /// How many records there are.
    pub records: u64,
}

/// An answer as the log gives it.
pub(super) type WriteOutcome = Outcome<Answer>;
