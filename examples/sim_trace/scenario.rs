//! The scenarios: each a path, a sender, and a time.

use std::fmt;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::sim::{Link, Sim, apps};
use aqueduct::trace::Traces;
use clap::ValueEnum;

/// More bytes than any scenario carries.
const ENDLESS: u64 = 1 << 40;
/// UDP payload of a packet of 1,280 bytes over IPv4.
const NARROW: usize = 1_252;

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// CUBIC begins on an empty path: 100 Mbit/s, 40 ms, a queue of 4 BDP, 1.5 s.
    SlowStart,
    /// CUBIC fills a queue of one BDP again and again: 10 Mbit/s, 40 ms, 25 s.
    CubicSawtooth,
    /// BBR probes for bandwidth and for the round trip: 10 Mbit/s, 40 ms, a queue of 5 BDP, 12 s.
    BbrProbeCycle,
    /// The path carries only packets of 1,280 bytes from 1 s on: 20 Mbit/s, 20 ms, 3 s.
    BlackHole,
}

/// How a run went.
pub(crate) struct Summary {
    time: Duration,
    delivered: u64,
    lost: u64,
    hash: u64,
}

/// The path of a scenario.
struct Path {
    megabits: u64,
    rtt: Duration,
    queue_bdps: u64,
}

impl Path {
    fn link(&self) -> Link {
        let rate = self.megabits * 1_000_000;
        let millis = u64::try_from(self.rtt.as_millis()).expect("a short round trip");
        let bdp = rate / 8 * millis / 1_000;
        Link::new()
            .rate_bits(rate)
            .queue_bytes(bdp * self.queue_bdps)
            .delay(self.rtt / 2)
    }
}

impl Scenario {
    fn congestion(self) -> Congestion {
        match self {
            Scenario::BbrProbeCycle => Congestion::Bbr,
            Scenario::SlowStart | Scenario::CubicSawtooth | Scenario::BlackHole => {
                Congestion::Cubic
            }
        }
    }

    fn path(self) -> Path {
        let path = |megabits, millis, queue_bdps| Path {
            megabits,
            rtt: Duration::from_millis(millis),
            queue_bdps,
        };
        match self {
            Scenario::SlowStart => path(100, 40, 4),
            Scenario::CubicSawtooth => path(10, 40, 1),
            Scenario::BbrProbeCycle => path(10, 40, 5),
            Scenario::BlackHole => path(20, 20, 1),
        }
    }

    fn time(self) -> Duration {
        Duration::from_millis(match self {
            Scenario::SlowStart => 1_500,
            Scenario::CubicSawtooth => 25_000,
            Scenario::BbrProbeCycle => 12_000,
            Scenario::BlackHole => 3_000,
        })
    }

    /// Runs it; the sender's trace goes to `traces`.
    pub(crate) fn run(self, seed: u64, traces: Traces) -> Summary {
        let mut sim = Sim::new(seed);
        let (sender, receiver) = (sim.add_host("sender"), sim.add_host("receiver"));
        let link = self.path().link();
        sim.link(sender, receiver, link.clone());
        sim.listen(receiver, Config::default(), apps::Transfer::sink);
        let config = Config::default()
            .with_congestion(self.congestion())
            .with_traces(traces);
        let key = sim.connect(sender, receiver, config, apps::Transfer::send(ENDLESS));
        if self == Scenario::BlackHole {
            let narrow = link.mtu(NARROW);
            sim.after(Duration::from_secs(1), move |sim| {
                sim.link_one_way(sender, receiver, narrow);
            });
        }
        sim.run_for(self.time());
        let info = sim.info(key).expect("it goes on");
        Summary {
            time: self.time(),
            delivered: sim.bytes_delivered(),
            lost: info.packets_lost,
            hash: sim.trace().hash(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes delivered in {:?}, {} packets lost, hash {:016x}",
            self.delivered, self.time, self.lost, self.hash
        )
    }
}
