//! Options: set, read back, shared by clones.

use std::time::Duration;

use super::super::{linger, set_linger};
use super::{TcpListener, pair};
use crate::support::wait::each_ip;

#[test]
fn nodelay_starts_false_and_is_kept() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        assert!(!ours.nodelay().expect("open"));
        for nodelay in [true, false] {
            ours.set_nodelay(nodelay).expect("open");
            assert_eq!(ours.nodelay().expect("open"), nodelay);
        }
    });
}

#[test]
fn ttl_is_kept() {
    each_ip(|addr| {
        if addr.is_ipv6() {
            // std's `ttl` sets IP_TTL whatever the family is.
            return;
        }
        let (ours, _peer) = pair(addr);
        ours.set_ttl(100).expect("open");
        assert_eq!(ours.ttl().expect("open"), 100);
        let listener = TcpListener::bind(addr).expect("a free port");
        listener.set_ttl(99).expect("bound");
        assert_eq!(listener.ttl().expect("bound"), 99);
    });
}

#[test]
fn linger_starts_as_none_and_is_kept() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        assert_eq!(linger(&ours).expect("open"), None);
        for value in [Some(Duration::from_secs(1)), Some(Duration::ZERO), None] {
            set_linger(&ours, value).expect("open");
            assert_eq!(linger(&ours).expect("open"), value);
        }
    });
}

#[test]
fn a_healthy_stream_has_no_error_to_report() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        assert!(ours.take_error().expect("asking works").is_none());
    });
}

#[test]
fn clones_name_the_same_ends() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        let clone = ours.try_clone().expect("a clone");
        assert_eq!(
            clone.local_addr().expect("open"),
            ours.local_addr().expect("open")
        );
        assert_eq!(
            clone.peer_addr().expect("open"),
            peer.local_addr().expect("open")
        );
        clone.set_nodelay(true).expect("open");
        assert!(
            ours.nodelay().expect("open"),
            "options belong to the stream, not to the handle"
        );
    });
}
