//! A node, until it is interrupted.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use aqueduct::kv::{KvNode, NodeConfig};
use aqueduct::raft::RaftProfile;
use aqueduct::tokio::Endpoint;

use crate::CLUSTER;

pub(crate) async fn run(
    id: u64,
    listen: &str,
    data: PathBuf,
    join: &[String],
    fast: bool,
) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(&data)?;
    let endpoint = Endpoint::bind(listen).await?;
    let mut config = NodeConfig::new(CLUSTER, id, data);
    if fast {
        config.profile = RaftProfile::fast();
    }
    let node = KvNode::start(endpoint, config).await?;
    let members = members(join)?;
    // One node makes the cluster; where there is one, it does nothing.
    if members.keys().next() == Some(&id) {
        node.initialize(members).await?;
    }
    println!("node {id} listens at {listen}");
    interrupted().await;
    node.shutdown().await?;
    Ok(())
}

/// `1=127.0.0.1:7001` and so on.
fn members(join: &[String]) -> Result<BTreeMap<u64, String>, Box<dyn Error>> {
    let mut members = BTreeMap::new();
    for member in join {
        let (id, address) = member
            .split_once('=')
            .ok_or_else(|| format!("`{member}` is not ID=ADDRESS"))?;
        members.insert(id.parse()?, address.to_owned());
    }
    Ok(members)
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn interrupted() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    let set = ctrlc::set_handler(move || {
        if let Some(tell) = tell.take() {
            let _ = tell.send(());
        }
    });
    // Without a handler the signal ends the process as it is.
    if set.is_ok() {
        let _ = told.await;
    } else {
        std::future::pending::<()>().await;
    }
}
