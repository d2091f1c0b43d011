//! Calls over real sockets and threads (docs/LAYERS.md).

mod bench;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aqueduct::msg::{
    BodyReader, CallCx, CallOptions, Class, ClientConfig, Ext, Hello, Json, Mismatch, Pool,
    Postcard, Reply, Role, RpcClient, RpcError, RpcServer, ServerConfig, Service, Session, Status,
    code,
};
use aqueduct::time::Time;
use aqueduct::{Endpoint, Listener, Stream};
use bytes::Bytes;

use crate::alone;
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

use bench::{Bench, ECHO, PANIC, STREAM, SUM, WAIT, connect, serve};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn calls_carry_bytes_and_values_both_ways() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        assert_eq!(client.peer().node, "b");
        for len in [0, 1, 1_000, 65_536, 65_537, 1 << 20] {
            let body = Bytes::from(bytes(3, len));
            assert_eq!(
                client.call(ECHO, body.clone()).expect("an answer"),
                body,
                "{len} bytes"
            );
        }
        let sum: u64 = client
            .call_value(&Postcard, SUM, &vec![1_u64, 20, 300])
            .expect("an answer");
        assert_eq!(sum, 321);
        let value: (String, i32) = client
            .call_value(&Json, ECHO, &("seven", -7))
            .expect("an answer");
        assert_eq!(value, ("seven".to_owned(), -7));
        let error = client
            .call_value::<_, u64>(&Json, SUM, &"no numbers")
            .expect_err("malformed");
        assert!(!error.maybe_executed(), "{error}");
        client.notify(9, "by the way".into()).expect("open");
        assert_eq!(
            bench.notified.recv_timeout(LONG).expect("it came"),
            "by the way"
        );
        let error = client.call(99, Bytes::new()).expect_err("no such method");
        assert!(
            matches!(&error, RpcError::Remote(status) if status.code == code::UNKNOWN_METHOD && !error.maybe_executed())
        );
    });
}

#[test]
fn callbacks_get_the_answers_of_many_calls_at_once() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        let (say, answers) = mpsc::channel();
        for number in 0..200_u32 {
            let say = say.clone();
            let body = Bytes::copy_from_slice(&number.to_be_bytes());
            client.call_then(ECHO, body.clone(), &CallOptions::default(), move |answer| {
                say.send((body, answer)).expect("the test waits");
            });
        }
        for _ in 0..200 {
            let (sent, answer) = answers.recv_timeout(LONG).expect("each call has an answer");
            assert_eq!(answer.expect("no error"), sent);
        }
    });
}

#[test]
fn long_bodies_flow_both_ways_at_once() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        let (mut request, mut answer) = client
            .call_streaming(STREAM, &CallOptions::default())
            .expect("open");
        let len = 20 << 20;
        let writer = thread::spawn(move || {
            request
                .write_all(&bytes(8, len))
                .expect("the handler reads");
            request.finish();
        });
        let mut got = Vec::new();
        answer.read_to_end(&mut got).expect("a clean end");
        writer.join().expect("no panic");
        assert_eq!(got.len(), len);
        assert_bytes(8, &got);
    });
}

#[test]
fn m2_a_small_call_of_another_class_passes_one_that_stands_still() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let endpoint = Endpoint::bind(addr).expect("a free port");
        let to = bench.addr;
        let pool = Pool::new(
            move |_| endpoint.connect(to),
            Hello::default(),
            ClientConfig::default(),
            1,
        );
        // Its handler reads nothing: the body fills its window and stands.
        let bulk = pool.client(Class::BULK).expect("open");
        let (mut request, _answer) = bulk
            .call_streaming(WAIT, &CallOptions::default())
            .expect("open");
        request
            .write_all(&bytes(1, 1 << 20))
            .expect("the window's worth");
        for _ in 0..100 {
            let answer = pool.call(
                Class::CONTROL,
                ECHO,
                "quick".into(),
                &CallOptions::default(),
            );
            assert_eq!(answer.expect("an answer"), "quick");
        }
        // And, as bodies have windows of their own, on the same connection too.
        assert_eq!(bulk.call(ECHO, "quick".into()).expect("an answer"), "quick");
        assert_eq!(pool.connections(), 2);
        bench.let_go.send(()).expect("the handler waits");
    });
}

#[test]
fn m3_a_caller_that_goes_away_is_heard_by_the_handler() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        let (request, answer) = client
            .call_streaming(WAIT, &CallOptions::default())
            .expect("open");
        request.finish();
        assert_eq!(client.calls(), 1);
        // What was called before another call that is answered has left.
        assert_eq!(client.call(ECHO, "x".into()).expect("an answer"), "x");
        drop(answer);
        eventually("the handler hears it", || {
            bench.cancelled.load(Ordering::SeqCst) == 1
        });

        // A caller whose time is over, and one whose connection ends.
        let maybe_executed = true;
        let sent_and_late = RpcError::Deadline { maybe_executed };
        let mut timeout = Duration::from_millis(50);
        loop {
            let options = CallOptions {
                timeout: Some(timeout),
                ..CallOptions::default()
            };
            let late = client.call_with(WAIT, Bytes::new(), &options);
            let error = late.expect_err("no answer in time");
            if error.maybe_executed() {
                assert_eq!(error, sent_and_late);
                break;
            }
            // So busy a machine that not even the request has left.
            timeout *= 2;
        }
        eventually("the handler hears it", || {
            bench.cancelled.load(Ordering::SeqCst) == 2
        });
        let (say, answer) = mpsc::channel();
        client.call_then(WAIT, Bytes::new(), &CallOptions::default(), move |it| {
            drop(say.send(it))
        });
        assert_eq!(
            client
                .call(ECHO, "x".into())
                .expect("the call before has arrived"),
            "x"
        );
        drop(client);
        let error = answer
            .recv_timeout(LONG)
            .expect("told")
            .expect_err("closed");
        assert!(error.maybe_executed(), "{error}");
        eventually("the handler hears it", || {
            bench.cancelled.load(Ordering::SeqCst) == 3
        });
    });
}

#[test]
fn a_handler_that_panics_answers_and_serves_on() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        let error = client.call(PANIC, Bytes::new()).expect_err("it panicked");
        assert!(matches!(&error, RpcError::Remote(status) if status.code == code::PANICKED));
        assert!(error.maybe_executed());
        assert_eq!(client.call(ECHO, "on".into()).expect("an answer"), "on");
    });
}

#[test]
fn m5_the_wrong_peer_is_refused() {
    let _alone = alone();
    each_ip(|addr| {
        let hello = Hello {
            cluster: 7,
            node: "b".into(),
            wire: 2,
            ..Hello::default()
        };
        let bench = Bench::with(addr, hello.clone());
        let connect = |hello: Hello| connect(bench.addr, hello);
        let right = Hello {
            node: "a".into(),
            expect_node: "b".into(),
            ..hello
        };
        assert_eq!(
            connect(right.clone())
                .expect("the right one")
                .call(ECHO, "x".into())
                .expect("an answer"),
            "x"
        );
        let error = connect(Hello {
            expect_node: "c".into(),
            ..right.clone()
        })
        .expect_err("another node");
        assert!(
            matches!(error, RpcError::WrongPeer(Mismatch::Node { .. })),
            "{error}"
        );
        let error = connect(Hello {
            cluster: 8,
            ..right.clone()
        })
        .expect_err("another cluster");
        assert!(
            matches!(error, RpcError::WrongPeer(Mismatch::Cluster { .. })),
            "{error}"
        );
        let error = connect(Hello { wire: 3, ..right }).expect_err("another version");
        assert!(
            matches!(error, RpcError::WrongPeer(Mismatch::Wire { .. })),
            "{error}"
        );
    });
}

#[test]
fn who_connects_and_says_nothing_is_not_waited_for() {
    let _alone = alone();
    each_ip(|addr| {
        let config = ServerConfig {
            hello_timeout: Duration::from_millis(50),
            ..ServerConfig::default()
        };
        let server = RpcServer::new(Hello::default(), config, |_: &CallCx, body: Bytes| Ok(body));
        let listener = Listener::bind(addr).expect("a free port");
        let mut silent =
            Stream::connect(listener.local_addr().expect("bound")).expect("it listens");
        server
            .serve_stream(listener.accept().expect("it came").0)
            .expect("threads");
        let mut said = Vec::new();
        // The server greets, waits, and closes.
        let _ = silent.read_to_end(&mut said);
        assert!(said.len() > 16);
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn a_server_that_goes_away_answers_what_it_took_and_no_more() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let client = bench.client();
        let (say, answer) = mpsc::channel();
        client.call_then(WAIT, Bytes::new(), &CallOptions::default(), move |it| {
            drop(say.send(it))
        });
        assert_eq!(
            client
                .call(ECHO, "x".into())
                .expect("the call before has arrived"),
            "x"
        );
        bench.server.go_away("maintenance");
        eventually("the client hears it", || {
            client
                .call(ECHO, Bytes::new())
                .is_err_and(|error| !error.maybe_executed())
        });
        bench.let_go.send(()).expect("the handler waits");
        assert_eq!(
            answer.recv_timeout(LONG).expect("told").expect("answered"),
            "late"
        );
    });
}

/// A client that begins a body and says no more, and one that takes no answer: both would keep the only thread.
#[test]
fn who_stands_still_does_not_keep_the_thread() {
    let _alone = alone();
    each_ip(|addr| {
        let config = ServerConfig {
            threads: 1,
            body_timeout: Duration::from_millis(50),
            ..ServerConfig::default()
        };
        let server = Arc::new(RpcServer::with_service(Hello::default(), config, Copies));
        let addr = serve(addr, &server);
        let client = connect(addr, Hello::default()).expect("open");
        let streaming = || client.call_streaming(STREAM, &CallOptions::default());
        let (mut silent, unheard) = streaming().expect("open");
        silent.write_all(b"once upon").expect("room");
        assert_eq!(client.call(ECHO, "x".into()).expect("an answer"), "x");
        drop((silent, unheard));

        // More than its window, and nobody reads it.
        let (request, unread) = client
            .call_streaming(ENDLESS, &CallOptions::default())
            .expect("open");
        request.finish();
        assert_eq!(client.call(ECHO, "x".into()).expect("an answer"), "x");
        drop(unread);
    });
}

const ENDLESS: u16 = 6;

/// Gives bodies back, or zeros without end.
struct Copies;

impl Service for Copies {
    fn call(&self, cx: &CallCx, body: BodyReader) -> Result<Reply, Status> {
        match cx.method {
            ENDLESS => Ok(Reply::Stream(Box::new(std::io::repeat(0)))),
            STREAM => Ok(Reply::Stream(Box::new(body))),
            _ => body
                .read_whole(1 << 20)
                .map(Reply::Whole)
                .map_err(|error| Status::new(400, error.to_string())),
        }
    }
}

#[test]
fn a_connection_too_many_is_closed_and_the_others_are_served() {
    let _alone = alone();
    each_ip(|addr| {
        let config = ServerConfig {
            connections: 1,
            ..ServerConfig::default()
        };
        let echo = |_: &CallCx, body: Bytes| Ok(body);
        let server = Arc::new(RpcServer::new(Hello::default(), config, echo));
        let addr = serve(addr, &server);
        let connect = || connect(addr, Hello::default());
        let first = connect().expect("there is room");
        let error = connect().expect_err("one too many");
        assert!(!error.maybe_executed(), "{error}");
        assert_eq!(first.call(ECHO, "x".into()).expect("an answer"), "x");
        drop(first);
        eventually("there is room again", || connect().is_ok());
    });
}

#[test]
fn what_is_too_long_is_refused() {
    let _alone = alone();
    each_ip(|addr| {
        let config = ServerConfig {
            request_max: 100_000,
            ..ServerConfig::default()
        };
        let echo = |_: &CallCx, body: Bytes| Ok([body.clone(), body].concat().into());
        let server = Arc::new(RpcServer::new(Hello::default(), config, echo));
        let addr = serve(addr, &server);
        let config = ClientConfig {
            answer_max: 150_000,
            ..ClientConfig::default()
        };
        let stream = Stream::connect(addr).expect("a listener");
        let client = RpcClient::over(stream, Hello::default(), config).expect("open");
        let call = |len: usize| client.call(ECHO, bytes(5, len).into());
        assert_eq!(call(75_000).expect("both fit").len(), 150_000);
        let error = call(100_001).expect_err("the request");
        assert!(
            matches!(&error, RpcError::Remote(status) if status.code == code::TOO_LARGE),
            "{error}"
        );
        assert!(!error.maybe_executed());
        let error = call(75_001).expect_err("the answer");
        assert!(
            matches!(error, RpcError::TooLarge { max: 150_000, .. }),
            "{error}"
        );
        assert!(error.maybe_executed());
    });
}

/// A caller that is silent from then on: no CANCEL comes, and nothing else wakes anybody.
#[test]
fn a_handler_hears_of_a_deadline_from_nobody_else() {
    let _alone = alone();
    each_ip(|addr| {
        let bench = Bench::start(addr);
        let mut stream = Stream::connect(bench.addr).expect("a listener");
        let mut session = Session::new(Role::Connector, Hello::default());
        let mut buffer = [0; 4_096];
        while !session.is_open() {
            say(&mut session, &mut stream);
            let len = stream.read(&mut buffer).expect("their HELLO");
            session.handle_bytes(Time::ZERO, &buffer[..len]);
        }
        let patience = Some(Duration::from_millis(50));
        session
            .call(Time::ZERO, WAIT, Ext::default(), Bytes::new(), patience)
            .expect("open");
        say(&mut session, &mut stream);
        eventually("the handler hears that nobody waits", || {
            bench.cancelled.load(Ordering::SeqCst) == 1
        });
    });
}

fn say(session: &mut Session, stream: &mut Stream) {
    while let Some(frame) = session.poll_output() {
        stream.write_all(&frame).expect("open");
    }
}
