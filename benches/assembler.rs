//! What a received segment of 1,452 bytes costs, from the packet to the application's buffer.

use std::hint::black_box;
use std::time::Duration;

use aqueduct::stream::Assembler;
use aqueduct::wire::Offset;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const SEGMENT: usize = 1_452;
/// Segments in one offloaded receive call.
const BATCH: usize = 45;
const WINDOW: usize = 256 << 10;

fn in_order(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assembler");
    group.throughput(Throughput::Bytes(1_452));
    let data = [7; SEGMENT];
    let mut buf = [0; SEGMENT];

    let mut assembler = Assembler::new();
    group.bench_function("in_order_segment_insert_and_read", |bencher| {
        bencher.iter(|| {
            let at = assembler.rcv_nxt();
            let limit = at.plus_len(WINDOW);
            assembler
                .insert(at, black_box(&data), limit)
                .expect("within the window");
            assembler.read(black_box(&mut buf))
        });
    });
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assembler");
    group.throughput(Throughput::Bytes(65_340));
    let data = [7; SEGMENT];
    let mut buf = vec![0; 64 << 10];

    let mut assembler = Assembler::new();
    group.bench_function("in_order_batch_of_45_insert_and_read", |bencher| {
        bencher.iter(|| {
            for _ in 0..BATCH {
                let at = assembler.rcv_nxt();
                let limit = at.plus_len(WINDOW);
                assembler
                    .insert(at, black_box(&data), limit)
                    .expect("within the window");
            }
            assembler.read(black_box(&mut buf))
        });
    });

    let mut assembler = Assembler::new();
    group.bench_function("first_of_45_comes_last", |bencher| {
        bencher.iter(|| {
            let start = assembler.rcv_nxt();
            let limit = start.plus_len(WINDOW);
            for index in (1..BATCH).chain([0]) {
                let at = start.plus_len(index * SEGMENT);
                assembler
                    .insert(at, black_box(&data), limit)
                    .expect("within the window");
            }
            assembler.read(black_box(&mut buf))
        });
    });
    group.finish();
}

/// A hostile peer: single bytes, each behind a gap, in the order that moves the most ranges.
fn scattered_bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assembler");
    group.throughput(Throughput::Elements(1_000));
    let limit = Offset::new(256 << 10);
    group.bench_function("thousand_bytes_in_order", |bencher| {
        bencher.iter_batched_ref(
            Assembler::new,
            |assembler| {
                for at in 0..1_000 {
                    assembler
                        .insert(Offset::new(at), b"x", limit)
                        .expect("within the window");
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("thousand_bytes_each_behind_a_gap", |bencher| {
        bencher.iter_batched_ref(
            Assembler::new,
            |assembler| {
                for index in 0..1_000 {
                    // 617 has no factor in common with 1,000: every place once, in scattered order.
                    let at = 1 + 2 * (index * 617 % 1_000);
                    assembler
                        .insert(Offset::new(at), b"x", limit)
                        .expect("within the window");
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = in_order, batches, scattered_bytes
}
criterion_main!(benches);
