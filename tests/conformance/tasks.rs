//! The eleven cases over the face for tasks, in a runtime of one thread and in one of several.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use aqueduct::tokio::{Listener, Stream};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes, watched};
use crate::{BASIC, RACERS, ROUNDS, TRIES, Tally};

const SHORT: Duration = Duration::from_millis(1);

#[track_caller]
fn in_each_flavor<F: Future<Output = ()>>(case: impl Fn() -> F + Clone + Send + 'static) {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let case = case.clone();
        watched(move || {
            let runtime = builder.worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(case());
        });
    }
}

async fn pair() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let client = Stream::connect(listener.local_addr().unwrap()).await;
    (client.unwrap(), listener.accept().await.unwrap().0)
}

/// Counts what comes, until the end.
fn count(mut from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Tally> {
    tokio::spawn(async move {
        let mut tally = Tally::default();
        let mut buf = vec![0; 64 << 10];
        loop {
            match from.read(&mut buf).await.unwrap() {
                0 => return tally,
                len => tally.add(&buf[..len]),
            }
        }
    })
}

#[test]
fn basic_input_and_output() {
    in_each_flavor(|| async {
        let (client, server) = pair().await;
        let ends = [(client, 1), (server, 2)].map(|(stream, seed)| {
            let (mut from, mut to) = stream.into_split();
            let writing = tokio::spawn(async move {
                let mut random = Random::new(seed);
                let all = bytes(seed, BASIC);
                let mut at = 0;
                while at < all.len() {
                    let end = all.len().min(at + 1 + random.below(100_000));
                    at += to.write(&all[at..end]).await.unwrap();
                }
            });
            tokio::spawn(async move {
                let mut got = Vec::new();
                from.read_to_end(&mut got).await.unwrap();
                assert_eq!(got.len(), BASIC);
                assert_bytes(3 - seed, &got);
                writing.await.unwrap();
            })
        });
        for end in ends {
            end.await.unwrap();
        }
    });
}

#[test]
fn ping_pong() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        let answering = tokio::spawn(async move {
            for round in 0..ROUNDS {
                assert_eq!(server.read_u64().await.unwrap(), 2 * round);
                server.write_u64(2 * round + 1).await.unwrap();
            }
        });
        for round in 0..ROUNDS {
            client.write_u64(2 * round).await.unwrap();
            assert_eq!(client.read_u64().await.unwrap(), 2 * round + 1);
        }
        answering.await.unwrap();
    });
}

#[test]
fn racing_readers_share_what_comes() {
    in_each_flavor(|| async {
        let (mut client, server) = pair().await;
        let sent = bytes(3, 1 << 20);
        let mut expected = Tally::default();
        expected.add(&sent);
        let writing = tokio::spawn(async move { client.write_all(&sent).await.unwrap() });
        let server = Arc::new(server);
        let racing: Vec<_> = (0..RACERS)
            .map(|_| {
                let stream = server.clone();
                tokio::spawn(async move {
                    let mut tally = Tally::default();
                    for _ in 0..TRIES {
                        let mut buf = [0; 1_000];
                        let _ = timeout(SHORT, stream.readable()).await;
                        match stream.try_read(&mut buf) {
                            Ok(len) => tally.add(&buf[..len]),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                    tally
                })
            })
            .collect();
        let mut raced = Tally::default();
        for racer in racing {
            raced = raced.with(racer.await.unwrap());
        }
        let server = Arc::into_inner(server).expect("the racers have gone");
        let rest = count(server);
        writing.await.unwrap();
        assert_eq!(raced.with(rest.await.unwrap()), expected);
    });
}

#[test]
fn racing_writers_lose_nothing_that_was_taken() {
    in_each_flavor(|| async {
        let (client, server) = pair().await;
        let counting = count(server);
        let client = Arc::new(client);
        let racing: Vec<_> = (0_u64..)
            .take(RACERS)
            .map(|seed| {
                let stream = client.clone();
                tokio::spawn(async move {
                    let bytes = bytes(seed, 100_000);
                    let mut tally = Tally::default();
                    for _ in 0..TRIES {
                        let _ = timeout(SHORT, stream.writable()).await;
                        match stream.try_write(&bytes) {
                            Ok(len) => tally.add(&bytes[..len]),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                        }
                    }
                    tally
                })
            })
            .collect();
        let mut raced = Tally::default();
        for racer in racing {
            raced = raced.with(racer.await.unwrap());
        }
        drop(client);
        assert_eq!(counting.await.unwrap(), raced);
    });
}

#[test]
fn a_read_timeout_takes_nothing() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        for round in 0..3 {
            let mut buf = [0; 8];
            timeout(SHORT, server.read(&mut buf)).await.unwrap_err();
            client.write_all(&[round; 8]).await.unwrap();
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf, [round; 8]);
        }
    });
}

#[test]
fn a_write_timeout_loses_nothing_that_was_taken() {
    in_each_flavor(|| async {
        let (mut client, server) = pair().await;
        let chunk = bytes(4, 100_000);
        let mut taken = Tally::default();
        while let Ok(len) = timeout(SHORT * 20, client.write(&chunk)).await {
            taken.add(&chunk[..len.unwrap()]);
        }
        let counting = count(server);
        client.write_all(&chunk).await.unwrap();
        taken.add(&chunk);
        drop(client);
        assert_eq!(counting.await.unwrap(), taken);
    });
}

#[test]
fn a_limit_in_the_past_stops_what_would_wait() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        let past = Instant::now() - Duration::from_millis(5);
        let mut buf = [0; 7];
        timeout_at(past, server.read(&mut buf)).await.unwrap_err();
        // What need not wait is done all the same.
        timeout_at(past, client.write_all(b"in time"))
            .await
            .unwrap()
            .unwrap();
        server.read_exact(&mut buf).await.unwrap();
        assert_eq!(&buf, b"in time");
    });
}

/// Both directions blocked, with this limit: both come back. Then the limit goes, and all is as before.
async fn both_directions_come_back(limit: Duration) {
    let (client, mut server) = pair().await;
    let (mut from, mut to) = client.into_split();
    let writing = tokio::spawn(async move {
        let mut taken = 0;
        while let Ok(len) = timeout(limit, to.write(&[7; 100_000])).await {
            taken += len.unwrap();
        }
        (taken, to)
    });
    timeout(limit, from.read(&mut [0; 8])).await.unwrap_err();
    let (taken, _to) = writing.await.unwrap();
    let reading = tokio::spawn(async move {
        let mut got = vec![0; taken];
        server.read_exact(&mut got).await.unwrap();
        assert!(got.iter().all(|byte| *byte == 7));
        server.write_all(b"got it").await.unwrap();
    });
    from.read_exact(&mut [0; 6]).await.unwrap();
    reading.await.unwrap();
}

#[test]
fn a_present_limit_ends_both_directions() {
    in_each_flavor(|| both_directions_come_back(Duration::ZERO));
}

#[test]
fn a_future_limit_ends_both_directions() {
    in_each_flavor(|| both_directions_come_back(Duration::from_millis(100)));
}

#[test]
fn closing_ends_what_waits_with_a_limit() {
    in_each_flavor(|| async {
        let (client, _server) = pair().await;
        let limit = Duration::from_secs(50);
        let (mut from, mut to) = client.into_split();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let writing = tokio::spawn(async move {
            begun.send(()).unwrap();
            while let Ok(Ok(_)) = timeout(limit, to.write(&[7; 100_000])).await {}
            to
        });
        begins.await.unwrap();
        from.as_ref().abort(300);
        let read = timeout(limit, from.read(&mut [0; 8])).await.expect("ended");
        assert!(matches!(read, Ok(0)) || read.is_err());
        let mut to = writing.await.unwrap();
        let error = to.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn all_methods_at_once() {
    in_each_flavor(|| async {
        let (client, server) = pair().await;
        let (mut from, mut to) = server.into_split();
        let echo = tokio::spawn(async move { drop(tokio::io::copy(&mut from, &mut to).await) });
        let client = Arc::new(client);
        let methods: [fn(&Stream); 6] = [
            |stream| drop(stream.try_read(&mut [0; 1_024])),
            |stream| drop(stream.try_write(&[1; 1_024])),
            |stream| assert!(stream.local_addr().is_ok() && stream.peer_addr().is_ok()),
            |stream| stream.set_nodelay(true).unwrap(),
            |stream| stream.set_linger(None).unwrap(),
            |stream| assert!(stream.info().path_mtu > 0 && stream.take_error().unwrap().is_none()),
        ];
        let mut tasks: Vec<_> = methods
            .into_iter()
            .flat_map(|method| [method; 3])
            .map(|method| {
                let stream = client.clone();
                tokio::spawn(async move {
                    for _ in 0..100 {
                        method(&stream);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            let stream = client.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..20 {
                    let _ = timeout(SHORT, stream.readable()).await;
                    let _ = timeout(SHORT, stream.writable()).await;
                    let _ = timeout(SHORT, stream.peek(&mut [0; 16])).await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        client.abort(300);
        echo.await.unwrap();
    });
}
