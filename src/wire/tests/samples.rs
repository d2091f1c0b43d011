//! Datagrams of every kind, for the tests beside this file: the same bytes at every run.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::wire::*;

/// The id that the client of the samples chose.
pub(super) const CLIENT: u64 = 0xc11e_0000_0000_0001;
/// The id that their server chose.
pub(super) const SERVER: u64 = 0x5e17_0000_0000_0002;
/// The client's first packet number.
pub(super) const CLIENT_FIRST: u64 = 1_000;
/// The server's.
pub(super) const SERVER_FIRST: u64 = 2_000;

pub(super) fn cid(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

pub(super) fn number(number: u64) -> PacketNumber {
    PacketNumber::new(number)
}

pub(super) fn range(from: u64, to: u64) -> RangeInclusive<PacketNumber> {
    number(from)..=number(to)
}

/// Writes one packet of this kind; `fill` adds what it carries.
pub(super) fn packet(
    kind: Kind,
    dcid: u64,
    pn: u64,
    fill: impl FnOnce(&mut PacketBuilder<'_>),
) -> Vec<u8> {
    // Stale bytes must not get into the datagram.
    let mut buffer = [0xee; 1_500];
    let mut packet = PacketBuilder::new(&mut buffer, kind, ConnectionId::new(dcid), number(pn));
    fill(&mut packet);
    let len = packet.finish();
    buffer[..len].to_vec()
}

pub(super) fn opening(cid: u64) -> Opening {
    Opening {
        cid: self::cid(cid),
        max_datagram: 1_472,
        window: Window::new(262_144),
        clock: 0x0102_0304,
        service: 0,
    }
}

pub(super) fn fields() -> AckFields {
    AckFields {
        delay: Duration::from_micros(400),
        dropped: false,
        ack_offset: Offset::new(70_000),
        window: Window::new(262_144),
        unread: 1_400,
        ecn: None,
    }
}

/// One datagram of each kind, in the order of the types: the worked examples of docs/WIRE.md.
pub(super) fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = handshake_examples();
    all.extend(other_examples());
    all
}

fn handshake_examples() -> Vec<(&'static str, Vec<u8>)> {
    let nothing = AckFields {
        ack_offset: Offset::ZERO,
        unread: 0,
        ..fields()
    };
    vec![
        (
            "SYN",
            packet(Kind::Syn, 0, CLIENT_FIRST, |p| {
                p.opening(&opening(CLIENT));
                p.options(&Options {
                    max_ack_delay: Some(Duration::from_millis(8)),
                    incarnation: Some(0x1122_3344_5566_7788),
                    grease: true,
                    ..Options::default()
                });
            }),
        ),
        (
            "SYNACK",
            packet(Kind::SynAck, CLIENT, SERVER_FIRST, |p| {
                p.opening(&opening(SERVER));
                p.options(&Options {
                    cookie: Some(b"0123456789abcdef"),
                    ..Options::default()
                });
            }),
        ),
        (
            "DATA",
            packet(Kind::Data, SERVER, CLIENT_FIRST, |p| {
                p.flags(Flags {
                    imm: true,
                    push: true,
                    ..Flags::default()
                });
                p.ack(&nothing, [range(1_999, 1_999)].into_iter(), 0);
                p.options(&Options {
                    cookie: Some(b"0123456789abcdef"),
                    ..Options::default()
                });
                p.payload(b"hello");
            }),
        ),
    ]
}

fn other_examples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "ACK",
            packet(Kind::Ack, SERVER, 1_050, |p| {
                let ecn = Some(EcnCounts {
                    ect0: 90,
                    ect1: 0,
                    ce: 2,
                });
                p.offset(17);
                let ranges = [
                    range(2_090, 2_099),
                    range(2_080, 2_080),
                    range(1_999, 2_078),
                ];
                let fields = AckFields { ecn, ..fields() };
                p.ack(&fields, ranges.into_iter(), 0);
            }),
        ),
        (
            "DGRAM",
            packet(Kind::Dgram, CLIENT, 2_100, |p| {
                p.offset(3);
                p.payload(&[0xca, 0xfe]);
            }),
        ),
        (
            "RST",
            packet(Kind::Rst, CLIENT, 2_101, |p| {
                p.aux(2);
                p.offset(70_000);
            }),
        ),
        (
            "PROBE",
            packet(Kind::Probe, SERVER, 1_051, |p| {
                p.flags(Flags {
                    imm: true,
                    ..Flags::default()
                });
                p.aux(1);
                p.pad_to(48);
            }),
        ),
        (
            "PATH",
            packet(Kind::Path, SERVER, 1_052, |p| {
                p.aux(1);
                p.offset(0xdead_beef_0bad_cafe);
            }),
        ),
        ("UNKNOWN", packet(Kind::Unknown, SERVER, 1_053, |_| {})),
        (
            "VERSIONS",
            packet(Kind::Versions, CLIENT, CLIENT_FIRST, |p| {
                p.version(2);
                p.payload(&[1]);
            }),
        ),
    ]
}

/// Twenty datagrams that between them use every field, flag and option.
pub(super) fn canonical() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = one_of_each();
    all.extend(handshake_samples());
    all.extend(stream_samples());
    assert_eq!(all.len(), 20);
    all
}

fn handshake_samples() -> Vec<(&'static str, Vec<u8>)> {
    let full = Options {
        token: Some(&[0x70; 112]),
        idle_timeout: Some(Duration::from_secs(30)),
        dgram_max: Some(1_200),
        features: Some(1),
        ..Options::default()
    };
    vec![
        (
            "SYN for a rendezvous with many options and early data",
            packet(Kind::Syn, 0, (1 << 30) - 1, |p| {
                p.reserved_bit(true);
                p.opening(&Opening {
                    service: u64::MAX,
                    ..opening(CLIENT)
                });
                p.options(&full);
                p.payload(b"early");
            }),
        ),
        (
            "SYNACK with the longest cookie",
            packet(Kind::SynAck, CLIENT, 1, |p| {
                p.opening(&opening(SERVER));
                p.options(&Options {
                    cookie: Some(&[0xc0; 112]),
                    ..full
                });
            }),
        ),
        (
            "SYNACK without options",
            packet(Kind::SynAck, CLIENT, 1, |p| p.opening(&opening(SERVER))),
        ),
        (
            "PROBE as third packet",
            packet(Kind::Probe, SERVER, CLIENT_FIRST, |p| {
                p.ack(&fields(), [range(1_999, 1_999)].into_iter(), 0);
                p.options(&Options {
                    cookie: Some(&[0xc0; 112]),
                    ..Options::default()
                });
            }),
        ),
    ]
}

fn stream_samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "DATA with all flags",
            packet(Kind::Data, SERVER, 0xffff_ffff, |p| {
                p.reserved_bit(true);
                p.flags(Flags {
                    fin: true,
                    imm: true,
                    push: true,
                    retransmitted: true,
                });
                p.aux(u16::MAX);
                p.offset(u64::MAX / 2);
                p.payload(&[0x55; 100]);
            }),
        ),
        (
            "DATA with nothing but FIN",
            packet(Kind::Data, SERVER, 7_000, |p| {
                p.flags(Flags {
                    fin: true,
                    ..Flags::default()
                });
                p.offset(12);
            }),
        ),
        (
            "DATA with a full ACK block",
            packet(Kind::Data, SERVER, 7_001, |p| {
                let ranges = (0..40).map(|i| range(9_000 - 10 * i, 9_005 - 10 * i));
                let fields = AckFields {
                    dropped: true,
                    ecn: Some(EcnCounts {
                        ect0: u32::MAX,
                        ect1: 1,
                        ce: 0,
                    }),
                    ..fields()
                };
                p.ack(&fields, ranges, 0);
                p.payload(b"x");
            }),
        ),
        (
            "ACK of nothing",
            packet(Kind::Ack, CLIENT, 2_000, |p| {
                p.offset(1);
                p.ack(&fields(), [range(999, 999)].into_iter(), 0);
            }),
        ),
        (
            "PATH challenge with an ACK block",
            packet(Kind::Path, CLIENT, 2_001, |p| {
                p.offset(5);
                p.ack(&fields(), [range(1_000, 1_030)].into_iter(), 0);
            }),
        ),
        (
            "empty DGRAM, padded",
            packet(Kind::Dgram, CLIENT, 2_002, |p| p.pad_to(64)),
        ),
    ]
}
