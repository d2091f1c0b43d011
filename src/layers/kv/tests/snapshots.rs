//! Snapshots: the same state, or an error that says what is wrong.

use super::*;

fn small() -> Log {
    let mut log = Log::new();
    let lease = log.grant(5_000);
    log.grant(6_000);
    log.answer(put("a", "alpha"));
    log.answer(put_with("b", "beta", lease));
    log.answer(write_once("c", "gamma"));
    log.run_bare(Cmd::SessionOpen { client: 1 });
    for seq in [2, 5] {
        let cmd = cas("a", Expect::Absent, None);
        log.request(&Request {
            client: 1,
            seq,
            ack_below: 2,
            cmd,
        });
    }
    log.state.set_engine("what the engine knows".into());
    log
}

fn read(file: &[u8]) -> Result<StateMachine, SnapshotError> {
    read_snapshot(&mut &*file, &Limits::default())
}

#[test]
fn a_snapshot_is_the_same_state() {
    let state = small().state;
    let file = snapshot_of(&state);
    let restored = read(&file).expect("just written");
    restored.check_invariants();
    assert_eq!(restored, state);
    assert_eq!(snapshot_of(&restored), file, "equal states are equal bytes");
    let empty = StateMachine::new(Limits::default());
    assert_eq!(read(&snapshot_of(&empty)).expect("empty"), empty);
}

#[test]
fn a_snapshot_cut_anywhere_is_truncated() {
    let file = snapshot_of(&small().state);
    for length in 0..file.len() {
        match read(&file[..length]) {
            Err(SnapshotError::Truncated { at }) => {
                assert!(at <= u64::try_from(length).expect("small"))
            }
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let file = snapshot_of(&small().state);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let error = read(&damaged).expect_err("a flipped bit");
            assert!(
                !error.to_string().is_empty() && !matches!(error, SnapshotError::Io(_)),
                "{at}.{bit}: {error:?}"
            );
        }
    }
}

#[test]
fn what_is_wrong_has_a_name() {
    let file = snapshot_of(&small().state);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = file.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        read(&changed).expect_err("changed")
    };
    assert!(matches!(with(0, b"SQLi"), SnapshotError::NotASnapshot));
    assert!(matches!(
        with(4, &[0, 2]),
        SnapshotError::Version { found: 2 }
    ));
    assert!(
        matches!(with(15, &[1]), SnapshotError::Checksum { .. }),
        "the index"
    );
    assert!(
        matches!(with(24, &[9]), SnapshotError::Damaged { at: 24, .. }),
        "a kind"
    );
    assert!(
        matches!(with(25, &[255]), SnapshotError::Damaged { at: 24, .. }),
        "a length of gigabytes"
    );
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(
        read(&longer).expect_err("longer"),
        SnapshotError::Damaged { .. }
    ));

    let mut other = Limits::default();
    other.leases += 1;
    let refused = read_snapshot(&mut file.as_slice(), &other).expect_err("other limits");
    assert!(matches!(refused, SnapshotError::Limits { found } if *found == Limits::default()));
}

/// Items that are whole each by itself, with the right checksum: in the wrong place, twice, or more than there may be.
#[test]
fn a_state_that_cannot_be_is_refused() {
    let record = |lease| Versioned {
        value: "x".into(),
        create_rev: 1,
        mod_rev: 1,
        lease,
        is_final: false,
    };
    type Items = fn(&mut SnapshotWriter<'_, Vec<u8>>, Versioned) -> std::io::Result<()>;
    let wrong: [(Items, &str); 8] = [
        (|w, _| w.lease(2, 1).and_then(|()| w.lease(1, 1)), "order"),
        (|w, _| w.lease(2, 1).and_then(|()| w.lease(2, 1)), "order"),
        (
            |w, r| {
                w.record(&"b".into(), &r)
                    .and_then(|()| w.record(&"a".into(), &r))
            },
            "order",
        ),
        (
            |w, r| w.record(&"b".into(), &r).and_then(|()| w.lease(1, 1)),
            "order",
        ),
        (|w, _| w.result(1, &Answer::Opened), "order"),
        (
            |w, _| w.session(1, 5).and_then(|()| w.result(4, &Answer::Opened)),
            "no state",
        ),
        (
            |w, r| {
                w.record(
                    &"b".into(),
                    &Versioned {
                        lease: Some(8),
                        ..r
                    },
                )
            },
            "no state",
        ),
        (
            |w, _| w.session(1, 1).and_then(|()| w.session(1, 1)),
            "order",
        ),
    ];
    for (at, (items, what)) in wrong.into_iter().enumerate() {
        let mut file = Vec::new();
        let (applied, limits) = (Position { index: 9, term: 1 }, Limits::default());
        let mut writer =
            SnapshotWriter::new(&mut file, applied, &limits, &Bytes::new()).expect("a Vec");
        items(&mut writer, record(None)).expect("a Vec");
        writer.finish().expect("a Vec");
        let error = read(&file).expect_err("no state is so").to_string();
        assert!(error.contains(what), "{at}: {error}");
    }
}

#[test]
fn more_than_the_limits_allow_is_refused() {
    let limits = Limits {
        leases: 1,
        sessions: 1,
        store_bytes: 66,
        ..Limits::default()
    };
    let file = |leases: u64, records: u8, sessions: u128| {
        let mut file = Vec::new();
        let mut writer =
            SnapshotWriter::new(&mut file, Position::default(), &limits, &Bytes::new())
                .expect("a Vec");
        for id in 0..leases {
            writer.lease(id, 1).expect("a Vec");
        }
        for key in 0..records {
            let record = Versioned {
                value: "x".into(),
                create_rev: 1,
                mod_rev: 1,
                lease: None,
                is_final: false,
            };
            writer.record(&vec![key].into(), &record).expect("a Vec");
        }
        for client in 1..=sessions {
            writer.session(client, 1).expect("a Vec");
        }
        writer.finish().expect("a Vec");
        file
    };
    assert!(read_snapshot(&mut file(1, 1, 1).as_slice(), &limits).is_ok());
    for (leases, records, sessions) in [(2, 1, 1), (1, 2, 1), (1, 1, 2)] {
        let refused = read_snapshot(&mut file(leases, records, sessions).as_slice(), &limits);
        assert!(
            matches!(refused, Err(SnapshotError::Damaged { .. })),
            "{refused:?}"
        );
    }
}
