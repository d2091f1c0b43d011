//! Round trips and connections over loopback between two processes: aqueduct, kernel TCP, bare UDP.
//!
//! `cargo bench --bench rtt` prints the p50 and p99 of a ping-pong of 64 B and 1 KiB, and how many
//! connections a second can be made, used for one byte each way, and closed, one after the other.
//! `-- --quick` makes a short run. How it is measured stands in `support/mod.rs`.
//!
//! Compare figures of one placement only: `-- --placement two` gives each process a processor,
//! `--placement one` lets them share one. Without it the system chooses, for each carrier anew.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use bare_udp::BareUdp;
use support::carrier::{Carriers, exit, serve_as};
use support::latency::{Connects, RoundTrips, print_connects, print_round_trips};
use support::peer::Peer;
use support::placement::Placement;
use support::transport::{Aqueduct, Kernel};

#[allow(dead_code, reason = "each benchmark uses one of its servers")]
#[path = "support/bare_udp.rs"]
mod bare_udp;
#[allow(dead_code, reason = "each benchmark uses its own part")]
mod support;

const MESSAGES: [(&str, usize); 2] = [("64 B", 64), ("1 KiB", 1 << 10)];

#[derive(Parser)]
struct Arguments {
    /// Runs of each kind
    #[arg(long, default_value_t = 7)]
    rounds: u64,
    /// Round trips in a run
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Connections in a run
    #[arg(long, default_value_t = 2_000)]
    connections: u64,
    /// A short run: one round of 500 messages and 100 connections
    #[arg(long)]
    quick: bool,
    /// The same, for `cargo test --benches`
    #[arg(long)]
    test: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Which processors the two processes run on
    #[arg(long, value_enum, default_value_t)]
    placement: Placement,
    /// Be the server
    #[arg(long, hide = true)]
    peer: Option<String>,
}

/// The first is what the others are compared with.
fn carriers() -> Carriers {
    vec![
        Box::new(Kernel),
        Box::new(Aqueduct),
        Box::new(BareUdp::PingPong),
    ]
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick || arguments.test || !arguments.bench {
        (arguments.rounds, arguments.messages, arguments.connections) = (1, 500, 100);
    }
    exit(match &arguments.peer {
        Some(role) => serve_as(role, &carriers()),
        None => measure(&arguments),
    })
}

/// The figures of one carrier.
#[derive(Default)]
struct Figures {
    round_trips: [RoundTrips; MESSAGES.len()],
    connects: Connects,
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    arguments.placement.enter()?;
    println!(
        "{} rounds of {} messages and {} connections over loopback, two processes",
        arguments.rounds, arguments.messages, arguments.connections
    );
    let mut measured = Vec::new();
    for carrier in carriers() {
        let peer = Peer::start(arguments.placement, carrier.name(), &[])?;
        measured.push((carrier, peer, Figures::default()));
    }
    for round in 1..=arguments.rounds {
        println!("round {round}");
        for (carrier, peer, figures) in &mut measured {
            for ((_, size), round_trips) in MESSAGES.iter().zip(&mut figures.round_trips) {
                round_trips.measure(&**carrier, peer, *size, arguments.messages)?;
            }
            figures
                .connects
                .measure(&**carrier, peer, arguments.connections)?;
        }
    }
    let groups: Vec<_> = MESSAGES
        .iter()
        .enumerate()
        .map(|(index, (size, _))| {
            let group = measured.iter();
            let group = group.map(|(carrier, _, of)| (carrier.name(), &of.round_trips[index]));
            ((*size).to_owned(), group.collect())
        })
        .collect();
    print_round_trips(&groups);
    let connects: Vec<_> = measured
        .iter()
        .map(|(carrier, _, of)| (carrier.name(), &of.connects))
        .collect();
    print_connects(&connects);
    Ok(())
}
