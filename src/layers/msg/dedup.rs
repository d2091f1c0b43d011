//! [`DedupTable`]: a call that is repeated has its effect once.
//!
//! The server keeps the answer of each call until the client says that it has it; whoever repeats the call gets that answer.
//! Clients are opened, and closed only by a decision of the owner (a lease that has run out): forgetting one because there
//! are many would turn a late repetition into a second effect, so it is told that its session has expired instead.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ext::IdemKey;

/// How much a [`DedupTable`] holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DedupLimits {
    /// Clients.
    pub clients: usize,
    /// Answers of one client that it has not acknowledged.
    pub answers: usize,
    /// Bytes of those together.
    pub bytes: usize,
}

impl Default for DedupLimits {
    fn default() -> Self {
        DedupLimits {
            clients: 4_096,
            answers: 256,
            bytes: 1 << 20,
        }
    }
}

/// What the table knows of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It is new: execute it, then tell the table its answer ([`DedupTable::finish`]), or that nothing was executed
    /// ([`DedupTable::abort`]).
    New,
    /// It is being executed at this moment.
    Running,
    /// It was executed; this was the answer.
    Done(Bytes),
    /// The client had said that it has the answer: the repetition is late, and nobody waits for it.
    Stale,
    /// The client is not known, or not any more: whether the call was executed cannot be told.
    Expired,
    /// The client has too many answers that it has not acknowledged.
    Full,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Client {
    /// The client has all answers below.
    ack_below: u64,
    /// `None`: the call runs.
    answers: BTreeMap<u64, Option<Vec<u8>>>,
    bytes: usize,
}

/// The calls of many clients, and their answers. A plain value: it may lie in memory, in a replicated state machine, or in a
/// snapshot (serde), where calls that run count as not begun.
///
/// ```
/// use aqueduct::msg::{DedupTable, IdemKey, Seen};
///
/// let mut table = DedupTable::default();
/// assert!(table.open(7));
/// let key = IdemKey { client: 7, seq: 1, ack_below: 1 };
/// assert_eq!(table.begin(&key), Seen::New);
/// table.finish(&key, b"done".to_vec());
/// assert_eq!(table.begin(&key), Seen::Done("done".into()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct DedupTable {
    limits: DedupLimits,
    clients: BTreeMap<u128, Client>,
}

impl DedupTable {
    /// An empty table.
    pub fn new(limits: DedupLimits) -> Self {
        DedupTable {
            limits,
            clients: BTreeMap::new(),
        }
    }

    /// Opens a client, under a number that was never used before. False if there are too many; one that is open stays as it is.
    pub fn open(&mut self, client: u128) -> bool {
        if self.clients.len() >= self.limits.clients && !self.clients.contains_key(&client) {
            return false;
        }
        self.clients.entry(client).or_default();
        true
    }

    /// Forgets a client, whose lease has run out. From now on its calls are [`Seen::Expired`].
    pub fn expire(&mut self, client: u128) {
        self.clients.remove(&client);
    }

    /// Clients that are open.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// A call comes: whether it is to be executed.
    pub fn begin(&mut self, key: &IdemKey) -> Seen {
        let limits = self.limits;
        let Some(client) = self.clients.get_mut(&key.client) else {
            return Seen::Expired;
        };
        client.acknowledge(key.ack_below.min(key.seq));
        if key.seq < client.ack_below {
            return Seen::Stale;
        }
        match client.answers.get(&key.seq) {
            Some(Some(answer)) => Seen::Done(Bytes::copy_from_slice(answer)),
            Some(None) => Seen::Running,
            None if client.answers.len() >= limits.answers || client.bytes >= limits.bytes => {
                Seen::Full
            }
            None => {
                client.answers.insert(key.seq, None);
                Seen::New
            }
        }
    }

    /// A call that was [`Seen::New`] was executed.
    pub fn finish(&mut self, key: &IdemKey, answer: Vec<u8>) {
        let client = self.clients.get_mut(&key.client);
        let Some(client) = client.filter(|client| key.seq >= client.ack_below) else {
            return;
        };
        client.bytes = client.bytes.saturating_add(answer.len());
        if let Some(Some(before)) = client.answers.insert(key.seq, Some(answer)) {
            client.bytes = client.bytes.saturating_sub(before.len());
        }
    }

    /// A call that was [`Seen::New`] was not executed after all, and may come again.
    pub fn abort(&mut self, key: &IdemKey) {
        if let Some(client) = self.clients.get_mut(&key.client) {
            if client.answers.get(&key.seq) == Some(&None) {
                client.answers.remove(&key.seq);
            }
        }
    }
}

impl Client {
    fn acknowledge(&mut self, below: u64) {
        if below <= self.ack_below {
            return;
        }
        self.ack_below = below;
        let kept = self.answers.split_off(&below);
        let gone = std::mem::replace(&mut self.answers, kept);
        let freed: usize = gone.values().flatten().map(Vec::len).sum();
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

/// The client's side: gives each call a key, and knows which answers it has.
///
/// ```
/// use aqueduct::msg::Sequencer;
///
/// let mut calls = Sequencer::new(7);
/// let (first, second) = (calls.next_key(), calls.next_key());
/// calls.on_answer(&second);
/// assert_eq!(calls.next_key().ack_below, 1, "the first is still open");
/// calls.on_answer(&first);
/// assert_eq!(calls.next_key().ack_below, 3);
/// ```
#[derive(Clone, Debug)]
pub struct Sequencer {
    client: u128,
    next: u64,
    open: BTreeSet<u64>,
}

impl Sequencer {
    /// A client of this number, which the server has opened.
    pub fn new(client: u128) -> Self {
        Sequencer {
            client,
            next: 1,
            open: BTreeSet::new(),
        }
    }

    /// The key of a new call. Whoever repeats the call uses the same.
    pub fn next_key(&mut self) -> IdemKey {
        let seq = self.next;
        self.next += 1;
        self.open.insert(seq);
        let ack_below = self.open.first().copied().unwrap_or(seq);
        IdemKey {
            client: self.client,
            seq,
            ack_below,
        }
    }

    /// The call has its answer, or is given up: it is not repeated any more.
    pub fn on_answer(&mut self, key: &IdemKey) {
        self.open.remove(&key.seq);
    }
}

impl Serialize for DedupTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut done = self.clients.clone();
        for client in done.values_mut() {
            client.answers.retain(|_, answer| answer.is_some());
        }
        (self.limits, done).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DedupTable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (limits, clients) = Deserialize::deserialize(deserializer)?;
        Ok(DedupTable { limits, clients })
    }
}
