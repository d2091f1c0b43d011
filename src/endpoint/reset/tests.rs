use super::*;
use crate::wire::{self, integrity};

fn meta(from: &str) -> Meta {
    Meta {
        from: from.parse().expect("an address"),
        to_ip: None,
        ecn: None,
    }
}

#[test]
fn answers_are_short_and_intact() {
    let dcid = ConnectionId::new(0x77).expect("not 0");
    for answer in [
        Answer::Unknown,
        Answer::Reset(ResetCode::REFUSED),
        Answer::Versions { of: 9 },
    ] {
        let mut room = [0xaa; ANSWER_BYTES];
        let len = answer.write(&mut room, dcid, PacketNumber::new(5));
        assert!(integrity::is_intact(&room[..len]));
        assert!(len <= ANSWER_BYTES);
        if !matches!(answer, Answer::Versions { .. }) {
            assert_eq!(len, 32);
            let packet = wire::decode(&room[..len]).expect("a packet");
            assert_eq!((packet.dcid, packet.pn.get()), (Some(dcid), 5));
        }
    }
}

#[test]
fn networks_share_a_bounded_table() {
    let mut limit = AnswerLimit::new([1; 16]);
    assert_eq!(limit.capacity(), 0);
    for (second, network) in (0..10_000).zip(0_u32..) {
        let ip = std::net::Ipv4Addr::from(network << 8);
        let meta = Meta {
            from: (ip, 4_000).into(),
            ..meta("192.0.2.1:1000")
        };
        // Address 0.0.0.0 is no host.
        assert_eq!(
            limit.take(Time::from_millis(second * 1_000), &meta).is_ok(),
            network != 0
        );
    }
    assert!(limit.capacity() <= 65_536);
}

#[test]
fn one_network_is_a_24_or_a_56() {
    let limit = AnswerLimit::new([1; 16]);
    let slot = |ip: &str| limit.slot(ip.parse().expect("an address"));
    assert_eq!(slot("192.0.2.1"), slot("192.0.2.255"));
    assert_eq!(slot("192.0.2.1"), slot("::ffff:192.0.2.9"));
    assert_ne!(slot("192.0.2.1"), slot("192.0.3.1"));
    assert_eq!(slot("2001:db8:0:0100::1"), slot("2001:db8:0:01ff:ffff::2"));
    assert_ne!(slot("2001:db8:0:0100::1"), slot("2001:db8:0:0200::1"));
    let other = AnswerLimit::new([2; 16]);
    let ips = (0..64_u32).map(|at| IpAddr::from(std::net::Ipv4Addr::from(at << 8)));
    let differing = ips.filter(|ip| limit.slot(*ip) != other.slot(*ip)).count();
    assert!(
        differing > 60,
        "which networks share a slot depends on the key"
    );
}

#[test]
fn a_refused_answer_counts_for_nobody() {
    let mut limit = AnswerLimit::new([1; 16]);
    let now = Time::ZERO;
    for _ in 0..5_000 {
        assert_eq!(
            limit.take(now, &meta("192.0.2.1:53")),
            Err(DropReason::Unanswerable)
        );
    }
    for count in 0..5_000 {
        let taken = limit.take(now, &meta("192.0.2.1:4000"));
        assert_eq!(taken.is_ok(), count < 10);
    }
    // The network's excess did not use up the socket's answers.
    let mut answered = 0;
    for network in 0..5_000_u32 {
        let ip = std::net::Ipv4Addr::from(0x0a00_0000 + (network << 8));
        let meta = Meta {
            from: (ip, 4_000).into(),
            ..meta("192.0.2.1:4000")
        };
        answered += u32::from(limit.take(now, &meta).is_ok());
    }
    assert_eq!(answered, 990);
}
