//! The roster against connections that a test writes.

use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::layers::msg::error::Status;

#[derive(Debug, Default)]
struct Fake {
    is_closed: Cell<bool>,
    calls: Cell<usize>,
    silent: Cell<Option<Duration>>,
}

impl Member for Rc<Fake> {
    fn is_open(&self) -> bool {
        !self.is_closed.get()
    }

    fn calls(&self) -> usize {
        self.calls.get()
    }

    fn silent_for(&self) -> Option<Duration> {
        self.silent.get()
    }
}

const A: Class = Class::NORMAL;
const B: Class = Class::BULK;

fn at(ms: u64) -> Time {
    Time::from_millis(ms)
}

fn roster(change: impl FnOnce(&mut PoolConfig)) -> Roster<Rc<Fake>> {
    let mut config = PoolConfig::default();
    change(&mut config);
    Roster::new(config, 1)
}

/// Opens a connection, which must be what is to be done.
#[track_caller]
fn open(roster: &mut Roster<Rc<Fake>>, now: Time, class: Class) -> Rc<Fake> {
    assert!(matches!(roster.choose(now, class), Choice::Connect));
    let client = Rc::new(Fake::default());
    roster.on_opened(now, class, client.clone());
    client
}

#[track_caller]
fn taken(roster: &mut Roster<Rc<Fake>>, now: Time, class: Class) -> Rc<Fake> {
    match roster.choose(now, class) {
        Choice::Take(client) => client,
        other => panic!("{other:?}"),
    }
}

fn no() -> RpcError {
    RpcError::NotSent("no".into())
}

#[test]
fn calls_go_to_the_idlest_and_open_another_while_there_may_be_more() {
    let mut roster = roster(|config| config.per_class = 2);
    let first = open(&mut roster, at(1), A);
    assert!(Rc::ptr_eq(&first, &taken(&mut roster, at(1), A)));
    first.calls.set(3);
    let second = open(&mut roster, at(1), A);
    second.calls.set(2);
    assert!(Rc::ptr_eq(&second, &taken(&mut roster, at(1), A)));
    second.calls.set(4);
    assert!(Rc::ptr_eq(&first, &taken(&mut roster, at(1), A)));
    let state = roster.state(at(1), A);
    assert_eq!((state.open, state.calls, state.connecting), (2, 7, 0));
}

#[test]
fn one_caller_connects_and_the_others_wait_for_it() {
    let mut roster = roster(|_| ());
    assert!(matches!(roster.choose(at(1), A), Choice::Connect));
    for _ in 0..100 {
        assert!(matches!(roster.choose(at(1), A), Choice::Wait(None)));
    }
    roster.on_opened(at(1), A, Rc::default());
    taken(&mut roster, at(1), A);
}

#[test]
fn failures_to_connect_are_answered_by_longer_and_longer_pauses() {
    let mut roster = roster(|_| ());
    let (mut now, mut pauses) = (at(1), Vec::new());
    for _ in 0..8 {
        assert!(matches!(roster.choose(now, A), Choice::Connect));
        roster.on_failed(now, A, no());
        let Choice::Wait(Some(until)) = roster.choose(now, A) else {
            panic!("a pause")
        };
        assert_eq!(roster.state(now, A).pause, Some(until - now));
        assert_eq!(roster.failure(A), no());
        pauses.push((until - now).as_millis());
        now = until;
    }
    assert!((40..=60).contains(&pauses[0]), "{pauses:?}");
    assert!((160..=240).contains(&pauses[2]), "{pauses:?}");
    assert!((800..=1_200).contains(&pauses[7]), "{pauses:?}");
    // Another class has pauses of its own; and one success ends them.
    open(&mut roster, now, B);
    let client = open(&mut roster, now, A);
    assert_eq!(roster.state(now, A).last_error, None);
    client.is_closed.set(true);
    assert!(matches!(roster.choose(now, A), Choice::Connect));
    roster.on_failed(now, A, no());
    assert!(roster.state(now, A).pause <= Some(Duration::from_millis(60)));
}

/// While one lives, a pause for the second holds up nobody.
#[test]
fn a_pause_is_no_reason_to_wait_while_a_connection_is_open() {
    let mut roster = roster(|config| config.per_class = 2);
    let first = open(&mut roster, at(1), A);
    first.calls.set(1);
    assert!(matches!(roster.choose(at(1), A), Choice::Connect));
    roster.on_failed(at(1), A, no());
    assert!(Rc::ptr_eq(&first, &taken(&mut roster, at(1), A)));
}

#[test]
fn what_is_closed_silent_or_idle_is_given_up() {
    let mut roster = roster(|config| config.idle_timeout = Some(Duration::from_secs(60)));
    let client = open(&mut roster, at(0), A);
    client.is_closed.set(true);
    let client = open(&mut roster, at(0), A);
    // Silence without calls says nothing.
    client.silent.set(Some(Duration::from_secs(11)));
    taken(&mut roster, at(0), A);
    client.calls.set(1);
    let client = open(&mut roster, at(0), A);
    client.calls.set(1);
    // Busy for long, then idle: the time counts from when it was last seen busy.
    assert_eq!(roster.sweep(at(59_000)), Some(at(119_000)));
    client.calls.set(0);
    assert_eq!(roster.sweep(at(118_999)), Some(at(119_000)));
    assert_eq!(roster.state(at(118_999), A).open, 1);
    assert_eq!(roster.sweep(at(119_000)), None);
    assert_eq!(roster.state(at(119_000), A).open, 0);
}

#[test]
fn all_classes_together_are_bounded_and_an_idle_one_makes_room() {
    let mut roster = roster(|config| {
        config.connections = 2;
        config.per_class = 2;
    });
    let first = open(&mut roster, at(1), A);
    first.calls.set(1);
    let second = open(&mut roster, at(1), A);
    second.calls.set(1);
    let busy = roster.choose(at(1), B);
    assert!(matches!(busy, Choice::Wait(Some(_))), "both are busy");
    first.calls.set(0);
    open(&mut roster, at(1), B);
    let state = (roster.state(at(1), A).open, roster.state(at(1), B).open);
    assert_eq!(state, (1, 1));
}

#[test]
fn those_who_wait_are_bounded() {
    let mut roster = roster(|config| config.waiting = 3);
    let taken = (0..10).filter(|_| roster.begin_to_wait(A)).count();
    assert_eq!((taken, roster.state(at(1), A).waiting), (3, 3));
    roster.end_to_wait(A);
    assert!(roster.begin_to_wait(A) && !roster.begin_to_wait(A));
}

#[test]
fn only_what_was_not_executed_or_has_a_key_is_repeated() {
    let key = Some(IdemKey {
        client: 1,
        seq: 1,
        ack_below: 1,
    });
    let refused = |code| RpcError::Remote(Status::refused(code, ""));
    let unknown = || RpcError::Unknown("cut".into());
    let late = RpcError::Deadline {
        maybe_executed: true,
    };
    for idem in [None, key] {
        assert_eq!(remedy(&no(), idem), Remedy::Again);
        assert_eq!(remedy(&refused(code::GOING_AWAY), idem), Remedy::Again);
        assert_eq!(remedy(&refused(code::OVERLOADED), idem), Remedy::AfterPause);
        assert_eq!(remedy(&refused(code::UNKNOWN_METHOD), idem), Remedy::None);
        assert_eq!(
            remedy(&RpcError::Remote(Status::new(code::OVERLOADED, "")), idem),
            Remedy::None
        );
        assert_eq!(remedy(&late, idem), Remedy::None);
    }
    assert_eq!(remedy(&unknown(), None), Remedy::None);
    assert_eq!(remedy(&unknown(), key), Remedy::Again);
    let running = RpcError::Remote(Status::new(code::IN_PROGRESS, ""));
    assert_eq!(remedy(&running, None), Remedy::None);
    assert_eq!(remedy(&running, key), Remedy::AfterPause);
}

/// The first attempt was executed and its answer lost, the second found nobody: the caller was told that nothing was done.
#[test]
fn what_an_earlier_attempt_may_have_done_is_not_forgotten() {
    let lost = || RpcError::Unknown("cut".to_owned());
    let refused = || RpcError::NotSent("nobody listens".to_owned());
    assert!(!of_all_attempts(false, refused()).maybe_executed());
    for last in [refused(), lost(), RpcError::Overloaded] {
        let said = last.to_string();
        let error = of_all_attempts(true, last);
        assert!(
            error.maybe_executed() && error.to_string().contains(&said),
            "{error}"
        );
    }
}
