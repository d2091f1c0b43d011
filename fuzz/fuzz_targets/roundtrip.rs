//! What can be read can be written, and what is written says the same.

#![no_main]

use std::ops::RangeInclusive;

use aqueduct::limits::ACK_RANGES_ENCODE_MAX;
use aqueduct::wire::{
    self, AckFields, Body, Options, Packet, PacketBuilder, PacketNumber, PathMessage, ProbeKind,
    integrity,
};
use libfuzzer_sys::fuzz_target;

/// What a packet acknowledges.
type Acknowledged = Option<(AckFields, Vec<RangeInclusive<PacketNumber>>)>;

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = wire::decode(bytes) else {
        return;
    };
    let Some(acknowledged) = acknowledged(&packet) else {
        return;
    };
    let mut buffer = vec![0xee; bytes.len() + 2_048];
    let len = write(&mut buffer, &packet, &acknowledged);
    let written = &buffer[..len];
    assert!(integrity::is_intact(written));
    let again = wire::decode(written).expect("what is written can be read");

    let known = Options {
        unknown_critical: false,
        ..packet.options
    };
    assert_eq!(again.options, known);
    assert_eq!(
        (again.dcid, again.pn, again.flags, &again.body),
        (packet.dcid, packet.pn, packet.flags, &packet.body)
    );
    assert_eq!(
        self::acknowledged(&again).expect("valid as before"),
        acknowledged.map(|(fields, mut ranges)| {
            ranges.truncate(ACK_RANGES_ENCODE_MAX + 1);
            (fields, ranges)
        })
    );
});

/// `None` if a packet names numbers that nobody can have sent.
fn acknowledged(packet: &Packet<'_>) -> Option<Acknowledged> {
    let Some(ack) = packet.ack else {
        return Some(None);
    };
    let largest_sent = PacketNumber::new(1 << 40);
    let ranges = ack.expand(largest_sent, PacketNumber::new(1)).ok()?;
    Some(Some((ack.fields, ranges.iter().collect())))
}

fn write(buffer: &mut [u8], packet: &Packet<'_>, acknowledged: &Acknowledged) -> usize {
    let mut builder = PacketBuilder::new(buffer, packet.kind(), packet.dcid, packet.pn);
    builder.flags(packet.flags);
    let mut payload: &[u8] = &[];
    match &packet.body {
        Body::Syn(opening) | Body::SynAck(opening) => builder.opening(opening),
        Body::Data(data) => {
            builder.offset(data.offset.get());
            builder.aux(data.tracked);
            payload = data.payload;
        }
        Body::Ack { number } => builder.offset(*number),
        Body::Dgram { id, payload: bytes } => {
            builder.offset(*id);
            payload = bytes;
        }
        Body::Rst { code, highest } => {
            builder.aux(code.get());
            builder.offset(highest.get());
        }
        Body::Probe(ProbeKind::Liveness) | Body::Unknown => {}
        Body::Probe(ProbeKind::Mtu) => builder.aux(1),
        Body::Path(PathMessage::Challenge(nonce)) => builder.offset(*nonce),
        Body::Path(PathMessage::Response(nonce)) => {
            builder.aux(1);
            builder.offset(*nonce);
        }
        Body::Versions(versions) => payload = versions,
    }
    if let Some((fields, ranges)) = acknowledged {
        builder.ack(fields, ranges.iter().cloned(), 0);
    }
    builder.options(&packet.options);
    builder.payload(payload);
    builder.finish()
}
