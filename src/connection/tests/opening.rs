use super::*;

#[test]
fn three_packets_open_a_connection_and_the_client_proves_itself_with_the_cookie() {
    let mut pair = Pair::open(Config::default());
    assert_eq!(
        pair.kinds_since(0),
        [(true, "SYN"), (true, "PROBE"), (false, "ACK")]
    );
    let third = decode(&pair.sent[1].2).expect("a packet");
    assert_eq!(third.options.cookie, Some(&b"proof"[..]));
    assert_eq!(
        pair.events[0],
        [Event::Opened { peer_cid: cid(22) }, Event::Writable]
    );
    assert_eq!(pair.client.info(pair.now).srtt, Some(2 * ONE_WAY));
    assert_eq!(pair.client.state(), TcpState::Established);
    assert_eq!(pair.server().state(), TcpState::Established);
    assert_eq!(pair.next(), None, "an idle connection has no timer");
}

#[test]
fn data_written_at_once_is_the_third_packet_and_the_cookie_goes_until_the_server_is_heard() {
    let mut pair = Pair::new(Config::default());
    pair.run_for(2 * ONE_WAY - Duration::from_nanos(1));
    let mut lost = 0;
    pair.fate = Box::new(move |_, to_server, packet| {
        lost += usize::from(to_server && packet.options.cookie.is_some());
        lost == 0 || lost > 2
    });
    pair.run_for(Duration::from_nanos(1));
    assert_eq!(pair.client.write(b"hello"), Ok(5));
    pair.settle();
    assert_eq!(read_all(pair.server()), b"hello");
    let cookies = |to_server: bool| {
        let sent = pair.sent.iter().filter(|sent| sent.1 == to_server);
        sent.filter(|sent| decode(&sent.2).expect("a packet").options.cookie.is_some())
            .count()
    };
    assert!(
        cookies(true) >= 3,
        "the two lost ones and the one that arrived"
    );
    assert_eq!(cookies(false), 0);
}

#[test]
fn a_lost_syn_is_repeated_and_connect_ends_at_its_deadline_and_never_before() {
    let mut pair = Pair::new(Config::default());
    pair.fate = Box::new(|_, _, _| false);
    pair.run_for(Duration::from_millis(19_999));
    assert!(!pair.client.is_failed());
    let times: Vec<u64> = pair
        .sent
        .iter()
        .map(|sent| sent.0.as_nanos() / 1_000_000_000)
        .collect();
    assert_eq!(times.len(), 5, "SYNs at 0, 1, 3, 7, 15 s: {times:?}");
    pair.run_for(Duration::from_millis(1));
    let reason = pair.client.take_error().expect("a reason");
    assert_eq!(reason.kind(), std::io::ErrorKind::TimedOut);
    assert!(
        matches!(reason, CloseReason::ConnectTimedOut { attempts: 5, .. }),
        "{reason:?}"
    );
}

#[test]
fn a_syn_ack_that_echoes_no_syn_of_ours_is_ignored() {
    use crate::wire::{Kind, Opening, Options, PacketBuilder};
    let mut pair = Pair::new(Config::default());
    pair.transmit();
    let mut buffer = [0; 256];
    let first = PacketNumber::new(77);
    let mut forged = PacketBuilder::new(&mut buffer, Kind::SynAck, Some(cid(11)), first);
    let window = Window::new(1);
    forged.opening(&Opening {
        cid: cid(66),
        max_datagram: 1_200,
        window,
        clock: 12_345,
        service: 0,
    });
    forged.options(&Options {
        cookie: Some(b"forged"),
        ..Options::default()
    });
    let len = forged.finish();
    pair.deliver(false, &buffer[..len]);
    assert!(!pair.client.is_open());
    pair.settle();
    assert_eq!(
        pair.client.peer_cid(),
        Some(cid(22)),
        "the right one is taken"
    );
}

#[test]
fn a_dropped_connect_sends_nothing_more() {
    let mut pair = Pair::new(Config::default());
    pair.transmit();
    let sent = pair.sent.len();
    pair.client.release(pair.now, Linger::Background);
    pair.settle();
    assert_eq!(pair.sent.len(), sent);
    assert!(pair.events[0].contains(&Event::Closed(Farewell::Spent)));
}
