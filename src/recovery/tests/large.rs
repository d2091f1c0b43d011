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
    recovery.skips = Skips::never();
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

/// Slots looked at for `acks` acknowledgements of one packet each, in order, with so many in flight; one packet in
/// `lost` is missing, if any is.
fn visits(flight: usize, acks: u64, lost: Option<u64>) -> (u64, u64) {
    let mut script = Script::with_rtt(50);
    script.send(at(0), flight);
    let before = sent_packets::visits();
    // Newest range first, as a receiver reports them, and no more than 32.
    let mut ranges = vec![0..=0_u64];
    for n in 1..=acks {
        script.send(at(50), 1);
        if lost.is_some_and(|lost| n % lost == 0) {
            ranges.insert(0, n + 1..=n + 1);
            ranges.truncate(32);
            continue;
        }
        ranges[0] = *ranges[0].start()..=n.max(*ranges[0].start());
        script.ack(at(50), &ranges);
    }
    let settled = script.recovery.snapshot();
    let settled = settled.packets_acked + settled.packets_lost;
    (sent_packets::visits() - before, settled)
}

/// Work per acknowledgement is proportional to what it newly settles, never to what is in flight: counted in slots of
/// the ring, so that it holds on every machine.
#[test]
fn work_follows_what_is_settled_and_not_what_is_in_flight() {
    for lost in [None, Some(64)] {
        let [small, large] = [100, 200_000].map(|flight| visits(flight, 10_000, lost));
        println!("{lost:?}: slots looked at and packets settled: {small:?}, {large:?}");
        assert_eq!(small.1, large.1, "the same happens");
        let ratio = large.0 as f64 / small.0 as f64;
        assert!((0.9..=1.1).contains(&ratio), "{ratio}");
        // Each is settled, passed by the cursor and dropped once; each range that is repeated costs a step.
        let ranges = if lost.is_some() { 33 } else { 1 };
        assert!(large.0 <= large.1 * (4 + ranges), "{large:?}");
    }
}
