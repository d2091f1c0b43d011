//! Ten thousand connections at once in one runtime, and no thread but the runtime's.
//!
//! A binary of its own: it counts what the process holds.
#![cfg(feature = "tokio")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;

use aqueduct::tokio::{Endpoint, Listener, Stream};
use support::memory::{growth_kib, held};
use support::wait::{assert_bytes, bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections that are open at the same time.
const CROWD: usize = 10_000;
/// Handshakes under way at a time, fewer than may wait for `accept`.
const OPENING: usize = 200;
/// Echoes of each connection, all of them at the same time as the others'.
const ROUNDS: u64 = 3;
/// Bytes of a message.
const MESSAGE: usize = 300;
/// Resident memory for each connection, both of its ends and their tasks: a bound, more than twice what is measured (22).
const KIB_EACH_MAX: u64 = 48;

async fn serve(listener: Listener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
    }
}

async fn echo(stream: &mut Stream, seed: u64) {
    for round in 0..ROUNDS {
        let sent = bytes(seed * ROUNDS + round, MESSAGE);
        stream.write_all(&sent).await.unwrap();
        let mut got = vec![0; MESSAGE];
        stream.read_exact(&mut got).await.unwrap();
        assert_bytes(seed * ROUNDS + round, &got);
    }
}

async fn crowd() {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener));
    // One UDP socket for all clients: ten thousand would be more descriptors than some systems grant.
    let endpoint = Endpoint::bind("127.0.0.1:0").await.unwrap();
    let before = held();

    let opening = Arc::new(Semaphore::new(OPENING));
    let mut connecting = JoinSet::new();
    for _ in 0..CROWD {
        let (endpoint, opening) = (endpoint.clone(), opening.clone());
        connecting.spawn(async move {
            let _turn = opening.acquire().await.unwrap();
            endpoint.connect(server).await.unwrap()
        });
    }
    let streams = connecting.join_all().await;
    assert_eq!(streams.len(), CROWD);

    let mut echoing = JoinSet::new();
    for (seed, mut stream) in (0..).zip(streams) {
        echoing.spawn(async move {
            echo(&mut stream, seed).await;
            stream
        });
    }
    let streams = echoing.join_all().await;
    let after = held();
    let each = growth_kib(before) / CROWD as u64;
    println!(
        "{CROWD} connections, {ROUNDS} echoes of {MESSAGE} bytes each: {each} KiB for each, both ends"
    );
    assert!(each <= KIB_EACH_MAX, "{each} KiB for each connection");
    if let Some((before, after)) = before.zip(after) {
        assert!(after.descriptors <= before.descriptors + 8, "{after:?}");
        let threads = after.threads;
        assert!(threads <= before.threads, "a thread was started: {threads}");
    }
    drop(streams);
    serving.abort();
}

#[test]
fn ten_thousand_connections_echo_in_one_runtime() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(crowd());
}
