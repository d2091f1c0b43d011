//! Unreliable datagrams beside the stream.
use super::*;
use crate::limits::{DATAGRAM_BYTES_QUEUED_MAX, DATAGRAMS_QUEUED_MAX};

/// A datagram in which every misplacement shows: its number, then bytes that follow from it.
fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.extend(
        (8..)
            .map(|at| byte_at(number, at))
            .take(len.saturating_sub(8)),
    );
    data.truncate(len);
    data
}

fn number_of(data: &[u8]) -> u64 {
    let number = u64::from_be_bytes(data[..8].try_into().expect("eight bytes"));
    assert_eq!(data, numbered(number, data.len()), "as it was sent");
    number
}

fn receive_all(connection: &mut Connection) -> Vec<u64> {
    std::iter::from_fn(|| connection.recv_datagram().ok())
        .map(|data| number_of(&data))
        .collect()
}

#[test]
fn datagrams_go_both_ways_whole_and_need_no_window() {
    // A window that is shut: the server reads nothing.
    let mut pair = Pair::open(Config::default().with_receive_window(2_400));
    pair.client.write(&[7; 10_000]).expect("room in the buffer");
    pair.settle();
    assert!(pair.client.info(pair.now).window < 2_400 && !pair.client.is_all_acked());
    for number in 0..5 {
        pair.client
            .send_datagram(&numbered(number, 1_000))
            .expect("open");
        pair.server()
            .send_datagram(&numbered(100 + number, 8))
            .expect("open");
    }
    pair.run_for(Duration::from_millis(50));
    assert_eq!(receive_all(pair.server()), [0, 1, 2, 3, 4]);
    assert_eq!(receive_all(&mut pair.client), [100, 101, 102, 103, 104]);
    let info = pair.client.info(pair.now);
    assert_eq!(
        (
            info.datagrams_sent,
            info.datagrams_received,
            info.datagrams_lost
        ),
        (5, 5, 0)
    );
    assert_eq!(pair.server().recv_datagram(), Err(DatagramError::Blocked));
}

#[test]
fn an_empty_datagram_arrives_as_one() {
    let mut pair = Pair::open(Config::default());
    pair.client.send_datagram(&[]).expect("open");
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.server().recv_datagram().as_deref(), Ok(&[][..]));
}

#[test]
fn a_lost_datagram_is_counted_and_never_repeated() {
    let mut pair = Pair::open(Config::default());
    pair.fate = Box::new(|_, _, packet| {
        let Body::Dgram { payload, .. } = &packet.body else {
            return true;
        };
        number_of(payload) % 3 != 1
    });
    for number in 0..9 {
        pair.client
            .send_datagram(&numbered(number, 500))
            .expect("open");
        pair.run_for(Duration::from_millis(5));
    }
    pair.settle();
    assert_eq!(receive_all(pair.server()), [0, 2, 3, 5, 6, 8]);
    let info = pair.client.info(pair.now);
    assert_eq!((info.datagrams_sent, info.datagrams_lost), (9, 3));
    assert!(pair.client.is_open(), "a lost datagram is no reason to end");
}

#[test]
fn what_does_not_fit_into_a_packet_is_refused() {
    let mut pair = Pair::open(Config::default());
    let max = pair.client.datagram_len_max().expect("open");
    assert_eq!(max, usize::from(pair.client.info(pair.now).path_mtu) - 32);
    let refused = pair.client.send_datagram(&vec![0; max + 1]);
    assert_eq!(refused, Err(DatagramError::TooLarge { len: max + 1, max }));
    pair.client
        .send_datagram(&numbered(3, max))
        .expect("it fits");
    pair.run_for(Duration::from_millis(50));
    assert_eq!(receive_all(pair.server()), [3]);
}

#[test]
fn a_peer_that_takes_none_gets_none() {
    let mut pair = Pair::open(Config::default().with_datagram_max(0));
    assert_eq!(pair.client.datagram_len_max(), None);
    assert_eq!(
        pair.client.send_datagram(b"x"),
        Err(DatagramError::Unsupported)
    );

    let pair = Pair::open(Config::default().with_datagram_max(10));
    assert_eq!(pair.client.datagram_len_max(), Some(10));
}

#[test]
fn both_queues_drop_their_oldest() {
    let mut pair = Pair::open(Config::default());
    let most = u64::try_from(DATAGRAMS_QUEUED_MAX).expect("small");
    for number in 0..most + 20 {
        pair.client
            .send_datagram(&numbered(number, 8))
            .expect("open");
    }
    assert_eq!(pair.client.info(pair.now).datagrams_unsent, 20);
    pair.settle();
    for number in 1_000..1_010 {
        pair.client
            .send_datagram(&numbered(number, 8))
            .expect("open");
    }
    pair.settle();
    let got = receive_all(pair.server());
    let wanted: Vec<u64> = (30..most + 20).chain(1_000..1_010).collect();
    assert_eq!(got, wanted);
    let now = pair.now;
    assert_eq!(pair.server().info(now).datagrams_unread, 10);

    for number in 0..2_000 {
        pair.client
            .send_datagram(&numbered(number, 1_168))
            .expect("open");
        assert!(pair.client.memory() <= DATAGRAM_BYTES_QUEUED_MAX + (4 << 10));
    }
}

#[test]
fn datagrams_and_stream_share_the_path() {
    let mut pair = Pair::open(Config::default());
    let total = 600_000;
    let mut written = 0;
    let mut read = 0;
    let mut number = 0;
    while read < total {
        let block = vec![9; 20_000];
        if written < total {
            written += pair.client.write(&block).unwrap_or(0);
        }
        // Far more than the path carries: the stream must get on all the same.
        for _ in 0..64 {
            pair.client
                .send_datagram(&numbered(number, 1_000))
                .expect("open");
            number += 1;
        }
        pair.run_for(Duration::from_millis(5));
        read += read_all(pair.server()).len();
        receive_all(pair.server());
        assert!(number < 1_000_000, "the stream starves: {read} bytes");
    }
    let info = pair.client.info(pair.now);
    assert!(
        info.datagrams_sent > 100,
        "{} datagrams",
        info.datagrams_sent
    );
}

#[test]
fn no_datagram_after_the_end() {
    let mut pair = Pair::open(Config::default());
    pair.client.send_datagram(&numbered(1, 8)).expect("open");
    pair.client.shutdown_write();
    assert_eq!(pair.client.send_datagram(b"x"), Err(DatagramError::Closed));
    pair.settle();
    assert_eq!(receive_all(pair.server()), [1]);
    assert_eq!(pair.server().recv_datagram(), Err(DatagramError::Closed));
    // The other direction is open.
    pair.server().send_datagram(&numbered(2, 8)).expect("open");
    pair.settle();
    assert_eq!(receive_all(&mut pair.client), [2]);
}

#[test]
fn a_datagram_that_a_narrowed_path_has_no_room_for_is_dropped_and_counted() {
    let mut pair = Pair::open(Config::default());
    let big = vec![1; 1_440];
    pair.client.write(&vec![5; 400_000]).expect("room");
    pair.settle();
    read_all(pair.server());
    pair.settle();
    assert!(
        pair.client.datagram_len_max() >= Some(1_440),
        "{:?}",
        pair.client.datagram_len_max()
    );
    pair.client.send_datagram(&big).expect("it fits now");
    pair.interface = 1_300;
    pair.settle();
    assert!(pair.client.datagram_len_max() < Some(1_300));
    let info = pair.client.info(pair.now);
    assert_eq!(info.datagrams_lost + info.datagrams_unsent, 1);
    assert_eq!(pair.server().recv_datagram(), Err(DatagramError::Blocked));
}

#[test]
fn an_acknowledgement_rides_where_there_is_room() {
    let mut pair = Pair::open(Config::default());
    let mut carried = 0;
    for number in 0..20 {
        // A datagram asks for no acknowledgement at once, as the first byte in flight does.
        pair.server()
            .send_datagram(&numbered(number, 9))
            .expect("open");
        pair.run_for(Duration::from_millis(10));
        pair.client
            .send_datagram(&numbered(number, 100))
            .expect("open");
        let from = pair.sent.len();
        pair.transmit();
        carried += pair.sent[from..]
            .iter()
            .filter(|(_, _, bytes)| {
                let packet = crate::wire::decode(bytes).expect("valid");
                matches!(packet.body, Body::Dgram { .. }) && packet.ack.is_some()
            })
            .count();
    }
    assert!(carried > 10, "{carried} of 20");
}

/// A datagram larger than three times what came from a port that has not answered waits until it has.
#[test]
fn a_datagram_waits_for_a_port_that_has_not_proved_itself() {
    let mut pair = Pair::open(Config::default());
    pair.server().write(&vec![7; 200_000]).expect("room");
    pair.settle();
    assert_eq!(pair.server().mtu.size(), 1_472, "the search is over");
    super::read_all(&mut pair.client);
    pair.settle();
    pair.addresses[0] = address("192.0.2.1:999");
    let since = pair.sent.len();
    pair.client.write(&[7; 1_000]).expect("room");
    pair.server().send_datagram(&numbered(0, 8)).expect("open");
    pair.run_for(Duration::from_millis(11));
    pair.server()
        .send_datagram(&numbered(1, 1_400))
        .expect("open");
    // The new port was heard after 10 ms, and answers its challenge after 30.
    pair.run_for(Duration::from_millis(11));
    let sent = &pair.sent[since..];
    let bytes = |up: bool| {
        let mine = sent.iter().filter(|(_, to_server, _)| *to_server == up);
        mine.map(|(_, _, bytes)| bytes.len()).sum::<usize>()
    };
    let (up, down) = (bytes(true), bytes(false));
    assert!(down <= 3 * up, "{down} for {up}");
    let largest = sent
        .iter()
        .filter(|sent| !sent.1)
        .map(|sent| sent.2.len())
        .max();
    assert!(largest <= Some(1_200), "{largest:?}");
    pair.run_for(Duration::from_millis(100));
    assert_eq!(receive_all(&mut pair.client), [0, 1]);
}
