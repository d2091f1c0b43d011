//! Over streams of this crate, between tasks and between tasks and threads.

use std::net::SocketAddr;
use std::thread;

use aqueduct::Listener as BlockingListener;
use aqueduct::msg::tokio::{Pool, RpcClient};
use aqueduct::msg::{
    self, CallCx, CallOptions, Class, ClientConfig, Hello, RpcError, RpcServer, ServerConfig,
};
use aqueduct::tokio::{Endpoint, Listener};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

use crate::bench::{Bench, ECHO, STREAM, WAIT};
use crate::support::wait::{assert_bytes, bytes, watched};

/// A server that serves in this runtime, and where.
async fn serve() -> (Bench, SocketAddr) {
    let bench = Bench::new();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = bench.server.clone();
    tokio::spawn(async move { server.serve(&listener).await });
    (bench, addr)
}

async fn client(addr: SocketAddr) -> RpcClient {
    let client = RpcClient::connect(addr, Hello::default(), ClientConfig::default()).await;
    client.unwrap()
}

pub(crate) fn in_a_runtime(case: impl AsyncFnOnce() + Send + 'static) {
    watched(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(case());
    });
}

#[test]
fn two_hundred_calls_at_once_over_one_stream_and_their_bytes() {
    in_a_runtime(async || {
        let (_bench, addr) = serve().await;
        let client = client(addr).await;
        let calls: Vec<_> = (0..200_u64)
            .map(|seed| {
                let client = client.clone();
                tokio::spawn(async move {
                    let len = usize::try_from(seed * 997 % 90_000).unwrap();
                    let answer = client.call(ECHO, bytes(seed, len).into()).await.unwrap();
                    assert_eq!(answer.len(), len);
                    assert_bytes(seed, &answer);
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        let evidence = client.health().evidence.unwrap();
        assert!(evidence.read > 0 && evidence.failure.is_none());
    });
}

#[test]
fn a_long_body_flows_through_a_handler() {
    in_a_runtime(async || {
        const LEN: usize = 12 << 20;
        let (_bench, addr) = serve().await;
        let client = client(addr).await;
        let options = CallOptions::default();
        let (mut request, mut answer) = client.call_streaming(STREAM, &options).unwrap();
        let writer = tokio::spawn(async move {
            request.write_all(&bytes(8, LEN)).await.unwrap();
            request.finish();
        });
        let mut got = Vec::new();
        answer.read_to_end(&mut got).await.unwrap();
        writer.await.unwrap();
        assert_eq!(got.len(), LEN);
        assert_bytes(8, &got);
    });
}

#[test]
fn a_pool_opens_one_connection_for_each_class_over_one_socket() {
    in_a_runtime(async || {
        let (bench, addr) = serve().await;
        let endpoint = Endpoint::bind("127.0.0.1:0").await.unwrap();
        let connect = move |_| {
            let endpoint = endpoint.clone();
            async move { endpoint.connect(addr).await }
        };
        let pool = Pool::new(connect, Hello::default(), ClientConfig::default(), 1);
        // Its handler reads nothing: the body fills its window and stands.
        let bulk = pool.client(Class::BULK).await.unwrap();
        let options = CallOptions::default();
        let (mut request, _answer) = bulk.call_streaming(WAIT, &options).unwrap();
        request.write_all(&bytes(1, 1 << 20)).await.unwrap();
        for _ in 0..100 {
            let answer = pool.call(Class::CONTROL, ECHO, "quick".into(), &options);
            assert_eq!(answer.await.unwrap(), "quick");
        }
        assert_eq!(bulk.call(ECHO, "quick".into()).await.unwrap(), "quick");
        assert_eq!(pool.connections(), 2);
        bench.shared.let_go.notify_one();
    });
}

#[test]
fn a_client_that_goes_is_heard_by_the_handler_and_a_server_that_goes_by_the_client() {
    in_a_runtime(async || {
        let (bench, addr) = serve().await;
        let first = client(addr).await;
        let theirs = first.clone();
        let call = tokio::spawn(async move { theirs.call(WAIT, Bytes::new()).await });
        bench.begun(1).await;
        call.abort();
        bench.cancelled(1).await;
        // The whole connection goes.
        let options = CallOptions::default();
        let (_request, answer) = first.call_streaming(WAIT, &options).unwrap();
        bench.begun(1).await;
        drop(first);
        bench.cancelled(1).await;
        assert!(answer.read_whole(1).await.unwrap_err().maybe_executed());

        let second = client(addr).await;
        let theirs = second.clone();
        let call = tokio::spawn(async move { theirs.call(WAIT, Bytes::new()).await });
        bench.begun(1).await;
        bench.server.go_away("it ends");
        drop(bench.server);
        // The listener's task holds the server too; the call goes on until it is let go.
        bench.shared.let_go.notify_one();
        assert_eq!(call.await.unwrap().unwrap(), "late");
    });
}

#[test]
fn calls_fail_with_the_runtime_that_carries_them() {
    watched(|| {
        let here = Builder::new_current_thread().enable_all().build().unwrap();
        let mut there = Builder::new_multi_thread();
        let there = there.worker_threads(1).enable_all().build().unwrap();
        here.block_on(async {
            let (bench, addr) = serve().await;
            let client = there.spawn(client(addr)).await.unwrap();
            let theirs = client.clone();
            let call = tokio::spawn(async move { theirs.call(WAIT, Bytes::new()).await });
            bench.begun(1).await;
            there.shutdown_background();
            let error = call.await.unwrap().unwrap_err();
            assert!(matches!(error, RpcError::Unknown(_)), "{error}");
            assert!(!client.is_open() && client.health().evidence.is_none());
            let error = client.call(ECHO, Bytes::new()).await.unwrap_err();
            assert!(!error.maybe_executed());
            // The peer hears it, too: the stream was closed.
            bench.cancelled(1).await;
        });
    });
}

/// The same frames: tasks call threads, and threads call tasks.
#[test]
fn tasks_and_threads_talk_to_each_other() {
    in_a_runtime(async || {
        let shout = |_: &CallCx, body: Bytes| Ok(body.to_ascii_uppercase().into());
        let server = RpcServer::new(Hello::default(), ServerConfig::default(), shout);
        let listener = BlockingListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || server.serve(&listener));
        let ours = client(addr).await;
        assert_eq!(ours.call(1, "hello".into()).await.unwrap(), "HELLO");

        let (_bench, addr) = serve().await;
        let theirs = tokio::task::spawn_blocking(move || {
            let stream = aqueduct::Stream::connect(addr).unwrap();
            let client = msg::RpcClient::over(stream, Hello::default(), ClientConfig::default());
            client
                .unwrap()
                .call(ECHO, bytes(5, 300_000).into())
                .unwrap()
        });
        let answer = theirs.await.unwrap();
        assert_eq!(answer.len(), 300_000);
        assert_bytes(5, &answer);
    });
}
