//! Cut paths, in one direction and in both.

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::sim::apps::{Requests, Responder, Transfer};
use aqueduct::sim::{ConnectionKey, Link, Sim};

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

/// The probe timeout without back-off, from what an end says of itself.
fn probe_timeout(pair: &Pair, key: ConnectionKey) -> Duration {
    let info = pair.sim.info(key).expect("the connection lives");
    info.srtt.expect("measured") + (4 * info.rttvar).max(ms(1)) + Config::default().max_ack_delay()
}

/// Two ends that ask and answer for ever.
fn talking_pair() -> (Pair, ConnectionKey) {
    let mut pair = Pair::new(1, Link::new().rate_bits(4_000_000).delay(ms(20)));
    let patient = || Config::default().with_user_timeout(None);
    pair.sim
        .listen(pair.server, patient(), || Responder::new(100, 2_000));
    let app = Requests::new(u32::MAX, 100, 2_000);
    let key = pair.sim.connect(pair.client, pair.server, patient(), app);
    pair.sim.run_for(secs(1));
    (pair, key)
}

/// What is repeated after a cut has waited for the path, not for the peer: its age is no round trip.
#[test]
fn the_length_of_a_cut_is_taken_for_no_round_trip() {
    for start in [busy_pair as fn() -> _, talking_pair] {
        for seconds in [5, 60] {
            for offset in (0..50).map(|step| ms(step * 7)) {
                for directions in [(true, true), (true, false), (false, true)] {
                    let (pair, key) = start();
                    cut_takes_no_sample(pair, key, (directions, offset, secs(seconds)));
                }
            }
        }
    }
}

/// Cuts the path in these directions after `offset` for `time`.
fn cut_takes_no_sample(
    mut pair: Pair,
    key: ConnectionKey,
    (directions, offset, time): ((bool, bool), Duration, Duration),
) {
    pair.sim.run_for(offset);
    let ends = [key, pair.peer(key)];
    let before = ends.map(|end| probe_timeout(&pair, end));
    if directions.0 {
        pair.sim.partition_one_way(pair.client, pair.server);
    }
    if directions.1 {
        pair.sim.partition_one_way(pair.server, pair.client);
    }
    pair.sim.run_for(time);
    pair.sim.heal(pair.client, pair.server);
    let (begin, delivered) = (pair.sim.now(), pair.sim.bytes_delivered());
    let flows = |sim: &Sim| sim.bytes_delivered() > delivered;
    let case = format!("{directions:?}, {offset:?}, {time:?}");
    assert!(pair.sim.run_until(secs(61), flows), "{case}");
    // Intervals double: the one that ends the silence is as long as all before it and one more. They begin with the
    // last packet before the cut, and what the probe brings needs its time, too.
    let waited = pair.sim.now() - begin;
    let timeout = before[0].max(before[1]);
    assert!(waited <= time + 3 * timeout, "{case}: {waited:?}");
    pair.sim.run_for(ms(500));
    for (end, before) in ends.into_iter().zip(before) {
        let after = probe_timeout(&pair, end);
        assert!(after <= 3 * before, "{case}: {before:?} became {after:?}");
    }
}
