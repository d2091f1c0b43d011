use proptest::prelude::*;

use super::*;
use crate::congestion::RateSample;

const MTU: u16 = 1_200;
const DATAGRAM: u64 = 1_200;
const RTT: Duration = Duration::from_millis(100);

/// Congestion while the window is full.
fn congested(cause: Cause) -> Congested {
    Congested {
        now: Time::ZERO,
        cause,
        inflight: u64::MAX,
    }
}

/// A flow that always fills its window, on a path that takes `rtt` and loses nothing by itself.
#[derive(Clone, Debug)]
struct Flow {
    cubic: Cubic,
    now: Time,
    rtt: Duration,
    delivered: u64,
    /// Bytes that each acknowledgement names.
    step: u64,
}

impl Flow {
    fn new(rtt: Duration) -> Self {
        Flow {
            cubic: Cubic::new(Setup::new(MTU)),
            now: Time::from_millis(1),
            rtt,
            delivered: 0,
            step: DATAGRAM,
        }
    }

    /// In congestion avoidance, after a loss at a window of `datagrams`.
    fn after_loss_at(datagrams: u64, rtt: Duration) -> Self {
        let mut flow = Flow::new(rtt);
        flow.cubic.target.cwnd = Fine::new(datagrams * DATAGRAM);
        flow.cubic.on_congestion(&congested(Cause::Loss));
        flow
    }

    /// One round trip: all of the window is sent and acknowledged, evenly in time.
    fn round(&mut self) {
        let (begun, prior) = (self.now, self.delivered);
        let flight = self.cwnd() - self.cwnd() % DATAGRAM;
        let mut acked = 0;
        while acked < flight {
            let bytes = self.step.min(flight - acked);
            acked += bytes;
            let passed = self.rtt.as_nanos() * u128::from(acked) / u128::from(flight);
            self.now = begun + Duration::from_nanos(u64::try_from(passed).unwrap());
            self.ack(bytes, prior, flight);
        }
    }

    fn ack(&mut self, bytes: u64, prior_delivered: u64, flight: u64) {
        self.delivered += bytes;
        self.cubic.on_sent(&Sent {
            now: self.now,
            size: bytes,
            inflight: flight.saturating_sub(bytes),
            ..Sent::default()
        });
        self.cubic.on_ack(&AckSample {
            now: self.now,
            newly_acked: bytes,
            growth: bytes,
            inflight: flight.saturating_sub(bytes),
            delivered: self.delivered,
            rtt: Some(self.rtt),
            srtt: self.rtt,
            min_rtt: self.rtt,
            rate: Some(RateSample {
                prior_delivered,
                tx_in_flight: flight,
                ..RateSample::default()
            }),
            cwnd_limited: true,
            ..AckSample::default()
        });
    }

    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
        }
    }

    fn cwnd(&self) -> u64 {
        self.cubic.cwnd()
    }

    /// The window in datagrams, for comparison with the RFC's formulas.
    fn datagrams(&self) -> f64 {
        self.cwnd() as f64 / DATAGRAM as f64
    }
}

/// W(t) of RFC 9438 in datagrams, after a loss at `w_max`.
fn exact(w_max: f64, t: f64) -> f64 {
    let k = (0.3 * w_max / 0.4).cbrt();
    0.4 * (t - k).powi(3) + w_max
}

/// Follows a flow for twice K after a loss at `w_max`; the largest distance from the formula, datagrams.
fn error_after_loss(w_max: u64, rtt: Duration, step: u64) -> f64 {
    let mut flow = Flow::after_loss_at(w_max, rtt);
    flow.step = step;
    let k = (0.3 * w_max as f64 / 0.4).cbrt();
    flow.round();
    let began = flow.cubic.target.stage.unwrap().began;
    let mut worst: f64 = 0.0;
    loop {
        let t = (flow.now - began).as_secs_f64();
        if t > 2.0 * k {
            return worst;
        }
        worst = worst.max((flow.datagrams() - exact(w_max as f64, t)).abs());
        flow.round();
    }
}

#[test]
fn the_initial_window_is_that_of_rfc_6928() {
    for (mtu, window) in [(1_200, 12_000), (1_472, 14_600), (9_000, 18_000)] {
        assert_eq!(Cubic::new(Setup::new(mtu)).cwnd(), window, "mtu {mtu}");
    }
}

#[test]
fn slow_start_doubles_the_window_every_round() {
    let mut flow = Flow::new(RTT);
    for round in 1..=12 {
        flow.round();
        assert_eq!(flow.cwnd(), 12_000 << round);
        assert_eq!(flow.cubic.state(), "slow start");
    }
}

#[test]
fn after_a_loss_the_window_follows_the_curve() {
    for (w_max, rtt_ms) in [
        (300, 100),
        (1_000, 50),
        (1_000, 100),
        (5_000, 100),
        (1_000, 200),
    ] {
        let error = error_after_loss(w_max, Duration::from_millis(rtt_ms), DATAGRAM);
        assert!(
            error <= 1.5,
            "{error} datagrams from W_max {w_max} at {rtt_ms} ms"
        );
    }
}

/// quinn bd0c3bfe, neqo #3113, #3648: fractions that are dropped, or datagrams added whole, leave the curve.
#[test]
fn many_small_or_few_large_acknowledgements_follow_the_same_curve() {
    for step in [50, 400, 12_000, 100_000] {
        let error = error_after_loss(500, RTT, step);
        assert!(error <= 1.5, "{error} datagrams with {step} bytes each");
    }
}

/// quinn #2640: 0.595 instead of 0.7.
#[test]
fn a_loss_leaves_seven_tenths_of_the_window_before_it_also_when_convergence_is_fast() {
    let mut cubic = Flow::after_loss_at(1_000, RTT).cubic;
    assert_eq!((cubic.cwnd(), cubic.target.w_max), (840_000, 1_200_000));
    cubic.on_congestion(&congested(Cause::Loss));
    assert_eq!(cubic.cwnd(), 588_000);
    assert_eq!(
        cubic.target.w_max,
        840_000 * 85 / 100,
        "what is remembered is less"
    );
    assert_eq!(cubic.target.prior, 840_000);
}

#[test]
fn a_window_that_came_back_is_remembered_whole() {
    let mut flow = Flow::after_loss_at(100, RTT);
    while flow.cwnd() < 120_000 {
        flow.round();
    }
    let reached = flow.cwnd();
    flow.cubic.on_congestion(&congested(Cause::Loss));
    assert_eq!(flow.cubic.target.w_max, reached);
}

/// msquic #1066: also after ordinary losses.
#[test]
fn every_window_holds_two_datagrams() {
    let mut cubic = Flow::after_loss_at(5, RTT).cubic;
    for cause in [Cause::Loss, Cause::Mark, Cause::Persistent, Cause::Loss] {
        for _ in 0..10 {
            cubic.on_congestion(&congested(cause));
            assert!(cubic.cwnd() >= 2_400 && cubic.ssthresh() >= 2_400);
        }
    }
    assert_eq!(cubic.cwnd(), 2_400);
}

#[test]
fn a_mark_takes_less_than_a_loss_but_not_in_slow_start() {
    let mut cubic = Flow::after_loss_at(1_000, RTT).cubic;
    cubic.on_congestion(&congested(Cause::Mark));
    assert_eq!(cubic.cwnd(), 840_000 * 85 / 100);
    let mut starting = Flow::new(RTT);
    starting.rounds(3);
    starting.cubic.on_congestion(&congested(Cause::Mark));
    assert_eq!(starting.cwnd(), 96_000 * 7 / 10);
}

/// rfc8312bis #148: a window that nothing fills says nothing, and neither does a part of it.
#[test]
fn a_loss_reduces_what_was_used_of_the_window() {
    let mut flow = Flow::after_loss_at(1_000, RTT);
    let event = Congested {
        inflight: 9 * DATAGRAM,
        ..congested(Cause::Loss)
    };
    // Two round trips with ten datagrams each.
    for _ in 0..2 {
        let prior = flow.delivered;
        for _ in 0..10 {
            flow.ack(DATAGRAM, prior, 10 * DATAGRAM);
        }
    }
    let mut unused = flow.cubic.clone();
    unused.on_congestion(&event);
    assert_eq!(
        unused.cwnd(),
        8_400,
        "seven tenths of ten, not of seven hundred"
    );
    // Acknowledgements of many packets leave little in flight when the loss is found: the window was full.
    flow.round();
    let full = flow.cwnd();
    flow.cubic.on_congestion(&event);
    assert_eq!(flow.cwnd(), full * 7 / 10);
}

/// rfc8312bis #14.
#[test]
fn the_window_grows_by_half_in_a_round_trip_at_most() {
    let mut flow = Flow::after_loss_at(100, RTT);
    flow.round();
    // An hour in which the window was used, and nothing was told of it.
    flow.now += Duration::from_secs(3_600);
    for _ in 0..20 {
        let before = flow.cwnd();
        let prior = flow.delivered;
        // All of the window in one acknowledgement.
        flow.ack(before, prior, before);
        assert_eq!(flow.cwnd(), before + before / 2);
    }
}

#[test]
fn a_pause_moves_the_curve_by_its_length() {
    let mut busy = Flow::after_loss_at(500, RTT);
    busy.rounds(10);
    let mut paused = busy.clone();
    let idle = Duration::from_secs(10);
    paused.now += idle;
    paused.cubic.on_sent(&Sent {
        now: paused.now,
        size: DATAGRAM,
        idle: Some(idle),
        ..Sent::default()
    });
    for _ in 0..80 {
        busy.round();
        paused.round();
        assert_eq!(busy.cwnd(), paused.cwnd());
    }
}

/// quiche #2370: an application whose every packet finds nothing in flight once pinned the window at two
/// datagrams, for the curve moved by more than the time that had passed.
#[test]
fn pauses_between_acknowledgements_and_packets_never_move_the_curve_ahead_of_time() {
    let mut flow = Flow::after_loss_at(3, RTT);
    let mut before = flow.cwnd();
    assert_eq!(before, 2_520);
    for _ in 0..200 {
        // The packet leaves as soon as the one before is acknowledged.
        let idle = Duration::from_micros(10);
        flow.now += idle;
        flow.cubic.on_sent(&Sent {
            now: flow.now,
            size: DATAGRAM,
            idle: Some(idle),
            ..Sent::default()
        });
        flow.round();
        if let Some(stage) = flow.cubic.target.stage {
            assert!(stage.began <= flow.now && stage.counted <= flow.now);
        }
        assert!(flow.cwnd() >= before);
        before = flow.cwnd();
    }
    assert!(before > 50 * DATAGRAM, "{before}");
}

#[test]
fn time_in_which_the_window_is_not_used_up_does_not_count() {
    let mut full = Flow::after_loss_at(500, RTT);
    full.rounds(10);
    let mut sparse = full.clone();
    for _ in 0..100 {
        sparse.now += RTT;
        sparse.cubic.on_ack(&AckSample {
            now: sparse.now,
            newly_acked: DATAGRAM,
            growth: 0,
            srtt: RTT,
            ..AckSample::default()
        });
    }
    assert_eq!(sparse.cwnd(), full.cwnd());
    for _ in 0..80 {
        full.round();
        sparse.round();
        assert_eq!(full.cwnd(), sparse.cwnd());
    }
}

#[test]
fn an_undone_loss_leaves_no_trace() {
    let mut flow = Flow::after_loss_at(500, RTT);
    flow.rounds(20);
    let before = flow.clone();
    flow.cubic.on_congestion(&congested(Cause::Loss));
    flow.round();
    assert!(flow.cwnd() < before.cwnd());
    flow.cubic.on_undo(flow.now);
    assert_eq!(
        format!("{:?}", flow.cubic.target),
        format!("{:?}", before.cubic.target)
    );
    // What is undone is undone once.
    flow.cubic.target.cwnd = Fine::new(12_000);
    flow.cubic.on_undo(flow.now);
    assert_eq!(flow.cwnd(), 12_000);
}

#[test]
fn an_undone_persistent_congestion_leads_back_to_before_its_first_loss() {
    let mut flow = Flow::new(RTT);
    flow.rounds(4);
    flow.cubic.on_congestion(&congested(Cause::Loss));
    flow.cubic.on_congestion(&congested(Cause::Persistent));
    assert_eq!(flow.cwnd(), 2_400);
    flow.cubic.on_undo(flow.now);
    assert_eq!((flow.cwnd(), flow.cubic.ssthresh()), (192_000, u64::MAX));
    assert_eq!(flow.cubic.state(), "slow start");
}

#[test]
fn a_window_that_has_grown_beyond_the_one_before_is_not_taken_back() {
    let mut flow = Flow::after_loss_at(20, RTT);
    while flow.datagrams() <= 20.0 {
        flow.round();
    }
    let grown = flow.cwnd();
    flow.cubic.on_undo(flow.now);
    assert_eq!(flow.cwnd(), grown);
    assert!(flow.cubic.ssthresh() < grown);
}

#[test]
fn a_mark_is_not_undone() {
    let mut cubic = Flow::after_loss_at(500, RTT).cubic;
    cubic.on_congestion(&congested(Cause::Mark));
    let marked = cubic.cwnd();
    cubic.on_undo(Time::ZERO);
    assert_eq!(cubic.cwnd(), marked);
}

#[test]
fn persistent_congestion_leads_through_slow_start_to_a_new_curve() {
    let mut flow = Flow::after_loss_at(100, RTT);
    flow.cubic.on_congestion(&congested(Cause::Persistent));
    assert_eq!((flow.cwnd(), flow.cubic.ssthresh()), (2_400, 84_000));
    assert_eq!(flow.cubic.state(), "slow start");
    while flow.cubic.is_slow_start() {
        let before = flow.cwnd();
        flow.round();
        assert!(flow.cwnd() <= 2 * before);
    }
    flow.round();
    let stage = flow.cubic.target.stage.unwrap();
    assert!(
        stage.curve.at(Duration::ZERO) >= 84_000,
        "its middle is its beginning"
    );
}

#[test]
fn a_long_pause_leaves_what_the_last_round_trip_delivered_and_the_way_back() {
    for (delivered, window) in [(0, 12_000), (60_000, 60_000), (10_000_000, 840_000)] {
        let mut cubic = Flow::after_loss_at(1_000, RTT).cubic;
        cubic.on_restart_from_idle(Time::ZERO, delivered);
        assert_eq!((cubic.cwnd(), cubic.ssthresh()), (window, 840_000));
    }
    // A window that had grown far beyond the threshold is not looked for datagram by datagram.
    let mut flow = Flow::after_loss_at(100, RTT);
    while flow.datagrams() < 400.0 {
        flow.round();
    }
    let grown = flow.cwnd();
    flow.cubic.on_restart_from_idle(flow.now, 0);
    assert_eq!(flow.cubic.ssthresh(), grown / 4 * 3);
}

#[test]
fn on_a_short_path_the_window_grows_as_newreno_with_the_same_reductions() {
    let mut flow = Flow::after_loss_at(100, Duration::from_millis(1));
    // 30 datagrams at 9/17 a round trip, and from then on one a round trip.
    flow.rounds(57);
    let back = flow.datagrams();
    assert!((99.0..=101.0).contains(&back), "{back}");
    flow.rounds(50);
    let later = flow.datagrams() - back;
    assert!((48.0..=51.0).contains(&later), "{later}");
}

#[test]
fn ten_terabytes_are_counted_without_overflow() {
    let mut flow = Flow::new(Duration::from_millis(10));
    flow.step = u64::MAX;
    while flow.delivered < 10_000_000_000_000 {
        flow.round();
    }
    let reached = flow.cwnd();
    assert!(reached >= 1 << 42, "{reached}");
    flow.cubic.on_congestion(&congested(Cause::Loss));
    let reduced = flow.cwnd();
    assert_eq!(u128::from(reduced), u128::from(reached) * 7 / 10);
    for _ in 0..1_000 {
        let before = flow.cwnd();
        flow.round();
        assert!(flow.cwnd() > before && flow.cwnd() <= before + before / 2);
    }
    // And as many in congestion avoidance, through many reductions.
    let mut avoiding = Flow::after_loss_at(10_000_000, Duration::from_secs(1));
    while avoiding.delivered < 10_000_000_000_000 {
        let begun = avoiding.cwnd();
        avoiding.step = begun / 4;
        avoiding.rounds(200);
        let grown = avoiding.cwnd();
        assert!(grown > begun);
        avoiding.cubic.on_congestion(&congested(Cause::Loss));
        assert_eq!(avoiding.cwnd(), grown * 7 / 10);
    }
}

#[test]
fn round_trips_of_fifty_microseconds_and_of_two_seconds_grow_steadily() {
    for rtt in [Duration::from_micros(50), Duration::from_secs(2)] {
        let mut flow = Flow::after_loss_at(50, rtt);
        let mut before = flow.cwnd();
        for round in 0..200 {
            flow.step = before / 16;
            flow.round();
            let most = before + before / 2 + DATAGRAM;
            assert!(
                (before..=most).contains(&flow.cwnd()),
                "{rtt:?}, round {round}"
            );
            before = flow.cwnd();
        }
        assert!(before > 100 * DATAGRAM, "{rtt:?}: {before}");
    }
}

#[test]
fn the_pacing_rate_is_two_windows_a_round_trip_and_later_five_quarters() {
    assert_eq!(Flow::new(RTT).cubic.pacing_rate(RTT), 240_000);
    let avoiding = Flow::after_loss_at(100, RTT).cubic;
    assert_eq!(avoiding.pacing_rate(RTT), 840_000 * 5 / 4);
    assert!(avoiding.pacing_rate(Duration::ZERO) > 0);
}

#[test]
fn another_mtu_leaves_the_bytes_of_the_window() {
    let mut cubic = Flow::after_loss_at(20, RTT).cubic;
    for (mtu, window) in [(9_000, 18_000), (65_487, 130_974), (1_200, 130_974)] {
        cubic.on_mtu(mtu);
        assert_eq!(cubic.cwnd(), window.max(16_800), "mtu {mtu}");
    }
}

#[test]
fn a_growing_round_trip_ends_slow_start_at_the_flight_with_which_it_began_to_grow() {
    let mut flow = Flow::new(Duration::from_millis(50));
    flow.rounds(4);
    let full = flow.cwnd();
    flow.rtt = Duration::from_millis(60);
    flow.round();
    assert_eq!(flow.cubic.state(), "conservative slow start");
    // The round trip was found to have grown by its eighth sample.
    let slowed = flow.cwnd();
    assert!(slowed < full + full / 4 + 8 * DATAGRAM, "{slowed}");
    for _ in 0..4 {
        let before = flow.cwnd();
        flow.round();
        assert!(flow.cwnd() <= before + before / 4);
    }
    assert_eq!(flow.cubic.state(), "conservative slow start");
    flow.round();
    assert_eq!(flow.cubic.state(), "congestion avoidance");
    assert_eq!(flow.cubic.ssthresh(), full);
    assert_eq!(flow.cubic.target.w_max, full);
    assert!(flow.cwnd() < full + full / 8, "{} of {full}", flow.cwnd());
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Round,
    Ack {
        bytes: u64,
        growth: u64,
        millis: u64,
    },
    Congested {
        cause: Cause,
        inflight: u64,
    },
    Undo,
    Sent {
        inflight: u64,
        idle: Option<Duration>,
    },
    Restart(u64),
    Mtu(u16),
    Rtt(Duration),
}

fn op() -> impl Strategy<Value = Op> {
    let cause = prop_oneof![
        Just(Cause::Loss),
        Just(Cause::Mark),
        Just(Cause::Persistent)
    ];
    let bytes = prop_oneof![8 => 0_u64..10_000_000, 1 => Just(u64::MAX >> 20)];
    let nanos = prop_oneof![8 => 0_u64..10_000_000_000, 1 => Just(u64::MAX >> 8)];
    prop_oneof![
        6 => Just(Op::Round),
        6 => (bytes.clone(), 0_u64..2, 0_u64..1_000_000).prop_map(|(bytes, grows, millis)| Op::Ack {
            bytes,
            growth: bytes * grows,
            millis,
        }),
        2 => (cause, bytes.clone()).prop_map(|(cause, inflight)| Op::Congested { cause, inflight }),
        1 => Just(Op::Undo),
        1 => (bytes.clone(), proptest::option::of(nanos.clone()))
            .prop_map(|(inflight, idle)| Op::Sent { inflight, idle: idle.map(Duration::from_nanos) }),
        1 => bytes.prop_map(Op::Restart),
        1 => (1_200_u16..=65_487).prop_map(Op::Mtu),
        1 => nanos.prop_map(|nanos| Op::Rtt(Duration::from_nanos(nanos))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_always_holds_two_datagrams_and_grows_by_acknowledged_bytes_at_most(
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut flow = Flow::new(RTT);
        for op in ops {
            let before = flow.cwnd();
            match op {
                Op::Round => {
                    flow.step = (before / 8).max(1);
                    flow.round();
                    prop_assert!(flow.cwnd() >= before || flow.cubic.ssthresh() < u64::MAX);
                    prop_assert!(flow.cwnd() <= before.saturating_mul(2).saturating_add(65_487));
                }
                Op::Ack { bytes, growth, millis } => {
                    flow.now += Duration::from_millis(millis);
                    flow.delivered += bytes;
                    flow.cubic.on_ack(&AckSample {
                        now: flow.now,
                        newly_acked: bytes,
                        growth,
                        delivered: flow.delivered,
                        srtt: flow.rtt,
                        min_rtt: flow.rtt,
                        ..AckSample::default()
                    });
                    prop_assert!(flow.cwnd() >= before);
                    // On a small window a datagram may be added for less than its bytes.
                    prop_assert!(flow.cwnd() - before <= growth + 65_487);
                }
                Op::Congested { cause, inflight } => {
                    let event = Congested { now: flow.now, cause, inflight };
                    flow.cubic.on_congestion(&event);
                    prop_assert!(flow.cwnd() <= before.max(minimum_window(flow.cubic.mtu)));
                }
                Op::Undo => {
                    flow.cubic.on_undo(flow.now);
                    prop_assert!(flow.cwnd() >= before);
                }
                Op::Sent { inflight, idle } => flow.cubic.on_sent(&Sent {
                    now: flow.now,
                    size: 1_200,
                    inflight,
                    idle,
                    ..Sent::default()
                }),
                Op::Restart(delivered) => {
                    flow.cubic.on_restart_from_idle(flow.now, delivered);
                    prop_assert!(flow.cwnd() <= before);
                }
                Op::Mtu(mtu) => flow.cubic.on_mtu(mtu),
                Op::Rtt(rtt) => flow.rtt = rtt,
            }
            prop_assert!(flow.cwnd() >= minimum_window(flow.cubic.mtu));
            prop_assert!(flow.cubic.ssthresh() >= 2_400);
            let _ = flow.cubic.pacing_rate(flow.rtt);
        }
    }
}
