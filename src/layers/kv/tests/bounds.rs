//! Every bound, one below and one beyond.

use super::*;

fn tiny() -> Limits {
    Limits {
        key_bytes: 4,
        value_bytes: 8,
        txn_ops: 3,
        txn_bytes: 20,
        store_bytes: 3 * (64 + 1 + 8),
        sessions: 2,
        session_results: 3,
        session_bytes: 200,
        results_bytes: 400,
        leases: 2,
        lease_keys: 2,
        ..Limits::default()
    }
}

fn key(length: usize) -> Bytes {
    vec![b'k'; length].into()
}

#[test]
fn keys_have_a_bound() {
    let mut log = Log::with(tiny());
    let wrong = Some(Refusal::KeyLength);
    for (length, refusal) in [(0, wrong), (1, None), (4, None), (5, wrong)] {
        let (key, value) = (key(length), Bytes::from("v"));
        let cmp = vec![Compare {
            key: key.clone(),
            expect: Expect::Absent,
        }];
        let els = vec![Op::Get { key: key.clone() }];
        for cmd in [
            Cmd::Put {
                key: key.clone(),
                value: value.clone(),
                lease: None,
            },
            Cmd::Delete { key: key.clone() },
            Cmd::Cas {
                key: key.clone(),
                expect: Expect::Exists,
                value: None,
                lease: None,
            },
            Cmd::Txn(Txn {
                cmp,
                ..Txn::default()
            }),
            Cmd::Txn(Txn {
                els,
                ..Txn::default()
            }),
            Cmd::WriteOnce { key, value },
        ] {
            assert_eq!(log.refusal(cmd), refusal, "{length} bytes");
        }
    }
}

#[test]
fn values_have_a_bound() {
    let mut log = Log::with(tiny());
    for (value, refusal) in [
        ("12345678", None),
        ("123456789", Some(Refusal::ValueLength)),
    ] {
        let write = Op::Put {
            key: "a".into(),
            value: value.into(),
            lease: None,
        };
        for cmd in [
            put("a", value),
            cas("a", Expect::Value(value.into()), None),
            cas("a", Expect::Absent, Some(value)),
            Cmd::Txn(Txn {
                then: vec![write],
                ..Txn::default()
            }),
            write_once("a", value),
        ] {
            assert_eq!(log.refusal(cmd), refusal, "{value}");
        }
    }
}

#[test]
fn transactions_have_a_bound() {
    let mut log = Log::with(tiny());
    let get = || Op::Get { key: "a".into() };
    let compare = || Compare {
        key: "a".into(),
        expect: Expect::Absent,
    };
    for (length, refusal) in [(3, None), (4, Some(Refusal::TxnLength))] {
        let cmp = vec![compare(); length];
        assert_eq!(
            log.refusal(Cmd::Txn(Txn {
                cmp,
                ..Txn::default()
            })),
            refusal
        );
        let then = vec![get(); length];
        assert_eq!(
            log.refusal(Cmd::Txn(Txn {
                then,
                ..Txn::default()
            })),
            refusal
        );
        let els = vec![get(); length];
        assert_eq!(
            log.refusal(Cmd::Txn(Txn {
                els,
                ..Txn::default()
            })),
            refusal,
            "also if it is not done"
        );
    }
    let write = |value: &'static str| Op::Put {
        key: "a".into(),
        value: value.into(),
        lease: None,
    };
    for (last, refusal) in [("", None), ("12", Some(Refusal::TxnLength))] {
        let then = vec![write("12345678"), write("12345678"), write(last)];
        assert_eq!(
            log.refusal(Cmd::Txn(Txn {
                then,
                ..Txn::default()
            })),
            refusal,
            "bytes of all"
        );
    }
}

#[test]
fn what_a_transaction_reads_has_a_bound() {
    let mut log = Log::with(tiny());
    log.answer(put("a", "12345678"));
    for (reads, refusal) in [(2, None), (3, Some(Refusal::AnswerLength))] {
        let then = vec![Op::Get { key: "a".into() }; reads];
        assert_eq!(
            log.refusal(Cmd::Txn(Txn {
                then,
                ..Txn::default()
            })),
            refusal
        );
    }
}

#[test]
fn a_full_store_takes_nothing_until_something_is_deleted() {
    let mut log = Log::with(tiny());
    for key in ["a", "b", "c"] {
        assert_eq!(log.refusal(put(key, "12345678")), None);
    }
    assert_eq!(log.state.bytes(), log.state.limits().store_bytes);
    assert_eq!(log.refusal(put("d", "")), Some(Refusal::StoreFull));
    assert_eq!(log.refusal(write_once("d", "")), Some(Refusal::StoreFull));
    assert_eq!(
        log.refusal(put("a", "87654321")),
        None,
        "in the place of another"
    );
    let swap = |first, second| {
        Cmd::Txn(Txn {
            then: vec![first, second],
            ..Txn::default()
        })
    };
    let (delete_a, put_d) = (
        Op::Delete { key: "a".into() },
        Op::Put {
            key: "d".into(),
            value: "x".into(),
            lease: None,
        },
    );
    assert_eq!(
        log.refusal(swap(put_d.clone(), delete_a.clone())),
        Some(Refusal::StoreFull)
    );
    assert_eq!(
        log.value(b"a"),
        Some("87654321".into()),
        "all of it or nothing"
    );
    assert_eq!(log.refusal(swap(delete_a, put_d)), None);
}

#[test]
fn leases_and_their_records_have_a_bound() {
    let mut log = Log::with(tiny());
    let limits = *log.state.limits();
    for ttl_ms in [
        0,
        limits.lease_ttl_min_ms - 1,
        limits.lease_ttl_max_ms + 1,
        u64::MAX,
    ] {
        assert_eq!(log.refusal(Cmd::LeaseGrant { ttl_ms }), Some(Refusal::Ttl));
    }
    let (one, two) = (
        log.grant(limits.lease_ttl_min_ms),
        log.grant(limits.lease_ttl_max_ms),
    );
    assert_eq!(
        log.refusal(Cmd::LeaseGrant { ttl_ms: 1_000 }),
        Some(Refusal::Leases)
    );
    log.run_bare(Cmd::LeaseRevoke {
        id: two,
        term: None,
    });
    log.grant(1_000);

    assert_eq!(log.refusal(put_with("a", "x", one)), None);
    assert_eq!(log.refusal(put_with("b", "x", one)), None);
    assert_eq!(
        log.refusal(put_with("c", "x", one)),
        Some(Refusal::LeaseFull)
    );
    assert_eq!(
        log.refusal(put_with("a", "y", one)),
        None,
        "one that it has already"
    );
    log.answer(put("b", "x"));
    assert_eq!(log.refusal(put_with("c", "x", one)), None);
}

#[test]
fn sessions_have_a_bound_and_none_is_forgotten_for_it() {
    let mut log = Log::with(tiny());
    let open = |client| Cmd::SessionOpen { client };
    assert_eq!(
        log.run_bare(open(0)).answer,
        Answer::Refused(Refusal::SessionNumber)
    );
    assert_eq!(log.run_bare(open(1)).answer, Answer::Opened);
    assert_eq!(
        log.run_bare(open(2)).answer,
        Answer::Refused(Refusal::Sessions)
    );
    assert_eq!(log.run_bare(open(1)).answer, Answer::Opened, "it is");
    assert_eq!(
        log.run_bare(Cmd::SessionClose { client: 1 }).answer,
        Answer::Closed { ended: true }
    );
    assert_eq!(
        log.run_bare(Cmd::SessionClose { client: 1 }).answer,
        Answer::Closed { ended: false }
    );
    assert_eq!(log.run_bare(open(2)).answer, Answer::Opened);
    assert_eq!(log.state.sessions().collect::<Vec<_>>(), [2, CLIENT]);
}

/// The answer to the deletion of what is not there: 64 bytes, as [`Limits::session_bytes`] counts.
fn ask(log: &mut Log, (client, seq, ack_below): (u128, u64, u64)) -> Answer {
    let cmd = delete("nil");
    log.request(&Request {
        client,
        seq,
        ack_below,
        cmd,
    })
    .answer
}

fn is_done(answer: &Answer) -> bool {
    matches!(answer, Answer::Deleted { .. } | Answer::Txn { .. })
}

#[test]
fn the_answers_of_a_session_have_a_bound() {
    let mut log = Log::with(tiny());
    for seq in 1..=3 {
        assert!(is_done(&ask(&mut log, (CLIENT, seq, 1))));
    }
    let full = Answer::Refused(Refusal::SessionFull);
    let put = Request {
        client: CLIENT,
        seq: 4,
        ack_below: 1,
        cmd: put("a", "x"),
    };
    assert_eq!(log.request(&put).answer, full);
    assert_eq!(log.value(b"a"), None);
    assert!(is_done(&ask(&mut log, (CLIENT, 3, 1))), "known");
    assert!(
        is_done(&ask(&mut log, (CLIENT, 4, 2))),
        "there is room for one again"
    );
    assert_eq!(ask(&mut log, (CLIENT, 5, 2)), full);
}

#[test]
fn the_bytes_of_the_answers_of_a_session_have_a_bound() {
    let mut log = Log::with(tiny());
    log.answer(put("a", "12345678"));
    let then = vec![Op::Get { key: "a".into() }; 2];
    let cmd = Cmd::Txn(Txn {
        then,
        ..Txn::default()
    });
    let reads = Request {
        client: CLIENT,
        seq: 2,
        ack_below: 2,
        cmd,
    };
    assert!(is_done(&log.request(&reads).answer));
    let full = Answer::Refused(Refusal::SessionFull);
    assert_eq!(ask(&mut log, (CLIENT, 3, 2)), full, "208 of 200");
    assert!(is_done(&ask(&mut log, (CLIENT, 3, 3))));
}

#[test]
fn the_answers_of_all_sessions_have_a_bound() {
    let mut log = Log::with(Limits {
        sessions: 3,
        ..tiny()
    });
    for client in [1, 2] {
        log.run_bare(Cmd::SessionOpen { client });
        for seq in 1..=3 {
            assert!(is_done(&ask(&mut log, (client, seq, 1))));
        }
    }
    assert!(is_done(&ask(&mut log, (CLIENT, 1, 1))), "384 of 400");
    let full = Answer::Refused(Refusal::ResultsFull);
    assert_eq!(ask(&mut log, (CLIENT, 2, 1)), full, "448 of 400");
    log.run_bare(Cmd::SessionClose { client: 1 });
    assert!(
        is_done(&ask(&mut log, (CLIENT, 2, 1))),
        "with a session its answers go"
    );
}
