//! Readiness, halves, vectors and ends: what tokio's own tests leave open.

use std::io::{ErrorKind, IoSlice};

use aqueduct::tokio::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};

use crate::{in_each_flavor, pair};

#[test]
fn the_end_of_the_stream_shows_as_closed_for_reading() {
    in_each_flavor(|| async {
        let (mut client, server) = pair().await;
        client.write_all(b"last words").await.unwrap();
        client.shutdown().await.unwrap();
        // The end may come behind the data.
        while !server
            .ready(Interest::READABLE)
            .await
            .unwrap()
            .is_read_closed()
        {
            tokio::task::yield_now().await;
        }
        let mut buf = [0; 16];
        assert_eq!(server.try_read(&mut buf).unwrap(), 10);
        assert_eq!(server.try_read(&mut buf).unwrap(), 0);
        let ready = server.ready(Interest::WRITABLE).await.unwrap();
        assert!(ready.is_writable() && !ready.is_write_closed());
    });
}

#[test]
fn a_reset_shows_in_every_direction_and_is_reported_once() {
    in_each_flavor(|| async {
        let (mut client, server) = pair().await;
        server.abort(300);
        let all = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
        while !client.ready(all).await.unwrap().is_error() {
            tokio::task::yield_now().await;
        }
        let ready = client.ready(all).await.unwrap();
        assert!(ready.is_read_closed() && ready.is_write_closed());
        let error = client.read(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.info().reset_code, Some(300));
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        let error = client.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        client.shutdown().await.unwrap();
    });
}

#[test]
fn many_tasks_wait_for_one_stream() {
    in_each_flavor(|| async {
        let (mut client, server) = pair().await;
        let server = std::sync::Arc::new(server);
        // An accepted stream is worth one try.
        server.try_read(&mut [0; 4]).unwrap_err();
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let server = server.clone();
                tokio::spawn(async move { server.readable().await })
            })
            .collect();
        tokio::task::yield_now().await;
        client.write_all(b"x").await.unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn owned_halves_work_in_different_tasks_and_end_apart() {
    in_each_flavor(|| async {
        let (client, mut server) = pair().await;
        let (mut from, mut to) = client.into_split();
        let writing = tokio::spawn(async move {
            to.write_all(b"question").await.unwrap();
        });
        let mut got = String::new();
        server.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "question");
        writing.await.unwrap();
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut got = String::new();
        from.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "answer");
    });
}

#[test]
fn a_forgotten_write_half_ends_nothing() {
    in_each_flavor(|| async {
        let (client, mut server) = pair().await;
        let (from, to) = client.into_split();
        to.forget();
        // The reading half is all that is left: nothing has ended.
        from.as_ref().try_write(b"still").unwrap();
        let mut buf = [0; 5];
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"still");
        drop(from);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn several_buffers_leave_in_one_write() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        assert!(Stream::is_write_vectored(&client));
        let parts = [
            IoSlice::new(b"over "),
            IoSlice::new(b""),
            IoSlice::new(b"the valley"),
        ];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 15);
        let mut got = vec![0; 15];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(got, b"over the valley");
    });
}

#[test]
fn a_try_finds_what_the_socket_holds_without_the_runtime() {
    // With one thread, nothing but the tries themselves can receive.
    crate::support::wait::watched(|| {
        let runtime = crate::FLAVORS[0].build();
        let (client, server) = runtime.block_on(pair());
        client.try_write(b"in passing").unwrap();
        let mut buf = [0; 16];
        crate::support::wait::eventually("ten bytes", || {
            server.try_read(&mut buf).is_ok_and(|len| len == 10)
        });
        assert_eq!(&buf[..10], b"in passing");
        drop((client, server, runtime));
    });
}
