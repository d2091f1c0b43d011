//! Leases: never early, not much too late, and what they protect (K4, K5, K6).

use crate::layers::kv::fence::FencedStore;
use crate::time::Time;

use super::world::{Broken, World};
use super::*;

const SEEDS: u64 = 200;

#[test]
fn k4_a_lease_never_ends_early() {
    let mut ended = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed, Broken::Nothing);
        world
            .run()
            .unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        ended += world.ended;
    }
    assert!(ended > 1_000, "leases do end: {ended} did");
}

/// The rules are needed, each of them: without it one of the same seeds shows what goes wrong.
#[test]
fn k4_each_rule_is_needed() {
    for broken in [
        Broken::Terms,
        Broken::Confirmation,
        Broken::View,
        Broken::Fence,
    ] {
        let found = (0..SEEDS).find_map(|seed| {
            World::new(seed, broken)
                .run()
                .err()
                .map(|what| (seed, what))
        });
        let (seed, what) = found.unwrap_or_else(|| panic!("without {broken:?} nothing goes wrong"));
        println!("without {broken:?}, seed {seed}: {what}");
    }
}

#[test]
fn k6_at_most_one_candidate_has_a_valid_token() {
    let mut fenced = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(1_000 + seed, Broken::Nothing);
        world
            .run()
            .unwrap_or_else(|what| panic!("seed {}: {what}", 1_000 + seed));
        let owners = world.owners();
        assert!(
            owners.values().all(|owners| owners.len() == 1),
            "seed {}: {owners:?}",
            1_000 + seed
        );
        fenced += world.fenced;
    }
    assert!(fenced > 100, "late writes do come: {fenced} did");
}

const TTL: Duration = Duration::from_secs(10);

fn with_lease() -> (Log, u64) {
    let mut log = Log::new();
    let lease = log.grant(10_000);
    (log, lease)
}

fn ends(clock: &mut LeaseClock, lease: u64, from: Time) -> Time {
    let mut now = from;
    loop {
        now = now.max(clock.poll_timeout().expect("it runs out"));
        match clock.poll_expired(now) {
            Some(Cmd::LeaseRevoke { id, .. }) if id == lease => return now,
            _ => {}
        }
    }
}

#[test]
fn k4_a_lease_ends_within_twice_its_time_and_a_failover() {
    let (log, lease) = with_lease();
    let (begin, failover) = (Time::from_millis(500), Duration::from_secs(1));
    let mut old = LeaseClock::new();
    old.lead(begin, 1, &log.state);
    let renewal = old.begin_renewal(Tenancy::Lease(lease)).expect("held");
    old.renew(begin, renewal).expect("held");
    assert_eq!(
        ends(&mut old.clone(), lease, begin),
        begin + TTL,
        "on time where nothing fails"
    );
    // The leader dies in the last moment.
    let elected = begin + TTL + failover;
    let mut new = LeaseClock::new();
    new.lead(elected, 2, &log.state);
    assert_eq!(ends(&mut new, lease, elected), begin + TTL * 2 + failover);
}

#[test]
fn who_does_not_lead_renews_and_ends_nothing() {
    let (log, lease) = with_lease();
    let mut clock = LeaseClock::new();
    let late = Time::from_millis(1_000_000);
    assert_eq!(clock.begin_renewal(Tenancy::Lease(lease)), Err(NotHeld));
    clock.on_change(
        Time::ZERO,
        &Change::Lease {
            id: 9,
            ttl_ms: Some(1),
        },
    );
    assert_eq!(
        (clock.poll_expired(late), clock.poll_timeout()),
        (None, None)
    );
    clock.lead(Time::ZERO, 1, &log.state);
    let renewal = clock.begin_renewal(Tenancy::Lease(lease)).expect("held");
    clock.follow();
    assert_eq!(clock.renew(Time::ZERO, renewal), Err(NotHeld));
    assert_eq!(clock.poll_expired(late), None);
    clock.lead(Time::ZERO, 2, &log.state);
    assert_eq!(
        clock.renew(Time::ZERO, renewal),
        Err(NotHeld),
        "of another term"
    );
}

#[test]
fn what_has_run_out_is_not_renewed_and_its_end_is_proposed_again() {
    let (mut log, lease) = with_lease();
    let mut clock = LeaseClock::new();
    clock.lead(Time::ZERO, 1, &log.state);
    let renewal = clock.begin_renewal(Tenancy::Lease(lease)).expect("held");
    let over = Time::ZERO + TTL;
    let revoke = Cmd::LeaseRevoke {
        id: lease,
        term: Some(1),
    };
    assert_eq!(clock.poll_expired(over), Some(revoke.clone()));
    assert_eq!(clock.poll_expired(over), None);
    assert_eq!(clock.renew(over, renewal), Err(NotHeld));
    assert_eq!(clock.begin_renewal(Tenancy::Lease(lease)), Err(NotHeld));
    assert_eq!(
        clock.poll_expired(over + Duration::from_secs(1)),
        Some(revoke.clone())
    );
    for change in log.run_bare(revoke).changes {
        clock.on_change(over, &change);
    }
    assert_eq!(clock.poll_expired(over + Duration::from_secs(9)), None);
    assert_eq!(log.state.leases().count(), 0);
}

#[test]
fn a_session_of_which_nothing_is_heard_expires() {
    let mut log = Log::new();
    let mut clock = LeaseClock::new();
    clock.lead(Time::ZERO, 1, &log.state);
    let half = Time::ZERO + SESSION_TTL / 2;
    for change in log.run(put("a", "x")).changes {
        clock.on_change(half, &change);
    }
    assert_eq!(
        clock.poll_expired(Time::ZERO + SESSION_TTL),
        None,
        "a command is a sign of life"
    );
    let expire = Cmd::SessionExpire {
        client: CLIENT,
        term: 1,
    };
    assert_eq!(clock.poll_expired(half + SESSION_TTL), Some(expire.clone()));
    assert_eq!(log.run_bare(expire).answer, Answer::Closed { ended: true });
}

#[test]
fn k5_a_holder_that_was_paused_is_fenced() {
    let (mut log, first) = with_lease();
    let mut store = FencedStore::new(Vec::new());
    let one = Mutex::lock("job", "one", first);
    let acquire = |log: &mut Log, mutex: &Mutex| {
        mutex
            .on_answer(&log.answer(mutex.acquire()))
            .expect("not refused")
    };
    let Acquired::Held { token } = acquire(&mut log, &one) else {
        panic!("it is free")
    };
    assert_eq!(
        acquire(&mut log, &one),
        Acquired::Held { token },
        "who asks again has it"
    );
    store.check(token).expect("the only one").push("one");

    // The holder is paused here; its lease ends.
    let second = log.grant(10_000);
    let two = Mutex::lock("job", "two", second);
    let Acquired::By(holder) = acquire(&mut log, &two) else {
        panic!("it is held")
    };
    assert_eq!(holder.value, "one");
    log.run_bare(Cmd::LeaseRevoke {
        id: first,
        term: Some(log.at.term),
    });
    let Acquired::Held { token: later } = acquire(&mut log, &two) else {
        panic!("it is free again")
    };
    assert!(later > token);
    store.check(later).expect("greater").push("two");

    // It resumes, and believes that it has the lock.
    assert!(store.check(token).is_err());
    let write = Op::Put {
        key: "result".into(),
        value: "one".into(),
        lease: None,
    };
    let guarded = log.answer(one.guarded(token, vec![write]));
    assert!(matches!(guarded, Answer::Txn { held: false, .. }));
    assert!(
        matches!(log.answer(one.release(token)), Answer::NotExpected { .. }),
        "it releases nothing"
    );
    assert_eq!(
        (store.inner().as_slice(), log.value(b"result")),
        (&["one", "two"][..], None)
    );
    assert!(matches!(
        log.answer(two.release(later)),
        Answer::Deleted { existed: true, .. }
    ));
}
