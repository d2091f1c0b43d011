//! ICMP port unreachable: a hint that must prove itself.

use aqueduct::error::CloseReason;
use aqueduct::sim::Link;
use aqueduct::sim::apps::{Ending, Transfer};

use crate::{Pair, ms, secs};

/// P08, semantics 11: a closed port refuses at once.
#[test]
fn a_closed_port_refuses_the_connection() {
    let mut pair = Pair::new(1, Link::new().delay(ms(10)));
    pair.sim.kill(pair.server);
    let begin = pair.sim.now();
    let key = pair.connect(Transfer::send(10));
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(pair.sim.report(key).failure, Some(CloseReason::Refused));
    assert_eq!(pair.sim.now() - begin, ms(20));
}

/// Semantics 25: the peer's process is killed while data is sent to it.
#[test]
fn a_killed_peer_is_found_out_within_a_second() {
    let mut pair = Pair::new(2, Link::new().delay(ms(10)).rate_bits(50_000_000));
    pair.listen(Transfer::sink);
    let key = pair.connect(Transfer::send(100_000_000));
    pair.sim.run_for(ms(300));
    pair.sim.kill(pair.server);
    let begin = pair.sim.now();
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.report(key).failure.is_some())
    );
    assert_eq!(pair.sim.report(key).failure, Some(CloseReason::Gone));
    assert!(
        pair.sim.now() - begin < secs(1),
        "{:?}",
        pair.sim.now() - begin
    );
}

/// P08: a short outage of the peer's port does not end an open connection.
#[test]
fn one_port_unreachable_ends_nothing() {
    let mut pair = Pair::new(3, Link::new().delay(ms(10)));
    pair.listen(|| Transfer::sink().ending(Ending::Stay));
    let key = pair.connect(Transfer::send(100).ending(Ending::Stay));
    pair.sim.run_for(ms(500));
    let (client, server) = (pair.client, pair.server);
    let old = pair.sim.address(server);
    // One datagram meets a closed port: another host's, that has the server's address for an instant.
    let ghost = pair.sim.add_host("ghost");
    pair.sim.link(client, ghost, Link::new().delay(ms(10)));
    pair.sim.kill(ghost);
    pair.sim.rebind(server);
    pair.sim.rebind_to(ghost, old);
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 100])), Some(Ok(100)));
    pair.sim.run_for(ms(12));
    pair.sim.rebind(ghost);
    pair.sim.rebind_to(server, old);
    pair.sim.run_for(secs(5));
    assert_eq!(pair.sim.report(key).failure, None);
    assert!(pair.sim.is_delivered(key));
}
