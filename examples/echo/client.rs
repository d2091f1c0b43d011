//! The client: one message at a time, each compared and timed.

use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::dice::Dice;
use crate::interrupt::Interrupt;
use crate::round_trips::{RoundTrips, milliseconds};
use crate::transport::{self, Stream};
use crate::units;

/// The largest message, bytes. A message must fit into the buffers on its way, as the client reads
/// only when it has written all of it.
const SIZE_MAX: u64 = 64 << 10;

/// What to send.
#[derive(Args)]
pub(crate) struct Options {
    /// The server, such as 127.0.0.1:7000
    #[arg(value_name = "HOST:PORT")]
    server: String,
    /// Messages to send
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    count: u64,
    /// Size of a message, at most 64KiB
    #[arg(long, default_value = "64", value_parser = message_size)]
    size: usize,
    /// Time between two messages, such as 200ms or 0ms
    #[arg(long, default_value = "200ms", value_parser = units::parse_duration)]
    interval: Duration,
}

fn message_size(text: &str) -> Result<usize, String> {
    match units::parse_size(text)? {
        size @ 1..=SIZE_MAX => usize::try_from(size).map_err(|error| error.to_string()),
        _ => Err(format!("a message has from 1 to {SIZE_MAX} bytes")),
    }
}

/// Sends the messages, and prints the round trips, until all are back or Ctrl-C.
///
/// # Errors
///
/// A sentence, if the server cannot be reached, goes away, or sends back something else.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), String> {
    let server = &options.server;
    let addresses: Vec<_> = server
        .to_socket_addrs()
        .map_err(|error| format!("cannot resolve {server}: {error}"))?
        .collect();
    let stream = transport::connect(&addresses)
        .map_err(|error| format!("nobody listens at {server}: {error}"))?;
    let mut round_trips = RoundTrips::default();
    let result = converse(&stream, options, interrupt, &mut round_trips);
    print!("{}", round_trips.summary(server));
    match result {
        // Ctrl-C ends a run like its count does; the broken message is its doing.
        Err(_) if interrupt.is_requested() => Ok(()),
        Err(error) => Err(format!("{server}: {error}")),
        Ok(()) => {
            transport::close(stream, crate::DRAIN);
            Ok(())
        }
    }
}

fn converse(
    stream: &Stream,
    options: &Options,
    interrupt: &Interrupt,
    round_trips: &mut RoundTrips,
) -> io::Result<()> {
    let _watched = interrupt.watch(stream)?;
    stream.set_nodelay(true)?;
    let (wake, woken) = mpsc::channel();
    interrupt.subscribe(move || wake.send(()).unwrap_or_default());
    let mut message = vec![0; options.size];
    let mut answer = vec![0; options.size];
    for number in 1..=options.count {
        // The channel is how a client that waits hears of Ctrl-C.
        if number > 1 && woken.recv_timeout(options.interval).is_ok() {
            return Ok(());
        }
        Dice::new(number, 0).fill(&mut message);
        let time = round_trip(stream, &message, &mut answer)?;
        round_trips.add(time);
        println!(
            "{} bytes from {}: seq={number} time={}",
            options.size,
            options.server,
            milliseconds(time)
        );
    }
    Ok(())
}

/// Sends one message, and waits until all of it is back.
fn round_trip(mut stream: &Stream, message: &[u8], answer: &mut [u8]) -> io::Result<Duration> {
    let begin = now();
    stream.write_all(message)?;
    stream.read_exact(answer)?;
    let time = begin.elapsed();
    if message != answer {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "something else came back",
        ));
    }
    Ok(time)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program that measures time needs a clock"
)]
fn now() -> Instant {
    Instant::now()
}
