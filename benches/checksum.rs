//! What the checksum costs for datagrams of the sizes that occur.

use std::hint::black_box;

use aqueduct::wire::integrity;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// An ACK, the base size, Ethernet over IPv4, a jumbo frame, the ceiling.
const SIZES: [usize; 5] = [60, 1_200, 1_472, 8_972, 65_507];

fn checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for size in SIZES {
        let mut datagram = vec![0xa5; size];
        let sum = integrity::checksum(&datagram);
        datagram[4..8].copy_from_slice(&sum.to_be_bytes());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} bytes"), |b| {
            b.iter(|| assert!(integrity::is_intact(black_box(&datagram))));
        });
    }
    group.finish();
}

criterion_group!(benches, checksum);
criterion_main!(benches);
