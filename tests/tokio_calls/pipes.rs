//! Over pipes in memory, in a runtime whose time stands still until everybody waits: deadlines and bounds, to the millisecond.

use std::sync::atomic::Ordering;
use std::time::Duration;

use aqueduct::msg::tokio::RpcClient;
use aqueduct::msg::{
    CALLS_MAX, CallOptions, ClientConfig, Hello, Json, Mismatch, Postcard, RpcError, ServerConfig,
    code,
};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use crate::bench::{Bench, ECHO, PANIC, STREAM, SUM, WAIT};
use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes};

/// What a pipe holds in each direction.
const PIPE: usize = 64 << 10;

/// Milliseconds since `since`, in the runtime's time.
fn millis_since(since: Instant) -> u128 {
    since.elapsed().as_millis()
}

impl Bench {
    async fn piped(&self) -> RpcClient {
        let (ours, theirs) = duplex(PIPE);
        self.server.serve_io(theirs).unwrap();
        over(ours, Hello::default()).await.unwrap()
    }
}

async fn over(pipe: DuplexStream, hello: Hello) -> Result<RpcClient, RpcError> {
    RpcClient::over_io(pipe, hello, ClientConfig::default()).await
}

#[tokio::test(start_paused = true)]
async fn calls_carry_bytes_and_values_both_ways() {
    let mut bench = Bench::new();
    let client = bench.piped().await;
    assert_eq!(client.peer().node, "b");
    for len in [0, 1, 1_000, 65_536, 65_537, 1 << 20] {
        let body = Bytes::from(bytes(3, len));
        let answer = client.call(ECHO, body.clone()).await.unwrap();
        assert!(answer == body, "{len} bytes");
    }
    let numbers = vec![1_u64, 20, 300];
    let sum: u64 = client.call_value(&Postcard, SUM, &numbers).await.unwrap();
    assert_eq!(sum, 321);
    let value = ("seven".to_owned(), -7);
    let echo: (String, i32) = client.call_value(&Json, ECHO, &value).await.unwrap();
    assert_eq!(echo, value);
    let error = client.call_value::<_, u64>(&Json, SUM, &"no numbers").await;
    assert!(!error.unwrap_err().maybe_executed());
    client.notify(9, "by the way".into()).unwrap();
    assert_eq!(bench.notified.recv().await.unwrap(), "by the way");
    let error = client.call(99, Bytes::new()).await.unwrap_err();
    let is_unknown =
        |error: &RpcError| matches!(error, RpcError::Remote(it) if it.code == code::UNKNOWN_METHOD);
    assert!(is_unknown(&error) && !error.maybe_executed());
    let health = client.health();
    assert!(health.is_open && health.leaves.is_none() && health.calls == 0);
    assert_eq!(
        health.evidence, None,
        "a pipe knows nothing of its other end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_future_is_dropped_is_heard_by_the_handler() {
    let bench = Bench::new();
    let client = bench.piped().await;
    for _ in 0..3 {
        let call = client.call(WAIT, Bytes::new());
        tokio::select! {
            _ = call => panic!("nobody lets it go"),
            () = bench.begun(1) => {}
        }
        assert_eq!(client.calls(), 0, "given up at once");
        bench.cancelled(1).await;
    }
    // A future that was never polled has called nobody.
    drop(client.call(WAIT, Bytes::new()));
    // A call of which nothing had left is taken back whole: here the task that writes has had no turn.
    tokio::select! {
        biased;
        _ = client.call(WAIT, Bytes::new()) => panic!("not so quick"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
    assert_eq!(bench.shared.begun.available_permits(), 0);
    assert_eq!(bench.shared.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_call_on_both_sides_to_the_millisecond() {
    let bench = Bench::new();
    let client = bench.piped().await;
    let began = Instant::now();
    let timeout = Some(Duration::from_millis(250));
    let options = CallOptions {
        timeout,
        ..CallOptions::default()
    };
    let late = client.call_with(WAIT, Bytes::new(), &options).await;
    let maybe_executed = true;
    assert_eq!(late, Err(RpcError::Deadline { maybe_executed }));
    assert_eq!(millis_since(began), 250);
    bench.cancelled(1).await;
    // The usual one.
    let late = client.call(WAIT, Bytes::new()).await;
    assert_eq!(late, Err(RpcError::Deadline { maybe_executed }));
    assert_eq!(millis_since(began), 30_250);
    bench.cancelled(1).await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_given_up_and_so_is_the_wrong_one() {
    let (ours, _silent) = duplex(PIPE);
    let began = Instant::now();
    let error = over(ours, Hello::default()).await.unwrap_err();
    assert!(matches!(error, RpcError::NotSent(_)), "{error}");
    assert_eq!(millis_since(began), 10_000);

    let bench = Bench::new();
    let (ours, theirs) = duplex(PIPE);
    bench.server.serve_io(theirs).unwrap();
    let expect_node = "c".into();
    let wanted = Hello {
        expect_node,
        ..Hello::default()
    };
    let error = over(ours, wanted).await.unwrap_err();
    let is_node = matches!(&error, RpcError::WrongPeer(Mismatch::Node { got, .. }) if got == "b");
    assert!(is_node, "{error}");

    // A client that says nothing: its connection is closed.
    let (mut ours, theirs) = duplex(PIPE);
    bench.server.serve_io(theirs).unwrap();
    let mut said = Vec::new();
    ours.read_to_end(&mut said).await.unwrap();
    assert!(said.windows(4).any(|bytes| bytes == b"AQM1"));
}

#[tokio::test(start_paused = true)]
async fn handlers_and_those_that_wait_for_one_are_bounded() {
    let config = ServerConfig {
        threads: 2,
        waiting: 3,
        ..ServerConfig::default()
    };
    let bench = Bench::with(Hello::default(), config);
    let client = bench.piped().await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(WAIT, Bytes::new()).await })
        })
        .collect();
    let (mut refused, mut answered) = (0, 0);
    bench.begun(2).await;
    for call in calls {
        match call.await.unwrap() {
            Ok(answer) => {
                assert_eq!(answer, "late");
                answered += 1;
            }
            Err(RpcError::Remote(status)) => {
                assert!(status.refused && status.code == code::OVERLOADED);
                refused += 1;
            }
            Err(RpcError::Deadline { .. }) => answered += 1,
            Err(error) => panic!("{error}"),
        }
        bench.shared.let_go.notify_waiters();
    }
    assert_eq!((refused, answered), (5, 5));
    assert_eq!(bench.shared.running_most.load(Ordering::SeqCst), 2);
    // The places are free again.
    assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_most_are_refused_here() {
    let bench = Bench::new();
    let client = bench.piped().await;
    let calls: Vec<_> = (0..CALLS_MAX)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call(WAIT, Bytes::new()).await })
        })
        .collect();
    bench.begun(64).await;
    assert_eq!(client.calls(), CALLS_MAX);
    let error = client.call(ECHO, Bytes::new()).await.unwrap_err();
    assert_eq!(error, RpcError::Overloaded);
    calls.iter().for_each(|call| call.abort());
    for call in calls {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_answers_and_leaves_its_place() {
    let config = ServerConfig {
        threads: 1,
        ..ServerConfig::default()
    };
    let bench = Bench::with(Hello::default(), config);
    let client = bench.piped().await;
    for _ in 0..3 {
        let error = client.call(PANIC, Bytes::new()).await.unwrap_err();
        let is_panic = matches!(&error, RpcError::Remote(it) if it.code == code::PANICKED);
        assert!(is_panic && error.maybe_executed(), "{error}");
    }
    assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn long_bodies_flow_both_ways_at_once_and_hold_up_nobody() {
    const LEN: usize = 8 << 20;
    let bench = Bench::new();
    let client = bench.piped().await;
    let options = CallOptions::default();
    let (mut request, mut answer) = client.call_streaming(STREAM, &options).unwrap();
    let writer = tokio::spawn(async move {
        request.write_all(&bytes(8, LEN)).await.unwrap();
        request.shutdown().await.unwrap();
    });
    // Nobody reads the answer yet: its window fills, and stands.
    for _ in 0..100 {
        let small = client.call(ECHO, "quick".into()).await;
        assert_eq!(small.unwrap(), "quick");
    }
    assert!(!writer.is_finished());
    let mut got = Vec::new();
    answer.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert_eq!(got.len(), LEN);
    assert_bytes(8, &got);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_or_ends_gives_the_call_up() {
    let bench = Bench::new();
    let client = bench.piped().await;
    let options = CallOptions::default();
    // A client that does not go on with its body keeps no handler for longer than thirty seconds.
    let (mut request, mut answer) = client.call_streaming(ECHO, &options).unwrap();
    request.send("the beginning".into()).await.unwrap();
    let began = Instant::now();
    let error = answer.next_piece().await.unwrap_err();
    assert!(matches!(error, RpcError::Remote(_)), "{error}");
    assert_eq!(millis_since(began), 30_000);
    assert!(request.send("more".into()).await.is_err());

    // Nor one that does not read its answer.
    let (mut request, answer) = client.call_streaming(STREAM, &options).unwrap();
    let began = Instant::now();
    let sent = request.write_all(&bytes(1, 4 << 20)).await;
    assert!(sent.is_err() && bench.shared.running.load(Ordering::SeqCst) == 0);
    assert_eq!(millis_since(began), 30_000);
    drop(answer);

    // A writer that is dropped before the end cancels.
    let (request, mut answer) = client.call_streaming(WAIT, &options).unwrap();
    bench.begun(1).await;
    drop(request);
    bench.cancelled(1).await;
    assert!(answer.next_piece().await.unwrap_err().maybe_executed());
    // And so does a reader.
    let (_request, answer) = client.call_streaming(WAIT, &options).unwrap();
    bench.begun(1).await;
    drop(answer);
    bench.cancelled(1).await;
}

/// A peer that takes nothing more: the session ends by its deadline, and its task five seconds later.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_keeps_no_task() {
    let (ours, mut theirs) = duplex(1 << 10);
    let bench = Bench::new();
    bench.server.serve_io(ours).unwrap();
    let began = Instant::now();
    // Requests whose answers nobody reads, behind a HELLO that is right.
    let mut said = hello();
    for id in 0..100_u64 {
        said.extend(request(2 * id + 1, ECHO, &bytes(1, 1_000)));
    }
    theirs.write_all(&said).await.unwrap();
    // A frame that is none: the session ends, with much to say.
    let _ = theirs.write_all(&[0xff; 1 << 16]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.server.connections(), 0);
    assert!(theirs.write_all(&[0; 1 << 16]).await.is_err(), "closed");
    assert!(millis_since(began) >= 60_000);
}

fn frame(kind: u8, method: u16, id: u64, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let head = [
        &[kind, 0][..],
        &method.to_be_bytes(),
        &len.to_be_bytes(),
        &id.to_be_bytes(),
    ];
    [&head.concat(), payload].concat()
}

fn hello() -> Vec<u8> {
    let mut payload = b"AQM1\0\x01\0\0\0\0".to_vec();
    payload.extend([0; 16 + 8]);
    payload.extend((1_u32 << 20).to_be_bytes());
    payload.extend([0; 2 + 3]);
    frame(0, 0, 0, &payload)
}

fn request(id: u64, method: u16, body: &[u8]) -> Vec<u8> {
    frame(1, method, id, body)
}

/// Whatever comes in the place of frames, a server closes, and serves the next one.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_frames_end_their_own_connection_alone() {
    let bench = Bench::new();
    for seed in 0..200 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let (ours, mut theirs) = duplex(PIPE);
        bench.server.serve_io(ours).unwrap();
        let mut said = hello();
        if random.below(4) == 0 {
            said.clear();
        }
        for _ in 0..random.below(200) {
            let kind = u8::try_from(random.below(14)).unwrap();
            let (method, id) = (random.below(7), random.below(40));
            let body = bytes(seed, random.below(400));
            let (method, id) = (u16::try_from(method).unwrap(), u64::try_from(id).unwrap());
            said.extend(frame(kind, method, id, &body));
        }
        let _ = theirs.write_all(&said).await;
        let _ = theirs.shutdown().await;
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.unwrap();
    }
    let client = bench.piped().await;
    assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
    assert_eq!(bench.server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_answers_what_it_took_and_takes_no_more() {
    let bench = Bench::new();
    let client = bench.piped().await;
    let theirs = client.clone();
    let call = tokio::spawn(async move { theirs.call(WAIT, Bytes::new()).await });
    bench.begun(1).await;
    bench.server.go_away("maintenance");
    let refused = loop {
        // Until the frame has come, calls are refused over there.
        match client.call(ECHO, Bytes::new()).await {
            Err(RpcError::Remote(status)) => assert_eq!(status.code, code::GOING_AWAY),
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(refused, RpcError::Closed("maintenance".into()));
    assert_eq!(client.health().leaves.as_deref(), Some("maintenance"));
    assert!(!client.is_open());
    bench.shared.let_go.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "late");
    // The server ends: what waits fails.
    drop(bench);
    let error = client.call(ECHO, Bytes::new()).await.unwrap_err();
    assert!(!error.maybe_executed());
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_most_are_closed() {
    let config = ServerConfig {
        connections: 2,
        ..ServerConfig::default()
    };
    let bench = Bench::with(Hello::default(), config);
    let (first, second) = (bench.piped().await, bench.piped().await);
    let (mut ours, theirs) = duplex(PIPE);
    assert!(bench.server.serve_io(theirs).is_err());
    assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 0);
    drop(first);
    while bench.server.connections() > 1 {
        tokio::task::yield_now().await;
    }
    // Its task ends with it.
    let third = loop {
        let (ours, theirs) = duplex(PIPE);
        if bench.server.serve_io(theirs).is_ok() {
            break over(ours, Hello::default()).await.unwrap();
        }
        tokio::task::yield_now().await;
    };
    for client in [second, third] {
        assert_eq!(client.call(ECHO, "x".into()).await.unwrap(), "x");
    }
}
