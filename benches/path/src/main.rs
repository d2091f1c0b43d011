//! Aqueduct beside kernel TCP on emulated paths: goodput, delay, repeated packets, fairness, times.
//!
//! `path run matrix shares sizes figures --out RESULTS.jsonl` measures (it needs root and the link emulator, named by
//! the environment variable `LINKEM`), and goes on where an earlier run stopped; `path report RESULTS.jsonl DIR`
//! writes the table and the pictures. `path flows` and `path sized` are the clients of one measurement.

mod client;
mod content;
mod order;
mod path;
mod picture;
mod plan;
mod report;
mod results;
mod run;
mod serve;
mod stack;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use stack::Stack;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure what is not measured yet
    Run {
        /// matrix, shares, sizes, figures
        #[arg(required = true)]
        plans: Vec<run::Plan>,
        /// Where results are kept
        #[arg(long)]
        out: PathBuf,
        /// Seconds of a flow alone on its path
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Paths of at most 100 Mbit/s measured at a time
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// Measurements of each kind on each path, with as many patterns of random loss
        #[arg(long, default_value_t = 1)]
        seeds: u64,
        /// Only what has all of these in its name or path
        #[arg(long)]
        only: Vec<String>,
    },
    /// Write the table and the pictures of what was measured
    Report {
        results: PathBuf,
        directory: PathBuf,
    },
    /// Serve both transports
    Serve { at: SocketAddr },
    /// Flows at once, to a server
    Flows {
        #[arg(long)]
        to: SocketAddr,
        /// Milliseconds from one flow's beginning to the next one's
        #[arg(long, default_value_t = 0)]
        apart: u64,
        /// Seconds after which what arrives counts
        #[arg(long, default_value_t = 0)]
        skip: u64,
        /// Seconds after which it no longer does
        #[arg(long)]
        until: u64,
        stacks: Vec<Stack>,
    },
    /// Transfers of a size one after the other, to a server
    Sized {
        #[arg(long)]
        to: SocketAddr,
        #[arg(long)]
        bytes: u64,
        #[arg(long)]
        times: u64,
        stack: Stack,
    },
}

fn main() -> ExitCode {
    match follow(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn follow(command: Command) -> io::Result<()> {
    match command {
        Command::Run {
            plans,
            out,
            seconds,
            jobs,
            seeds,
            only,
        } => {
            let wanted = run::Wanted {
                plans,
                seconds,
                seeds,
                only,
            };
            run::run(&wanted, out, jobs)
        }
        Command::Report { results, directory } => report::write(results, &directory),
        Command::Serve { at } => serve::run(at),
        Command::Flows {
            to,
            apart,
            skip,
            until,
            stacks,
        } => {
            let seconds = Duration::from_secs;
            let apart = Duration::from_millis(apart);
            print(&client::flows(
                to,
                &stacks,
                apart,
                seconds(skip),
                seconds(until),
            )?)
        }
        Command::Sized {
            to,
            bytes,
            times,
            stack,
        } => print(&client::sized(to, &stack, bytes, times)?),
    }
}

fn print(answer: &impl serde::Serialize) -> io::Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}
