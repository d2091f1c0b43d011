//! Round trips and connections over loopback between two processes: aqueduct, kernel TCP, bare UDP.
//!
//! `cargo bench --bench rtt` prints the p50 and p99 of a ping-pong of 64 B and 1 KiB, and how many
//! connections a second can be made, used for one byte each way, and closed, one after the other.
//! `-- --quick` makes a short run. How it is measured stands in `support/mod.rs`.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use support::peer::Peer;
use support::statistics::{Samples, micros, per_second, percentile, print_table, ratio};
use support::transport::Kernel;
use support::{bare_udp, works};

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod support;

const MESSAGES: [(&str, usize); 2] = [("64 B", 64), ("1 KiB", 1 << 10)];
const CARRIERS: [Carrier; 2] = [Carrier::KernelTcp, Carrier::BareUdp];

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
    /// Be the server
    #[arg(long, hide = true)]
    peer: Option<String>,
}

/// What carries the messages.
#[derive(Clone, Copy, PartialEq)]
enum Carrier {
    KernelTcp,
    BareUdp,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Carrier::KernelTcp => "kernel TCP",
            Carrier::BareUdp => "bare UDP",
        }
    }

    fn serve(self) -> io::Result<()> {
        match self {
            Carrier::KernelTcp => works::serve(&Kernel),
            Carrier::BareUdp => bare_udp::serve_ping_pong(),
        }
    }

    fn ping_pong(self, peer: &Peer, size: usize, count: u64) -> io::Result<Vec<u64>> {
        match self {
            Carrier::KernelTcp => works::ping_pong(&Kernel, peer.address(), size, count),
            Carrier::BareUdp => bare_udp::ping_pong(peer.address(), size, count),
        }
    }

    /// Connections a second; UDP has none.
    fn connects(self, peer: &Peer, count: u64) -> io::Result<Option<u64>> {
        let elapsed = match self {
            Carrier::KernelTcp => works::connects(&Kernel, peer.address(), count)?,
            Carrier::BareUdp => return Ok(None),
        };
        Ok(Some(per_second(count, elapsed)))
    }
}

/// The figures of one carrier.
#[derive(Default)]
struct Figures {
    /// Of each size of messages: p50 and p99, nanoseconds.
    round_trips: [[Samples; 2]; MESSAGES.len()],
    connects: Samples,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick || arguments.test || !arguments.bench {
        (arguments.rounds, arguments.messages, arguments.connections) = (1, 500, 100);
    }
    let result = match &arguments.peer {
        Some(role) => match CARRIERS.into_iter().find(|carrier| carrier.name() == role) {
            Some(carrier) => carrier.serve(),
            None => Err(io::Error::other(format!("there is no {role} to serve"))),
        },
        None => measure(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rtt: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    println!(
        "{} rounds of {} messages and {} connections over loopback, two processes",
        arguments.rounds, arguments.messages, arguments.connections
    );
    let mut peers = Vec::new();
    for carrier in CARRIERS {
        peers.push((carrier, Peer::start(carrier.name())?, Figures::default()));
    }
    for round in 1..=arguments.rounds {
        for (carrier, peer, figures) in &mut peers {
            for ((name, size), samples) in MESSAGES.iter().zip(&mut figures.round_trips) {
                let times = carrier.ping_pong(peer, *size, arguments.messages)?;
                let [p50, p99] = [50, 99].map(|percent| percentile(&times, percent));
                println!(
                    "round {round}: {}, {name}: p50 {} us, p99 {} us",
                    carrier.name(),
                    micros(p50),
                    micros(p99)
                );
                samples[0].add(p50);
                samples[1].add(p99);
            }
            if let Some(rate) = carrier.connects(peer, arguments.connections)? {
                println!(
                    "round {round}: {}: {rate} connections a second",
                    carrier.name()
                );
                figures.connects.add(rate);
            }
        }
    }
    let measured: Vec<_> = peers
        .iter()
        .map(|(carrier, _, figures)| (*carrier, figures))
        .collect();
    print(&measured);
    Ok(())
}

fn print(measured: &[(Carrier, &Figures)]) {
    let Some((_, kernel)) = measured
        .iter()
        .find(|(carrier, _)| *carrier == Carrier::KernelTcp)
    else {
        return;
    };
    let mut rows = Vec::new();
    for (index, (name, _)) in MESSAGES.iter().enumerate() {
        for (carrier, figures) in measured {
            let [p50, p99] = &figures.round_trips[index];
            rows.push(vec![
                format!("{}, {name}", carrier.name()),
                p50.show(micros),
                p99.show(micros),
                ratio(p50.median(), kernel.round_trips[index][0].median()),
            ]);
        }
    }
    let head = [
        "ping-pong",
        "p50 us, median (range)",
        "p99 us, median (range)",
        "p50 of kernel TCP",
    ];
    print_table(&head, &rows);
    let rows: Vec<_> = measured
        .iter()
        .filter(|(carrier, _)| *carrier != Carrier::BareUdp)
        .map(|(carrier, figures)| {
            vec![
                carrier.name().to_owned(),
                figures.connects.show(|rate| rate.to_string()),
                ratio(figures.connects.median(), kernel.connects.median()),
            ]
        })
        .collect();
    print_table(
        &[
            "connect, 1 byte each way, close",
            "a second, median (range)",
            "of kernel TCP",
        ],
        &rows,
    );
}
