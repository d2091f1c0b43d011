use proptest::prelude::*;

use super::*;

const MTU: u16 = 1_200;

/// Congestion while the window is full.
fn congested(cause: Cause) -> Congested {
    Congested {
        now: Time::ZERO,
        cause,
        inflight: u64::MAX,
    }
}

fn acked(bytes: u64) -> AckSample {
    AckSample {
        newly_acked: bytes,
        growth: bytes,
        ..AckSample::default()
    }
}

/// A controller in congestion avoidance with a window of `datagrams`.
fn avoiding(datagrams: u64) -> NewReno {
    let mut reno = NewReno::new(MTU);
    let target = 2 * datagrams * u64::from(MTU);
    reno.on_ack(&acked(target - reno.cwnd()));
    reno.on_congestion(&congested(Cause::Loss));
    assert_eq!(reno.cwnd(), datagrams * u64::from(MTU));
    reno
}

#[test]
fn the_initial_window_is_ten_datagrams_or_fewer_large_ones() {
    let table = [
        (1_200, 12_000),
        (1_460, 14_600),
        (1_472, 14_600),
        (9_000, 18_000),
        (65_487, 130_974),
    ];
    for (mtu, window) in table {
        assert_eq!(NewReno::new(mtu).cwnd(), window, "mtu {mtu}");
    }
}

#[test]
fn slow_start_doubles_the_window_every_round() {
    let mut reno = NewReno::new(MTU);
    for round in 1..=20 {
        reno.on_ack(&acked(reno.cwnd()));
        assert_eq!(reno.cwnd(), 12_000 << round);
    }
}

#[test]
fn many_small_acknowledgements_grow_no_more_than_one_large_one() {
    for mut reno in [NewReno::new(MTU), avoiding(20)] {
        let mut divided = reno.clone();
        reno.on_ack(&acked(1_200));
        for _ in 0..1_200 {
            divided.on_ack(&acked(1));
        }
        assert_eq!(divided.cwnd(), reno.cwnd());
    }
}

#[test]
fn congestion_avoidance_grows_by_one_datagram_a_window() {
    let mut reno = avoiding(20);
    for datagrams in 20..60_u64 {
        assert_eq!(reno.cwnd(), datagrams * 1_200);
        for _ in 0..datagrams {
            reno.on_ack(&acked(1_200));
        }
    }
    assert_eq!(reno.cwnd(), 60 * 1_200);
}

#[test]
fn what_slow_start_leaves_over_counts_for_congestion_avoidance() {
    let mut reno = avoiding(20);
    reno.on_congestion(&congested(Cause::Persistent));
    assert_eq!((reno.cwnd(), reno.ssthresh()), (2_400, 24_000));
    // 21,600 bytes reach ssthresh, 24,000 make a window: one datagram on top.
    reno.on_ack(&acked(21_600 + 24_000));
    assert_eq!(reno.cwnd(), 24_000 + 1_200);
}

#[test]
fn a_loss_halves_the_window_but_leaves_two_datagrams() {
    let mut reno = avoiding(20);
    let halves = [12_000, 6_000, 3_000, 2_400, 2_400];
    for window in halves {
        reno.on_congestion(&congested(Cause::Loss));
        assert_eq!((reno.cwnd(), reno.ssthresh()), (window, window));
    }
}

#[test]
fn a_long_pause_leads_back_to_the_initial_window() {
    let mut reno = avoiding(100);
    reno.on_restart_from_idle(Time::ZERO, 0);
    assert_eq!((reno.cwnd(), reno.ssthresh()), (12_000, 120_000));
    let mut small = avoiding(8);
    small.on_restart_from_idle(Time::ZERO, 0);
    assert_eq!(small.cwnd(), 9_600, "a pause never widens the window");
}

#[test]
fn after_a_pause_the_window_is_what_was_delivered_before_it() {
    let mut reno = avoiding(100);
    reno.on_restart_from_idle(Time::ZERO, 50_000);
    assert_eq!((reno.cwnd(), reno.ssthresh()), (50_000, 120_000));
    // Slow start leads most of the way back to a window that had grown beyond the threshold.
    let mut grown = avoiding(100);
    while grown.cwnd() < 240_000 {
        grown.on_ack(&acked(grown.cwnd()));
    }
    grown.on_restart_from_idle(Time::ZERO, 0);
    assert_eq!((grown.cwnd(), grown.ssthresh()), (12_000, 180_000));
    assert_eq!(grown.state(), "slow start");
}

#[test]
fn a_mark_leaves_four_fifths_but_in_slow_start_a_half() {
    let mut reno = avoiding(20);
    reno.on_congestion(&congested(Cause::Mark));
    assert_eq!((reno.cwnd(), reno.ssthresh()), (19_200, 19_200));
    let mut starting = NewReno::new(MTU);
    starting.on_congestion(&congested(Cause::Mark));
    assert_eq!(starting.cwnd(), 6_000);
}

#[test]
fn a_loss_halves_what_was_used_of_the_window() {
    let mut reno = avoiding(100);
    let event = Congested {
        inflight: 6_000,
        ..congested(Cause::Loss)
    };
    reno.on_sent(&Sent {
        size: 1_200,
        inflight: 10_800,
        ..Sent::default()
    });
    let mut full = reno.clone();
    reno.on_congestion(&event);
    assert_eq!(reno.cwnd(), 6_000, "half of 12,000, not of 120,000");
    // Less than a datagram was free: nothing more could have left.
    full.on_sent(&Sent {
        size: 1_200,
        inflight: 117_700,
        ..Sent::default()
    });
    full.on_congestion(&event);
    assert_eq!(full.cwnd(), 60_000);
}

#[test]
fn an_undone_loss_leaves_no_trace_and_a_mark_is_not_undone() {
    let mut reno = avoiding(20);
    reno.on_ack(&acked(10_000));
    let before = reno.clone();
    reno.on_congestion(&congested(Cause::Loss));
    reno.on_congestion(&congested(Cause::Persistent));
    assert_eq!(reno.cwnd(), 2_400);
    reno.on_undo(Time::ZERO);
    assert_eq!(format!("{:?}", reno.target), format!("{:?}", before.target));
    reno.on_congestion(&congested(Cause::Loss));
    reno.on_congestion(&congested(Cause::Mark));
    let marked = reno.cwnd();
    reno.on_undo(Time::ZERO);
    assert_eq!(reno.cwnd(), marked);
}

#[test]
fn a_window_that_has_grown_beyond_the_one_before_is_not_taken_back() {
    let mut reno = avoiding(20);
    while reno.cwnd() <= 48_000 {
        reno.on_ack(&acked(reno.cwnd()));
    }
    let grown = reno.cwnd();
    reno.on_undo(Time::ZERO);
    assert_eq!((reno.cwnd(), reno.ssthresh()), (grown, 24_000));
}

#[test]
fn another_mtu_leaves_the_bytes_of_the_window() {
    let mut reno = avoiding(20);
    reno.on_mtu(9_000);
    assert_eq!(reno.cwnd(), 24_000);
    reno.on_mtu(65_487);
    assert_eq!(reno.cwnd(), 130_974, "two datagrams must fit");
    reno.on_mtu(1_200);
    assert_eq!(reno.cwnd(), 130_974);
}

#[test]
fn the_pacing_rate_is_two_windows_a_round_trip_and_later_five_quarters() {
    let rtt = Duration::from_millis(100);
    assert_eq!(NewReno::new(MTU).pacing_rate(rtt), 2 * 120_000);
    assert_eq!(avoiding(20).pacing_rate(rtt), 240_000 * 5 / 4);
    assert_eq!(
        avoiding(20).pacing_rate(Duration::from_secs(8 * 7 * 86_400)),
        0
    );
    assert!(avoiding(20).pacing_rate(Duration::ZERO) > 0);
}

#[test]
fn ten_terabytes_are_counted_exactly() {
    let mut reno = NewReno::new(MTU);
    let (mut total, batch) = (0_u64, 10_000_000_u64);
    while total < 10_000_000_000_000 {
        reno.on_ack(&acked(batch));
        total += batch;
    }
    assert_eq!(reno.cwnd(), 12_000 + total);
    assert_eq!(
        reno.pacing_rate(Duration::from_millis(1)),
        (12_000 + total) * 2_000
    );
    reno.on_congestion(&congested(Cause::Loss));
    let half = (12_000 + total) / 2;
    assert_eq!(reno.cwnd(), half);
    // A whole window more, in pieces: one datagram.
    for _ in 0..half / batch + 1 {
        reno.on_ack(&acked(batch));
    }
    assert_eq!(reno.cwnd(), half + 1_200);
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Ack(u64),
    Loss,
    Mark,
    Persistent,
    Undo,
    Idle,
    Mtu(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0_u64..10_000_000).prop_map(Op::Ack),
        1 => Just(Op::Ack(u64::MAX >> 20)),
        2 => Just(Op::Loss),
        1 => Just(Op::Mark),
        1 => Just(Op::Persistent),
        1 => Just(Op::Undo),
        1 => Just(Op::Idle),
        1 => (1_200_u16..=65_487).prop_map(Op::Mtu),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_window_always_holds_two_datagrams_and_grows_by_acknowledged_bytes_at_most(
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut reno = NewReno::new(MTU);
        for op in ops {
            let before = reno.cwnd();
            match op {
                Op::Ack(bytes) => {
                    reno.on_ack(&acked(bytes));
                    prop_assert!(reno.cwnd() >= before);
                    // Below one window a datagram may be added for bytes counted earlier.
                    prop_assert!(reno.cwnd() - before <= bytes + u64::from(reno.mtu));
                }
                Op::Loss => reno.on_congestion(&congested(Cause::Loss)),
                Op::Mark => reno.on_congestion(&congested(Cause::Mark)),
                Op::Undo => reno.on_undo(Time::ZERO),
                Op::Persistent => reno.on_congestion(&congested(Cause::Persistent)),
                Op::Idle => reno.on_restart_from_idle(Time::ZERO, 0),
                Op::Mtu(mtu) => reno.on_mtu(mtu),
            }
            prop_assert!(reno.cwnd() >= minimum_window(reno.mtu));
            if let Op::Loss | Op::Mark | Op::Persistent | Op::Idle = op {
                prop_assert!(reno.cwnd() <= before);
            }
        }
    }
}
