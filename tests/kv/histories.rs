//! The judges, judged: histories made by hand, and many made by chance.

use crate::history::{History, Recorder, Timed};
use crate::judges::{by_search, by_states, is_linearizable};
use crate::register::{Call, Operation, Register, Reply};
use crate::support::random::Random;

/// `(called, returned, call, reply)`; returned 0: open.
fn history(operations: &[(u64, u64, Call, Option<Reply>)]) -> History {
    let timed = operations
        .iter()
        .map(|(called, returned, call, reply)| Timed {
            operation: Operation {
                call: call.clone(),
                reply: reply.clone(),
            },
            called: *called,
            returned: (*returned > 0).then_some(*returned),
        });
    timed.collect()
}

fn put(value: u64) -> (Call, Option<Reply>) {
    (Call::Put(value), Some(Reply::Done))
}

fn got(value: Option<u64>) -> (Call, Option<Reply>) {
    (Call::Get, Some(Reply::Value(value)))
}

fn swap(expect: Option<u64>, value: Option<u64>, reply: Reply) -> (Call, Option<Reply>) {
    (Call::Swap { expect, value }, Some(reply))
}

fn at(
    called: u64,
    returned: u64,
    (call, reply): (Call, Option<Reply>),
) -> (u64, u64, Call, Option<Reply>) {
    (called, returned, call, reply)
}

#[test]
fn what_can_be_ordered_is_linearizable() {
    let open_put = (Call::Put(7), None);
    let good = [
        ("nothing", vec![]),
        (
            "one after the other",
            vec![
                at(1, 2, put(1)),
                at(3, 4, got(Some(1))),
                at(5, 6, put(2)),
                at(7, 8, got(Some(2))),
            ],
        ),
        (
            "a read beside a write sees the old value",
            vec![at(1, 2, put(1)), at(3, 6, put(2)), at(4, 5, got(Some(1)))],
        ),
        (
            "or the new one",
            vec![at(1, 2, put(1)), at(3, 6, put(2)), at(4, 5, got(Some(2)))],
        ),
        (
            "three writes in the reverse order of their calls",
            vec![
                at(1, 10, put(1)),
                at(2, 11, put(2)),
                at(3, 12, put(3)),
                at(4, 5, got(Some(3))),
                at(6, 7, got(Some(2))),
                at(8, 9, got(Some(1))),
            ],
        ),
        (
            "what is open takes effect late",
            vec![
                at(1, 0, open_put.clone()),
                at(2, 3, got(None)),
                at(4, 5, got(Some(7))),
            ],
        ),
        (
            "or never",
            vec![at(1, 0, open_put), at(2, 3, got(None)), at(4, 5, got(None))],
        ),
        (
            "one of two swaps",
            vec![
                at(1, 4, swap(None, Some(1), Reply::Done)),
                at(2, 5, swap(None, Some(2), Reply::Not(Some(1)))),
            ],
        ),
        (
            "written once",
            vec![
                at(1, 4, (Call::WriteOnce(1), Some(Reply::Not(Some(2))))),
                at(2, 5, (Call::WriteOnce(2), Some(Reply::Done))),
                at(6, 7, (Call::Put(9), Some(Reply::Not(Some(2))))),
            ],
        ),
    ];
    for (what, operations) in good {
        assert!(is_linearizable(&history(&operations)), "{what}");
    }
}

#[test]
fn what_is_open_explains_what_another_saw() {
    let open_swap = Call::Swap {
        expect: Some(1),
        value: None,
    };
    let operations = [
        at(1, 2, put(1)),
        at(3, 0, (open_swap, None)),
        at(4, 5, got(None)),
    ];
    assert!(is_linearizable(&history(&operations)));
}

#[test]
fn what_cannot_be_ordered_is_not() {
    for (what, operations) in [
        (
            "a value that nobody wrote",
            vec![at(1, 2, put(1)), at(3, 4, got(Some(2)))],
        ),
        (
            "a stale read",
            vec![at(1, 2, put(1)), at(3, 4, put(2)), at(5, 6, got(Some(1)))],
        ),
        ("a lost write", vec![at(1, 2, put(1)), at(3, 4, got(None))]),
        (
            "the new value, then the old one, beside one write",
            vec![
                at(1, 2, put(1)),
                at(3, 8, put(2)),
                at(4, 5, got(Some(2))),
                at(6, 7, got(Some(1))),
            ],
        ),
        (
            "two swaps of the same",
            vec![
                at(1, 4, swap(None, Some(1), Reply::Done)),
                at(2, 5, swap(None, Some(2), Reply::Done)),
            ],
        ),
        (
            "a swap that failed for no reason",
            vec![
                at(1, 2, put(1)),
                at(3, 4, swap(Some(1), None, Reply::Not(Some(1)))),
            ],
        ),
        (
            "a write before its call",
            vec![at(1, 2, got(Some(1))), at(3, 0, (Call::Put(1), None))],
        ),
        (
            "an open write twice",
            vec![
                at(1, 0, (Call::Put(1), None)),
                at(2, 3, got(Some(1))),
                at(4, 5, put(2)),
                at(6, 7, got(Some(2))),
                at(8, 9, got(Some(1))),
            ],
        ),
        (
            "written once, changed",
            vec![
                at(1, 2, (Call::WriteOnce(1), Some(Reply::Done))),
                at(3, 4, put(2)),
            ],
        ),
    ] {
        assert!(!is_linearizable(&history(&operations)), "{what}");
    }
}

/// A call by chance, of few values, so that they meet.
fn some_call(random: &mut Random) -> Call {
    let value = |random: &mut Random| u64::try_from(random.below(3)).unwrap();
    let maybe = |random: &mut Random| random.happens(0.7).then(|| value(random));
    match random.below(9) {
        0..=3 => Call::Get,
        4 | 5 => Call::Put(value(random)),
        6 => Call::Delete,
        7 => Call::Swap {
            expect: maybe(random),
            value: maybe(random),
        },
        _ if random.happens(0.2) => Call::WriteOnce(value(random)),
        _ => Call::Get,
    }
}

/// What clients of a register see that does each call at one moment between call and answer: linearizable by its making. Some
/// answers get lost.
fn made(random: &mut Random, clients: usize, operations: usize) -> History {
    let recorder = Recorder::default();
    let mut register = Register::default();
    let mut under_way = Vec::new();
    let mut begun = 0;
    while begun < operations || !under_way.is_empty() {
        if begun < operations && under_way.len() < clients && random.happens(0.5) {
            let call = some_call(random);
            under_way.push((recorder.call("key", call.clone()), call, None));
            begun += 1;
            continue;
        }
        if under_way.is_empty() {
            continue;
        }
        let at = random.below(under_way.len());
        if under_way[at].2.is_none() && random.happens(0.9) {
            let (after, reply) = register.execute(&under_way[at].1);
            register = after;
            under_way[at].2 = Some(reply);
            continue;
        }
        let (open, _, reply) = under_way.swap_remove(at);
        match reply {
            Some(reply) if !random.happens(0.05) => open.reply(reply),
            _ => drop(open),
        }
    }
    recorder.histories().remove("key").unwrap()
}

#[test]
fn what_an_atomic_register_does_is_linearizable() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let clients = 2 + random.below(4);
        let history = made(&mut random, clients, 30);
        assert!(is_linearizable(&history), "seed {seed}: {history:#?}");
    }
}

/// One answer of a good history is altered: whatever that makes of it, the judges agree, and often enough it is not linearizable.
#[test]
fn the_judges_agree_on_altered_histories() {
    let mut wrong = 0;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut history = made(&mut random, 4, 16);
        let at = random.below(history.len());
        if let Some(reply) = &mut history[at].operation.reply {
            let value = random
                .happens(0.8)
                .then(|| u64::try_from(random.below(4)).unwrap());
            *reply = match reply {
                Reply::Value(_) => Reply::Value(value),
                Reply::Done => Reply::Not(value),
                Reply::Not(_) => Reply::Done,
            };
        }
        let (theirs, ours) = (by_search(&history), by_states(&history));
        assert_eq!(theirs, ours, "seed {seed}: {history:#?}");
        wrong += usize::from(!ours);
    }
    assert!(
        (100..450).contains(&wrong),
        "{wrong} of 500 are not linearizable"
    );
}
