//! What each command does.

use super::*;

#[test]
fn a_put_is_there_with_its_revisions() {
    let mut log = Log::new();
    assert_eq!(log.answer(put("a", "1")), Answer::Written { rev: 2 });
    assert_eq!(log.answer(put("a", "2")), Answer::Written { rev: 3 });
    let record = log.state.record(b"a").expect("just written");
    assert_eq!(
        (record.value.as_ref(), record.create_rev, record.mod_rev),
        (&b"2"[..], 2, 3)
    );
    assert_eq!(
        log.answer(delete("a")),
        Answer::Deleted {
            rev: 4,
            existed: true
        }
    );
    assert_eq!(
        log.answer(delete("a")),
        Answer::Deleted {
            rev: 5,
            existed: false
        }
    );
    assert_eq!(log.value(b"a"), None);
    log.answer(put("a", "3"));
    assert_eq!(
        log.state.record(b"a").map(|record| record.create_rev),
        Some(6),
        "created anew"
    );
}

#[test]
fn changes_say_what_is_different() {
    let mut log = Log::new();
    let changes = log.run(put("a", "1")).changes;
    let record = log.state.record(b"a").cloned();
    assert!(changes.contains(&Change::Record {
        key: "a".into(),
        record
    }));
    let changes = log.run(cas("a", Expect::Absent, Some("2"))).changes;
    assert!(
        changes
            .iter()
            .all(|change| !matches!(change, Change::Record { .. })),
        "{changes:?}"
    );
    let changes = log.run(delete("a")).changes;
    assert!(changes.contains(&Change::Record {
        key: "a".into(),
        record: None
    }));
}

#[test]
fn a_swap_needs_what_it_expects() {
    let mut log = Log::new();
    let not_expected = |log: &Log| Answer::NotExpected {
        current: log.state.record(b"a").cloned(),
    };

    for wrong in [Expect::Exists, Expect::Rev(1), Expect::Value("1".into())] {
        assert_eq!(
            log.answer(cas("a", wrong, Some("x"))),
            Answer::NotExpected { current: None }
        );
    }
    assert!(matches!(
        log.answer(cas("a", Expect::Absent, Some("1"))),
        Answer::Written { .. }
    ));
    let written = log.at.index;
    for wrong in [
        Expect::Absent,
        Expect::Rev(written + 1),
        Expect::Value("2".into()),
    ] {
        assert_eq!(log.answer(cas("a", wrong, Some("x"))), not_expected(&log));
        assert_eq!(log.value(b"a"), Some("1".into()));
    }
    assert!(matches!(
        log.answer(cas("a", Expect::Rev(written), Some("2"))),
        Answer::Written { .. }
    ));
    assert!(matches!(
        log.answer(cas("a", Expect::Value("2".into()), Some("3"))),
        Answer::Written { .. }
    ));
    assert!(matches!(
        log.answer(cas("a", Expect::Exists, None)),
        Answer::Deleted { existed: true, .. }
    ));
    assert!(matches!(
        log.answer(cas("a", Expect::Absent, None)),
        Answer::Deleted { existed: false, .. }
    ));
}

#[test]
fn what_was_written_once_stays_for_ever() {
    let mut log = Log::new();
    assert!(matches!(
        log.answer(write_once("a", "1")),
        Answer::Written { .. }
    ));
    let first = log.state.record(b"a").cloned().expect("just written");
    assert!(first.is_final);
    assert_eq!(
        log.answer(write_once("a", "2")),
        Answer::Already(first.clone())
    );

    let txn = Txn {
        cmp: vec![],
        then: vec![
            Op::Put {
                key: "b".into(),
                value: "1".into(),
                lease: None,
            },
            Op::Delete { key: "a".into() },
        ],
        els: vec![],
    };
    for cmd in [
        put("a", "3"),
        delete("a"),
        cas("a", Expect::Exists, Some("3")),
        cas("a", Expect::Exists, None),
        Cmd::Txn(txn),
    ] {
        assert_eq!(log.refusal(cmd), Some(Refusal::Final));
    }
    assert_eq!(log.state.record(b"a"), Some(&first));
    assert_eq!(log.value(b"b"), None, "the transaction did nothing at all");

    log.answer(put("c", "1"));
    let current = log.state.record(b"c").cloned().expect("just written");
    assert_eq!(
        log.answer(write_once("c", "2")),
        Answer::Already(current),
        "whatever was there counts"
    );
}

#[test]
fn a_transaction_does_one_branch_in_its_order() {
    let mut log = Log::new();
    log.answer(put("a", "1"));
    let operations = |value: &'static str| {
        vec![
            Op::Get { key: "a".into() },
            Op::Put {
                key: "a".into(),
                value: value.into(),
                lease: None,
            },
            Op::Get { key: "a".into() },
            Op::Delete { key: "b".into() },
        ]
    };
    let txn = |expect| {
        Cmd::Txn(Txn {
            cmp: vec![Compare {
                key: "a".into(),
                expect,
            }],
            then: operations("then"),
            els: operations("else"),
        })
    };
    for (expect, holds, before, after) in [
        (Expect::Value("1".into()), true, "1", "then"),
        (Expect::Absent, false, "then", "else"),
    ] {
        let Answer::Txn { rev, held, results } = log.answer(txn(expect)) else {
            panic!("a transaction")
        };
        assert_eq!((rev, held), (log.at.index, holds));
        let got = |at: usize| match &results[at] {
            OpAnswer::Got(Some(found)) => found.value.clone(),
            other => panic!("a value, not {other:?}"),
        };
        assert_eq!((got(0), got(2)), (before.into(), after.into()));
        assert_eq!(
            (&results[1], &results[3]),
            (&OpAnswer::Written, &OpAnswer::Deleted { existed: false })
        );
        assert_eq!(
            log.state.record(b"a").map(|record| record.mod_rev),
            Some(rev),
            "one revision for all"
        );
    }
}

#[test]
fn the_end_of_a_lease_takes_its_records() {
    let mut log = Log::new();
    let (one, two) = (log.grant(1_000), log.grant(1_000));
    assert_ne!(one, two);
    for (key, lease) in [("a", one), ("b", one), ("c", two), ("d", one)] {
        log.answer(put_with(key, "x", lease));
    }
    log.answer(put_with("b", "x", two));
    log.answer(put("d", "x"));
    assert_eq!(log.state.lease_keys(one), ["a"]);
    assert_eq!(log.state.lease_keys(two), ["b", "c"]);

    let ended = log.run_bare(Cmd::LeaseRevoke {
        id: one,
        term: None,
    });
    assert_eq!(ended.answer, Answer::Revoked { ended: true });
    let gone = Change::Record {
        key: "a".into(),
        record: None,
    };
    assert_eq!(
        ended.changes,
        [
            Change::Lease {
                id: one,
                ttl_ms: None
            },
            gone
        ]
    );
    assert_eq!(log.value(b"a"), None);
    assert_eq!(
        log.value(b"d"),
        Some("x".into()),
        "it had left the lease before"
    );
    let again = log.run_bare(Cmd::LeaseRevoke {
        id: one,
        term: None,
    });
    assert_eq!(again.answer, Answer::Revoked { ended: false });
    assert_eq!(log.refusal(put_with("a", "x", one)), Some(Refusal::NoLease));
}

/// The deadline of one term means nothing in another: its leader gave every lease its full time again.
#[test]
fn a_revocation_of_another_term_is_void() {
    let mut log = Log::new();
    let lease = log.grant(1_000);
    log.answer(put_with("a", "x", lease));
    log.at.term = 4;
    for term in [1, 3, 5] {
        let applied = log.run_bare(Cmd::LeaseRevoke {
            id: lease,
            term: Some(term),
        });
        assert_eq!(
            (applied.answer, applied.changes),
            (Answer::Revoked { ended: false }, vec![])
        );
        let applied = log.run_bare(Cmd::SessionExpire {
            client: CLIENT,
            term,
        });
        assert_eq!(
            (applied.answer, applied.changes),
            (Answer::Closed { ended: false }, vec![])
        );
    }
    assert_eq!(log.value(b"a"), Some("x".into()));
    let revoked = log
        .run_bare(Cmd::LeaseRevoke {
            id: lease,
            term: Some(4),
        })
        .answer;
    assert_eq!(revoked, Answer::Revoked { ended: true });
    let expired = log
        .run_bare(Cmd::SessionExpire {
            client: CLIENT,
            term: 4,
        })
        .answer;
    assert_eq!(expired, Answer::Closed { ended: true });
    assert_eq!(log.refusal(put("a", "x")), Some(Refusal::SessionExpired));
}

#[test]
fn a_range_begins_behind_what_was_seen() {
    let mut log = Log::new();
    for key in ["a", "b/1", "b/2", "b/3", "c"] {
        log.answer(put(key, "x"));
    }
    let keys = |prefix: &'static str, after: Option<&'static str>| {
        let range = log.state.range(prefix.as_bytes(), after.map(str::as_bytes));
        range
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("b/", None), ["b/1", "b/2", "b/3"]);
    assert_eq!(keys("b/", Some("b/1")), ["b/2", "b/3"]);
    assert_eq!(
        keys("b/", Some("a")),
        ["b/1", "b/2", "b/3"],
        "what lies before the prefix says nothing"
    );
    assert_eq!(keys("b/", Some("c")), [""; 0]);
    assert_eq!(keys("", None).len(), 5);
    assert_eq!((log.state.records(), log.state.bytes()), (5, 5 * 65 + 11));
}

#[test]
#[should_panic(expected = "applied after")]
fn an_entry_is_not_applied_twice() {
    let mut log = Log::new();
    log.state.skip(log.at);
}
