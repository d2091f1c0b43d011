//! What a client can ask.

use std::error::Error;
use std::time::Duration;

use aqueduct::kv::{
    ClientConfig, Consistency, Expect, KvClient, KvError, LockGuard, NodeStatus, WriteOnce,
};
use tokio::time::Instant;

use crate::node::interrupted;
use crate::{CLUSTER, Command, Nodes};

type Done = Result<(), Box<dyn Error>>;

pub(crate) async fn run(command: Command) -> Done {
    match command {
        Command::Put { key, value, nodes } => {
            let rev = connect(&nodes).await?.put(key, value).await?;
            println!("written at revision {rev}");
        }
        Command::Get {
            key,
            eventual,
            nodes,
        } => get(key, eventual, &nodes).await?,
        Command::Delete { key, nodes } => {
            let existed = connect(&nodes).await?.delete(key).await?;
            println!("{}", if existed { "deleted" } else { "was not there" });
        }
        Command::Cas {
            key,
            expect,
            value,
            nodes,
        } => {
            let expect = match expect.as_str() {
                "" => Expect::Absent,
                expect => Expect::Value(expect.to_owned().into()),
            };
            let client = connect(&nodes).await?;
            match client.cas(key, expect, Some(value.into())).await? {
                Ok(rev) => println!("written at revision {rev}"),
                Err(there) => return Err(format!("not as expected: {}", text(there)).into()),
            }
        }
        Command::WriteOnce { key, value, nodes } => {
            match connect(&nodes).await?.write_once(key, value).await? {
                WriteOnce::Written(rev) => println!("written for ever, at revision {rev}"),
                WriteOnce::Already(there) => {
                    return Err(format!("written before: {}", text(Some(there))).into());
                }
            }
        }
        Command::Lock { name, ttl, nodes } => {
            let client = connect(&nodes).await?;
            hold(client.lock(&name, Duration::from_secs(ttl)).await?).await?;
        }
        Command::Elect {
            name,
            me,
            ttl,
            nodes,
        } => {
            let client = connect(&nodes).await?;
            hold(client.campaign(&name, me, Duration::from_secs(ttl)).await?).await?;
        }
        Command::Watch { prefix, nodes } => watch(prefix, &nodes).await?,
        Command::Status { nodes } => status(&nodes).await?,
        Command::AddLearner { id, address, nodes } => {
            connect(&nodes).await?.add_learner(id, &address).await?;
            println!("node {id} has the log");
        }
        Command::ChangeMembership { voters, nodes } => {
            connect(&nodes).await?.change_membership(voters).await?;
            println!("done");
        }
        Command::Bench {
            clients,
            seconds,
            nodes,
        } => bench(clients, seconds, &nodes).await?,
        Command::Node { .. } | Command::Demo { .. } => unreachable!("they are no client's"),
    }
    Ok(())
}

pub(crate) async fn connect(nodes: &Nodes) -> Result<KvClient, KvError> {
    KvClient::connect(nodes.nodes.clone(), ClientConfig::new(CLUSTER)).await
}

fn text(record: Option<aqueduct::kv::Versioned>) -> String {
    record.map_or("nothing".into(), |record| {
        String::from_utf8_lossy(&record.value).into_owned()
    })
}

async fn get(key: String, eventual: bool, nodes: &Nodes) -> Done {
    let client = KvClient::without_session(nodes.nodes.clone(), ClientConfig::new(CLUSTER))?;
    let consistency = match eventual {
        true => Consistency::Eventual,
        false => Consistency::Linearizable,
    };
    let found = client.find(key, consistency).await?;
    match found.records.first() {
        None => println!("nothing (applied up to {})", found.applied_index),
        Some((_, record)) => println!(
            "{} (revision {}, applied up to {})",
            String::from_utf8_lossy(&record.value),
            record.mod_rev,
            found.applied_index
        ),
    }
    Ok(())
}

async fn hold(guard: LockGuard) -> Done {
    println!("held, fencing token {}", guard.token());
    tokio::select! {
        () = guard.lease().lost() => Err("lost".into()),
        () = interrupted() => {
            guard.release().await?;
            println!("released");
            Ok(())
        }
    }
}

async fn watch(prefix: String, nodes: &Nodes) -> Done {
    let client = KvClient::without_session(nodes.nodes.clone(), ClientConfig::new(CLUSTER))?;
    let now = client.range(prefix.clone(), None, Consistency::Linearizable);
    let mut at = now.await?.applied_index;
    println!("from revision {at} on");
    loop {
        let (events, upto) = client.watch(prefix.clone(), at).await?;
        for event in events {
            let key = String::from_utf8_lossy(&event.key).into_owned();
            println!("{} {key} = {}", event.rev, text(event.record));
        }
        at = upto;
    }
}

/// The states of Raft, with the terms, as the nodes see them.
async fn status(nodes: &Nodes) -> Done {
    let client = KvClient::without_session(nodes.nodes.clone(), ClientConfig::new(CLUSTER))?;
    println!("{}", line_of_heads());
    for address in &nodes.nodes {
        match client.status(address).await {
            Ok(status) => println!("{address:<22}{}", line(&status)),
            Err(_) => println!("{address:<22}does not answer"),
        }
    }
    Ok(())
}

fn line_of_heads() -> String {
    format!(
        "{:<22}{:>4} {:<10}{:>6}{:>8}{:>10}{:>10}  {:<8}{}",
        "address", "id", "state", "term", "leader", "applied", "snapshot", "majority", "voters"
    )
}

fn line(status: &NodeStatus) -> String {
    let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
    format!(
        "{:>4} {:<10}{:>6}{:>8}{:>10}{:>10}  {:<8}{:?}",
        status.id,
        status.state,
        status.term,
        number(status.leader),
        status.applied_index,
        number(status.snapshot_index),
        if status.has_quorum { "yes" } else { "no" },
        status.voters
    )
}

async fn bench(clients: usize, seconds: u64, nodes: &Nodes) -> Done {
    let end = deadline(Duration::from_secs(seconds));
    let mut tasks = Vec::new();
    for number in 0..clients {
        let client = connect(nodes).await?;
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while !end.elapsed().gt(&Duration::ZERO) {
                let begin = deadline(Duration::ZERO);
                let key = format!("bench/{number}/{}", times.len() % 100);
                client.put(key, vec![b'x'; 100]).await?;
                times.push(begin.elapsed());
            }
            Ok::<_, KvError>(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let rate = u64::try_from(times.len())? / seconds.max(1);
    let at = |percent: usize| {
        times
            .get(times.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    println!("{rate} writes/s, p50 {:.2?}, p99 {:.2?}", at(50), at(99));
    Ok(())
}

/// So long from now.
pub(crate) fn deadline(after: Duration) -> Instant {
    Instant::now() + after
}
