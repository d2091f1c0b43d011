//! The clocks against happens-before itself: every small execution, and random large ones.

mod executions;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use executions::{Execution, every_execution, random_execution};

/// What both clocks say of every event of an execution, and the truth.
struct Stamped {
    execution: Execution,
    lamport: Vec<u64>,
    vectors: Vec<VectorClock<usize>>,
    oracle: Vec<crdts::VClock<usize>>,
}

/// Plays an execution on clocks that know nothing but their own process and the stamps on messages.
fn stamp(execution: Execution) -> Stamped {
    let processes = execution.processes;
    let clocks: Vec<Lamport> = (0..processes).map(|_| Lamport::new()).collect();
    let mut now = vec![VectorClock::new(); processes];
    let mut other: Vec<crdts::VClock<usize>> = vec![crdts::VClock::new(); processes];
    let (mut lamport, mut vectors, mut oracle) =
        (Vec::new(), Vec::<VectorClock<usize>>::new(), Vec::new());
    for event in &execution.events {
        let at = event.process;
        let time = match event.receives {
            Some(sent) => {
                now[at].merge(&vectors[sent]).expect("few processes");
                crdts::CmRDT::apply(&mut other[at], dot(&oracle, sent, &execution));
                merge_oracle(&mut other[at], &oracle[sent]);
                clocks[at].merge_recv(lamport[sent]).expect("small")
            }
            None if event.sends => clocks[at].stamp_send(),
            None => clocks[at].tick(),
        };
        now[at].tick(at).expect("few processes");
        let dot = other[at].inc(at);
        crdts::CmRDT::apply(&mut other[at], dot);
        lamport.push(time);
        vectors.push(now[at].clone());
        oracle.push(other[at].clone());
    }
    Stamped {
        execution,
        lamport,
        vectors,
        oracle,
    }
}

fn dot(oracle: &[crdts::VClock<usize>], sent: usize, execution: &Execution) -> crdts::Dot<usize> {
    oracle[sent].dot(execution.events[sent].process)
}

fn merge_oracle(into: &mut crdts::VClock<usize>, from: &crdts::VClock<usize>) {
    crdts::CvRDT::merge(into, from.clone());
}

impl Stamped {
    fn check_lamport(&self) {
        let mut total = BTreeSet::new();
        for (b, _) in self.execution.events.iter().enumerate() {
            for a in 0..b {
                if self.execution.happened_before(a, b) {
                    assert!(self.lamport[a] < self.lamport[b], "{:?}", self.execution);
                }
            }
            let node = self.execution.events[b].process;
            assert!(
                total.insert(Stamp::new(self.lamport[b], node)),
                "stamps with names are unique"
            );
        }
    }

    fn check_vectors(&self) {
        for a in 0..self.vectors.len() {
            for b in 0..self.vectors.len() {
                let truth = match (
                    a == b,
                    self.execution.happened_before(a, b),
                    self.execution.happened_before(b, a),
                ) {
                    (true, _, _) => Some(Ordering::Equal),
                    (_, true, _) => Some(Ordering::Less),
                    (_, _, true) => Some(Ordering::Greater),
                    _ => None,
                };
                let ours = self.vectors[a].partial_cmp(&self.vectors[b]);
                assert_eq!(ours, truth, "events {a} and {b} of {:?}", self.execution);
                assert_eq!(
                    self.oracle[a].partial_cmp(&self.oracle[b]),
                    truth,
                    "the other library"
                );
                assert_eq!(
                    self.vectors[a].is_concurrent(&self.vectors[b]),
                    truth.is_none()
                );
            }
        }
    }
}

#[test]
fn c1_what_happened_before_has_the_smaller_lamport_stamp() {
    let mut checked = 0;
    for (processes, events) in [(2, 6), (3, 5)] {
        every_execution(processes, events, &mut |execution| {
            stamp(execution.clone()).check_lamport();
            checked += 1;
        });
    }
    assert!(checked > 10_000, "{checked} executions");
    for seed in 0..200 {
        println!("seed {seed}");
        stamp(random_execution(seed, 5, 120)).check_lamport();
    }
}

#[test]
fn c2_a_vector_is_smaller_if_and_only_if_it_happened_before() {
    for (processes, events) in [(2, 6), (3, 5)] {
        every_execution(processes, events, &mut |execution| {
            stamp(execution.clone()).check_vectors()
        });
    }
    for seed in 0..50 {
        println!("seed {seed}");
        stamp(random_execution(seed, 5, 80)).check_vectors();
    }
}

/// Messages overtake each other (the executions deliver in any order): what a stamp says depends on what led to it
/// and not on when it came.
#[test]
fn c3_stamps_survive_reordering() {
    let mut overtaken = 0;
    for seed in 0..100 {
        println!("seed {seed}");
        let execution = random_execution(seed, 4, 100);
        overtaken += execution.overtaken();
        let stamped = stamp(execution);
        stamped.check_lamport();
        stamped.check_vectors();
    }
    assert!(overtaken > 500, "{overtaken} messages overtook another");
}

#[test]
fn threads_that_share_a_clock_never_draw_the_same_stamp() {
    let clock = Arc::new(Lamport::new());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let clock = clock.clone();
            std::thread::spawn(move || -> Vec<u64> {
                (0..1_000)
                    .map(|at| {
                        if at % 2 == 0 {
                            clock.tick()
                        } else {
                            clock.merge_recv(at).expect("small")
                        }
                    })
                    .collect()
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for thread in threads {
        let stamps = thread.join().expect("no panic");
        assert!(stamps.is_sorted());
        assert!(stamps.iter().all(|stamp| all.insert(*stamp)));
    }
    assert!(clock.now() >= 4_000);
}

#[test]
fn an_absurd_stamp_is_refused_and_changes_nothing() {
    let clock = Lamport::resume(7).expect("small");
    assert_eq!(
        clock.merge_recv(STAMP_MAX + 1),
        Err(StampError(STAMP_MAX + 1))
    );
    assert_eq!(clock.now(), 7);
    assert_eq!(clock.merge_recv(STAMP_MAX), Ok(STAMP_MAX + 1));
    assert!(Lamport::resume(u64::MAX).is_err());
}

#[test]
fn a_full_vector_takes_no_further_process() {
    let mut clock = VectorClock::new();
    for node in 0..ENTRIES_MAX {
        clock.tick(node).expect("room");
    }
    let full = clock.clone();
    assert_eq!(clock.tick(ENTRIES_MAX), Err(ClockError::Full));
    assert_eq!(clock.tick(0), Ok(2));
    let mut stranger = VectorClock::new();
    stranger.tick(9_999).expect("room");
    assert_eq!(clock.merge(&stranger), Err(ClockError::Full));
    clock.merge(&full).expect("nobody new");
    assert_eq!(clock.get(&0), 2);
    clock.remove(&5);
    clock.merge(&stranger).expect("room again");
    assert_eq!(
        (clock.len(), clock.get(&9_999), clock.get(&5)),
        (ENTRIES_MAX, 1, 0)
    );
}

#[test]
fn bytes_in_any_but_the_one_valid_form_are_refused() {
    let refused = |entries: &[(u8, u64)]| {
        let mut bytes = vec![u8::try_from(entries.len()).expect("few")];
        for entry in entries {
            bytes.extend(postcard::to_stdvec(entry).expect("fits"));
        }
        VectorClock::<u8>::from_bytes(&bytes)
            .expect_err("must be refused")
            .to_string()
    };
    assert_eq!(
        refused(&[(1, 0)]),
        "these bytes are no vector clock: Serde Deserialization Error"
    );
    refused(&[(1, STAMP_MAX + 1)]);
    refused(&[(2, 1), (1, 1)]);
    refused(&[(1, 1), (1, 1)]);

    let mut clock = VectorClock::new();
    clock.tick(3_u8).expect("room");
    let mut bytes = clock.to_bytes().expect("fits");
    assert_eq!(bytes, [1, 3, 1]);
    for cut in 0..bytes.len() {
        assert!(VectorClock::<u8>::from_bytes(&bytes[..cut]).is_err());
    }
    bytes.push(0);
    assert_eq!(
        VectorClock::<u8>::from_bytes(&bytes),
        Err(ClockError::Malformed("bytes follow".into()))
    );
}

#[test]
fn a_length_that_promises_too_much_is_refused_before_it_costs_memory() {
    let mut bytes = postcard::to_stdvec(&u64::MAX).expect("fits");
    for node in 0..1_000_u16 {
        bytes.extend(postcard::to_stdvec(&(node, 1_u64)).expect("fits"));
    }
    assert!(VectorClock::<u16>::from_bytes(&bytes).is_err());
}

proptest! {
    #[test]
    fn any_clock_survives_the_wire(counts in proptest::collection::btree_map("[a-z]{0,8}", 1..=STAMP_MAX, 0..40)) {
        let clock = VectorClock { counts };
        let bytes = clock.to_bytes().expect("fits");
        prop_assert_eq!(VectorClock::from_bytes(&bytes), Ok(clock));
    }

    #[test]
    fn any_bytes_are_a_valid_clock_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(clock) = VectorClock::<u16>::from_bytes(&bytes) {
            prop_assert!(clock.len() <= ENTRIES_MAX);
            prop_assert!(clock.iter().all(|(_, count)| (1..=STAMP_MAX).contains(&count)));
        }
    }
}
