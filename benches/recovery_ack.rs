//! One ACK block through all of recovery, with up to 200,000 packets in flight: its cost must follow
//! what it newly settles, never the flight.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use aqueduct::congestion::{Congestion, Setup};
use aqueduct::recovery::{Contents, Outcome, Recovery, SentPacket};
use aqueduct::time::Time;
use aqueduct::wire::{Offset, PacketNumber};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const RTT: Duration = Duration::from_millis(50);

/// A connection with packets in flight, and a receiver that acknowledges the oldest of them.
struct Flow {
    recovery: Recovery,
    outcome: Outcome,
    now: Time,
    /// The oldest number that the receiver has not acknowledged.
    oldest: PacketNumber,
    /// What it has acknowledged: a hole after every so many numbers, newest range first.
    ranges: Vec<RangeInclusive<PacketNumber>>,
}

impl Flow {
    fn new(flight: u64) -> Self {
        let first = PacketNumber::new(1);
        let mut recovery = Recovery::new(first, Congestion::NewReno, Setup::new(1_472));
        recovery.on_handshake_rtt(RTT);
        let mut flow = Flow {
            recovery,
            outcome: Outcome::default(),
            now: Time::from_millis(1),
            oldest: first,
            ranges: vec![first.prev()..=first.prev()],
        };
        flow.send(flight);
        flow
    }

    fn send(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.recovery.next_number();
            let start = Offset::new(number.get() * 1_400);
            let contents = Contents {
                data: start..start.plus(1_400),
                ..Contents::default()
            };
            let packet = SentPacket {
                number,
                size: 1_472,
                imm: false,
                contents,
            };
            self.recovery.on_sent(self.now, packet, false);
        }
    }

    /// Acknowledges the next `count` packets, with everything before; how many it settled.
    fn acknowledge(&mut self, count: u64) -> u64 {
        self.now += Duration::from_micros(1);
        let newest = self.oldest.plus(count - 1);
        self.oldest = newest.next();
        self.ranges[0] = *self.ranges[0].start()..=newest;
        self.outcome.acked.clear();
        self.outcome.lost.clear();
        let ranges = self.ranges.iter().cloned();
        self.recovery
            .on_ack(self.now, ranges, Duration::ZERO, None, &mut self.outcome)
            .expect("only what was sent is acknowledged");
        let settled = self.outcome.acked.len() + self.outcome.lost.len();
        u64::try_from(settled).unwrap_or(u64::MAX)
    }

    /// The next packet is missing from now on: a new range begins behind it.
    fn skip(&mut self) {
        let start = self.oldest.next();
        self.oldest = start;
        self.ranges.insert(0, start..=start);
        self.ranges.truncate(32);
    }
}

fn in_order(c: &mut Criterion) {
    let mut group = c.benchmark_group("recovery_ack/in_order");
    for newly in [1, 8, 64] {
        group.throughput(Throughput::Elements(newly));
        for flight in [100, 2_000, 20_000, 200_000] {
            let id = BenchmarkId::new(format!("acks_{newly}"), flight);
            group.bench_function(id, |b| {
                let mut flow = Flow::new(flight);
                b.iter(|| {
                    flow.send(newly);
                    assert_eq!(flow.acknowledge(newly), newly);
                });
                black_box(flow.recovery.snapshot());
            });
        }
    }
    group.finish();
}

/// One packet in 64 is lost: 32 ranges in every block, and lost packets remembered in between.
fn with_losses(c: &mut Criterion) {
    let mut group = c.benchmark_group("recovery_ack/one_in_64_lost");
    group.throughput(Throughput::Elements(64));
    for flight in [2_000, 20_000, 200_000] {
        group.bench_function(BenchmarkId::from_parameter(flight), |b| {
            let mut flow = Flow::new(flight);
            b.iter(|| {
                flow.send(64);
                flow.skip();
                flow.acknowledge(63)
            });
            assert!(flow.recovery.snapshot().packets_lost > 0);
        });
    }
    group.finish();
}

/// A block that says nothing new.
fn duplicate(c: &mut Criterion) {
    c.bench_function("recovery_ack/nothing_new", |b| {
        let mut flow = Flow::new(200_000);
        flow.acknowledge(100_000);
        let ranges = flow.ranges.clone();
        b.iter(|| {
            let ranges = ranges.iter().cloned();
            flow.recovery
                .on_ack(flow.now, ranges, Duration::ZERO, None, &mut flow.outcome)
        });
    });
}

/// Nanoseconds for one packet sent and one acknowledgement of one packet, with so many in flight.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn nanos_each(flow: &mut Flow) -> f64 {
    const EACH: u32 = 20_000;
    let begin = Instant::now();
    for _ in 0..EACH {
        flow.send(1);
        assert_eq!(flow.acknowledge(1), 1);
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(EACH)
}

/// The cost with 200,000 packets in flight beside that with 100: the median of pairs that are measured one after the
/// other, so that what else the machine does strikes both. The ring of 4.8 MB lies outside the nearer caches; more than
/// that must not show. (How many slots are looked at is the same to a tenth:
/// `recovery::tests::large::work_follows_what_is_settled_and_not_what_is_in_flight`.)
fn ratio(_: &mut Criterion) {
    const RATIO_MAX: f64 = 2.0;
    let (mut small, mut large) = (Flow::new(100), Flow::new(200_000));
    let mut pairs: Vec<(f64, f64)> = (0..15)
        .map(|_| (nanos_each(&mut small), nanos_each(&mut large)))
        .collect();
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (few, many) = pairs[pairs.len() / 2];
    let ratio = many / few;
    println!(
        "recovery_ack/ratio: {few:.0} ns with 100 in flight, {many:.0} ns with 200,000: {ratio:.2}"
    );
    assert!(ratio <= RATIO_MAX, "{pairs:?}");
}

criterion_group!(benches, ratio, in_order, with_losses, duplicate);
criterion_main!(benches);
