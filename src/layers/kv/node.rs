//! [`KvNode`]: one node of a cluster, with everything that it is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{InitializeError, RaftError};
use openraft::{BasicNode, Raft, ServerState, SnapshotPolicy};
use tokio::task::JoinHandle;

use super::command::Request;
use super::disk::StoreError;
use super::limits::Limits;
use super::machine::{KvStore, KvTypes};
use super::protocol::{NodeStatus, REQUEST_BYTES_MAX};
use super::service::KvService;
use crate::layers::msg::tokio::RpcServer;
use crate::layers::msg::{CodecError, ServerConfig};
use crate::layers::raft::{
    OpenError, PeerIdentity, RaftNet, RaftProfile, RaftService, ReadBatcher, RedbLog,
};
use crate::tokio::{Endpoint, Listener};

/// Calls that a node answers at once; those that watch wait in one each.
const HANDLERS_MAX: usize = 1_024;

/// How long the end of a lease may take before others get their turn.
const PROPOSAL_MAX: Duration = Duration::from_secs(1);

/// How a node runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// Its number: never that of another node of this cluster, before or later.
    pub id: u64,
    /// The cluster's: chosen once, at random.
    pub cluster: u128,
    /// Where its log, its state and its snapshots are.
    pub folder: PathBuf,
    /// Its times. [`RaftProfile::lan`] by default.
    pub profile: RaftProfile,
    /// The bounds of the store: the same on all nodes, for ever.
    pub limits: Limits,
    /// Entries after which a snapshot is built. 10,000.
    pub snapshot_after: u64,
}

impl NodeConfig {
    /// The node of this number, of this cluster, with its data in this folder.
    pub fn new(cluster: u128, id: u64, folder: impl Into<PathBuf>) -> Self {
        NodeConfig {
            id,
            cluster,
            folder: folder.into(),
            profile: RaftProfile::lan(),
            limits: Limits::default(),
            snapshot_after: 10_000,
        }
    }
}

/// Why a node does not start, or does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its log does not open.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// Its state does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its number has no encoding.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The network or the disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Raft does not start, or has stopped.
    #[error("raft: {0}")]
    Raft(String),
}

/// A node that runs: Raft with its log and its state on disk, answering other nodes and clients on one address.
///
/// ```
/// use aqueduct::kv::{ClientConfig, Consistency, KvClient, KvNode, NodeConfig};
/// use aqueduct::tokio::Endpoint;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = tempfile::tempdir()?;
/// let endpoint = Endpoint::bind("127.0.0.1:0").await?;
/// let address = endpoint.local_addr()?.to_string();
/// let node = KvNode::start(endpoint, NodeConfig::new(0xA9, 1, folder.path())).await?;
/// node.initialize([(1, address.clone())].into()).await?;
///
/// let client = KvClient::connect(vec![address], ClientConfig::new(0xA9)).await?;
/// client.put("color", "red").await?;
/// let found = client.get("color", Consistency::Linearizable).await?;
/// assert_eq!(found.map(|record| record.value), Some("red".into()));
/// node.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub struct KvNode {
    shared: Arc<NodeShared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the node's tasks and handlers share.
pub(super) struct NodeShared {
    pub(super) id: u64,
    pub(super) raft: Raft<KvTypes>,
    pub(super) store: KvStore,
    pub(super) net: RaftNet<KvTypes>,
    pub(super) reads: ReadBatcher<KvTypes>,
}

impl KvNode {
    /// Starts a node at this endpoint.
    ///
    /// # Errors
    /// [`NodeError`]; with one, nothing runs.
    pub async fn start(endpoint: Endpoint, config: NodeConfig) -> Result<Self, NodeError> {
        let me = PeerIdentity::of(config.cluster, &config.id)?;
        let store = KvStore::open(config.folder.join("state"), &me, config.limits)?;
        let log = RedbLog::open(config.folder.join("log.redb"), &me)?;
        let listener = endpoint.listen()?;
        let net = RaftNet::builder(endpoint, me).profile(&config.profile);
        let net = net.build()?;
        let mut times = config.profile.config("kv").map_err(raft)?;
        times.snapshot_policy = SnapshotPolicy::LogsSinceLast(config.snapshot_after);
        let machine = store.clone();
        let raft = Raft::new(config.id, Arc::new(times), net.clone(), log, machine)
            .await
            .map_err(raft_failed)?;
        let reads = ReadBatcher::new(raft.clone());
        let shared = Arc::new(NodeShared {
            id: config.id,
            raft,
            store,
            net,
            reads,
        });
        let tasks = vec![
            tokio::spawn(serve(Arc::clone(&shared), listener)),
            tokio::spawn(lead(Arc::clone(&shared))),
        ];
        Ok(KvNode { shared, tasks })
    }

    /// Makes these nodes a cluster: for one node, once. Where it was done before, nothing is.
    ///
    /// # Errors
    /// [`NodeError::Raft`].
    pub async fn initialize(&self, nodes: BTreeMap<u64, String>) -> Result<(), NodeError> {
        let nodes = nodes.into_iter();
        let nodes: BTreeMap<_, _> = nodes.map(|(id, addr)| (id, BasicNode { addr })).collect();
        match self.shared.raft.initialize(nodes).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(raft(error)),
        }
    }

    /// Its state, to be read without asking anybody.
    pub fn store(&self) -> &KvStore {
        &self.shared.store
    }

    /// Its Raft.
    pub fn raft(&self) -> &Raft<KvTypes> {
        &self.shared.raft
    }

    /// What it says of itself.
    pub fn status(&self) -> NodeStatus {
        self.shared.status()
    }

    /// Ends it: what was acknowledged is on the disk.
    ///
    /// # Errors
    /// [`NodeError::Raft`] if Raft had failed.
    pub async fn shutdown(self) -> Result<(), NodeError> {
        let ended = self.shared.raft.shutdown().await;
        ended.map_err(raft)
    }
}

impl Drop for KvNode {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl fmt::Debug for KvNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvNode")
            .field("id", &self.shared.id)
            .finish_non_exhaustive()
    }
}

impl NodeShared {
    pub(super) fn status(&self) -> NodeStatus {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let nodes = membership.nodes();
        NodeStatus {
            id: self.id,
            state: format!("{:?}", metrics.state),
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log_index: metrics.last_log_index,
            applied_index: self.store.applied_index(),
            snapshot_index: metrics.snapshot.map(|id| id.index),
            voters: membership.voter_ids().collect(),
            nodes: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
            has_quorum: self.net.has_quorum(),
            records: self
                .store
                .read(|state| u64::try_from(state.records()).unwrap_or(u64::MAX)),
        }
    }

    /// Where the leader is, unless it is this node.
    pub(super) fn leader_elsewhere(&self) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let leader = metrics.current_leader.filter(|leader| *leader != self.id)?;
        let membership = metrics.membership_config.membership();
        membership.get_node(&leader).map(|node| node.addr.clone())
    }
}

async fn serve(shared: Arc<NodeShared>, listener: Listener) {
    let raft: RaftService<KvTypes> = shared.net.service(shared.raft.clone());
    let hello = shared.net.hello();
    let config = ServerConfig {
        threads: HANDLERS_MAX,
        request_max: REQUEST_BYTES_MAX,
        ..ServerConfig::default()
    };
    let server = RpcServer::with_service(hello, config, KvService::new(shared, raft));
    if let Err(error) = server.serve(&listener).await {
        tracing::warn!(%error, "the node takes no more connections");
    }
}

/// Keeps the deadlines while this node leads: gives all leases their full time when it begins, proposes the end of what has run out.
async fn lead(shared: Arc<NodeShared>) {
    let mut metrics = shared.raft.metrics();
    loop {
        let (state, term) = {
            let metrics = metrics.borrow_and_update();
            (metrics.state, metrics.current_term)
        };
        let leads = (state == ServerState::Leader).then_some(term);
        let expired = shared.store.lead(leads);
        for cmd in expired {
            let proposal = shared.raft.client_write(Request::without_session(cmd));
            // What is not committed by then is proposed again; it is void once another leads.
            let proposed = tokio::time::timeout(PROPOSAL_MAX, proposal).await;
            if !matches!(proposed, Ok(Ok(_))) {
                break;
            }
        }
        let due = shared.store.until_expiry();
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(due) => {}
        }
    }
}

fn raft(error: impl fmt::Display) -> NodeError {
    NodeError::Raft(error.to_string())
}

fn raft_failed(error: openraft::error::Fatal<u64>) -> NodeError {
    raft(error)
}
