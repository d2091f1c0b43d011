//! Without arguments: a random file, a sender and a receiver in one process, over real sockets.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::inbox::Inbox;
use crate::interrupt::Interrupt;
use crate::receive::Receiver;
use crate::relay::dice::Dice;
use crate::relay::{Counts, Impairments, Relay};
use crate::report::{Arrival, Stopwatch, Terminal};
use crate::send::{Sender, Source};
use crate::transport::{Listener, Repairs};
use crate::units;

const NAME: &str = "random.bin";

/// The file, and the network between the two sides.
#[derive(Args)]
pub(crate) struct Options {
    /// Size of the random file
    #[arg(long, default_value = "256MiB", value_parser = units::parse_size)]
    size: u64,
    /// Probability that a datagram is lost
    #[arg(long, default_value = "0", value_parser = probability)]
    loss: f64,
    /// Time added to the way in each direction, such as 20ms
    #[arg(long, default_value = "0ms", value_parser = units::parse_duration)]
    delay: Duration,
    /// Probability that a datagram is held back while later ones pass
    #[arg(long, default_value = "0", value_parser = probability)]
    reorder: f64,
    /// Probability that a datagram arrives twice
    #[arg(long, default_value = "0", value_parser = probability)]
    duplicate: f64,
    /// Probability that one bit of a datagram flips
    #[arg(long, default_value = "0", value_parser = probability)]
    corrupt: f64,
    /// Seed of the file's content and of all faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("`{text}` is not a probability from 0 to 1")),
    }
}

impl Options {
    fn impairments(&self) -> Option<Impairments> {
        let probabilities = [self.loss, self.reorder, self.duplicate, self.corrupt];
        let any = probabilities.iter().any(|probability| *probability > 0.0);
        (any || self.delay > Duration::ZERO).then_some(Impairments {
            loss: self.loss,
            delay: self.delay,
            reorder: self.reorder,
            duplicate: self.duplicate,
            corrupt: self.corrupt,
            seed: self.seed,
        })
    }
}

/// Sends a random file to this process, and reports.
///
/// # Errors
///
/// Whatever ended the transfer.
pub(crate) fn run(options: &Options, interrupt: &Interrupt) -> Result<(), Failure> {
    let setup = |source| Failure::Other {
        doing: "cannot set up the transfer",
        source,
    };
    let terminal = Terminal::default();
    let directory = tempfile::tempdir().map_err(setup)?;
    let file = directory.path().join(NAME);
    let watch = Stopwatch::start();
    make_random_file(&file, options, interrupt).map_err(setup)?;
    terminal.line(&format!(
        "made {} of random bytes (seed {}) in {:.2} s",
        units::size(options.size),
        options.seed,
        watch.elapsed().as_secs_f64()
    ));
    let into = directory.path().join("received");
    fs::create_dir(&into).map_err(setup)?;
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(setup)?;
    let address = listener.local_addr().map_err(setup)?;
    let relay = options
        .impairments()
        .map(|impairments| Relay::start(address, impairments));
    let relay = relay.transpose().map_err(setup)?;
    let receiver = Receiver {
        inbox: Inbox::open(into, false)?,
        interrupt: interrupt.clone(),
        terminal: terminal.clone(),
    };
    let way = relay.as_ref().map_or(address, Relay::local_addr);
    terminal.line(&format!(
        "sending it to {way} and receiving it on {address}"
    ));
    let (arrival, repairs) = transfer(receiver, listener, &file, way)?;
    terminal.line(&arrival.sentence("sent and received", "over the loopback interface"));
    terminal.line(&format!(
        "sent again: {} packets, {}",
        repairs.packets,
        units::size(repairs.bytes)
    ));
    if let Some(relay) = relay {
        terminal.line(&describe(&relay.stop()));
    }
    terminal.line(&arrival.verified(Some(repairs)));
    Ok(())
}

/// Runs both sides until both agree that the file is there.
fn transfer(
    receiver: Receiver,
    listener: Listener,
    file: &Path,
    way: SocketAddr,
) -> Result<(Arrival, Repairs), Failure> {
    let sender = Sender {
        interrupt: receiver.interrupt.clone(),
        terminal: Terminal::quiet(),
        resume: false,
    };
    let (done, received) = mpsc::channel();
    thread::spawn(move || {
        let mut arrivals = Vec::new();
        let accepted = listener.accept();
        let accepted = accepted.map_err(|error| Failure::stream("the handshake", &error));
        let result = accepted.and_then(|(stream, _)| {
            receiver.session(stream, &mut |arrival| arrivals.push(arrival.clone()))
        });
        // Nobody waits if the sender failed.
        let _ = done.send(result.map(|()| arrivals.pop()));
    });
    let mut repairs = Repairs::default();
    let sources = [Source::open(file)?];
    sender.send(&sources, (&way.to_string(), &[way]), &mut |_, total| {
        repairs = total
    })?;
    // The sender has the receiver's word, so the receiver is at its end too.
    let arrival = received.recv().ok().transpose()?.flatten();
    arrival
        .map(|arrival| (arrival, repairs))
        .ok_or_else(|| Failure::stream("the end", &io::ErrorKind::UnexpectedEof.into()))
}

fn make_random_file(path: &Path, options: &Options, interrupt: &Interrupt) -> io::Result<()> {
    let mut dice = Dice::new(options.seed, u64::MAX);
    let mut file = File::create(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = options.size;
    while left > 0 {
        if interrupt.is_requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        dice.fill(&mut buffer[..length]);
        file.write_all(&buffer[..length])?;
        left -= u64::try_from(length).unwrap_or(left);
    }
    Ok(())
}

fn describe(counts: &Counts) -> String {
    format!(
        "relay: {} datagrams came, {} passed, {} lost, {} reordered, {} duplicated, \
         {} corrupted, {} dropped by full queues",
        counts.received,
        counts.passed,
        counts.lost,
        counts.reordered,
        counts.duplicated,
        counts.corrupted,
        counts.overflowed
    )
}
