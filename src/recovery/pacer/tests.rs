use proptest::prelude::*;

use super::*;

const ALL: u64 = u64::MAX;

fn paced(mtu: u16, rate: u64) -> Pacer {
    let mut pacer = Pacer::new(mtu);
    pacer.set_rate(Time::ZERO, rate);
    pacer
}

/// Sends all that may leave at `now`; how many bytes that was, and when the next may leave.
fn burst(pacer: &mut Pacer, now: Time, size: u16) -> (u64, Time) {
    let mut bytes = 0;
    loop {
        if let Some(at) = pacer.ready_at(now, size, ALL) {
            assert!(at > now, "a wait ends after it began");
            return (bytes, at);
        }
        pacer.on_sent(now, size, false);
        bytes += u64::from(size);
    }
}

#[test]
fn without_a_rate_everything_leaves_at_once() {
    let mut pacer = Pacer::new(1_200);
    for _ in 0..10_000 {
        assert_eq!(pacer.ready_at(Time::ZERO, 1_200, ALL), None);
        pacer.on_sent(Time::ZERO, 1_200, false);
    }
    // What left before there was a rate is not owed, but it was the first burst.
    pacer.set_rate(Time::ZERO, 1_200_000);
    assert_eq!(
        pacer.ready_at(Time::ZERO, 1_200, ALL),
        Some(Time::from_millis(1))
    );
}

#[test]
fn the_first_burst_is_ten_datagrams() {
    for (mtu, rate) in [(1_200, 1_000), (1_472, 1_000_000), (9_000, 100_000_000)] {
        let (bytes, _) = burst(&mut paced(mtu, rate), Time::ZERO, mtu);
        assert_eq!(bytes, 10 * u64::from(mtu));
    }
}

#[test]
fn bucket_and_quantum_follow_the_rate() {
    // (mtu, rate, capacity, quantum), bytes
    let table = [
        (1_200, 0, 3_600, 2_400),
        (1_200, 1_000, 3_600, 2_400),
        (1_200, 6_000_000, 12_000, 6_000),
        (1_472, 12_500_000, 25_000, 11_776),
        (1_472, 125_000_000, 250_000, 64_768),
        (1_472, 10_000_000_000, 262_144, 64_768),
        (65_487, 1_000_000, 196_461, 130_974),
        (1_472, u64::MAX, 262_144, 64_768),
    ];
    for (mtu, rate, capacity, quantum) in table {
        let pacer = paced(mtu, rate);
        assert_eq!(pacer.capacity(), capacity, "capacity at {rate}");
        assert_eq!(pacer.quantum(), quantum, "quantum at {rate}");
    }
}

#[test]
fn below_100_mbit_a_quantum_has_at_most_eight_datagrams() {
    // (mtu, rate, wanted, quantum in datagrams)
    let table = [
        (1_200, 12_499_999, None, 8),
        (1_200, 12_500_000, None, 10),
        (1_472, 12_499_999, None, 8),
        (1_472, 12_499_999, Some(64 << 10), 8),
        (1_472, 12_500_000, Some(64 << 10), 44),
        (1_472, 3_000_000, None, 2),
        (1_472, 3_000_000, Some(1_472), 1),
        (9_000, 125_000_000, None, 7),
    ];
    for (mtu, rate, wanted, datagrams) in table {
        let mut pacer = paced(mtu, rate);
        pacer.set_quantum(wanted);
        assert_eq!(
            pacer.quantum(),
            datagrams * u64::from(mtu),
            "{rate}, {wanted:?}"
        );
    }
}

/// Behind a router that limits a rate the tail of a longer burst is lost: at the beginning, after a pause, after a
/// wake-up that came late.
#[test]
fn a_short_burst_is_the_most_that_ever_leaves_back_to_back() {
    for rate in [1_000_000, 12_500_000, 125_000_000] {
        for datagrams in [2, 3, 4, 8, 43] {
            let most = 1_472 * u64::from(datagrams);
            let mut pacer = Pacer::new(1_472).with_burst_max(datagrams);
            pacer.set_rate(Time::ZERO, rate);
            let (first, mut next) = burst(&mut pacer, Time::ZERO, 1_472);
            assert!(first <= most.min(14_720), "{first} at first");
            for late in [0, 0, 50, 5_000, 0, 3_600_000_000, 0] {
                let now = next + Duration::from_micros(late);
                pacer.on_drained(true);
                let (bytes, again) = burst(&mut pacer, now, 1_472);
                assert!((1..=most).contains(&bytes), "{bytes}, {late} us late");
                next = again;
            }
            pacer.restart(next);
            assert!(burst(&mut pacer, next, 1_472).0 <= most, "after a pause");
        }
    }
}

/// Sends all that may leave, and goes on waiting for the pacer; bytes, and when the next may leave.
fn drain(pacer: &mut Pacer, now: Time) -> (u64, Time) {
    let sent = burst(pacer, now, 1_472);
    pacer.on_drained(true);
    sent
}

#[test]
fn a_wake_up_that_comes_late_loses_nothing_up_to_sixteen_milliseconds() {
    for rate in [300_000, 1_000_000, 12_500_000] {
        for late in [0, 3, 8, 15] {
            let mut pacer = paced(1_472, rate);
            let (_, mut next) = drain(&mut pacer, Time::ZERO);
            let (begun, mut bytes) = (next, 0);
            while next < begun + Duration::from_secs(1) {
                let (sent, again) = drain(&mut pacer, next + Duration::from_millis(late));
                (bytes, next) = (bytes + sent, again);
            }
            let share = bytes as f64 / (rate as f64 * (next - begun).as_secs_f64());
            assert!(
                (0.97..=1.03).contains(&share),
                "{rate}, {late} ms late: {share}"
            );
        }
    }
}

#[test]
fn what_waits_for_anything_but_the_pacer_earns_no_more_than_the_bucket_holds() {
    let rate = 12_500_000;
    let mut pacer = paced(1_472, rate);
    let (_, next) = drain(&mut pacer, Time::ZERO);
    // The window is full: time goes by that no wake-up could have used.
    pacer.on_drained(false);
    let (bytes, _) = burst(&mut pacer, next + Duration::from_millis(500), 1_472);
    assert!(bytes <= pacer.capacity(), "{bytes}");
    // Nor does a wake-up keep for later what it did not spend.
    let (_, next) = drain(&mut pacer, Time::from_millis(1_000));
    let late = next + Duration::from_millis(500);
    pacer.on_sent(late, 1_472, false);
    pacer.on_drained(false);
    let (bytes, _) = burst(&mut pacer, late, 1_472);
    assert!(bytes <= pacer.capacity(), "{bytes}");
}

#[test]
fn a_machine_that_slept_catches_up_by_sixteen_milliseconds_and_a_quarter_of_a_mebibyte_at_most() {
    for (rate, most) in [(1_000_000, 16_000), (125_000_000, 256 << 10)] {
        let mut pacer = paced(1_472, rate);
        let (_, next) = drain(&mut pacer, Time::ZERO);
        let (bytes, _) = drain(&mut pacer, next + Duration::from_secs(60));
        assert!(bytes <= most, "{rate}: {bytes}");
    }
}

#[test]
fn short_bursts_cost_no_rate_where_the_timer_is_in_time() {
    for (rate, datagrams) in [(1_000_000, 2), (12_500_000, 4), (125_000_000, 16)] {
        let mut pacer = Pacer::new(1_472).with_burst_max(datagrams);
        pacer.set_rate(Time::ZERO, rate);
        let (mut bytes, mut now) = (0, burst(&mut pacer, Time::ZERO, 1_472).1);
        let begin = now;
        while now < begin + Duration::from_secs(1) {
            let (sent, next) = burst(&mut pacer, now, 1_472);
            bytes += sent;
            now = next;
        }
        let expected = rate * u64::try_from((now - begin).as_nanos()).unwrap() / 1_000_000_000;
        assert!(
            bytes.abs_diff(expected) * 100 <= expected,
            "{bytes} instead of {expected}"
        );
    }
}

/// A program that looks at its timers every millisecond, too late each time, loses nothing up to the rate at
/// which two milliseconds fill the bucket.
#[test]
fn a_clock_of_whole_milliseconds_costs_no_rate_up_to_a_gigabit() {
    for rate in [100_000, 1_250_000, 12_500_000, 125_000_000] {
        let mut pacer = paced(1_472, rate);
        burst(&mut pacer, Time::ZERO, 1_472);
        let mut bytes = 0;
        for tick in 1..=10_000 {
            bytes += burst(&mut pacer, Time::from_millis(tick), 1_472).0;
        }
        let expected = rate * 10;
        assert!(
            bytes.abs_diff(expected) * 100 <= expected,
            "{bytes} instead of {expected}"
        );
    }
}

#[test]
fn waits_of_fractions_of_a_nanosecond_are_not_lost() {
    // Three bytes in a nanosecond: no packet's time is a whole number of them.
    let mut pacer = paced(1_472, 3_000_000_000);
    let (_, mut at) = burst(&mut pacer, Time::ZERO, 1_472);
    let (began, mut bytes) = (at, 0);
    for _ in 0..10_000 {
        let (sent, next) = burst(&mut pacer, at, 1_472);
        bytes += sent;
        at = next;
    }
    let nanos = u64::try_from((at - began).as_nanos()).unwrap();
    assert!(
        (nanos * 3).abs_diff(bytes) <= 10_000,
        "{bytes} bytes in {nanos} ns"
    );
}

#[test]
fn an_unpaced_burst_is_256_kib_or_half_the_window() {
    for (cwnd, burst) in [(12_000, 1 << 18), (1 << 19, 1 << 18), (1 << 20, 1 << 19)] {
        let mut pacer = Pacer::new(1_472);
        pacer.renew_burst(cwnd);
        assert_eq!(pacer.burst_room(), burst);
        pacer.on_sent(Time::ZERO, 1_472, false);
        assert_eq!(pacer.burst_room(), burst - 1_472);
        for _ in 0..1_000 {
            pacer.on_sent(Time::ZERO, 1_472, false);
        }
        assert_eq!(pacer.burst_room(), 0);
        pacer.renew_burst(cwnd);
        assert_eq!(pacer.burst_room(), burst);
        pacer.set_rate(Time::ZERO, 1_000_000);
        assert_eq!(pacer.burst_room(), u64::MAX, "a rate spreads by itself");
    }
}

#[test]
fn a_whole_quantum_leaves_and_then_a_whole_quantum_is_awaited() {
    let rate = 125_000_000;
    let mut pacer = paced(1_472, rate);
    let (_, mut at) = burst(&mut pacer, Time::ZERO, 1_472);
    for _ in 0..1_000 {
        let (bytes, next) = burst(&mut pacer, at, 1_472);
        assert_eq!(bytes, pacer.quantum(), "44 datagrams of 1472 bytes");
        let nanos = u64::try_from((next - at).as_nanos()).unwrap();
        assert!(nanos.abs_diff(pacer.quantum() * 1_000_000_000 / rate) <= 1);
        at = next;
    }
}

#[test]
fn what_fits_the_window_need_not_wait_for_a_whole_quantum() {
    let mut pacer = paced(1_000, 50_000_000);
    burst(&mut pacer, Time::ZERO, 1_000);
    let ready = |room| pacer.ready_at(Time::ZERO, 1_000, room);
    assert_eq!(ready(ALL), Some(Time::from_micros(1_000)));
    assert_eq!(ready(3_000), Some(Time::from_micros(60)));
    assert_eq!(ready(0), Some(Time::from_micros(20)));
}

#[test]
fn the_packet_after_the_last_one_waits_only_for_itself() {
    let mut pacer = paced(1_000, 50_000_000);
    for _ in 0..9 {
        pacer.on_sent(Time::ZERO, 1_000, false);
    }
    pacer.on_sent(Time::ZERO, 1_000, true);
    assert_eq!(
        pacer.ready_at(Time::ZERO, 100, ALL),
        Some(Time::from_micros(2))
    );
}

#[test]
fn a_late_wake_up_may_spend_the_bucket_and_no_more() {
    let mut pacer = paced(1_250, 12_500_000);
    let (_, at) = burst(&mut pacer, Time::ZERO, 1_250);
    let late = at + Duration::from_secs(3_600);
    assert_eq!(
        burst(&mut pacer, late, 1_250).0,
        25_000,
        "two milliseconds' worth"
    );
}

#[test]
fn packets_that_do_not_ask_are_paid_for_later() {
    let mut pacer = paced(1_000, 1_000_000);
    burst(&mut pacer, Time::ZERO, 1_000);
    let before = pacer.ready_at(Time::ZERO, 1_000, 0).unwrap();
    pacer.on_sent(Time::ZERO, 1_000, false);
    let after = pacer.ready_at(Time::ZERO, 1_000, 0).unwrap();
    assert_eq!(after - before, Duration::from_millis(1));
    // The debt is bounded by the bucket.
    for _ in 0..1_000 {
        pacer.on_sent(Time::ZERO, 1_000, false);
    }
    assert_eq!(
        pacer.ready_at(Time::ZERO, 1_000, 0),
        Some(Time::from_millis(4))
    );
}

#[test]
fn a_lower_rate_leaves_no_credit_of_the_higher_one() {
    let mut pacer = paced(1_200, 1_000_000_000);
    burst(&mut pacer, Time::ZERO, 1_200);
    let later = Time::from_millis(100);
    pacer.set_rate(later, 10_000);
    assert_eq!(burst(&mut pacer, later, 1_200).0, 3_600);
}

#[test]
fn the_long_run_rate_is_right_whatever_the_rate_and_however_late_the_timer() {
    for mtu in [1_200, 1_472, 9_000, 65_487] {
        for rate in [20_000, 1_000_003, 12_500_000, 1_250_000_000, 7_000_000_000] {
            for late_percent in [0, 50, 90] {
                let mut pacer = paced(mtu, rate);
                let (_, mut at) = burst(&mut pacer, Time::ZERO, mtu);
                let began = at;
                let mut bytes = 0;
                for _ in 0..2_000 {
                    // Later, but within what the bucket holds beyond a quantum.
                    let slack = (pacer.capacity() - pacer.quantum()) * 1_000_000_000 / rate;
                    let now = at + Duration::from_nanos(slack * late_percent / 100);
                    let (sent, next) = burst(&mut pacer, now, mtu);
                    bytes += sent;
                    at = next;
                }
                let expected = u128::from(rate) * (at - began).as_nanos() / 1_000_000_000;
                let error = expected.abs_diff(u128::from(bytes)) * 1_000 / expected;
                assert!(
                    error < 10,
                    "{bytes} instead of {expected} at {rate}, mtu {mtu}"
                );
            }
        }
    }
}

#[test]
fn extreme_figures_do_not_overflow() {
    let mut pacer = paced(u16::MAX, u64::MAX);
    for step in 0..100 {
        let now = Time::from_nanos(u64::MAX / 100 * step);
        pacer.ready_at(now, u16::MAX, ALL);
        pacer.on_sent(now, u16::MAX, false);
        pacer.set_rate(now, u64::MAX >> step.min(63));
    }
    pacer.set_rate(Time::MAX, 1);
    assert_eq!(
        pacer
            .ready_at(Time::MAX, u16::MAX, ALL)
            .map_or(Time::MAX, |at| at),
        Time::MAX
    );
}

#[derive(Clone, Debug)]
enum Op {
    /// Time passes, nanoseconds.
    Pass(u64),
    /// To the moment that the pacer named.
    Wake,
    /// A packet that asks.
    Send(u16, bool),
    /// A packet that does not.
    Force(u16),
    /// Another rate.
    Rate(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0_u64..3_000_000).prop_map(Op::Pass),
        4 => Just(Op::Wake),
        16 => (1_u16..=1_472, prop::bool::weighted(0.1)).prop_map(|(size, last)| Op::Send(size, last)),
        1 => (1_u16..=1_472).prop_map(Op::Force),
        1 => (1_000_u64..2_000_000_000).prop_map(Op::Rate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The twin is a bucket without any quantum: how far the sender is ahead of the rate.
    #[test]
    fn the_sender_is_never_ahead_by_more_than_the_bucket(ops in prop::collection::vec(op(), 1..400)) {
        let mut pacer = paced(1_472, 5_000_000);
        let (mut now, mut wake) = (Time::ZERO, Time::ZERO);
        let mut rate = 5_000_000_u64;
        let mut ahead = 0_u128;
        let mut allowed = u128::from(pacer.capacity()).max(14_720) * 1_000_000_000;
        let pass = |from: Time, to: Time, ahead: u128, rate: u64| {
            ahead.saturating_sub((to - from).as_nanos() * u128::from(rate))
        };
        for op in ops {
            match op {
                Op::Pass(nanos) => {
                    let later = now + Duration::from_nanos(nanos);
                    ahead = pass(now, later, ahead, rate);
                    now = later;
                }
                Op::Wake => {
                    let later = wake.max(now);
                    ahead = pass(now, later, ahead, rate);
                    now = later;
                    prop_assert!(pacer.ready_at(now, 1, 0).is_none_or(|at| at > now));
                }
                Op::Send(size, last) => match pacer.ready_at(now, size, ALL) {
                    Some(at) => {
                        prop_assert!(at > now);
                        prop_assert_eq!(pacer.ready_at(at, size, ALL), None, "the time named is right");
                        wake = at;
                    }
                    None => {
                        pacer.on_sent(now, size, last);
                        ahead += u128::from(size) * 1_000_000_000;
                        prop_assert!(ahead <= allowed, "{} ahead of {}", ahead, allowed);
                    }
                },
                Op::Force(size) => pacer.on_sent(now, size, false),
                Op::Rate(new) => {
                    rate = new;
                    pacer.set_rate(now, rate);
                    allowed = allowed.max(u128::from(pacer.capacity()) * 1_000_000_000);
                }
            }
        }
    }
}
