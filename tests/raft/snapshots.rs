//! R13: snapshots, on their way and at their end.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use aqueduct::msg::tokio::{BodyReader, CallCx, Reply, RpcClient, RpcServer, Service};
use aqueduct::msg::{CallOptions, ClientConfig, ServerConfig, Status};
use aqueduct::raft::{RaftNet, SNAPSHOT};
use aqueduct::tokio::{Endpoint, Listener};
use bytes::Bytes;
use openraft::error::{ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::storage::Snapshot;
use openraft::testing::log_id;
use openraft::{BasicNode, RaftNetwork, RaftNetworkFactory, SnapshotMeta, Vote};
use tokio::sync::Notify;

use crate::cluster::{cluster, leader, write};
use crate::faulty_disk::FaultyDisk;
use crate::node::{Cuts, Node, PATIENCE};
use crate::{Types, block_on, identity};

#[test]
fn r13_a_follower_whose_log_was_purged_gets_a_snapshot() {
    block_on(async {
        let cuts = Cuts::default();
        let mut nodes = cluster(3, &cuts).await;
        let mut written = Vec::new();
        write(&nodes, 5, &mut written).await;
        let at = leader(&nodes).await;
        let lagging = nodes.remove((at + 1) % 3);
        let id = lagging.id;
        let (addr, disk) = lagging.stop().await;
        write(&nodes, 20, &mut written).await;
        // Some megabytes.
        for number in 0..40 {
            let string = format!("{number}{}", "z".repeat(100_000));
            let at = leader(&nodes).await;
            nodes[at].raft.client_write(string.clone()).await.unwrap();
            written.push(string);
        }
        for node in &nodes {
            node.has(&written).await;
            node.raft.trigger().snapshot().await.unwrap();
            let last = node.raft.metrics().borrow().last_applied.unwrap();
            let wait = node.raft.wait(Some(PATIENCE));
            wait.snapshot(last, "a snapshot").await.unwrap();
            node.raft.trigger().purge_log(last.index).await.unwrap();
            let wait = node.raft.wait(Some(PATIENCE));
            wait.purged(Some(last), "purged").await.unwrap();
        }
        let node = Node::start(id, Some(addr), disk, &cuts).await;
        node.has(&written).await;
        let snapshot = node.raft.metrics().borrow().snapshot;
        assert!(snapshot.is_some(), "it came as a snapshot");
    });
}

fn snapshot(bytes: usize) -> Snapshot<Types> {
    Snapshot {
        meta: SnapshotMeta {
            last_log_id: Some(log_id(1, 1, 9)),
            snapshot_id: "9".to_owned(),
            ..SnapshotMeta::default()
        },
        snapshot: Box::new(Cursor::new(vec![7; bytes])),
    }
}

/// A node that reads nothing, and says when somebody has begun and has given up.
#[derive(Clone, Default)]
struct Deaf {
    begun: Arc<Notify>,
    given_up: Arc<Notify>,
}

impl Service for Deaf {
    async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        self.begun.notify_one();
        cx.cancelled().await;
        drop(body);
        self.given_up.notify_one();
        Err(Status::new(256, "nobody waits"))
    }
}

async fn net_with_deaf_peer(deaf: Deaf) -> (RaftNet<Types>, BasicNode) {
    let build = async |node| {
        let endpoint = Endpoint::bind("127.0.0.1:0").await.unwrap();
        let idle = Duration::from_millis(300);
        let builder =
            RaftNet::<Types>::builder(endpoint, identity(node)).snapshot_timeouts(idle, idle);
        builder.build().unwrap()
    };
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let hello = build(2).await.hello();
    let server = RpcServer::with_service(hello, ServerConfig::default(), deaf);
    tokio::spawn(async move { server.serve(&listener).await });
    (build(1).await, BasicNode::new(addr))
}

#[test]
fn r2_a_snapshot_that_stands_still_is_a_timeout() {
    block_on(async {
        let (mut net, node) = net_with_deaf_peer(Deaf::default()).await;
        let mut peer = net.new_client(2, &node).await;
        let option = RPCOption::new(Duration::from_millis(100));
        let never = std::future::pending::<ReplicationClosed>();
        let sent = peer.full_snapshot(Vote::new_committed(1, 1), snapshot(8 << 20), never, option);
        let error = sent.await.expect_err("nobody reads it");
        assert!(matches!(error, StreamingError::Timeout(_)), "{error:?}");
    });
}

#[test]
fn r2_a_snapshot_that_is_cancelled_is_closed_and_the_receiver_hears_it() {
    block_on(async {
        let deaf = Deaf::default();
        let (mut net, node) = net_with_deaf_peer(deaf.clone()).await;
        let mut peer = net.new_client(2, &node).await;
        let option = RPCOption::new(Duration::from_secs(1_000));
        let begun = deaf.begun.clone();
        let cancel = async move {
            begun.notified().await;
            ReplicationClosed::new("no leader any more")
        };
        let sent = peer.full_snapshot(Vote::new_committed(1, 1), snapshot(8 << 20), cancel, option);
        let error = sent.await.expect_err("it is cancelled");
        assert!(matches!(error, StreamingError::Closed(_)), "{error:?}");
        tokio::time::timeout(PATIENCE, deaf.given_up.notified())
            .await
            .expect("the receiver hears it");
    });
}

/// The bytes of a snapshot call: what is documented, with data and end as given.
fn call_of(data: &[u8], sum: u32, bytes: u64) -> Vec<u8> {
    let snapshot = snapshot(0);
    let meta = postcard_of(&(Vote::<u64>::new_committed(1, 1), snapshot.meta));
    let mut body = vec![0; 8];
    body.extend(9_u16.to_be_bytes());
    body.extend(u32::try_from(meta.len()).unwrap().to_be_bytes());
    body.extend(meta);
    for piece in data.chunks(70_000) {
        body.extend(u32::try_from(piece.len()).unwrap().to_be_bytes());
        body.extend(piece);
    }
    body.extend(0_u32.to_be_bytes());
    body.extend(sum.to_be_bytes());
    body.extend(bytes.to_be_bytes());
    body
}

fn postcard_of(value: &impl serde::Serialize) -> Bytes {
    use aqueduct::msg::{Codec, Postcard};
    Postcard.encode(value).unwrap()
}

#[test]
fn r13_a_snapshot_that_is_damaged_or_cut_off_is_not_installed() {
    block_on(async {
        let node = Node::start(2, None, FaultyDisk::default(), &Cuts::default()).await;
        let mut hello = node.net.hello();
        (hello.node, hello.expect_node) = (identity(1).node, identity(2).node);
        let client = RpcClient::connect(node.addr, hello, ClientConfig::default());
        let client = client.await.unwrap();
        let data = b"not the JSON that the machine reads".repeat(5_000);
        let (sum, len) = (crc32c::crc32c(&data), u64::try_from(data.len()).unwrap());
        let whole = call_of(&data, sum, len);
        let mut more = whole.clone();
        more.push(0);
        let mut huge_meta = whole.clone();
        huge_meta[10..14].copy_from_slice(&u32::MAX.to_be_bytes());
        let mut group = whole.clone();
        group[7] = 5;
        let mut wire = whole.clone();
        wire[8] = 1;
        // Each with the kind of its fault (docs/WIRE.md).
        for (body, kind) in [
            (call_of(&data, sum ^ 1, len), 6),
            (call_of(&data, sum, len - 1), 6),
            (whole[..whole.len() - 5].to_vec(), 6),
            (whole[..70_000].to_vec(), 6),
            (whole[..5].to_vec(), 6),
            (more, 6),
            (huge_meta, 4),
            (group, 2),
            (wire, 3),
        ] {
            let (mut writer, reader) = client
                .call_streaming(SNAPSHOT, &CallOptions::default())
                .unwrap();
            // Who has refused it reads no more.
            let _ = writer.send(body.into()).await;
            writer.finish();
            let answer = reader.read_whole(10_000).await.unwrap();
            let text = String::from_utf8_lossy(&answer[2..]);
            println!("{text}");
            assert_eq!(answer[..2], [1, kind], "{text}");
        }
        assert_eq!(node.machine.strings().len(), 0);
        let metrics = node.raft.metrics().borrow().clone();
        assert_eq!(metrics.running_state, Ok(()), "and the node runs on");
        assert_eq!(metrics.snapshot, None);
    });
}
