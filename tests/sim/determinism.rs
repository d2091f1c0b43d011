//! The same seed gives the same datagrams at the same times.

use aqueduct::sim::{Link, Loss, apps};

use crate::{Pair, ms, secs};

fn run(seed: u64) -> (u64, u64) {
    let link = Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(50_000)
        .delay(ms(10))
        .reordering_jitter(ms(5))
        .loss(Loss::bursts(0.02, 4.0))
        .duplicate(0.02, 2)
        .corrupt(0.01);
    let mut pair = Pair::new(seed, link);
    pair.listen(apps::Echo::default);
    for label in 0..5 {
        pair.connect(apps::Transfer::send(100_000).label(label).expecting(label));
    }
    pair.sim.run_for(secs(60));
    (pair.sim.trace().hash(), pair.sim.trace().count())
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..5 {
        let first = run(seed);
        assert_eq!(first, run(seed));
        assert_ne!(first, run(seed + 100));
        println!("seed {seed}: hash {:016x}, {} datagrams", first.0, first.1);
    }
}

/// A second host and link shift no random number of the first.
#[test]
fn another_component_shifts_nothing() {
    let run = |others: usize| {
        let link = Link::new()
            .delay(ms(10))
            .loss(Loss::random(0.05))
            .rate_bits(10_000_000);
        let mut pair = Pair::new(3, link);
        for number in 0..others {
            let other = pair.sim.add_host(&format!("other {number}"));
            pair.sim
                .link(pair.client, other, Link::new().loss(Loss::random(0.5)));
        }
        let took = pair.upload(300_000, secs(60));
        (took, pair.sim.trace().hash())
    };
    assert_eq!(run(0), run(3));
}
