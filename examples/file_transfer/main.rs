//! Sends files, and proves that they arrived.
//!
//! * Without arguments: makes 256 MiB of random bytes, sends them to itself over two real UDP
//!   sockets, and prints what it measured. `--loss 0.05 --delay 20ms --reorder 0.1 --duplicate 0.02
//!   --corrupt 0.01 --seed 7` puts a relay between the two that does just that.
//! * `receive 0.0.0.0:9000 --into DIR` waits for senders.
//! * `send FILE... HOST:9000` sends files there; `--resume` goes on where an earlier try ended.
//!
//! The modules, from the outside in: `demo` is the program without arguments, `send` and
//! `receive` are the two sides, `inbox` is the receiving directory, `protocol` is what the
//! sides say to each other, `failure` is everything that can go wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::inbox::Inbox;
use crate::interrupt::Interrupt;
use crate::receive::Receiver;
use crate::report::Terminal;
use crate::send::{Sender, Source};
use crate::transport::Listener;

mod demo;
mod digest;
mod failure;
mod inbox;
mod protocol;
mod receive;
mod report;
mod send;

#[path = "../support/interrupt.rs"]
mod interrupt;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../support/transport.rs"]
mod transport;
#[path = "../support/units.rs"]
mod units;

const EXIT_CODES: &str = "\
Exit codes:
  0    every file is there, its digest verified
  1    another problem of the system
  2    wrong arguments
  3    a file to send is missing or cannot be read
  4    the receiving directory is not writable
  5    the receiving disk is full
  6    the name of the peer does not resolve
  7    nobody listens there
  8    the peer is gone in the middle
  9    the digest does not match
  10   the receiver refused the file (it exists, has a bad name, or another sender sends it)
  11   the peer speaks another protocol
  130  Ctrl-C";

/// How long the last words to the peer may take when the process ends.
const DRAIN: Duration = Duration::from_secs(2);

/// Sends files over aqueduct, and proves that they arrived. Without arguments: a random file, to
/// itself, over two real UDP sockets on the loopback interface.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    demo: demo::Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Receives files into a directory, from any number of senders
    Receive {
        /// Where to listen, such as 0.0.0.0:9000
        address: SocketAddr,
        /// The directory that gets the files
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// Overwrite files that exist
        #[arg(long)]
        force: bool,
        /// End after the first sender, with the exit code of its transfer
        #[arg(long)]
        once: bool,
    },
    /// Sends files to a receiver
    Send {
        /// The files; their names are kept
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The receiver
        #[arg(value_name = "HOST:PORT")]
        to: String,
        /// Go on where an earlier try ended, after both sides compared what is there
        #[arg(long)]
        resume: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => {
            eprintln!("error: cannot handle Ctrl-C: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match arguments.command {
        None => demo::run(&arguments.demo, &interrupt),
        Some(Command::Receive {
            address,
            into,
            force,
            once,
        }) => receive(address, into, force, once, &interrupt),
        Some(Command::Send { files, to, resume }) => send(&files, &to, resume, &interrupt),
    };
    transport::drain(DRAIN);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let failure = if interrupt.is_requested() {
                Failure::Interrupted
            } else {
                failure
            };
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn receive(
    address: SocketAddr,
    into: PathBuf,
    force: bool,
    once: bool,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let inbox = Inbox::open(into, force)?;
    let cannot_listen = |source| Failure::Listen { address, source };
    let listener = Listener::bind(address).map_err(cannot_listen)?;
    let terminal = Terminal::default();
    let bound = listener.local_addr().map_err(cannot_listen)?;
    terminal.line(&format!("listening on {bound}"));
    Receiver {
        inbox,
        interrupt: interrupt.clone(),
        terminal,
    }
    .serve(listener, once)
}

fn send(files: &[PathBuf], to: &str, resume: bool, interrupt: &Interrupt) -> Result<(), Failure> {
    let sources = Source::open_all(files)?;
    let addresses = send::resolve(to)?;
    let terminal = Terminal::default();
    let sender = Sender {
        interrupt: interrupt.clone(),
        terminal: terminal.clone(),
        resume,
    };
    let result = sender.send(&sources, (to, &addresses), &mut |arrival, repairs| {
        terminal.line(&arrival.sentence("sent", &format!("to {to}")));
        terminal.line(&arrival.verified(Some(repairs)));
    });
    if result.as_ref().is_err_and(Failure::may_resume) {
        terminal.problem("the same command with --resume goes on where this ended");
    }
    result
}
