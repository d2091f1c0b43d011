//! Futures that are dropped at each of their awaits: no byte and no connection is lost or doubled.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::tokio::{Listener, Stream};
use aqueduct::{Delivered, TcpState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;

use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes};
use crate::{in_each_flavor, pair, within_polls};

/// More than the buffers of both sides hold, so that both have to wait.
const LEN: usize = 6 << 20;

/// Writes `bytes`, and gives each write up after some polls.
async fn write_and_give_up(stream: &mut Stream, bytes: &[u8], mut random: Random) -> usize {
    let (mut at, mut given_up) = (0, 0);
    while at < bytes.len() {
        let to = bytes.len().min(at + 1 + random.below(90_000));
        match within_polls(1 + random.below(3), stream.write(&bytes[at..to])).await {
            Some(written) => at += written.unwrap(),
            None => {
                given_up += 1;
                // Sometimes nothing but readiness is waited for, and given up as well.
                let _ = within_polls(1 + random.below(2), stream.writable()).await;
                yield_now().await;
            }
        }
    }
    stream.shutdown().await.unwrap();
    given_up
}

/// Reads to the end, and gives each read up after some polls.
async fn read_and_give_up(stream: &mut Stream, mut random: Random) -> (Vec<u8>, usize) {
    let (mut got, mut given_up) = (Vec::new(), 0);
    let mut buf = vec![0; 100_000];
    loop {
        let len = 1 + random.below(buf.len());
        let polls = 1 + random.below(3);
        if random.below(4) == 0 {
            let peeked = within_polls(polls, stream.peek(&mut buf[..len])).await;
            let seen = peeked.map_or(0, |len| len.unwrap());
            let ahead = buf[..seen].to_vec();
            if seen > 0 {
                stream.read_exact(&mut buf[..seen]).await.unwrap();
                assert_eq!(ahead, buf[..seen]);
                got.extend(ahead);
            }
            continue;
        }
        match within_polls(polls, stream.read(&mut buf[..len])).await {
            Some(Ok(0)) => return (got, given_up),
            Some(len) => got.extend(&buf[..len.unwrap()]),
            None => {
                given_up += 1;
                let _ = within_polls(polls, stream.readable()).await;
                yield_now().await;
            }
        }
    }
}

#[test]
fn reads_and_writes_that_are_given_up_lose_and_double_nothing() {
    in_each_flavor(|| async {
        for seed in [1, 2, 3] {
            let (mut client, mut server) = pair().await;
            // However the threads run from here on: this read has to wait, as nothing was written yet.
            let early = within_polls(1, server.read(&mut [0; 100])).await;
            assert!(early.is_none(), "read before anything was written");
            let writing = tokio::spawn(async move {
                let bytes = bytes(seed, LEN);
                write_and_give_up(&mut client, &bytes, Random::new(seed)).await
            });
            let (got, reads) = read_and_give_up(&mut server, Random::new(seed + 100)).await;
            let writes = writing.await.unwrap();
            assert_eq!(got.len(), LEN);
            assert_bytes(seed, &got);
            println!("given up: {writes} writes, {reads} reads");
        }
    });
}

#[test]
fn an_accept_that_is_given_up_loses_no_connection() {
    in_each_flavor(|| async {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let clients = tokio::spawn(async move {
            let mut clients = Vec::new();
            for id in 0..40_u8 {
                let mut client = Stream::connect(addr).await.unwrap();
                client.write_all(&[id]).await.unwrap();
                clients.push(client);
            }
            clients
        });
        let mut random = Random::new(7);
        let mut ids = Vec::new();
        while ids.len() < 40 {
            match within_polls(1 + random.below(2), listener.accept()).await {
                Some(accepted) => {
                    let (mut stream, _) = accepted.unwrap();
                    ids.push(stream.read_u8().await.unwrap());
                }
                None => yield_now().await,
            }
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..40).collect::<Vec<u8>>());
        drop(clients.await.unwrap());
    });
}

#[test]
fn a_connect_that_is_given_up_is_over() {
    in_each_flavor(|| async {
        // Nobody answers there.
        let hole = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = hole.local_addr().unwrap();
        for polls in 1..4 {
            assert!(
                within_polls(1, Stream::connect(addr)).await.is_none(),
                "{polls}"
            );
        }
        // With an answer, every number of polls is either too few or enough; what is enough works.
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for polls in 1..4 {
            let Some(client) = within_polls(polls, Stream::connect(addr)).await else {
                continue;
            };
            let mut client = client.unwrap();
            client.write_all(b"here").await.unwrap();
            client.shutdown().await.unwrap();
            loop {
                // Those that were given up may have come this far: they end by a reset, or with nothing.
                let (mut server, _) = listener.accept().await.unwrap();
                let mut got = Vec::new();
                match server.read_to_end(&mut got).await {
                    Ok(0) | Err(_) => {}
                    Ok(_) => {
                        assert_eq!(got, b"here");
                        break;
                    }
                }
            }
        }
    });
}

#[test]
fn a_close_that_is_given_up_still_delivers() {
    in_each_flavor(|| async {
        for polls in 1..3 {
            let (mut client, mut server) = pair().await;
            client.write_all(&bytes(5, 300_000)).await.unwrap();
            let closed = within_polls(polls, client.close()).await;
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            assert_eq!(got.len(), 300_000, "{closed:?}");
            assert_bytes(5, &got);
        }
    });
}

#[test]
fn waiting_for_delivery_may_be_given_up_and_begun_again() {
    in_each_flavor(|| async {
        let (mut client, mut server) = pair().await;
        client.write_all(&bytes(6, 100_000)).await.unwrap();
        let read = client.wait_delivered(Delivered::Read);
        assert!(within_polls(1, read).await.is_none());
        let mut got = vec![0; 100_000];
        server.read_exact(&mut got).await.unwrap();
        assert_bytes(6, &got);
        client.wait_delivered(Delivered::Read).await.unwrap();
        assert_eq!(client.info().state, TcpState::Established);
        let closed = client.close().await.unwrap();
        assert_eq!((closed.acked, closed.read_by_peer), (100_000, true));
    });
}

/// One after the other, the first address would be waited for until the watchdog barks.
#[test]
fn an_address_that_is_silent_holds_up_no_other() {
    in_each_flavor(async || {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = silent.local_addr().unwrap();
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let somebody = listener.local_addr().unwrap();
        let patient = Config::default().with_connect_timeout(Duration::from_secs(600));
        let both = [nobody, somebody];
        let stream = Stream::connect_with(&both[..], &patient).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), somebody);
        let hasty = Config::default().with_connect_timeout(Duration::from_millis(300));
        let neither = [nobody, nobody];
        let error = Stream::connect_with(&neither[..], &hasty)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // Given up while two of them run: the first wakes nobody, the second begins after a quarter of a second.
        let also_silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let both = [nobody, also_silent.local_addr().unwrap()];
        let given_up = within_polls(2, Stream::connect_with(&both[..], &patient)).await;
        assert!(given_up.is_none());
        let mut datagram = [0; 2_000];
        assert!(also_silent.recv(&mut datagram).unwrap() > 0);
    });
}
