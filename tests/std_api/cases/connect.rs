//! Connecting: to nobody, to a host that is silent, to one of several addresses.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::super::BlackHole;
use super::{KERNEL, TcpListener, TcpStream, kind};
use crate::support::wait::{each_ip, loopbacks, watched};

/// An address where nobody listens: a port that was ours a moment ago.
fn closed_port(addr: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(addr).expect("a free port");
    listener.local_addr().expect("an address")
}

#[test]
fn row_11_a_closed_port_refuses() {
    each_ip(|addr| {
        assert_eq!(
            kind(TcpStream::connect(closed_port(addr))),
            ErrorKind::ConnectionRefused
        );
    });
}

#[test]
fn row_11_a_closed_port_refuses_connect_timeout_too() {
    each_ip(|addr| {
        // Were it not refused at once, the watchdog would end this.
        let result = TcpStream::connect_timeout(&closed_port(addr), Duration::from_secs(3600));
        assert_eq!(kind(result), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn row_12_a_silent_host_times_out() {
    each_ip(|addr| {
        let hole = BlackHole::new(addr);
        let result = TcpStream::connect_timeout(&hole.addr(), Duration::from_millis(150));
        assert_eq!(kind(result), ErrorKind::TimedOut);
    });
}

#[test]
fn a_timeout_of_zero_is_no_timeout() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let result = TcpStream::connect_timeout(&addr, Duration::ZERO);
        assert_eq!(kind(result), ErrorKind::InvalidInput);
    });
}

#[test]
fn row_12_the_shortest_timeout_is_a_timeout() {
    each_ip(|addr| {
        let hole = BlackHole::new(addr);
        for timeout in [Duration::from_nanos(1), Duration::from_micros(500)] {
            let result = TcpStream::connect_timeout(&hole.addr(), timeout);
            assert_eq!(kind(result), ErrorKind::TimedOut, "{timeout:?}");
        }
    });
}

#[test]
fn a_listener_is_reached_within_the_longest_timeout() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let client = TcpStream::connect_timeout(&addr, Duration::MAX).expect("it is there");
        assert_eq!(client.peer_addr().expect("connected"), addr);
    });
}

#[test]
fn a_listener_is_reached_within_a_timeout() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let client =
            TcpStream::connect_timeout(&addr, Duration::from_secs(30)).expect("it is there");
        assert_eq!(client.peer_addr().expect("connected"), addr);
    });
}

#[test]
fn connect_tries_every_address_and_reports_the_last_error() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let good = listener.local_addr().expect("an address");
        let bad = closed_port(addr);
        let client = TcpStream::connect(&[bad, good][..]).expect("the second one answers");
        assert_eq!(client.peer_addr().expect("connected"), good);
        assert_eq!(
            kind(TcpStream::connect(&[bad, bad][..])),
            ErrorKind::ConnectionRefused
        );
        assert_eq!(
            kind(TcpStream::connect(&[][..])),
            ErrorKind::InvalidInput,
            "no address at all"
        );
    });
}

#[test]
fn connect_takes_what_std_takes() {
    watched(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        TcpStream::connect(("127.0.0.1", port)).expect("a pair");
        TcpStream::connect(format!("127.0.0.1:{port}")).expect("a string");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("an address and a port");
        // Resolves to ::1 first on many machines, where nobody listens.
        TcpStream::connect(("localhost", port)).expect("a name");
    });
}

#[test]
fn the_unspecified_address_means_this_host() {
    // What `connect(listener.local_addr())` does where the listener is bound to all addresses.
    for ip in loopbacks() {
        watched(move || {
            let any: SocketAddr = if ip.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                (Ipv6Addr::UNSPECIFIED, 0).into()
            };
            let listener = TcpListener::bind(any).expect("a free port");
            let mut client = TcpStream::connect(listener.local_addr().expect("an address"))
                .expect("the unspecified address reaches this host");
            let (mut server, from) = listener.accept().expect("a connection");
            assert_eq!(from.port(), client.local_addr().expect("an address").port());
            client.write_all(b"hello").expect("open");
            let mut got = [0; 5];
            server.read_exact(&mut got).expect("open");
            assert_eq!(&got, b"hello");
        });
    }
}

#[test]
fn a_listener_on_all_ipv6_addresses_takes_ipv4_too() {
    if loopbacks().len() < 2 {
        return;
    }
    watched(|| {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("dual stack");
        let (mut server, from) = listener.accept().expect("a connection");
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(
            from.ip(),
            mapped,
            "an IPv4 peer is shown as a mapped address"
        );
        server.write_all(b"mapped").expect("open");
        let mut got = [0; 6];
        client.read_exact(&mut got).expect("open");
        assert_eq!(&got, b"mapped");
    });
}

#[test]
fn every_connection_of_its_own_has_an_address_of_its_own() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let clients: Vec<_> = (0..8)
            .map(|_| TcpStream::connect(addr).expect("a connection"))
            .collect();
        let mut locals: Vec<_> = clients
            .iter()
            .map(|client| client.local_addr().expect("an address"))
            .collect();
        locals.sort();
        locals.dedup();
        assert_eq!(locals.len(), clients.len());
        for _ in &clients {
            let (server, from) = listener.accept().expect("a connection");
            assert!(locals.contains(&from));
            assert_eq!(server.peer_addr().expect("connected"), from);
            assert_eq!(server.local_addr().expect("an address"), addr);
        }
    });
}

#[test]
fn port_zero_is_no_port_to_connect_to() {
    each_ip(|addr| {
        let error = kind(TcpStream::connect(addr));
        // The kernel tries, and is refused; we say what is wrong with the call.
        let expected = if KERNEL {
            ErrorKind::ConnectionRefused
        } else {
            ErrorKind::InvalidInput
        };
        assert_eq!(error, expected);
    });
}

#[test]
fn a_failed_connect_leaves_no_socket_behind() {
    // On a platform without /proc there is nothing to count.
    let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    each_ip(move |addr| {
        let closed = closed_port(addr);
        let attempt = || kind(TcpStream::connect(closed));
        attempt();
        let (before, rounds) = (count(), 50);
        for _ in 0..rounds {
            assert_eq!(attempt(), ErrorKind::ConnectionRefused);
        }
        let few = |now: Option<usize>| {
            now.zip(before)
                .is_none_or(|(now, before)| now < before + rounds / 2)
        };
        crate::support::wait::eventually("the sockets are closed", || few(count()));
    });
}
