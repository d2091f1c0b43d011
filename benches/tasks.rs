//! The face for tasks beside the blocking one and beside kernel TCP through tokio, in one run.
//!
//! `cargo bench --bench tasks` prints, for each carrier, the best and the median rate of a bulk transfer in pieces of
//! 64 KiB, and the median of a ping-pong of 64 B. All carriers have the same layout: one process, two threads, for
//! tasks a runtime of one thread on each. Rounds are interleaved, so that what else the machine does hits all alike.
//! `-- --check` fails unless bulk is at least 0.8 of the blocking face, and the round trip at most kernel TCP's.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

/// Bytes of one write or read of a bulk transfer.
const PIECE: usize = 64 << 10;
/// Bytes of a message.
const MESSAGE: usize = 64;

#[derive(Parser)]
struct Arguments {
    /// Runs of each kind
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// MiB of a bulk transfer
    #[arg(long, default_value_t = 256)]
    mib: usize,
    /// Round trips of a ping-pong
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// Fail unless the goals are met
    #[arg(long)]
    check: bool,
    /// A short run
    #[arg(long)]
    quick: bool,
    /// The same, for `cargo test --benches`
    #[arg(long)]
    test: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// What carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carrier {
    Blocking,
    Tasks,
    KernelTasks,
}

const CARRIERS: [(Carrier, &str); 3] = [
    (Carrier::Blocking, "aqueduct, blocking"),
    (Carrier::Tasks, "aqueduct, tokio"),
    (Carrier::KernelTasks, "kernel TCP, tokio"),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick || arguments.test || !arguments.bench {
        (arguments.rounds, arguments.mib, arguments.messages) = (1, 16, 200);
    }
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; whether the goals are met, if that is asked.
fn measure(arguments: &Arguments) -> io::Result<bool> {
    let mut rates = vec![Vec::new(); CARRIERS.len()];
    let mut trips = vec![Vec::new(); CARRIERS.len()];
    for _ in 0..arguments.rounds {
        for (at, (carrier, _)) in CARRIERS.into_iter().enumerate() {
            let took = bulk(carrier, arguments.mib << 20)?;
            rates[at].push((arguments.mib << 20) as f64 / took.as_secs_f64() / 1e6);
            trips[at].push(ping_pong(carrier, arguments.messages)?.as_secs_f64() * 1e6);
        }
    }
    println!(
        "{:20} {:>10} {:>10} {:>12}",
        "", "MB/s best", "median", "64 B, us p50"
    );
    for (at, (_, name)) in CARRIERS.into_iter().enumerate() {
        rates[at].sort_by(f64::total_cmp);
        trips[at].sort_by(f64::total_cmp);
        let best = rates[at].last().copied().unwrap_or_default();
        println!(
            "{name:20} {best:10.0} {:10.0} {:12.1}",
            median(&rates[at]),
            median(&trips[at])
        );
    }
    let bulk = median(&rates[1]) / median(&rates[0]);
    let trip = median(&trips[1]) / median(&trips[2]);
    println!("tokio face: bulk {bulk:.2} of the blocking face, round trip {trip:.2} of kernel TCP");
    Ok(!arguments.check || (bulk >= 0.8 && trip <= 1.0))
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Both ends of a connection on loopback, each opened in its own runtime.
macro_rules! in_two_runtimes {
    ($listener:ty, $stream:ty, $serve:expr, $call:expr) => {{
        let theirs = runtime()?;
        let listener = theirs.block_on(<$listener>::bind("127.0.0.1:0"))?;
        let addr = listener.local_addr()?;
        let server = thread::spawn(move || {
            theirs.block_on(async move {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                $serve(stream).await
            })
        });
        let took = runtime()?.block_on(async {
            let stream = <$stream>::connect(addr).await?;
            stream.set_nodelay(true)?;
            $call(stream).await
        })?;
        server.join().expect("the server does not panic")?;
        Ok(took)
    }};
}

fn bulk(carrier: Carrier, len: usize) -> io::Result<Duration> {
    let send = move |stream| send_all(stream, len);
    match carrier {
        Carrier::Blocking => bulk_blocking(len),
        Carrier::Tasks => in_two_runtimes!(
            aqueduct::tokio::Listener,
            aqueduct::tokio::Stream,
            receive_all,
            send
        ),
        Carrier::KernelTasks => {
            let send = move |stream| send_all(stream, len);
            in_two_runtimes!(
                tokio::net::TcpListener,
                tokio::net::TcpStream,
                receive_all,
                send
            )
        }
    }
}

fn bulk_blocking(len: usize) -> io::Result<Duration> {
    let listener = aqueduct::Listener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut buf = vec![0; PIECE];
        while stream.read(&mut buf)? > 0 {}
        stream.write_all(&[1])
    });
    let mut stream = aqueduct::Stream::connect(addr)?;
    let piece = vec![7; PIECE];
    let begin = now();
    for _ in 0..len / PIECE {
        stream.write_all(&piece)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    let took = begin.elapsed();
    server.join().expect("the server does not panic")?;
    Ok(took)
}

async fn send_all(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    len: usize,
) -> io::Result<Duration> {
    let piece = vec![7; PIECE];
    let begin = now();
    for _ in 0..len / PIECE {
        stream.write_all(&piece).await?;
    }
    stream.shutdown().await?;
    stream.read_exact(&mut [0]).await?;
    Ok(begin.elapsed())
}

async fn receive_all(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buf = vec![0; PIECE];
    while stream.read(&mut buf).await? > 0 {}
    stream.write_all(&[1]).await
}

/// The median round trip.
fn ping_pong(carrier: Carrier, messages: usize) -> io::Result<Duration> {
    match carrier {
        Carrier::Blocking => ping_pong_blocking(messages),
        Carrier::Tasks => in_two_runtimes!(
            aqueduct::tokio::Listener,
            aqueduct::tokio::Stream,
            move |stream| answer(stream, messages),
            move |stream| ask(stream, messages)
        ),
        Carrier::KernelTasks => in_two_runtimes!(
            tokio::net::TcpListener,
            tokio::net::TcpStream,
            move |stream| answer(stream, messages),
            move |stream| ask(stream, messages)
        ),
    }
}

fn ping_pong_blocking(messages: usize) -> io::Result<Duration> {
    let listener = aqueduct::Listener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let server = thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut buf = [0; MESSAGE];
        for _ in 0..messages {
            stream.read_exact(&mut buf)?;
            stream.write_all(&buf)?;
        }
        Ok(())
    });
    let mut stream = aqueduct::Stream::connect(addr)?;
    let mut trips = Vec::with_capacity(messages);
    let mut buf = [7; MESSAGE];
    for _ in 0..messages {
        let begin = now();
        stream.write_all(&buf)?;
        stream.read_exact(&mut buf)?;
        trips.push(begin.elapsed());
    }
    server.join().expect("the server does not panic")?;
    Ok(middle(trips))
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    messages: usize,
) -> io::Result<()> {
    let mut buf = [0; MESSAGE];
    for _ in 0..messages {
        stream.read_exact(&mut buf).await?;
        stream.write_all(&buf).await?;
    }
    Ok(())
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    messages: usize,
) -> io::Result<Duration> {
    let mut trips = Vec::with_capacity(messages);
    let mut buf = [7; MESSAGE];
    for _ in 0..messages {
        let begin = now();
        stream.write_all(&buf).await?;
        stream.read_exact(&mut buf).await?;
        trips.push(begin.elapsed());
    }
    Ok(middle(trips))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
