//! Turns taken by hand, over sockets of this machine, at times of the test's choice.

use std::net::UdpSocket;

use super::super::cell::Owner;
use super::super::mailbox::Mailbox;
use super::super::{Backlog, Limit, SocketOptions};
use super::*;
use crate::config::{Config, EndpointConfig};
use crate::congestion::{AckSample, Congested, Congestion, Controller};
use crate::endpoint::Endpoint;
use crate::time::Timer;

/// Takes what is there.
fn at_once() -> Patience {
    Patience {
        limit: Some(Time::ZERO),
        ..Patience::default()
    }
}

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
        self.turns.turn(&mut at_once()).unwrap();
    }
}

/// A client and a server with a connection between them.
struct Rig {
    client: Side,
    server: Side,
    cell: Arc<Cell>,
    backlog: Arc<Backlog>,
    owners: Vec<Owner>,
}

/// A connection between both: the client's side, and the server's.
fn connect(client: &mut Side, server: &mut Side, backlog: &Backlog) -> [Owner; 2] {
    let (to, config) = (server.port.local, backlog.config.clone());
    let begin = |endpoint: &mut Endpoint, now| endpoint.connect(now, to, config);
    let ours = client.shard.connect(&client.port, begin).unwrap();
    loop {
        client.turn();
        server.turn();
        if let Ok((theirs, _)) = backlog.accept(&server.shard, Limit::Now) {
            return [ours, theirs];
        }
    }
}

impl Rig {
    fn new() -> Rig {
        Rig::with(Config::default())
    }

    fn with(config: Config) -> Rig {
        let (mut client, mut server) = (Side::new(1), Side::new(2));
        let backlog = Arc::new(Backlog::new(8, Arc::new(config)));
        assert!(server.shard.listen(&backlog));
        let owners = connect(&mut client, &mut server, &backlog);
        let mut rig = Rig {
            client,
            server,
            cell: owners[0].0.clone(),
            backlog,
            owners: owners.into(),
        };
        while rig.in_flight() > 0 {
            rig.client.turn();
            rig.server.turn();
        }
        rig
    }

    /// One connection more; the client's side of it.
    fn another(&mut self) -> Arc<Cell> {
        let owners = connect(&mut self.client, &mut self.server, &self.backlog);
        let cell = owners[0].0.clone();
        self.owners.extend(owners);
        cell
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
        self.client.turns.wait(&mut at_once()).unwrap();
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
    rig.client
        .turns
        .serve(due.at.next_millisecond(), Wish::Nothing);
    let info = rig.cell.lock().connection.info(clock::now());
    assert_eq!(info.pto_count, 1);
    assert!(info.packets_sent > sent, "a probe has left");
}

/// The process was stopped after it had asked which sockets are ready.
#[test]
fn an_answer_that_came_after_the_poll_is_read_before_a_timeout_fires() {
    let mut rig = Rig::new();
    let (sent, due) = rig.answer_behind(0);
    rig.client.turns.serve(due, Wish::Nothing);
    rig.assert_heard(sent);
}

#[test]
fn an_answer_behind_more_datagrams_than_a_turn_receives_is_read_before_a_timeout_fires() {
    let mut rig = Rig::new();
    let (sent, due) = rig.answer_behind(3 * DATAGRAMS_PER_TURN);
    rig.client.turns.wait(&mut at_once()).unwrap();
    rig.client.turns.serve(due, Wish::Nothing);
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
    rig.client.turns.wait(&mut at_once()).unwrap();
    rig.client.turns.serve(stale, Wish::Nothing);
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
    rig.client.turns.serve(due, Wish::Nothing);
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

/// A window that lets everything through.
#[derive(Debug)]
struct Wide;

impl Controller for Wide {
    fn on_ack(&mut self, _: &AckSample) {}
    fn on_congestion(&mut self, _: &Congested) {}
    fn on_mtu(&mut self, _: u16) {}
    fn cwnd(&self) -> u64 {
        1 << 20
    }
    fn pacing_rate(&self, _: Duration) -> u64 {
        u64::MAX
    }
}

#[test]
fn connections_of_one_socket_send_by_turns() {
    const LENGTH: u64 = 400_000;
    let config = Config::new()
        .with_congestion(Congestion::custom(|_| Box::new(Wide)))
        .with_receive_window(1 << 20);
    let mut rig = Rig::with(config);
    let cells = [rig.cell.clone(), rig.another(), rig.another()];
    let sent = |cell: &Arc<Cell>| cell.lock().connection.info(clock::now()).bytes_sent;
    for cell in &cells {
        let mut state = cell.lock();
        let data = vec![3; usize::try_from(LENGTH).unwrap()];
        assert_eq!(state.connection.write(&data), Ok(data.len()));
        Cell::touch(&mut state);
        rig.client.turns.touched.push_back(cell.clone());
    }
    let batch = u64::try_from(QUANTUM).unwrap() + 65_507;
    for turn in 0..2 {
        rig.client.turns.drain(clock::now());
        for cell in &cells {
            let sent = sent(cell);
            assert!(
                sent > turn * 65_507 / 2 && sent <= (turn + 1) * batch,
                "turn {turn}: {sent}"
            );
        }
    }
    #[cfg(all(feature = "tokio", target_os = "linux"))]
    assert!(rig.client.turns.has_more(), "a runtime's task goes on");
    // Nothing is forgotten, and nobody sleeps over it.
    while cells
        .iter()
        .any(|cell| !cell.lock().connection.is_all_acked())
    {
        rig.client.turn();
        rig.server.turn();
    }
    assert!(cells.iter().all(|cell| sent(cell) == LENGTH));
}

/// A runtime's reactor tells each event once: its task may not rest after a turn that asked one socket alone.
#[cfg(all(feature = "tokio", target_os = "linux"))]
#[test]
fn nobody_rests_before_all_sockets_were_asked() {
    let mut side = Side::new(1);
    let options = SocketOptions {
        bind: "127.0.0.1:0".parse().unwrap(),
        peer: None,
        buffer: 1 << 20,
    };
    let other = side.shard.open_port(&options).unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..=DATAGRAMS_PER_TURN {
        stranger.send_to(&[0; 1], side.port.local).unwrap();
    }
    side.turn();
    assert!(side.turns.has_more(), "one datagram more is there");
    stranger.send_to(&[0; 1], other.local).unwrap();
    side.turn();
    let is_empty = side.turns.ready.is_empty();
    assert!(is_empty && side.turns.has_more(), "the other was not asked");
    side.turn();
    assert!(!side.turns.has_more());
    let left = other.receive(&mut Receiver::new());
    assert!(left.is_err(), "the other was read");
}
