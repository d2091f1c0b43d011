//! What the pacer adds to each packet.

use std::hint::black_box;

use aqueduct::recovery::Pacer;
use aqueduct::time::Time;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MTU: u16 = 1_472;

/// Sends everything that may leave at `now`; how many packets, and when the next may.
fn burst(pacer: &mut Pacer, now: Time) -> (u64, Time) {
    let mut packets = 0;
    loop {
        if let Some(at) = pacer.ready_at(now, MTU, u64::MAX) {
            return (packets, at);
        }
        pacer.on_sent(now, MTU, false);
        packets += 1;
    }
}

fn quantum(c: &mut Criterion) {
    let mut pacer = Pacer::new(MTU);
    pacer.set_rate(Time::ZERO, 125_000_000);
    let (_, mut next) = burst(&mut pacer, Time::ZERO);
    let mut group = c.benchmark_group("pacer");
    group.throughput(Throughput::Elements(pacer.quantum() / u64::from(MTU)));
    group.bench_function("one_quantum", |b| {
        b.iter(|| {
            let (packets, at) = burst(&mut pacer, next);
            next = at;
            black_box(packets)
        });
    });
    group.finish();
}

criterion_group!(benches, quantum);
criterion_main!(benches);
