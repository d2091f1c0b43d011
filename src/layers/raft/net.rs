//! [`RaftNet`]: what openraft says to other nodes, over aqueduct.
//!
//! To each peer there are three connections over the endpoint's one UDP socket, opened when they are wanted: for votes and empty
//! appends, for appends with entries, and for snapshots, so that a heartbeat never waits behind a megabyte. Names are looked up at each
//! opening. In HELLO each side says which node of which cluster it is, and which version of the messages it has; the wrong one is
//! refused before anything is said.

mod budget;
mod connection;
mod peer;
mod snapshot;
mod verdict;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::metrics::RaftDataMetrics;
use openraft::{BasicNode, Raft, RaftNetworkFactory, RaftTypeConfig};
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};
use tokio::sync::watch;

use self::connection::Target;
use self::peer::Peer;
pub use self::peer::{ClassHealth, PeerHealth, RaftPeer};
use super::wire::{Head, wire_version};
use super::{PeerIdentity, QuorumGuard, RaftProfile, RaftServer, RaftService};
use crate::layers::msg::{ClientConfig, Codec, CodecError, Hello, Postcard, ServerConfig};
use crate::layers::task_clock::TaskClock;
use crate::tokio::{Endpoint, Listener};

/// The first pause between attempts to reach a peer.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest: whoever comes back is found within it.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The address in a node's record. Users with a node type of their own implement it.
pub trait NodeAddr {
    /// Host and port, as `ToSocketAddrs` takes them: `"n1.example:7001"`, `"[::1]:7001"`.
    fn addr(&self) -> Cow<'_, str>;
}

impl NodeAddr for BasicNode {
    fn addr(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.addr)
    }
}

/// How a net behaves.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) group: u64,
    pub(super) append_bytes_max: usize,
    pub(super) request_bytes_max: usize,
    pub(super) connect_timeout: Duration,
    pub(super) snapshot_idle: Duration,
    pub(super) snapshot_install: Duration,
    election_max: Duration,
    seed: u64,
}

/// Prepares a [`RaftNet`].
pub struct RaftNetBuilder<C: RaftTypeConfig> {
    endpoint: Endpoint,
    me: PeerIdentity,
    settings: Settings,
    types: PhantomData<fn() -> C>,
}

impl<C: RaftTypeConfig> fmt::Debug for RaftNetBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftNetBuilder")
            .field("me", &self.me)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> RaftNetBuilder<C> {
    /// The group that this Raft is, of several that share the nodes. Default 0.
    pub fn group(mut self, group: u64) -> Self {
        self.settings.group = group;
        self
    }

    /// The cluster's times: the quorum guard needs its longest election timeout. Default [`RaftProfile::lan`].
    pub fn profile(mut self, profile: &RaftProfile) -> Self {
        self.settings.election_max = profile.election_max;
        self
    }

    /// Bytes of entries in one append, at most; a single entry may be longer. Default 1 MiB, at least 64 KiB.
    pub fn append_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.append_bytes_max = bytes;
        self
    }

    /// The longest request that is taken of a peer, bytes: the longest entry must fit. Default 64 MiB.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.request_bytes_max = bytes;
        self
    }

    /// For a connection to be opened, with looking its name up. Default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// How long a snapshot may stand still, and how long it may take to be installed once it is there. Default 10 s, 60 s.
    pub fn snapshot_timeouts(mut self, idle: Duration, install: Duration) -> Self {
        self.settings.snapshot_idle = idle;
        self.settings.snapshot_install = install;
        self
    }

    /// Where the chance in the pauses between attempts comes from, and this node's incarnation: for simulations. By default the
    /// operating system is asked.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The net.
    ///
    /// # Errors
    /// [`CodecError`] if the identity names no node id of this type configuration.
    ///
    /// # Panics
    /// Outside of a runtime whose time is stopped.
    pub fn build(self) -> Result<RaftNet<C>, CodecError> {
        let id: C::NodeId = Postcard.decode(&self.me.node)?;
        let shared = Shared {
            guard: Mutex::new(QuorumGuard::new(self.settings.election_max)),
            quorum: Mutex::new(None),
            peers: Mutex::new(BTreeMap::new()),
            clock: TaskClock::start(),
            endpoint: self.endpoint,
            me: self.me,
            id,
            settings: self.settings,
        };
        Ok(RaftNet {
            shared: Arc::new(shared),
        })
    }
}

/// The network of one node: openraft's `RaftNetworkFactory`. A handle: clones share the connections.
///
/// ```no_run
/// use aqueduct::raft::{PeerIdentity, RaftNet, RaftProfile, RedbLog};
/// use aqueduct::tokio::Endpoint;
/// use openraft::{BasicNode, Raft};
/// use std::io::Cursor;
/// use std::sync::Arc;
///
/// openraft::declare_raft_types!(pub Types: D = String, R = String, NodeId = u64, Node = BasicNode);
///
/// # async fn start<M: openraft::storage::RaftStateMachine<Types>>(machine: M) -> Result<(), Box<dyn std::error::Error>> {
/// let me = PeerIdentity::of(0xA9, &1_u64)?;
/// let profile = RaftProfile::lan();
/// let endpoint = Endpoint::bind("0.0.0.0:7001").await?;
/// let listener = endpoint.listen()?;
/// let net = RaftNet::<Types>::builder(endpoint, me.clone()).profile(&profile).build()?;
/// let log = RedbLog::open("n1/log.redb", &me)?;
/// let config = Arc::new(profile.config("orders")?);
/// let raft = Raft::new(1, config, net.clone(), log, machine).await?;
/// let _server = net.serve(listener, raft.clone());
/// # Ok(())
/// # }
/// ```
pub struct RaftNet<C: RaftTypeConfig> {
    shared: Arc<Shared<C>>,
}

pub(super) struct Shared<C: RaftTypeConfig> {
    endpoint: Endpoint,
    pub(super) me: PeerIdentity,
    id: C::NodeId,
    pub(super) settings: Settings,
    clock: TaskClock,
    guard: Mutex<QuorumGuard>,
    /// What this node's own Raft says of its quorum, once it runs.
    quorum: Mutex<Option<watch::Receiver<RaftDataMetrics<C::NodeId>>>>,
    peers: Mutex<BTreeMap<C::NodeId, Arc<Peer>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C: RaftTypeConfig> RaftNet<C> {
    /// Begins a net of the node `me`, over an endpoint that it may share with others.
    pub fn builder(endpoint: Endpoint, me: PeerIdentity) -> RaftNetBuilder<C> {
        let mut seed = [0; 8];
        // Without chance the pauses are in step, which is slower and no harm.
        let _ = getrandom::fill(&mut seed);
        let lan = RaftProfile::lan();
        RaftNetBuilder {
            endpoint,
            me,
            settings: Settings {
                group: 0,
                append_bytes_max: 1 << 20,
                request_bytes_max: 64 << 20,
                connect_timeout: Duration::from_secs(5),
                snapshot_idle: Duration::from_secs(10),
                snapshot_install: Duration::from_secs(60),
                election_max: lan.election_max,
                seed: u64::from_ne_bytes(seed),
            },
            types: PhantomData,
        }
    }

    /// What this node says of itself when it is connected to. Whoever serves other calls on the same listener says the same.
    pub fn hello(&self) -> Hello {
        let shared = &self.shared;
        Hello {
            cluster: shared.me.cluster,
            node: shared.me.node.clone(),
            incarnation: shared.settings.seed,
            wire: wire_version::<C::NodeId>(),
            service: "raft".to_owned(),
            ..Hello::default()
        }
    }

    /// Answers for this node's Raft, as a [`Service`](crate::msg::tokio::Service) that a server may share with others: it takes the
    /// methods for which [`RaftService::takes`] is true. The Raft's quorum is watched from now on.
    pub fn service(&self, raft: Raft<C>) -> RaftService<C> {
        *lock(&self.shared.quorum) = Some(raft.data_metrics());
        RaftService::new(self.shared.settings.clone(), raft)
    }

    /// Serves a listener until what is returned is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(&self, listener: Listener, raft: Raft<C>) -> RaftServer
    where
        C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
    {
        let config = ServerConfig {
            request_max: self.shared.settings.request_bytes_max,
            body_timeout: self.shared.settings.snapshot_idle,
            ..ServerConfig::default()
        };
        RaftServer::start(listener, self.hello(), config, self.service(raft))
    }

    /// Whether a quorum answers this node, or it does not lead: with `false` writes and reads should be refused at once, for they would
    /// be in vain, and keep others from electing a leader.
    pub fn has_quorum(&self) -> bool {
        self.shared.may_speak();
        lock(&self.shared.guard).has_quorum()
    }

    /// What is known of a peer; `None` if openraft has not spoken to it yet.
    pub fn peer_health(&self, id: &C::NodeId) -> Option<PeerHealth> {
        lock(&self.shared.peers).get(id).map(|peer| peer.health())
    }

    /// Closes the connections to a node that has left the cluster, once the calls under way are over.
    pub fn forget(&self, id: &C::NodeId) {
        lock(&self.shared.peers).remove(id);
    }
}

impl<C: RaftTypeConfig> Shared<C> {
    pub(super) fn head(&self) -> Head {
        Head {
            group: self.settings.group,
            wire: wire_version::<C::NodeId>(),
        }
    }

    /// Whether the quorum guard lets this node speak as a leader.
    fn may_speak(&self) -> bool {
        let since_quorum = lock(&self.quorum).as_ref().and_then(|quorum| {
            let millis = quorum.borrow().millis_since_quorum_ack;
            millis.map(Duration::from_millis)
        });
        lock(&self.guard).may_speak(self.clock.now(), since_quorum)
    }

    /// The connections to a node; those to an address where it is no more are dropped.
    fn peer(&self, id: &C::NodeId, addr: &str) -> Arc<Peer> {
        let mut peers = lock(&self.peers);
        if let Some(peer) = peers.get(id).filter(|peer| peer.addr() == addr) {
            return peer.clone();
        }
        let node = PeerIdentity::of(self.me.cluster, id);
        let hello = Hello {
            cluster: self.me.cluster,
            node: self.me.node.clone(),
            // An id that cannot be named is nobody's: whoever answers refuses.
            expect_node: node.map_or_else(|_| vec![0xff; 64].into(), |node| node.node),
            incarnation: self.settings.seed,
            wire: wire_version::<C::NodeId>(),
            service: "raft".to_owned(),
            ..Hello::default()
        };
        let target = Target {
            endpoint: self.endpoint.clone(),
            addr: addr.to_owned(),
            hello,
            config: ClientConfig {
                hello_timeout: self.settings.connect_timeout,
                ..ClientConfig::default()
            },
            connect_timeout: self.settings.connect_timeout,
        };
        let seed = self.settings.seed ^ u64::from(crc32c::crc32c(&target.hello.expect_node));
        let peer = Peer::new(target, self.clock, seed, self.settings.append_bytes_max);
        let peer = Arc::new(peer);
        peers.insert(id.clone(), peer.clone());
        peer
    }
}

impl<C: RaftTypeConfig> Clone for RaftNet<C> {
    fn clone(&self) -> Self {
        RaftNet {
            shared: self.shared.clone(),
        }
    }
}

impl<C: RaftTypeConfig> fmt::Debug for RaftNet<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftNet")
            .field("me", &self.shared.me)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl<C> RaftNetworkFactory<C> for RaftNet<C>
where
    C: RaftTypeConfig,
    C::Node: NodeAddr,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
{
    type Network = RaftPeer<C>;

    /// Costs nothing: the connections are shared, and opened when they are wanted.
    async fn new_client(&mut self, target: C::NodeId, node: &C::Node) -> RaftPeer<C> {
        let peer = self.shared.peer(&target, &node.addr());
        RaftPeer::new(self.shared.clone(), target, peer)
    }
}
