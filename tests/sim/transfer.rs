//! Whole transfers over clean paths.

use aqueduct::config::Config;
use aqueduct::sim::{Link, apps};

use crate::{Pair, ms, secs};

#[test]
fn bytes_arrive_over_a_perfect_link() {
    Pair::new(1, Link::new().delay(ms(10))).upload(1_000_000, secs(10));
}

#[test]
fn an_empty_stream_ends() {
    Pair::new(1, Link::new().delay(ms(10))).upload(0, secs(2));
}

#[test]
fn every_small_size_arrives() {
    for bytes in (1..=40).chain(1_100..1_260).chain(2_300..2_420) {
        Pair::new(bytes, Link::new().delay(ms(1))).upload(bytes, secs(5));
    }
}

#[test]
fn both_directions_at_once() {
    let mut pair = Pair::new(
        2,
        Link::new()
            .rate_bits(20_000_000)
            .queue_bytes(60_000)
            .delay(ms(20)),
    );
    pair.listen(|| apps::Transfer::send(400_000).label(1).expecting(2));
    let key = pair.connect(apps::Transfer::send(500_000).label(2).expecting(1));
    pair.run_to_close(key, secs(30));
    assert_eq!(pair.sim.report(key).read, 400_000);
    assert_eq!(pair.sim.report(pair.peer(key)).read, 500_000);
}

#[test]
fn an_echo_returns_everything() {
    let mut pair = Pair::new(3, Link::new().rate_bits(20_000_000).delay(ms(5)));
    pair.listen(apps::Echo::default);
    let key = pair.connect(apps::Transfer::send(300_000).label(7).expecting(7));
    pair.run_to_close(key, secs(30));
    assert_eq!(pair.sim.report(key).read, 300_000);
    assert!(pair.sim.is_delivered(key) && pair.sim.is_delivered(pair.peer(key)));
}

#[test]
fn requests_take_one_round_trip_each() {
    let mut pair = Pair::new(4, Link::new().delay(ms(25)));
    pair.listen(|| apps::Responder::new(100, 300));
    let begin = pair.sim.now();
    let key = pair.connect(apps::Requests::new(100, 100, 300));
    assert!(
        pair.sim
            .run_until(secs(60), |sim| sim.report(key).read == 30_000)
    );
    let took = pair.sim.now() - begin;
    // One round trip for the handshake, one for each request: no Nagle, no delayed acknowledgement in between.
    assert_eq!(took, ms(50) * 101, "{took:?}");
}

#[test]
fn many_connections_share_two_sockets() {
    let mut pair = Pair::new(
        5,
        Link::new()
            .rate_bits(100_000_000)
            .queue_bytes(200_000)
            .delay(ms(10)),
    );
    pair.listen(apps::Transfer::sink);
    let keys: Vec<_> = (0..100)
        .map(|label| pair.connect(apps::Transfer::send(20_000).label(label)))
        .collect();
    let done = pair
        .sim
        .run_until(secs(60), |sim| keys.iter().all(|key| sim.is_closed(*key)));
    assert!(done);
    for key in keys {
        assert_eq!(pair.sim.report(pair.peer(key)).read, 20_000);
    }
}

#[test]
fn a_transfer_fills_the_link() {
    let mut pair = Pair::new(
        6,
        Link::new()
            .rate_bits(10_000_000)
            .queue_bytes(50_000)
            .delay(ms(20)),
    );
    let took = pair.upload(5_000_000, secs(60));
    let ideal = Link::new().rate_bits(10_000_000).serialization(5_000_000);
    assert!(
        took < ideal * 115 / 100,
        "{took:?} for {ideal:?} of link time"
    );
}

#[test]
fn a_path_of_small_datagrams_carries_everything() {
    let mut pair = Pair::new(7, Link::new().mtu(1_200).delay(ms(10)));
    pair.upload(300_000, secs(30));
    assert!(
        pair.sim.link_stats(pair.client, pair.server).too_large <= 7,
        "probes only: 1,472, 1,420, 1,392, 1,232, and 1,216 three times"
    );
}

#[test]
fn an_mtu_that_falls_in_mid_flow_is_survived() {
    let mut pair = Pair::new(8, Link::new().rate_bits(10_000_000).delay(ms(10)));
    pair.listen(apps::Transfer::sink);
    let key = pair.connect(apps::Transfer::send(2_000_000));
    assert!(
        pair.sim
            .run_until(secs(10), |sim| sim.bytes_delivered() > 500_000)
    );
    pair.sim.link(
        pair.client,
        pair.server,
        Link::new().rate_bits(10_000_000).delay(ms(10)).mtu(1_200),
    );
    pair.run_to_close(key, secs(120));
    assert!(pair.sim.is_delivered(key));
}

#[test]
fn one_byte_writes_and_reads_change_nothing() {
    let mut pair = Pair::new(9, Link::new().delay(ms(5)));
    pair.listen(|| apps::Transfer::sink().reads_of(1).expecting(3));
    let key = pair.connect(apps::Transfer::send(3_000).label(3).writes_of(1));
    pair.run_to_close(key, secs(60));
    assert_eq!(pair.sim.report(pair.peer(key)).read, 3_000);
}

#[test]
fn a_paused_receiver_and_a_full_socket_lose_nothing() {
    let mut pair = Pair::new(10, Link::new().rate_bits(50_000_000).delay(ms(10)));
    let (client, server) = (pair.client, pair.server);
    pair.sim.set_socket_buffer(server, 20_000);
    for second in 0..5 {
        pair.sim.after(secs(second) / 4 + ms(100), move |sim| {
            sim.pause(server, ms(80))
        });
        pair.sim.after(secs(second) / 4 + ms(220), move |sim| {
            sim.refuse_sends(client, ms(50))
        });
    }
    pair.upload(3_000_000, secs(60));
}

#[test]
fn tiny_round_trips_work() {
    for micros in [0, 1, 10, 50] {
        let link = Link::new()
            .delay(std::time::Duration::from_micros(micros))
            .rate_bits(1_000_000_000);
        Pair::new(11, link).upload(2_000_000, secs(10));
    }
}

#[test]
fn a_round_trip_of_weeks_is_only_slow() {
    // A timeout of eight weeks of way and more: everything is scaled, nothing overflows.
    let way = secs(8 * 7 * 24 * 3_600 / 2);
    let mut pair = Pair::new(12, Link::new().delay(ms(1)));
    let patient = || Config::default().with_user_timeout(None);
    pair.sim
        .listen(pair.server, patient(), apps::Transfer::sink);
    let app = apps::Transfer::send(10_000);
    let key = pair.sim.connect(pair.client, pair.server, patient(), app);
    assert!(
        pair.sim
            .run_until(ms(5), |sim| sim.report(key).opened_at.is_some())
    );
    pair.sim
        .link(pair.client, pair.server, Link::new().delay(way));
    pair.run_to_close(key, way * 200);
    assert!(pair.sim.is_delivered(key));
}
