//! Is there an order of all operations, each at some moment between its call and its answer, in which every answer is right?

use std::collections::{BTreeSet, HashSet};

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History as Actions};
use todc_utils::specifications::Specification;

use crate::history::{History, Timed};
use crate::register::{Operation, Register};

/// Asks both judges.
///
/// # Panics
/// If they do not agree: one of them is wrong.
pub(crate) fn is_linearizable(history: &History) -> bool {
    let (theirs, ours) = (by_search(history), by_states(history));
    assert_eq!(theirs, ours, "the judges do not agree on {history:#?}");
    ours
}

impl Specification for Register {
    type State = Register;
    type Operation = Operation;

    fn init() -> Register {
        Register::default()
    }

    fn apply(operation: &Operation, state: &Register) -> (bool, Register) {
        let after = state.step(operation);
        (after.is_some(), after.unwrap_or(*state))
    }
}

/// Call and answer of each operation, in the order of their times; what is open is answered at the end.
fn events(history: &History) -> Vec<(u64, usize, bool)> {
    let mut events = Vec::new();
    for (
        at,
        Timed {
            called, returned, ..
        },
    ) in history.iter().enumerate()
    {
        events.push((*called, at, true));
        events.push((returned.unwrap_or(u64::MAX), at, false));
    }
    events.sort_unstable();
    events
}

/// By `todc-utils`: depth first, one order after the other. To it every operation is a process of its own.
pub(crate) fn by_search(history: &History) -> bool {
    if history.is_empty() {
        return true;
    }
    let actions = events(history).into_iter().map(|(_, at, is_call)| {
        let operation = history[at].operation.clone();
        let action = if is_call {
            Action::Call
        } else {
            Action::Response
        };
        (at, action(operation))
    });
    WGLChecker::<Register>::is_linearizable(Actions::from_actions(actions.collect()))
}

/// A state that is possible at a moment, and which of the operations that are open have taken effect in it.
type Possible = (Register, BTreeSet<usize>);

/// By our own: forward through the events, with all that is possible at each.
pub(crate) fn by_states(history: &History) -> bool {
    let mut possible = HashSet::from([(Register::default(), BTreeSet::new())]);
    let mut open = BTreeSet::new();
    for (_, at, is_call) in events(history) {
        if is_call {
            open.insert(at);
        } else if history[at].returned.is_some() {
            // It must have taken effect by now: wherever it has not, let it, and whatever else before it.
            possible = close(history, &possible, &open, at);
            open.remove(&at);
        }
        if possible.is_empty() {
            return false;
        }
    }
    true
}

/// All that is possible in which `must` has taken effect.
fn close(
    history: &History,
    possible: &HashSet<Possible>,
    open: &BTreeSet<usize>,
    must: usize,
) -> HashSet<Possible> {
    let mut closed = HashSet::new();
    let mut seen = possible.clone();
    let mut left: Vec<Possible> = possible.iter().cloned().collect();
    while let Some((state, done)) = left.pop() {
        if done.contains(&must) {
            let mut done = done;
            done.remove(&must);
            closed.insert((state, done));
            continue;
        }
        for next in open.difference(&done) {
            let Some(after) = state.step(&history[*next].operation) else {
                continue;
            };
            let mut done = done.clone();
            done.insert(*next);
            if seen.insert((after, done.clone())) {
                left.push((after, done));
            }
        }
    }
    closed
}
