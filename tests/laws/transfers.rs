//! How long a transfer of a size takes, from before the connection opens until its receiver has all of it: what people
//! notice, and where a start that goes wrong shows.

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{Link, Loss, Sim, seeds};

use crate::support::{drop_tail, mbit, ms, secs};

/// Transfers over 100 Mbit/s and 40 ms, with a queue of one bandwidth-delay product.
#[derive(Clone, Debug)]
struct Transfers {
    congestion: Congestion,
    bytes: u64,
    /// The part of the packets that is lost in each direction.
    loss: f64,
    /// How late timers fire at most, at both ends.
    late: Duration,
}

impl Transfers {
    /// The median time of `count`, each on a path of its own.
    fn median(&self, count: u64) -> Duration {
        let mut times: Vec<_> = seeds(61, count).map(|seed| self.time(seed)).collect();
        times.sort();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        println!("{self:?}: median {:?}, p95 {:?}", at(50), at(95));
        at(50)
    }

    fn time(&self, seed: u64) -> Duration {
        let mut sim = Sim::new(seed);
        sim.trace_mut().keep(0);
        let [client, server] = ["client", "server"].map(|name| sim.add_host(name));
        let queue = sim.add_bottleneck(drop_tail(mbit(100), ms(40), 1.0));
        let way = Link::new().delay(ms(20)).loss(Loss::random(self.loss));
        sim.link_one_way(client, server, way.clone().through(queue));
        sim.link_one_way(server, client, way);
        for host in [client, server] {
            sim.set_timer_lateness(host, self.late);
        }
        sim.listen(server, Config::default(), Transfer::sink);
        let config = Config::default().with_congestion(self.congestion.clone());
        let app = Transfer::send(self.bytes).ending(Ending::Stay);
        let key = sim.connect(client, server, config, app);
        let begun = sim.now();
        let read = |sim: &Sim| sim.peer(key).map_or(0, |peer| sim.report(peer).read);
        let is_read = sim.run_until(secs(120), |sim| read(sim) == self.bytes);
        assert!(is_read, "seed {seed}: not all arrived");
        sim.now() - begun
    }
}

/// With the answer that a program waits for, 20 ms more: 0.25, 0.45 and 2.3 seconds.
#[test]
fn one_percent_of_loss_delays_a_transfer_little() {
    for (bytes, count, most) in [
        (100_000, 40, 230),
        (1_000_000, 40, 430),
        (20_000_000, 10, 2_280),
    ] {
        let transfers = Transfers {
            congestion: Congestion::Auto,
            bytes,
            loss: 0.01,
            late: Duration::ZERO,
        };
        assert!(transfers.median(count) <= ms(most));
    }
}

/// On a busy machine, or one whose clock moves by 15.6 ms: a rate that is not kept for want of wake-ups must not be
/// measured as the path's, or BBR paces by it and gets less still. (It took five times as long at 10 ms, and 25 times
/// at 20 ms.)
#[test]
fn timers_that_are_late_do_not_take_the_rate_away() {
    for congestion in [Congestion::Auto, Congestion::Cubic] {
        let transfers = |late| Transfers {
            congestion: congestion.clone(),
            bytes: 20_000_000,
            loss: 0.0,
            late,
        };
        let in_time = transfers(ms(0)).median(3);
        for late in [5, 10, 20] {
            let took = transfers(ms(late)).median(3);
            assert!(
                took <= in_time * 6 / 5,
                "{late} ms late: {took:?} {in_time:?}"
            );
        }
    }
}
