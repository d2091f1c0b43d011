//! Aqueduct beside kernel TCP, bare UDP, quinn, s2n-quic and KCP, from one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml` measures, between two processes:
//!
//! * `bulk`: one connection that sends for a second in writes of 64 KiB, over loopback, and the processor
//!   time of both processes; `veth`: the same between two network namespaces, with an MTU of 1500;
//! * `ping-pong`: the p50 and p99 of 64 bytes to and fro;
//! * `connects`: connect, one byte each way, close; `connects-64`: the same, 64 at once;
//! * `idle`: 10,000 connections that rest: memory of processes and kernel, and processor time;
//! * `many`: 1,000 connections that send at once: their sum, and Jain's index of fairness.
//!
//! The compared take turns within each round, each measurement has two fresh processes, every byte is
//! compared where it arrives, and every figure is the median of the rounds with its range. All of it takes
//! a quarter of an hour; `--scenario`, `--only`, `--rounds` and `--short` make it less. Results are kept in
//! a file, and a run goes on where one that was interrupted stopped: `--results`. QUIC encrypts, and
//! aqueduct does not: the comparison says what each costs, not which is better.

mod peers;
mod picture;
mod place;
mod report;
mod results;
mod run;
mod scenarios;
mod stream;
mod system;

#[allow(dead_code, reason = "each benchmark uses its own part")]
#[path = "../../support/pattern.rs"]
mod pattern;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use place::Placement;
use results::Results;
use scenarios::{Amount, Scenario};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    role: Role,
}

#[derive(clap::Args)]
struct Options {
    /// What to measure; all of it by default
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Only these of the compared, by their names in the table
    #[arg(long)]
    only: Vec<String>,
    /// Measurements of each kind
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    #[command(flatten)]
    amount: Amount,
    /// One short round of everything, with fewer connections
    #[arg(long)]
    short: bool,
    /// Which processors the two processes run on
    #[arg(long, value_enum, default_value_t)]
    placement: Placement,
    /// Where single measurements are kept, and looked for; without it a run begins anew
    #[arg(long)]
    results: Option<PathBuf>,
    /// Where the table and the picture go
    #[arg(long, default_value = "target/peers")]
    out: PathBuf,
    /// Measure nothing: write the table and the picture of the results that there are
    #[arg(long, requires = "results")]
    report: bool,
}

impl Options {
    fn scenarios(&self) -> Vec<Scenario> {
        match &self.scenario[..] {
            [] => Scenario::value_variants().to_vec(),
            some => some.to_vec(),
        }
    }
}

/// What the two processes of a measurement are told.
#[derive(clap::Args)]
struct Role {
    #[arg(long, hide = true)]
    variant: Option<String>,
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
    /// Be the server, here.
    #[arg(long, hide = true)]
    at: Option<SocketAddr>,
    /// Be the client of this server.
    #[arg(long, hide = true)]
    to: Option<SocketAddr>,
}

fn main() -> ExitCode {
    match follow(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn follow(Arguments { mut options, role }: Arguments) -> io::Result<()> {
    if let Some(variant) = &role.variant {
        return be(variant, &role, &options);
    }
    if options.short {
        options.rounds = 1;
        options.amount = Amount {
            milliseconds: 200,
            idle: 500,
            many: 50,
        };
    }
    fs::create_dir_all(&options.out)?;
    let file = options
        .results
        .clone()
        .unwrap_or_else(|| options.out.join("results.jsonl"));
    if options.results.is_none() && file.exists() {
        fs::remove_file(&file)?;
    }
    let mut results = Results::open(file)?;
    if !options.report {
        run::run(&options, &mut results)?;
    }
    println!("{}", report::write(&results, &options.out)?);
    Ok(())
}

/// Is one of the two processes.
fn be(variant: &str, role: &Role, options: &Options) -> io::Result<()> {
    let certificate = role.certificate.clone().unwrap_or_default();
    let works = peers::find(variant)?.make(&certificate)?;
    let [scenario] = options.scenario[..] else {
        return Err(io::Error::other("a process does one scenario"));
    };
    match (role.at, role.to) {
        (Some(at), _) => works.serve(scenario, at, &options.amount),
        (None, Some(server)) => {
            let figures = works.measure(scenario, server, &options.amount)?;
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
        (None, None) => Err(io::Error::other("neither server nor client")),
    }
}
