//! Silence: idle connections, keep-alive, idle timeout, user timeout.

use aqueduct::config::{Config, Keepalive};
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{ConnectionKey, Link};

use crate::{Pair, ms, secs};

fn idle_pair(config: Config) -> (Pair, ConnectionKey) {
    let mut pair = Pair::new(1, Link::new().delay(ms(10)));
    pair.listen(|| Transfer::sink().ending(Ending::Stay));
    let app = Transfer::send(100).ending(Ending::Stay);
    let key = pair.sim.connect(pair.client, pair.server, config, app);
    pair.sim.run_for(secs(2));
    assert!(pair.sim.is_delivered(key));
    (pair, key)
}

#[test]
fn an_idle_connection_sends_nothing_and_costs_no_wakes() {
    let (mut pair, key) = idle_pair(Config::default());
    let (sent, events) = (pair.sim.trace().count(), pair.sim.events());
    pair.sim.run_for(secs(24 * 3_600));
    assert_eq!(pair.sim.trace().count(), sent, "no datagram in a day");
    assert!(
        pair.sim.events() - events <= 10,
        "{} wakes",
        pair.sim.events() - events
    );
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 10])), Some(Ok(10)));
    pair.sim.run_for(secs(1));
    assert!(pair.sim.is_delivered(key));
}

/// P04: a dead peer is found out after idle + count x interval.
#[test]
fn keepalive_finds_a_dead_peer_and_keeps_a_live_one() {
    let keepalive = Keepalive {
        idle: secs(10),
        interval: secs(2),
        count: 3,
    };
    let (mut pair, key) = idle_pair(Config::default().with_keepalive(Some(keepalive)));
    let before = pair.sim.link_stats(pair.client, pair.server).entered;
    pair.sim.run_for(secs(600));
    assert_eq!(pair.sim.report(key).failure, None);
    let probes = pair.sim.link_stats(pair.client, pair.server).entered - before;
    assert!((58..=62).contains(&probes), "{probes} datagrams in 600 s");

    pair.sim.partition(pair.client, pair.server);
    let begin = pair.sim.now();
    assert!(
        pair.sim
            .run_until(secs(60), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(
        pair.sim.report(key).failure,
        Some(CloseReason::KeepAlive { probes: 3 })
    );
    let took = pair.sim.now() - begin;
    assert!((secs(6)..=secs(17)).contains(&took), "{took:?}");
}

#[test]
fn the_lower_idle_timeout_of_both_sides_holds() {
    let (mut pair, key) = idle_pair(Config::default().with_idle_timeout(Some(secs(30))));
    let peer = pair.peer(key);
    let begin = pair.sim.now();
    assert!(pair.sim.run_until(secs(60), |sim| {
        sim.report(key).failure.is_some() && sim.report(peer).failure.is_some()
    }));
    // The first to notice says so with a RST, which the other may see before it notices itself.
    let silent = CloseReason::Idle { after: secs(30) };
    let told = CloseReason::Reset(ResetCode::TIMED_OUT);
    let failures = [key, peer].map(|key| pair.sim.report(key).failure.clone().expect("failed"));
    assert!(
        failures
            .iter()
            .all(|failure| *failure == silent || *failure == told),
        "{failures:?}"
    );
    assert!(failures.contains(&silent), "{failures:?}");
    assert!(pair.sim.now() - begin <= secs(31));
}

/// L02, P05: data that nobody acknowledges ends the connection at the user timeout.
#[test]
fn the_user_timeout_ends_a_connection_with_unacknowledged_data() {
    let (mut pair, key) = idle_pair(Config::default().with_user_timeout(Some(secs(45))));
    pair.sim.partition(pair.client, pair.server);
    let begin = pair.sim.now();
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 10])), Some(Ok(10)));
    assert!(
        pair.sim
            .run_until(secs(100), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(
        pair.sim.report(key).failure,
        Some(CloseReason::TimedOut { after: secs(45) })
    );
    let took = pair.sim.now() - begin;
    assert!(took >= secs(45) && took < secs(46), "{took:?}");
}

#[test]
fn without_a_user_timeout_data_waits_for_an_hour() {
    let (mut pair, key) = idle_pair(Config::default().with_user_timeout(None));
    pair.sim.partition(pair.client, pair.server);
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 10])), Some(Ok(10)));
    pair.sim.run_for(secs(3_600));
    pair.sim.heal(pair.client, pair.server);
    pair.sim.run_for(secs(61));
    assert_eq!(pair.sim.report(key).failure, None);
    assert!(
        pair.sim.is_delivered(key),
        "within one back-off of the path's return"
    );
}
