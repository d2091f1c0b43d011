use super::*;

/// Writes `len` bytes of stream 7 from the client, reads them at the server, and compares.
fn transfer(pair: &mut Pair, len: usize) -> Time {
    let data = bytes_of(7, 0, len);
    let (mut written, mut received) = (0, Vec::new());
    let limit = pair.now + Duration::from_secs(600);
    while received.len() < len {
        assert!(
            pair.now < limit,
            "stalled at {} of {len} bytes",
            received.len()
        );
        if let Ok(taken) = pair.client.write(&data[written..]) {
            written += taken;
        }
        pair.transmit();
        if let Some(server) = &mut pair.server {
            received.extend(read_all(server));
        }
        pair.transmit();
        let next = pair
            .next()
            .unwrap_or_else(|| panic!("stalled: {:?}", pair.client));
        pair.step(next.max(pair.now));
    }
    assert!(
        received == data,
        "the bytes arrived, in order and unchanged"
    );
    pair.now
}

#[test]
fn a_megabyte_arrives_in_order_and_unchanged() {
    let mut pair = Pair::open(Config::default());
    transfer(&mut pair, 1 << 20);
    pair.settle();
    let info = pair.client.info(pair.now);
    assert_eq!((info.bytes_acked, info.packets_lost), (1 << 20, 0));
    assert_eq!(
        info.path_mtu, 1_472,
        "the handshake's probe found the size of the path"
    );
    assert!(pair.client.is_all_acked() && pair.client.is_all_read_by_peer());
    assert_eq!(pair.next(), None, "no timer remains");
}

#[test]
fn every_byte_arrives_whatever_share_of_the_packets_is_lost() {
    for (percent, seed) in [(1, 5), (5, 2), (20, 3), (40, 4)] {
        let mut pair = Pair::open(Config::default().with_user_timeout(None));
        let mut random = Random::new(seed);
        pair.fate = Box::new(move |_, _, _| random.next() % 100 >= percent);
        transfer(&mut pair, 200_000);
        let info = pair.client.info(pair.now);
        assert!(info.packets_lost > 0, "{percent} %: {info:?}");
    }
}

#[test]
fn the_sender_never_passes_the_window_and_a_closed_window_is_probed_and_opens() {
    let mut pair = Pair::open(Config::default().with_receive_window(10_000));
    let data = bytes_of(1, 0, 30_000);
    assert_eq!(pair.client.write(&data), Ok(30_000));
    pair.run_for(Duration::from_secs(30));
    assert_eq!(pair.client.info(pair.now).bytes_sent, 10_000);
    assert!(
        !pair.client.is_failed(),
        "acknowledged window probes keep it alive"
    );
    let probes = pair
        .kinds_since(0)
        .iter()
        .filter(|kind| **kind == (true, "PROBE"))
        .count();
    assert!(
        (5..=12).contains(&probes),
        "{probes} probes in 30 s, backing off"
    );
    let mut received = Vec::new();
    for _ in 0..10 {
        received.extend(read_all(pair.server()));
        pair.run_for(Duration::from_secs(1));
    }
    assert!(received == data);
}

#[test]
fn a_closed_window_that_stays_closed_for_an_hour_does_not_end_the_connection() {
    let mut pair = Pair::open(Config::default().with_receive_window(10_000));
    pair.client.write(&bytes_of(1, 0, 30_000)).expect("room");
    pair.run_for(Duration::from_secs(3_600));
    assert!(!pair.client.is_failed());
    assert_eq!(read_all(pair.server()).len(), 10_000);
    let before = pair.now;
    pair.transmit();
    while pair.client.info(pair.now).bytes_acked < 20_000 {
        pair.step(pair.next().expect("a probe").max(pair.now));
        read_all(pair.server());
    }
    assert!(
        pair.now - before <= Duration::from_secs(1),
        "the window update came at once"
    );
}

#[test]
fn a_lone_request_is_acknowledged_by_its_answer() {
    let mut pair = Pair::open(Config::default());
    let from = pair.sent.len();
    pair.client.write(b"question").expect("room");
    pair.run_for(ONE_WAY);
    assert_eq!(read_all(pair.server()), b"question");
    pair.server().write(b"answer").expect("room");
    pair.run_for(ONE_WAY);
    assert_eq!(read_all(&mut pair.client), b"answer");
    assert_eq!(pair.kinds_since(from), [(true, "DATA"), (false, "DATA")]);
    let answer = decode(&pair.sent[from + 1].2).expect("a packet");
    assert!(
        answer.ack.is_some(),
        "the answer carries the acknowledgement"
    );
    pair.settle();
    assert!(pair.server().is_all_acked());
}

#[test]
fn acknowledgements_of_packets_never_sent_end_the_connection_after_a_few() {
    use crate::wire::{AckFields, Kind, PacketBuilder};
    let mut pair = Pair::open(Config::default());
    for strays in 1..=9u64 {
        assert!(!pair.client.is_failed(), "after {} strays", strays - 1);
        let mut buffer = [0; 256];
        let number = PacketNumber::new(9_500);
        let mut packet = PacketBuilder::new(&mut buffer, Kind::Ack, Some(cid(11)), number);
        packet.offset(100 + strays);
        let fields = AckFields {
            delay: Duration::ZERO,
            dropped: false,
            ack_offset: Offset::ZERO,
            window: Window::new(1 << 30),
            unread: 0,
            ecn: None,
        };
        let unsent = PacketNumber::new(5_100);
        packet.ack(&fields, std::iter::once(unsent..=unsent), 0);
        let len = packet.finish();
        let cwnd = pair.client.info(pair.now).cwnd;
        pair.deliver(false, &buffer[..len]);
        assert_eq!(pair.client.info(pair.now).cwnd, cwnd);
    }
    assert!(pair.client.is_failed());
    pair.settle();
    assert!(pair.kinds_since(0).contains(&(true, "RST")));
}

#[test]
fn linked_bytes_arrive_in_order_with_copied_ones_and_are_let_go() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut pair = Pair::open(Config::default());
        let mut random = Random::new(seed);
        pair.fate = Box::new(move |_, _, _| !random.next().is_multiple_of(10));
        let data = bytes::Bytes::from(bytes_of(7, 0, 150_000));
        let (mut written, mut received) = (0, Vec::new());
        while received.len() < data.len() {
            // Slices that are linked and slices that are too short for it.
            let end = data
                .len()
                .min(written + if written % 2 == 0 { 9_001 } else { 501 });
            let slice = data.slice(written..end);
            written += pair.client.write_bytes(&slice).unwrap_or(0);
            drop(slice);
            pair.run_for(ONE_WAY);
            while let Ok(part) = pair.server().read_bytes(4_000) {
                assert!(!part.is_empty() && part.len() <= 4_000);
                received.extend_from_slice(&part);
            }
        }
        assert!(received == data, "in order and unchanged");
        pair.settle();
        assert!(pair.client.is_all_acked());
        assert!(data.is_unique(), "nothing is kept of what was acknowledged");
    }
}

#[test]
fn what_is_linked_counts_as_memory_until_it_is_acknowledged() {
    let mut pair = Pair::open(Config::default());
    let before = pair.client.memory();
    let data = bytes::Bytes::from(bytes_of(7, 0, 100_000));
    assert_eq!(pair.client.write_bytes(&data), Ok(100_000));
    assert!(pair.client.memory() >= before + 100_000);
    assert!(!data.is_unique());
    pair.settle();
    read_all(pair.server());
    pair.settle();
    assert!(pair.client.memory() < before + 10_000);
    assert!(data.is_unique());
}
