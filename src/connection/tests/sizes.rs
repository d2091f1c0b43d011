//! The size of datagrams: what the search means for a connection and its data.
use super::*;

/// The longest datagram that the client sent since `from`.
fn longest_since(pair: &Pair, from: usize) -> usize {
    let sent = pair.sent[from..].iter().filter(|(_, up, _)| *up);
    sent.map(|(_, _, bytes)| bytes.len()).max().unwrap_or(0)
}

/// Reads at the server until `len` bytes have come; all of them.
fn receive(pair: &mut Pair, len: usize) -> Vec<u8> {
    let mut received = Vec::new();
    let limit = pair.now + Duration::from_secs(60);
    while received.len() < len {
        assert!(pair.now < limit, "stalled at {} of {len}", received.len());
        pair.transmit();
        let next = pair.next().expect("something happens").max(pair.now);
        pair.step(next);
        received.extend(read_all(pair.server()));
    }
    received
}

#[test]
fn a_short_exchange_sends_no_probe_of_a_size() {
    let mut pair = Pair::open(Config::default());
    let from = pair.sent.len();
    for _ in 0..100 {
        pair.client.write(&[7; 4_000]).expect("room");
        pair.run_for(Duration::from_millis(50));
        assert_eq!(read_all(pair.server()).len(), 4_000);
    }
    // The receiver may ask for a round trip; the sender, who would search, asks nothing.
    let is_probe = |(up, kind): &(bool, &str)| *up && *kind == "PROBE";
    assert!(!pair.kinds_since(from).iter().any(is_probe));
    assert_eq!(longest_since(&pair, from), 1_200);
}

/// L14, on the own host: the interface gets smaller under a flow. Nothing was lost, nothing is congested,
/// and the same bytes leave at once in smaller datagrams.
#[test]
fn data_that_the_interface_refuses_leaves_at_once_in_smaller_datagrams() {
    // The search sends a probe in each round trip, and has to end before the data does: a narrow window gives it time.
    let mut pair = Pair::open(Config::default().with_receive_window(64 << 10));
    let data = bytes_of(3, 0, 1_000_000);
    pair.client.write(&data).expect("room");
    let mut received = receive(&mut pair, 100_000);
    assert_eq!(pair.client.info(pair.now).path_mtu, 1_472);
    pair.interface = 1_300;
    let (before, from, now) = (pair.client.info(pair.now), pair.sent.len(), pair.now);
    received.extend(receive(&mut pair, 100_000));
    assert!(longest_since(&pair, from) <= 1_300);
    let rest = data.len() - received.len();
    received.extend(receive(&mut pair, rest));
    assert!(received == data, "every byte, once and in order");
    let info = pair.client.info(pair.now);
    assert!(
        (1_285..=1_300).contains(&info.path_mtu),
        "{}",
        info.path_mtu
    );
    assert_eq!((info.packets_lost, info.black_holes), (0, 0));
    assert!(info.cwnd >= before.cwnd, "no congestion");
    let numbered = info.packets_acked + info.packets_lost;
    assert!(
        info.packets_sent >= numbered,
        "what never left counts nowhere"
    );
    assert!(
        pair.now - now < Duration::from_secs(2),
        "no timeout: {:?}",
        pair.now - now
    );
}

#[test]
fn an_interface_below_the_base_loses_datagrams_and_does_not_loop() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(&[1; 100_000]).expect("room");
    pair.run_for(Duration::from_millis(200));
    pair.interface = 1_100;
    let mut batch = Batch::new();
    let mut refused = 0;
    while pair.client.poll_transmit(pair.now, &mut batch).is_some() {
        if batch.segment_size() > pair.interface {
            pair.client.handle_refused(pair.now, &batch, 0);
            refused += 1;
        }
        batch.clear();
        assert!(refused < 100, "the same is tried for ever");
    }
}

#[test]
fn the_first_datagrams_of_a_batch_that_left_stay_sent() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(&[1; 300_000]).expect("room");
    receive(&mut pair, 250_000);
    pair.client.write(&[1; 300_000]).expect("room");
    let mut batch = Batch::new();
    let left = pair.client.poll_transmit(pair.now, &mut batch);
    assert!(left.is_some() && batch.len() > 1, "the window has room");
    let sent = pair.client.info(pair.now).packets_sent;
    let unsent = u64::try_from(batch.len()).expect("few") - 1;
    pair.client.handle_refused(pair.now, &batch, 1);
    assert_eq!(pair.client.info(pair.now).packets_sent, sent - unsent);
}

/// The loss of probes alone: the size stays, the window is not reduced, no data is sent again (G09).
#[test]
fn lost_probes_are_neither_congestion_nor_a_reason_to_send_data_again() {
    let mut pair = Pair::open(Config::default());
    pair.interface = usize::MAX;
    pair.fate = Box::new(|_, up, packet| !(up && matches!(packet.body, Body::Probe(_))));
    pair.client.write(&bytes_of(4, 0, 800_000)).expect("room");
    let received = receive(&mut pair, 800_000);
    assert!(received == bytes_of(4, 0, 800_000));
    let info = pair.client.info(pair.now);
    assert!(info.packets_lost >= 5, "probes were lost: {info:?}");
    assert_eq!((info.bytes_retransmitted, info.ssthresh), (0, u64::MAX));
    assert_eq!((info.path_mtu, info.black_holes), (1_200, 0));
}

/// The path gets narrow under a flow, and nobody says so.
#[test]
fn a_black_hole_is_left_within_three_probe_timeouts() {
    for most in [1_200, 1_280, 1_400] {
        let mut pair = Pair::open(Config::default());
        let data = bytes_of(5, 0, 800_000);
        pair.client.write(&data).expect("room");
        let mut received = receive(&mut pair, 200_000);
        let timeout = pair.client.recovery.pto();
        pair.narrow = most;
        let (fell, mut stalled, mut last) = (pair.now, Duration::ZERO, pair.now);
        while received.len() < data.len() {
            pair.transmit();
            let next = pair.next().expect("something happens").max(pair.now);
            pair.step(next);
            let more = read_all(pair.server());
            if !more.is_empty() {
                stalled = stalled.max(pair.now - last);
                last = pair.now;
                received.extend(more);
            }
        }
        assert!(received == data);
        let took = pair.now - fell;
        println!("{most}: timeout {timeout:?}, longest gap {stalled:?}, {took:?} in all");
        assert!(stalled <= timeout * 3, "{stalled:?} > 3 * {timeout:?}");
        let info = pair.client.info(pair.now);
        assert!(info.cwnd >= 2 * 1_472);
        assert_eq!(info.path_mtu, 1_200);
    }
}

/// The own host has another address. What could not leave from the old one is neither sent nor lost, leaves again
/// at once, and what the old path was like is forgotten.
#[test]
fn a_host_that_has_moved_sends_at_once_what_could_not_leave() {
    let mut pair = Pair::open(Config::default());
    let data = bytes_of(3, 0, 400_000);
    pair.client.write(&data[..300_000]).expect("room");
    let mut received = receive(&mut pair, 300_000);
    pair.client.write(&data[300_000..]).expect("room");
    let before = pair.client.info(pair.now);
    assert_eq!(before.path_mtu, 1_472);

    let mut batch = Batch::new();
    let to = pair.client.poll_transmit(pair.now, &mut batch);
    assert!(to.is_some() && batch.len() > 1, "the window has room");
    pair.client.handle_moved(pair.now, 0);
    let info = pair.client.info(pair.now);
    assert_eq!((info.path_mtu, info.srtt), (1_200, None));
    assert_eq!(
        (info.packets_sent, info.packets_lost),
        (before.packets_sent, before.packets_lost)
    );
    let from = pair.sent.len();
    pair.transmit();
    let left = pair.sent[from..].iter().filter(|(_, up, _)| *up);
    assert!(left.count() > 1, "at once");
    received.extend(receive(&mut pair, 100_000));
    assert!(received == data, "every byte, once and in order");
}

/// Nothing is in flight: the peer learns the new address all the same.
#[test]
fn a_host_that_has_moved_shows_itself() {
    let mut pair = Pair::open(Config::default());
    let from = pair.sent.len();
    pair.client.handle_moved(pair.now, usize::MAX);
    pair.transmit();
    assert_eq!(pair.kinds_since(from), [(true, "PROBE")]);
}
