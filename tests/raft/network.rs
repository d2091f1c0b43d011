//! R2: what openraft is told when a call fails; each row of the table against a peer that behaves so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aqueduct::msg::tokio::{CallCx, RpcServer};
use aqueduct::msg::{Hello, ServerConfig, Status};
use aqueduct::raft::{PeerIdentity, RaftNet, RaftPeer};
use aqueduct::tokio::{Endpoint, Listener};
use bytes::Bytes;
use openraft::error::{RPCError, RaftError};
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::testing::log_id;
use openraft::{BasicNode, Entry, EntryPayload, RaftNetwork, RaftNetworkFactory, Vote};

use crate::faulty_disk::FaultyDisk;
use crate::node::{Cuts, Node};
use crate::support::relay::{Impairment, Relay};
use crate::{Types, block_on, identity};

type Failed = RPCError<u64, BasicNode, RaftError<u64>>;

/// Time for a call; a quarter is openraft's.
const TTL: Duration = Duration::from_millis(800);

async fn net(me: PeerIdentity) -> RaftNet<Types> {
    let endpoint = Endpoint::bind("127.0.0.1:0").await.unwrap();
    let builder = RaftNet::<Types>::builder(endpoint, me).append_bytes_max(100_000);
    builder.build().unwrap()
}

async fn peer_at(net: &RaftNet<Types>, addr: impl ToString) -> RaftPeer<Types> {
    net.clone().new_client(2, &BasicNode::new(addr)).await
}

async fn heartbeat(peer: &mut RaftPeer<Types>) -> Result<AppendEntriesResponse<u64>, Failed> {
    append(peer, Vec::new(), TTL).await
}

async fn append(
    peer: &mut RaftPeer<Types>,
    entries: Vec<Entry<Types>>,
    ttl: Duration,
) -> Result<AppendEntriesResponse<u64>, Failed> {
    let request = AppendEntriesRequest {
        vote: Vote::new_committed(1, 1),
        prev_log_id: entries
            .first()
            .and_then(|entry| Some(log_id(1, 1, entry.log_id.index.checked_sub(1)?))),
        entries,
        leader_commit: None,
    };
    peer.append_entries(request, RPCOption::new(ttl)).await
}

async fn vote(peer: &mut RaftPeer<Types>) -> Result<VoteResponse<u64>, Failed> {
    let request = VoteRequest::new(Vote::new(1, 1), None);
    peer.vote(request, RPCOption::new(TTL)).await
}

/// What a call was answered, and its text.
#[track_caller]
fn unreachable<T: std::fmt::Debug>(result: Result<T, Failed>) -> String {
    let error = result.expect_err("it fails");
    assert!(matches!(error, RPCError::Unreachable(_)), "{error:?}");
    error.to_string()
}

/// Serves calls as this node, by a function.
async fn fake<A>(
    hello: Hello,
    function: impl Fn(CallCx, Bytes) -> A + Send + Sync + 'static,
) -> std::net::SocketAddr
where
    A: Future<Output = Result<Bytes, Status>> + Send + 'static,
{
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = RpcServer::new(hello, ServerConfig::default(), function);
    tokio::spawn(async move { server.serve(&listener).await });
    addr
}

async fn hello_of(node: u64) -> Hello {
    net(identity(node)).await.hello()
}

#[test]
fn r2_nobody_listens_or_no_such_name_is_unreachable() {
    block_on(async {
        let net = net(identity(1)).await;
        let closed = Endpoint::bind("127.0.0.1:0").await.unwrap();
        let closed = closed.local_addr().unwrap();
        let mut peer = peer_at(&net, closed).await;
        unreachable(vote(&mut peer).await);
        let mut peer = peer_at(&net, "no-such-host.invalid:7001").await;
        println!("{}", unreachable(heartbeat(&mut peer).await));
    });
}

#[test]
fn r2_another_node_cluster_or_version_is_refused_before_anything_is_said() {
    block_on(async {
        let net = net(identity(1)).await;
        let said = Arc::new(AtomicUsize::new(0));
        let right = hello_of(2).await;
        let wrong_node = hello_of(3).await;
        let wrong_cluster = Hello {
            cluster: 7,
            ..right.clone()
        };
        let wrong_wire = Hello {
            wire: right.wire ^ 0x0100,
            ..right.clone()
        };
        for (hello, word) in [
            (wrong_node, "node"),
            (wrong_cluster, "cluster"),
            (wrong_wire, "version"),
        ] {
            let said = said.clone();
            let addr = fake(hello, move |_, body| {
                said.fetch_add(1, Ordering::SeqCst);
                async move { Ok(body) }
            });
            let mut peer = peer_at(&net, addr.await).await;
            let text = unreachable(vote(&mut peer).await);
            println!("{text}");
            assert!(text.contains(word), "{text}");
        }
        assert_eq!(said.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn r2_a_slow_peer_is_a_timeout_keeps_its_connection_and_loses_it_at_the_third() {
    block_on(async {
        let net = net(identity(1)).await;
        let addr = fake(hello_of(2).await, |cx, _| async move {
            cx.cancelled().await;
            Err(Status::new(256, "too late"))
        });
        let mut peer = peer_at(&net, addr.await).await;
        for round in 0..2 {
            for missed in 1..=3_u32 {
                let error = heartbeat(&mut peer).await.expect_err("it does not answer");
                assert!(matches!(error, RPCError::Timeout(_)), "{error:?}");
                let health = net.peer_health(&2).unwrap();
                assert_eq!(health.control.opened, round + 1);
                assert_eq!(health.control.missed, missed % 3);
                assert_eq!(health.control.is_open, missed < 3);
            }
        }
    });
}

#[test]
fn r21_a_black_hole_is_unreachable_and_calls_go_on_when_it_is_gone() {
    block_on(async {
        let net = net(identity(1)).await;
        let node = Node::start(2, None, FaultyDisk::default(), &Cuts::default()).await;
        let relay = Relay::start(node.addr, Impairment::default());
        let mut peer = peer_at(&net, relay.addr()).await;
        vote(&mut peer).await.unwrap();
        relay.cut(true);
        let begun = net.peer_health(&2).unwrap().control.opened;
        println!("{}", unreachable(vote(&mut peer).await));
        unreachable(vote(&mut peer).await);
        relay.cut(false);
        // The handshake that goes on, or the next one, succeeds.
        let healed = async {
            while let Err(error) = vote(&mut peer).await {
                assert!(matches!(error, RPCError::Unreachable(_)), "{error:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), healed)
            .await
            .expect("it heals");
        assert!(net.peer_health(&2).unwrap().control.opened > begun);
    });
}

#[test]
fn r16_doubled_reordered_and_damaged_packets_do_no_harm() {
    block_on(async {
        let net = net(identity(1)).await;
        let node = Node::start(2, None, FaultyDisk::default(), &Cuts::default()).await;
        let relay = Relay::start(
            node.addr,
            Impairment {
                loss: 0.05,
                duplicate: 0.1,
                reorder: 0.1,
                corrupt: 0.02,
                seed: 16,
            },
        );
        let mut peer = peer_at(&net, relay.addr()).await;
        let mut done = 0;
        for _ in 0..200 {
            done += usize::from(vote(&mut peer).await.is_ok());
        }
        println!("{done} of 200 answered in time");
        assert!(done > 100, "{done}");
    });
}

#[test]
fn r2_a_peer_whose_raft_has_stopped_is_unreachable_and_counted() {
    block_on(async {
        let net = net(identity(1)).await;
        let node = Node::start(2, None, FaultyDisk::default(), &Cuts::default()).await;
        let mut peer = peer_at(&net, node.addr).await;
        vote(&mut peer).await.unwrap();
        node.raft.shutdown().await.unwrap();
        let text = unreachable(heartbeat(&mut peer).await);
        assert!(text.contains("Fatal"), "{text}");
        assert_eq!(net.peer_health(&2).unwrap().faults, 1);
    });
}

#[test]
fn r2_a_peer_that_restarts_is_a_network_error_at_most_and_found_again() {
    block_on(async {
        let net = net(identity(1)).await;
        let cuts = Cuts::default();
        let node = Node::start(2, None, FaultyDisk::default(), &cuts).await;
        let mut peer = peer_at(&net, node.addr).await;
        vote(&mut peer).await.unwrap();
        let life = net.peer_health(&2).unwrap().incarnation;
        let (addr, disk) = node.stop().await;
        let node = Node::start(2, Some(addr), disk, &cuts).await;
        let mut errors = Vec::new();
        let found = async {
            while let Err(error) = vote(&mut peer).await {
                errors.push(error);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found)
            .await
            .expect("it is found again");
        let network = errors
            .iter()
            .filter(|error| matches!(error, RPCError::Network(_)));
        assert!(network.count() <= 1, "{errors:?}");
        assert_ne!(net.peer_health(&2).unwrap().incarnation, life);
        drop(node);
    });
}

#[test]
fn r2_a_body_over_the_budget_is_cut_but_one_entry_is_always_sent() {
    block_on(async {
        let net = net(identity(1)).await;
        let node = Node::start(2, None, FaultyDisk::default(), &Cuts::default()).await;
        let mut peer = peer_at(&net, node.addr).await;
        let large = |index| Entry::<Types> {
            log_id: log_id(1, 1, index),
            payload: EntryPayload::Normal("x".repeat(40_000)),
        };
        let ttl = Duration::from_secs(20);
        let entries = (0..10).map(large).collect();
        let error = append(&mut peer, entries, ttl).await.expect_err("too much");
        let RPCError::PayloadTooLarge(too_large) = error else {
            panic!("{error:?}");
        };
        assert_eq!(too_large.entries_hint(), 2);
        let entries = (0..2).map(large).collect();
        append(&mut peer, entries, ttl).await.unwrap();
        // One of twenty megabytes: longer than a frame, and than the layer's usual requests.
        let huge = Entry::<Types> {
            log_id: log_id(1, 1, 2),
            payload: EntryPayload::Normal("y".repeat(20 << 20)),
        };
        append(&mut peer, vec![huge], ttl).await.unwrap();
        let health = net.peer_health(&2).unwrap();
        assert!(health.log.is_open && !health.control.is_open, "{health:?}");
    });
}
