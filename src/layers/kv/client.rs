//! [`KvClient`]: asks whoever leads, as often as it takes, and has it done once.

mod ask;
mod lease;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::answer::{Answer, Refusal, Versioned};
use super::command::{Cmd, Expect, Request, Txn};
use super::events::Watched;
use super::protocol::{
    Consistency, Found, MEMBERS, Members, NodeStatus, Query, READ, RENEW, Read, Renew, STATUS,
    WATCH, WRITE, Watch,
};
use crate::layers::msg::{RpcError, Sequencer};
use crate::layers::raft::wire_version;
use ask::Nodes;
pub use lease::{Lease, LockGuard};

/// How often a session says that it is in use: it lives for [`SESSION_TTL`](super::SESSION_TTL).
const SESSION_BEAT: Duration = Duration::from_secs(15);

/// How a client asks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The cluster.
    pub cluster: u128,
    /// How long a call goes on trying before it is given up. 10 s.
    pub timeout: Duration,
    /// How long one node has for an answer before another one is asked; the first ones that are asked, down to a quarter. 1 s.
    pub attempt: Duration,
}

impl ClientConfig {
    /// For this cluster.
    pub fn new(cluster: u128) -> Self {
        ClientConfig {
            cluster,
            timeout: Duration::from_secs(10),
            attempt: Duration::from_secs(1),
        }
    }
}

/// Why a call has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// No node could answer in time. Nothing was done.
    #[error("no node answers as asked ({why}), of {tried} tries")]
    Unavailable {
        /// How many times somebody was asked.
        tried: u32,
        /// What the last one said.
        why: String,
    },
    /// Nobody could say in time whether it was done: it was, or will be, or never.
    #[error("nobody answered in time: whether it was done is not known")]
    Unknown,
    /// The session is gone. Whether a command that was repeated in it was done is not known; connect again.
    #[error("the session has expired")]
    SessionExpired,
    /// The state machine refused it.
    #[error(transparent)]
    Refused(Refusal),
    /// The node does not remember events so far back: read, and watch from there.
    #[error("the events that were asked for are forgotten")]
    Compacted,
    /// The lease is lost, and what was bound to it.
    #[error("the lease is lost")]
    NotHeld,
    /// A node answered what it cannot.
    #[error("an answer that makes no sense")]
    Nonsense,
}

/// What [`KvClient::write_once`] came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOnce {
    /// It is written, at this revision, for ever.
    Written(u64),
    /// Somebody was earlier.
    Already(Versioned),
}

/// A session with a cluster. A handle: clones share it; when the last one is dropped the session ends by itself, after a minute.
///
/// Each write is done once, however often nodes fail while it is asked for; whether it was done is said by its result alone.
///
/// # Cancel safety
///
/// A write whose future is dropped may be done or not, once. Reads have no effect.
#[derive(Clone, Debug)]
pub struct KvClient {
    shared: Arc<ClientShared>,
}

#[derive(Debug)]
struct ClientShared {
    nodes: Nodes,
    client: u128,
    sequencer: Mutex<Sequencer>,
    /// The greatest revision that this session has seen.
    seen: AtomicU64,
    beat: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for ClientShared {
    fn drop(&mut self) {
        let beat = self.beat.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(beat) = beat.take() {
            beat.abort();
        }
    }
}

impl KvClient {
    /// Opens a session with a cluster of which these nodes are, by their addresses.
    ///
    /// # Errors
    /// [`KvError::Unavailable`], [`KvError::Unknown`], [`KvError::Refused`].
    pub async fn connect(seeds: Vec<String>, config: ClientConfig) -> Result<Self, KvError> {
        let this = KvClient::without_session(seeds, config)?;
        let client = this.shared.client;
        let open = Request::without_session(Cmd::SessionOpen { client });
        match this.shared.ask(WRITE, &open, true).await? {
            Answer::Opened => {}
            other => return Err(unexpected(other)),
        }
        this.keep_session();
        Ok(this)
    }

    /// A client that only reads and watches, also where there is no majority to open a session. What it writes is refused as
    /// [`KvError::SessionExpired`].
    ///
    /// # Errors
    /// [`KvError::Nonsense`] if the system gives no random number.
    pub fn without_session(seeds: Vec<String>, config: ClientConfig) -> Result<Self, KvError> {
        let client = random().ok_or(KvError::Nonsense)?;
        let nodes = Nodes::new(seeds, config, wire_version::<u64>());
        let shared = Arc::new(ClientShared {
            nodes,
            client,
            sequencer: Mutex::new(Sequencer::new(client)),
            seen: AtomicU64::new(0),
            beat: Mutex::default(),
        });
        Ok(KvClient { shared })
    }

    /// Writes a value. Its revision.
    ///
    /// # Errors
    /// [`KvError`], as for all that follow.
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<u64, KvError> {
        let (key, value) = (key.into(), value.into());
        self.written(Cmd::Put {
            key,
            value,
            lease: None,
        })
        .await
    }

    /// Deletes a record. Whether there was one.
    pub async fn delete(&self, key: impl Into<Bytes>) -> Result<bool, KvError> {
        match self.execute(Cmd::Delete { key: key.into() }).await? {
            Answer::Deleted { existed, .. } => Ok(existed),
            other => Err(unexpected(other)),
        }
    }

    /// Writes (`Some`) or deletes (`None`) if what is there is as expected: its revision, or what is there instead.
    pub async fn cas(
        &self,
        key: impl Into<Bytes>,
        expect: Expect,
        value: Option<Bytes>,
    ) -> Result<Result<u64, Option<Versioned>>, KvError> {
        let key = key.into();
        let cmd = Cmd::Cas {
            key,
            expect,
            value,
            lease: None,
        };
        match self.execute(cmd).await? {
            Answer::Written { rev } | Answer::Deleted { rev, .. } => Ok(Ok(rev)),
            Answer::NotExpected { current } => Ok(Err(current)),
            other => Err(unexpected(other)),
        }
    }

    /// Writes where nothing is, for ever.
    pub async fn write_once(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> Result<WriteOnce, KvError> {
        let (key, value) = (key.into(), value.into());
        match self.execute(Cmd::WriteOnce { key, value }).await? {
            Answer::Written { rev } => Ok(WriteOnce::Written(rev)),
            Answer::Already(current) => Ok(WriteOnce::Already(current)),
            other => Err(unexpected(other)),
        }
    }

    /// Does one of two lists of operations: [`Answer::Txn`].
    pub async fn txn(&self, txn: Txn) -> Result<Answer, KvError> {
        match self.execute(Cmd::Txn(txn)).await? {
            answer @ Answer::Txn { .. } => Ok(answer),
            other => Err(unexpected(other)),
        }
    }

    /// Does any command of this session, once.
    pub async fn execute(&self, cmd: Cmd) -> Result<Answer, KvError> {
        let key = self.shared.sequencer().next_key();
        let (client, seq, ack_below) = (key.client, key.seq, key.ack_below);
        let request = Request {
            client,
            seq,
            ack_below,
            cmd,
        };
        let answer = self.shared.ask(WRITE, &request, true).await;
        // It is not repeated any more, whatever came of it.
        self.shared.sequencer().on_answer(&key);
        match answer? {
            Answer::Refused(Refusal::SessionExpired | Refusal::Stale) => {
                Err(KvError::SessionExpired)
            }
            Answer::Refused(refusal) => Err(KvError::Refused(refusal)),
            answer => {
                if let Answer::Written { rev }
                | Answer::Deleted { rev, .. }
                | Answer::Txn { rev, .. } = answer
                {
                    self.shared.see(rev);
                }
                Ok(answer)
            }
        }
    }

    /// The record at a key.
    pub async fn get(
        &self,
        key: impl Into<Bytes>,
        consistency: Consistency,
    ) -> Result<Option<Versioned>, KvError> {
        let found = self.find(key, consistency).await?;
        Ok(found.records.into_iter().next().map(|(_, record)| record))
    }

    /// The record at a key, and how old the answer may be.
    pub async fn find(
        &self,
        key: impl Into<Bytes>,
        consistency: Consistency,
    ) -> Result<Found, KvError> {
        let query = Query::Key(key.into());
        self.read(Read { consistency, query }).await
    }

    /// Records whose keys begin with `prefix`, behind the key `after`: as many as one answer holds.
    pub async fn range(
        &self,
        prefix: impl Into<Bytes>,
        after: Option<Bytes>,
        consistency: Consistency,
    ) -> Result<Found, KvError> {
        let query = Query::Range {
            prefix: prefix.into(),
            after,
        };
        self.read(Read { consistency, query }).await
    }

    /// What this session has seen: what [`Consistency::Sequential`] takes.
    pub fn token(&self) -> u64 {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// What happened to keys with this prefix after a revision; waits up to some seconds if nothing has. Goes on at what it returns:
    /// no event is lost, none comes twice.
    ///
    /// # Errors
    /// [`KvError::Compacted`].
    pub async fn watch(
        &self,
        prefix: impl Into<Bytes>,
        after: u64,
    ) -> Result<(Vec<super::Event>, u64), KvError> {
        let wait = self.shared.nodes.patience() / 2;
        let watch = Watch {
            prefix: prefix.into(),
            after,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        };
        match self.shared.ask(WATCH, &watch, false).await? {
            Watched::Events { events, upto } => Ok((events, upto)),
            Watched::Compacted => Err(KvError::Compacted),
        }
    }

    /// What the node at this address says of itself, without asking others.
    pub async fn status(&self, address: &str) -> Result<NodeStatus, KvError> {
        self.shared.nodes.ask_one(address, STATUS).await
    }

    /// Adds a node that gets the log, but does not vote; returns when it has caught up.
    pub async fn add_learner(&self, id: u64, addr: &str) -> Result<(), KvError> {
        let addr = addr.to_owned();
        let add = Members::AddLearner { id, addr };
        self.shared.ask(MEMBERS, &add, true).await
    }

    /// Makes these nodes, all of them learners or voters, those that vote; others leave.
    pub async fn change_membership(&self, voters: Vec<u64>) -> Result<(), KvError> {
        let change = Members::Change { voters };
        self.shared.ask(MEMBERS, &change, true).await
    }

    /// Ends the session.
    pub async fn close(self) -> Result<(), KvError> {
        let client = self.shared.client;
        let close = Request::without_session(Cmd::SessionClose { client });
        let _: Answer = self.shared.ask(WRITE, &close, true).await?;
        Ok(())
    }

    async fn read(&self, read: Read) -> Result<Found, KvError> {
        let found: Found = self.shared.ask(READ, &read, false).await?;
        if read.consistency != Consistency::Eventual {
            self.shared.see(found.applied_index);
        }
        Ok(found)
    }

    async fn written(&self, cmd: Cmd) -> Result<u64, KvError> {
        match self.execute(cmd).await? {
            Answer::Written { rev } => Ok(rev),
            other => Err(unexpected(other)),
        }
    }

    /// Says now and then that the session is in use, as long as anybody has it.
    fn keep_session(&self) {
        let weak = Arc::downgrade(&self.shared);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(SESSION_BEAT).await;
                let Some(shared) = weak.upgrade() else { return };
                let renew = Renew::Session(shared.client);
                if let Ok(false) = shared.ask::<_, bool>(RENEW, &renew, true).await {
                    tracing::debug!("the session has expired");
                    return;
                }
            }
        });
        let mut beat = self
            .shared
            .beat
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *beat = Some(task);
    }
}

impl ClientShared {
    fn sequencer(&self) -> std::sync::MutexGuard<'_, Sequencer> {
        self.sequencer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, rev: u64) {
        self.seen.fetch_max(rev, Ordering::Relaxed);
    }

    async fn ask<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &self,
        method: u16,
        question: &Q,
        is_write: bool,
    ) -> Result<A, KvError> {
        self.nodes.ask(method, question, is_write).await
    }
}

fn unexpected(answer: Answer) -> KvError {
    match answer {
        Answer::Refused(refusal) => KvError::Refused(refusal),
        _ => KvError::Nonsense,
    }
}

/// A number that nobody else has, not 0.
fn random() -> Option<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(u128::from_be_bytes(bytes).max(1))
}

/// What one call came to, for those that are repeated.
fn is_certain(error: &RpcError) -> bool {
    !error.maybe_executed()
}
