//! A replicated key-value store that survives its leader: nodes, clients, and a demonstration that kills leaders.
//!
//! `cargo run --release --features kv --example kv -- node --id 1 --listen 127.0.0.1:7001 --data n1 --join 1=127.0.0.1:7001,2=...,3=...`
//!
//! `cargo run --release --features kv --example kv -- demo`

mod commands;
mod demo;
mod node;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Everything of this program is one cluster, as far as others are concerned.
const CLUSTER: u128 = 0x6b76_6578;

#[derive(Parser)]
#[command(about = "A replicated key-value store on Raft over aqueduct")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The nodes that a client asks.
#[derive(Args, Clone)]
struct Nodes {
    /// Addresses of nodes.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003"
    )]
    nodes: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a node until it is interrupted.
    Node {
        /// Its number.
        #[arg(long)]
        id: u64,
        /// The address of its own that it listens at.
        #[arg(long)]
        listen: String,
        /// The folder with its data.
        #[arg(long)]
        data: PathBuf,
        /// The nodes that the cluster begins with, ID=ADDRESS,...; without it the node waits to be added (`add-learner`).
        #[arg(long, value_delimiter = ',')]
        join: Vec<String>,
        /// Elections within a third of a second, for nodes in one room.
        #[arg(long)]
        fast: bool,
    },
    /// Writes a value.
    Put {
        key: String,
        value: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Reads a value.
    Get {
        key: String,
        /// Take what the node has that is asked first, however old.
        #[arg(long)]
        eventual: bool,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Deletes a record.
    Delete {
        key: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Writes a value if the present one is as expected ("": nothing).
    Cas {
        key: String,
        expect: String,
        value: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Writes a value for ever, if nothing is there.
    WriteOnce {
        key: String,
        value: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Acquires a lock, and holds it until it is interrupted.
    Lock {
        name: String,
        /// How long the lock outlives its holder, seconds.
        #[arg(long, default_value_t = 10)]
        ttl: u64,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Becomes the leader of a group, and stays it until it is interrupted.
    Elect {
        name: String,
        me: String,
        /// How long the leadership outlives its holder, seconds.
        #[arg(long, default_value_t = 10)]
        ttl: u64,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Prints what happens to keys with a prefix.
    Watch {
        prefix: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Prints what each node says of itself.
    Status {
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Adds a node that gets the log but does not vote.
    AddLearner {
        id: u64,
        address: String,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Says who votes.
    ChangeMembership {
        #[arg(value_delimiter = ',')]
        voters: Vec<u64>,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Writes as fast as it goes, for some seconds.
    Bench {
        /// Clients at once.
        #[arg(long, default_value_t = 16)]
        clients: usize,
        /// How long, seconds.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Starts three nodes, writes, and kills the leader again and again.
    Demo {
        /// How many leaders to kill.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// The port of the first node.
        #[arg(long, default_value_t = 7101)]
        port: u16,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = run(Arguments::parse().command).await;
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Node {
            id,
            listen,
            data,
            join,
            fast,
        } => node::run(id, &listen, data, &join, fast).await,
        Command::Demo { rounds, port } => demo::run(rounds, port).await,
        client => commands::run(client).await,
    }
}
