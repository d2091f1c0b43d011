//! How the window shrinks, when it comes back, and what is never sent.

use super::*;
use crate::limits::BACKOFF_MAX;

/// A flight of `count` packets at 0 ms, of which a window of that size was full.
fn flight(count: usize) -> Script {
    let mut script = Script::with_rtt(100);
    script.send(at(0), count);
    script
}

#[test]
fn a_spurious_loss_is_undone_and_widens_the_window_of_reordering() {
    let mut script = flight(10);
    script.ack(at(100), &[1..=3]);
    assert_eq!((script.lost(), script.cwnd()), (vec![0], 6_000));
    script.ack(at(120), &[0..=3]);
    assert_eq!(script.cwnd(), 12_000);
    assert_eq!(script.recovery.snapshot().ssthresh, u64::MAX);
    assert_eq!(
        script.recovery.reordering.window(script.recovery.rtt()),
        ms(50)
    );
    // Three places late is no loss any more.
    script.send(at(200), 5);
    script.ack(at(300), &[11..=14, 0..=9]);
    assert_eq!(script.lost(), [0; 0]);
    // Only age makes it one.
    let (due, why) = script.deadline().unwrap();
    assert_eq!(why, Timer::Loss);
    script.timeout(due);
    assert_eq!(script.lost(), [10]);
}

#[test]
fn one_true_loss_beside_a_spurious_one_keeps_the_reduction() {
    let mut script = flight(10);
    script.ack(at(100), &[2..=5]);
    assert_eq!(script.lost(), [0, 1]);
    script.ack(at(120), &[1..=5]);
    assert_eq!(script.cwnd(), 6_000);
    assert_eq!(script.recovery.snapshot().packets_spurious, 1);
}

#[test]
fn persistent_congestion_that_was_none_is_undone() {
    let mut script = Script::with_rtt(100);
    let limit = script.recovery.pto() * 3;
    script.send(at(0), 1);
    script.send(at(0) + limit + ms(1), 1);
    script.send(at(0) + limit + ms(2), 3);
    script.ack(at(100) + limit, &[4..=4]);
    assert_eq!((script.lost(), script.cwnd()), (vec![0, 1], 2_400));
    script.ack(at(150) + limit, &[0..=1, 4..=4]);
    assert_eq!(script.cwnd(), 12_000);
}

#[test]
fn while_the_window_shrinks_the_share_of_what_arrives_leaves() {
    let mut script = flight(100);
    // Packet 0 is lost: half of what arrives may be replaced.
    script.ack(at(100), &[1..=3]);
    assert_eq!(script.lost(), [0]);
    // A hundred are in flight, and six thousand bytes shall be.
    let (target, flight) = (script.cwnd(), 100 * u64::from(MTU));
    let (mut sent, mut delivered) = (0, 3 * u64::from(MTU));
    for newest in 4..95 {
        script.ack(at(100 + newest), &[1..=newest]);
        delivered += u64::from(MTU);
        while script.recovery.cwnd_room() >= u64::from(MTU) {
            script.send(at(100 + newest), 1);
            sent += u64::from(MTU);
        }
        let share = delivered * target / flight;
        assert!(sent <= share + u64::from(MTU), "{sent} sent of {share}");
    }
    assert!(sent >= 4 * u64::from(MTU), "{sent}");
}

#[test]
fn the_flight_is_what_the_window_shall_be_when_all_is_settled() {
    let mut script = flight(10);
    script.ack(at(100), &[1..=3]);
    for newest in 4..=9 {
        while script.recovery.cwnd_room() >= u64::from(MTU) {
            script.send(at(100 + newest), 1);
        }
        script.ack(at(100 + newest), &[1..=newest]);
    }
    while script.recovery.cwnd_room() >= u64::from(MTU) {
        script.send(at(110), 1);
    }
    assert_eq!(script.recovery.snapshot().bytes_in_flight, script.cwnd());
    assert!(script.recovery.reduction.is_none());
}

#[test]
fn after_a_timeout_no_acknowledgement_paces_the_repair() {
    let mut script = flight(10);
    script.timeout(script.deadline().unwrap().0);
    script.send(at(400), 2);
    script.ack(at(500), &[10..=10]);
    assert_eq!(script.lost().len(), 10);
    assert!(script.recovery.reduction.is_none());
    assert_eq!(script.recovery.cwnd_room(), 6_000 - 1_200);
}

/// A recovery that leaves numbers out, with a flight of `count` packets.
fn skipping(count: u64) -> (Recovery, Vec<u64>, Outcome) {
    let mut recovery = Recovery::new(number(0), Congestion::NewReno, Setup::new(MTU));
    recovery.on_handshake_rtt(ms(100));
    let mut sent = Vec::new();
    for _ in 0..count {
        let packet = next_packet(&recovery);
        sent.push(packet.number.get());
        recovery.on_sent(at(0), packet, false);
        recovery.on_drained(at(0), Limit::Cwnd);
    }
    (recovery, sent, Outcome::default())
}

fn take(
    recovery: &mut Recovery,
    now: Time,
    numbers: &[u64],
    out: &mut Outcome,
) -> Result<(), AckOfUnsent> {
    let ranges: Vec<_> = numbers
        .iter()
        .rev()
        .map(|&n| number(n)..=number(n))
        .collect();
    recovery.on_ack(now, ranges.into_iter(), Duration::ZERO, None, out)
}

#[test]
fn a_number_that_was_left_out_is_found_out_whenever_it_is_acknowledged() {
    let (mut recovery, sent, mut out) = skipping(40);
    let left_out: Vec<u64> = (0..*sent.last().unwrap())
        .filter(|n| !sent.contains(n))
        .collect();
    assert_eq!(left_out.len(), 1, "one, until it is settled: {left_out:?}");
    assert!((5..=21).contains(&left_out[0]));
    let before = recovery.snapshot();
    let all = number(0)..=number(*sent.last().unwrap());
    let lie = recovery.on_ack(at(50), [all].into_iter(), Duration::ZERO, None, &mut out);
    assert_eq!(lie, Err(AckOfUnsent));
    assert_eq!(recovery.snapshot(), before);
    assert!(!recovery.is_outstanding(number(left_out[0])));
    take(&mut recovery, at(100), &sent, &mut out).unwrap();
    let snapshot = recovery.snapshot();
    assert_eq!((snapshot.packets_acked, snapshot.packets_lost), (40, 0));
    assert_eq!(
        (snapshot.packets_in_flight, snapshot.bytes_in_flight),
        (0, 0)
    );
    assert_eq!(recovery.deadline(), None);
}

#[test]
fn a_number_that_was_left_out_is_no_packet_that_overtook_another() {
    let (mut recovery, sent, mut out) = skipping(40);
    let gap = sent
        .windows(2)
        .position(|pair| pair[1] > pair[0] + 1)
        .unwrap();
    // The packet before the gap is overtaken by two packets, which are three numbers ahead.
    let arrived: Vec<u64> = sent[..=gap + 2]
        .iter()
        .copied()
        .filter(|&n| n != sent[gap])
        .collect();
    take(&mut recovery, at(100), &arrived, &mut out).unwrap();
    assert_eq!(out.lost, []);
    take(&mut recovery, at(100), &[sent[gap + 3]], &mut out).unwrap();
    assert_eq!(out.lost.len(), 1);
}

#[test]
fn a_tenth_of_a_millisecond_of_lateness_is_no_loss_on_a_path_of_ten_microseconds() {
    let mut script = Script::new();
    script.recovery.on_handshake_rtt(Duration::from_micros(10));
    script.send(Time::ZERO, 4);
    script.ack(Time::from_micros(10), &[1..=2]);
    script.timeout(Time::from_micros(110));
    assert_eq!(script.lost(), [0; 0]);
    script.ack(Time::from_micros(120), &[0..=2]);
    assert_eq!(script.recovery.snapshot().packets_lost, 0);
}

#[test]
fn a_probe_timeout_never_overflows_however_long_the_path_is() {
    let mut script = Script::new();
    script
        .recovery
        .on_handshake_rtt(Duration::from_secs(8 * 7 * 86_400));
    script.send(Time::ZERO, 1);
    for _ in 0..100 {
        let (due, _) = script.deadline().unwrap();
        script.timeout(due);
    }
    assert!(script.recovery.pto() > BACKOFF_MAX);
}

#[test]
fn something_in_flight_has_a_deadline_after_every_turn_of_losing_and_moving() {
    let mut script = flight(10);
    script.ack(at(100), &[9..=9]);
    assert!(script.deadline().is_some());
    script.send(at(100), 2);
    script.recovery.on_new_path(MTU);
    assert!(script.deadline().is_some());
    script.send(at(110), 1);
    let (due, _) = script.deadline().unwrap();
    script.timeout(due);
    assert!(
        script.deadline().unwrap().0 > due,
        "a deadline that was served is over"
    );
}

/// A reduction hands out what acknowledgements allow; when the last packet in flight is lost by age, none will come.
#[test]
fn a_reduction_ends_when_nothing_is_in_flight() {
    let mut script = flight(10);
    script.ack(at(100), &[1..=3]);
    script.ack(at(110), &[9..=9, 1..=3]);
    assert_eq!(script.lost(), [4, 5, 6]);
    assert!(script.recovery.reduction.is_some());
    let (due, why) = script.deadline().unwrap();
    assert_eq!(why, Timer::Loss);
    script.timeout(due);
    assert_eq!(script.lost(), [7, 8]);
    assert_eq!(script.recovery.bytes_in_flight(), 0);
    assert!(script.recovery.reduction.is_none());
    assert_eq!(script.recovery.cwnd_room(), script.cwnd());
}

/// The peer's port is another one: what went to the old one is no sign of congestion, and leaves again at once.
#[test]
fn a_rebound_peer_costs_no_window_and_its_packets_leave_again_at_once() {
    let mut script = flight(10);
    script.ack(at(100), &[0..=1]);
    script.timeout(script.deadline().unwrap().0);
    assert_eq!(script.recovery.pto_count(), 1);
    let before = script.recovery.snapshot();
    let now = at(300);
    script.out = Outcome::default();
    script.recovery.on_rebound(now, &mut script.out);
    script.check();
    assert_eq!(script.lost(), (2..10).collect::<Vec<_>>());
    let after = script.recovery.snapshot();
    assert_eq!((after.cwnd, after.ssthresh), (before.cwnd, u64::MAX));
    assert_eq!((after.srtt, after.min_rtt), (before.srtt, before.min_rtt));
    assert_eq!((after.bytes_in_flight, after.pto_count), (0, 0));
    assert_eq!(script.deadline(), None);
    assert_eq!(script.recovery.cwnd_room(), after.cwnd);
    // A true loss on the new path is answered, and late arrivals of the old one prove nothing of it.
    script.send(now, 10);
    script.ack(now + ms(100), &[11..=19]);
    assert_eq!(script.lost(), [10]);
    let reduced = script.cwnd();
    assert!(reduced < after.cwnd);
    script.ack(now + ms(110), &[11..=19, 2..=9]);
    assert_eq!(script.acked(), (2..10).rev().collect::<Vec<_>>());
    assert_eq!(script.cwnd(), reduced);
}

/// RFC 9000 s9.4: with another address the window starts anew, and what went to the old one leaves at once, too.
#[test]
fn a_peer_that_has_moved_is_sent_again_what_went_to_its_old_address() {
    let mut script = flight(10);
    script.out = Outcome::default();
    script.recovery.abandon_flight(at(200), &mut script.out);
    script.recovery.on_new_path(MTU);
    assert_eq!(script.lost(), (0..10).collect::<Vec<_>>());
    let snapshot = script.recovery.snapshot();
    assert_eq!((snapshot.packets_lost, snapshot.bytes_in_flight), (10, 0));
    assert_eq!(script.deadline(), None);
}
