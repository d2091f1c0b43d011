//! What a sent segment of 1,452 bytes costs, from the application's write to its acknowledgement.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use aqueduct::stream::SendBuffer;
use aqueduct::wire::Offset;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const SEGMENT: usize = 1_452;
const WRITE: usize = 64 << 10;

/// Sends and copies out one segment, as the packet builder does.
fn send(buffer: &mut SendBuffer, packet: &mut [u8; SEGMENT]) -> Option<(Offset, Offset)> {
    let range = buffer.take_new(SEGMENT, Offset::MAX)?;
    let sent = (range.start, range.end);
    copy_out(buffer, range, packet);
    Some(sent)
}

fn copy_out(buffer: &SendBuffer, range: Range<Offset>, packet: &mut [u8; SEGMENT]) {
    let mut at = 0;
    for piece in buffer.pieces(range) {
        packet[at..at + piece.len()].copy_from_slice(piece);
        at += piece.len();
    }
}

fn transfer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send_buffer");
    group.throughput(Throughput::Bytes(65_536));
    let data = vec![7; WRITE];
    let mut packet = [0; SEGMENT];
    let mut sent = Vec::with_capacity(64);

    let mut buffer = SendBuffer::new(1 << 20);
    group.bench_function("write_64k_send_and_ack_46_segments", |bencher| {
        bencher.iter(|| {
            buffer.write(black_box(&data));
            sent.clear();
            sent.extend(std::iter::from_fn(|| {
                send(&mut buffer, black_box(&mut packet))
            }));
            for &(start, end) in &sent {
                buffer.on_acked(start..end);
            }
        });
    });

    let mut buffer = SendBuffer::new(1 << 20);
    while buffer.write(&data) > 0 {}
    group.bench_function(
        "write_64k_send_and_ack_46_segments_with_full_buffer",
        |bencher| {
            bencher.iter(|| {
                sent.clear();
                let to = buffer.snd_nxt().plus_len(WRITE);
                while let Some(range) =
                    buffer.take_new(SEGMENT.min(to.len_since(buffer.snd_nxt())), to)
                {
                    sent.push((range.start, range.end));
                    copy_out(&buffer, range, &mut packet);
                }
                for &(start, end) in &sent {
                    buffer.on_acked(start..end);
                }
                buffer.write(black_box(&data))
            });
        },
    );

    let mut buffer = SendBuffer::new(1 << 20);
    group.bench_function("every_tenth_segment_lost_and_repeated", |bencher| {
        bencher.iter(|| {
            buffer.write(black_box(&data));
            sent.clear();
            sent.extend(std::iter::from_fn(|| {
                send(&mut buffer, black_box(&mut packet))
            }));
            for (index, &(start, end)) in sent.iter().enumerate() {
                if index % 10 == 0 {
                    buffer.on_lost(start..end);
                } else {
                    buffer.on_acked(start..end);
                }
            }
            while let Some(range) = buffer.take_lost(SEGMENT) {
                buffer.on_acked(range);
            }
        });
    });
    group.finish();
}

/// A long fat path: the cost of a segment must not depend on how many are in flight.
fn many_in_flight(criterion: &mut Criterion) {
    const SEGMENTS: usize = 200_000;
    const SMALL: usize = 64;
    let mut group = criterion.benchmark_group("send_buffer");
    group.throughput(Throughput::Elements(200_000));
    group.sample_size(10);
    let data = vec![7; SEGMENTS * SMALL];
    let mut buffer = SendBuffer::new(SEGMENTS * SMALL);
    let mut sent = Vec::with_capacity(SEGMENTS);
    group.bench_function("every_second_of_200_000_segments_lost", |bencher| {
        bencher.iter(|| {
            buffer.write(&data);
            sent.clear();
            sent.extend(std::iter::from_fn(|| buffer.take_new(SMALL, Offset::MAX)));
            for pair in sent.chunks_exact(2) {
                buffer.on_lost(pair[0].clone());
                buffer.on_acked(pair[1].clone());
            }
            while let Some(range) = buffer.take_lost(SMALL) {
                buffer.on_acked(range);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = transfer, many_in_flight
}
criterion_main!(benches);
