//! What it costs to read and to write a packet, the checksum aside where that can be done.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::Duration;

use aqueduct::wire::{
    self, AckFields, ConnectionId, EcnCounts, Flags, Kind, Offset, PacketBuilder, PacketNumber,
    Window,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The largest datagram of an Ethernet path over IPv4.
const DATAGRAM: usize = 1_472;

/// An ACK block that says much: counters, and as many further ranges as wanted.
struct Ack {
    fields: AckFields,
    ranges: Vec<RangeInclusive<PacketNumber>>,
}

impl Ack {
    fn new(further: u64) -> Self {
        let counts = EcnCounts {
            ect0: 900,
            ect1: 0,
            ce: 3,
        };
        let fields = AckFields {
            delay: Duration::from_micros(250),
            dropped: false,
            ack_offset: Offset::new(1_000_000),
            window: Window::new(1 << 20),
            unread: 2_800,
            ecn: (further > 0).then_some(counts),
        };
        let range = |i| PacketNumber::new(900 - 20 * i)..=PacketNumber::new(910 - 20 * i);
        Ack {
            fields,
            ranges: (0..=further).map(range).collect(),
        }
    }
}

/// Writes DATA; with `payload` as large as the buffer allows, all of it is used.
fn write_data(buffer: &mut [u8], ack: Option<&Ack>, payload: &[u8]) -> usize {
    let dcid = ConnectionId::new(0x0123_4567_89ab_cdef);
    let mut packet = PacketBuilder::new(buffer, Kind::Data, dcid, PacketNumber::new(1_234));
    packet.flags(Flags {
        push: true,
        ..Flags::default()
    });
    packet.aux(40);
    packet.offset(5_000_000);
    if let Some(ack) = ack {
        packet.ack(&ack.fields, ack.ranges.iter().cloned(), 0);
    }
    let len = packet.room().min(payload.len());
    packet.payload(&payload[..len]);
    packet.finish()
}

fn read(c: &mut Criterion) {
    let payload = [0xa5; DATAGRAM];
    let mut group = c.benchmark_group("read");
    let acks = [
        ("data", None),
        ("data+ack", Some(Ack::new(0))),
        ("data+ack+8 ranges+ecn", Some(Ack::new(8))),
    ];
    for (name, ack) in &acks {
        let mut buffer = [0; DATAGRAM];
        let len = write_data(&mut buffer, ack.as_ref(), &payload);
        assert_eq!(len, DATAGRAM);
        group.bench_function(format!("glance {name}"), |b| {
            b.iter(|| black_box(&wire::glance(black_box(&buffer))).is_ok());
        });
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| black_box(&wire::decode(black_box(&buffer))).is_ok());
        });
    }
    let mut buffer = [0; DATAGRAM];
    write_data(&mut buffer, Some(&Ack::new(32)), &payload);
    let packet = wire::decode(&buffer).expect("a packet");
    let block = packet.ack.expect("an ACK block");
    group.bench_function("expand 33 ranges", |b| {
        b.iter(|| {
            let ranges = block.expand(PacketNumber::new(950), PacketNumber::new(1));
            let ranges = ranges.expect("valid");
            ranges
                .iter()
                .map(|r| r.end().since(*r.start()))
                .sum::<u64>()
        });
    });
    group.finish();
}

fn write(c: &mut Criterion) {
    let payload = [0xa5; DATAGRAM];
    let mut buffer = [0; DATAGRAM];
    let mut group = c.benchmark_group("write");
    // With an empty payload the checksum runs over little more than the header.
    for (size, payload) in [("header", &payload[..0]), ("full", &payload[..])] {
        for (name, ack) in [("data", None), ("data+ack", Some(Ack::new(0)))] {
            let len = write_data(&mut buffer, ack.as_ref(), payload);
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(format!("{size} {name}"), |b| {
                b.iter(|| write_data(black_box(&mut buffer), ack.as_ref(), black_box(payload)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, read, write);
criterion_main!(benches);
