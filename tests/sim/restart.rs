//! A peer that lost its memory.

use aqueduct::config::{Config, Keepalive};
use aqueduct::error::CloseReason;
use aqueduct::sim::Link;
use aqueduct::sim::apps::{Ending, Transfer};

use crate::{Pair, ms, secs};

/// R07: the next packet to a restarted peer draws UNKNOWN, which ends the stream in one round trip.
#[test]
fn a_restarted_peer_is_found_out_in_one_round_trip() {
    let mut pair = Pair::new(1, Link::new().delay(ms(20)));
    pair.listen(|| Transfer::sink().ending(Ending::Stay));
    let key = pair.connect(Transfer::send(1_000).ending(Ending::Stay));
    pair.sim.run_for(secs(2));
    pair.sim.restart(pair.server);
    pair.sim.run_for(secs(2));
    let begin = pair.sim.now();
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 100])), Some(Ok(100)));
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(pair.sim.report(key).failure, Some(CloseReason::Forgotten));
    assert_eq!(pair.sim.now() - begin, ms(40));
}

/// C18: both ends are restarted, in either order, in mid transfer; a new connection works at once.
#[test]
fn restarts_in_any_order_leave_no_stuck_stream() {
    for order in 0..4 {
        let mut pair = Pair::new(order, Link::new().delay(ms(20)).rate_bits(10_000_000));
        let keepalive = Keepalive {
            idle: secs(30),
            interval: secs(5),
            count: 3,
        };
        let config = Config::default().with_keepalive(Some(keepalive));
        pair.sim
            .listen(pair.server, config, || Transfer::sink().expecting(8));
        pair.connect(Transfer::send(10_000_000).label(8));
        pair.sim.run_for(secs(1));
        let hosts = [pair.client, pair.server];
        let first = usize::from(order % 2 == 1);
        pair.sim.restart(hosts[first]);
        if order >= 2 {
            pair.sim.run_for(ms(500));
            pair.sim.restart(hosts[1 - first]);
        }
        pair.sim.run_for(secs(130));
        for key in pair.sim.connections().collect::<Vec<_>>() {
            assert!(
                pair.sim.is_closed(key),
                "order {order}: {:?}",
                pair.sim.report(key)
            );
        }
        let again = pair.connect(Transfer::send(10_000).label(8));
        pair.run_to_close(again, secs(20));
        assert!(pair.sim.is_delivered(again));
    }
}

/// A client that restarts behind the same address opens a new connection while the old one still exists there.
#[test]
fn a_new_incarnation_connects_beside_its_old_connections() {
    let mut pair = Pair::new(5, Link::new().delay(ms(20)));
    pair.listen(Transfer::sink);
    pair.connect(Transfer::send(1_000).ending(Ending::Stay));
    pair.sim.run_for(secs(1));
    pair.sim.restart(pair.client);
    let key = pair.connect(Transfer::send(1_000));
    pair.run_to_close(key, secs(5));
    assert!(pair.sim.is_delivered(key));
}
