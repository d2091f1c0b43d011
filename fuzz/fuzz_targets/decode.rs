//! Any datagram, as it came and as somebody would send it who wants to do harm: with a right checksum.

#![no_main]

use aqueduct::wire::{self, AckBlock, PacketNumber, integrity};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if bytes.len() >= 32 {
        let mut repaired = bytes.to_vec();
        let sum = integrity::checksum(bytes);
        repaired[4..8].copy_from_slice(&sum.to_be_bytes());
        assert!(integrity::is_intact(&repaired));
        read(&repaired);
    }
});

fn read(datagram: &[u8]) {
    let _ = integrity::is_intact(datagram);
    let quoted = wire::quoted(datagram);
    let glance = wire::glance(datagram);
    let packet = match wire::decode(datagram) {
        Ok(packet) => packet,
        Err(error) => {
            // The first look finds nothing that the full one does not.
            assert!(glance.is_ok() || glance == Err(error));
            return;
        }
    };
    let glance = glance.expect("what can be decoded passes the first look");
    assert_eq!((glance.kind, glance.dcid), (packet.kind(), packet.dcid));
    assert_eq!(quoted, Some((packet.kind(), packet.dcid, packet.pn)));
    if let Some(ack) = packet.ack {
        assert!(u64::from(ack.fields.unread) <= ack.fields.ack_offset.get());
        for largest_sent in [0, 1 << 20, 1 << 32, 1 << 40, u64::MAX] {
            walk(&ack, PacketNumber::new(largest_sent));
        }
    }
}

/// Ranges go down, none is empty, none touches the one before.
fn walk(ack: &AckBlock<'_>, largest_sent: PacketNumber) {
    let Ok(ranges) = ack.expand(largest_sent, PacketNumber::new(1)) else {
        return;
    };
    assert_eq!(ranges.largest().truncate(), ack.ack_pn());
    let mut above: Option<PacketNumber> = None;
    for range in ranges.iter() {
        assert!(range.start() <= range.end());
        assert!(above.is_none_or(|above| above.since(*range.end()) >= 2));
        above = Some(*range.start());
    }
}
