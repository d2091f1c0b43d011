use std::time::Duration;

use crate::wire::*;

fn cid(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

#[test]
fn a_syn_says_what_was_put_into_it() {
    let mut buffer = [0xee; 1200];
    let opening = Opening {
        cid: cid(77),
        max_datagram: 1472,
        window: Window::new(1 << 18),
        clock: 5,
        service: 6,
    };
    let options = Options {
        max_ack_delay: Some(Duration::from_millis(8)),
        incarnation: Some(9),
        grease: true,
        ..Options::default()
    };
    let mut packet = PacketBuilder::new(&mut buffer, Kind::Syn, None, PacketNumber::new(3));
    packet.opening(&opening);
    packet.options(&options);
    let len = packet.finish();
    assert_eq!(len, 256);
    let datagram = &buffer[..len];
    assert!(integrity::is_intact(datagram));
    let packet = decode(datagram).expect("a SYN");
    assert_eq!(packet.body, Body::Syn(opening));
    assert_eq!(packet.options.incarnation, Some(9));
    assert_eq!(packet.options.max_ack_delay, options.max_ack_delay);
}

#[test]
fn data_with_an_ack_says_what_was_put_into_it() {
    let mut buffer = [0xee; 1200];
    let mut packet =
        PacketBuilder::new(&mut buffer, Kind::Data, Some(cid(1)), PacketNumber::new(70));
    packet.flags(Flags {
        fin: true,
        push: true,
        ..Flags::default()
    });
    packet.offset(4_000);
    packet.aux(12);
    let fields = AckFields {
        delay: Duration::from_micros(800),
        dropped: true,
        ack_offset: Offset::new(1 << 40),
        window: Window::new(5),
        unread: 4,
        ecn: Some(EcnCounts {
            ect0: 1,
            ect1: 2,
            ce: 3,
        }),
    };
    let number = PacketNumber::new;
    let ranges = [
        number(90)..=number(99),
        number(80)..=number(80),
        number(60)..=number(78),
    ];
    packet.ack(&fields, ranges.clone().into_iter(), 0);
    packet.payload(b"hello ");
    packet.payload(b"world");
    let len = packet.finish();

    let datagram = &buffer[..len];
    assert!(integrity::is_intact(datagram));
    let packet = decode(datagram).expect("DATA");
    let ack = packet.ack.expect("an ACK block");
    assert_eq!(ack.fields, fields);
    let expanded = ack.expand(number(100), number(61)).expect("valid");
    assert!(expanded.iter().eq(ranges));
    assert_eq!(ack.expand(number(100), number(62)), Err(InvalidAck));
    let expected = Data {
        offset: Offset::new(4_000),
        payload: b"hello world",
        tracked: 12,
    };
    assert_eq!(packet.body, Body::Data(expected));
}
