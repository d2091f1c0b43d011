//! Runtimes come and go; streams stay.

use std::future::Future;
use std::io::{Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use aqueduct::tokio::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::support::wait::{assert_bytes, bytes, watched};
use crate::{FLAVORS, pair};

#[test]
fn streams_outlive_the_runtime_that_they_were_opened_in() {
    for (first, second) in [(0, 1), (1, 0), (0, 0)] {
        watched(move || {
            let runtime = FLAVORS[first].build();
            let (mut client, mut server) = runtime.block_on(pair());
            runtime
                .block_on(client.write_all(&bytes(1, 100_000)))
                .unwrap();
            drop(runtime);

            let runtime = FLAVORS[second].build();
            runtime.block_on(async {
                let mut got = vec![0; 100_000];
                server.read_exact(&mut got).await.unwrap();
                assert_bytes(1, &got);
                // More than the buffers hold, so that somebody has to receive acknowledgements.
                let writing = tokio::spawn(async move {
                    server.write_all(&bytes(2, 6 << 20)).await.unwrap();
                });
                let mut got = Vec::new();
                client.read_to_end(&mut got).await.unwrap();
                assert_eq!(got.len(), 6 << 20);
                assert_bytes(2, &got);
                writing.await.unwrap();
            });
        });
    }
}

#[test]
fn a_task_that_waits_is_served_when_the_streams_runtime_goes() {
    for flavor in FLAVORS {
        watched(move || {
            let first = flavor.build();
            let (mut client, mut server) = first.block_on(pair());
            let second = flavor.build();
            let (begun, begins) = oneshot::channel();
            let waiting = thread::spawn(move || {
                second.block_on(async move {
                    let mut buf = [0; 4];
                    let reading = server.read_exact(&mut buf);
                    begun.send(()).unwrap();
                    reading.await.unwrap();
                    server.write_all(&buf).await.unwrap();
                    buf
                })
            });
            first.block_on(begins).unwrap();
            drop(first);
            let third = flavor.build();
            third.block_on(async {
                client.write_all(b"late").await.unwrap();
                let mut buf = [0; 4];
                client.read_exact(&mut buf).await.unwrap();
                assert_eq!(&buf, b"late");
            });
            assert_eq!(&waiting.join().unwrap(), b"late");
        });
    }
}

#[test]
fn what_was_written_is_delivered_though_stream_and_runtime_have_gone() {
    for flavor in FLAVORS {
        watched(move || {
            let listener = aqueduct::Listener::bind("127.0.0.1:0").unwrap();
            let addr = listener.local_addr().unwrap();
            let runtime = flavor.build();
            runtime.block_on(async {
                let mut stream = Stream::connect(addr).await.unwrap();
                stream.write_all(&bytes(3, 700_000)).await.unwrap();
            });
            drop(runtime);
            let (mut server, _) = listener.accept().unwrap();
            let mut got = Vec::new();
            server.read_to_end(&mut got).unwrap();
            assert_eq!(got.len(), 700_000);
            assert_bytes(3, &got);
        });
    }
}

#[test]
fn a_listener_outlives_its_runtime() {
    for flavor in FLAVORS {
        watched(move || {
            let runtime = flavor.build();
            let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap();
            drop(runtime);
            let addr = listener.local_addr().unwrap();
            let client = thread::spawn(move || {
                let mut client = aqueduct::Stream::connect(addr).unwrap();
                client.write_all(b"anybody there?").unwrap();
            });
            flavor.build().block_on(async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut got = String::new();
                stream.read_to_string(&mut got).await.unwrap();
                assert_eq!(got, "anybody there?");
            });
            client.join().unwrap();
        });
    }
}

#[test]
fn hundreds_of_runtimes_one_after_another_leave_nothing_that_hangs() {
    watched(|| {
        for round in 0..200_usize {
            let runtime = FLAVORS[round % 2].build();
            runtime.block_on(async {
                let (mut client, mut server) = pair().await;
                client.write_all(b"ping").await.unwrap();
                server.read_exact(&mut [0; 4]).await.unwrap();
            });
        }
    });
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor there is.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn other_executors_do_as_well() {
    watched(|| {
        let listener = block_on(Listener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            block_on(async {
                let mut client = Stream::connect(addr).await.unwrap();
                client.write_all(&bytes(4, 3 << 20)).await.unwrap();
                client.shutdown().await.unwrap();
                client.read_to_end(&mut Vec::new()).await.unwrap()
            })
        });
        let mut got = Vec::new();
        let (mut server, _) = block_on(listener.accept()).unwrap();
        block_on(server.read_to_end(&mut got)).unwrap();
        assert_bytes(4, &got);
        block_on(server.write_all(&got)).unwrap();
        drop(server);
        assert_eq!(client.join().unwrap(), 3 << 20);
    });
}
