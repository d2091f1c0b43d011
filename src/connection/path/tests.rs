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

fn newest(path: &mut Path, from: &str, len: u64) {
    path.on_packet(&meta(from), len, true, || NONCE);
}

fn remote(path: &Path) -> String {
    path.current().remote.to_string()
}

#[test]
fn an_old_packet_from_elsewhere_changes_nothing() {
    let mut path = path();
    path.on_packet(&meta("198.51.100.9:5"), 100, false, || NONCE);
    assert!(!path.is_changing() && !path.has_message());
    assert_eq!(remote(&path), "192.0.2.1:1000");
}

#[test]
fn a_rebound_port_is_followed_at_once_within_three_times_its_bytes() {
    let mut path = path();
    newest(&mut path, "192.0.2.1:2000", 100);
    assert_eq!(remote(&path), "192.0.2.1:2000");
    let (route, message) = path.take_message().expect("a challenge");
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
    path.on_packet(&meta("192.0.2.1:2000"), 10, true, || {
        unreachable!("one candidate at a time")
    });
    assert!(path.may_send(30));
    let action = path.on_message(
        Time::ZERO,
        &meta("192.0.2.1:2000"),
        PathMessage::Response(NONCE),
        PTO,
    );
    assert_eq!(action, PathAction::Keep);
    assert!(!path.is_changing() && path.may_send(u64::MAX));
}

#[test]
fn three_unanswered_challenges_bring_the_old_port_back() {
    let mut path = path();
    newest(&mut path, "192.0.2.1:2000", 1_000);
    for _ in 0..3 {
        assert!(path.take_message().is_some());
        assert!(path.take_message().is_none(), "one challenge a timer");
        assert_eq!(path.on_timer(Time::ZERO), PathAction::Keep);
    }
    assert_eq!(remote(&path), "192.0.2.1:1000");
    assert!(!path.is_changing());
}

#[test]
fn another_address_must_answer_while_the_old_one_does_not() {
    let mut path = path();
    newest(&mut path, "198.51.100.9:5", 100);
    assert_eq!(remote(&path), "192.0.2.1:1000", "not yet");
    assert!(path.may_send(u64::MAX), "the old path has no new limit");
    let unasked = PathMessage::Response(NONCE);
    path.on_message(Time::ZERO, &meta("198.51.100.9:5"), unasked, PTO);
    assert_eq!(
        path.deadline(Time::ZERO, PTO),
        Some(Time::ZERO + PTO),
        "an unasked answer"
    );
    path.take_message().expect("a challenge");
    let wrong = [("198.51.100.9:5", NONCE + 1), ("198.51.100.9:6", NONCE)];
    for (from, nonce) in wrong {
        let action = path.on_message(Time::ZERO, &meta(from), PathMessage::Response(nonce), PTO);
        assert_eq!(action, PathAction::Keep);
    }
    let right = PathMessage::Response(NONCE);
    let action = path.on_message(Time::ZERO, &meta("198.51.100.9:5"), right, PTO);
    assert_eq!(action, PathAction::ProbeOld);
    assert_eq!(
        path.on_timer(Time::ZERO),
        PathAction::Keep,
        "the old path has one probe timeout"
    );
    assert_eq!(path.on_timer(Time::ZERO + PTO), PathAction::Moved);
    assert_eq!(remote(&path), "198.51.100.9:5");
}

#[test]
fn an_answer_on_the_old_path_ends_the_change() {
    let mut path = path();
    newest(&mut path, "198.51.100.9:5", 100);
    path.take_message().expect("a challenge");
    path.on_message(
        Time::ZERO,
        &meta("198.51.100.9:5"),
        PathMessage::Response(NONCE),
        PTO,
    );
    path.on_packet(&meta("192.0.2.1:1000"), 40, true, || unreachable!());
    assert_eq!(path.on_timer(Time::ZERO + PTO), PathAction::Keep);
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
            PTO,
        );
    }
    let sent = std::iter::from_fn(|| path.take_message()).count();
    assert_eq!(sent, RESPONSES_MAX);
}
