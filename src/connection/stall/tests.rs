use super::*;

/// Looks at a connection each second; `done` says how much it has done by then, of `held` ahead of it.
fn told(held: u64, seconds: u64, done: impl Fn(u64) -> u64) -> Vec<(u64, Time)> {
    let mut standing = Standing::Moves;
    (0..seconds)
        .filter_map(|second| {
            let progress = Progress {
                held,
                done: done(second),
            };
            let since = standing.look(Time::from_millis(second * 1_000), progress)?;
            Some((second, since))
        })
        .collect()
}

#[test]
fn a_second_without_a_byte_is_told_once() {
    assert_eq!(told(1, 100, |_| 7), [(1, Time::ZERO)]);
}

#[test]
fn a_byte_a_second_stands_still() {
    assert_eq!(told(64 << 10, 100, |second| second), [(8, Time::ZERO)]);
    // So do half a kilobyte a second, less a byte.
    assert_eq!(told(64 << 10, 100, |s| s * 511), [(8, Time::ZERO)]);
}

#[test]
fn ten_kilobits_a_second_move_what_they_can_move_in_ten_minutes() {
    // A datagram each second, in one direction or the other.
    assert_eq!(told(512 << 10, 3_600, |second| second * 1_100), []);
    assert_eq!(told(4 << 20, 3_600, |second| second * 1_100).len(), 1);
}

#[test]
fn what_is_held_is_to_be_gone_in_ten_minutes() {
    const HELD: u64 = 16 << 20;
    assert_eq!(told(HELD, 3_600, |second| second * HELD / 599), []);
    assert_eq!(told(HELD, 3_600, |second| second * HELD / 602).len(), 1);
}

#[test]
fn a_dialogue_of_short_messages_moves_by_each_of_them() {
    assert_eq!(told(10, 3_600, |second| second * 10), []);
}

#[test]
fn what_holds_nothing_is_not_watched() {
    let mut standing = Standing::Moves;
    let at = |second: u64| Time::from_millis(second * 1_000);
    standing.look(at(0), Progress { held: 1, done: 0 });
    assert!(standing.is_watched());
    assert_eq!(standing.look(at(1), Progress { held: 0, done: 0 }), None);
    assert_eq!(standing, Standing::Moves);
}

#[test]
fn two_looks_within_a_second_tell_nothing() {
    let mut standing = Standing::Moves;
    let stuck = Progress { held: 1, done: 0 };
    for millis in [0, 10, 500, 999] {
        assert_eq!(standing.look(Time::from_millis(millis), stuck), None);
    }
    let since = standing.look(Time::from_millis(1_000), stuck);
    assert_eq!(since, Some(Time::ZERO));
}

#[test]
fn who_stood_still_and_takes_a_byte_still_stands_until_it_makes_a_step() {
    let mut standing = Standing::Moves;
    let progress = |done| Progress {
        held: 64 << 10,
        done,
    };
    let at = |second: u64| Time::from_millis(second * 1_000);
    standing.look(at(0), progress(0));
    assert_eq!(standing.look(at(1), progress(0)), Some(at(0)));
    assert!(standing.stands(0) && standing.stands(1));
    assert!(standing.stands(STEP_MIN - 1) && !standing.stands(STEP_MIN));
    // A byte a second, an hour long: no news, and no rehabilitation.
    for second in 2..3_600 {
        assert_eq!(standing.look(at(second), progress(second)), None);
        assert!(standing.stands(second) && standing.is_told());
    }
    let step = 3_600 + STEP_MIN;
    assert_eq!(standing.look(at(3_600), progress(step)), None);
    assert!(!standing.stands(step));
    assert_eq!(standing.look(at(3_601), progress(step)), Some(at(3_600)));
}
