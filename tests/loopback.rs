//! The whole crate over real sockets of this machine: a few checks that everything is plugged together.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, UdpSocket};
use std::thread;
use std::time::Duration;

use aqueduct::config::EndpointConfig;
use aqueduct::{CloseError, Delivered, Endpoint, Listener, Stream, StreamError};

const PATIENCE: Duration = Duration::from_secs(20);

fn pair() -> (Stream, Stream) {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let client = Stream::connect(address).expect("a listener");
    let (server, peer) = listener.accept().expect("a client");
    assert_eq!(peer, client.local_addr().expect("connected"));
    (client, server)
}

/// Bytes that repeat only after megabytes, so that a piece in the wrong place shows.
fn pattern(from: u64, len: usize) -> Vec<u8> {
    (from..)
        .take(len)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

#[test]
fn what_is_written_comes_back_and_the_end_after_it() {
    let (mut client, mut server) = pair();
    let echo = thread::spawn(move || {
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        server.write_all(&all).unwrap();
    });
    let sent = pattern(0, 300_000);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.read_to_end(&mut back).unwrap();
    assert!(back == sent, "the same bytes");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    echo.join().unwrap();
}

#[test]
fn sixty_four_mebibytes_arrive_as_they_were_sent() {
    const TOTAL: usize = 64 << 20;
    let (mut client, mut server) = pair();
    let writer = thread::spawn(move || {
        let block = pattern(0, 1 << 20);
        for _ in 0..TOTAL / block.len() {
            client.write_all(&block).unwrap();
        }
        client.close(PATIENCE).unwrap()
    });
    let block = pattern(0, 1 << 20);
    let mut buf = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        let len = server.read(&mut buf).unwrap();
        if len == 0 {
            break;
        }
        let mut rest = &buf[..len];
        while !rest.is_empty() {
            let from = at % block.len();
            let part = rest.len().min(block.len() - from);
            assert!(
                rest[..part] == block[from..from + part],
                "wrong bytes near {at}"
            );
            at += part;
            rest = &rest[part..];
        }
    }
    assert_eq!(at, TOTAL);
    assert_eq!(writer.join().unwrap().acked, TOTAL as u64);
}

#[test]
fn both_directions_and_many_streams_at_once() {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let served: Vec<_> = listener
            .incoming()
            .take(8)
            .map(|stream| {
                let mut stream = stream.unwrap();
                let mut reader = stream.try_clone().unwrap();
                thread::spawn(move || io::copy(&mut reader, &mut stream).unwrap())
            })
            .collect();
        served
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum::<u64>()
    });
    let shared = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let clients: Vec<_> = (0..8_u64)
        .map(|number| {
            let stream = if number % 2 == 0 {
                Stream::connect(address).unwrap()
            } else {
                shared.connect(address).unwrap()
            };
            thread::spawn(move || {
                let sent = pattern(number << 32, 1 << 20);
                let mut writer = stream.try_clone().unwrap();
                let copy = sent.clone();
                let writing = thread::spawn(move || {
                    writer.write_all(&copy).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                (&stream).read_to_end(&mut back).unwrap();
                writing.join().unwrap();
                assert!(back == sent, "stream {number}");
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(server.join().unwrap(), 8 << 20);
    assert!(
        shared.wait_idle(PATIENCE),
        "the endpoint's streams are over"
    );
}

#[test]
fn a_closed_port_refuses_at_once_and_says_who() {
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let error = Stream::connect(free).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let cause = error
        .get_ref()
        .unwrap()
        .downcast_ref::<StreamError>()
        .unwrap();
    assert!(cause.to_string().contains(&free.to_string()), "{cause}");

    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = endpoint.connect(free).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::ConnectionRefused,
        "an unconnected socket, by ICMP"
    );
    let quiet = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let error = Stream::connect(quiet.local_addr().unwrap()).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::ConnectionRefused,
        "an endpoint without listener"
    );
}

#[test]
fn a_silent_address_times_out() {
    let black_hole = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = black_hole.local_addr().unwrap();
    let error = Stream::connect_timeout(&address, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = Stream::connect_timeout(&address, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn reads_and_writes_wait_no_longer_than_asked() {
    let (client, _server) = pair();
    client
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    assert_eq!(
        (&client).read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    client
        .set_write_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let full = loop {
        let written = (&client).write(&[0; 64 << 10]);
        match written {
            Ok(len) => assert!(len > 0),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(true).unwrap();
    assert_eq!(
        (&client).read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(
        (&client).write(&[0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(
        client
            .set_read_timeout(Some(Duration::ZERO))
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn peek_leaves_the_bytes_and_vectors_are_taken_as_one() {
    let (mut client, mut server) = pair();
    let parts = [
        IoSlice::new(b"one "),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    assert_eq!(client.write_vectored(&parts).unwrap(), 7);
    client.wait_delivered(Delivered::Acked, PATIENCE).unwrap();
    let mut buf = [0; 7];
    assert_eq!(server.peek(&mut buf).unwrap(), 7);
    let (mut a, mut b) = ([0; 3], [0; 9]);
    let len = server
        .read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])
        .unwrap();
    assert_eq!((len, &a, &b[..4]), (7, b"one", b" two".as_slice()));
}

#[test]
fn a_reset_is_told_once_then_the_stream_is_over() {
    let (client, server) = pair();
    server.abort(300);
    let mut buf = [0; 8];
    assert_eq!(
        (&client).read(&mut buf).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!((&client).read(&mut buf).unwrap(), 0);
    assert_eq!(
        (&client).write(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    assert_eq!(
        client.peer_addr().unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    assert_eq!(
        client.shutdown(Shutdown::Both).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    assert!(client.local_addr().is_ok());
    assert_eq!(client.info().reset_code, Some(300));
}

#[test]
fn a_dropped_listener_resets_what_it_has_not_accepted() {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let client = Stream::connect(address).unwrap();
    (&client).write_all(b"hello?").unwrap();
    client.wait_delivered(Delivered::Acked, PATIENCE).unwrap();
    drop(listener);
    assert_eq!(
        (&client).read(&mut [0; 1]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(
        (&client).write(b"x").unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn dropping_a_stream_delivers_what_it_holds() {
    let (mut client, mut server) = pair();
    let sent = pattern(7, 700_000);
    client.write_all(&sent).unwrap();
    drop(client);
    let mut all = Vec::new();
    server.read_to_end(&mut all).unwrap();
    assert!(all == sent);
}

#[test]
fn close_waits_for_delivery_and_says_what_is_missing() {
    let (mut client, server) = pair();
    client.write_all(b"all of it").unwrap();
    let closed = client.close(PATIENCE).unwrap();
    assert_eq!(closed.acked, 9);
    drop(server);

    let (client, server) = pair();
    client
        .set_write_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    while (&client).write(&[1; 64 << 10]).is_ok() {}
    match client.close(Duration::from_millis(20)) {
        Err(CloseError::TimedOut { acked, written, .. }) => assert!(acked < written),
        other => panic!("the peer has read nothing: {other:?}"),
    }
    drop(server);
}

#[test]
fn nobody_waits_for_a_report_that_cannot_come_after_an_orderly_end() {
    let (mut near, far) = pair();
    near.write_all(&pattern(0, 100)).unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    assert_eq!(
        near.read(&mut [0; 8]).unwrap(),
        0,
        "the end of the other side"
    );
    let error = near
        .wait_delivered(Delivered::Read, Duration::from_secs(60))
        .expect_err("the other side has not read");
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    near.wait_delivered(Delivered::Acked, Duration::from_secs(60))
        .unwrap();
    let mut got = Vec::new();
    (&far).read_to_end(&mut got).unwrap();
    assert_eq!(got, pattern(0, 100));
}

#[test]
fn two_who_meet_make_one_stream() {
    let one = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let two = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (to_one, to_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let other = thread::spawn(move || two.connect_rendezvous(to_one, 77).unwrap());
    let here = one.connect_rendezvous(to_two, 77).unwrap();
    let there = other.join().unwrap();
    (&here).write_all(b"a").unwrap();
    (&there).write_all(b"b").unwrap();
    let mut byte = [0];
    (&there).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"a");
    (&here).read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
}

#[test]
fn a_port_is_free_again_when_its_streams_are_over() {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(
        Listener::bind(address).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    drop(listener);
    let again = (0..1_000_000).find_map(|_| {
        thread::yield_now();
        Listener::bind(address).ok()
    });
    assert_eq!(again.unwrap().local_addr().unwrap(), address);
}

#[test]
fn an_endpoint_reports_what_it_left() {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = endpoint.connect(listener.local_addr().unwrap()).unwrap();
    let report = endpoint.close(Duration::from_millis(10));
    assert_eq!((report.finished, report.aborted), (0, 1));
    assert_eq!(
        (&stream).read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionAborted
    );
}

#[test]
fn an_answer_comes_from_the_address_that_was_asked() {
    // The client's socket is connected: it hears nothing from another address than the one it called.
    let listener = Listener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Stream::connect((Ipv4Addr::new(127, 0, 0, 5), port)).unwrap();
    let (server, _) = listener.accept().unwrap();
    assert_eq!(server.local_addr().unwrap(), client.peer_addr().unwrap());
    (&server).write_all(b"here").unwrap();
    (&client).read_exact(&mut [0; 4]).unwrap();
}

#[test]
fn ipv6_carries_streams_and_an_open_listener_takes_both_families() {
    let Ok(listener) = Listener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
        return;
    };
    let port = listener.local_addr().unwrap().port();
    for address in [
        IpAddr::from(Ipv6Addr::LOCALHOST),
        Ipv4Addr::LOCALHOST.into(),
    ] {
        let mut client = Stream::connect((address, port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let sent = pattern(1, 200_000);
        let copy = sent.clone();
        let writer = thread::spawn(move || {
            server.write_all(&copy).unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert!(got == sent, "over {address}");
        writer.join().unwrap();
    }
}

#[test]
fn a_full_backlog_lets_nobody_in_until_somebody_is_accepted() {
    let server = Endpoint::builder()
        .endpoint_config(EndpointConfig::default().with_backlog(1))
        .bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap();
    let listener = server.listen().unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = [
        Stream::connect(address).unwrap(),
        Stream::connect(address).unwrap(),
    ];
    for stream in &waiting {
        // Open for the client; acknowledged means that the server has made its side.
        (&*stream).write_all(b"!").unwrap();
        stream.wait_delivered(Delivered::Acked, PATIENCE).unwrap();
    }
    let late = Stream::connect_timeout(&address, Duration::from_millis(50)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    let (first, peer) = listener.accept().unwrap();
    assert_eq!(peer, waiting[0].local_addr().unwrap());
    let third = Stream::connect(address).unwrap();
    drop((first, third));
}

#[cfg(target_os = "linux")]
#[test]
fn connects_that_fail_leave_no_socket_behind() {
    let sockets = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        links
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    };
    let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    for _ in 0..300 {
        assert_eq!(
            Stream::connect(free).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    }
    // The loop closes the last one on its own time; tests beside this one hold a few.
    assert!((0..1_000_000).any(|_| {
        thread::yield_now();
        sockets() < 150
    }));
}

/// Reads to the end by `read_bytes`, and compares at the end what it kept: all of it, or a piece now and then.
fn kept_pieces(server: &Stream, total: u64, every: usize) {
    let (mut at, mut kept) = (0, Vec::new());
    for number in 0.. {
        let piece = server.read_bytes(1 << 20).expect("open");
        if piece.is_empty() {
            break;
        }
        assert!(piece == pattern(at, piece.len()), "other bytes at {at}");
        let len = piece.len() as u64;
        if number % every == 0 {
            kept.push((at, piece));
        }
        at += len;
    }
    assert_eq!(at, total);
    for (at, piece) in kept {
        assert!(
            piece == pattern(at, piece.len()),
            "bytes that were kept changed"
        );
    }
}

fn sends_by_bytes(client: Stream, total: u64) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut at = 0;
        while at < total {
            let mut block = bytes::Bytes::from(pattern(at, 1 << 18));
            at += 1 << 18;
            while !block.is_empty() {
                let taken = client.write_bytes(block.clone()).expect("open");
                bytes::Buf::advance(&mut block, taken);
            }
        }
        client.close(PATIENCE).expect("delivered");
    })
}

#[test]
fn pieces_that_the_application_keeps_do_not_change() {
    const TOTAL: u64 = 16 << 20;
    let (client, server) = pair();
    let sender = sends_by_bytes(client, TOTAL);
    kept_pieces(&server, TOTAL, 7);
    drop(server);
    sender.join().expect("no panic");
}

/// What is kept counts as memory of the endpoint; when that is short, bytes are copied, and go on coming.
#[test]
fn who_keeps_more_than_the_endpoint_has_gets_copies() {
    const TOTAL: u64 = 12 << 20;
    let server = Endpoint::builder()
        .endpoint_config(EndpointConfig::default().with_memory(4 << 20))
        .bind((Ipv4Addr::LOCALHOST, 0))
        .expect("a free port");
    let address = server.local_addr().expect("bound");
    let listener = server.listen().expect("one listener");
    let client = Stream::connect(address).expect("a listener");
    let (server, _) = listener.accept().expect("a client");
    let sender = sends_by_bytes(client, TOTAL);
    kept_pieces(&server, TOTAL, 1);
    drop(server);
    sender.join().expect("no panic");
}
