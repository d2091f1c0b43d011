use mio::Poll;

use super::*;
use crate::wire::Transmit;

/// A port, and a plain socket that it sends to.
struct Rig {
    port: Port,
    peer: std::net::UdpSocket,
    poll: Poll,
}

impl Rig {
    fn new(faults: &[SendFailure]) -> Rig {
        let poll = Poll::new().unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let options = SocketOptions {
            bind: "127.0.0.1:0".parse().unwrap(),
            peer: None,
            buffer: 1 << 20,
        };
        let port = Port::open(poll.registry(), Token(1), &options).unwrap();
        lock(&port.faults).extend(faults);
        Rig { port, peer, poll }
    }

    fn send(&self, now: Time, lens: &[usize]) -> Option<Stall> {
        match self.try_send(now, lens) {
            Sent::All => None,
            Sent::Stalled(why) => Some(why),
            sent => panic!("loopback takes all of it: {sent:?}"),
        }
    }

    fn try_send(&self, now: Time, lens: &[usize]) -> Sent {
        let mut batch = Batch::new();
        for (number, len) in lens.iter().enumerate() {
            let room = batch.room(*len).unwrap();
            room.fill(u8::try_from(number).unwrap());
            batch.push(*len);
        }
        let to = Transmit {
            to: self.peer.local_addr().unwrap(),
            from_ip: None,
            ecn: None,
        };
        self.port.send(now, &to, &batch)
    }

    /// The next datagrams: the number that fills each, and its length.
    fn receive(&self, count: usize) -> Vec<(u8, usize)> {
        let mut buf = [0; 2_048];
        let mut next = || {
            let len = self.peer.recv(&mut buf).unwrap();
            assert!(buf[..len].iter().all(|byte| *byte == buf[0]));
            (buf[0], len)
        };
        (0..count).map(|_| next()).collect()
    }

    fn is_silent(&self) -> bool {
        self.peer.set_nonblocking(true).unwrap();
        let nothing = self.peer.recv(&mut [0; 8]).is_err();
        self.peer.set_nonblocking(false).unwrap();
        nothing
    }
}

#[test]
fn a_batch_that_the_path_refuses_leaves_at_once_one_by_one() {
    let rig = Rig::new(&[SendFailure::Offload]);
    let now = Time::from_millis(1);
    assert_eq!(rig.send(now, &[1_000, 1_000, 300]), None);
    assert_eq!(rig.receive(3), [(0, 1_000), (1, 1_000), (2, 300)]);
    assert!(rig.is_silent());

    // For a minute no batch is tried on this path: a fault in store hits the first datagram alone.
    lock(&rig.port.faults).push_back(SendFailure::Lost);
    assert_eq!(
        rig.send(now + OFFLOAD_PAUSE - Duration::from_nanos(1), &[500, 500]),
        None
    );
    assert_eq!(rig.receive(1), [(1, 500)]);
    lock(&rig.port.faults).push_back(SendFailure::Lost);
    assert_eq!(rig.send(now + OFFLOAD_PAUSE, &[500, 500]), None);
    assert!(rig.is_silent(), "one batch again, and lost as one");
}

#[test]
fn a_full_socket_keeps_what_it_did_not_take_and_sends_it_in_order() {
    use SendFailure::{Full, Offload};
    let rig = Rig::new(&[Offload]);
    let now = Time::from_millis(1);
    assert_eq!(
        rig.send(now, &[100]),
        None,
        "one datagram is no batch: the fault counts as loss"
    );
    lock(&rig.port.faults).extend([Full]);
    assert_eq!(rig.send(now, &[700, 700, 50]), Some(Stall::Full));
    assert!(rig.port.is_stalled());
    assert!(rig.is_silent());

    lock(&rig.port.faults).extend([Full]);
    assert_eq!(rig.port.flush(now).unwrap_err(), Stall::Full);
    assert!(rig.port.flush(now).unwrap().is_empty());
    assert!(!rig.port.is_stalled());
    assert_eq!(rig.receive(3), [(0, 700), (1, 700), (2, 50)]);
}

#[test]
fn a_batch_that_gets_stuck_half_way_goes_on_where_it_stopped() {
    let rig = Rig::new(&[SendFailure::Offload, SendFailure::Poisoned]);
    let now = Time::from_millis(1);
    // The first datagram meets the news of another packet and is tried again.
    assert_eq!(rig.send(now, &[10]), None);
    assert_eq!(rig.send(now, &[20]), None);
    assert_eq!(rig.receive(1), [(0, 20)]);

    rig.port.pause_offload(now, "127.0.0.1".parse().unwrap());
    lock(&rig.port.faults).extend([SendFailure::Lost, SendFailure::Congested]);
    assert_eq!(rig.send(now, &[300, 300, 7]), Some(Stall::Congested));
    assert!(rig.port.flush(now).unwrap().is_empty());
    assert_eq!(rig.receive(2), [(1, 300), (2, 7)]);
    assert!(
        rig.is_silent(),
        "the first counts as lost, and is not sent again"
    );
}

#[test]
fn paths_without_offload_are_remembered_within_a_bound() {
    let rig = Rig::new(&[]);
    for last in 0..200 {
        rig.port.pause_offload(Time::ZERO, [10, 0, 0, last].into());
    }
    assert_eq!(lock(&rig.port.without_offload).len(), OFFLOAD_PATHS_MAX);
    assert!(rig.port.is_paused(Time::ZERO, [10, 0, 0, 199].into()));
    assert!(!rig.port.is_paused(Time::ZERO, [10, 0, 0, 0].into()));
    assert!(
        !rig.port
            .is_paused(Time::ZERO + OFFLOAD_PAUSE, [10, 0, 0, 199].into())
    );
}

#[test]
fn a_closed_port_loses_what_it_is_given() {
    let rig = Rig::new(&[]);
    rig.port.close(rig.poll.registry());
    assert_eq!(rig.send(Time::ZERO, &[100]), None);
    assert!(!rig.port.is_stalled());
    assert_eq!(
        rig.port.ttl().unwrap_err().kind(),
        io::ErrorKind::NotConnected
    );
}

/// What `Turns::send` and another thread's `Shard::on_stall` do, in the order that loses the interest.
#[test]
fn a_stall_between_flush_and_unwatch_is_not_forgotten() {
    let mut rig = Rig::new(&[SendFailure::Full]);
    let registry = rig.poll.registry().try_clone().unwrap();
    let now = Time::from_millis(1);
    assert_eq!(rig.send(now, &[100]), Some(Stall::Full));
    rig.port.watch_writable(&registry);
    // turn.rs, `Turns::send`: the socket has room again.
    assert!(rig.port.flush(now).is_ok());
    //   meanwhile another thread sends, meets a full socket, and asks for the event (cell.rs, `settle`)
    lock(&rig.port.faults).push_back(SendFailure::Full);
    assert_eq!(rig.send(now, &[100]), Some(Stall::Full));
    rig.port.watch_writable(&registry);
    // turn.rs, `Turns::send` goes on:
    rig.port.watch_writable(&registry);
    assert!(rig.port.is_stalled());
    let mut events = mio::Events::with_capacity(8);
    rig.poll
        .poll(&mut events, Some(Duration::from_secs(2)))
        .unwrap();
    assert!(
        events.iter().any(|event| event.is_writable()),
        "stalled, and nobody will say that there is room"
    );
}

/// A virtual device says `ENOBUFS` for what its other end drops, each time anew: nobody behind it waits.
#[test]
fn what_a_device_never_takes_is_given_up_and_the_rest_goes_on() {
    use SendFailure::Congested;
    let rig = Rig::new(&[Congested]);
    let now = Time::from_millis(1);
    assert_eq!(rig.send(now, &[900]), Some(Stall::Congested));
    lock(&rig.port.faults).extend([Congested; 4]);
    assert_eq!(rig.port.flush(now).unwrap_err(), Stall::Congested);
    assert_eq!(rig.port.flush(now).unwrap_err(), Stall::Congested);
    assert!(rig.port.flush(now).unwrap().is_empty(), "given up");
    assert!(!rig.port.is_stalled());
    assert_eq!(rig.send(now, &[10]), None);
    assert_eq!(rig.receive(1), [(0, 10)]);
}

/// The interface says so, or only an ICMP message: the second try tells.
#[test]
fn datagrams_that_are_too_large_are_told_after_the_second_refusal() {
    use SendFailure::{Offload, TooLarge};
    let rig = Rig::new(&[TooLarge]);
    let now = Time::from_millis(1);
    assert_eq!(rig.send(now, &[10]), None);
    assert_eq!(
        rig.receive(1),
        [(0, 10)],
        "the first one was news of another"
    );
    let mut batch = Batch::new();
    for _ in 0..3 {
        batch.room(500).unwrap();
        batch.push(500);
    }
    let to = Transmit {
        to: rig.peer.local_addr().unwrap(),
        from_ip: None,
        ecn: None,
    };
    for faults in [vec![TooLarge; 2], vec![Offload, TooLarge, TooLarge]] {
        lock(&rig.port.faults).extend(faults);
        let sent = rig.port.send(now, &to, &batch);
        assert_eq!(sent, Sent::TooLarge { before: 0 });
        assert!(!rig.port.is_stalled() && rig.is_silent());
        assert!(
            lock(&rig.port.without_offload).is_empty(),
            "not the offload's fault"
        );
    }
}

#[test]
fn a_way_that_is_gone_is_told_once_the_second_try_fails_too() {
    use SendFailure::{Away, Offload};
    let rig = Rig::new(&[Away]);
    let now = Time::from_millis(1);
    assert_eq!(
        rig.send(now, &[100]),
        None,
        "it was the news of another packet"
    );
    assert_eq!(rig.receive(1), [(0, 100)]);
    lock(&rig.port.faults).extend([Away, Away]);
    assert_eq!(rig.try_send(now, &[100]), Sent::Away { before: 0 });
    assert!(rig.is_silent());
    assert!(!rig.port.is_stalled(), "nothing waits for it");

    // As a batch is refused in the same words, nothing is learned about batches.
    lock(&rig.port.faults).extend([Offload, Away, Away]);
    assert_eq!(rig.try_send(now, &[100, 100]), Sent::Away { before: 0 });
    assert!(!rig.port.is_paused(now, "127.0.0.1".parse().unwrap()));
    assert_eq!(rig.send(now, &[100, 100]), None);
    assert_eq!(rig.receive(2), [(0, 100), (1, 100)]);
}

#[test]
fn what_waits_for_a_full_socket_is_lost_when_the_way_is_gone() {
    use SendFailure::{Away, Full};
    let rig = Rig::new(&[Full]);
    let now = Time::from_millis(1);
    assert_eq!(rig.send(now, &[100]), Some(Stall::Full));
    lock(&rig.port.faults).extend([Away, Away]);
    assert!(rig.port.flush(now).unwrap().is_empty());
    assert!(!rig.port.is_stalled());
    assert!(rig.is_silent());
}

/// Many share it, or it is where it was: there is nothing to move to.
#[test]
fn a_socket_is_replaced_only_by_one_of_another_address() {
    let rig = Rig::new(&[]);
    let registry = rig.poll.registry();
    assert!(!rig.port.reopen(Time::from_millis(1), registry));
    let options = SocketOptions::toward(rig.peer.local_addr().unwrap(), 1 << 20);
    let port = Port::open(registry, Token(2), &options).unwrap();
    assert!(!port.reopen(Time::from_millis(1), registry));
    assert!(!port.has_lost_address());
    let local = port.with_socket(Socket::local_addr).unwrap();
    assert_eq!(local, port.local, "the socket has stayed");
}

#[test]
fn another_socket_is_not_tried_more_often_than_each_tenth_of_a_second() {
    let rig = Rig::new(&[]);
    let tries = (0..1_000).filter(|ms| rig.port.may_reopen(Time::from_millis(*ms)));
    assert_eq!(tries.count(), 10);
}
