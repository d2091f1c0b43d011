//! Bulk throughput over loopback between two processes: aqueduct, kernel TCP and bare UDP.
//!
//! `cargo bench --bench throughput` prints medians with their spread, ratios, and processor time per
//! gigabyte, for writes of 1 KiB, 64 KiB and 1 MiB. `-- --quick` makes a short run. How it is
//! measured stands in `support/mod.rs`, what bare UDP does in `support/bare_udp.rs`.

use std::io;
use std::process::ExitCode;

use clap::Parser;

use bare_udp::BareUdp;
use support::carrier::{Carriers, exit, serve_as};
use support::now;
use support::peer::Peer;
use support::placement::Placement;
use support::statistics::{Samples, megabytes, micros, nanos, per_second, print_table, ratio};
use support::transport::{Aqueduct, Kernel};

#[allow(dead_code, reason = "each benchmark uses one of its servers")]
#[path = "support/bare_udp.rs"]
mod bare_udp;
#[allow(dead_code, reason = "each benchmark uses its own part")]
mod support;

const WRITES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)];

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
        Box::new(BareUdp::Bulk),
    ]
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick || arguments.test || !arguments.bench {
        (arguments.rounds, arguments.mib) = (1, 16);
    }
    exit(match &arguments.peer {
        Some(role) => serve_as(role, &carriers()),
        None => measure(&arguments),
    })
}

/// The figures of one carrier and one size of writes.
#[derive(Clone, Default)]
struct Figures {
    rates: Samples,
    /// Processor nanoseconds per gigabyte.
    processor: Samples,
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    arguments.placement.enter()?;
    let total = arguments.mib << 20;
    println!(
        "{} rounds of {} MiB over loopback, two processes, every byte compared",
        arguments.rounds, arguments.mib
    );
    let carriers = carriers();
    let peers: Vec<_> = carriers
        .iter()
        .map(|carrier| Peer::start(arguments.placement, carrier.name(), &[]))
        .collect::<Result<_, _>>()?;
    let mut figures = vec![Figures::default(); WRITES.len() * carriers.len()];
    let begin = now();
    for round in 1..=arguments.rounds {
        let kinds = WRITES
            .iter()
            .flat_map(|write| carriers.iter().zip(&peers).map(move |c| (write, c)));
        for (figure, ((name, write), (carrier, peer))) in figures.iter_mut().zip(kinds) {
            // Never 0, which a server of bare UDP begins with.
            let number = nanos(begin.elapsed());
            let bulk = carrier.bulk(peer.address(), number, *write, total)?;
            let rate = per_second(bulk.arrived, bulk.elapsed);
            let lost = total.saturating_sub(bulk.arrived);
            println!(
                "round {round}: {}, {name}: {} MB/s, {lost} bytes lost",
                carrier.name(),
                megabytes(rate)
            );
            figure.rates.add(rate);
            figure
                .processor
                .add(nanos(bulk.processor) * 1_000 / (bulk.arrived / 1_000_000).max(1));
        }
    }
    print(&carriers, &figures);
    Ok(())
}

fn print(carriers: &Carriers, figures: &[Figures]) {
    let mut rows = Vec::new();
    for ((name, _), figures) in WRITES.iter().zip(figures.chunks(carriers.len())) {
        for (carrier, figure) in carriers.iter().zip(figures) {
            rows.push(vec![
                format!("{}, writes of {name}", carrier.name()),
                figure.rates.show(megabytes),
                ratio(figure.rates.median(), figures[0].rates.median()),
                // Nanoseconds to milliseconds, by way of microseconds.
                figure.processor.show(|nanos| micros(nanos / 1_000)),
            ]);
        }
    }
    let compared = format!("of {}", carriers[0].name());
    let head = [
        "bulk",
        "MB/s, median (range)",
        &compared,
        "processor ms per GB",
    ];
    print_table(&head, &rows);
}
