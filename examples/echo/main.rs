//! A server that sends back what it hears, and a client that measures how long that takes.
//!
//! * `echo server 127.0.0.1:7000` serves any number of clients at once.
//! * `echo client 127.0.0.1:7000` sends messages one at a time, compares every byte that comes
//!   back, and prints each round trip as ping does, and their distribution at the end.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::interrupt::Interrupt;

mod client;
mod round_trips;
mod server;

#[path = "../support/dice.rs"]
#[allow(dead_code, reason = "each example uses its own part")]
mod dice;
#[path = "../support/interrupt.rs"]
mod interrupt;
#[path = "../support/transport.rs"]
#[allow(
    dead_code,
    reason = "each example uses its own part of what only aqueduct offers"
)]
mod transport;
#[path = "../support/units.rs"]
#[allow(dead_code, reason = "each example uses its own part")]
mod units;

/// How long the last bytes to a peer may take when the process ends.
const DRAIN: Duration = Duration::from_secs(2);

/// Sends messages to and fro over aqueduct, and measures how long they take.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends back what it hears, to any number of clients at once
    Server {
        /// Where to listen, such as 127.0.0.1:7000
        address: SocketAddr,
    },
    /// Sends messages, and prints how long each took to come back
    Client(client::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match Interrupt::install() {
        Err(error) => Err(format!("cannot handle Ctrl-C: {error}")),
        Ok(interrupt) => match arguments.command {
            Command::Server { address } => server::run(address, &interrupt),
            Command::Client(options) => client::run(&options, &interrupt),
        },
    };
    transport::drain(DRAIN);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
