//! Simulated transfers: how many datagrams a second the simulator and the core handle, and, in virtual time, how
//! much of a link the core uses. The latter is asserted.

use std::time::{Duration, Instant};

use aqueduct::config::Config;
use aqueduct::sim::{Link, Loss, Sim, apps};

/// One cell of the table.
struct Cell {
    name: &'static str,
    link: Link,
    bytes: u64,
    /// The least share of the link's rate, in virtual time.
    utilisation: f64,
}

fn main() {
    let ms = Duration::from_millis;
    let mbit = |rate: u64, delay: u64| {
        let buffer = rate * 125 * 2 * delay;
        Link::new()
            .rate_bits(rate * 1_000_000)
            .queue_bytes(buffer.max(30_000))
            .delay(ms(delay))
    };
    let cells = [
        Cell {
            name: "10 Mbit/s, 20 ms",
            link: mbit(10, 10),
            bytes: 20_000_000,
            utilisation: 0.9,
        },
        Cell {
            name: "100 Mbit/s, 20 ms",
            link: mbit(100, 10),
            bytes: 100_000_000,
            utilisation: 0.8,
        },
        Cell {
            name: "1 Gbit/s, 1 ms",
            link: mbit(1_000, 1).delay(ms(1) / 2),
            bytes: 200_000_000,
            utilisation: 0.5,
        },
        Cell {
            name: "10 Mbit/s, 20 ms, 0.1 % loss",
            link: mbit(10, 10).loss(Loss::random(0.001)),
            bytes: 20_000_000,
            utilisation: 0.7,
        },
    ];
    println!(
        "{:<30} {:>12} {:>12} {:>12}",
        "link", "datagrams", "events/s", "utilisation"
    );
    for cell in cells {
        run(&cell);
    }
}

fn run(cell: &Cell) {
    let mut sim = Sim::new(1);
    let (sender, receiver) = (sim.add_host("sender"), sim.add_host("receiver"));
    sim.link(sender, receiver, cell.link.clone());
    sim.listen(receiver, Config::default(), apps::Transfer::sink);
    let begin = sim.now();
    let key = sim.connect(
        sender,
        receiver,
        Config::default(),
        apps::Transfer::send(cell.bytes),
    );
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let started = Instant::now();
    let is_over = sim.run_until(Duration::from_secs(3_600), |sim| sim.is_closed(key));
    let took = started.elapsed();
    assert!(
        is_over && sim.bytes_delivered() == cell.bytes,
        "{}: not delivered",
        cell.name
    );
    let ideal = cell
        .link
        .serialization(usize::try_from(cell.bytes).expect("fits"));
    let utilisation = ideal.as_secs_f64() / (sim.now() - begin).as_secs_f64();
    // Sent and delivered are one datagram here.
    let rate = sim.events() as f64 / took.as_secs_f64();
    let datagrams = sim.trace().count() / 2;
    println!(
        "{:<30} {datagrams:>12} {rate:>12.0} {:>11.1}%",
        cell.name,
        utilisation * 100.0
    );
    assert!(
        utilisation >= cell.utilisation,
        "{}: {utilisation:.3} of the link",
        cell.name
    );
}
