use std::net::SocketAddr;

use super::*;
use crate::sim::Rng;

fn parcel(len: usize) -> Parcel {
    Parcel {
        from: SocketAddr::from(([10, 0, 0, 1], 1)),
        to: SocketAddr::from(([10, 0, 0, 2], 2)),
        bytes: vec![7; len],
        ecn: Some(Ecn::Ect0),
    }
}

/// A bottleneck and the events that the network would keep for it.
struct Bench {
    state: BottleneckState,
    due: Vec<Time>,
    /// Link, length, mark and time of what left.
    left: Vec<(usize, usize, Option<Ecn>, Time)>,
}

impl Bench {
    fn new(config: Bottleneck) -> Self {
        Bench {
            state: BottleneckState::new(Time::ZERO, config),
            due: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Serves what is due until `now`.
    fn run(&mut self, now: Time) {
        while let Some(index) = (0..self.due.len()).min_by_key(|index| self.due[*index]) {
            let at = self.due[index];
            if at > now {
                break;
            }
            self.due.swap_remove(index);
            let Some((served, next)) = self.state.serve(at) else {
                continue;
            };
            self.due.extend(next);
            let Served {
                link,
                parcel,
                leaves_at,
            } = served;
            self.left
                .push((link, parcel.bytes.len(), parcel.ecn, leaves_at));
        }
    }

    /// A datagram comes; whether it was taken.
    fn enter(&mut self, now: Time, link: usize, len: usize) -> bool {
        self.run(now);
        match self.state.enter(now, link, parcel(len)) {
            Admission::Passes(parcel) => {
                self.left.push((link, len, parcel.ecn, now));
                true
            }
            Admission::Waits => true,
            Admission::Begins(at) => {
                self.due.push(at);
                true
            }
            Admission::Overflows(_) | Admission::Policed(_) => false,
        }
    }

    fn change(&mut self, now: Time, change: impl FnOnce(Bottleneck) -> Bottleneck) {
        self.run(now);
        let config = change(self.state.config.clone());
        self.due.extend(self.state.change(now, config));
    }

    fn times(&self) -> Vec<Time> {
        self.left.iter().map(|left| left.3).collect()
    }
}

const FOREVER: Time = Time::from_millis(1 << 40);

/// 1,000 bytes a millisecond.
fn slow() -> Bottleneck {
    Bottleneck::new().rate_bits(8_000_000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn datagrams_of_all_links_leave_in_the_order_in_which_they_came() {
    let mut bench = Bench::new(slow());
    for (link, len) in [(1, 1_000), (2, 500), (1, 1_500)] {
        assert!(bench.enter(Time::ZERO, link, len));
    }
    bench.run(FOREVER);
    let order: Vec<(usize, usize)> = bench.left.iter().map(|left| (left.0, left.1)).collect();
    assert_eq!(order, [(1, 1_000), (2, 500), (1, 1_500)]);
    let times = [1_000, 1_500, 3_000].map(Time::from_micros);
    assert_eq!(bench.times(), times);
}

#[test]
fn a_full_queue_drops_the_newest_and_an_empty_one_takes_any() {
    let mut bench = Bench::new(slow().queue_bytes(3_000));
    let taken = [1_000; 4].map(|len| bench.enter(Time::ZERO, 0, len));
    assert_eq!(taken, [true, true, true, false]);
    bench.run(FOREVER);
    assert!(bench.enter(Time::from_millis(10), 0, 9_000));
    assert!(!bench.enter(Time::from_millis(10), 0, 1));
    let stats = bench.state.stats;
    assert_eq!((stats.entered, stats.overflowed, stats.passed), (6, 2, 3));
}

/// The mean wait of random arrivals at a server of constant time (M/D/1) is load / (2 (1 - load)) services
/// (Pollaczek and Khinchine), and the server is busy for `load` of the time.
#[test]
fn the_mean_delay_is_that_of_m_d_1() {
    for load in [0.3, 0.5, 0.8] {
        let mut bench = Bench::new(slow());
        let (mut rng, mut now) = (Rng::new(9, "arrivals"), Time::ZERO);
        for _ in 0..400_000 {
            now += rng.exponential(ms(1).div_f64(load));
            assert!(bench.enter(now, 0, 1_000));
        }
        bench.run(now);
        let meter = bench.state.meter.at(now);
        let mean = meter.mean_delay().as_secs_f64() * 1e3;
        let expected = load / (2.0 * (1.0 - load));
        assert!(
            (mean / expected - 1.0).abs() < 0.03,
            "{mean}, not {expected}"
        );
        assert!((meter.utilisation() / load - 1.0).abs() < 0.01, "{meter:?}");
        assert!(
            (meter.rate() / (1e6 * load) - 1.0).abs() < 0.01,
            "{meter:?}"
        );
    }
}

/// A policer lets pass what a token bucket does: never more than bucket + rate x time, and no less where
/// there was always something to pass.
#[test]
fn the_policer_is_a_token_bucket() {
    let mut rng = Rng::new(4, "policer");
    for bucket in [3_000, 20_000, 200_000_u64] {
        let mut bench = Bench::new(Bottleneck::new().policer(8_000_000, bucket));
        // Four times the rate, and never a pause in which the bucket could fill.
        let (mut now, mut passed) = (Time::ZERO, 0_u64);
        for _ in 0..100_000 {
            now += rng.duration(Duration::from_micros(500));
            passed += if bench.enter(now, 0, 1_000) { 1_000 } else { 0 };
            let most = bucket + now.as_micros();
            assert!(passed <= most, "{passed} of {most} at {now:?}");
        }
        let most = bucket + now.as_micros();
        assert!(passed + 2_000 > most * 99 / 100, "{passed} of {most}");
    }
}

#[test]
fn the_bucket_fills_while_nothing_comes_and_no_further() {
    let mut bench = Bench::new(Bottleneck::new().policer(8_000_000, 5_000));
    let burst = |bench: &mut Bench, at| (0..10).filter(|_| bench.enter(at, 0, 1_000)).count();
    assert_eq!(burst(&mut bench, Time::ZERO), 5, "it begins full");
    assert_eq!(burst(&mut bench, Time::from_millis(2)), 2);
    assert_eq!(burst(&mut bench, Time::from_millis(1_000)), 5);
}

#[test]
fn what_joins_a_long_queue_is_marked_if_its_sender_understands() {
    let mut bench = Bench::new(slow().mark_above(2_000));
    for _ in 0..4 {
        bench.enter(Time::ZERO, 0, 1_000);
    }
    let mut deaf = parcel(1_000);
    deaf.ecn = None;
    bench.state.enter(Time::ZERO, 0, deaf);
    bench.run(FOREVER);
    let marks: Vec<_> = bench.left.iter().map(|left| left.2).collect();
    let (ect, ce) = (Some(Ecn::Ect0), Some(Ecn::Ce));
    assert_eq!(marks, [ect, ect, ce, ce, None]);
    assert_eq!(bench.state.stats.marked, 2);
}

#[test]
fn aggregation_lets_datagrams_leave_at_its_ticks_and_halves_its_period_on_average() {
    let mut bench = Bench::new(slow().bursts_every(ms(5)));
    let mut now = Time::ZERO;
    let mut rng = Rng::new(1, "arrivals");
    let mut waited = Duration::ZERO;
    for _ in 0..20_000 {
        now += ms(3) + rng.exponential(ms(7));
        bench.enter(now, 0, 1_000);
        bench.run(FOREVER);
        let left = *bench.times().last().expect("it left");
        assert!(left.as_nanos() % 5_000_000 == 0);
        waited += left - now - ms(1);
        bench.left.clear();
    }
    let mean = (waited / 20_000).as_secs_f64() * 1e3;
    assert!((mean - 2.5).abs() < 0.1, "{mean} ms");
}

#[test]
fn another_rate_holds_for_what_is_being_sent() {
    let mut bench = Bench::new(slow());
    for _ in 0..3 {
        bench.enter(Time::ZERO, 0, 1_000);
    }
    // Half of the first is sent: the rest of it and the others take ten times as long.
    bench.change(Time::from_micros(500), |it| it.rate_bits(800_000));
    // Then half of the second: the rest at once.
    bench.change(Time::from_micros(10_500), |it| it.rate_bits(8_000_000_000));
    bench.run(FOREVER);
    let times = [5_500_000, 10_500_500, 10_501_500].map(Time::from_nanos);
    assert_eq!(bench.times(), times);
    let meter = bench.state.meter.at(Time::from_nanos(21_003_000));
    assert!((meter.utilisation() - 0.5).abs() < 1e-6, "{meter:?}");
}
