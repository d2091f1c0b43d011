//! Aqueduct beside kernel TCP and quinn: the figures of the README, from one run.
//!
//! `cargo run --release` in this directory measures, over loopback and between two processes:
//!
//! * bulk throughput, in writes of 64 KiB;
//! * the p50 and p99 of a ping-pong of 64 bytes;
//! * connect, 1 byte each way, close, one after the other;
//! * with `--idle`, 10,000 idle connections: their memory, and the processor time of 10 seconds.
//!
//! The carriers take turns, every byte is compared, and every figure is a median with its range.
//! quinn encrypts and aqueduct does not: the comparison says what each costs, not which is better.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use quic::Quic;
use support::carrier::{Carriers, exit, serve_as};
use support::latency::{Connects, RoundTrips, print_connects, print_round_trips};
use support::peer::Peer;
use support::placement::Placement;
use support::statistics::{Samples, megabytes, per_second, print_table, ratio};
use support::transport::{Aqueduct, Kernel, SharedSocket};

mod quic;
#[allow(dead_code, reason = "each benchmark uses its own part")]
#[path = "../../support/mod.rs"]
mod support;

const WRITE: usize = 64 << 10;
const MESSAGE: usize = 64;
/// How long idle connections are watched.
const IDLE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Arguments {
    /// Runs of each kind
    #[arg(long, default_value_t = 7)]
    rounds: u64,
    /// MiB in a bulk transfer
    #[arg(long, default_value_t = 512)]
    mib: u64,
    /// Messages in a ping-pong
    #[arg(long, default_value_t = 10_000)]
    messages: u64,
    /// Connections made in sequence
    #[arg(long, default_value_t = 1_000)]
    connections: u64,
    /// A short run
    #[arg(long)]
    quick: bool,
    /// Measure idle connections instead, so many of them
    #[arg(long, num_args = 0..=1, default_missing_value = "10000")]
    idle: Option<u64>,
    /// Which processors the two processes run on
    #[arg(long, value_enum, default_value_t)]
    placement: Placement,
    /// Be the server
    #[arg(long, hide = true)]
    peer: Option<String>,
    /// The directory of the certificate
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
}

/// The first is what the others are compared with.
fn carriers(certificate: &Path) -> io::Result<Carriers> {
    Ok(vec![
        Box::new(Kernel),
        Box::new(Aqueduct),
        Box::new(SharedSocket::new()?),
        Box::new(Quic::with_threads(certificate)?),
        Box::new(Quic::on_the_calling_thread(certificate)?),
    ])
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.rounds, arguments.mib) = (1, 64);
        (arguments.messages, arguments.connections) = (1_000, 100);
    }
    exit(match (&arguments.peer, &arguments.certificate) {
        (Some(role), Some(directory)) => {
            carriers(directory).and_then(|carriers| serve_as(role, &carriers))
        }
        _ => measure(&arguments),
    })
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    arguments.placement.enter()?;
    let directory = tempfile::tempdir()?;
    quic::make_certificate(directory.path())?;
    let carriers = carriers(directory.path())?;
    let more = [OsStr::new("--certificate"), directory.path().as_os_str()];
    match arguments.idle {
        Some(count) => measure_idle(&carriers, &more, arguments, count),
        None => measure_works(&carriers, &more, arguments),
    }
}

/// The figures of one carrier.
#[derive(Clone, Default)]
struct Figures {
    bulk: Samples,
    round_trips: RoundTrips,
    connects: Connects,
}

fn measure_works(carriers: &Carriers, more: &[&OsStr], arguments: &Arguments) -> io::Result<()> {
    let total = arguments.mib << 20;
    let peers: Vec<_> = carriers
        .iter()
        .map(|carrier| Peer::start(arguments.placement, carrier.name(), more))
        .collect::<Result<_, _>>()?;
    let mut measured = vec![Figures::default(); carriers.len()];
    for round in 1..=arguments.rounds {
        println!("round {round}");
        for ((carrier, peer), figures) in carriers.iter().zip(&peers).zip(&mut measured) {
            let bulk = carrier.bulk(peer.address(), round, WRITE, total)?;
            let rate = per_second(bulk.arrived, bulk.elapsed);
            println!("{}: {} MB/s", carrier.name(), megabytes(rate));
            figures.bulk.add(rate);
            figures
                .round_trips
                .measure(&**carrier, peer, MESSAGE, arguments.messages)?;
            figures
                .connects
                .measure(&**carrier, peer, arguments.connections)?;
        }
    }
    print(carriers, &measured);
    Ok(())
}

fn print(carriers: &Carriers, measured: &[Figures]) {
    let named: Vec<_> = carriers
        .iter()
        .map(|carrier| carrier.name())
        .zip(measured)
        .collect();
    let first = &measured[0].bulk;
    let rows: Vec<_> = named
        .iter()
        .map(|(name, figures)| {
            let share = ratio(figures.bulk.median(), first.median());
            vec![(*name).to_owned(), figures.bulk.show(megabytes), share]
        })
        .collect();
    let compared = format!("of {}", carriers[0].name());
    print_table(
        &["bulk, writes of 64 KiB", "MB/s, median (range)", &compared],
        &rows,
    );
    let round_trips = named
        .iter()
        .map(|(name, figures)| (*name, &figures.round_trips))
        .collect();
    print_round_trips(&[("64 B".to_owned(), round_trips)]);
    let connects: Vec<_> = named
        .iter()
        .map(|(name, figures)| (*name, &figures.connects))
        .collect();
    print_connects(&connects);
}

/// Each carrier has the machine for itself: what is idle must not be disturbed.
fn measure_idle(
    carriers: &Carriers,
    more: &[&OsStr],
    arguments: &Arguments,
    count: u64,
) -> io::Result<()> {
    let mut rows = Vec::new();
    for carrier in carriers {
        let peer = Peer::start(arguments.placement, carrier.name(), more)?;
        println!(
            "{}: {count} idle connections for {} s",
            carrier.name(),
            IDLE.as_secs()
        );
        if let Some(idle) = carrier.idle(peer.address(), count, IDLE)? {
            let percent = 100.0 * idle.processor.as_secs_f64() / IDLE.as_secs_f64();
            let [client, server] = idle.memory;
            rows.push(vec![
                carrier.name().to_owned(),
                client.to_string(),
                server.to_string(),
                format!("{percent:.2} %"),
            ]);
        }
    }
    let title = format!("{count} idle connections");
    let head = [
        &*title,
        "client, bytes each",
        "server, bytes each",
        "processor, both",
    ];
    print_table(&head, &rows);
    println!("kernel TCP keeps its connections in the kernel, where this does not see them");
    Ok(())
}
