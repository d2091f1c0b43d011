//! The ring of sent packets alone: what one packet costs from sending to acknowledgement.

use std::hint::black_box;

use aqueduct::recovery::{Contents, SentPacket, SentPackets, Snapshot};
use aqueduct::time::Time;
use aqueduct::wire::{Offset, PacketNumber};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Packets that one acknowledgement settles.
const BATCH: u64 = 64;

fn packet(number: PacketNumber) -> SentPacket {
    let start = Offset::new(number.get() * 1_400);
    SentPacket {
        number,
        size: 1_432,
        imm: false,
        contents: Contents {
            data: start..start.plus(1_400),
            ..Contents::default()
        },
    }
}

fn send(sent: &mut SentPackets, now: &mut u64, count: u64) {
    for _ in 0..count {
        *now += 1_000;
        let snapshot = Snapshot {
            sent_at: Time::from_nanos(*now),
            ..Snapshot::default()
        };
        sent.push(&packet(sent.next_number()), &snapshot);
    }
}

/// Sends a batch and acknowledges the oldest, with a fixed number in flight.
fn push_and_acknowledge(c: &mut Criterion) {
    let mut group = c.benchmark_group("sent_packets/push_and_acknowledge");
    group.throughput(Throughput::Elements(BATCH));
    for flight in [BATCH, 2_000, 20_000, 200_000] {
        group.bench_function(BenchmarkId::from_parameter(flight), |b| {
            let (first, mut now) = (PacketNumber::new(0), 0);
            let mut sent = SentPackets::new(first);
            send(&mut sent, &mut now, flight);
            b.iter(|| {
                send(&mut sent, &mut now, BATCH);
                // Everything so far, as a receiver that lost nothing says it.
                let newest = sent.oldest_tracked().plus(BATCH - 1);
                let mut bytes = 0;
                sent.acknowledge(first..=newest, |_, packet| bytes += u64::from(packet.size));
                black_box(bytes)
            });
            assert_eq!(sent.next_number().since(sent.oldest_tracked()), flight);
        });
    }
    group.finish();
}

/// A range that was settled before, repeated while an old packet is still missing.
fn repeat(c: &mut Criterion) {
    let mut group = c.benchmark_group("sent_packets/repeated_range");
    for span in [2_000, 200_000] {
        group.bench_function(BenchmarkId::from_parameter(span), |b| {
            let mut now = 0;
            let mut sent = SentPackets::new(PacketNumber::new(0));
            send(&mut sent, &mut now, span);
            let range = PacketNumber::new(1)..=PacketNumber::new(span - 1);
            b.iter(|| {
                let mut found = 0_u64;
                sent.acknowledge(range.clone(), |_, _| found += 1);
                black_box(found)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, push_and_acknowledge, repeat);
criterion_main!(benches);
