//! Streams that tasks and threads use, one after the other or at the same time.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::thread;

use aqueduct::tokio::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::wait::{assert_bytes, bytes, watched};
use crate::{FLAVORS, in_each_flavor, pair};

#[test]
fn a_stream_for_threads_becomes_one_for_tasks_and_back() {
    in_each_flavor(|| async {
        let listener = aqueduct::Listener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buf = vec![0; 5_000];
            for _ in 0..2 {
                stream.read_exact(&mut buf).unwrap();
                stream.write_all(&buf).unwrap();
            }
        });
        let mut stream = Stream::from_std(aqueduct::Stream::connect(addr).unwrap()).unwrap();
        let mut got = vec![0; 5_000];
        stream.write_all(&bytes(1, 5_000)).await.unwrap();
        stream.read_exact(&mut got).await.unwrap();
        assert_bytes(1, &got);

        let mut stream = stream.into_std().unwrap();
        let empty = stream.read(&mut got).unwrap_err();
        assert_eq!(empty.kind(), std::io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).unwrap();
        stream.write_all(&bytes(2, 5_000)).unwrap();
        stream.read_exact(&mut got).unwrap();
        assert_bytes(2, &got);
        echo.join().unwrap();
    });
}

/// Several threads block on streams of a runtime with one thread, which does not run meanwhile.
#[test]
fn threads_are_served_while_the_runtime_does_not_run() {
    watched(|| {
        let runtime = FLAVORS[0].build();
        let pairs: Vec<_> = runtime.block_on(async {
            let mut pairs = Vec::new();
            for _ in 0..4 {
                let (client, server) = pair().await;
                pairs.push((client.into_std().unwrap(), server.into_std().unwrap()));
            }
            pairs
        });
        let threads: Vec<_> = (0_u64..)
            .zip(pairs)
            .map(|(seed, (mut client, mut server))| {
                client.set_nonblocking(false).unwrap();
                server.set_nonblocking(false).unwrap();
                let writing = thread::spawn(move || {
                    client.write_all(&bytes(seed, 3 << 20)).unwrap();
                });
                let reading = thread::spawn(move || {
                    let mut got = Vec::new();
                    server.read_to_end(&mut got).unwrap();
                    assert_eq!(got.len(), 3 << 20);
                    assert_bytes(seed, &got);
                });
                [writing, reading]
            })
            .collect();
        threads
            .into_iter()
            .flatten()
            .for_each(|thread| thread.join().unwrap());
        drop(runtime);
    });
}

/// A thread reads, and so leads, on the shard that the runtime drives for its tasks, and both go on.
#[test]
fn a_thread_and_tasks_share_a_shard() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        let (one, mut other) = pair().await;
        let mut one = one.into_std().unwrap();
        one.set_nonblocking(false).unwrap();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            for _ in 0..200 {
                let mut buf = [0; 3];
                one.read_exact(&mut buf).unwrap();
                one.write_all(&buf).unwrap();
                tell.send(buf).unwrap();
            }
        });
        for round in 0..200_u8 {
            client.write_all(&[round; 1_000]).await.unwrap();
            other.write_all(&[round; 3]).await.unwrap();
            let mut buf = [0; 1_000];
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 1_000]);
            let mut buf = [0; 3];
            other.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 3]);
            assert_eq!(told.recv().unwrap(), buf);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_listener_for_tasks_becomes_one_for_threads() {
    watched(|| {
        let runtime = FLAVORS[0].build();
        let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        let accepting: Vec<_> = (0..3)
            .map(|_| {
                let listener = listener.try_clone().unwrap();
                thread::spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut got = String::new();
                    stream.read_to_string(&mut got).unwrap();
                    got
                })
            })
            .collect();
        for _ in 0..3 {
            let mut client = aqueduct::Stream::connect(addr).unwrap();
            client.write_all(b"one of three").unwrap();
        }
        for accepted in accepting {
            assert_eq!(accepted.join().unwrap(), "one of three");
        }
    });
}
