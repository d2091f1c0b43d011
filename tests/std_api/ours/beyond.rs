//! What std does not have: typed errors, delivery that can be waited for, timeouts of the connection, aborts.

use std::error::Error as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aqueduct::config::{Config, ConfigError, EndpointConfig, Keepalive};
use aqueduct::connection::TcpState;
use aqueduct::{CloseError, Delivered, Endpoint, Listener, Stream, StreamError, drain};
use bytes::Bytes;

use super::BlackHole;
use crate::support::relay::{Impairment, Relay};
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually, watched};

const LONG: Duration = Duration::from_secs(30);

fn pair(addr: SocketAddr) -> (Stream, Stream) {
    let listener = Listener::bind(addr).expect("a free port");
    let client = Stream::connect(listener.local_addr().expect("bound")).expect("a listener");
    let (server, _) = listener.accept().expect("a connection");
    (client, server)
}

/// A pair whose packets pass a relay that can be cut.
fn pair_behind_a_relay(addr: SocketAddr) -> (Stream, Stream, Relay) {
    let listener = Listener::bind(addr).expect("a free port");
    let relay = Relay::start(listener.local_addr().expect("bound"), Impairment::default());
    let client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
    let (server, _) = listener.accept().expect("a connection");
    (client, server, relay)
}

/// The text of an error, whose source must be a typed one of this crate.
#[track_caller]
fn text_of(error: &std::io::Error) -> String {
    let source = error.get_ref().expect("a source");
    assert!(
        source.downcast_ref::<StreamError>().is_some(),
        "a typed source: {source:?}"
    );
    error.to_string()
}

/// The name of the value that was refused, from the source of the error.
#[track_caller]
fn refused_value(error: &std::io::Error) -> &'static str {
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let source = error.get_ref().expect("a source");
    let source = source.downcast_ref::<ConfigError>();
    source.expect("the error of the configuration").name()
}

#[test]
fn a_refusal_says_who_refused_and_why() {
    each_ip(|addr| {
        let closed = Listener::bind(addr)
            .and_then(|gone| gone.local_addr())
            .expect("an address");
        let error = Stream::connect(closed).expect_err("nobody listens");
        let text = text_of(&error);
        assert!(text.contains(&closed.to_string()), "whom: {text}");
        assert!(
            text.contains("refused") && text.contains("listens"),
            "what: {text}"
        );
    });
}

#[test]
fn a_silent_host_is_named_with_what_was_tried_and_what_to_check() {
    each_ip(|addr| {
        let hole = BlackHole::new(addr);
        let config = Config::default().with_connect_timeout(Duration::from_millis(500));
        let error = Stream::connect_with(hole.addr(), &config).expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let text = text_of(&error);
        assert!(text.contains(&hole.addr().to_string()), "whom: {text}");
        assert!(text.contains("SYN"), "what was tried: {text}");
        assert!(text.contains("UDP"), "what to check: {text}");
    });
}

#[test]
fn row_03_a_reset_says_who_and_with_which_code() {
    each_ip(|addr| {
        let (mut client, server) = pair(addr);
        server.abort(4_711);
        let error = client.read(&mut [0; 1]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let text = text_of(&error);
        assert!(
            text.contains(&server.local_addr().expect("bound").to_string()),
            "whom: {text}"
        );
        assert!(text.contains("4711"), "the code: {text}");
        assert_eq!(client.info().reset_code, Some(4_711));
        assert_eq!(client.info().state, TcpState::Closed);
    });
}

#[test]
fn a_code_of_the_protocol_is_sent_as_an_abort() {
    each_ip(|addr| {
        let (mut client, server) = pair(addr);
        server.abort(3);
        assert_eq!(
            client.read(&mut [0; 1]).expect_err("a reset").kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(client.info().reset_code, Some(0));
    });
}

#[test]
fn an_abort_wakes_whoever_waits_on_this_side() {
    each_ip(|addr| {
        let (client, _server) = pair(addr);
        let reader = client.try_clone().expect("a clone");
        let reader = thread::spawn(move || (&reader).read(&mut [0; 1]));
        client.abort(300);
        let error = reader
            .join()
            .expect("no panic")
            .expect_err("it was aborted");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    });
}

#[test]
fn row_14_a_peer_that_acknowledges_nothing_times_out() {
    each_ip(|addr| {
        let (mut client, _server, relay) = pair_behind_a_relay(addr);
        client.wait_delivered(Delivered::Acked, LONG).expect("open");
        client
            .set_user_timeout(Some(Duration::from_millis(400)))
            .expect("open");
        relay.cut(true);
        client
            .write_all(b"into the void")
            .expect("the send buffer takes it");
        let error = client
            .read(&mut [0; 1])
            .expect_err("nothing was acknowledged");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let text = text_of(&error);
        assert!(text.contains(&relay.addr().to_string()), "whom: {text}");
        assert!(text.contains("user timeout"), "what: {text}");
        assert_eq!(
            client.write(b"x").expect_err("over").kind(),
            ErrorKind::BrokenPipe
        );
        assert_eq!(client.read(&mut [0; 1]).expect("said once"), 0);
    });
}

#[test]
fn options_that_no_configuration_takes_are_refused() {
    each_ip(|addr| {
        let (client, _server) = pair(addr);
        let ms = Duration::from_millis(1);
        let year = Duration::from_secs(365 * 86_400);
        let beyond = year + Duration::from_nanos(1);
        let probes = |idle, interval, count| Keepalive {
            idle,
            interval,
            count,
        };
        for bad in [
            probes(Duration::ZERO, ms, 1),
            probes(ms, Duration::ZERO, 1),
            probes(ms, ms, 0),
            probes(beyond, ms, 1),
        ] {
            let error = client.set_keepalive(Some(bad)).expect_err("out of range");
            assert_eq!(refused_value(&error), "keepalive", "{bad:?}");
        }
        for bad in [Duration::ZERO, Duration::from_micros(999), beyond] {
            let error = client
                .set_user_timeout(Some(bad))
                .expect_err("out of range");
            assert_eq!(refused_value(&error), "user_timeout", "{bad:?}");
        }
        for good in [Some(probes(year, year, 1)), None] {
            client.set_keepalive(good).expect("in range");
        }
        for good in [Some(year), None] {
            client.set_user_timeout(good).expect("in range");
        }
    });
}

#[test]
fn nodelay_of_a_new_stream_is_that_of_its_configuration() {
    each_ip(|addr| {
        for nodelay in [false, true] {
            let config = Config::default().with_nodelay(nodelay);
            let listener = Listener::bind_with(addr, &config).expect("a free port");
            let to = listener.local_addr().expect("bound");
            let client = Stream::connect_with(to, &config).expect("a listener");
            let (server, _) = listener.accept().expect("a connection");
            let clone = client.try_clone().expect("a clone");
            for stream in [client, server, clone] {
                assert_eq!(stream.nodelay().expect("open"), nodelay);
            }
            let endpoint = Endpoint::builder().config(config).bind(addr);
            let endpoint = endpoint.expect("a free port");
            let stream = endpoint.connect(to).expect("a listener");
            assert_eq!(stream.nodelay().expect("open"), nodelay);
        }
    });
}

#[test]
fn nothing_is_bound_with_a_configuration_that_is_out_of_range() {
    each_ip(|addr| {
        let bad = Config::default().with_max_datagram(100);
        let error = Listener::bind_with(addr, &bad).expect_err("too small");
        assert_eq!(refused_value(&error), "max_datagram");
        let error = Endpoint::builder().config(bad).bind(addr);
        assert_eq!(
            refused_value(&error.expect_err("too small")),
            "max_datagram"
        );
        let none = EndpointConfig::default().with_backlog(0);
        let error = Endpoint::builder().endpoint_config(none).bind(addr);
        assert_eq!(refused_value(&error.expect_err("no room")), "backlog");
    });
}

#[test]
fn row_14_keepalive_finds_a_peer_that_is_gone() {
    each_ip(|addr| {
        let (mut client, mut server, relay) = pair_behind_a_relay(addr);
        // Until the peer is heard it is the handshake that times out.
        server.write_all(b"x").expect("open");
        client.read_exact(&mut [0; 1]).expect("the peer is heard");
        let every = Duration::from_millis(100);
        let keepalive = Keepalive {
            idle: every,
            interval: every,
            count: 3,
        };
        client.set_keepalive(Some(keepalive)).expect("open");
        relay.cut(true);
        let error = client.read(&mut [0; 1]).expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(text_of(&error).contains("keep-alive"), "{error}");
    });
}

#[test]
fn a_cut_that_heals_costs_nothing_but_time() {
    each_ip(|addr| {
        let (mut client, mut server, relay) = pair_behind_a_relay(addr);
        client.write_all(b"before").expect("open");
        server.read_exact(&mut [0; 6]).expect("open");
        relay.cut(true);
        client
            .write_all(&bytes(1, 100_000))
            .expect("the send buffer takes it");
        eventually("something was lost", || relay.counts().1 > 2);
        relay.cut(false);
        drop(client);
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 100_000);
        assert_bytes(1, &got);
    });
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = Config::default();
    assert_eq!(config.connect_timeout(), Duration::from_secs(20));
    assert_eq!(config.user_timeout(), Some(Duration::from_secs(60)));
    assert_eq!(config.idle_timeout(), None);
    assert_eq!(config.keepalive(), None);
    assert!(!config.nodelay());
    assert!(!config.abort_on_unread());
}

#[test]
fn row_22_the_exact_manner_of_the_kernel_is_an_option() {
    each_ip(|addr| {
        let config = Config::default().with_abort_on_unread(true);
        let listener = Listener::bind_with(addr, &config).expect("a free port");
        let mut client =
            Stream::connect(listener.local_addr().expect("bound")).expect("a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        client.write_all(b"never read").expect("open");
        assert_eq!(server.peek(&mut [0; 16]).expect("it arrives"), 10);
        // More than the client's window: some of it cannot have left when the reset goes.
        let written = server
            .write(&bytes(2, 1 << 20))
            .expect("the send buffer takes it");
        drop(server);
        let mut got = Vec::new();
        let error = client.read_to_end(&mut got).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_bytes(2, &got);
        assert!(got.len() < written, "the reset came at once");
    });
}

#[test]
fn delivery_can_be_waited_for() {
    each_ip(|addr| {
        let (mut client, mut server) = pair(addr);
        client.write_all(b"hello").expect("open");
        client
            .wait_delivered(Delivered::Acked, LONG)
            .expect("the peer's host has it");
        let soon = Duration::from_millis(50);
        let error = client
            .wait_delivered(Delivered::Read, soon)
            .expect_err("nobody has read it");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        server.read_exact(&mut [0; 5]).expect("it is there");
        client
            .wait_delivered(Delivered::Read, LONG)
            .expect("the peer's application has it");
        let info = client.info();
        assert_eq!((info.bytes_written, info.bytes_acked), (5, 5));
        assert_eq!(server.info().bytes_received, 5);
        assert!(info.srtt.is_some() && info.state == TcpState::Established);
    });
}

#[test]
fn close_says_what_was_delivered() {
    each_ip(|addr| {
        let (mut client, mut server) = pair(addr);
        client.write_all(b"hello").expect("open");
        let closed = client.close(LONG).expect("all is acknowledged");
        assert_eq!(closed.acked, 5);
        let mut got = String::new();
        server.read_to_string(&mut got).expect("a clean end");
        assert_eq!(got, "hello");
    });
}

#[test]
fn close_gives_up_when_its_time_is_over_and_the_rest_still_arrives() {
    each_ip(|addr| {
        let (client, mut server) = pair(addr);
        client.set_nonblocking(true).expect("open");
        let data = bytes(3, 8 << 20);
        let written = (&client).write(&data).expect("some of it");
        let mut taken = written;
        while let Ok(n) = (&client).write(&data[taken..]) {
            taken += n;
        }
        let soon = Duration::from_millis(50);
        match client
            .close(soon)
            .expect_err("nobody reads, and the window is smaller")
        {
            CloseError::TimedOut { acked, written, .. } => {
                assert!(acked < written && written == taken as u64);
            }
            other => panic!("another error: {other}"),
        }
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), taken);
        assert_bytes(3, &got);
    });
}

#[test]
fn close_reports_a_reset() {
    each_ip(|addr| {
        let (mut client, server) = pair(addr);
        client.write_all(b"unread").expect("open");
        assert_eq!(server.peek(&mut [0; 8]).expect("it arrives"), 6);
        drop(server);
        eventually("the reset arrives", || client.peer_addr().is_err());
        let error = client.close(LONG).expect_err("the peer reset the stream");
        assert_eq!(
            std::io::Error::from(error).kind(),
            ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn shared_buffers_go_in_and_out() {
    each_ip(|addr| {
        let (client, server) = pair(addr);
        let data = Bytes::from(bytes(4, 3_000));
        assert_eq!(client.write_bytes(data.clone()).expect("open"), 3_000);
        let mut got = Vec::new();
        while got.len() < 3_000 {
            let piece = server.read_bytes(1_000).expect("open");
            assert!(!piece.is_empty() && piece.len() <= 1_000);
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, data);
        drop(client);
        assert!(server.read_bytes(1_000).expect("the end").is_empty());
    });
}

#[test]
fn one_endpoint_carries_many_streams_over_one_port() {
    each_ip(|addr| {
        let (here, there) = (
            Endpoint::bind(addr).expect("a port"),
            Endpoint::bind(addr).expect("a port"),
        );
        let listener = there.listen().expect("the first listener");
        let to = there.local_addr().expect("bound");
        let streams: Vec<_> = (0..20)
            .map(|_| here.connect(to).expect("a listener"))
            .collect();
        for (n, stream) in (0_u8..).zip(&streams) {
            assert_eq!(
                stream.local_addr().expect("bound"),
                here.local_addr().expect("bound")
            );
            (&mut &*stream).write_all(&[n]).expect("open");
        }
        let mut seen = Vec::new();
        for _ in &streams {
            let (mut stream, _) = listener.accept().expect("one more");
            let mut byte = [0; 1];
            stream.read_exact(&mut byte).expect("its byte");
            seen.extend(byte);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<u8>>());
        drop(streams);
        assert!(here.wait_idle(LONG), "all are over");
        let report = here.close(LONG);
        assert_eq!(report.aborted, 0);
    });
}

#[test]
fn an_endpoint_has_one_listener() {
    watched(|| {
        let endpoint = Endpoint::bind("127.0.0.1:0").expect("a port");
        let _listener = endpoint.listen().expect("the first");
        assert_eq!(
            endpoint.listen().expect_err("the second").kind(),
            ErrorKind::AddrInUse
        );
    });
}

#[test]
fn row_11_an_endpoint_without_a_listener_refuses() {
    each_ip(|addr| {
        let (here, there) = (
            Endpoint::bind(addr).expect("a port"),
            Endpoint::bind(addr).expect("a port"),
        );
        let error = here
            .connect(there.local_addr().expect("bound"))
            .expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn row_23_two_that_call_each_other_meet_in_one_stream() {
    each_ip(|addr| {
        let (one, two) = (
            Endpoint::bind(addr).expect("a port"),
            Endpoint::bind(addr).expect("a port"),
        );
        let (to_one, to_two) = (
            one.local_addr().expect("bound"),
            two.local_addr().expect("bound"),
        );
        let other = thread::spawn(move || {
            let mut stream = two
                .connect_rendezvous(to_one, 77)
                .expect("the other calls too");
            stream.write_all(b"from two").expect("open");
            let mut got = [0; 8];
            stream.read_exact(&mut got).expect("open");
            assert_eq!(&got, b"from one");
        });
        let mut stream = one
            .connect_rendezvous(to_two, 77)
            .expect("the other calls too");
        stream.write_all(b"from one").expect("open");
        let mut got = [0; 8];
        stream.read_exact(&mut got).expect("open");
        assert_eq!(&got, b"from two");
        other.join().expect("no panic");
    });
}

#[test]
fn row_23_a_rendezvous_needs_a_token() {
    watched(|| {
        let endpoint = Endpoint::bind("127.0.0.1:0").expect("a port");
        let to = "127.0.0.1:9".parse().expect("an address");
        let error = endpoint.connect_rendezvous(to, 0).expect_err("no token");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.source().is_some() || error.to_string().contains("token"),
            "{error}"
        );
    });
}

#[test]
fn drain_waits_for_what_was_written() {
    each_ip(|addr| {
        let (mut client, server) = pair(addr);
        client.write_all(&bytes(5, 50_000)).expect("open");
        drop(client);
        assert!(drain(LONG), "everything is acknowledged");
        assert_eq!(server.info().bytes_received, 50_000);
    });
}

#[test]
fn readers_and_writers_may_run_while_the_stream_is_shut_down_and_dropped() {
    each_ip(|addr| {
        let (client, server) = pair(addr);
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..4)
            .map(|n| {
                let (stream, stop) = (client.try_clone().expect("a clone"), Arc::clone(&stop));
                thread::spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let over = match n % 2 {
                            0 => (&mut &stream).write(&[0; 1_000]).is_err(),
                            _ => matches!((&mut &stream).read(&mut [0; 1_000]), Ok(0) | Err(_)),
                        };
                        if over {
                            return;
                        }
                    }
                })
            })
            .collect();
        let mut got = [0; 5_000];
        (&server).read_exact(&mut got).expect("open");
        server.shutdown(Shutdown::Both).expect("open");
        drop(server);
        // An error if the reset of the unread data is here already.
        let _ = client.shutdown(Shutdown::Both);
        drop(client);
        stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().expect("no panic");
        }
    });
}

/// One after the other, the first address would be waited for until the watchdog barks.
#[test]
fn an_address_that_is_silent_holds_up_no_other() {
    each_ip(|addr| {
        let silent = std::net::UdpSocket::bind(addr).expect("a free port");
        let nobody = silent.local_addr().expect("bound");
        let listener = Listener::bind(addr).expect("a free port");
        let somebody = listener.local_addr().expect("bound");
        let patient = Config::default().with_connect_timeout(Duration::from_secs(600));
        let stream = Stream::connect_with(&[nobody, nobody, somebody][..], &patient);
        assert_eq!(stream.expect("the second").peer_addr().ok(), Some(somebody));
        let builder = aqueduct::Endpoint::builder().config(patient.clone());
        let endpoint = builder.bind(addr).expect("a free port");
        let stream = endpoint.connect(&[nobody, somebody][..]);
        assert_eq!(stream.expect("the second").peer_addr().ok(), Some(somebody));

        // None at all, and none that answers.
        let none = Stream::connect(&[][..]).expect_err("no address");
        assert_eq!(none.kind(), ErrorKind::InvalidInput);
        let hasty = Config::default().with_connect_timeout(Duration::from_millis(300));
        let error = Stream::connect_with(&[nobody, nobody][..], &hasty).expect_err("silence");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
}
