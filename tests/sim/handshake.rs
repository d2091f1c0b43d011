//! Opening connections.

use aqueduct::config::Config;
use aqueduct::endpoint::Listening;
use aqueduct::error::CloseReason;
use aqueduct::sim::{Fate, Io, Link, Loss, Sim, apps, seeds};

use crate::{Pair, ms, secs};

#[test]
fn a_connection_opens_in_one_round_trip() {
    let mut pair = Pair::new(1, Link::new().delay(ms(30)));
    pair.listen(apps::Transfer::sink);
    let begin = pair.sim.now();
    let key = pair.connect(apps::Transfer::send(1));
    pair.run_to_close(key, secs(5));
    assert_eq!(pair.sim.report(key).opened_at, Some(begin + ms(60)));
    assert_eq!(
        pair.sim.report(pair.peer(key)).opened_at,
        Some(begin + ms(90))
    );
}

#[test]
fn nobody_listens_is_refused_in_one_round_trip() {
    let mut pair = Pair::new(2, Link::new().delay(ms(30)));
    let begin = pair.sim.now();
    let key = pair.connect(apps::Transfer::send(1));
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(pair.sim.report(key).failure, Some(CloseReason::Refused));
    assert_eq!(pair.sim.now() - begin, ms(60));
}

/// H11: two plain connects across, without listeners.
#[test]
fn crossing_connects_without_listeners_are_both_refused() {
    let mut pair = Pair::new(3, Link::new().delay(ms(30)));
    let there = pair.connect(apps::Transfer::send(1));
    let back = pair.sim.connect(
        pair.server,
        pair.client,
        Config::default(),
        apps::Transfer::send(1),
    );
    pair.sim.run_for(ms(100));
    for key in [there, back] {
        assert_eq!(pair.sim.report(key).failure, Some(CloseReason::Refused));
    }
}

/// H11: simultaneous open gives exactly one connection, whichever message is lost.
#[test]
fn a_rendezvous_gives_one_connection_whatever_is_lost() {
    let mut cases = 0;
    for lost in 0..64_u64 {
        for lag in [0, 10, 30, 70] {
            let mut pair = Pair::new(lost, Link::new().delay(ms(30)));
            let (client, server) = (pair.client, pair.server);
            pair.sim.filter(client, server, drop_mask(lost & 7));
            pair.sim.filter(server, client, drop_mask(lost >> 3));
            let open = |sim: &mut Sim, from, to, mine, theirs| {
                let app = apps::Transfer::send(1_000).label(mine).expecting(theirs);
                sim.connect_rendezvous(from, to, 99, Config::default(), app)
                    .expect("a good token")
            };
            let a = open(&mut pair.sim, client, server, 1, 2);
            pair.sim.run_for(ms(lag));
            let b = open(&mut pair.sim, server, client, 2, 1);
            pair.run_to_close(a, secs(120));
            assert_eq!(pair.sim.peer(a), Some(b));
            assert_eq!(
                (pair.sim.report(a).read, pair.sim.report(b).read),
                (1_000, 1_000)
            );
            assert_eq!(pair.sim.connections().count(), 2);
            cases += 1;
        }
    }
    println!("{cases} simultaneous opens");
}

/// Drops the datagrams whose bit is set.
fn drop_mask(mask: u64) -> impl FnMut(&aqueduct::sim::Passing<'_>) -> Fate {
    move |passing| {
        if passing.index < 64 && mask >> passing.index & 1 == 1 {
            Fate::Drop
        } else {
            Fate::Pass
        }
    }
}

/// H17: 50 connections at 30 % loss both ways, in bursts.
#[test]
fn fifty_connections_open_at_thirty_percent_loss() {
    for seed in seeds(1, 4) {
        let mut pair = Pair::new(seed, Link::new().delay(ms(20)).loss(Loss::bursts(0.3, 3.0)));
        pair.listen(|| apps::Transfer::sink().expecting(4));
        let config = || {
            Config::default()
                .with_connect_timeout(secs(2_000))
                .with_user_timeout(None)
        };
        let keys: Vec<_> = (0..50)
            .map(|_| {
                let app = apps::Transfer::send(500).label(4);
                pair.sim.connect(pair.client, pair.server, config(), app)
            })
            .collect();
        let done = pair.sim.run_until(secs(4_000), |sim| {
            keys.iter().all(|key| sim.is_closed(*key))
        });
        if !done {
            pair.sim.fail("some connections hang");
        }
        for key in &keys {
            assert!(pair.sim.is_delivered(*key), "{:?}", pair.sim.report(*key));
        }
        assert_eq!(
            pair.sim.accepted(pair.server).len(),
            50,
            "one connection each"
        );
    }
}

#[test]
fn a_full_backlog_is_tried_again_until_there_is_room() {
    let mut pair = Pair::new(5, Link::new().delay(ms(10)));
    pair.listen(apps::Transfer::sink);
    pair.sim.set_listening(pair.server, Listening::Full);
    let server = pair.server;
    pair.sim.after(secs(5), move |sim| {
        sim.set_listening(server, Listening::Yes)
    });
    let key = pair.connect(apps::Transfer::send(100));
    pair.run_to_close(key, secs(30));
    assert!(pair.sim.is_delivered(key));
}

#[test]
fn connect_fails_at_its_deadline_and_not_before() {
    let mut pair = Pair::new(6, Link::new().loss(Loss::random(1.0)));
    let begin = pair.sim.now();
    let key = pair.connect(apps::Transfer::send(100));
    assert!(
        pair.sim
            .run_until(secs(60), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(pair.sim.now() - begin, secs(20));
    let failure = pair.sim.report(key).failure.clone();
    assert!(
        matches!(failure, Some(CloseReason::ConnectTimedOut { .. })),
        "{failure:?}"
    );
}

/// H14: dropped while connecting; the late SYNACK finds nobody, and nothing is answered.
#[test]
fn a_stream_dropped_while_connecting_leaves_nothing_behind() {
    let mut pair = Pair::new(7, Link::new().delay(ms(30)));
    pair.listen(apps::Transfer::sink);
    let key = pair.connect(|io: &mut Io<'_>| {
        io.wake_after(ms(20));
        if io.now().as_micros() > 20_000 {
            io.close();
        }
    });
    pair.sim.run_for(secs(200));
    assert!(pair.sim.is_closed(key));
    let stats = pair.sim.link_stats(pair.client, pair.server);
    assert_eq!(stats.entered, 1, "one SYN, and no answer to the SYNACK");
    assert!(pair.sim.accepted(pair.server).is_empty());
}
