//! Each command has its effect once.

use super::*;

fn request(client: u128, seq: u64, ack_below: u64, cmd: Cmd) -> Request {
    Request {
        client,
        seq,
        ack_below,
        cmd,
    }
}

#[test]
fn a_repetition_gets_the_first_answer_and_has_no_effect() {
    let mut log = Log::new();
    let swap = request(CLIENT, 1, 1, cas("a", Expect::Absent, Some("1")));
    let first = log.request(&swap);
    assert_eq!(first.answer, Answer::Written { rev: 2 });
    log.request(&request(CLIENT, 2, 1, delete("a")));
    // In a later term, and out of a snapshot.
    log.at.term = 7;
    log.state =
        read_snapshot(&mut snapshot_of(&log.state).as_slice(), &Limits::default()).expect("whole");
    let again = log.request(&swap);
    assert_eq!((again.answer, again.changes), (first.answer, vec![]));
    assert_eq!(log.value(b"a"), None, "it was not written a second time");
}

/// A refusal is an answer too: whoever repeats the command must not see it done after it was refused.
#[test]
fn a_repetition_of_what_was_refused_is_refused() {
    let mut log = Log::new();
    let put = request(CLIENT, 1, 1, put_with("a", "x", 3));
    assert_eq!(log.request(&put).answer, Answer::Refused(Refusal::NoLease));
    assert_eq!(
        log.request(&request(CLIENT, 2, 1, Cmd::LeaseGrant { ttl_ms: 1_000 }))
            .answer,
        Answer::Granted { id: 3 }
    );
    assert_eq!(log.request(&put).answer, Answer::Refused(Refusal::NoLease));
    assert_eq!(log.value(b"a"), None);
}

#[test]
fn what_was_acknowledged_is_forgotten_and_stale() {
    let mut log = Log::new();
    for seq in 1..=4 {
        log.request(&request(CLIENT, seq, 1, put("a", "x")));
    }
    let applied = log.request(&request(CLIENT, 5, 4, delete("a")));
    assert!(applied.changes.contains(&Change::Session {
        client: CLIENT,
        ack_below: Some(4)
    }));
    for seq in 1..=3 {
        let late = log.request(&request(CLIENT, seq, 1, put("a", "late")));
        assert_eq!(
            (late.answer, late.changes),
            (Answer::Refused(Refusal::Stale), vec![])
        );
    }
    assert!(matches!(
        log.request(&request(CLIENT, 4, 1, put("a", "late"))).answer,
        Answer::Written { rev: 5 }
    ));
    assert_eq!(log.value(b"a"), None);
    // Nobody can say that he has the answer of a command that he is just sending.
    let eager = request(CLIENT, 6, 100, put("a", "eager"));
    assert_eq!(log.request(&eager).answer, Answer::Written { rev: 11 });
    assert_eq!(log.request(&eager).answer, Answer::Written { rev: 11 });
}

#[test]
fn commands_of_a_session_may_come_in_any_order() {
    let mut log = Log::new();
    for seq in [3, 1, 2] {
        assert!(matches!(
            log.request(&request(CLIENT, seq, 1, put("a", "x"))).answer,
            Answer::Written { .. }
        ));
    }
    for (seq, rev) in [(1, 3), (2, 4), (3, 2)] {
        assert_eq!(
            log.request(&request(CLIENT, seq, 1, put("a", "y"))).answer,
            Answer::Written { rev }
        );
    }
}

#[test]
fn without_a_session_only_what_is_harmless_is_done() {
    let mut log = Log::new();
    let expired = Answer::Refused(Refusal::SessionExpired);
    for cmd in [
        put("a", "x"),
        delete("a"),
        write_once("a", "x"),
        Cmd::LeaseGrant { ttl_ms: 1_000 },
        Cmd::Txn(Txn::default()),
    ] {
        assert_eq!(log.run_bare(cmd.clone()).answer, expired);
        assert_eq!(
            log.request(&request(99, 1, 1, cmd)).answer,
            expired,
            "never opened"
        );
    }
    log.run_bare(Cmd::SessionClose { client: CLIENT });
    assert_eq!(log.answer(put("a", "x")), expired, "closed");
    assert_eq!(log.state.records(), 0);
}
