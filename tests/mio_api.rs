//! Streams and listeners in an event loop of one thread, on mio.
#![cfg(all(feature = "mio", target_os = "linux"))]

#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, UdpSocket};

use aqueduct::mio::{Listener, Stream};
use mio::{Events, Interest, Poll, Token};
use support::wait::{assert_bytes, bytes, watched};

const LISTENER: Token = Token(0);
/// Clients of the crowd.
const CLIENTS: usize = 8;
/// More than all buffers on the way hold, so that both directions have to wait.
const LEN: usize = 3 << 20;

fn both() -> Interest {
    Interest::READABLE | Interest::WRITABLE
}

/// One end: what it has to send, what it has received.
struct End {
    stream: Stream,
    seed: u64,
    sent: usize,
    got: Vec<u8>,
    has_ended: bool,
}

impl End {
    fn new(stream: Stream, seed: u64) -> Self {
        End {
            stream,
            seed,
            sent: 0,
            got: Vec::new(),
            has_ended: false,
        }
    }

    /// Goes on in both directions until neither can.
    fn go_on(&mut self, all: &[u8]) {
        while self.sent < all.len() {
            match self.stream.write(&all[self.sent..]) {
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            if self.sent == all.len() {
                self.stream.shutdown(Shutdown::Write).expect("open");
            }
        }
        let mut buf = vec![0; 100_000];
        while !self.has_ended {
            match self.stream.read(&mut buf) {
                Ok(0) => self.has_ended = true,
                Ok(len) => self.got.extend(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn one_thread_serves_both_ends_of_many_connections() {
    watched(|| {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(64));
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = listener.local_addr().unwrap();
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .unwrap();
        let mut ends = HashMap::new();
        for client in 1..=CLIENTS {
            let mut stream = Stream::connect(addr).unwrap();
            poll.registry()
                .register(&mut stream, Token(client), both())
                .unwrap();
            ends.insert(Token(client), End::new(stream, 1));
        }
        let sent = [bytes(1, LEN), bytes(2, LEN)];
        while ends.len() < 2 * CLIENTS || !ends.values().all(|end| end.has_ended) {
            poll.poll(&mut events, None).unwrap();
            for event in &events {
                if event.token() != LISTENER {
                    let end = ends.get_mut(&event.token()).unwrap();
                    let all = &sent[usize::from(end.seed == 2)];
                    end.go_on(all);
                    continue;
                }
                while let Ok((mut stream, _)) = listener.accept() {
                    let token = Token(ends.len() + 1);
                    poll.registry()
                        .register(&mut stream, token, both())
                        .unwrap();
                    ends.insert(token, End::new(stream, 2));
                }
            }
        }
        for end in ends.values() {
            assert_eq!(end.got.len(), LEN);
            assert_bytes(3 - end.seed, &end.got);
        }
    });
}

#[test]
fn a_connection_that_is_refused_is_an_event_with_an_error() {
    watched(|| {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
        // A port that was free a moment ago, so that nobody listens there.
        let free = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut stream = Stream::connect(free).unwrap();
        assert_eq!(
            stream.peer_addr().unwrap_err().kind(),
            ErrorKind::NotConnected
        );
        poll.registry()
            .register(&mut stream, Token(1), Interest::WRITABLE)
            .unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(
            events
                .iter()
                .any(|event| event.token() == Token(1) && event.is_writable())
        );
        let error = stream.take_error().unwrap().expect("it was refused");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn an_interest_can_change_and_end() {
    watched(|| {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
        let listener = aqueduct::Listener::bind("127.0.0.1:0").unwrap();
        let client = aqueduct::Stream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut client = Stream::from_std(client).unwrap();
        poll.registry()
            .register(&mut client, Token(1), Interest::WRITABLE)
            .unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(
            events
                .iter()
                .all(|event| event.is_writable() && !event.is_readable())
        );
        // What is not there yet is no event, once a read has said so.
        let nothing = client.read(&mut [0; 4]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        poll.registry()
            .reregister(&mut client, Token(2), Interest::READABLE)
            .unwrap();
        server.write_all(b"news").unwrap();
        poll.poll(&mut events, None).unwrap();
        assert!(
            events
                .iter()
                .all(|event| event.token() == Token(2) && event.is_readable())
        );
        let mut buf = [0; 4];
        client.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"news");
        poll.registry().deregister(&mut client).unwrap();
        server.write_all(b"more").unwrap();
        client.inner_has(4);
        poll.poll(&mut events, Some(std::time::Duration::ZERO))
            .unwrap();
        assert!(events.is_empty());
    });
}

trait Arrived {
    /// Waits until so many bytes are there.
    fn inner_has(&self, len: usize);
}

impl Arrived for Stream {
    fn inner_has(&self, len: usize) {
        support::wait::eventually("bytes arrive", || {
            self.peek(&mut [0; 8]).is_ok_and(|seen| seen == len)
        });
    }
}
