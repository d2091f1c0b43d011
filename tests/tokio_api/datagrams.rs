//! Datagrams beside the stream, for tasks: bytes, waiting tasks, futures that are dropped, the end.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes};
use crate::{in_each_flavor, pair, within_polls};

#[test]
fn datagrams_arrive_beside_a_stream_that_nobody_reads() {
    in_each_flavor(async || {
        let (mut client, mut server) = pair().await;
        client.write_all(&bytes(1, 100_000)).await.unwrap();
        let mut buf = [0; 1_500];
        for number in 0..100_u8 {
            let len = 900 + usize::from(number);
            client.send_datagram(&bytes(number.into(), len)).unwrap();
            server.send_datagram(&[number, 1]).unwrap();
            let got = server.recv_datagram(&mut buf).await.unwrap();
            assert_eq!(got, len);
            assert_bytes(number.into(), &buf[..len]);
            assert_eq!(client.recv_datagram(&mut buf).await.unwrap(), 2);
            assert_eq!(buf[0], number);
        }
        let none = client.try_recv_datagram(&mut buf).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::WouldBlock);
        client.shutdown().await.unwrap();
        let mut stream = Vec::new();
        server.read_to_end(&mut stream).await.unwrap();
        assert_eq!(stream.len(), 100_000);
        assert_bytes(1, &stream);
    });
}

/// Bytes of the stream wake who waits for a datagram, and datagrams who reads: neither takes what is the other's.
#[test]
fn one_task_reads_and_another_takes_datagrams() {
    in_each_flavor(async || {
        /// Fewer than wait at most, so that a task without turns loses none.
        const COUNT: usize = 100;
        let (client, server) = pair().await;
        let (mut from, to) = server.into_split();
        let (reader, mut writer) = client.into_split();
        let stream = tokio::spawn(async move {
            let mut got = Vec::new();
            from.read_to_end(&mut got).await.unwrap();
            got
        });
        let echo = tokio::spawn(async move {
            let mut buf = [0; 32];
            for number in 0..COUNT {
                let len = reader.recv_datagram(&mut buf).await.unwrap();
                assert_eq!(&buf[..len], number.to_be_bytes());
            }
        });
        for number in 0..COUNT {
            writer
                .write_all(&bytes(2, 1_000 * COUNT)[1_000 * number..][..1_000])
                .await
                .unwrap();
            to.send_datagram(&number.to_be_bytes()).unwrap();
            tokio::task::yield_now().await;
        }
        writer.shutdown().await.unwrap();
        echo.await.unwrap();
        let got = stream.await.unwrap();
        assert_eq!(got.len(), 1_000 * COUNT);
        assert_bytes(2, &got);
    });
}

#[test]
fn a_future_that_is_dropped_has_taken_no_datagram() {
    in_each_flavor(async || {
        let (client, server) = pair().await;
        let mut random = Random::new(7);
        let mut buf = [0; 16];
        for number in 0..200_u64 {
            client.send_datagram(&number.to_be_bytes()).unwrap();
            let len = loop {
                let polls = 1 + random.below(3);
                match within_polls(polls, server.recv_datagram(&mut buf)).await {
                    Some(len) => break len.unwrap(),
                    None => tokio::task::yield_now().await,
                }
            };
            assert_eq!(&buf[..len], number.to_be_bytes());
        }
    });
}

#[test]
fn who_waits_for_a_datagram_hears_that_none_can_come() {
    in_each_flavor(async || {
        let (client, server) = pair().await;
        let waiting = tokio::spawn(async move { server.recv_datagram(&mut [0; 9]).await });
        tokio::task::yield_now().await;
        drop(client);
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);

        let (client, _server) = pair().await;
        let too_long = client.send_datagram(&vec![0; 70_000]).unwrap_err();
        assert_eq!(too_long.kind(), ErrorKind::InvalidInput);
        assert!(client.datagram_len_max().unwrap() >= 1_168 && client.failure().is_none());
    });
}
