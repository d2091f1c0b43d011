//! Calls over simulated networks (docs/LAYERS.md): what is urgent does not wait behind what is long, and who gives up is heard.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::connection::ReadError;
use aqueduct::msg::{Event, Ext, Hello, Role, Session};
use aqueduct::sim::{App, Io, Link, Sim, seeds};
use aqueduct::time::Time;
use bytes::Bytes;

const GIB: u64 = 1 << 30;
const SMALL: u16 = 1;
const LONG: u16 = 2;
const ONE_WAY: Duration = Duration::from_millis(10);

fn path() -> Link {
    Link::new()
        .rate_bits(50_000_000)
        .queue_bytes(100_000)
        .delay(ONE_WAY)
}

/// Drives a session over a simulated stream, as a thin driver does: events first, then frame by frame while there is room.
struct Wire {
    session: Session,
    frame: Bytes,
}

impl Wire {
    fn new(role: Role) -> Self {
        Wire {
            session: Session::new(role, Hello::default()),
            frame: Bytes::new(),
        }
    }

    fn read(&mut self, io: &mut Io<'_>) {
        let mut buffer = [0; 16 << 10];
        while self.session.wants_input() {
            match io.read(&mut buffer) {
                Ok(0) => return self.session.handle_lost("the end"),
                Ok(len) => self.session.handle_bytes(io.now(), &buffer[..len]),
                Err(ReadError::Blocked) => return,
                Err(error) => return self.session.handle_lost(&error.to_string()),
            }
        }
    }

    fn write(&mut self, io: &mut Io<'_>) {
        while io.is_open() {
            if self.frame.is_empty() {
                let Some(frame) = self.session.poll_output() else {
                    return;
                };
                self.frame = frame;
            }
            match io.write(&self.frame) {
                Ok(len) => drop(self.frame.split_to(len)),
                Err(_) => return,
            }
        }
    }
}

/// What the server has seen: when a call was cancelled, and bytes of long bodies.
#[derive(Default)]
struct Seen {
    cancelled: Vec<Time>,
    bytes: u64,
}

/// Answers small calls at once, and reads long ones to their end.
struct Server {
    wire: Wire,
    seen: Rc<RefCell<Seen>>,
}

impl App for Server {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        self.wire.read(io);
        while let Some(event) = self.wire.session.poll_event() {
            match event {
                Event::Request(request) if request.method == SMALL => {
                    self.wire
                        .session
                        .respond(request.id, Ext::default(), request.body);
                }
                Event::Chunk { id, data } => {
                    self.seen.borrow_mut().bytes += u64::try_from(data.len()).expect("small");
                    self.wire.session.consumed(id, data.len());
                }
                Event::Cancelled { .. } => self.seen.borrow_mut().cancelled.push(io.now()),
                _ => {}
            }
        }
        self.wire.write(io);
    }
}

/// A small call each 50 ms; how long each took.
struct Small {
    wire: Wire,
    sent: BTreeMap<u64, Time>,
    next: Time,
    took: Rc<RefCell<Vec<(Time, Duration)>>>,
}

impl App for Small {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let now = io.now();
        self.wire.read(io);
        while let Some(event) = self.wire.session.poll_event() {
            if let Event::Response { id, body, .. } = event {
                assert_eq!(body, "small");
                let sent = self.sent.remove(&id).expect("it was called");
                self.took.borrow_mut().push((sent, now - sent));
            }
        }
        if self.wire.session.is_open() && now >= self.next {
            let id = self
                .wire
                .session
                .call(now, SMALL, Ext::default(), "small".into(), None);
            self.sent.insert(id.expect("open"), now);
            self.next = now + Duration::from_millis(50);
        }
        self.wire.write(io);
        io.wake_at(self.next.max(now + Duration::from_millis(1)));
    }
}

/// One call whose body is a gibibyte, written as there is room, and cancelled at a time.
struct Long {
    wire: Wire,
    call: Option<u64>,
    left: u64,
    cancel_at: Time,
}

impl App for Long {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let now = io.now();
        self.wire.read(io);
        while self.wire.session.poll_event().is_some() {}
        if self.call.is_none() && self.wire.session.is_open() {
            let call = self
                .wire
                .session
                .call_streaming(now, LONG, Ext::default(), None);
            self.call = Some(call.expect("open"));
        }
        if let Some(id) = self.call {
            if now >= self.cancel_at && self.wire.session.cancel(id).is_some() {
                self.cancel_at = Time::MAX;
            }
            while self.left > 0
                && self
                    .wire
                    .session
                    .body_room(id)
                    .is_some_and(|room| room >= 65_536)
            {
                self.wire.session.push_body(id, vec![7; 65_536].into());
                self.left -= 65_536;
                self.wire.write(io);
            }
        }
        self.wire.write(io);
        let check = if self.cancel_at == Time::MAX {
            now + Duration::from_secs(1)
        } else {
            self.cancel_at
        };
        io.wake_at(check.max(now + Duration::from_millis(1)));
    }
}

struct Net {
    sim: Sim,
    hosts: [aqueduct::sim::HostId; 2],
    seen: Rc<RefCell<Seen>>,
}

impl Net {
    fn new(seed: u64) -> Self {
        let mut sim = Sim::new(seed);
        let hosts = [sim.add_host("client"), sim.add_host("server")];
        sim.link(hosts[0], hosts[1], path());
        let seen = Rc::new(RefCell::new(Seen::default()));
        let theirs = seen.clone();
        let make = move || Server {
            wire: Wire::new(Role::Acceptor),
            seen: theirs.clone(),
        };
        sim.listen(hosts[1], Config::default(), make);
        Net { sim, hosts, seen }
    }

    fn connect(&mut self, app: impl App + 'static) {
        self.sim
            .connect(self.hosts[0], self.hosts[1], Config::default(), app);
    }

    fn long(&mut self, cancel_at: Time) {
        let wire = Wire::new(Role::Connector);
        self.connect(Long {
            wire,
            call: None,
            left: GIB,
            cancel_at,
        });
    }
}

fn percentile(times: &mut [Duration], hundredths: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * hundredths / 100]
}

#[test]
fn m2_a_small_call_does_not_wait_for_a_gibibyte_of_another_class() {
    for seed in seeds(0, 3) {
        let mut net = Net::new(seed);
        let took = Rc::new(RefCell::new(Vec::new()));
        let wire = Wire::new(Role::Connector);
        net.connect(Small {
            wire,
            sent: BTreeMap::new(),
            next: Time::ZERO,
            took: took.clone(),
        });
        net.sim.run_for(Duration::from_secs(3));
        let busy_from = net.sim.now();
        net.long(Time::MAX);
        net.sim.run_for(Duration::from_secs(10));

        let (before, during): (Vec<_>, Vec<_>) = took
            .borrow()
            .iter()
            .partition(|(sent, _)| *sent < busy_from);
        let times = |calls: Vec<(Time, Duration)>| {
            calls.into_iter().map(|(_, took)| took).collect::<Vec<_>>()
        };
        let (mut before, mut during) = (times(before), times(during));
        let idle = percentile(&mut before, 50);
        let busy = [50, 95, 100].map(|at| percentile(&mut during, at));
        let bytes = net.seen.borrow().bytes;
        println!("seed {seed}: idle {idle:?}, beside {bytes} bytes: median, 95 %, most {busy:?}");
        assert!(bytes > 40_000_000, "the long call flows: {bytes}");
        assert!(during.len() > 180, "{} calls", during.len());
        assert!(busy[1] <= idle * 5, "{busy:?} beside {idle:?}");
    }
}

#[test]
fn m3_a_handler_hears_of_a_cancelled_call_within_a_round_trip() {
    for seed in seeds(0, 3) {
        let mut net = Net::new(seed);
        let cancel_at = net.sim.now() + Duration::from_millis(300);
        // Nothing else fills the path: the call waits for an answer that does not come.
        net.connect(Long {
            wire: Wire::new(Role::Connector),
            call: None,
            left: 0,
            cancel_at,
        });
        net.sim.run_for(Duration::from_secs(2));
        let cancelled = net.seen.borrow().cancelled.clone();
        assert_eq!(cancelled.len(), 1);
        let after = cancelled[0] - cancel_at;
        println!("seed {seed}: {after:?}");
        assert!(after <= 2 * ONE_WAY, "{after:?}");
    }
}
