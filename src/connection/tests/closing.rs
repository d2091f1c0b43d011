use super::*;

fn closed(events: &[Event]) -> Option<Farewell> {
    events.iter().find_map(|event| match event {
        Event::Closed(farewell) => Some(*farewell),
        _ => None,
    })
}

#[test]
fn the_side_that_finishes_first_keeps_time_wait_and_the_other_is_gone() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(b"last words").expect("room");
    pair.client.shutdown_write();
    pair.settle();
    assert_eq!(pair.client.state(), TcpState::FinWait2);
    assert_eq!(pair.server().state(), TcpState::CloseWait);
    assert_eq!(read_all(pair.server()), b"last words");
    let mut buf = [0; 1];
    assert_eq!(
        pair.server().read(&mut buf),
        Ok(0),
        "the end, after every byte"
    );
    pair.server().write(b"answer").expect("room");
    pair.server().shutdown_write();
    pair.settle();
    assert_eq!(read_all(&mut pair.client), b"answer");
    assert_eq!(pair.client.read(&mut buf), Ok(0));
    assert_eq!(pair.client.state(), TcpState::TimeWait);
    assert!(matches!(
        closed(&pair.events[0]),
        Some(Farewell::TimeWait(_))
    ));
    assert_eq!(closed(&pair.events[1]), Some(Farewell::Spent));
    assert_eq!(pair.next(), None);
}

#[test]
fn simultaneous_close_delivers_everything_and_both_keep_time_wait() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(b"from client").expect("room");
    pair.client.shutdown_write();
    pair.server().write(b"from server").expect("room");
    pair.server().shutdown_write();
    pair.settle();
    assert_eq!(read_all(&mut pair.client), b"from server");
    assert_eq!(read_all(pair.server()), b"from client");
    for events in &pair.events {
        assert!(
            matches!(closed(events), Some(Farewell::TimeWait(_))),
            "{events:?}"
        );
    }
}

#[test]
fn a_fin_that_is_lost_is_sent_again_alone_and_with_data() {
    for data in [&b""[..], b"with data"] {
        let mut pair = Pair::open(Config::default());
        let mut fins = 0;
        pair.fate = Box::new(move |_, _, packet| {
            fins += usize::from(packet.flags.fin);
            !(packet.flags.fin && fins <= 2)
        });
        if !data.is_empty() {
            pair.client.write(data).expect("room");
        }
        pair.client.shutdown_write();
        pair.settle();
        assert_eq!(read_all(pair.server()), data);
        assert_eq!(pair.server().read(&mut [0; 1]), Ok(0));
        assert_eq!(pair.client.state(), TcpState::FinWait2);
    }
}

#[test]
fn a_reset_leaves_received_bytes_readable_and_is_told_once() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(b"before").expect("room");
    pair.run_for(ONE_WAY * 3);
    pair.client.abort(ResetCode::from_application(300));
    pair.settle();
    let mut buf = [0; 16];
    assert_eq!(pair.server().read(&mut buf), Ok(6));
    let reason = CloseReason::Reset(ResetCode::from_application(300));
    assert_eq!(pair.server().read(&mut buf), Err(ReadError::Failed(reason)));
    assert_eq!(pair.server().read(&mut buf), Ok(0));
    assert_eq!(pair.server().write(b"x"), Err(WriteError::Closed));
    let now = pair.now;
    assert_eq!(pair.server().info(now).reset_code, Some(300));
}

#[test]
fn a_connection_released_with_unread_data_delivers_its_own_before_the_reset() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(b"never read").expect("room");
    pair.run_for(ONE_WAY * 3);
    pair.server().write(b"my last words").expect("room");
    let now = pair.now;
    pair.server().release(now, Linger::Background);
    pair.settle();
    let mut buf = [0; 32];
    assert_eq!(pair.client.read(&mut buf), Ok(13));
    assert_eq!(&buf[..13], b"my last words");
    let reason = CloseReason::Reset(ResetCode::UNREAD);
    assert_eq!(pair.client.read(&mut buf), Err(ReadError::Failed(reason)));
    assert_eq!(pair.client.read(&mut buf), Ok(0));
    assert_eq!(pair.client.write(b"x"), Err(WriteError::Closed));
    assert_eq!(closed(&pair.events[1]), Some(Farewell::Spent));
}

#[test]
fn writing_to_a_peer_that_has_closed_succeeds_once_and_then_is_a_broken_pipe() {
    let mut pair = Pair::open(Config::default());
    let now = pair.now;
    pair.server().release(now, Linger::Background);
    pair.settle();
    assert_eq!(pair.client.read(&mut [0; 1]), Ok(0));
    assert_eq!(pair.client.write(b"nobody reads this"), Ok(17));
    pair.settle();
    assert_eq!(pair.client.write(b"x"), Err(WriteError::Closed));
    assert_eq!(pair.client.read(&mut [0; 1]), Ok(0));
}

#[test]
fn fin_wait_2_without_an_owner_ends_after_a_minute() {
    let mut pair = Pair::open(Config::default());
    pair.client.release(pair.now, Linger::Background);
    pair.run_for(Duration::from_secs(50));
    assert_eq!(closed(&pair.events[0]), None);
    pair.run_for(Duration::from_secs(15));
    assert_eq!(closed(&pair.events[0]), Some(Farewell::Spent));
}

#[test]
fn a_fin_passes_a_closed_window() {
    let mut pair = Pair::open(Config::default().with_receive_window(10_000));
    assert_eq!(pair.client.write(&bytes_of(1, 0, 10_000)), Ok(10_000));
    pair.client.shutdown_write();
    pair.settle();
    assert_eq!(pair.client.state(), TcpState::FinWait2);
    assert_eq!(read_all(pair.server()).len(), 10_000);
}

#[test]
fn an_unanswered_flight_ends_the_connection_at_the_user_timeout() {
    let mut pair = Pair::open(Config::default());
    pair.fate = Box::new(|_, _, _| false);
    pair.client.write(b"anybody?").expect("room");
    pair.run_for(Duration::from_millis(59_999));
    assert!(!pair.client.is_failed());
    pair.run_for(Duration::from_millis(2));
    let reason = CloseReason::TimedOut {
        after: Duration::from_secs(60),
    };
    assert_eq!(
        pair.client.read(&mut [0; 1]),
        Err(ReadError::Failed(reason))
    );
    assert_eq!(pair.next(), None);
}

/// The number of the packet that was sent last.
fn last_sent(pair: &Pair) -> TruncatedNumber {
    let (_, _, bytes) = pair.sent.last().expect("a packet");
    decode(bytes).expect("a packet").pn
}

#[test]
fn port_unreachables_end_a_connection_only_when_every_probe_draws_one() {
    let mut pair = Pair::open(Config::default());
    pair.fate = Box::new(|_, _, _| false);
    pair.client.write(b"x").expect("room");
    pair.transmit();
    let start = pair.now;
    let interval = pair.client.recovery.pto().max(Duration::from_millis(10));
    for strike in 1..=4 {
        assert!(!pair.client.is_failed(), "before strike {strike}");
        let pn = last_sent(&pair);
        let stale = TruncatedNumber::new(pn.get().wrapping_sub(4_000));
        pair.client
            .handle_icmp(pair.now, IcmpError::PortUnreachable, Some(stale));
        pair.client
            .handle_icmp(pair.now, IcmpError::Unreachable, Some(pn));
        assert!(!pair.client.is_failed(), "unverified or another error");
        pair.client
            .handle_icmp(pair.now, IcmpError::PortUnreachable, Some(pn));
        pair.run_for(interval);
    }
    assert_eq!(pair.client.take_error(), Some(CloseReason::Gone));
    assert!(pair.now - start < Duration::from_secs(1));
}

/// A NAT forgets the peer, and a host behind it says of each packet that the old port is closed.
#[test]
fn a_flow_that_goes_on_draws_no_more_errors_that_count_than_the_probes_do() {
    let mut pair = Pair::open(Config::default());
    pair.fate = Box::new(|_, _, _| false);
    let begin = pair.now;
    let interval = pair.client.recovery.pto().max(Duration::from_millis(10));
    let mut errors = 0;
    while !pair.client.is_failed() {
        pair.client.write(&[7; 100]).expect("room");
        pair.run_for(Duration::from_millis(1));
        let pn = last_sent(&pair);
        pair.client
            .handle_icmp(pair.now, IcmpError::PortUnreachable, Some(pn));
        errors += 1;
    }
    let after = pair.now - begin;
    println!("{after:?}, {errors} errors, {interval:?} between those that count");
    assert!(after >= 3 * interval, "{after:?}");
    assert!(after <= 5 * interval, "{after:?}");
}

#[test]
fn unknown_is_believed_only_for_a_packet_in_flight() {
    use crate::wire::{Kind, PacketBuilder};
    let mut pair = Pair::open(Config::default());
    pair.fate = Box::new(|_, _, _| false);
    pair.client.write(b"x").expect("room");
    pair.transmit();
    let pn = decode(&pair.sent.last().expect("a packet").2)
        .expect("a packet")
        .pn;
    for (number, believed) in [
        (pn.get() - 1, false),
        (pn.get() + 1, false),
        (pn.get(), true),
    ] {
        let mut buffer = [0; 32];
        let echoed = TruncatedNumber::new(number);
        let len = PacketBuilder::new(&mut buffer, Kind::Unknown, Some(cid(22)), echoed).finish();
        pair.deliver(false, &buffer[..len]);
        assert_eq!(pair.client.is_failed(), believed, "{number}");
    }
    assert_eq!(pair.client.take_error(), Some(CloseReason::Forgotten));
}

#[test]
fn a_reset_with_an_implausible_number_is_dropped() {
    use crate::wire::{Kind, PacketBuilder};
    let mut pair = Pair::open(Config::default());
    for (number, believed) in [
        (8_999, false),
        (9_000 + (1 << 24) + 1, false),
        (9_000, true),
    ] {
        let mut buffer = [0; 32];
        let number = PacketNumber::new(number);
        let len = PacketBuilder::new(&mut buffer, Kind::Rst, Some(cid(11)), number).finish();
        pair.deliver(false, &buffer[..len]);
        assert_eq!(pair.client.is_failed(), believed, "{number:?}");
    }
}
