//! Failure detection over simulated networks (docs/LAYERS.md): heartbeats as datagrams, each host watching the other.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::detect::{Beat, Evidence, Heartbeats, HeartbeatsConfig, PeerEvent, Verdict};
use aqueduct::error::CloseReason;
use aqueduct::sim::{App, HostId, Io, Link, Loss, Sim, seeds};
use aqueduct::time::Time;

const BEAT: Duration = Duration::from_millis(100);
const PEER: u8 = 0;
/// 5 % loss and up to 50 ms more or less, which changes the order too.
fn rough() -> Link {
    Link::new()
        .rate_bits(10_000_000)
        .delay(Duration::from_millis(20))
        .loss(Loss::random(0.05))
        .reordering_jitter(Duration::from_millis(50))
}

fn calm() -> Link {
    Link::new()
        .rate_bits(10_000_000)
        .delay(Duration::from_millis(20))
}

/// What one host knows of the other, over all connections between them.
struct Mind {
    nodes: Heartbeats<u8>,
    events: Vec<(Time, PeerEvent<u8>)>,
}

impl Mind {
    fn new() -> Rc<RefCell<Self>> {
        let mut nodes = Heartbeats::new(HeartbeatsConfig::for_interval(BEAT));
        nodes.watch(PEER);
        Rc::new(RefCell::new(Mind {
            nodes,
            events: Vec::new(),
        }))
    }
}

/// Beats on one connection, and feeds what comes to its host's mind.
struct Watcher {
    mind: Rc<RefCell<Mind>>,
    incarnation: u64,
    number: u64,
    next: Time,
}

impl Watcher {
    fn new(mind: &Rc<RefCell<Mind>>, incarnation: u64) -> Self {
        Watcher {
            mind: mind.clone(),
            incarnation,
            number: 0,
            next: Time::ZERO,
        }
    }
}

impl App for Watcher {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let now = io.now();
        let mind = &mut *self.mind.borrow_mut();
        while let Ok(data) = io.recv_datagram() {
            if let Some(beat) = Beat::decode(&data) {
                mind.nodes.heard(now, &PEER, beat.incarnation);
            }
        }
        let failure: Option<CloseReason> = io.take_error();
        if io.is_open() || failure.is_some() {
            mind.nodes
                .observe(now, &PEER, &Evidence::of(&io.info(), failure));
        }
        if io.is_open() && now >= self.next {
            self.number += 1;
            let beat = Beat {
                interval: BEAT,
                incarnation: self.incarnation,
                number: self.number,
            };
            io.send_datagram(&beat.encode())
                .expect("the peer takes datagrams");
            self.next = now + BEAT;
        }
        while let Some(event) = mind.nodes.poll(now) {
            mind.events.push((now, event));
        }
        let check = mind.nodes.next_check(now).unwrap_or(now + BEAT);
        io.wake_at(check.min(self.next).max(now + Duration::from_millis(1)));
    }
}

/// Two hosts that watch each other.
struct Watched {
    sim: Sim,
    client: HostId,
    server: HostId,
    minds: [Rc<RefCell<Mind>>; 2],
    /// Of the server's process.
    life: Rc<Cell<u64>>,
}

impl Watched {
    fn new(seed: u64, link: Link) -> Self {
        let mut sim = Sim::new(seed);
        let (client, server) = (sim.add_host("client"), sim.add_host("server"));
        sim.link(client, server, link);
        let (minds, life) = ([Mind::new(), Mind::new()], Rc::new(Cell::new(100)));
        let (theirs, of_server) = (minds[1].clone(), life.clone());
        sim.listen(server, Config::default(), move || {
            Watcher::new(&theirs, of_server.get())
        });
        let mut watched = Watched {
            sim,
            client,
            server,
            minds,
            life,
        };
        watched.connect();
        watched.run(5);
        assert_eq!(watched.events(0), [PeerEvent::Up(PEER)]);
        assert_eq!(watched.events(1), [PeerEvent::Up(PEER)]);
        watched
    }

    fn connect(&mut self) {
        let app = Watcher::new(&self.minds[0], 1);
        self.sim
            .connect(self.client, self.server, Config::default(), app);
    }

    fn run(&mut self, seconds: u64) {
        self.sim.run_for(Duration::from_secs(seconds));
    }

    /// What the host has found out since it was last asked.
    fn events(&mut self, host: usize) -> Vec<PeerEvent<u8>> {
        self.minds[host]
            .borrow_mut()
            .events
            .drain(..)
            .map(|(_, event)| event)
            .collect()
    }
}

fn is_down(event: &PeerEvent<u8>) -> bool {
    matches!(event, PeerEvent::Down(..))
}

#[test]
fn d3_an_hour_of_loss_and_jitter_gives_no_false_alarm() {
    for seed in seeds(0, 2) {
        println!("seed {seed}");
        let mut watched = Watched::new(seed, rough());
        watched.run(3_600);
        for host in 0..2 {
            let events = watched.events(host);
            let suspicions = events
                .iter()
                .filter(|event| matches!(event, PeerEvent::Suspect(..)))
                .count();
            println!(
                "host {host}: {} events, {suspicions} suspicions",
                events.len()
            );
            assert!(!events.iter().any(is_down), "{events:?}");
        }
    }
}

#[test]
fn d4_a_host_that_was_paused_itself_takes_nobody_for_dead() {
    for seed in seeds(0, 5) {
        println!("seed {seed}");
        let mut watched = Watched::new(seed, calm());
        let paused = watched.client;
        watched.sim.pause(paused, Duration::from_secs(2));
        watched.run(10);
        let events = watched.events(0);
        assert!(!events.iter().any(is_down), "the paused one: {events:?}");
        // The other one was right to be worried, and is not any more.
        let events = watched.events(1);
        assert!(
            events.contains(&PeerEvent::Down(PEER, Verdict::PathDead)),
            "{events:?}"
        );
        assert_eq!(events.last(), Some(&PeerEvent::Up(PEER)));
    }
}

#[test]
fn d5_a_restart_that_is_quicker_than_the_timeout_is_seen_by_the_incarnation() {
    let mut watched = Watched::new(5, calm());
    let server = watched.server;
    watched.life.set(200);
    watched.sim.restart(server);
    watched.sim.run_for(Duration::from_millis(150));
    // The old connection is found out at once; the client connects again.
    watched.connect();
    watched.run(5);
    let events = watched.events(0);
    assert!(events.contains(&PeerEvent::Restarted(PEER)), "{events:?}");
    let silent = PeerEvent::Down(PEER, Verdict::PathDead);
    assert!(!events.contains(&silent), "nothing was slow: {events:?}");
    assert_eq!(
        watched.minds[0].borrow().nodes.incarnation(&PEER),
        Some(200)
    );
}

#[test]
fn d6_the_deaf_side_of_a_one_way_partition_reports_it() {
    let mut watched = Watched::new(6, calm());
    let (client, server) = (watched.client, watched.server);
    watched.sim.partition_one_way(client, server);
    let cut_at = watched.sim.now();
    watched.run(5);
    let down_at = watched.minds[1]
        .borrow()
        .events
        .iter()
        .find(|(_, event)| is_down(event))
        .map(|(at, _)| *at);
    let after = down_at.expect("the deaf server notices") - cut_at;
    assert!(after <= Duration::from_secs(1), "{after:?}");
    assert!(
        watched
            .events(1)
            .contains(&PeerEvent::Down(PEER, Verdict::PathDead))
    );
    // The client hears the server still, and says so.
    let events = watched.events(0);
    assert!(!events.iter().any(is_down), "{events:?}");

    watched.sim.heal(client, server);
    watched.run(5);
    assert_eq!(watched.events(1).last(), Some(&PeerEvent::Up(PEER)));
}

/// The same without datagrams: a stream whose byte is lost falls silent for its receiver, datagrams do not.
#[test]
fn a_killed_host_is_down_at_once_by_the_word_of_its_kernel() {
    let mut watched = Watched::new(7, calm());
    let server = watched.server;
    let killed_at = watched.sim.now();
    watched.sim.kill(server);
    watched.run(3);
    let events = watched.minds[0].borrow().events.clone();
    let (down_at, _) = events
        .iter()
        .find(|(_, event)| *event == PeerEvent::Down(PEER, Verdict::ProcessDead))
        .expect("down");
    assert!(*down_at - killed_at <= Duration::from_secs(1), "{events:?}");
}
