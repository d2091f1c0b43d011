//! Datagrams in another order, more than once, or long after their time.

use std::time::Duration;

use aqueduct::sim::{Link, Reorder, apps, seeds};

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(200_000)
        .delay(ms(20))
}

#[test]
fn jitter_that_reorders_changes_no_byte() {
    for (seed, jitter) in seeds(1, 4).zip([1, 10, 100, 1_000].into_iter().cycle()) {
        Pair::new(seed, path().reordering_jitter(ms(jitter))).upload(300_000, secs(600));
    }
}

#[test]
fn reordering_by_distance_changes_no_byte() {
    for (seed, distance) in seeds(1, 4).zip([1, 2, 3, 40].into_iter().cycle()) {
        let link = path().reorder(0.2, Reorder::Distance(distance));
        Pair::new(seed, link).upload(500_000, secs(600));
    }
}

/// L04: what arrives two places late is no loss.
#[test]
fn reordering_by_two_places_repeats_nothing() {
    let mut pair = Pair::new(1, path().reorder(0.05, Reorder::Distance(2)));
    pair.listen(apps::Transfer::sink);
    let key = pair.connect(apps::Transfer::send(500_000));
    assert!(
        pair.sim
            .run_until(secs(60), |sim| sim.bytes_delivered() == 500_000)
    );
    let info = pair.sim.info(key).expect("open");
    let lost = info.packets_lost;
    assert!(lost <= 3, "{lost} packets were thought lost");
}

#[test]
fn copies_are_taken_once() {
    for seed in seeds(1, 3) {
        let mut pair = Pair::new(seed, path().duplicate(0.2, 5));
        pair.upload(500_000, secs(60));
        assert!(pair.sim.link_stats(pair.client, pair.server).duplicated > 50);
    }
}

#[test]
fn replayed_datagrams_are_taken_once() {
    for seed in seeds(1, 3) {
        let mut pair = Pair::new(seed, path().replay(0.2));
        pair.upload(500_000, secs(60));
        assert!(pair.sim.link_stats(pair.client, pair.server).replayed > 50);
    }
}

#[test]
fn a_second_of_delay_for_some_is_no_catastrophe() {
    let link = path().reorder(0.1, Reorder::Delay(Duration::from_secs(1)));
    Pair::new(1, link).upload(500_000, secs(600));
}

/// connections one after another, with every old datagram coming again a second later.
#[test]
fn old_datagrams_do_not_reach_a_new_connection() {
    let mut pair = Pair::new(9, Link::new().delay(ms(5)));
    for (from, to) in [(pair.client, pair.server), (pair.server, pair.client)] {
        let mut late: std::collections::VecDeque<(aqueduct::time::Time, Vec<u8>)> =
            Default::default();
        pair.sim.filter(from, to, move |passing| {
            late.push_back((passing.now, passing.bytes.to_vec()));
            let mut old = Vec::new();
            while late
                .front()
                .is_some_and(|(at, _)| passing.now - *at > secs(1))
            {
                old.extend(late.pop_front().map(|(_, bytes)| bytes));
            }
            aqueduct::sim::Fate::Inject(old)
        });
    }
    pair.listen(apps::Transfer::sink);
    for label in 0..200 {
        let key = pair.connect(apps::Transfer::send(3_000).label(label));
        pair.run_to_close(key, secs(120));
        assert_eq!(pair.sim.report(pair.peer(key)).read, 3_000);
        pair.sim.run_for(ms(300));
    }
    assert_eq!(
        pair.sim.accepted(pair.server).len(),
        200,
        "no ghost connection"
    );
}
