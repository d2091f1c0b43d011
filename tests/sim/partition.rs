//! Cut paths, in one direction and in both.

use aqueduct::config::Config;
use aqueduct::sim::apps::Transfer;
use aqueduct::sim::{ConnectionKey, Link};

use crate::{Pair, ms, secs};

fn busy_pair() -> (Pair, ConnectionKey) {
    let mut pair = Pair::new(
        1,
        Link::new()
            .rate_bits(4_000_000)
            .queue_bytes(40_000)
            .delay(ms(20)),
    );
    let patient = || Config::default().with_user_timeout(None);
    pair.sim.listen(pair.server, patient(), Transfer::sink);
    let key = pair.sim.connect(
        pair.client,
        pair.server,
        patient(),
        Transfer::send(2_000_000),
    );
    pair.sim.run_for(secs(1));
    (pair, key)
}

#[test]
fn a_partition_of_a_minute_is_survived() {
    for cut in [1, 5, 60] {
        let (mut pair, key) = busy_pair();
        pair.sim.partition(pair.client, pair.server);
        pair.sim.run_for(secs(cut));
        pair.sim.heal(pair.client, pair.server);
        let begin = pair.sim.now();
        let before = pair.sim.bytes_delivered();
        assert!(
            pair.sim
                .run_until(secs(61), |sim| sim.bytes_delivered() > before)
        );
        let waited = pair.sim.now() - begin;
        println!("cut {cut} s: {waited:?} to the first byte after it");
        assert!(
            waited <= secs(cut).max(ms(500)) * 11 / 10,
            "{waited:?} after {cut} s"
        );
        pair.run_to_close(key, secs(60));
        assert!(pair.sim.is_delivered(key));
    }
}

#[test]
fn a_cut_in_one_direction_is_survived() {
    for towards_server in [true, false] {
        let (mut pair, key) = busy_pair();
        let (client, server) = (pair.client, pair.server);
        let (from, to) = if towards_server {
            (client, server)
        } else {
            (server, client)
        };
        pair.sim.partition_one_way(from, to);
        pair.sim.run_for(secs(10));
        pair.sim.heal(client, server);
        pair.run_to_close(key, secs(120));
        assert!(pair.sim.is_delivered(key));
    }
}

#[test]
fn a_process_that_sleeps_goes_on() {
    for (sleeper, sleep) in [
        (0, 1),
        (0, 10),
        (0, 60),
        (0, 3_600),
        (1, 1),
        (1, 10),
        (1, 60),
        (1, 3_600),
    ] {
        let (mut pair, key) = busy_pair();
        let host = [pair.client, pair.server][sleeper];
        pair.sim.pause(host, secs(sleep));
        pair.sim.run_for(secs(sleep) + ms(1));
        let begin = pair.sim.now();
        pair.run_to_close(key, secs(3_600));
        println!(
            "host {sleeper} slept {sleep} s: {:?} more",
            pair.sim.now() - begin
        );
        assert!(pair.sim.is_delivered(key));
    }
}
