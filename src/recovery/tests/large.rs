//! The end of ten terabytes through one connection, in packets of the largest size: no counter runs over, and
//! what is measured there is as right as at the beginning.

use super::*;

/// Bytes of a datagram: a few hundred at a time, as on a path of 10 Gbit/s.
const SIZE: u16 = 65_000;
/// Packets in a flight, each acknowledged a round trip after it left.
const FLIGHT: u64 = 40;
/// What went through in all at the end, and before the test began.
const TOTAL: u64 = 10_000_000_000_000;
const BEFORE: u64 = 9_700_000_000_000;

#[test]
fn ten_terabytes_are_counted_like_ten_bytes() {
    let mut recovery = Recovery::new(number(0), Congestion::NewReno, Setup::new(SIZE));
    recovery.skips = Skips::new(0, number(u64::MAX), 0);
    recovery.on_handshake_rtt(ms(2));
    recovery.delivery.on_delivered(at(0), BEFORE);
    let mut outcome = Outcome::default();
    let (mut now, mut sent, mut next_data) = (at(0), BEFORE, BEFORE);
    while sent < TOTAL {
        let first = recovery.next_number();
        for _ in 0..FLIGHT {
            let start = Offset::new(next_data);
            next_data += 64_900;
            let contents = Contents {
                data: start..start.plus(64_900),
                ..Contents::default()
            };
            let packet = SentPacket {
                number: recovery.next_number(),
                size: SIZE,
                imm: false,
                contents,
            };
            recovery.on_sent(now, packet, false);
            sent += u64::from(SIZE);
        }
        recovery.on_drained(now, Limit::Cwnd);
        now += ms(2);
        let last = recovery.next_number().prev();
        outcome.acked.clear();
        // The second of each flight of a thousand is lost, and arrives late.
        let ranges = if first.get() / FLIGHT % 1_000 == 0 {
            vec![first.plus(2)..=last, first..=first]
        } else {
            vec![first..=last]
        };
        let ack = |ranges: Vec<_>, recovery: &mut Recovery, outcome: &mut Outcome| {
            recovery
                .on_ack(now, ranges.into_iter(), Duration::ZERO, None, outcome)
                .unwrap();
        };
        ack(ranges, &mut recovery, &mut outcome);
        ack(vec![first..=last], &mut recovery, &mut outcome);
        outcome.lost.clear();
    }
    let snapshot = recovery.snapshot();
    let flights = (sent - BEFORE) / (FLIGHT * u64::from(SIZE));
    assert!(sent >= TOTAL && recovery.delivery.delivered() == sent);
    assert_eq!(snapshot.packets_sent, flights * FLIGHT);
    // The first late arrival was thought lost; from then on the path is known to change the order.
    assert_eq!(snapshot.packets_lost, 1);
    assert_eq!(snapshot.packets_spurious, snapshot.packets_lost);
    assert_eq!(snapshot.bytes_spurious, snapshot.packets_lost * 65_000);
    assert_eq!(
        (snapshot.bytes_in_flight, snapshot.packets_in_flight),
        (0, 0)
    );
    // Each flight of 2.6 MB takes 2 ms.
    assert_eq!(snapshot.delivery_rate, Some(1_300_000_000));
    assert_eq!(snapshot.srtt, Some(ms(2)));
    println!("{flights} flights, {snapshot:?}");
}
