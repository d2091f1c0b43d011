//! Every short list of calls on both ends of a connection, in every order between them: whatever two applications
//! do, no byte is misplaced, nothing hangs, and both connections end.

use aqueduct::config::Config;
use aqueduct::connection::Linger;
use aqueduct::sim::{ConnectionKey, Io, Link, Rng, Sim, seed};

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

/// All words of `len` calls, but those with a call after the application has left: [`act`] makes none.
fn words(len: u32) -> Vec<Vec<Call>> {
    (0..5_usize.pow(len))
        .map(|word| -> Vec<Call> {
            (0..len)
                .map(|place| CALLS[word / 5_usize.pow(place) % 5])
                .collect()
        })
        .filter(|word| !(0..word.len() - 1).any(|at| word[at] == Call::Drop))
        .collect()
}

/// Whether every call of a word can change something: no direction is shut twice, or used when it is shut.
fn is_plain(word: &[Call]) -> bool {
    let shut = |at: usize, call| word[..at].contains(&call);
    !word.iter().enumerate().any(|(at, call)| match call {
        Call::ShutdownWrite | Call::Write => shut(at, Call::ShutdownWrite),
        Call::ShutdownRead | Call::Read => shut(at, Call::ShutdownRead),
        Call::Drop => false,
    })
}

/// Orders of so many turns on each side, as bits.
fn orders(len: u32) -> impl Iterator<Item = u32> {
    (0..1_u32 << (2 * len)).filter(move |order| order.count_ones() == len)
}

#[test]
fn every_race_of_short_lists_of_calls_ends() {
    let mut races = 0;
    for len in [1, 2, 3] {
        for ours in words(len) {
            for theirs in words(len) {
                for order in orders(len) {
                    // The longest lists take turns at one pace, which their order chooses.
                    let gaps: &[u64] = match (len, order % 3) {
                        (3, 0) => &[0],
                        (3, 1) => &[4],
                        (3, _) => &[13],
                        _ => &[0, 13],
                    };
                    for gap in gaps {
                        race(&ours, &theirs, order, ms(*gap));
                        races += 1;
                    }
                }
            }
        }
    }
    println!("{races} races");
    assert_eq!(races, 25 * 2 * 2 + 400 * 6 * 2 + 6_400 * 20);
}

/// Of the races of four plain calls one in so many is run; all with `AQUEDUCT_RACES=all`.
const ONE_IN: usize = 5;

#[test]
fn races_of_four_plain_calls_end() {
    let wants_all = std::env::var("AQUEDUCT_RACES").is_ok_and(|which| which == "all");
    let step = if wants_all { 1 } else { ONE_IN };
    let seed = seed(4);
    let mut rng = Rng::new(seed, "races");
    let (mut words, orders) = (words(4), orders(4).collect::<Vec<_>>());
    words.retain(|word| is_plain(word));
    let count = words.len() * words.len() * orders.len();
    assert_eq!(count, 88 * 88 * 70);
    let first = rng.index(step);
    for index in (first..count).step_by(step) {
        let (pair, order) = (index / orders.len(), orders[index % orders.len()]);
        let (ours, theirs) = (&words[pair / words.len()], &words[pair % words.len()]);
        race(ours, theirs, order, ms(rng.pick(&[0, 4, 13, 40])));
    }
}
