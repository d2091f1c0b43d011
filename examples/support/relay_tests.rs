//! What the relay promises.

use std::net::UdpSocket as StdSocket;

use super::*;

fn socket() -> StdSocket {
    let socket = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

fn receive(socket: &StdSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_048];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn a_relay_without_faults_passes_both_ways_and_keeps_clients_apart() {
    let target = socket();
    let relay = Relay::start(target.local_addr().unwrap(), Impairments::default()).unwrap();
    let clients = [socket(), socket()];
    for (client, name) in clients.iter().zip([b"one", b"two"]) {
        client.send_to(name, relay.local_addr()).unwrap();
        let (datagram, from) = receive(&target);
        assert_eq!(datagram, name);
        target.send_to(&datagram, from).unwrap();
        assert_eq!(receive(client).0, name);
    }
    let counts = relay.stop();
    assert_eq!((counts.received, counts.passed, counts.lost), (4, 4, 0));
}

#[test]
fn a_certain_fault_happens_to_every_datagram() {
    let target = socket();
    let impairments = Impairments {
        duplicate: 1.0,
        corrupt: 1.0,
        ..Impairments::default()
    };
    let relay = Relay::start(target.local_addr().unwrap(), impairments).unwrap();
    let client = socket();
    client.send_to(&[0; 64], relay.local_addr()).unwrap();
    let (first, second) = (receive(&target).0, receive(&target).0);
    assert_eq!(first, second);
    assert_eq!(first.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    let counts = relay.stop();
    assert_eq!((counts.duplicated, counts.corrupted), (1, 1));
}

#[test]
fn a_delayed_datagram_is_held_for_that_time() {
    let target = socket();
    let delay = Duration::from_millis(30);
    let impairments = Impairments {
        delay,
        ..Impairments::default()
    };
    let relay = Relay::start(target.local_addr().unwrap(), impairments).unwrap();
    let begin = now();
    socket().send_to(b"late", relay.local_addr()).unwrap();
    assert_eq!(receive(&target).0, b"late");
    assert!(begin.elapsed() >= delay);
}

#[test]
fn the_dice_repeat_with_the_seed_and_one_setting_does_not_move_the_others() {
    let lossy = Impairments {
        loss: 0.05,
        seed: 7,
        ..Impairments::default()
    };
    let worse = Impairments {
        loss: 0.05,
        duplicate: 0.5,
        corrupt: 0.5,
        ..lossy.clone()
    };
    let fates = |impairments: &Impairments| {
        let mut dice = Dice::new(impairments.seed, 0);
        (0..20_000)
            .map(|_| Fate::throw(&mut dice, impairments))
            .collect::<Vec<_>>()
    };
    assert_eq!(fates(&lossy), fates(&lossy));
    let lost = |fates: Vec<Fate>| fates.iter().map(|fate| fate.lost).collect::<Vec<_>>();
    assert_eq!(lost(fates(&lossy)), lost(fates(&worse)));
    let losses = lost(fates(&lossy)).iter().filter(|lost| **lost).count();
    assert!(
        (900..1_100).contains(&losses),
        "{losses} of 20000 lost at 5 %"
    );
}

#[test]
fn flipping_takes_any_position_and_an_empty_datagram() {
    flip(&mut [], 3);
    let mut datagram = [0; 2];
    flip(&mut datagram, 16 + 9);
    assert_eq!(datagram, [0, 2]);
}
