//! A congestion controller of one's own, over real sockets: a transfer on loopback whose window grows by one datagram
//! a round trip and loses a quarter with every loss.
//!
//!     cargo run --release --example custom_congestion -- --bytes 50000000

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use aqueduct::congestion::{AckSample, Congested, Controller, Setup, minimum_window};
use aqueduct::{Config, Congestion, Listener, Stream};
use clap::Parser;

/// Additive increase, multiplicative decrease, and nothing else.
#[derive(Debug)]
struct Aimd {
    mtu: u64,
    cwnd: u64,
}

impl Aimd {
    fn new(setup: Setup) -> Self {
        let mtu = u64::from(setup.mtu);
        Aimd {
            mtu,
            cwnd: 10 * mtu,
        }
    }
}

impl Controller for Aimd {
    fn on_ack(&mut self, sample: &AckSample) {
        self.cwnd += sample.growth * self.mtu / self.cwnd;
    }

    fn on_congestion(&mut self, _event: &Congested) {
        self.cwnd = (self.cwnd * 3 / 4).max(2 * self.mtu);
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu);
        self.cwnd = self.cwnd.max(minimum_window(mtu));
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        let per_second = Duration::from_secs(1).as_nanos() / srtt.as_nanos().max(1);
        self.cwnd
            .saturating_mul(u64::try_from(per_second).unwrap_or(u64::MAX))
    }
}

/// Sends bytes over loopback under a controller of its own.
#[derive(Parser, Debug)]
struct Options {
    /// Bytes to send.
    #[arg(long, default_value_t = 50_000_000)]
    bytes: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let config =
        Config::new().with_congestion(Congestion::custom(|setup| Box::new(Aimd::new(setup))));
    // Each side controls what it sends: the listener keeps the default.
    let listener = Listener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let receiver = thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        std::io::copy(&mut stream, &mut std::io::sink())
    });

    #[expect(
        clippy::disallowed_methods,
        reason = "a program may read the clock that the core may not"
    )]
    let begin = Instant::now();
    let mut stream = Stream::connect_with(address, &config)?;
    let chunk = vec![0x5a; 64 << 10];
    let mut left = options.bytes;
    while left > 0 {
        let size = chunk.len().min(usize::try_from(left)?);
        stream.write_all(&chunk[..size])?;
        left -= u64::try_from(size)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let received = receiver.join().expect("the receiver does not panic")?;
    let took = begin.elapsed();

    assert_eq!(received, options.bytes, "every byte arrived");
    let info = stream.info();
    println!(
        "{received} bytes in {took:.2?}, {:.0} MB/s",
        received as f64 / took.as_secs_f64() / 1e6
    );
    println!(
        "cwnd {} bytes, round trip {:?}, {} packets sent, {} lost",
        info.cwnd, info.srtt, info.packets_sent, info.packets_lost
    );
    println!("{info:#?}");
    Ok(())
}
