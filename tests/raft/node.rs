//! A node in this process: endpoint, net, log, machine and Raft; and a net between nodes in which links can be cut.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aqueduct::raft::{LogConfig, RaftNet, RaftPeer, RaftProfile, RaftServer, RedbLog};
use aqueduct::tokio::Endpoint;
use openraft::error::{
    Fatal, InstallSnapshotError, RPCError, RaftError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{
    AnyError, BasicNode, Config, OptionalSend, Raft, RaftNetwork, RaftNetworkFactory, Snapshot,
    SnapshotPolicy, Vote,
};

use crate::faulty_disk::FaultyDisk;
use crate::machine::Machine;
use crate::{Types, identity};

/// No step of a cluster takes longer; nothing is asserted about how long it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Times for a machine that has other things to do.
pub(crate) fn profile() -> RaftProfile {
    RaftProfile::from_measured(Duration::ZERO, Duration::from_millis(120))
}

pub(crate) fn config() -> Arc<Config> {
    Arc::new(Config {
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..profile().config("test").unwrap()
    })
}

/// Links from one node to another over which nothing goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts(Arc<Mutex<BTreeSet<(u64, u64)>>>);

impl Cuts {
    pub(crate) fn cut(&self, a: u64, b: u64) {
        let mut cuts = self.0.lock().unwrap();
        cuts.extend([(a, b), (b, a)]);
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().clear();
    }

    fn check(&self, from: u64, to: u64) -> Result<(), Unreachable> {
        if self.0.lock().unwrap().contains(&(from, to)) {
            return Err(Unreachable::new(&AnyError::error("the link is cut")));
        }
        Ok(())
    }
}

/// The node's net, with links that may be cut.
pub(crate) struct CutNet {
    net: RaftNet<Types>,
    me: u64,
    cuts: Cuts,
}

pub(crate) struct CutPeer {
    peer: RaftPeer<Types>,
    link: (u64, u64),
    cuts: Cuts,
}

impl RaftNetworkFactory<Types> for CutNet {
    type Network = CutPeer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> CutPeer {
        CutPeer {
            peer: self.net.new_client(target, node).await,
            link: (self.me, target),
            cuts: self.cuts.clone(),
        }
    }
}

type Rpc<T, E = RaftError<u64>> = Result<T, RPCError<u64, BasicNode, E>>;

impl RaftNetwork<Types> for CutPeer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<u64>> {
        self.cuts.check(self.link.0, self.link.1)?;
        self.peer.append_entries(rpc, option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Rpc<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>> {
        self.cuts.check(self.link.0, self.link.1)?;
        self.peer.install_snapshot(rpc, option).await
    }

    async fn vote(&mut self, rpc: VoteRequest<u64>, option: RPCOption) -> Rpc<VoteResponse<u64>> {
        self.cuts.check(self.link.0, self.link.1)?;
        self.peer.vote(rpc, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<u64>,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        self.cuts.check(self.link.0, self.link.1)?;
        self.peer
            .full_snapshot(vote, snapshot, cancel, option)
            .await
    }

    fn backoff(&self) -> Backoff {
        self.peer.backoff()
    }
}

/// A node that runs. Dropped, it is gone without a word to its Raft.
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) disk: FaultyDisk,
    pub(crate) machine: Machine,
    pub(crate) net: RaftNet<Types>,
    pub(crate) raft: Raft<Types>,
    _server: RaftServer,
}

impl Node {
    /// Starts a node on a disk, at an address of its own or the one that it had.
    pub(crate) async fn start(
        id: u64,
        addr: Option<SocketAddr>,
        disk: FaultyDisk,
        cuts: &Cuts,
    ) -> Node {
        let endpoint = bind(addr).await;
        let addr = endpoint.local_addr().unwrap();
        let listener = endpoint.listen().unwrap();
        let builder = RaftNet::<Types>::builder(endpoint, identity(id)).profile(&profile());
        let net = builder.build().unwrap();
        let log = RedbLog::open_backend(disk.clone(), None, &identity(id), &LogConfig::default());
        let machine = Machine::default();
        let cut_net = CutNet {
            net: net.clone(),
            me: id,
            cuts: cuts.clone(),
        };
        let raft = Raft::new(id, config(), cut_net, log.unwrap(), machine.clone());
        let raft = raft.await.unwrap();
        let server = net.serve(listener, raft.clone());
        Node {
            id,
            addr,
            disk,
            machine,
            net,
            raft,
            _server: server,
        }
    }

    /// Stops it; what is left is its address and its disk.
    pub(crate) async fn stop(self) -> (SocketAddr, FaultyDisk) {
        self.raft.shutdown().await.unwrap();
        (self.addr, self.disk.clone())
    }

    /// Waits until the machine holds these strings.
    pub(crate) async fn has(&self, strings: &[String]) {
        let looks = tokio::time::timeout(PATIENCE, async {
            let mut metrics = self.raft.metrics();
            while self.machine.strings() != strings {
                metrics.changed().await.unwrap();
            }
        });
        if looks.await.is_err() {
            let found = self.machine.strings().len();
            let metrics = self.raft.metrics().borrow().clone();
            panic!(
                "node {} has {found} of {} strings: {metrics}",
                self.id,
                strings.len()
            );
        }
    }
}

async fn bind(addr: Option<SocketAddr>) -> Endpoint {
    let Some(addr) = addr else {
        return Endpoint::bind("127.0.0.1:0").await.unwrap();
    };
    // What the node that stopped had open goes within some turns of the runtime.
    for _ in 0..2_000 {
        match Endpoint::bind(addr).await {
            Ok(endpoint) => return endpoint,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the address is not let go");
}
