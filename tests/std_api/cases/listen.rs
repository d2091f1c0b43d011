//! Listeners: binding, accepting, the backlog.

use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::super::listen_for_two;
use super::{TcpListener, TcpStream, kind, pair_with};
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually, watched};

/// Long enough for an answer on a busy machine, short enough to wait for none.
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn row_16_a_connection_whose_client_has_gone_is_accepted_with_its_data() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address"))
            .expect("the backlog takes it");
        let local = client.local_addr().expect("an address");
        client.write_all(&bytes(16, 20_000)).expect("open");
        drop(client);
        let (mut server, from) = listener.accept().expect("it waits in the backlog");
        assert_eq!(from, local);
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 20_000);
        assert_bytes(16, &got);
    });
}

#[test]
fn row_18_a_full_backlog_drops_and_does_not_refuse() {
    each_ip(|addr| {
        let listener = listen_for_two(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let connect = || TcpStream::connect_timeout(&addr, PATIENCE);
        let waiting = [
            connect().expect("the first"),
            connect().expect("the second"),
        ];
        assert_eq!(
            kind(connect()),
            ErrorKind::TimedOut,
            "the third is not answered"
        );
        // With room again, whoever still tries gets in.
        for client in &waiting {
            let (_, from) = listener.accept().expect("one waits");
            assert_eq!(from, client.local_addr().expect("an address"));
        }
        eventually("a later one gets in", || connect().is_ok());
    });
}

#[test]
fn a_port_is_bound_once() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let taken = listener.local_addr().expect("an address");
        assert_ne!(taken.port(), 0);
        assert_eq!(kind(TcpListener::bind(taken)), ErrorKind::AddrInUse);
    });
}

#[test]
fn an_address_of_another_host_is_not_available() {
    watched(|| {
        // TEST-NET-1 of RFC 5737 is nobody's.
        assert_eq!(
            kind(TcpListener::bind("192.0.2.1:0")),
            ErrorKind::AddrNotAvailable
        );
    });
}

#[test]
fn incoming_yields_one_connection_after_another() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let clients = thread::spawn(move || {
            (0..5_u8).for_each(|n| {
                let mut client = TcpStream::connect(addr).expect("a connection");
                client.write_all(&[n]).expect("open");
                assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
            });
        });
        let mut seen = Vec::new();
        for stream in listener.incoming().take(5) {
            let mut byte = [0; 1];
            stream
                .expect("a connection")
                .read_exact(&mut byte)
                .expect("its byte");
            seen.extend(byte);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        clients.join().expect("all were served");
    });
}

#[test]
fn two_clones_accept_each_connection_once() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (found, accepted) = mpsc::channel();
        for _ in 0..2 {
            let (clone, found) = (listener.try_clone().expect("a clone"), found.clone());
            thread::spawn(move || {
                for stream in clone.incoming() {
                    let stream = stream.expect("a connection");
                    let from = stream.peer_addr().expect("connected");
                    if found.send((from, stream)).is_err() {
                        return;
                    }
                }
            });
        }
        let clients: Vec<_> = (0..20)
            .map(|_| TcpStream::connect(addr).expect("a connection"))
            .collect();
        let mut expected: Vec<_> = clients
            .iter()
            .map(|client| client.local_addr().expect("an address"))
            .collect();
        let held: Vec<_> = clients
            .iter()
            .map(|_| accepted.recv().expect("one more"))
            .collect();
        let mut seen: Vec<_> = held.iter().map(|(from, _)| *from).collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected);
        // Lets the two threads see that nobody listens to them any more.
        drop(accepted);
        drop((TcpStream::connect(addr), TcpStream::connect(addr)));
    });
}

#[test]
fn a_listener_that_may_not_block_says_so() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        listener.set_nonblocking(true).expect("bound");
        assert_eq!(kind(listener.accept()), ErrorKind::WouldBlock);
        let mut client = TcpStream::connect(listener.local_addr().expect("an address"))
            .expect("the backlog takes it");
        let mut accepted = None;
        eventually("the connection waits", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        let (mut server, _) = accepted.expect("just seen");
        listener.set_nonblocking(false).expect("bound");
        // The stream does not inherit it: this read waits.
        let writer = thread::spawn(move || client.write_all(b"x").map(|()| client));
        server
            .read_exact(&mut [0; 1])
            .expect("it waits for the byte");
        writer.join().expect("no panic").expect("open");
    });
}

#[test]
fn a_stream_outlives_its_listener() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let (mut client, mut server) = pair_with(&listener);
        drop(listener);
        for _ in 0..3 {
            client.write_all(b"ping").expect("open");
            let mut got = [0; 4];
            server.read_exact(&mut got).expect("open");
            server.write_all(b"pong").expect("open");
            client.read_exact(&mut got).expect("open");
            assert_eq!(&got, b"pong");
        }
    });
}

#[test]
fn a_listener_has_no_error_to_report() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        assert!(listener.take_error().expect("asking works").is_none());
    });
}
