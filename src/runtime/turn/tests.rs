//! Turns taken by hand, over sockets of this machine, at times of the test's choice.

use std::net::{SocketAddr, UdpSocket};

use super::super::mailbox::Mailbox;
use super::super::{Backlog, Limit, SocketOptions};
use super::*;
use crate::config::{Config, EndpointConfig};
use crate::endpoint::Endpoint;
use crate::time::Timer;

/// A shard without a thread.
struct Side {
    shard: Arc<Shard>,
    turns: Turns,
    port: Arc<Port>,
}

impl Side {
    fn new(seed: u8) -> Side {
        let poll = Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), WAKER).unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), [seed; 32]);
        let shard = Arc::new(Shard::new(endpoint, registry, Mailbox::new(waker)));
        let options = SocketOptions {
            bind: "127.0.0.1:0".parse().unwrap(),
            peer: None,
            buffer: 1 << 20,
        };
        let port = shard.open_port(&options).unwrap();
        let turns = Turns::new(shard.clone(), poll);
        Side { shard, turns, port }
    }

    /// A turn that does not sleep.
    fn turn(&mut self) {
        self.turns.turn(Some(Time::ZERO)).unwrap();
    }
}

/// A client and a server with a connection between them.
struct Rig {
    client: Side,
    server: Side,
    cell: Arc<Cell>,
    _owners: [Owner; 2],
}

impl Rig {
    fn new() -> Rig {
        let (mut client, mut server) = (Side::new(1), Side::new(2));
        let config = Arc::new(Config::default());
        let backlog = Arc::new(Backlog::new(8, config.clone()));
        assert!(server.shard.listen(&backlog));
        let to: SocketAddr = server.port.local;
        let begin = |endpoint: &mut Endpoint, now| endpoint.connect(now, to, config);
        let ours = client.shard.connect(&client.port, begin).unwrap();
        let cell = ours.0.clone();
        let theirs = loop {
            client.turn();
            server.turn();
            if let Ok((owner, _)) = backlog.accept(&server.shard, Limit::Now) {
                break owner;
            }
        };
        let mut rig = Rig {
            client,
            server,
            cell,
            _owners: [ours, theirs],
        };
        while rig.in_flight() > 0 {
            rig.client.turn();
            rig.server.turn();
        }
        rig
    }

    fn in_flight(&self) -> u64 {
        self.cell
            .lock()
            .connection
            .info(clock::now())
            .packets_in_flight
    }

    /// Two packets leave and are acknowledged, but the acknowledgement lies in the client's socket, behind
    /// `before` datagrams of nothing, and the client asked for the last time before it came. Returns how many
    /// packets were sent, and when the client wants to probe.
    fn answer_behind(&mut self, before: usize) -> (u64, Time) {
        self.cell
            .with(|state, _| state.connection.write(&[7; 2_200]).unwrap());
        self.client.turns.wait(Some(Time::ZERO)).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..before {
            stranger.send_to(&[0; 1], self.client.port.local).unwrap();
        }
        while !self.has_answered() {
            self.server.turn();
        }
        let state = self.cell.lock();
        assert!(
            state.connection.info(clock::now()).packets_in_flight >= 2,
            "unread"
        );
        let due = state.connection.poll_timeout().unwrap();
        assert_eq!(due.why, Timer::Probe);
        (
            state.connection.info(clock::now()).packets_sent,
            due.at.next_millisecond(),
        )
    }

    /// Whether the server has received all that was written, and owes nothing.
    fn has_answered(&self) -> bool {
        let cells = self.server.shard.cells();
        let info = cells[0].lock().connection.info(clock::now());
        info.bytes_received == 2_200
    }

    /// The answer was heard in time: everything arrived, and no probe was sent for it.
    fn assert_heard(&self, sent: u64) {
        let info = self.cell.lock().connection.info(clock::now());
        let heard = info.packets_in_flight == 0 && info.packets_sent == sent;
        assert!(heard, "{info:?}");
    }
}

#[test]
fn a_probe_timeout_fires_if_the_socket_holds_nothing() {
    let mut rig = Rig::new();
    rig.cell
        .with(|state, _| state.connection.write(&[7; 2_200]).unwrap());
    let state = rig.cell.lock();
    let due = state.connection.poll_timeout().unwrap();
    let sent = state.connection.info(clock::now()).packets_sent;
    drop(state);
    assert_eq!(due.why, Timer::Probe);
    rig.client.turns.serve(due.at.next_millisecond());
    let info = rig.cell.lock().connection.info(clock::now());
    assert_eq!(info.pto_count, 1);
    assert!(info.packets_sent > sent, "a probe has left");
}

/// The process was stopped after it had asked which sockets are ready.
#[test]
fn an_answer_that_came_after_the_poll_is_read_before_a_timeout_fires() {
    let mut rig = Rig::new();
    let (sent, due) = rig.answer_behind(0);
    rig.client.turns.serve(due);
    rig.assert_heard(sent);
}

#[test]
fn an_answer_behind_more_datagrams_than_a_turn_receives_is_read_before_a_timeout_fires() {
    let mut rig = Rig::new();
    let (sent, due) = rig.answer_behind(3 * DATAGRAMS_PER_TURN);
    rig.client.turns.wait(Some(Time::ZERO)).unwrap();
    rig.client.turns.serve(due);
    rig.assert_heard(sent);
}

/// The process was stopped after it had read the clock, and meanwhile the answer came. A round trip that is measured
/// shorter than the path is believed for ten seconds: the path then seems to have a queue always.
#[test]
fn a_thread_that_was_stopped_measures_no_round_trip_shorter_than_the_true_one() {
    let mut rig = Rig::new();
    let shortest = |rig: &Rig| {
        let info = rig.cell.lock().connection.info(clock::now());
        info.min_rtt.unwrap()
    };
    let before = shortest(&rig);
    let stale = clock::now();
    rig.cell
        .with(|state, _| state.connection.write(&[7; 2_200]).unwrap());
    let left = clock::now();
    while !rig.has_answered() {
        rig.server.turn();
    }
    let took = clock::now() - left;
    rig.client.turns.wait(Some(Time::ZERO)).unwrap();
    rig.client.turns.serve(stale);
    assert_eq!(rig.in_flight(), 0, "the answer was read");
    let after = shortest(&rig);
    assert!(after >= before.min(took), "{after:?} {before:?} {took:?}");
}

/// Whoever writes late finds the timeout due before the loop does.
#[test]
fn a_thread_that_writes_leaves_the_timeout_to_who_reads_the_socket() {
    let mut rig = Rig::new();
    let (sent, due) = rig.answer_behind(0);
    rig.cell.drain(rig.cell.lock(), due);
    assert_eq!(
        rig.cell.lock().connection.info(clock::now()).packets_sent,
        sent
    );
    rig.client.turns.serve(due);
    rig.assert_heard(sent);
}

/// However much comes, a timeout waits for a bounded part of it.
#[test]
fn a_flood_stops_no_timeout() {
    let mut rig = Rig::new();
    rig.cell
        .with(|state, _| state.connection.write(&[7; 2_200]).unwrap());
    let due = rig.cell.lock().connection.poll_timeout().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..300 {
        stranger.send_to(&[0; 1], rig.client.port.local).unwrap();
    }
    rig.client.turns.overdue.push(rig.cell.clone());
    let due = due.at.next_millisecond();
    rig.client.turns.fire_overdue(due, 200);
    let info = rig.cell.lock().connection.info(clock::now());
    assert_eq!(info.pto_count, 1);
    let left = rig.client.port.receive(&mut Receiver::new());
    assert!(left.is_ok(), "no more was read than was allowed");
}
