use std::net::SocketAddr;

use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn parcel(len: usize) -> Parcel {
    Parcel {
        from: address(1),
        to: address(2),
        bytes: vec![7; len],
        ecn: None,
    }
}

fn state(link: Link) -> LinkState {
    LinkState::new(link, 42, "test")
}

/// Sends one datagram; when it arrives.
fn arrival(state: &mut LinkState, now: Time, len: usize) -> Option<Time> {
    let mut out = Vec::new();
    state.enter(now, parcel(len), &mut out);
    match out.pop() {
        Some(Leaving::At(at, _)) => Some(at),
        _ => None,
    }
}

#[test]
fn a_rate_lets_through_exactly_its_bytes() {
    let mut state = state(
        Link::new()
            .rate_bits(8_000_000)
            .delay(Duration::from_millis(5)),
    );
    let mut last = None;
    for _ in 0..1_000 {
        last = arrival(&mut state, Time::ZERO, 1_000);
    }
    // 1,000 datagrams of 1 ms each, then the way.
    assert_eq!(last, Some(Time::from_millis(1_005)));
}

#[test]
fn a_full_queue_drops_the_newest() {
    let mut state = state(Link::new().rate_bits(8_000_000).queue_bytes(5_000));
    let taken: Vec<bool> = (0..8)
        .map(|_| arrival(&mut state, Time::ZERO, 1_000).is_some())
        .collect();
    assert_eq!(taken, [true, true, true, true, true, false, false, false]);
    assert_eq!(state.stats.overflowed, 3);
    // Half a datagram is sent: no room for a whole one yet; then there is.
    assert_eq!(arrival(&mut state, Time::from_micros(500), 1_000), None);
    assert_eq!(
        arrival(&mut state, Time::from_millis(1), 1_000),
        Some(Time::from_millis(6))
    );
}

#[test]
fn an_idle_link_takes_a_datagram_larger_than_its_queue() {
    let mut state = state(Link::new().rate_bits(8_000_000).queue_bytes(100));
    assert!(arrival(&mut state, Time::ZERO, 1_000).is_some());
    assert!(arrival(&mut state, Time::ZERO, 1).is_none());
}

/// The mean wait in the queue of random arrivals at a server of constant time (M/D/1) is
/// load / (2 (1 - load)) services (Pollaczek and Khinchine).
#[test]
fn the_mean_queue_is_that_of_m_d_1() {
    let service = Duration::from_millis(1);
    for load in [0.3, 0.5, 0.8] {
        let mut state = state(Link::new().rate_bits(8_000_000));
        let mut rng = Rng::new(9, "arrivals");
        let (mut now, mut waited) = (Time::ZERO, Duration::ZERO);
        let count = 400_000;
        for _ in 0..count {
            now += rng.exponential(service.div_f64(load));
            let at = arrival(&mut state, now, 1_000).expect("no bound");
            waited += at - now - service;
        }
        let mean = (waited / count).as_secs_f64() / service.as_secs_f64();
        let expected = load / (2.0 * (1.0 - load));
        assert!(
            (mean / expected - 1.0).abs() < 0.03,
            "{mean}, not {expected}, at load {load}"
        );
    }
}

#[test]
fn jitter_keeps_the_order_unless_told_otherwise() {
    let jitter = Duration::from_millis(50);
    let order = |link: Link| {
        let mut state = state(link.delay(Duration::from_millis(10)));
        let times: Vec<Time> = (0..200)
            .map(|n| arrival(&mut state, Time::from_millis(n), 100).expect("no loss"))
            .collect();
        let within = times.iter().zip(0..).all(|(at, n)| {
            let sent = Time::from_millis(n);
            *at >= sent + Duration::from_millis(10) && *at <= Time::from_millis(n + 60).max(*at)
        });
        (within, times.is_sorted())
    };
    assert_eq!(order(Link::new().jitter(jitter)), (true, true));
    assert_eq!(order(Link::new().reordering_jitter(jitter)), (true, false));
}

#[test]
fn a_reordered_datagram_falls_behind_the_given_number() {
    let mut state = state(Link::new().reorder(1.0, Reorder::Distance(2)));
    let mut out = Vec::new();
    state.enter(Time::ZERO, parcel(1), &mut out);
    state.link.reorder = 0.0;
    for len in [2, 3, 4] {
        state.enter(Time::ZERO, parcel(len), &mut out);
    }
    let order: Vec<usize> = out
        .iter()
        .filter_map(|leaving| match leaving {
            Leaving::At(_, parcel) => Some(parcel.bytes.len()),
            Leaving::Bottleneck(..) | Leaving::Held(..) => None,
        })
        .collect();
    assert_eq!(order, [2, 3, 1, 4]);
}

#[test]
fn a_held_datagram_leaves_when_nothing_follows() {
    let mut state = state(Link::new().reorder(1.0, Reorder::Distance(2)));
    let mut out = Vec::new();
    state.enter(Time::ZERO, parcel(1), &mut out);
    let Some(Leaving::Held(at, id)) = out.pop() else {
        panic!("held");
    };
    state.release(at, id, &mut out);
    assert!(matches!(out[..], [Leaving::At(when, _)] if when == at));
    state.release(at, id, &mut out);
    assert_eq!(out.len(), 1, "it leaves once");
}

#[test]
fn copies_and_replays_are_counted_and_equal() {
    let mut state = state(Link::new().duplicate(1.0, 3).replay(1.0));
    let mut out = Vec::new();
    for len in 1..=100 {
        state.enter(Time::ZERO, parcel(len), &mut out);
    }
    let stats = state.stats;
    assert_eq!(stats.entered, 100);
    assert_eq!(stats.delivered, 100 + stats.duplicated + stats.replayed);
    assert!(
        (150..250).contains(&stats.duplicated),
        "two of one to three on average"
    );
    assert_eq!(stats.replayed, 99, "all but the first have one before them");
    assert_eq!(out.len(), usize::try_from(stats.delivered).unwrap());
}

#[test]
fn what_is_too_large_or_cut_off_vanishes() {
    let mut state = state(Link::new().mtu(1_200));
    assert!(arrival(&mut state, Time::ZERO, 1_200).is_some());
    assert!(arrival(&mut state, Time::ZERO, 1_201).is_none());
    state.is_down = true;
    assert!(arrival(&mut state, Time::ZERO, 10).is_none());
    assert_eq!((state.stats.too_large, state.stats.partitioned), (1, 1));
}

#[test]
fn marks_fall_on_those_who_understand_them_and_boxes_spoil_them() {
    let leave = |link: Link, ecn: Option<Ecn>| {
        let (mut state, mut out) = (state(link), Vec::new());
        let sent = Parcel { ecn, ..parcel(9) };
        state.enter(Time::ZERO, sent, &mut out);
        let left = out.pop().map(|leaving| match leaving {
            Leaving::At(_, parcel) => parcel.ecn,
            _ => panic!("nothing holds it"),
        });
        (left, state.stats.marked, state.stats.ecn_dropped)
    };
    let (ect0, ect1, ce) = (Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce));
    assert_eq!(leave(Link::new().mark(1.0), ect0), (Some(ce), 1, 0));
    assert_eq!(leave(Link::new().mark(1.0), None), (Some(None), 0, 0));
    let faulty = |fault, ecn| leave(Link::new().ecn(fault), ecn).0;
    assert_eq!(faulty(EcnFault::Bleach, ce), Some(None));
    assert_eq!(faulty(EcnFault::Ect1, ect0), Some(ect1));
    assert_eq!(faulty(EcnFault::Ect1, ce), Some(ce));
    assert_eq!(faulty(EcnFault::Ce, ect0), Some(ce));
    assert_eq!(faulty(EcnFault::Ce, None), Some(None));
    assert_eq!(faulty(EcnFault::Drop, None), Some(None));
    assert_eq!(leave(Link::new().ecn(EcnFault::Drop), ect0), (None, 0, 1));
    let clean = Link::new().mark(1.0).ecn(EcnFault::Drop).without_faults();
    assert_eq!(leave(clean, ect0), (Some(ect0), 0, 0));
}

#[test]
fn a_link_with_a_bottleneck_hands_on_what_its_own_rate_lets_through() {
    let link = Link::new()
        .rate_bits(8_000_000)
        .delay(Duration::from_millis(5));
    let mut state = state(link.through(BottleneckId(0)));
    let mut out = Vec::new();
    state.enter(Time::ZERO, parcel(1_000), &mut out);
    let Some(Leaving::Bottleneck(at, sent)) = out.pop() else {
        panic!("it comes to the bottleneck");
    };
    assert_eq!((at, state.stats.delivered), (Time::from_millis(1), 0));
    state.travel(Time::from_millis(20), sent, &mut out);
    assert!(matches!(out[..], [Leaving::At(at, _)] if at == Time::from_millis(25)));
}
