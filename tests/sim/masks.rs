//! Exhaustive faults of a short connection: every set of its first datagrams dropped or doubled.

use aqueduct::config::Config;
use aqueduct::sim::apps::Transfer;
use aqueduct::sim::{Fate, Link, Sim};

use crate::{ms, secs};

/// Connect, 1 KiB up, an answer of 100 bytes, close; what happens to the nth datagram of both directions together
/// is `fate(n)`.
fn short_connection(fate: impl Fn(u64) -> Fate + Clone + 'static) -> Sim {
    let mut sim = Sim::new(1);
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    sim.link(client, server, Link::new().delay(ms(10)));
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    for (from, to) in [(client, server), (server, client)] {
        let (count, fate) = (std::rc::Rc::clone(&count), fate.clone());
        sim.filter(from, to, move |_| {
            count.set(count.get() + 1);
            fate(count.get() - 1)
        });
    }
    let patient = || {
        Config::default()
            .with_connect_timeout(secs(10_000))
            .with_user_timeout(None)
    };
    sim.listen(server, patient(), || {
        Transfer::send(100).label(2).expecting(1)
    });
    let app = Transfer::send(1_024).label(1).expecting(2);
    let key = sim.connect(client, server, patient(), app);
    let is_over = sim.run_until(secs(10_000), |sim| {
        sim.is_closed(key) && sim.peer(key).is_some_and(|peer| sim.is_closed(peer))
    });
    let peer = sim.peer(key);
    let delivered = is_over
        && sim.is_delivered(key)
        && peer.is_some_and(|peer| sim.is_delivered(peer))
        && sim.report(key).failure.is_none()
        && sim.accepted(server).len() == 1;
    if !delivered {
        sim.fail("the connection did not come through");
    }
    sim
}

#[test]
fn every_set_of_the_first_twelve_datagrams_may_be_lost() {
    let mut slowest = secs(0);
    for mask in 0..1_u64 << 12 {
        let sim = short_connection(move |n| {
            if n < 12 && mask >> n & 1 == 1 {
                Fate::Drop
            } else {
                Fate::Pass
            }
        });
        slowest = slowest.max(sim.now() - aqueduct::time::Time::ZERO);
    }
    println!("4,096 drop masks, the slowest took {slowest:?}");
}

#[test]
fn every_set_of_the_first_ten_datagrams_may_be_doubled() {
    for mask in 0..1_u64 << 10 {
        short_connection(move |n| {
            if n < 10 && mask >> n & 1 == 1 {
                Fate::Copies(1)
            } else {
                Fate::Pass
            }
        });
    }
    println!("1,024 duplicate masks");
}

#[test]
fn every_mixture_of_lost_and_doubled_comes_through() {
    for word in 0..3_u64.pow(6) {
        short_connection(
            move |n| match (n < 6).then(|| word / 3_u64.pow(n as u32) % 3) {
                Some(1) => Fate::Drop,
                Some(2) => Fate::Copies(1),
                _ => Fate::Pass,
            },
        );
    }
    println!("729 mixtures of drop and duplicate");
}

#[test]
fn every_set_of_the_first_ten_datagrams_may_be_late() {
    for mask in 0..1_u64 << 10 {
        short_connection(move |n| {
            if n < 10 && mask >> n & 1 == 1 {
                Fate::Delay(ms(35))
            } else {
                Fate::Pass
            }
        });
    }
    println!("1,024 delay masks");
}
