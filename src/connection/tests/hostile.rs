//! What a hostile or unlucky peer must not achieve.
use super::*;
use crate::wire::{AckFields, Kind, PacketBuilder};

fn to_server(pair: &mut Pair, build: impl FnOnce(&mut PacketBuilder<'_>), kind: Kind, number: u64) {
    let mut buffer = [0; 256];
    let mut packet =
        PacketBuilder::new(&mut buffer, kind, Some(cid(22)), PacketNumber::new(number));
    build(&mut packet);
    let len = packet.finish();
    pair.deliver(true, &buffer[..len]);
}

/// A peer that sends PATH challenges and acknowledges only the oldest response grows `SentPackets`; however often.
#[test]
fn path_challenges_do_not_grow_what_is_tracked() {
    for every in [10_000, 16, 2] {
        path_challenges_with_an_acknowledgement(every);
    }
}

fn path_challenges_with_an_acknowledgement(every: u64) {
    let mut pair = Pair::open(Config::default());
    let mut number = 6_000;
    let mut batch = Batch::new();
    let mut next_ack = pair.server().recovery.next_number().get();
    for n in 0..100_000u64 {
        pair.now += Duration::from_millis(1);
        let now = pair.now;
        number += 1;
        to_server(
            &mut pair,
            |packet| {
                packet.aux(0);
                packet.offset(n);
            },
            Kind::Path,
            number,
        );
        if n % every == every - 1 {
            let ack = PacketNumber::new(next_ack);
            next_ack += 1;
            let fields = AckFields {
                delay: Duration::ZERO,
                dropped: false,
                ack_offset: Offset::ZERO,
                window: Window::new(256 << 10),
                unread: 0,
                ecn: None,
            };
            to_server(
                &mut pair,
                |packet| {
                    packet.offset(n);
                    packet.ack(&fields, std::iter::once(ack..=ack), 0);
                },
                Kind::Ack,
                5_000,
            );
        }
        let server = pair.server();
        if server.poll_timeout().is_some_and(|due| due.at <= now) {
            server.handle_timeout(now);
        }
        loop {
            batch.clear();
            if server.poll_transmit(now, &mut batch).is_none() {
                break;
            }
        }
        while server.poll_event().is_some() {}
    }
    let snapshot = pair.server().recovery.snapshot();
    println!(
        "one of {every} acknowledged: open {} in flight: {} packets, {} bytes, cwnd {}",
        pair.server().is_open(),
        snapshot.packets_in_flight,
        snapshot.bytes_in_flight,
        snapshot.cwnd
    );
    assert!(
        !pair.server().is_open() || snapshot.packets_in_flight < 1_000,
        "tracks {}",
        snapshot.packets_in_flight
    );
}

/// Numbers that jump as far as the wire allows would reach the end of all numbers after 2^33 packets.
#[test]
fn a_number_far_ahead_is_not_taken() {
    let mut pair = Pair::open(Config::default());
    let largest = pair.server().acks.largest().get();
    for (ahead, taken) in [(1 << 31, false), ((1 << 24) + 1, false), (1 << 24, true)] {
        to_server(&mut pair, |_| (), Kind::Probe, largest + ahead);
        assert_eq!(
            pair.server().acks.largest().get() == largest + ahead,
            taken,
            "{ahead}"
        );
    }
}

/// The acknowledgement of a probe that went over the old path says nothing of the new one.
#[test]
fn a_probe_of_the_old_path_does_not_raise_the_size_on_the_new_one() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(&vec![1; 100_000]).expect("room");
    pair.transmit();
    assert!(
        pair.sent
            .iter()
            .any(|(_, up, bytes)| *up && bytes.len() == 1_472),
        "a probe left"
    );
    let now = pair.now;
    pair.client.follow(now, path::PathAction::Moved);
    assert_eq!(pair.client.mtu.size(), 1_200);
    let probed_again = pair.sent.len();
    pair.fate = Box::new(|_, up, packet| !(up && matches!(packet.body, Body::Probe(_))));
    pair.run_for(Duration::from_millis(25));
    let sizes: Vec<usize> = pair.sent[probed_again..]
        .iter()
        .filter(|s| s.1)
        .map(|s| s.2.len())
        .collect();
    assert_eq!(
        pair.client.mtu.size(),
        1_200,
        "raised by a probe of the old path; sizes since {sizes:?}"
    );
}

/// docs/SEMANTICS.md: what a dropped stream left is flushed until acknowledged or the user timeout.
#[test]
fn a_dropped_stream_whose_peer_never_reads_ends_with_the_user_timeout() {
    let mut pair = Pair::open(Config::default());
    pair.server().write(&vec![1; 1 << 20]).expect("room");
    let now = pair.now;
    pair.server().release(now, Linger::Background);
    pair.run_for(Duration::from_secs(24 * 3600));
    let memory = pair.server().memory();
    assert!(
        !pair.server().is_open() || memory == 0,
        "a day later {:?}, memory {memory}",
        pair.server().state()
    );
}

/// docs/WIRE.md: a port-unreachable starts three probes; each must draw another before the peer is gone.
#[test]
fn one_packet_quoted_four_times_at_once_does_not_end_the_connection() {
    let mut pair = Pair::open(Config::default());
    pair.client.write(b"x").expect("room");
    pair.transmit();
    let number = pair.client.recovery.next_number().prev().truncate();
    let (now, from) = (pair.now, pair.sent.len());
    for _ in 0..4 {
        pair.client
            .handle_icmp(now, IcmpError::PortUnreachable, Some(number));
    }
    assert!(
        !pair.client.is_failed(),
        "gone at once, after {} probes",
        pair.kinds_since(from).len()
    );
}

/// A peer's MAX_ACK_DELAY may be over an hour on the wire; our timers do not wait for that.
#[test]
fn a_peer_cannot_stretch_our_timers_by_its_acknowledgement_delay() {
    let mut pair = Pair::open(Config::default());
    let terms = crate::connection::opening::PeerTerms {
        cid: cid(22),
        first: PacketNumber::new(9_000),
        window: Window::new(1),
        max_datagram: 1_200,
        max_ack_delay: Some(Duration::from_secs(4_294)),
        idle_timeout: None,
        dgram_max: None,
        features: None,
        incarnation: None,
        rtt: None,
    };
    let now = pair.now;
    pair.client.establish(now, terms);
    assert!(pair.client.recovery.pto() < Duration::from_secs(2));
}
