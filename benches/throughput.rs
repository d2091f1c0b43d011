//! Bulk throughput over loopback between two processes: aqueduct, kernel TCP and bare UDP.
//!
//! `cargo bench --bench throughput` prints medians with their spread, ratios, and processor time per
//! gigabyte, for writes of 1 KiB, 64 KiB and 1 MiB. `-- --quick` makes a short run. How it is
//! measured stands in `support/mod.rs`, what bare UDP does in `support/bare_udp.rs`.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use support::peer::Peer;
use support::statistics::{Samples, megabytes, micros, nanos, per_second, print_table, ratio};
use support::transport::Kernel;
use support::works::{self, Bulk};
use support::{bare_udp, now};

#[allow(dead_code, reason = "each benchmark uses its own part")]
mod support;

const WRITES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)];
const CARRIERS: [Carrier; 2] = [Carrier::KernelTcp, Carrier::BareUdp];

#[derive(Parser)]
struct Arguments {
    /// Transfers of each kind
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// MiB in a transfer
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// A short run: one round of 16 MiB
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

/// What carries the bytes.
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
            Carrier::BareUdp => bare_udp::serve_bulk(),
        }
    }

    /// Returns the bytes that arrived.
    fn bulk(self, peer: &Peer, number: u64, write: usize, total: u64) -> io::Result<(u64, Bulk)> {
        let server = peer.address();
        match self {
            Carrier::KernelTcp => Ok((total, works::bulk(&Kernel, server, number, write, total)?)),
            Carrier::BareUdp => bare_udp::bulk(server, number, write, total),
        }
    }
}

/// The figures of one carrier and one size of writes.
#[derive(Default)]
struct Figures {
    rates: Samples,
    /// Processor nanoseconds per gigabyte.
    processor: Samples,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick || arguments.test || !arguments.bench {
        (arguments.rounds, arguments.mib) = (1, 16);
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
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    let total = arguments.mib << 20;
    println!(
        "{} rounds of {} MiB over loopback, two processes, every byte compared",
        arguments.rounds, arguments.mib
    );
    let mut peers = Vec::new();
    for carrier in CARRIERS {
        peers.push((carrier, Peer::start(carrier.name())?));
    }
    let mut figures: Vec<Figures> = (0..WRITES.len() * peers.len())
        .map(|_| Figures::default())
        .collect();
    let begin = now();
    for round in 1..=arguments.rounds {
        let kinds = WRITES
            .iter()
            .flat_map(|write| peers.iter().map(move |peer| (write, peer)));
        for (figure, ((name, write), (carrier, peer))) in figures.iter_mut().zip(kinds) {
            // Never 0, which a server of bare UDP begins with.
            let number = nanos(begin.elapsed());
            let (arrived, bulk) = carrier.bulk(peer, number, *write, total)?;
            let rate = per_second(arrived, bulk.elapsed);
            let lost = total.saturating_sub(arrived);
            println!(
                "round {round}: {}, {name}: {} MB/s, {lost} lost",
                carrier.name(),
                megabytes(rate)
            );
            figure.rates.add(rate);
            figure
                .processor
                .add(nanos(bulk.processor) * 1_000 / (arrived / 1_000_000).max(1));
        }
    }
    print(&figures);
    Ok(())
}

fn print(figures: &[Figures]) {
    let mut rows = Vec::new();
    for ((name, _), figures) in WRITES.iter().zip(figures.chunks(CARRIERS.len())) {
        let kernel = CARRIERS
            .iter()
            .position(|carrier| *carrier == Carrier::KernelTcp);
        let kernel = kernel.map_or(0, |index| figures[index].rates.median());
        for (carrier, figure) in CARRIERS.iter().zip(figures) {
            rows.push(vec![
                format!("{}, writes of {name}", carrier.name()),
                figure.rates.show(megabytes),
                ratio(figure.rates.median(), kernel),
                // Nanoseconds to milliseconds, by way of microseconds.
                figure.processor.show(|nanos| micros(nanos / 1_000)),
            ]);
        }
    }
    let head = [
        "bulk",
        "MB/s, median (range)",
        "of kernel TCP",
        "processor ms per GB",
    ];
    print_table(&head, &rows);
}
