//! Two real endpoints and a hostile middle: what is delivered is always a prefix of what was written.
//!
//! The middle drops, copies, delays, damages and replays as the input says, but forges no checksum: against who can
//! do that the plain protocol promises nothing. The simulator's own checks do the comparing.

#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::connection::Linger;
use aqueduct::error::ResetCode;
use aqueduct::sim::{ConnectionKey, Fate, Io, Link, Sim};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Datagrams of one input: enough for a whole life, few enough to be fast.
const STEPS_MAX: u32 = 20_000;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    delay_micros: u16,
    windows: [u16; 2],
    fates: Vec<Middle>,
    acts: Vec<Act>,
}

/// What the middle does with the next datagram.
#[derive(Arbitrary, Debug, Clone)]
enum Middle {
    Pass,
    Drop,
    Copies(u8),
    Delay(u16),
    Flip(u16, u8),
    Cut(u16),
    Extend(u8),
    Replay(u8),
    Garbage(Vec<u8>),
}

/// What an application does.
#[derive(Arbitrary, Debug)]
enum Act {
    Write { client: bool, len: u16 },
    Read { client: bool, len: u16 },
    ShutdownWrite { client: bool },
    ShutdownRead { client: bool },
    Close { client: bool },
    Linger { client: bool, millis: u16 },
    Abort { client: bool, code: u16 },
    Wait { millis: u16 },
    Rebind,
    Restart { client: bool },
}

fuzz_target!(|input: Input| {
    let mut sim = Sim::new(input.seed);
    sim.trace_mut().keep(0);
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    let delay = Duration::from_micros(u64::from(input.delay_micros));
    sim.link(client, server, Link::new().delay(delay));
    let fates = Rc::new(RefCell::new(VecDeque::from(input.fates)));
    for (from, to) in [(client, server), (server, client)] {
        let fates = Rc::clone(&fates);
        let mut old: Vec<Vec<u8>> = Vec::new();
        sim.filter(from, to, move |passing| {
            let fate = fates.borrow_mut().pop_front().unwrap_or(Middle::Pass);
            let fate = decide(fate, passing.bytes, &old);
            if old.len() < 64 {
                old.push(passing.bytes.to_vec());
            }
            fate
        });
    }
    let config = |window: u16| Config::default().with_receive_window(u32::from(window).max(4_096));
    sim.listen(server, config(input.windows[0]), || |_: &mut Io<'_>| {});
    let key = sim.connect(client, server, config(input.windows[1]), |_: &mut Io<'_>| {});
    for act in &input.acts {
        let peer = sim.accepted(server).first().copied();
        match *act {
            Act::Wait { millis } => run(&mut sim, Duration::from_millis(u64::from(millis))),
            Act::Rebind => sim.rebind(client),
            Act::Restart { client: true } => sim.restart(client),
            Act::Restart { client: false } => sim.restart(server),
            _ => perform(&mut sim, key, peer, act),
        }
    }
    run(&mut sim, Duration::from_secs(600));
});

fn decide(fate: Middle, bytes: &[u8], old: &[Vec<u8>]) -> Fate {
    let mut changed = bytes.to_vec();
    match fate {
        Middle::Pass => return Fate::Pass,
        Middle::Drop => return Fate::Drop,
        Middle::Copies(count) => return Fate::Copies(u32::from(count % 5)),
        Middle::Delay(millis) => return Fate::Delay(Duration::from_millis(u64::from(millis))),
        Middle::Replay(index) => {
            let old = old.get(usize::from(index) % old.len().max(1)).cloned();
            return Fate::Inject(old.into_iter().collect());
        }
        Middle::Garbage(bytes) => return Fate::Inject(vec![bytes]),
        Middle::Flip(at, bit) => {
            if let Some(byte) = changed.get_mut(usize::from(at) % bytes.len().max(1)) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Middle::Cut(len) => changed.truncate(usize::from(len)),
        Middle::Extend(count) => changed.extend((0..count).map(|n| n ^ 0x55)),
    }
    Fate::Replace(changed)
}

fn perform(sim: &mut Sim, key: ConnectionKey, peer: Option<ConnectionKey>, act: &Act) {
    let of = |client: bool| if client { Some(key) } else { peer };
    let (who, verb): (bool, &dyn Fn(&mut Io<'_>)) = match *act {
        Act::Write { client, len } => (client, &move |io| {
            let bytes: Vec<u8> = (0..len).map(|n| (n ^ (n >> 8)).to_le_bytes()[0]).collect();
            let _ = io.write(&bytes);
        }),
        Act::Read { client, len } => {
            (client, &move |io| drop(io.read(&mut vec![0; usize::from(len)])))
        }
        Act::ShutdownWrite { client } => (client, &|io| io.shutdown_write()),
        Act::ShutdownRead { client } => (client, &|io| io.shutdown_read()),
        Act::Close { client } => (client, &|io| io.close()),
        Act::Linger { client, millis } => (client, &move |io| {
            io.release(Linger::For(Duration::from_millis(u64::from(millis))));
        }),
        Act::Abort { client, code } => {
            (client, &move |io| io.abort(ResetCode::from_application(code)))
        }
        _ => return,
    };
    if let Some(key) = of(who) {
        sim.with(key, |io| {
            if !io.is_released() {
                verb(io);
            }
        });
    }
}

fn run(sim: &mut Sim, time: Duration) {
    let mut steps = 0;
    sim.run_until(time, |_| {
        steps += 1;
        steps > STEPS_MAX
    });
    assert!(steps <= STEPS_MAX, "events without end");
}
