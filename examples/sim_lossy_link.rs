//! A transfer over a simulated lossy link: what happened, in virtual time, reproducible to the nanosecond.
//!
//!     cargo run --release --example sim_lossy_link -- --loss 0.03 --seed 7

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::sim::{Link, Loss, Sim, apps};
use clap::Parser;

/// Sends bytes through a simulated link and says how it went.
#[derive(Parser, Debug)]
struct Options {
    /// Share of datagrams that is lost.
    #[arg(long, default_value_t = 0.01)]
    loss: f64,
    /// Mean length of a burst of loss, datagrams; 1 for single losses.
    #[arg(long, default_value_t = 1.0)]
    burst: f64,
    /// Rate of the link, Mbit/s.
    #[arg(long, default_value_t = 50)]
    rate: u64,
    /// Time from one end to the other, ms.
    #[arg(long, default_value_t = 20)]
    delay: u64,
    /// Jitter that reorders, ms.
    #[arg(long, default_value_t = 0)]
    jitter: u64,
    /// Bytes to send.
    #[arg(long, default_value_t = 20_000_000)]
    bytes: u64,
    /// All that is random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let options = Options::parse();
    let mut sim = Sim::new(options.seed);
    let (sender, receiver) = (sim.add_host("sender"), sim.add_host("receiver"));
    let delay = Duration::from_millis(options.delay);
    let bandwidth_delay = options.rate * 125 * 2 * options.delay.max(1);
    let link = Link::new()
        .rate_bits(options.rate * 1_000_000)
        .queue_bytes(bandwidth_delay.max(30_000))
        .delay(delay)
        .reordering_jitter(Duration::from_millis(options.jitter));
    let lossy = match options.burst {
        burst if burst > 1.0 => link.clone().loss(Loss::bursts(options.loss, burst)),
        _ => link.clone().loss(Loss::random(options.loss)),
    };
    sim.link_one_way(sender, receiver, lossy);
    sim.link_one_way(receiver, sender, link.clone());

    sim.listen(receiver, Config::default(), || {
        apps::Transfer::sink().expecting(1)
    });
    let begin = sim.now();
    let app = apps::Transfer::send(options.bytes).label(1);
    let key = sim.connect(sender, receiver, Config::default(), app);
    println!(
        "{:>8} {:>10} {:>10} {:>9} {:>8} {:>6}",
        "time", "received", "Mbit/s", "cwnd", "rtt", "lost"
    );
    let mut before = 0;
    loop {
        let step = Duration::from_millis(500);
        let is_over = sim.run_until(step, |sim| sim.is_closed(key));
        let received = sim.bytes_delivered();
        if let Some(info) = sim.info(key) {
            println!(
                "{:>7.2}s {:>10} {:>10.1} {:>9} {:>6.1}ms {:>6}",
                (sim.now() - begin).as_secs_f64(),
                received,
                (received - before) as f64 * 8.0 / step.as_secs_f64() / 1e6,
                info.cwnd,
                info.srtt.unwrap_or_default().as_secs_f64() * 1e3,
                info.packets_lost,
            );
        }
        before = received;
        if is_over || sim.report(key).failure.is_some() {
            break;
        }
    }
    let (took, stats) = (
        (sim.now() - begin).as_secs_f64(),
        sim.link_stats(sender, receiver),
    );
    println!(
        "{} of {} bytes in {took:.2} s ({:.1} Mbit/s), {} of {} datagrams lost, trace {:016x}",
        sim.bytes_delivered(),
        options.bytes,
        sim.bytes_delivered() as f64 * 8.0 / took / 1e6,
        stats.lost + stats.overflowed,
        stats.entered,
        sim.trace().hash(),
    );
}
