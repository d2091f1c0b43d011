//! [`KvService`]: what clients and other nodes ask of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Tenancy;
use super::command::Request;
use super::events::Watched;
use super::machine::KvTypes;
use super::node::NodeShared;
use super::protocol::{
    Consistency, Found, MEMBERS, Members, Outcome, Query, RANGE_BYTES_MAX, RANGE_RECORDS_MAX, READ,
    READ_INDEX, RENEW, REQUEST_BYTES_MAX, Read, Renew, STATUS, WATCH, WATCH_MS_MAX, WRITE, Watch,
    WriteOutcome,
};
use crate::layers::msg::tokio::{BodyReader, CallCx, Reply, RpcClient, Service};
use crate::layers::msg::{CallOptions, ClientConfig, Codec, Postcard, RpcError, Status, code};
use crate::layers::raft::{RaftService, ReadError};

/// How long a node waits for itself or the leader, if its caller does not say how long he does.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a member's address, at most: a name has up to 253 (RFC 1035 s2.3.4), and a port follows.
const ADDR_BYTES_MAX: usize = 260;
/// Members, learners included.
const MEMBERS_MAX: usize = 256;

/// Answers Raft's calls and those of the store.
pub(super) struct KvService {
    node: Arc<NodeShared>,
    raft: RaftService<KvTypes>,
    /// To the nodes that have led.
    leaders: Mutex<BTreeMap<String, RpcClient>>,
}

impl Service for KvService {
    async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        if RaftService::<KvTypes>::takes(cx.method) {
            return self.raft.call(cx, body).await;
        }
        let body = body.read_whole(REQUEST_BYTES_MAX).await;
        let body = body.map_err(|error| Status::refused(code::TOO_LARGE, error.to_string()))?;
        let patience = cx.time_left().unwrap_or(PATIENCE);
        tokio::select! {
            answer = self.answer(cx.method, &body) => answer.map(Reply::Whole),
            () = cx.cancelled() => Err(Status::new(code::DEADLINE, "nobody waits")),
            () = tokio::time::sleep(patience) => Err(Status::new(code::DEADLINE, "no answer in time")),
        }
    }
}

impl KvService {
    pub(super) fn new(node: Arc<NodeShared>, raft: RaftService<KvTypes>) -> Self {
        let leaders = Mutex::default();
        KvService {
            node,
            raft,
            leaders,
        }
    }

    async fn answer(&self, method: u16, body: &[u8]) -> Result<Bytes, Status> {
        match method {
            WRITE => encode(&self.write(decode(body)?).await),
            READ => encode(&self.read(decode(body)?).await),
            READ_INDEX => encode(&self.read_index().await),
            RENEW => encode(&self.renew(decode(body)?).await),
            WATCH => encode(&self.watch(decode(body)?).await),
            STATUS => encode(&Outcome::Done(self.node.status())),
            MEMBERS => encode(&self.change_members(decode(body)?).await),
            _ => Err(Status::refused(code::UNKNOWN_METHOD, "no such method")),
        }
    }

    /// The leader has no majority, or this node does not lead.
    fn refuse<T>(&self) -> Option<Outcome<T>> {
        if let Some(leader) = self.node.leader_elsewhere() {
            return Some(Outcome::NotLeader(Some(leader)));
        }
        (!self.node.net.has_quorum()).then_some(Outcome::NoQuorum)
    }

    async fn write(&self, request: Request) -> WriteOutcome {
        if let Some(refused) = self.refuse() {
            return refused;
        }
        match self.node.raft.client_write(request).await {
            Ok(written) => match written.data {
                Some(answer) => Outcome::Done(answer),
                None => Outcome::Failed("an entry without an answer".into()),
            },
            Err(error) => write_failed(&error),
        }
    }

    async fn read(&self, read: Read) -> Outcome<Found> {
        match read.consistency {
            Consistency::Linearizable => match self.confirmed_index().await {
                Outcome::Done(index) => self.node.store.wait_applied(index).await,
                Outcome::NotLeader(leader) => return Outcome::NotLeader(leader),
                Outcome::NoQuorum => return Outcome::NoQuorum,
                Outcome::Failed(why) => return Outcome::Failed(why),
            },
            Consistency::Sequential(token) => self.node.store.wait_applied(token).await,
            Consistency::Eventual => {}
        }
        Outcome::Done(self.find(&read.query))
    }

    fn find(&self, query: &Query) -> Found {
        self.node.store.read(|state| {
            let mut found = Found {
                applied_index: state.applied().index,
                records: Vec::new(),
                has_more: false,
            };
            match query {
                Query::Key(key) => {
                    let record = state.record(key).cloned();
                    found
                        .records
                        .extend(record.map(|record| (key.clone(), record)));
                }
                Query::Range { prefix, after } => {
                    let mut bytes = 0;
                    for (key, record) in state.range(prefix, after.as_deref()) {
                        if found.records.len() == RANGE_RECORDS_MAX || bytes > RANGE_BYTES_MAX {
                            found.has_more = true;
                            break;
                        }
                        bytes += key.len() + record.value.len();
                        found.records.push((key.clone(), record.clone()));
                    }
                }
            }
            found
        })
    }

    /// What must be applied before a read that began now: of this node if it leads, else of the leader.
    async fn confirmed_index(&self) -> Outcome<u64> {
        let Some(leader) = self.node.leader_elsewhere() else {
            return self.read_index().await;
        };
        let answer = match self.leader_client(&leader).await {
            Ok(client) => client.call_with(READ_INDEX, Bytes::new(), &options()).await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| {
            let mut leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
            leaders.remove(&leader);
            Outcome::NotLeader(None::<String>).because(&error)
        });
        match answer {
            Ok(body) => decode(&body).unwrap_or_else(|status: Status| Outcome::Failed(status.text)),
            Err(outcome) => outcome,
        }
    }

    async fn leader_client(&self, leader: &str) -> Result<RpcClient, RpcError> {
        let known = {
            let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
            leaders
                .get(leader)
                .filter(|client| client.is_open())
                .cloned()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let hello = self.node.net.hello();
        let client = RpcClient::connect(leader, hello, ClientConfig::default()).await?;
        let mut leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        leaders.insert(leader.to_owned(), client.clone());
        Ok(client)
    }

    async fn read_index(&self) -> Outcome<u64> {
        if let Some(refused) = self.refuse() {
            return refused;
        }
        match self.node.reads.read_log_id().await {
            Ok(read) => Outcome::Done(read.map_or(0, |read| read.index)),
            Err(error) => read_failed(&error),
        }
    }

    async fn renew(&self, renew: Renew) -> Outcome<bool> {
        if let Some(refused) = self.refuse() {
            return refused;
        }
        let tenancy = match renew {
            Renew::Lease(id) => Tenancy::Lease(id),
            Renew::Session(client) => Tenancy::Session(client),
        };
        let Ok(renewal) = self.node.store.begin_renewal(tenancy) else {
            // It may be known only to entries that are not applied here yet, or this node has just begun to lead.
            return match self.node.store.is_undecided(tenancy) {
                true => Outcome::NotLeader(None),
                false => Outcome::Done(false),
            };
        };
        match self.node.reads.read_log_id().await {
            Ok(_) => Outcome::Done(self.node.store.renew(renewal)),
            Err(error) => read_failed(&error),
        }
    }

    async fn watch(&self, watch: Watch) -> Outcome<Watched> {
        let wait = Duration::from_millis(watch.wait_ms.min(WATCH_MS_MAX));
        let waited = tokio::time::timeout(wait, async {
            loop {
                let applied = self.node.store.applied_index();
                let watched = self.node.store.events_after(&watch.prefix, watch.after);
                match &watched {
                    Watched::Events { events, .. } if events.is_empty() => {}
                    _ => return watched,
                }
                self.node.store.wait_applied(applied + 1).await;
            }
        });
        match waited.await {
            Ok(watched) => Outcome::Done(watched),
            Err(_) => Outcome::Done(self.node.store.events_after(&watch.prefix, watch.after)),
        }
    }

    async fn change_members(&self, members: Members) -> Outcome<()> {
        if let Some(refused) = self.refuse() {
            return refused;
        }
        let raft = &self.node.raft;
        let nodes = raft.metrics().borrow().membership_config.nodes().count();
        if let Some(excess) = excess(&members, nodes) {
            return Outcome::Failed(excess);
        }
        let changed = match members {
            Members::AddLearner { id, addr } => {
                raft.add_learner(id, BasicNode { addr }, true).await
            }
            Members::Change { voters } => {
                let voters = ChangeMembers::ReplaceAllVoters(voters.into_iter().collect());
                raft.change_membership(voters, false).await
            }
        };
        match changed {
            Ok(_) => Outcome::Done(()),
            Err(error) => write_failed(&error),
        }
    }
}

impl<T> Outcome<T> {
    /// Keeps it, and notes why.
    fn because(self, error: &RpcError) -> Self {
        tracing::debug!(%error, "the leader does not answer");
        self
    }
}

fn options() -> CallOptions {
    CallOptions {
        timeout: Some(PATIENCE),
        ..CallOptions::default()
    }
}

/// What is too much about a change of members. Every node applies it, and every snapshot carries them all: what is too
/// large for that must not get into the log.
fn excess(members: &Members, nodes: usize) -> Option<String> {
    match members {
        Members::AddLearner { addr, .. } if addr.len() > ADDR_BYTES_MAX => Some(format!(
            "the address of a member has {} bytes, and may have {ADDR_BYTES_MAX}",
            addr.len()
        )),
        Members::AddLearner { .. } if nodes >= MEMBERS_MAX => Some(format!(
            "there are {nodes} members, and there may be {MEMBERS_MAX}"
        )),
        Members::Change { voters } if voters.len() > MEMBERS_MAX => Some(format!(
            "{} voters are named, and there may be {MEMBERS_MAX}",
            voters.len()
        )),
        _ => None,
    }
}

fn write_failed<T>(error: &RaftError<u64, ClientWriteError<u64, BasicNode>>) -> Outcome<T> {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            let leader = forward.leader_node.as_ref();
            Outcome::NotLeader(leader.map(|leader| leader.addr.clone()))
        }
        error => Outcome::Failed(error.to_string()),
    }
}

fn read_failed<T>(error: &ReadError<KvTypes>) -> Outcome<T> {
    match error {
        RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward)) => {
            let leader = forward.leader_node.as_ref();
            Outcome::NotLeader(leader.map(|leader| leader.addr.clone()))
        }
        RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_)) => Outcome::NoQuorum,
        error => Outcome::Failed(error.to_string()),
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    let decoded = Postcard.decode(body);
    decoded.map_err(|error| Status::refused(code::MALFORMED, error.to_string()))
}

fn encode(value: &impl Serialize) -> Result<Bytes, Status> {
    let encoded = Postcard.encode(value);
    encoded.map_err(|error| Status::new(code::MALFORMED, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of megabytes was agreed on, and then no node could apply it, nor start again.
    #[test]
    fn a_change_of_members_that_no_snapshot_could_carry_is_refused() {
        let learner = |len: usize| Members::AddLearner {
            id: 9,
            addr: "x".repeat(len),
        };
        let voters = |count: u64| Members::Change {
            voters: (0..count).collect(),
        };
        for (members, nodes, is_fine) in [
            (learner(ADDR_BYTES_MAX), MEMBERS_MAX - 1, true),
            (learner(ADDR_BYTES_MAX + 1), 3, false),
            (learner(14), MEMBERS_MAX, false),
            (voters(256), MEMBERS_MAX, true),
            (voters(257), MEMBERS_MAX, false),
        ] {
            assert_eq!(
                excess(&members, nodes).is_none(),
                is_fine,
                "{members:?} of {nodes}"
            );
        }
        // With all of them in a joint configuration, twice.
        const { assert!(MEMBERS_MAX * (ADDR_BYTES_MAX + 64) < 1 << 20) };
    }
}
