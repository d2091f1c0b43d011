//! Many connections at once, through a network that misbehaves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::{Endpoint, Listener, Stream};

use crate::alone;
use crate::support::relay::{Impairment, Relay};
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually, watched};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
fn two_hundred_connections_at_once_survive_a_lossy_relay() {
    let _alone = alone();
    watched(|| {
        const CONNECTIONS: u64 = 200;
        const BYTES: usize = 20_000;
        let listener = Listener::bind(LOOPBACK).expect("a free port");
        let impairment = Impairment {
            loss: 0.03,
            duplicate: 0.02,
            reorder: 0.05,
            corrupt: 0.01,
            seed: 7,
        };
        let relay = Relay::start(listener.local_addr().expect("bound"), impairment);
        let to = relay.addr();
        let server = thread::spawn(move || {
            let echoes: Vec<_> = listener
                .incoming()
                .take(CONNECTIONS.try_into().expect("few"))
                .map(|stream| {
                    let stream = stream.expect("a connection");
                    thread::spawn(move || {
                        std::io::copy(&mut &stream, &mut &stream).expect("no error")
                    })
                })
                .collect();
            echoes
                .into_iter()
                .map(|echo| echo.join().expect("no panic"))
                .sum::<u64>()
        });
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|seed| thread::spawn(move || echo_back(to, seed, BYTES)))
            .collect();
        for client in clients {
            client.join().expect("every stream came back whole");
        }
        let echoed = server.join().expect("no panic");
        assert_eq!(echoed, CONNECTIONS * BYTES as u64);
        let (carried, lost) = relay.counts();
        println!("{CONNECTIONS} connections, {carried} datagrams carried, {lost} lost on purpose");
        assert!(lost > 0, "the relay was no good: it lost nothing");
    });
}

/// Sends the stream `seed` and reads it back.
fn echo_back(to: SocketAddr, seed: u64, len: usize) {
    let stream = Stream::connect(to).expect("the relay leads to a listener");
    let reader = stream.try_clone().expect("a clone");
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        if let Err(error) = (&reader).read_to_end(&mut got) {
            panic!(
                "after {} of {len} bytes: {error}; {:?}",
                got.len(),
                reader.info()
            );
        }
        got
    });
    (&stream).write_all(&bytes(seed, len)).expect("open");
    stream.shutdown(Shutdown::Write).expect("open");
    let got = reader.join().expect("no panic");
    assert_eq!(got.len(), len);
    assert_bytes(seed, &got);
}

#[test]
fn a_megabyte_passes_a_bad_network_in_both_families() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        let impairment = Impairment {
            loss: 0.02,
            duplicate: 0.05,
            reorder: 0.1,
            corrupt: 0.02,
            seed: 11,
        };
        let relay = Relay::start(listener.local_addr().expect("bound"), impairment);
        let mut client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        let sender = thread::spawn(move || client.write_all(&bytes(1, 1 << 20)));
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 1 << 20);
        assert_bytes(1, &got);
        sender.join().expect("no panic").expect("open");
    });
}

#[test]
fn a_stream_dropped_with_a_megabyte_unsent_arrives() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        // Loss makes it take many round trips, all of them after the drop.
        let impairment = Impairment {
            loss: 0.02,
            seed: 13,
            ..Impairment::default()
        };
        let relay = Relay::start(listener.local_addr().expect("bound"), impairment);
        let client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        let data = bytes(2, 1 << 20);
        client.set_nonblocking(true).expect("open");
        let mut written = 0;
        eventually("the send buffer takes a megabyte", || {
            written += (&client).write(&data[written..]).unwrap_or(0);
            written == data.len()
        });
        drop(client);
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 1 << 20);
        assert_bytes(2, &got);
    });
}

#[test]
fn a_listener_that_never_accepts_holds_its_backlog_and_no_more() {
    let _alone = alone();
    watched(|| {
        const BACKLOG: usize = 64;
        let config = EndpointConfig::default().with_backlog(BACKLOG);
        let there = Endpoint::builder()
            .endpoint_config(config)
            .bind(LOOPBACK)
            .expect("a port");
        let listener = there.listen().expect("the first");
        let to = there.local_addr().expect("bound");
        let patience = Config::default().with_connect_timeout(Duration::from_secs(1));
        let here = Endpoint::builder()
            .config(patience)
            .bind(LOOPBACK)
            .expect("a port");
        let (mut waiting, mut turned_away) = (Vec::new(), 0);
        while turned_away < 3 && waiting.len() < 2 * BACKLOG {
            match here.connect(to) {
                Ok(mut stream) => {
                    stream.write_all(b"is anybody there?").expect("open");
                    waiting.push(stream);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut, "dropped, not refused");
                    turned_away += 1;
                }
            }
        }
        assert_eq!(
            waiting.len(),
            BACKLOG + 1,
            "the backlog and, as in the kernel, one more"
        );
        // Whoever waits was really connected: its data is there once somebody accepts.
        let (mut server, _) = listener.accept().expect("one waits");
        let mut got = [0; 17];
        server
            .read_exact(&mut got)
            .expect("its data waited with it");
        assert_eq!(&got, b"is anybody there?");
        here.connect(to).expect("there is room for one more");
    });
}
