//! Attacks on the machines without I/O; the numbers are those of docs/ARCHITECTURE.md, "Attacks".

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::connection::{ReadError, WriteError};
use aqueduct::error::CloseReason;
use aqueduct::limits::{
    DATAGRAM_BYTES_QUEUED_MAX, DATAGRAMS_QUEUED_MAX, GAPS_MAX, RST_AHEAD_MAX, UNSENT_ACKS_MAX,
};
use aqueduct::wire::{
    AckFields, Body, ConnectionId, Kind, Offset, PacketBuilder, PacketNumber, Window, decode,
    integrity,
};

use crate::alone;
use crate::attacker::{Attacker, Server, syn};
use crate::support::memory::{growth_kib, held};
use crate::support::random::Random;

const WINDOW: u32 = 1 << 20;

/// The `n`th attacker's address.
fn address(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    (Ipv4Addr::new(10, b, c, d), 40_000).into()
}

#[test]
fn attack_01_spoofed_syns_cost_nothing_and_lock_nobody_out() {
    let _alone = alone();
    const SYNS: u32 = 200_000;
    let mut server = Server::new(Config::default());
    let mut random = Random::new(1);
    // The pools fill once.
    for n in 0..1_000 {
        let cid = ConnectionId::new(random.next() | 1).expect("odd");
        server.receive(address(n), &syn(cid, PacketNumber::new(9), WINDOW));
    }
    let before = held();
    for n in 0..SYNS {
        let cid = ConnectionId::new(random.next() | 1).expect("odd");
        let packet = syn(cid, PacketNumber::new(9), WINDOW);
        let replies = server.receive(address(n % 50_000), &packet);
        let answered: usize = replies.iter().map(Vec::len).sum();
        assert!(
            answered <= packet.len(),
            "no amplification: {answered} for {}",
            packet.len()
        );
        if n % 10_000 == 0 {
            Attacker::open(&mut server, address(n), u64::from(n) + 2, WINDOW);
        }
    }
    let grown = growth_kib(before);
    println!(
        "{SYNS} SYNs: {grown} KiB more, with {} honest connections",
        server.connections.len()
    );
    assert_eq!(server.connections.len(), 20, "every honest client got in");
    assert!(grown < 8 << 10, "{grown} KiB");
}

#[test]
fn attack_04_forged_resets_reset_nothing() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let mut victim = Attacker::open(&mut server, address(1), 11, WINDOW);
    let mut random = Random::new(4);
    let rst = |cid: ConnectionId, number: PacketNumber| {
        let mut buffer = vec![0; 64];
        let len = PacketBuilder::new(&mut buffer, Kind::Rst, Some(cid), number).finish();
        buffer.truncate(len);
        buffer
    };
    // With the right address, but another id.
    for _ in 0..100_000 {
        let cid = ConnectionId::new(random.next() | 1).expect("odd");
        assert!(
            server
                .receive(victim.addr, &rst(cid, victim.next))
                .is_empty()
        );
    }
    // With the right id, but a number that cannot be.
    for number in (0..victim.next.get()).step_by(7) {
        server.receive(
            victim.addr,
            &rst(victim.server_cid, PacketNumber::new(number)),
        );
    }
    let too_far = victim.next.plus(RST_AHEAD_MAX + 1);
    server.receive(victim.addr, &rst(victim.server_cid, too_far));
    // UNKNOWN with the right id of the peer, and any number: none of ours is in flight.
    for number in 0..5_000 {
        let mut buffer = vec![0; 64];
        let number = PacketNumber::new(number);
        let len = PacketBuilder::new(&mut buffer, Kind::Unknown, Some(victim.cid), number).finish();
        server.receive(victim.addr, &buffer[..len]);
    }
    assert!(
        !server.connections[&victim.handle].is_failed(),
        "the connection lives"
    );
    let hello = victim.data(0, b"hello");
    server.receive(victim.addr, &hello);
    let connection = server.connections.get_mut(&victim.handle).expect("live");
    let mut got = [0; 8];
    assert_eq!(connection.read(&mut got).expect("data"), 5);
    // The right one is believed: the test is one that can fail.
    server.receive(victim.addr, &rst(victim.server_cid, victim.next));
    assert!(server.connections[&victim.handle].is_failed());
}

#[test]
fn attack_14_datagrams_that_nobody_takes_keep_a_bounded_queue() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let mut attacker = Attacker::open(&mut server, address(1), 11, WINDOW);
    for len in [0, 1, 1_000, 1_400] {
        for _ in 0..5_000 {
            let packet = attacker.numbered(Kind::Dgram, |packet, _| packet.payload(&vec![7; len]));
            server.receive(attacker.addr, &packet);
        }
        let held = server.connections[&attacker.handle].memory();
        assert!(held <= DATAGRAM_BYTES_QUEUED_MAX, "{held} bytes");
    }
    let connection = server.connections.get_mut(&attacker.handle).expect("live");
    let info = connection.info(server.now);
    assert_eq!(info.datagrams_received, 20_000);
    let kept = std::iter::from_fn(|| connection.recv_datagram().ok()).count();
    assert!(kept <= DATAGRAMS_QUEUED_MAX, "{kept} datagrams");
    assert_eq!(
        info.datagrams_unread,
        20_000 - u64::try_from(kept).expect("small")
    );

    // Who says that it takes none, gets none.
    let mut server = Server::new(Config::default().with_datagram_max(0));
    let mut attacker = Attacker::open(&mut server, address(1), 11, WINDOW);
    let packet = attacker.numbered(Kind::Dgram, |packet, _| packet.payload(b"unasked"));
    server.receive(attacker.addr, &packet);
    let info = server.connections[&attacker.handle].info(server.now);
    assert_eq!((info.datagrams_received, info.packets_rejected), (0, 1));
}

#[test]
fn attack_06_blind_data_reaches_nobody() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let victim = Attacker::open(&mut server, address(1), 11, WINDOW);
    let mut random = Random::new(6);
    for _ in 0..100_000 {
        let mut blind = victim.clone();
        blind.server_cid = ConnectionId::new(random.next() | 1).expect("odd");
        let packet = blind.data(0, b"injected");
        let replies = server.receive(victim.addr, &packet);
        let answered: usize = replies.iter().map(Vec::len).sum();
        assert!(answered <= packet.len(), "no amplification");
    }
    let connection = server.connections.get_mut(&victim.handle).expect("live");
    assert_eq!(connection.read(&mut [0; 8]), Err(ReadError::Blocked));
    assert_eq!(connection.info(server.now).bytes_received, 0);
}

/// Queues `len` bytes at the server's side of the connection and lets them leave.
fn send_from_server(server: &mut Server, attacker: &Attacker, len: usize) -> Vec<Vec<u8>> {
    let connection = server.connections.get_mut(&attacker.handle).expect("live");
    let written = connection
        .write(&vec![5; len])
        .expect("the send buffer takes it");
    assert_eq!(written, len);
    server.drain(attacker.handle)
}

/// The number of a packet from the server.
fn number_of(datagram: &[u8], attacker: &Attacker) -> PacketNumber {
    decode(datagram)
        .expect("a packet")
        .pn
        .expand(attacker.server_first)
}

#[test]
fn attack_09_acknowledgements_of_unsent_packets_change_nothing_and_end_the_connection() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let attacker = Attacker::open(&mut server, address(1), 11, WINDOW);
    let sent = send_from_server(&mut server, &attacker, 5_000);
    let last = number_of(sent.last().expect("data"), &attacker);
    let before = server.connections[&attacker.handle].info(server.now);
    let beyond_stream = AckFields {
        ack_offset: Offset::new(1 << 30),
        ..attacker.nothing(WINDOW)
    };
    for n in 0..u64::from(UNSENT_ACKS_MAX) {
        let ack = match n % 2 {
            0 => attacker.ack(n + 1, &attacker.nothing(WINDOW), last.plus(1 + n)),
            _ => attacker.ack(n + 1, &beyond_stream, attacker.server_first),
        };
        server.receive(attacker.addr, &ack);
        let now = server.connections[&attacker.handle].info(server.now);
        assert_eq!((now.cwnd, now.srtt), (before.cwnd, before.srtt));
        assert_eq!(now.bytes_acked, 0, "nothing of it was believed");
    }
    assert!(
        !server.connections[&attacker.handle].is_failed(),
        "strays are forgiven"
    );
    let ack = attacker.ack(99, &attacker.nothing(WINDOW), last.plus(1_000));
    let replies = server.receive(attacker.addr, &ack);
    let is_rst =
        |datagram: &Vec<u8>| matches!(decode(datagram).expect("a packet").body, Body::Rst { .. });
    assert!(replies.iter().any(is_rst), "a habit is not");
    let connection = server
        .connections
        .get_mut(&attacker.handle)
        .expect("still readable");
    match connection.read(&mut [0; 8]) {
        Err(ReadError::Failed(CloseReason::Protocol(_))) => {}
        other => panic!("not the peer's fault: {other:?}"),
    }
}

/// What an attacker gains who acknowledges everything the moment it is sent, a round trip before it could.
struct Optimist {
    /// The round in which the connection was reset.
    caught: Option<u32>,
    /// The largest window before that.
    cwnd_max: u64,
}

/// Plays rounds of ten acknowledgements each; an honest receiver's window doubles in each.
fn be_optimistic(seed: u64, rounds: u32) -> Optimist {
    let config = Config::default();
    let mut server = Server::seeded(config, aqueduct::config::EndpointConfig::default(), seed);
    let attacker = Attacker::open(&mut server, address(1), 11, 1 << 24);
    let mut newest = attacker.server_first;
    let mut note = |sent: &[Vec<u8>]| {
        let numbers = sent.iter().filter(|datagram| {
            matches!(
                decode(datagram).expect("a packet").body,
                Body::Data(_) | Body::Probe(_)
            )
        });
        newest = numbers
            .map(|one| number_of(one, &attacker))
            .fold(newest, PacketNumber::max);
        newest
    };
    note(&send_from_server(&mut server, &attacker, 900_000));
    let (mut cwnd_max, mut number) = (0, 0);
    for round in 1..=rounds {
        for _ in 0..10 {
            number += 1;
            let up_to = note(&[]);
            let ack = attacker.ack(number, &attacker.nothing(1 << 24), up_to);
            note(&server.receive(attacker.addr, &ack));
            for (_, datagram) in server.advance(Duration::from_millis(2)) {
                note(&[datagram]);
            }
            let connection = &server.connections[&attacker.handle];
            if connection.is_failed() {
                let caught = Some(round);
                return Optimist { caught, cwnd_max };
            }
            cwnd_max = cwnd_max.max(connection.info(server.now).cwnd);
        }
    }
    Optimist {
        caught: None,
        cwnd_max,
    }
}

/// whoever acknowledges what cannot have arrived yet names a number that was never sent.
#[test]
fn attack_09_acknowledgements_before_the_packets_arrive_are_found_out() {
    let _alone = alone();
    const RUNS: u64 = 1_000;
    let runs: Vec<_> = (0..RUNS).map(|seed| be_optimistic(seed, 3)).collect();
    let caught = runs.iter().filter(|run| run.caught.is_some()).count();
    let peak = runs.iter().map(|run| run.cwnd_max).max().expect("some");
    // Ten datagrams at first, twice as many with every round trip.
    let honest = 12_000 << 3;
    println!("{caught} of {RUNS} caught within three rounds, window at most {peak} of {honest}");
    assert!(caught >= 999, "{caught}");
    assert!(peak <= 2 * honest, "{peak}");
}

#[test]
fn attack_10_a_thousand_acknowledgements_of_one_packet_count_once() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let attacker = Attacker::open(&mut server, address(1), 11, WINDOW);
    let sent = send_from_server(&mut server, &attacker, 200_000);
    let first = number_of(&sent[0], &attacker);
    let before = server.connections[&attacker.handle].info(server.now);
    let size = u64::try_from(sent[0].len()).expect("small");
    server.advance(Duration::from_millis(5));
    for n in 1..=1_400 {
        // One byte more in each, all of them of the one packet.
        let acked = n.min(1_000);
        let fields = AckFields {
            ack_offset: Offset::new(acked),
            ..attacker.nothing(WINDOW)
        };
        server.receive(attacker.addr, &attacker.ack(n, &fields, first));
    }
    let after = server.connections[&attacker.handle].info(server.now);
    let grown = after.cwnd.saturating_sub(before.cwnd);
    assert!(
        grown <= size,
        "the window grew by {grown} bytes for a packet of {size}"
    );
}

#[test]
fn attack_14_one_byte_segments_with_holes_stay_within_the_bound() {
    let _alone = alone();
    const PEERS: u32 = 100;
    let window = u64::from(Config::default().receive_window());
    let mut server = Server::new(Config::default());
    let mut attackers: Vec<_> = (0..PEERS)
        .map(|n| Attacker::open(&mut server, address(n), u64::from(n) + 1, WINDOW))
        .collect();
    let before = held();
    for attacker in &mut attackers {
        // First over the whole window, so that every chunk is touched; then the densest holes that there are.
        let spread = (1..window).step_by(usize::try_from(window).expect("small") / GAPS_MAX);
        let dense = (1..window).step_by(2).take(4 * GAPS_MAX);
        for offset in spread.chain(dense) {
            let packet = attacker.data(offset, b"x");
            server.receive(attacker.addr, &packet);
        }
    }
    let (grown, bound) = (growth_kib(before), u64::from(PEERS) * (window / 1_024 + 40));
    println!("{PEERS} peers with holes: {grown} KiB more, bound {bound} KiB");
    assert!(grown <= bound, "{grown} KiB, bound {bound} KiB");
    for attacker in &mut attackers {
        // The first hole is filled: exactly the bytes up to the next one can be read.
        let packet = attacker.data(0, b"y");
        server.receive(attacker.addr, &packet);
        let connection = server.connections.get_mut(&attacker.handle).expect("live");
        let mut got = [0; 16];
        let len = connection.read(&mut got).expect("data");
        assert_eq!(&got[..len], b"yx");
    }
}

#[test]
fn attack_14_nothing_beyond_the_window_is_kept() {
    let _alone = alone();
    let window = u64::from(Config::default().receive_window());
    let mut server = Server::new(Config::default());
    let mut attacker = Attacker::open(&mut server, address(1), 11, WINDOW);
    let before = held();
    for n in 0..10_000 {
        let packet = attacker.data(window + n * 1_000_003, &[1; 1_000]);
        server.receive(attacker.addr, &packet);
    }
    assert!(growth_kib(before) < 1_024, "{} KiB", growth_kib(before));
    let info = server.connections[&attacker.handle].info(server.now);
    assert_eq!(info.bytes_received, 0);
    assert!(
        !server.connections[&attacker.handle].is_failed(),
        "dropped, and the window said again"
    );
}

#[test]
fn attack_16_peers_with_a_closed_window_cost_their_buffers_and_few_probes() {
    let _alone = alone();
    const PEERS: u32 = 300;
    const OWED: usize = 64 << 10;
    let mut server = Server::new(Config::default().with_user_timeout(None));
    let before = held();
    let attackers: Vec<_> = (0..PEERS)
        .map(|n| Attacker::open(&mut server, address(n), u64::from(n) + 1, 0))
        .collect();
    for attacker in &attackers {
        let sent = send_from_server(&mut server, attacker, OWED);
        let is_data =
            |datagram: &Vec<u8>| matches!(decode(datagram).expect("a packet").body, Body::Data(_));
        assert!(!sent.iter().any(is_data), "not one byte past the window");
    }
    // Ten minutes in which every probe is answered, and the window stays closed.
    let (mut probes, mut number) = (0_u64, 1);
    for _ in 0..600 {
        for (handle, datagram) in server.advance(Duration::from_secs(1)) {
            probes += 1;
            number += 1;
            let attacker = attackers
                .iter()
                .find(|a| a.handle == handle)
                .expect("one of them");
            let up_to = number_of(&datagram, attacker).max(attacker.server_first);
            let ack = attacker.ack_one(number, &attacker.nothing(0), up_to);
            server.receive(attacker.addr, &ack);
        }
    }
    let (each, grown) = (probes / u64::from(PEERS), growth_kib(before));
    println!("{PEERS} closed windows: {each} probes each in ten minutes, {grown} KiB more");
    assert!(
        (5..=60).contains(&each),
        "probes back off to one a minute: {each}"
    );
    assert!(grown < u64::from(PEERS) * 200, "{grown} KiB");
    assert!(
        server
            .connections
            .values()
            .all(|connection| !connection.is_failed()),
        "RFC 9293 MUST-37"
    );
    // An honest one among them is served.
    let honest = Attacker::open(&mut server, address(PEERS), 9_999, WINDOW);
    let sent = send_from_server(&mut server, &honest, 10_000);
    assert!(sent.iter().map(Vec::len).sum::<usize>() > 9_000);
    // And whoever opens his window gets what he is owed.
    let opened = attackers[0].ack(
        1 << 20,
        &attackers[0].nothing(WINDOW),
        attackers[0].server_first,
    );
    let sent = server.receive(attackers[0].addr, &opened);
    assert!(!sent.is_empty(), "the data goes");
}

#[test]
fn attack_16_a_closed_window_ends_with_the_user_timeout_when_nobody_answers() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let attacker = Attacker::open(&mut server, address(1), 11, 0);
    send_from_server(&mut server, &attacker, 1_000);
    server.advance(Duration::from_secs(300));
    let connection = server
        .connections
        .get_mut(&attacker.handle)
        .expect("still readable");
    assert!(connection.is_failed(), "silence ends it");
    match connection.write(b"x") {
        Err(WriteError::Failed(CloseReason::TimedOut { .. })) => {}
        other => panic!("another end: {other:?}"),
    }
}

#[test]
fn attack_20_a_window_that_goes_back_is_ignored() {
    let _alone = alone();
    let mut server = Server::new(Config::default());
    let attacker = Attacker::open(&mut server, address(1), 11, 10_000);
    let wide = attacker.ack(1, &attacker.nothing(20_000), attacker.server_first.prev());
    let narrow = attacker.ack(2, &attacker.nothing(100), attacker.server_first.prev());
    server.receive(attacker.addr, &wide);
    server.receive(attacker.addr, &narrow);
    let mut sent = send_from_server(&mut server, &attacker, 30_000);
    // The pacer lets the rest of the congestion window go a little later.
    let later = server.advance(Duration::from_millis(100));
    sent.extend(later.into_iter().map(|(_, datagram)| datagram));
    let end_of = |datagram: &Vec<u8>| match decode(datagram).expect("a packet").body {
        Body::Data(data) => data.offset.plus_len(data.payload.len()).get(),
        _ => 0,
    };
    let end = sent.iter().map(end_of).max().expect("data");
    assert!(
        (10_001..=20_000).contains(&end),
        "sent up to {end}: the edge is at 20,000, and was once at 10,000"
    );
}

#[test]
fn attack_37_spoiled_packets_with_a_right_checksum_do_no_harm() {
    let _alone = alone();
    const ROUNDS: usize = 100_000;
    let mut random = Random::new(37);
    let mut server = Server::new(Config::default());
    let mut victim = Attacker::open(&mut server, address(1), 11, WINDOW);
    send_from_server(&mut server, &victim, 50_000);
    let before = held();
    let mut reopened = 0;
    for n in 0..ROUNDS {
        let mut packet = match n % 3 {
            0 => victim.data(random.next() >> (random.below(63)), &[7; 40]),
            1 => victim.numbered(Kind::Probe, |_, _| ()),
            _ => {
                let fields = AckFields {
                    window: Window::new(5),
                    ..victim.nothing(1)
                };
                victim.ack(
                    random.next(),
                    &fields,
                    victim.server_first.plus(random.next() % 8),
                )
            }
        };
        // The id stays, so that it reaches the connection; the rest may change.
        for _ in 0..=random.below(4) {
            let at = random.below(packet.len());
            if !(4..16).contains(&at) {
                packet[at] = random.bytes(1)[0];
            }
        }
        let sum = integrity::checksum(&packet);
        packet[4..8].copy_from_slice(&sum.to_be_bytes());
        server.receive(victim.addr, &packet);
        if server.connections[&victim.handle].is_failed() {
            // A broken rule ends the connection, and nothing else.
            reopened += 1;
            server.connections.remove(&victim.handle);
            let cid = u64::try_from(n).expect("small") + 100;
            victim = Attacker::open(&mut server, address(1), cid, WINDOW);
            send_from_server(&mut server, &victim, 50_000);
        }
    }
    println!(
        "{ROUNDS} spoiled packets: {reopened} connections ended, {} KiB more",
        growth_kib(before)
    );
    assert!(growth_kib(before) < 64 << 10);
    Attacker::open(&mut server, address(2), 12, WINDOW);
}
