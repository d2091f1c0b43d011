//! Clusters of nodes in one process, over loopback.

use std::collections::BTreeMap;
use std::time::Duration;

use aqueduct::raft::ReadBatcher;
use openraft::{BasicNode, RaftMetrics, ServerState};

use crate::block_on;
use crate::faulty_disk::FaultyDisk;
use crate::node::{Cuts, Node, PATIENCE};
use crate::support::random::Random;

/// Starts nodes 1 to `count`, and makes them a cluster.
pub(crate) async fn cluster(count: u64, cuts: &Cuts) -> Vec<Node> {
    let mut nodes = Vec::new();
    for id in 1..=count {
        nodes.push(Node::start(id, None, FaultyDisk::default(), cuts).await);
    }
    let members: BTreeMap<_, _> = nodes
        .iter()
        .map(|node| (node.id, BasicNode::new(node.addr)))
        .collect();
    nodes[0].raft.initialize(members).await.unwrap();
    nodes
}

/// Waits until all of the nodes follow one of them; where it stands among them.
pub(crate) async fn leader(nodes: &[Node]) -> usize {
    let led = async {
        loop {
            let leaders: Vec<_> = nodes
                .iter()
                .map(|node| node.raft.metrics().borrow().current_leader)
                .collect();
            let at = nodes.iter().position(|node| Some(node.id) == leaders[0]);
            if let Some(at) = at.filter(|_| leaders.iter().all(|leader| *leader == leaders[0])) {
                return at;
            }
            // No call waits for what several nodes think.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let led = tokio::time::timeout(PATIENCE, led).await;
    led.expect("the nodes agree on a leader")
}

/// Writes strings at the leader, whoever that is, and notes them.
pub(crate) async fn write(nodes: &[Node], count: usize, written: &mut Vec<String>) {
    for _ in 0..count {
        let string = format!("string {}", written.len());
        let mut tries = 0;
        loop {
            let at = leader(nodes).await;
            match nodes[at].raft.client_write(string.clone()).await {
                Ok(_) => break,
                Err(error) => println!("once more: {error}"),
            }
            tries += 1;
            assert!(tries < 100, "nobody takes it");
        }
        written.push(string);
    }
}

/// A string that was written twice, because its first answer was lost, counts once.
fn assert_all_there(found: &[String], written: &[String]) {
    let mut found = found.to_vec();
    found.dedup();
    assert_eq!(found, written);
}

#[test]
fn three_nodes_elect_a_leader_replicate_and_survive_its_loss() {
    block_on(async {
        let cuts = Cuts::default();
        let mut random = Random::new(3);
        let mut nodes = cluster(3, &cuts).await;
        let mut written = Vec::new();
        for round in 0..3 {
            write(&nodes, 40, &mut written).await;
            let at = leader(&nodes).await;
            let lost = nodes.remove(at);
            let id = lost.id;
            println!("round {round}: node {id} led and is lost");
            let (addr, disk) = lost.stop().await;
            write(&nodes, 40, &mut written).await;
            // It comes back with what a power loss has left.
            let disk = disk.crashed(&mut random);
            nodes.push(Node::start(id, Some(addr), disk, &cuts).await);
        }
        write(&nodes, 10, &mut written).await;
        let at = leader(&nodes).await;
        let strings = nodes[at].machine.strings();
        assert_all_there(&strings, &written);
        for node in &nodes {
            node.has(&strings).await;
        }
        let health = nodes[at].net.peer_health(&nodes[(at + 1) % 3].id);
        let health = health.expect("they have spoken");
        println!("{health:?}");
        assert!(health.log.is_open && health.incarnation.is_some());
    });
}

#[test]
fn all_nodes_lose_power_and_nothing_that_was_acknowledged_is_lost() {
    block_on(async {
        let cuts = Cuts::default();
        let mut random = Random::new(5);
        let mut nodes = cluster(3, &cuts).await;
        let mut written = Vec::new();
        for _ in 0..2 {
            write(&nodes, 60, &mut written).await;
            let mut stopped = Vec::new();
            for node in nodes {
                let id = node.id;
                stopped.push((id, node.stop().await));
            }
            nodes = Vec::new();
            for (id, (addr, disk)) in stopped {
                let disk = disk.crashed(&mut random);
                nodes.push(Node::start(id, Some(addr), disk, &cuts).await);
            }
        }
        write(&nodes, 1, &mut written).await;
        let at = leader(&nodes).await;
        let strings = nodes[at].machine.strings();
        assert_all_there(&strings, &written);
        for node in &nodes {
            node.has(&strings).await;
        }
    });
}

#[test]
fn reads_on_the_leader_are_linearizable_and_on_the_cut_off_leader_refused() {
    block_on(async {
        let cuts = Cuts::default();
        let mut nodes = cluster(3, &cuts).await;
        let mut written = Vec::new();
        write(&nodes, 5, &mut written).await;
        let at = leader(&nodes).await;
        let old = nodes.remove(at);
        let batcher = ReadBatcher::new(old.raft.clone());
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let batcher = batcher.clone();
            reads.spawn(async move { batcher.linearizable().await });
        }
        while let Some(read) = reads.join_next().await {
            read.unwrap().unwrap();
        }
        assert_eq!(old.machine.strings().len(), 5);

        for node in &nodes {
            cuts.cut(old.id, node.id);
        }
        // The others elect another one, and decide without the old one.
        write(&nodes, 5, &mut written).await;
        batcher.linearizable().await.unwrap_err();
        assert!(old.machine.strings().len() <= 5, "eventual: it is behind");
        cuts.heal();
        nodes.push(old);
        let at = leader(&nodes).await;
        let strings = nodes[at].machine.strings();
        for node in &nodes {
            node.has(&strings).await;
        }
    });
}

/// openraft#2080: without the guard, node 2 hears the old leader and votes for nobody, and nothing is decided for ever.
#[test]
fn r10_an_old_leader_behind_a_bridge_gives_way_to_one_that_a_quorum_hears() {
    block_on(async {
        let cuts = Cuts::default();
        let mut nodes = cluster(5, &cuts).await;
        let mut written = Vec::new();
        write(&nodes, 5, &mut written).await;
        let at = leader(&nodes).await;
        let old = nodes.remove(at);
        let bridge = nodes.remove(0);
        let dead = nodes.pop().unwrap();
        println!(
            "old leader {}, bridge {}, dead {}",
            old.id, bridge.id, dead.id
        );
        dead.stop().await;
        for node in &nodes {
            cuts.cut(old.id, node.id);
        }
        // The bridge and the two others are a quorum, and all connected with each other.
        nodes.push(bridge);
        let terms: Vec<_> = nodes
            .iter()
            .map(|node| node.raft.metrics().borrow().current_term)
            .collect();
        let elected = |metrics: &RaftMetrics<u64, BasicNode>| {
            let leader = metrics.current_leader;
            leader.is_some_and(|id| nodes.iter().any(|node| node.id == id))
                && metrics.current_term > terms[0]
        };
        for node in &nodes {
            let wait = node.raft.wait(Some(PATIENCE));
            wait.metrics(elected, "a new leader").await.unwrap();
        }
        write(&nodes, 5, &mut written).await;
        cuts.heal();
        let follows = |metrics: &RaftMetrics<u64, BasicNode>| {
            metrics.state == ServerState::Follower || metrics.current_leader != Some(old.id)
        };
        let wait = old.raft.wait(Some(PATIENCE));
        wait.metrics(follows, "the old leader follows")
            .await
            .unwrap();
        let at = leader(&nodes).await;
        let strings = nodes[at].machine.strings();
        assert_all_there(&strings, &written);
        old.has(&strings).await;
    });
}
