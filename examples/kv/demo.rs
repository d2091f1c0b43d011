//! Three nodes, as processes of their own; a client that writes; and the leader is killed, again and again.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aqueduct::kv::{ClientConfig, Consistency, KvClient};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::commands::{connect, deadline};
use crate::{CLUSTER, Nodes};

/// How long anything may take before the demonstration has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run(rounds: u32, port: u16) -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("aqueduct-kv-{}", std::process::id()));
    let result = demonstrate(rounds, port, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    result
}

async fn demonstrate(rounds: u32, port: u16, folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut cluster = Cluster::start(port, folder.to_owned())?;
    let nodes = Nodes {
        nodes: cluster.addresses.values().cloned().collect(),
    };
    let mut config = ClientConfig::new(CLUSTER);
    config.timeout = PATIENCE;
    let client = KvClient::connect(nodes.nodes.clone(), config).await?;
    let written = Arc::new(AtomicU64::new(0));
    let writer: JoinHandle<Result<(), aqueduct::kv::KvError>> =
        tokio::spawn(write(client.clone(), Arc::clone(&written)));
    let mut gaps = Vec::new();
    for round in 1..=rounds {
        wait_for(&written, 100).await?;
        let leader = cluster.leader(&client).await?;
        let begin = deadline(Duration::ZERO);
        cluster.kill(leader)?;
        wait_for(&written, 1).await?;
        let gap = begin.elapsed();
        println!("round {round}: leader {leader} killed, next acknowledged write after {gap:.2?}");
        gaps.push(gap);
        cluster.launch(leader)?;
    }
    writer.abort();
    let _ = writer.await;
    gaps.sort_unstable();
    if let (Some(median), Some(longest)) = (gaps.get(gaps.len() / 2), gaps.last()) {
        println!("time to the next acknowledged write: median {median:.2?}, longest {longest:.2?}");
    }
    verify(&connect(&nodes).await?, written.load(Ordering::SeqCst)).await
}

/// Writes `demo/N` for N = 0, 1, ...; counts what was acknowledged.
async fn write(client: KvClient, written: Arc<AtomicU64>) -> Result<(), aqueduct::kv::KvError> {
    loop {
        let number = written.load(Ordering::SeqCst);
        let value = format!("the content of {number}");
        client.put(format!("demo/{number:08}"), value).await?;
        written.store(number + 1, Ordering::SeqCst);
    }
}

/// Waits until `more` further writes were acknowledged.
async fn wait_for(written: &AtomicU64, more: u64) -> Result<(), Box<dyn Error>> {
    let (wanted, end) = (written.load(Ordering::SeqCst) + more, deadline(PATIENCE));
    while written.load(Ordering::SeqCst) < wanted {
        if is_over(end) {
            return Err("no write is acknowledged any more".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn is_over(end: Instant) -> bool {
    end.elapsed() > Duration::ZERO
}

/// Reads everything back.
async fn verify(client: &KvClient, written: u64) -> Result<(), Box<dyn Error>> {
    let (mut number, mut after) = (0_u64, None);
    loop {
        let found = client
            .range("demo/", after, Consistency::Linearizable)
            .await?;
        for (key, record) in &found.records {
            let expected = format!("demo/{number:08}");
            if *key != expected || record.value != format!("the content of {number}") {
                return Err(format!("{expected} is lost or altered").into());
            }
            number += 1;
        }
        after = found.records.last().map(|(key, _)| key.clone());
        if !found.has_more {
            break;
        }
    }
    if number < written {
        return Err(format!("{written} writes were acknowledged, {number} are there").into());
    }
    println!("{written} writes were acknowledged; no acknowledged write lost");
    Ok(())
}

/// Nodes as processes of this program.
struct Cluster {
    folder: PathBuf,
    addresses: BTreeMap<u64, String>,
    nodes: BTreeMap<u64, Child>,
}

impl Cluster {
    fn start(port: u16, folder: PathBuf) -> Result<Self, Box<dyn Error>> {
        let address = |id: u16| (u64::from(id), format!("127.0.0.1:{}", port + id - 1));
        let mut cluster = Cluster {
            folder,
            addresses: (1..=3).map(address).collect(),
            nodes: BTreeMap::new(),
        };
        for id in 1..=3 {
            cluster.launch(id)?;
        }
        Ok(cluster)
    }

    fn launch(&mut self, id: u64) -> Result<(), Box<dyn Error>> {
        let members: Vec<String> = self
            .addresses
            .iter()
            .map(|(id, address)| format!("{id}={address}"))
            .collect();
        let child = Command::new(std::env::current_exe()?)
            .args(["node", "--id", &id.to_string()])
            .args(["--listen", &self.addresses[&id]])
            .args(["--join", &members.join(",")])
            .arg("--data")
            .arg(self.folder.join(id.to_string()))
            .stdout(Stdio::null())
            .spawn()?;
        self.nodes.insert(id, child);
        Ok(())
    }

    /// `kill -9`.
    fn kill(&mut self, id: u64) -> Result<(), Box<dyn Error>> {
        if let Some(mut node) = self.nodes.remove(&id) {
            node.kill()?;
            node.wait()?;
        }
        Ok(())
    }

    /// Who leads, as the nodes say.
    async fn leader(&self, client: &KvClient) -> Result<u64, Box<dyn Error>> {
        let end = deadline(PATIENCE);
        while !is_over(end) {
            for (id, address) in &self.addresses {
                let status = client.status(address).await;
                if status.is_ok_and(|status| status.leader == Some(*id) && status.has_quorum) {
                    return Ok(*id);
                }
            }
        }
        Err("nobody leads".into())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}
