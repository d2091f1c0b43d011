//! Every short list of calls on both ends of a connection, in every order between them: whatever two applications
//! do, no byte is misplaced, nothing hangs, and both connections end.

use aqueduct::config::Config;
use aqueduct::connection::Linger;
use aqueduct::sim::{ConnectionKey, Io, Link, Sim};

use crate::{ms, secs};

/// What an application does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    ShutdownWrite,
    ShutdownRead,
    Drop,
    Write,
    Read,
}

const CALLS: [Call; 5] = [
    Call::ShutdownWrite,
    Call::ShutdownRead,
    Call::Drop,
    Call::Write,
    Call::Read,
];

fn act(sim: &mut Sim, key: ConnectionKey, call: Call) {
    sim.with(key, |io| {
        if io.is_released() {
            return;
        }
        match call {
            Call::ShutdownWrite => io.shutdown_write(),
            Call::ShutdownRead => io.shutdown_read(),
            Call::Drop => io.release(Linger::Background),
            Call::Write => drop(io.write(&[0x5A; 700])),
            Call::Read => drop(io.read(&mut [0; 500])),
        }
    });
}

/// One race: the calls of both ends, `order` saying whose turn it is, `gap` of time between two calls.
fn race(ours: &[Call], theirs: &[Call], order: u32, gap: std::time::Duration) {
    let mut sim = Sim::new(1);
    sim.trace_mut().keep(60);
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    sim.link(client, server, Link::new().delay(ms(10)));
    sim.listen(server, Config::default(), || |_: &mut Io<'_>| {});
    let key = sim.connect(client, server, Config::default(), |_: &mut Io<'_>| {});
    sim.run_for(ms(100));
    let peer = sim.peer(key).expect("open");
    let (mut ours, mut theirs) = (ours.iter(), theirs.iter());
    for turn in 0..(ours.len() + theirs.len()) {
        let first = if order >> turn & 1 == 0 {
            &mut ours
        } else {
            &mut theirs
        };
        let Some(call) = first.next() else {
            return;
        };
        act(
            &mut sim,
            if order >> turn & 1 == 0 { key } else { peer },
            *call,
        );
        sim.run_for(gap);
    }
    sim.run_for(ms(100));
    for key in [key, peer] {
        act(&mut sim, key, Call::Drop);
    }
    let is_over = sim.run_until(secs(200), |sim| sim.is_closed(key) && sim.is_closed(peer));
    if !is_over {
        sim.fail("a connection never ends");
    }
}

/// All words of `len` calls.
fn words(len: u32) -> Vec<Vec<Call>> {
    (0..5_usize.pow(len))
        .map(|word| {
            (0..len)
                .map(|place| CALLS[word / 5_usize.pow(place) % 5])
                .collect()
        })
        .collect()
}

#[test]
fn every_race_of_short_lists_of_calls_ends() {
    let mut races = 0;
    for len in [1, 2] {
        for ours in words(len) {
            for theirs in words(len) {
                for order in 0..1_u32 << (2 * len) {
                    if order.count_ones() == len {
                        race(&ours, &theirs, order, ms(0));
                        race(&ours, &theirs, order, ms(13));
                        races += 2;
                    }
                }
            }
        }
    }
    for ours in words(3) {
        for theirs in words(3) {
            race(&ours, &theirs, 0b10_10_10, ms(4));
            races += 1;
        }
    }
    println!("{races} races");
}
