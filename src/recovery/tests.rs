//! Scripted patterns of acknowledgements; a loop over a path; hostile peers against a naive twin.

mod large;
mod loop_simulation;
mod model;
mod repair;
mod told;
mod unsend;

use std::ops::RangeInclusive;

use super::*;
use crate::time::Timer;
use crate::wire::{AckFields, Offset};

const MTU: u16 = 1_200;
/// Data, with more behind it than ever leaves at once.
const DATA: SendClass = SendClass::Data { waiting: u64::MAX };
const DELAY_MAX: Duration = Duration::from_millis(8);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn number(n: u64) -> PacketNumber {
    PacketNumber::new(n)
}

/// What packet `n` carries: a thousand bytes of its own.
fn contents(n: u64) -> Contents {
    let start = Offset::new(n * 1_000);
    Contents {
        data: start..start.plus(1_000),
        ..Contents::default()
    }
}

/// The packets whose contents these are.
fn packets(contents: &[Contents]) -> Vec<u64> {
    contents
        .iter()
        .map(|contents| contents.data.start.get() / 1_000)
        .collect()
}

/// A recovery from packet 0 on that knows a round trip, and the outcome of the last call.
struct Script {
    recovery: Recovery,
    out: Outcome,
}

impl Script {
    fn new() -> Self {
        let mut recovery = Recovery::new(number(0), Congestion::NewReno, Setup::new(MTU));
        // Numbers are told by the packet here: none is left out.
        recovery.skips = Skips::never();
        let out = Outcome::default();
        Script { recovery, out }
    }

    /// After a handshake of `millis`.
    fn with_rtt(millis: u64) -> Self {
        let mut script = Script::new();
        script.recovery.set_max_ack_delay(DELAY_MAX);
        script.recovery.on_handshake_rtt(ms(millis));
        script
    }

    fn send_with(&mut self, now: Time, contents: Contents, imm: bool) {
        let packet = SentPacket {
            number: self.recovery.next_number(),
            size: contents.mtu_probe.unwrap_or(MTU),
            imm,
            contents,
        };
        self.recovery.on_sent(now, packet, false);
        self.check();
    }

    fn send(&mut self, now: Time, count: usize) {
        for _ in 0..count {
            let n = self.recovery.next_number().get();
            self.send_with(now, contents(n), false);
        }
    }

    fn ack(&mut self, now: Time, ranges: &[RangeInclusive<u64>]) {
        self.ack_after(now, ranges, Duration::ZERO);
    }

    fn ack_after(&mut self, now: Time, ranges: &[RangeInclusive<u64>], delay: Duration) {
        self.out = Outcome::default();
        let ranges = ranges
            .iter()
            .map(|range| number(*range.start())..=number(*range.end()));
        self.recovery
            .on_ack(now, ranges, delay, None, &mut self.out)
            .unwrap();
        self.check();
    }

    fn timeout(&mut self, now: Time) {
        self.out = Outcome::default();
        self.recovery.on_timeout(now, &mut self.out);
        self.check();
    }

    fn acked(&self) -> Vec<u64> {
        packets(&self.out.acked)
    }

    fn lost(&self) -> Vec<u64> {
        packets(&self.out.lost)
    }

    fn cwnd(&self) -> u64 {
        self.recovery.snapshot().cwnd
    }

    fn deadline(&self) -> Option<(Time, Timer)> {
        self.recovery
            .deadline()
            .map(|deadline| (deadline.at, deadline.why))
    }

    /// Packets are conserved, and something in flight has a deadline.
    fn check(&self) {
        let now = self.recovery.snapshot();
        let known = now.packets_acked + now.packets_lost + now.packets_in_flight;
        assert_eq!(now.packets_sent, known, "sent = acked + lost + in flight");
        assert_eq!(
            self.recovery.deadline().is_some(),
            now.packets_in_flight > 0
        );
    }
}

#[test]
fn three_packets_later_a_missing_one_is_lost() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 6);
    script.ack(at(100), &[1..=1]);
    assert_eq!((script.acked(), script.lost()), (vec![1], vec![]));
    script.ack(at(100), &[1..=2]);
    assert_eq!((script.acked(), script.lost()), (vec![2], vec![]));
    script.ack(at(100), &[1..=3]);
    assert_eq!((script.acked(), script.lost()), (vec![3], vec![0]));
    assert_eq!(script.recovery.snapshot().bytes_in_flight, 2 * 1_200);
}

#[test]
fn reordering_by_two_retransmits_nothing() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 3);
    script.ack(at(100), &[2..=2]);
    assert_eq!(script.lost(), [0; 0]);
    script.ack(at(101), &[0..=2]);
    assert_eq!(script.acked(), [1, 0]);
    assert_eq!(script.recovery.snapshot().packets_lost, 0);
}

#[test]
fn a_packet_overtaken_by_one_is_lost_a_round_trip_and_a_quarter_after_it_was_sent() {
    let mut script = Script::with_rtt(80);
    script.send(at(0), 1);
    script.send(at(10), 1);
    script.ack(at(85), &[1..=1]);
    // The latest round trip is 75 ms, the smoothed one a little less than 80 ms.
    let expected = script.recovery.rtt().srtt().unwrap();
    let due = Time::ZERO + expected + ms(75) / 4;
    assert_eq!(script.deadline(), Some((due, Timer::Loss)));
    script.timeout(due - Duration::from_nanos(1));
    assert_eq!(script.lost(), [0; 0]);
    script.timeout(due);
    assert_eq!((script.lost(), script.out.probes), (vec![0], 0));
    assert_eq!(script.deadline(), None);
}

#[test]
fn a_lost_retransmission_is_found_without_a_timeout() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 4);
    script.ack(at(100), &[1..=3]);
    assert_eq!(script.lost(), [0]);
    // The repair is packet 4, and it is lost again; 5, 6 and 7 arrive.
    script.send_with(at(100), contents(0), false);
    script.send(at(100), 3);
    script.ack(at(200), &[5..=7, 1..=3]);
    assert_eq!(script.lost(), [0], "what packet 4 carried");
    assert_eq!(script.recovery.snapshot().packets_lost, 2);
}

#[test]
fn a_late_arrival_is_recognised_and_stops_the_repair() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 5);
    script.ack(at(100), &[1..=3]);
    assert_eq!(script.lost(), [0]);
    assert!(script.recovery.is_outstanding(number(0)));
    script.ack(at(140), &[0..=3]);
    assert_eq!(script.acked(), [0]);
    let snapshot = script.recovery.snapshot();
    assert_eq!((snapshot.packets_lost, snapshot.packets_spurious), (1, 1));
    assert_eq!(
        snapshot.bytes_in_flight, 1_200,
        "its bytes left the flight once"
    );
    assert_eq!(script.recovery.oldest_tracked(), number(4));
}

#[test]
fn a_lost_packet_is_forgotten_after_two_round_trips_or_a_probe_timeout() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 5);
    script.ack(at(100), &[1..=3]);
    let rtt = script.recovery.rtt().srtt().unwrap();
    let kept = (rtt * 2).max(script.recovery.pto());
    script.recovery.begin_batch(at(100) + kept - ms(1));
    assert_eq!(script.recovery.oldest_tracked(), number(0));
    script.recovery.begin_batch(at(100) + kept);
    assert_eq!(script.recovery.oldest_tracked(), number(4));
    script.ack(at(101) + kept, &[0..=3]);
    assert_eq!(script.acked(), [0; 0]);
    assert_eq!(script.recovery.snapshot().packets_spurious, 0);
}

fn next_packet(recovery: &Recovery) -> SentPacket {
    let number = recovery.next_number();
    SentPacket {
        number,
        size: MTU,
        imm: false,
        contents: contents(number.get()),
    }
}

#[test]
fn an_acknowledgement_of_the_unsent_changes_nothing() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 5);
    let before = script.recovery.snapshot();
    let hostile: [&[RangeInclusive<u64>]; 4] =
        [&[5..=5], &[0..=5], &[1..=2, 4..=u64::MAX], &[0..=4, 5..=6]];
    for ranges in hostile {
        let mut out = Outcome::default();
        let ranges = ranges
            .iter()
            .map(|range| number(*range.start())..=number(*range.end()));
        let result = script
            .recovery
            .on_ack(at(100), ranges, Duration::ZERO, None, &mut out);
        assert_eq!(result, Err(AckOfUnsent));
        assert!(out.acked.is_empty() && out.lost.is_empty());
        assert_eq!(script.recovery.snapshot(), before);
    }
}

#[test]
fn numbers_acknowledged_twice_or_long_forgotten_change_nothing() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.ack(at(100), &[0..=9]);
    let (before, deadline) = (script.recovery.snapshot(), script.deadline());
    for _ in 0..100 {
        script.ack(at(500), &[0..=9]);
        script.ack(at(500), &[7..=8, 1..=3]);
        script.ack(at(500), &[]);
    }
    assert_eq!(script.recovery.snapshot(), before);
    assert_eq!(script.deadline(), deadline);
    assert_eq!(script.out.largest_newly_acked, None);
}

#[test]
fn the_window_grows_by_the_bytes_of_the_segment_however_often_it_is_acknowledged() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    for step in 0..1_400 {
        script.ack(at(100 + step), &[0..=0]);
    }
    assert_eq!(script.cwnd(), 12_000 + 1_200);
}

#[test]
fn a_late_original_gives_the_round_trip_of_the_original() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 1);
    script.timeout(script.deadline().unwrap().0);
    assert_eq!(
        script.out.probes, 1,
        "one packet in flight needs no two copies"
    );
    script.send(at(310), 1);
    // The original needed 400 ms; the retransmission, sent at 310, is not taken for it.
    script.ack(at(400), &[0..=0]);
    let srtt = script.recovery.rtt().srtt().unwrap();
    assert_eq!(srtt, (ms(100) * 7 + ms(400)) / 8);
    // An answer to both: the newest number counts.
    script.ack(at(410), &[0..=1]);
    assert_eq!(script.recovery.rtt().min_rtt(), Some(ms(100)));
}

#[test]
fn a_sample_needs_the_largest_number_of_the_block() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 4);
    script.ack(at(100), &[2..=2]);
    let before = *script.recovery.rtt();
    // 1 is new, but the delay in the block is that of 2.
    script.ack(at(180), &[1..=2]);
    assert_eq!(script.acked(), [1]);
    assert_eq!(*script.recovery.rtt(), before);
}

#[test]
fn the_delay_that_a_peer_claims_is_bounded_by_what_it_promised() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 1);
    script.ack_after(at(200), &[0..=0], ms(90));
    assert_eq!(
        script.recovery.rtt().srtt(),
        Some((ms(100) * 7 + ms(192)) / 8)
    );
}

#[test]
fn the_probe_timeout_backs_off_to_a_minute_and_an_answer_ends_it() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 3);
    let pto = script.recovery.pto();
    assert_eq!(pto, ms(100 + 200 + 8));
    let mut waited = Vec::new();
    let mut now = at(0);
    for _ in 0..12 {
        let (due, why) = script.deadline().unwrap();
        assert_eq!(why, Timer::Probe);
        waited.push(due - now);
        now = due;
        script.timeout(now);
        assert_eq!((script.out.probes, script.lost()), (2, vec![]));
    }
    let expected: Vec<_> = (0..12)
        .map(|n| (pto * (1 << n)).min(Duration::from_secs(60)))
        .collect();
    assert_eq!(waited, expected);
    assert_eq!(script.cwnd(), 12_000, "silence alone is no congestion");
    script.ack(now, &[0..=0]);
    assert_eq!(script.recovery.snapshot().pto_count, 0);
}

#[test]
fn before_any_sample_the_probe_timeout_is_a_second() {
    let mut script = Script::new();
    assert_eq!(script.deadline(), None);
    script.send(at(50), 1);
    assert_eq!(script.deadline(), Some((at(1_050), Timer::Probe)));
}

#[test]
fn the_peers_delay_is_awaited_only_after_a_packet_that_allowed_it() {
    let mut script = Script::with_rtt(100);
    script.send_with(at(0), contents(0), true);
    assert_eq!(script.deadline(), Some((at(300), Timer::Probe)));
    script.send_with(at(0), contents(1), false);
    assert_eq!(script.deadline(), Some((at(308), Timer::Probe)));
}

#[test]
fn acknowledgements_of_nothing_new_do_not_put_the_probe_off() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 2);
    script.ack(at(100), &[0..=0]);
    let armed = script.deadline();
    for step in 0..100 {
        script.ack(at(101 + step), &[0..=0]);
        assert_eq!(script.deadline(), armed);
    }
}

#[test]
fn a_timeout_before_its_time_does_nothing() {
    let mut script = Script::with_rtt(100);
    script.timeout(at(1_000));
    script.send(at(1_000), 2);
    let deadline = script.deadline();
    script.timeout(at(1_100));
    assert_eq!((script.out.probes, script.deadline()), (0, deadline));
}

#[test]
fn the_window_is_reduced_once_for_a_round_trip() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.ack(at(100), &[1..=3]);
    assert_eq!((script.lost(), script.cwnd()), (vec![0], 6_000));
    // Everything else of that flight may be lost too: it is one event.
    script.send(at(100), 4);
    script.ack(at(200), &[10..=13]);
    assert_eq!(script.lost(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(script.cwnd(), 6_000);
    // The next flight is another round.
    script.send(at(200), 5);
    script.ack(at(300), &[15..=18]);
    assert_eq!((script.lost(), script.cwnd()), (vec![14], 3_000));
}

#[test]
fn packets_sent_before_a_reduction_do_not_widen_the_window_after_it() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.ack(at(100), &[1..=3]);
    script.ack(at(101), &[1..=9]);
    assert_eq!(script.cwnd(), 6_000);
}

#[test]
fn losses_over_three_timeouts_with_nothing_between_are_persistent_congestion() {
    let mut script = Script::with_rtt(100);
    let limit = script.recovery.pto() * 3;
    script.send(at(0), 1);
    script.send(at(10), 1);
    script.send(at(0) + limit + ms(1), 1);
    script.send(at(0) + limit + ms(2), 3);
    script.ack(at(100) + limit, &[5..=5]);
    assert_eq!(script.lost(), [0, 1, 2]);
    assert_eq!(script.cwnd(), 2_400);
    // Half of the six datagrams that were in flight, not of the ten that might have been.
    assert_eq!(script.recovery.snapshot().ssthresh, 3_600);
}

#[test]
fn an_arrival_in_between_or_a_shorter_time_is_not_persistent() {
    let mut script = Script::with_rtt(100);
    let limit = script.recovery.pto() * 3;
    script.send(at(0), 2);
    script.send(at(0) + limit + ms(1), 4);
    script.ack(at(100) + limit, &[5..=5, 1..=1]);
    assert_eq!(script.lost(), [0, 2]);
    assert_eq!(script.cwnd(), 3_600);

    let mut script = Script::with_rtt(100);
    script.send(at(0), 1);
    let (due, _) = script.deadline().unwrap();
    script.timeout(due);
    script.send(at(0) + script.recovery.pto() * 2, 5);
    script.ack(at(0) + limit, &[5..=5]);
    assert_eq!(script.lost(), [0, 1, 2]);
    assert_eq!(script.cwnd(), 3_600);
}

#[test]
fn a_lost_path_mtu_probe_is_no_congestion() {
    let mut script = Script::with_rtt(100);
    let probe = Contents {
        mtu_probe: Some(9_000),
        ..Contents::default()
    };
    script.send_with(at(0), probe.clone(), true);
    script.send(at(0), 3);
    script.ack(at(100), &[1..=3]);
    assert_eq!(script.out.lost, [probe]);
    let snapshot = script.recovery.snapshot();
    assert_eq!((snapshot.ssthresh, snapshot.bytes_in_flight), (u64::MAX, 0));
    assert!(snapshot.cwnd >= 12_000);
}

#[test]
fn a_full_window_waits_for_an_answer_but_not_with_a_probe() {
    let mut script = Script::with_rtt(100);
    let may = |script: &Script, size, class| script.recovery.admission(at(0), size, class);
    for _ in 0..10 {
        assert_eq!(may(&script, MTU, DATA), Admission::Send);
        script.send(at(0), 1);
    }
    assert_eq!(may(&script, 1, DATA), Admission::AwaitAck);
    assert_eq!(may(&script, MTU, SendClass::Probe), Admission::Send);
    script.send(at(0), 1);
    assert_eq!(script.recovery.snapshot().bytes_in_flight, 13_200);
}

#[test]
fn above_the_first_burst_the_pacer_says_when() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.ack(at(100), &[0..=9]);
    // 24,000 bytes of window, twice in a round trip: 480,000 bytes a second in slow start.
    let rate = script.recovery.snapshot().pacing_rate;
    let srtt = script.recovery.rtt().srtt().unwrap();
    assert_eq!(u128::from(rate), 48_000 * 1_000_000_000 / srtt.as_nanos());
    let mut sent = 0;
    while script.recovery.admission(at(100), MTU, DATA) == Admission::Send {
        script.send(at(100), 1);
        sent += 1;
    }
    assert_eq!(sent, 3, "the bucket of a slow path");
    let next = script.recovery.admission(at(100), MTU, DATA);
    assert_eq!(next, Admission::At(at(105)));
    assert_eq!(
        script.recovery.admission(at(105), MTU, DATA),
        Admission::Send
    );
}

#[test]
fn a_round_trip_below_250_microseconds_is_not_paced() {
    let mut script = Script::new();
    script.recovery.on_handshake_rtt(Duration::from_micros(249));
    assert_eq!(script.recovery.snapshot().pacing_rate, 0);
    let mut script = Script::new();
    script.recovery.on_handshake_rtt(Duration::from_micros(250));
    assert!(script.recovery.snapshot().pacing_rate > 0);
}

#[test]
fn after_a_long_pause_the_burst_is_the_initial_window() {
    let mut script = Script::with_rtt(100);
    let mut now = at(0);
    for _ in 0..5 {
        let first = script.recovery.next_number().get();
        let count = usize::try_from(script.cwnd() / 1_200).unwrap();
        script.send(now, count);
        now += ms(100);
        script.ack(now, &[first..=script.recovery.next_number().prev().get()]);
    }
    assert_eq!(script.cwnd(), 12_000 << 5);
    // Half a second is no long pause.
    now += ms(500);
    script.send(now, 1);
    let last = script.recovery.next_number().prev().get();
    script.ack(now + ms(100), &[0..=last]);
    assert!(script.cwnd() >= 12_000 << 5);
    now += ms(10_000);
    let mut burst = 0;
    while script.recovery.admission(now, MTU, DATA) == Admission::Send {
        script.send(now, 1);
        burst += 1;
    }
    // The window is what was delivered in the last round trip; what leaves at once is no more for it.
    assert_eq!((burst, script.cwnd()), (10, 12_000 << 4));
}

#[test]
fn a_new_path_starts_anew_and_what_is_in_flight_stays_tracked() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.recovery.on_new_path(1_400);
    let snapshot = script.recovery.snapshot();
    assert_eq!(
        (snapshot.srtt, snapshot.cwnd, snapshot.bytes_in_flight),
        (None, 14_000, 0)
    );
    assert_eq!(snapshot.packets_in_flight, 10);
    assert_eq!(script.deadline(), Some((at(1_000), Timer::Probe)));
    // Old packets are repaired, but neither their times nor their losses count for the new path.
    script.send(at(10), 1);
    script.ack(at(700), &[3..=5]);
    assert_eq!(script.lost(), [0, 1, 2]);
    let snapshot = script.recovery.snapshot();
    assert_eq!((snapshot.srtt, snapshot.ssthresh), (None, u64::MAX));
    assert_eq!((snapshot.cwnd, snapshot.bytes_in_flight), (14_000, 1_200));
    script.ack(at(730), &[10..=10, 3..=9]);
    assert_eq!(script.recovery.rtt().srtt(), Some(ms(720)));
    assert_eq!(script.recovery.snapshot().bytes_in_flight, 0);
}

#[test]
fn before_the_first_packet_another_mtu_means_another_initial_window() {
    let mut script = Script::with_rtt(100);
    script.recovery.set_mtu(1_472);
    assert_eq!(script.cwnd(), 14_600);
    assert_eq!(script.recovery.rtt().srtt(), Some(ms(100)));
    script.send(at(0), 1);
    script.recovery.set_mtu(9_000);
    assert_eq!(script.cwnd(), 18_000);
}

#[test]
fn a_reset_forgets_everything_in_flight() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 10);
    script.recovery.clear();
    assert_eq!(script.deadline(), None);
    assert_eq!(script.recovery.oldest_in_flight(), None);
    assert_eq!(script.recovery.snapshot().bytes_in_flight, 0);
    assert_eq!(script.recovery.next_number(), number(10));
    assert!(!script.recovery.is_outstanding(number(3)));
}

#[test]
fn an_idle_connection_holds_almost_nothing() {
    let mut script = Script::with_rtt(100);
    script.send(at(0), 20_000);
    script.ack(at(100), &[2..=19_999]);
    script.send(at(100), 2);
    script.ack(at(200), &[20_000..=20_001, 2..=19_999]);
    assert_eq!(script.recovery.snapshot().packets_in_flight, 0);
    assert!(script.recovery.sent.memory() < 512);
    let log = size_of::<crate::trace::Log>();
    assert!(
        size_of::<Recovery>() <= 888 + log,
        "{}",
        size_of::<Recovery>()
    );
}

/// A process that was stopped finds old acknowledgements in its socket: their age is no round trip.
#[test]
fn a_process_that_slept_takes_no_sample_of_its_sleep() {
    let mut script = Script::with_rtt(30);
    script.send(at(0), 1);
    script.ack(at(3_600_000), &[0..=0]);
    assert_eq!(script.recovery.rtt().srtt(), Some(ms(30)));
    script.send(at(3_600_000), 1);
    script.ack(at(3_600_040), &[1..=1]);
    assert!(
        script.recovery.rtt().srtt() > Some(ms(30)),
        "later samples count"
    );
}

/// The answer in time was lost with the path: what repeats it later tells how long the path was cut.
#[test]
fn an_acknowledgement_older_than_a_probe_timeout_is_no_sample() {
    let pto = Script::with_rtt(30).recovery.pto();
    assert_eq!(pto, ms(30 + 60 + 8));
    for (delay, counts) in [(ms(0), true), (pto, true), (pto + ms(1), false)] {
        let mut script = Script::with_rtt(30);
        script.send(at(0), 1);
        script.timeout(at(98));
        script.ack_after(at(180), &[0..=0], delay);
        let measured = script.recovery.rtt().srtt() > Some(ms(30));
        assert_eq!(measured, counts, "{delay:?}");
        assert_eq!(packets(&script.out.acked), [0], "it counts as an answer");
    }
}

/// The field of the delay ends at half a second: beyond it, on a path however slow, nobody knows how old it is.
#[test]
fn a_delay_at_the_end_of_its_field_is_no_sample() {
    let mut script = Script::with_rtt(1_000);
    script.send(at(0), 1);
    script.ack_after(at(60_000), &[0..=0], AckFields::DELAY_MAX);
    assert_eq!(script.recovery.rtt().srtt(), Some(ms(1_000)));
}
