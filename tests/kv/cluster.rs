//! Three nodes on loopback, in one process: what clients are told while nodes end and come back.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aqueduct::kv::fence::FencedStore;
use aqueduct::kv::{
    ClientConfig, Consistency, Expect, KvClient, KvError, KvNode, NodeConfig, WriteOnce,
};
use aqueduct::raft::RaftProfile;
use aqueduct::tokio::Endpoint;
use bytes::Bytes;
use tempfile::TempDir;

use crate::history::Recorder;
use crate::judges::is_linearizable;
use crate::register::{Call, Reply};
use crate::support::random::Random;

const CLUSTER: u128 = 0xA9;
/// No step takes longer; nothing is asserted about how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    folders: TempDir,
    nodes: BTreeMap<u64, KvNode>,
    addresses: BTreeMap<u64, SocketAddr>,
}

impl Cluster {
    async fn start() -> Self {
        let mut cluster = Cluster {
            folders: tempfile::tempdir().unwrap(),
            nodes: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        for id in 1..=3 {
            cluster.start_node(id).await;
        }
        let members = cluster.addresses.iter();
        let members = members.map(|(id, address)| (*id, address.to_string()));
        cluster.nodes[&1]
            .initialize(members.collect())
            .await
            .unwrap();
        cluster
    }

    async fn start_node(&mut self, id: u64) {
        let endpoint = bind(self.addresses.get(&id).copied()).await;
        self.addresses.insert(id, endpoint.local_addr().unwrap());
        let folder = self.folders.path().join(id.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let mut config = NodeConfig::new(CLUSTER, id, folder);
        // For a machine that has other things to do.
        config.profile = RaftProfile::from_measured(Duration::ZERO, Duration::from_millis(60));
        config.snapshot_after = 50;
        let node = KvNode::start(endpoint, config).await.unwrap();
        self.nodes.insert(id, node);
    }

    async fn stop_node(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        node.shutdown().await.unwrap();
    }

    async fn client(&self) -> KvClient {
        let mut config = ClientConfig::new(CLUSTER);
        config.timeout = PATIENCE;
        let seeds = self.addresses.values().map(ToString::to_string).collect();
        KvClient::connect(seeds, config).await.unwrap()
    }

    async fn leader(&self) -> u64 {
        loop {
            let running = self.nodes.values().map(KvNode::status);
            let leading = running.filter(|status| status.state == "Leader" && status.has_quorum);
            if let Some(leader) = leading.max_by_key(|status| status.term) {
                return leader.id;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn bind(address: Option<SocketAddr>) -> Endpoint {
    let Some(address) = address else {
        return Endpoint::bind("127.0.0.1:0").await.unwrap();
    };
    // What the node that stopped had open goes within some turns of the runtime.
    for _ in 0..2_000 {
        match Endpoint::bind(address).await {
            Ok(endpoint) => return endpoint,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the address is not let go");
}

fn run<F: Future<Output = ()> + Send + 'static>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let within = tokio::time::timeout(PATIENCE * 3, tokio::spawn(test));
        within.await.expect("in time").unwrap();
    });
}

#[test]
fn every_command_does_what_it_says() {
    run(async {
        let cluster = Cluster::start().await;
        let client = cluster.client().await;
        let rev = client.put("a", "1").await.unwrap();
        let found = client.get("a", Consistency::Linearizable).await.unwrap();
        let found = found.unwrap();
        assert_eq!((found.value, found.mod_rev), ("1".into(), rev));
        let swapped = client.cas("a", Expect::Rev(rev), Some("2".into())).await;
        assert!(swapped.unwrap().unwrap() > rev);
        let not = client.cas("a", Expect::Rev(rev), None).await.unwrap();
        assert_eq!(not.unwrap_err().map(|there| there.value), Some("2".into()));
        let token = client.token();
        let found = client.get("a", Consistency::Sequential(token)).await;
        assert_eq!(found.unwrap().map(|found| found.value), Some("2".into()));
        assert!(client.delete("a").await.unwrap());
        assert!(!client.delete("a").await.unwrap());
        let once = client.write_once("o", "x").await.unwrap();
        assert!(matches!(once, WriteOnce::Written(_)));
        let twice = client.write_once("o", "y").await.unwrap();
        assert!(matches!(twice, WriteOnce::Already(first) if first.value == "x"));
        assert!(matches!(
            client.put("o", "z").await,
            Err(KvError::Refused(_))
        ));
        let range = client.range("", None, Consistency::Linearizable).await;
        assert_eq!(range.unwrap().records.len(), 1);
        client.close().await.unwrap();
    });
}

#[test]
fn a_watch_sees_every_event_once_and_in_order() {
    run(async {
        let cluster = Cluster::start().await;
        let (writer, watcher) = (cluster.client().await, cluster.client().await);
        let begin = writer.put("w/0", "0").await.unwrap();
        let writing = tokio::spawn(async move {
            for number in 1..=30 {
                let key = format!("w/{number}");
                writer.put(key, number.to_string()).await.unwrap();
            }
            writer.delete("w/7").await.unwrap();
        });
        let (mut keys, mut at) = (Vec::new(), begin);
        while keys.len() < 31 {
            let (events, upto) = watcher.watch("w/", at).await.unwrap();
            keys.extend(
                events
                    .into_iter()
                    .map(|event| (event.key, event.record.is_some())),
            );
            at = upto;
        }
        writing.await.unwrap();
        let expected = (1..=30).map(|number| (Bytes::from(format!("w/{number}")), true));
        let expected: Vec<_> = expected.chain([("w/7".into(), false)]).collect();
        assert_eq!(keys, expected);
    });
}

/// K1 within one process, K8, R5, R18: clients read and write a few keys at all nodes, while the leader ends again and again.
#[test]
fn k1_k8_what_clients_see_is_linearizable_while_leaders_end() {
    const SEED: u64 = 7;
    run(async {
        let mut cluster = Cluster::start().await;
        let recorder = Recorder::default();
        let ends = Arc::new(AtomicBool::new(false));
        let mut clients = Vec::new();
        for number in 0..4 {
            let client = cluster.client().await;
            let work = work(client, recorder.clone(), Arc::clone(&ends), SEED + number);
            clients.push(tokio::spawn(work));
        }
        for _ in 0..3 {
            let leader = cluster.leader().await;
            cluster.stop_node(leader).await;
            cluster.leader().await;
            // Something is written by the new one.
            let other = cluster.client().await;
            other.put("between", "x").await.unwrap();
            cluster.start_node(leader).await;
        }
        ends.store(true, Ordering::Relaxed);
        let mut operations = 0;
        for client in clients {
            operations += client.await.unwrap();
        }
        let histories = recorder.histories();
        for (key, history) in &histories {
            assert!(
                is_linearizable(history),
                "seed {SEED}, key {key}: {history:#?}"
            );
        }
        println!("{operations} operations on {} keys", histories.len());
    });
}

/// What one client does until it is told to end: how many operations. Keys are used for a while, so that histories stay short.
async fn work(client: KvClient, recorder: Recorder, ends: Arc<AtomicBool>, seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut done = 0;
    while !ends.load(Ordering::Relaxed) {
        let key = format!("k{}-{}", random.below(2), done / 25);
        let value = u64::try_from(random.below(5)).unwrap();
        let call = match random.below(4) {
            0 => Call::Put(value),
            1 => Call::Swap {
                expect: Some(value),
                value: Some(value + 1),
            },
            _ => Call::Get,
        };
        let open = recorder.call(&key, call.clone());
        if let Some(reply) = execute(&client, &key, &call).await {
            open.reply(reply);
        }
        done += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    done
}

fn number(value: &Bytes) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// `None`: nobody knows what came of it.
async fn execute(client: &KvClient, key: &str, call: &Call) -> Option<Reply> {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let text = |value: u64| Bytes::from(value.to_string());
    match *call {
        Call::Put(value) => client.put(key, text(value)).await.ok().map(|_| Reply::Done),
        Call::Swap {
            expect: Some(expect),
            value,
        } => {
            let expect = Expect::Value(text(expect));
            let swapped = client.cas(key, expect, value.map(text)).await.ok()?;
            Some(match swapped {
                Ok(_) => Reply::Done,
                Err(there) => Reply::Not(there.map(|there| number(&there.value))),
            })
        }
        _ => {
            let found = client.get(key, Consistency::Linearizable).await.ok()?;
            Some(Reply::Value(found.map(|found| number(&found.value))))
        }
    }
}

/// K7: without a majority a linearizable read fails within its deadline, and an eventual one says how old its answer is.
#[test]
fn k7_a_minority_answers_what_is_old_and_says_so() {
    run(async {
        let mut cluster = Cluster::start().await;
        let client = cluster.client().await;
        let rev = client.put("a", "1").await.unwrap();
        let last = cluster.leader().await;
        for id in [1, 2, 3].into_iter().filter(|id| *id != last) {
            cluster.stop_node(id).await;
        }
        let mut config = ClientConfig::new(CLUSTER);
        config.timeout = Duration::from_secs(3);
        let address = cluster.addresses[&last].to_string();
        let alone = KvClient::connect(vec![address.clone()], config.clone()).await;
        assert!(matches!(
            alone,
            Err(KvError::Unavailable { .. } | KvError::Unknown)
        ));
        let alone = KvClient::without_session(vec![address], config).unwrap();
        let strict = alone.find("a", Consistency::Linearizable).await;
        assert!(
            matches!(strict, Err(KvError::Unavailable { .. })),
            "{strict:?}"
        );
        let old = alone.find("a", Consistency::Eventual).await.unwrap();
        assert_eq!(old.records[0].1.value, "1");
        assert!(old.applied_index >= rev);
        cluster.start_node(last % 3 + 1).await;
        let found = client.get("a", Consistency::Linearizable).await.unwrap();
        assert_eq!(found.map(|found| found.value), Some("1".into()));
    });
}

#[test]
fn a_lock_goes_from_holder_to_holder_with_greater_tokens() {
    run(async {
        let cluster = Cluster::start().await;
        let ttl = Duration::from_secs(20);
        let store = Arc::new(std::sync::Mutex::new(FencedStore::new(Vec::new())));
        let mut holders = Vec::new();
        for number in 0..4 {
            let client = cluster.client().await;
            let store = Arc::clone(&store);
            holders.push(tokio::spawn(async move {
                let guard = client.lock("job", ttl).await.unwrap();
                assert!(guard.is_held());
                store
                    .lock()
                    .unwrap()
                    .check(guard.token())
                    .unwrap()
                    .push(number);
                let token = guard.token();
                guard.release().await.unwrap();
                token
            }));
        }
        let mut tokens = std::collections::BTreeSet::new();
        for holder in holders {
            tokens.insert(holder.await.unwrap());
        }
        let store = store.lock().unwrap();
        assert_eq!((tokens.len(), store.inner().len()), (4, 4));
    });
}

/// Who ends without a word loses the leadership when the lease runs out, whoever leads the cluster then.
#[test]
fn a_leadership_ends_with_its_lease() {
    run(async {
        let mut cluster = Cluster::start().await;
        let (first, second) = (cluster.client().await, cluster.client().await);
        let ttl = Duration::from_secs(3);
        let guard = first.campaign("group", "first", ttl).await.unwrap();
        let token = guard.token();
        let waiting = tokio::spawn(async move {
            let guard = second
                .campaign("group", "second", Duration::from_secs(20))
                .await;
            guard.unwrap().token()
        });
        drop(guard);
        let leader = cluster.leader().await;
        cluster.stop_node(leader).await;
        assert!(waiting.await.unwrap() > token);
    });
}

/// R12 in part: a learner catches up, votes, and the cluster goes on without one of the first.
#[test]
fn a_learner_becomes_a_voter_and_another_leaves() {
    run(async {
        let mut cluster = Cluster::start().await;
        let client = cluster.client().await;
        for number in 0..120 {
            client.put(format!("k/{number}"), "x").await.unwrap();
        }
        cluster.start_node(4).await;
        let address = cluster.addresses[&4].to_string();
        client.add_learner(4, &address).await.unwrap();
        let leaves = cluster.leader().await % 3 + 1;
        let voters: Vec<u64> = (1..=4).filter(|id| *id != leaves).collect();
        client.change_membership(voters.clone()).await.unwrap();
        cluster.stop_node(leaves).await;
        client.put("k/120", "x").await.unwrap();
        let status = client.status(&address).await.unwrap();
        assert_eq!((status.id, status.voters), (4, voters));
        let all = client.range("k/", None, Consistency::Linearizable).await;
        assert_eq!(all.unwrap().records.len(), 121);
    });
}
