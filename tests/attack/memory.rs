//! Crowds that want more memory than the endpoint has (threats 14 and 16 of the list, A-11).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::connection::{ReadError, WriteError};
use aqueduct::endpoint::DropReason;
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::wire::{AckFields, Body, ConnectionId, Offset, PacketNumber, decode};

use crate::alone;
use crate::attacker::{Attacker, Server, syn};
use crate::support::memory::{growth_kib, held};

const WINDOW: u32 = 1 << 20;
/// The endpoint's budget in these tests, bytes.
const BUDGET: usize = 64 << 20;
/// Bytes of data in a packet.
const PIECE: usize = 1_024;

fn address(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    (Ipv4Addr::new(10, b, c, d), 40_000).into()
}

fn server(config: Config) -> Server {
    Server::with(config, EndpointConfig::default().with_memory(BUDGET))
}

fn crowd(server: &mut Server, peers: u32, window: u32) -> Vec<Attacker> {
    (0..peers)
        .map(|n| Attacker::open(server, address(n), u64::from(n) + 1, window))
        .collect()
}

/// The bytes that the server has acknowledged to this peer stay readable, each one.
fn read_all(server: &mut Server, attacker: &Attacker) -> u64 {
    let connection = server.connections.get_mut(&attacker.handle).expect("live");
    let mut buffer = vec![0; 1 << 16];
    let mut read = 0;
    while let Ok(len) = connection.read(&mut buffer) {
        assert!(buffer[..len].iter().all(|byte| *byte == 7));
        read += u64::try_from(len).expect("small");
    }
    read
}

/// Says whether a stranger's SYN is answered.
fn is_answered(server: &mut Server, n: u32) -> bool {
    let cid = ConnectionId::new(u64::from(n) + 1).expect("not 0");
    let packet = syn(cid, PacketNumber::new(9), WINDOW);
    !server.receive(address(n), &packet).is_empty()
}

#[test]
fn attack_14_four_thousand_unread_connections_stay_within_the_budget() {
    let _alone = alone();
    const PEERS: u32 = 4_000;
    let mut server = server(Config::default());
    let mut attackers = crowd(&mut server, PEERS, WINDOW);
    let before = held();
    // Each sends a quarter of what its window allows: 250 MiB in all, four times what there is.
    let sent = usize::try_from(Config::default().receive_window() / 4).expect("small");
    for offset in (0..sent).step_by(PIECE) {
        for attacker in &mut attackers {
            let packet = attacker.data(u64::try_from(offset).expect("small"), &[7; PIECE]);
            server.receive(attacker.addr, &packet);
            assert!(server.endpoint.budget().held() <= BUDGET);
        }
    }
    let (grown, limit) = (
        growth_kib(before),
        u64::try_from(BUDGET >> 10).expect("small"),
    );
    println!("{PEERS} unread connections: {grown} KiB more, budget {limit} KiB");
    // Beside their data each costs a record of its packets, which another test bounds.
    assert!(grown <= limit + u64::from(PEERS) * 4, "{grown} KiB");
    assert!(
        server.evicted.is_empty(),
        "nobody has stood still for a second yet"
    );
    // What was acknowledged is there.
    for attacker in &attackers {
        let acked = server.connections[&attacker.handle]
            .info(server.now)
            .bytes_received;
        assert_eq!(read_all(&mut server, attacker), acked);
    }
    // The readers have made room: newcomers are served.
    for attacker in &attackers {
        server.drain(attacker.handle);
    }
    server.leap(Duration::from_secs(2));
    assert!(is_answered(&mut server, PEERS));
}

#[test]
fn attack_14_strangers_wait_while_memory_is_used_up_and_the_longest_still_make_room() {
    let _alone = alone();
    const PEERS: u32 = 300;
    let mut server = server(Config::default());
    let mut attackers = crowd(&mut server, PEERS, WINDOW);
    for offset in (0..256 << 10).step_by(PIECE) {
        for attacker in &mut attackers {
            let packet = attacker.data(u64::try_from(offset).expect("small"), &[7; PIECE]);
            server.receive(attacker.addr, &packet);
        }
    }
    assert!(server.endpoint.budget().is_exhausted());
    assert!(!is_answered(&mut server, PEERS), "no memory, no newcomer");
    assert_eq!(server.endpoint.dropped(DropReason::OutOfMemory), 1);
    // One connection's application reads all the while.
    let reader = attackers[0].clone();
    for _ in 0..3 {
        read_all(&mut server, &reader);
        server.drain(reader.handle);
        let mut peer = reader.clone();
        let end = server.connections[&reader.handle]
            .info(server.now)
            .bytes_received;
        let packet = peer.data(end, &[7; 1_000]);
        attackers[0].next = peer.next;
        server.receive(reader.addr, &packet);
        server.leap(Duration::from_secs(1));
    }
    is_answered(&mut server, PEERS + 1);
    assert!(!server.evicted.is_empty(), "who stood still is given up");
    assert!(server.endpoint.budget().is_relieved());
    assert!(is_answered(&mut server, PEERS), "and the stranger gets in");
    let freed = u32::try_from(server.evicted.len()).expect("small");
    println!("{freed} of {PEERS} given up");
    assert!(freed < PEERS / 2, "no more than needed: {freed}");
    for (handle, said) in std::mem::take(&mut server.evicted) {
        assert_ne!(handle, reader.handle, "it did not stand still");
        let Body::Rst { code, .. } = decode(said.last().expect("a RST")).expect("a packet").body
        else {
            panic!("the peer is told: {said:?}")
        };
        assert_eq!(code, ResetCode::RESOURCES);
        let connection = server
            .connections
            .get_mut(&handle)
            .expect("kept for its owner");
        let error = connection.read(&mut [0; 16]);
        assert!(
            matches!(error, Err(ReadError::Failed(CloseReason::Resources(_)))),
            "{error:?}"
        );
    }
}

#[test]
fn attack_16_closed_windows_share_the_budget_and_a_newcomer_is_served() {
    let _alone = alone();
    const PEERS: u32 = 2_000;
    const OWED: usize = 64 << 10;
    let mut server = server(Config::default().with_user_timeout(None));
    let before = held();
    let attackers = crowd(&mut server, PEERS, 0);
    let (mut owed, mut refused) = (0, 0);
    // The applications write round after round, a second apart: whoever takes nothing is given up in time.
    for group in attackers.chunks(200) {
        for attacker in group {
            let connection = server.connections.get_mut(&attacker.handle).expect("live");
            match connection.write(&vec![5; OWED]) {
                Ok(taken) => owed += taken,
                Err(WriteError::Blocked) => refused += 1,
                Err(WriteError::Failed(CloseReason::Resources(_))) => {}
                other => panic!("{other:?}"),
            }
            server.drain(attacker.handle);
        }
        server.leap(Duration::from_millis(1_100));
        server.leap(Duration::from_millis(1_100));
        is_answered(&mut server, PEERS + 7);
        let held = server.endpoint.budget().held();
        assert!(held <= BUDGET, "{held} bytes of {BUDGET}");
    }
    println!(
        "{PEERS} closed windows: {} MiB owed, {refused} writes put off, {} given up, {} KiB more",
        owed >> 20,
        server.evicted.len(),
        growth_kib(before)
    );
    assert!(owed > BUDGET, "more was owed in all than there is");
    assert!(!server.evicted.is_empty());
    let fresh = Attacker::open(&mut server, address(PEERS), 99_999, WINDOW);
    let connection = server.connections.get_mut(&fresh.handle).expect("live");
    assert_eq!(connection.write(&[5; 10_000]), Ok(10_000));
    let sent = server.drain(fresh.handle);
    assert!(sent.iter().map(Vec::len).sum::<usize>() > 9_000, "served");
}

#[test]
fn attack_16_peers_that_take_a_byte_a_second_are_given_up_for_a_newcomer() {
    let _alone = alone();
    const PEERS: u32 = 1_100;
    const OWED: usize = 64 << 10;
    let mut server = server(Config::default().with_user_timeout(None));
    let attackers = crowd(&mut server, PEERS, WINDOW);
    for attacker in &attackers {
        let connection = server.connections.get_mut(&attacker.handle).expect("live");
        let taken = connection.write(&vec![5; OWED]);
        assert!(matches!(taken, Ok(_) | Err(WriteError::Blocked)));
        server.drain(attacker.handle);
    }
    assert!(server.endpoint.budget().is_exhausted());
    for second in 1..=20 {
        server.leap(Duration::from_secs(1));
        for attacker in &attackers {
            let fields = AckFields {
                ack_offset: Offset::new(second),
                ..attacker.nothing(WINDOW)
            };
            let ack = attacker.ack(second, &fields, attacker.server_first.prev());
            server.receive(attacker.addr, &ack);
        }
    }
    let given_up = server.evicted.len();
    println!("{given_up} of {PEERS} peers that took a byte a second were given up");
    assert!(given_up > 0 && server.endpoint.budget().held() <= BUDGET);
    assert!(is_answered(&mut server, PEERS + 7), "a newcomer is served");
}
