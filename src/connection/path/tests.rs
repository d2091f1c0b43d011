use super::*;

const PTO: Duration = Duration::from_millis(30);
const NONCE: u64 = 77;

fn meta(from: &str) -> Meta {
    Meta {
        from: from.parse().expect("an address"),
        to_ip: None,
        ecn: None,
    }
}

fn path() -> Path {
    Path::new("192.0.2.1:1000".parse().expect("an address"), None)
}

fn newest(path: &mut Path, from: &str, len: u64) -> PathAction {
    newest_at(path, Time::ZERO, from, len)
}

fn newest_at(path: &mut Path, now: Time, from: &str, len: u64) -> PathAction {
    let came = Came {
        len,
        is_newest: true,
    };
    path.on_packet(now, &meta(from), came, PTO, || NONCE)
}

fn take(path: &mut Path) -> Option<(Route, PathMessage)> {
    path.take_message(Time::ZERO, PTO)
}

fn remote(path: &Path) -> String {
    path.current().remote.to_string()
}

#[test]
fn an_old_packet_from_elsewhere_changes_nothing() {
    let mut path = path();
    let came = Came {
        len: 100,
        is_newest: false,
    };
    path.on_packet(Time::ZERO, &meta("198.51.100.9:5"), came, PTO, || NONCE);
    assert!(!path.is_changing() && !path.has_message());
    assert_eq!(remote(&path), "192.0.2.1:1000");
}

#[test]
fn a_rebound_port_is_followed_at_once_within_three_times_its_bytes() {
    let mut path = path();
    let action = newest(&mut path, "192.0.2.1:2000", 100);
    assert_eq!(action, PathAction::Rebound);
    assert_eq!(remote(&path), "192.0.2.1:2000");
    let (route, message) = take(&mut path).expect("a challenge");
    assert_eq!(
        (route.remote.port(), message),
        (2000, PathMessage::Challenge(NONCE))
    );
    path.on_sent(32);
    assert!(
        path.may_send(204) && !path.may_send(205),
        "300 bytes, 32 of them spent, 64 kept for two more challenges"
    );
    path.on_sent(204);
    assert!(!path.may_send(1));
    let again = newest(&mut path, "192.0.2.1:2000", 10);
    assert_eq!(again, PathAction::Keep, "one candidate at a time");
    assert!(path.may_send(30));
    let action = path.on_message(
        Time::ZERO,
        &meta("192.0.2.1:2000"),
        PathMessage::Response(NONCE),
    );
    assert_eq!(action, PathAction::Keep);
    assert!(!path.is_changing() && path.may_send(u64::MAX));
}

#[test]
fn three_unanswered_challenges_bring_the_old_port_back() {
    let mut path = path();
    newest(&mut path, "192.0.2.1:2000", 1_000);
    // What has gone to the port where nobody was is not waited for.
    for action in [PathAction::Keep, PathAction::Keep, PathAction::Rebound] {
        assert!(take(&mut path).is_some());
        assert!(take(&mut path).is_none(), "one challenge a timer");
        assert_eq!(path.on_timer(Time::ZERO, PTO), action);
    }
    assert_eq!(remote(&path), "192.0.2.1:1000");
    assert!(!path.is_changing());
}

/// A path whose round trip has grown from milliseconds to more than a second, in the moment of the rebinding.
#[test]
fn a_path_that_answers_late_is_waited_for_longer_each_time_and_proved_in_the_end() {
    let mut path = path();
    let (mut now, mut asked, mut waits) = (Time::ZERO, None, Vec::new());
    for _ in 0..60 {
        if !path.is_changing() {
            newest_at(&mut path, now, "192.0.2.1:2000", 1_000);
            asked = None;
        }
        if path.take_message(now, PTO).is_some() {
            asked = asked.or(Some(now));
            waits.push(path.deadline().expect("a timer") - now);
        }
        let answer_at = asked.map_or(now, |asked| asked + Duration::from_millis(2_300));
        let due = path.deadline().expect("a timer");
        if answer_at <= due {
            let from = meta("192.0.2.1:2000");
            path.on_message(answer_at, &from, PathMessage::Response(NONCE));
            break;
        }
        now = due;
        path.on_timer(now, PTO);
    }
    assert!(!path.is_changing() && !path.is_unproven(), "proved");
    assert_eq!(remote(&path), "192.0.2.1:2000");
    waits.dedup();
    let expected = [30, 60, 120, 240, 480, 960].map(Duration::from_millis);
    assert_eq!(waits, expected, "three challenges each");
    // A path that was proved is asked in its own time again.
    now += PTO;
    newest_at(&mut path, now, "192.0.2.1:3000", 1_000);
    path.take_message(now, PTO).expect("a challenge");
    assert_eq!(path.deadline(), Some(now + PTO));
}

/// Packets from two addresses that take turns: each was answered with a challenge and a probe of the old path.
#[test]
fn addresses_that_take_turns_draw_one_challenge_in_a_probe_timeout() {
    let mut path = path();
    let (mut challenges, step) = (0_u32, PTO / 10);
    for n in 0..1_000_u32 {
        let now = Time::ZERO + step * n;
        let from = ["198.51.100.1:1", "198.51.100.2:1", "192.0.2.1:7"][n as usize % 3];
        newest_at(&mut path, now, from, 100);
        while path.take_message(now, PTO).is_some() {
            challenges += 1;
        }
        path.on_acknowledged(1);
    }
    assert!(
        (50..=101).contains(&challenges),
        "{challenges} in 100 timeouts"
    );
}

/// And none at all to a peer that acknowledges nothing, once some have gone.
#[test]
fn changes_of_path_end_while_nothing_is_acknowledged() {
    let mut path = path();
    let ask = |path: &mut Path, numbers: std::ops::Range<u32>| {
        let mut challenges = 0;
        for n in numbers {
            let now = Time::ZERO + PTO * 2 * n;
            let from = ["198.51.100.1:1", "198.51.100.2:1"][n as usize % 2];
            newest_at(path, now, from, 100);
            challenges += u32::from(path.take_message(now, PTO).is_some());
        }
        challenges
    };
    let drawn = ask(&mut path, 0..1_000);
    assert!(drawn <= u32::from(UNACKED_MAX / CHANGE_COST), "{drawn}");
    path.on_acknowledged(1);
    assert_eq!(
        ask(&mut path, 1_000..2_000),
        0,
        "one packet pays for no change"
    );
    path.on_acknowledged(u64::MAX);
    assert!(ask(&mut path, 2_000..2_010) > 0);
}

/// A new port that has not answered yet, and then another address: the new port was sent to without limit from then on.
#[test]
fn another_address_ends_the_use_of_a_port_that_has_not_answered() {
    let mut path = path();
    newest(&mut path, "192.0.2.1:2000", 100);
    assert_eq!(remote(&path), "192.0.2.1:2000");
    let action = newest_at(&mut path, Time::ZERO + PTO, "198.51.100.9:5", 100);
    assert_eq!(action, PathAction::ProbeOld);
    assert_eq!(
        remote(&path),
        "192.0.2.1:1000",
        "the last one that was proved is asked"
    );
    // If the one that was proved speaks, it stays.
    newest_at(&mut path, Time::ZERO + PTO, "192.0.2.1:1000", 100);
    assert!(!path.is_changing());
    assert_eq!(remote(&path), "192.0.2.1:1000");
}

#[test]
fn the_port_that_was_proved_is_taken_back_once_the_new_one_has_had_its_time() {
    let mut path = path();
    newest(&mut path, "192.0.2.1:2000", 100);
    let early = newest_at(&mut path, Time::ZERO + PTO / 2, "192.0.2.1:1000", 100);
    assert_eq!((early, path.is_changing()), (PathAction::Keep, true));
    let came = Came {
        len: 100,
        is_newest: false,
    };
    let late = Time::ZERO + PTO;
    let old = path.on_packet(late, &meta("192.0.2.1:1000"), came, PTO, || NONCE);
    assert_eq!(old, PathAction::Keep, "what was overtaken says nothing");
    let back = newest_at(&mut path, late, "192.0.2.1:1000", 100);
    assert_eq!((back, path.is_changing()), (PathAction::Rebound, false));
    assert_eq!(remote(&path), "192.0.2.1:1000");
    assert!(path.may_send(u64::MAX));
}

#[test]
fn another_address_must_answer_while_the_old_one_does_not() {
    let mut path = path();
    let action = newest(&mut path, "198.51.100.9:5", 100);
    assert_eq!(action, PathAction::ProbeOld, "both are asked at once");
    assert_eq!(remote(&path), "192.0.2.1:1000", "not yet");
    assert!(path.may_send(u64::MAX), "the old path has no new limit");
    let answer = |path: &mut Path, at, from: &str, nonce| {
        path.on_message(at, &meta(from), PathMessage::Response(nonce))
    };
    let early = answer(&mut path, Time::ZERO, "198.51.100.9:5", NONCE);
    assert_eq!(early, PathAction::Keep, "an unasked answer");
    take(&mut path).expect("a challenge");
    let end = Time::ZERO + PTO;
    for (from, nonce) in [("198.51.100.9:5", NONCE + 1), ("198.51.100.9:6", NONCE)] {
        assert_eq!(answer(&mut path, end, from, nonce), PathAction::Keep);
    }
    let before = Time::ZERO + PTO / 2;
    let right = answer(&mut path, before, "198.51.100.9:5", NONCE);
    assert_eq!(
        right,
        PathAction::Keep,
        "the old path has one probe timeout"
    );
    assert_eq!(path.deadline(), Some(end));
    assert_eq!(path.on_timer(before, PTO), PathAction::Keep);
    assert_eq!(path.on_timer(end, PTO), PathAction::Moved);
    assert_eq!(remote(&path), "198.51.100.9:5");
}

#[test]
fn an_answer_later_than_the_old_path_could_give_moves_at_once() {
    let mut path = path();
    newest(&mut path, "198.51.100.9:5", 100);
    take(&mut path).expect("a challenge");
    let late = Time::ZERO + PTO * 2;
    let action = path.on_message(late, &meta("198.51.100.9:5"), PathMessage::Response(NONCE));
    assert_eq!(action, PathAction::Moved);
}

/// What the peer sends may not put off the timer: PATH packets more often than once a probe timeout did.
#[test]
fn a_stream_of_messages_does_not_postpone_the_timer() {
    for from in ["192.0.2.1:2000", "198.51.100.9:5"] {
        let mut path = path();
        newest(&mut path, from, 1_000);
        let mut timers = 0;
        for n in 0..1_000_u32 {
            let now = Time::ZERO + PTO / 10 * n;
            if path.deadline().is_some_and(|due| due <= now) {
                timers += 1;
                path.on_timer(now, PTO);
            }
            path.on_message(now, &meta(from), PathMessage::Challenge(1));
            path.on_message(now, &meta(from), PathMessage::Response(NONCE + 1));
            while path.take_message(now, PTO).is_some() {}
        }
        assert_eq!(timers, 3, "three challenges, and each had its time");
        assert!(!path.is_changing());
    }
}

#[test]
fn an_answer_on_the_old_path_ends_the_change() {
    let mut path = path();
    newest(&mut path, "198.51.100.9:5", 100);
    take(&mut path).expect("a challenge");
    path.on_message(
        Time::ZERO,
        &meta("198.51.100.9:5"),
        PathMessage::Response(NONCE),
    );
    newest(&mut path, "192.0.2.1:1000", 40);
    assert_eq!(path.on_timer(Time::ZERO + PTO, PTO), PathAction::Keep);
    assert_eq!(remote(&path), "192.0.2.1:1000");
}

#[test]
fn a_flood_of_challenges_queues_two_responses() {
    let mut path = path();
    for nonce in 0..1_000 {
        path.on_message(
            Time::ZERO,
            &meta("192.0.2.1:1000"),
            PathMessage::Challenge(nonce),
        );
    }
    let sent = std::iter::from_fn(|| take(&mut path)).count();
    assert_eq!(sent, RESPONSES_MAX);
}
