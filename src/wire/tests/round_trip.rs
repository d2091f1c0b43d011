//! Whatever a packet says, its reader is told the same.

use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;

use super::samples::{cid, number};
use crate::error::ResetCode;
use crate::wire::*;

/// A packet as its sender means it.
#[derive(Clone, Debug)]
struct Meant {
    kind: Kind,
    dcid: ConnectionId,
    pn: PacketNumber,
    flags: Flags,
    reserved_bit: bool,
    aux: u16,
    offset: u64,
    opening: Opening,
    ack: Option<(AckFields, Vec<RangeInclusive<PacketNumber>>)>,
    options: MeantOptions,
    payload: Vec<u8>,
    padding: usize,
}

/// Options that own what they say.
#[derive(Clone, Debug)]
struct MeantOptions {
    cookie: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
    max_ack_delay: Option<Duration>,
    idle_timeout: Option<Duration>,
    dgram_max: Option<u16>,
    features: Option<u32>,
    incarnation: Option<u64>,
    grease: bool,
}

impl MeantOptions {
    fn borrowed(&self) -> Options<'_> {
        Options {
            cookie: self.cookie.as_deref(),
            token: self.token.as_deref(),
            max_ack_delay: self.max_ack_delay,
            idle_timeout: self.idle_timeout,
            dgram_max: self.dgram_max,
            features: self.features,
            incarnation: self.incarnation,
            unknown_critical: false,
            grease: self.grease,
        }
    }
}

impl Meant {
    fn is_opening(&self) -> bool {
        matches!(self.kind, Kind::Syn | Kind::SynAck)
    }

    fn dcid(&self) -> Option<ConnectionId> {
        (self.kind != Kind::Syn).then_some(self.dcid)
    }

    /// Takes away what a packet of this kind cannot say.
    fn possible(mut self) -> Self {
        let is_data = self.kind == Kind::Data;
        self.flags.fin &= is_data;
        self.flags.push &= is_data;
        let has_payload = matches!(
            self.kind,
            Kind::Syn | Kind::Data | Kind::Dgram | Kind::Versions
        );
        if !has_payload {
            self.payload.clear();
        }
        if !self.kind.is_numbered() && self.kind != Kind::Ack {
            self.ack = None;
        }
        if matches!(self.kind, Kind::Probe | Kind::Path) {
            self.aux %= 2;
        }
        self
    }

    fn write(&self, buffer: &mut [u8]) -> usize {
        let mut packet = PacketBuilder::new(buffer, self.kind, self.dcid(), self.pn);
        packet.flags(self.flags);
        packet.reserved_bit(self.reserved_bit);
        packet.aux(self.aux);
        packet.offset(self.offset);
        if self.is_opening() {
            packet.opening(&self.opening);
        }
        if let Some((fields, ranges)) = &self.ack {
            packet.ack(fields, ranges.iter().cloned(), 0);
        }
        packet.options(&self.options.borrowed());
        let (head, tail) = self.payload.split_at(self.payload.len() / 3);
        packet.payload(head);
        packet.payload(tail);
        packet.pad_to(self.padding);
        packet.finish()
    }

    fn body(&self) -> Body<'_> {
        let payload = &self.payload[..];
        match self.kind {
            Kind::Syn => Body::Syn(self.opening),
            Kind::SynAck => Body::SynAck(self.opening),
            Kind::Data => Body::Data(Data {
                offset: Offset::new(self.offset),
                payload,
                tracked: self.aux,
            }),
            Kind::Ack => Body::Ack {
                number: self.offset,
            },
            Kind::Dgram => Body::Dgram {
                id: self.offset,
                payload,
            },
            Kind::Rst => Body::Rst {
                code: ResetCode::new(self.aux),
                highest: Offset::new(self.offset),
            },
            Kind::Probe if self.aux == 0 => Body::Probe(ProbeKind::Liveness),
            Kind::Probe => Body::Probe(ProbeKind::Mtu),
            Kind::Path if self.aux == 0 => Body::Path(PathMessage::Challenge(self.offset)),
            Kind::Path => Body::Path(PathMessage::Response(self.offset)),
            Kind::Unknown => Body::Unknown,
            Kind::Versions => Body::Versions(payload),
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Syn),
        Just(Kind::SynAck),
        Just(Kind::Data),
        Just(Kind::Ack),
        Just(Kind::Dgram),
        Just(Kind::Rst),
        Just(Kind::Probe),
        Just(Kind::Path),
        Just(Kind::Unknown),
        Just(Kind::Versions),
    ]
}

fn flags() -> impl Strategy<Value = Flags> {
    any::<[bool; 4]>().prop_map(|[fin, imm, push, retransmitted]| Flags {
        fin,
        imm,
        push,
        retransmitted,
    })
}

fn opening() -> impl Strategy<Value = Opening> {
    any::<(u64, u16, u32, u32, u64)>().prop_map(|(bits, max_datagram, window, clock, service)| {
        Opening {
            cid: cid(bits | 1),
            max_datagram,
            window: Window::new(window),
            clock,
            service,
        }
    })
}

fn fields() -> impl Strategy<Value = AckFields> {
    let ecn = option::of(any::<(u32, u32, u32)>());
    (any::<(u16, bool, u64, u32, u32)>(), ecn).prop_map(|(fixed, ecn)| {
        let (delay, dropped, ack_offset, window, unread) = fixed;
        AckFields {
            delay: Duration::from_micros(u64::from(delay) * 8),
            dropped,
            ack_offset: Offset::new(ack_offset.max(unread.into())),
            window: Window::new(window),
            unread,
            ecn: ecn.map(|(ect0, ect1, ce)| EcnCounts { ect0, ect1, ce }),
        }
    })
}

/// Up to 33 ranges, highest first.
fn ranges() -> impl Strategy<Value = Vec<RangeInclusive<PacketNumber>>> {
    let steps = proptest::collection::vec((0u64..9, 0u64..9), 1..33);
    (1_000u64..1 << 50, steps).prop_map(|(mut end, steps)| {
        let mut ranges = Vec::new();
        for (len, gap) in steps {
            ranges.push(number(end - len)..=number(end));
            end -= len + gap + 2;
        }
        ranges
    })
}

fn options() -> impl Strategy<Value = MeantOptions> {
    let opaque = || option::of(proptest::collection::vec(any::<u8>(), 0..=112));
    let numbers = any::<(
        Option<u32>,
        Option<u32>,
        Option<u16>,
        Option<u32>,
        Option<u64>,
    )>();
    (opaque(), opaque(), numbers, any::<bool>()).prop_map(|(cookie, token, numbers, grease)| {
        MeantOptions {
            cookie,
            token,
            max_ack_delay: numbers.0.map(|micros| Duration::from_micros(micros.into())),
            idle_timeout: numbers.1.map(|millis| Duration::from_millis(millis.into())),
            dgram_max: numbers.2,
            features: numbers.3,
            incarnation: numbers.4,
            grease,
        }
    })
}

fn meant() -> impl Strategy<Value = Meant> {
    let header = (kind(), any::<(u64, u64, bool, u16, u64)>(), flags());
    let payload = proptest::collection::vec(any::<u8>(), 0..600);
    let ack = (any::<bool>(), fields(), ranges());
    let parts = (header, opening(), ack, options(), payload, 0..1_500usize);
    parts.prop_map(|(header, opening, ack, options, payload, padding)| {
        let (kind, (dcid, pn, reserved_bit, aux, offset), flags) = header;
        let has_ack = ack.0 || kind == Kind::Ack;
        let meant = Meant {
            kind,
            dcid: cid(dcid | 1),
            pn: number(pn | 1),
            flags,
            reserved_bit,
            aux,
            offset,
            opening,
            ack: has_ack.then_some((ack.1, ack.2)),
            options,
            payload,
            padding,
        };
        meant.possible()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_packet_says_what_its_sender_meant(meant in meant()) {
        let mut buffer = [0xee; 1_500];
        let len = meant.write(&mut buffer);
        let datagram = &buffer[..len];
        prop_assert!(integrity::is_intact(datagram));
        prop_assert!(len >= meant.padding);

        let packet = decode(datagram).expect("what is written can be read");
        prop_assert_eq!(packet.kind(), meant.kind);
        prop_assert_eq!(packet.dcid, meant.dcid());
        prop_assert_eq!(packet.pn, meant.pn.truncate());
        prop_assert_eq!(packet.flags, meant.flags);
        // The unknown option is there only to be skipped.
        let options = Options { grease: false, ..meant.options.borrowed() };
        prop_assert_eq!(packet.options, options);
        prop_assert_eq!(&packet.body, &meant.body());
        let glance = glance(datagram).expect("a packet");
        prop_assert_eq!((glance.kind, glance.dcid), (packet.kind(), packet.dcid));

        prop_assert_eq!(packet.ack.map(|ack| ack.fields), meant.ack.as_ref().map(|ack| ack.0));
        if let (Some(ack), Some((_, ranges))) = (packet.ack, &meant.ack) {
            let expanded = ack.expand(ranges[0].end().plus(77), number(1)).expect("valid");
            prop_assert!(expanded.iter().eq(ranges.iter().cloned()));
        }
    }

    /// Random bytes behind a header that is nearly right reach deeper than wholly random ones.
    #[test]
    fn no_bytes_can_harm_the_reader(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        kind in 0u8..16,
        words in 8u8..40,
    ) {
        let _ = (glance(&bytes), decode(&bytes), quoted(&bytes));
        prop_assert!(!integrity::is_intact(&bytes));
        if bytes.len() >= 32 {
            bytes[0] = 0x10 | kind;
            bytes[2..4].fill(0);
            (bytes[20], bytes[21]) = (words, 0);
            bytes.truncate((usize::from(words) * 4).max(32));
            let _ = (glance(&bytes), decode(&bytes), quoted(&bytes));
        }
    }
}

/// Mistakes of a caller do not get onto the wire.
mod misuse {
    use super::super::samples::{CLIENT, fields, packet, range};
    use super::*;

    #[test]
    #[should_panic(expected = "an ACK block has a range")]
    fn a_block_without_ranges() {
        packet(Kind::Ack, CLIENT, 1, |p| {
            p.ack(&fields(), std::iter::empty(), 0)
        });
    }

    #[test]
    #[should_panic(expected = "at most 112 bytes")]
    fn a_cookie_that_is_too_long() {
        let options = Options {
            cookie: Some(&[0; 113]),
            ..Options::default()
        };
        packet(Kind::Probe, CLIENT, 1, |p| p.options(&options));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "this kind has no payload")]
    fn a_payload_where_none_belongs() {
        packet(Kind::Ack, CLIENT, 1, |p| p.payload(b"x"));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "an ACK has an ACK block")]
    fn an_ack_of_nothing_at_all() {
        packet(Kind::Ack, CLIENT, 1, |_| {});
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "SYN and SYNACK have an opening")]
    fn a_syn_without_an_opening() {
        packet(Kind::Syn, 0, 1, |_| {});
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "no header behind a payload")]
    fn options_behind_the_payload() {
        packet(Kind::Data, CLIENT, 1, |p| {
            p.payload(b"x");
            p.ack(&fields(), [range(1, 1)].into_iter(), 0);
        });
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "with a gap between any two")]
    fn ranges_that_touch() {
        let ranges = [range(5, 9), range(2, 4)];
        packet(Kind::Ack, CLIENT, 1, |p| {
            p.ack(&fields(), ranges.into_iter(), 0)
        });
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "every packet but a SYN")]
    fn a_packet_for_nobody() {
        packet(Kind::Probe, 0, 1, |_| {});
    }
}
