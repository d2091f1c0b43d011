//! Each pitfall of delivery-rate sampling, by the name of what it prevents.

use super::*;

const SIZE: u64 = 1_000;
const MIN_RTT: Duration = Duration::from_millis(10);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A sampler and the packets that it was told of.
#[derive(Default)]
struct Flow {
    delivery: Delivery,
    sent: Vec<Snapshot>,
    inflight: u64,
}

impl Flow {
    fn send(&mut self, now: Time, count: u64) {
        for _ in 0..count {
            let number = PacketNumber::new(u64::try_from(self.sent.len()).unwrap());
            let snapshot = self.delivery.on_sent(now, number, SIZE, self.inflight);
            self.inflight += SIZE;
            self.sent.push(snapshot);
        }
    }

    /// Everything that waited has left.
    fn drained(&mut self, now: Time, limit: Limit) {
        self.delivery.on_drained(limit, Some(now));
    }

    /// One acknowledgement for these packets.
    fn ack(&mut self, now: Time, packets: std::ops::RangeInclusive<usize>) -> RateSample {
        let newest = *packets.end();
        for _ in packets {
            self.delivery.on_delivered(now, SIZE);
            self.inflight -= SIZE;
        }
        let number = PacketNumber::new(u64::try_from(newest).unwrap());
        self.delivery.sample(number, &self.sent[newest], MIN_RTT)
    }

    fn lose(&mut self) {
        self.delivery.on_lost(SIZE);
        self.inflight -= SIZE;
    }
}

#[test]
fn the_bytes_of_the_first_acknowledgement_count() {
    let mut flow = Flow::default();
    flow.send(at(100), 10);
    let sample = flow.ack(at(120), 0..=9);
    assert_eq!((sample.prior_delivered, sample.delivered), (0, 10_000));
    assert_eq!(sample.interval, ms(20));
    assert_eq!(
        sample.rate,
        Some(500_000),
        "nothing delivered before is no missing sample"
    );
}

#[test]
fn the_longer_of_sending_and_acknowledging_is_the_time_it_took() {
    // Sent over 27 ms, and the acknowledgements come compressed: the rate is that of sending.
    let mut flow = Flow::default();
    for n in 0..10 {
        flow.send(at(3 * n), 1);
        flow.drained(at(3 * n), Limit::Pacing);
    }
    let first = flow.ack(at(40), 0..=0);
    assert_eq!(first.interval, ms(40));
    let rest = flow.ack(at(41), 1..=9);
    // Packet 9 left when nothing was delivered: all ten count, over its own 41 - 0 ms.
    assert_eq!((rest.delivered, rest.interval), (10_000, ms(41)));
    // The second flight leaves over 30 ms, and is acknowledged at once.
    for n in 0..=10 {
        flow.send(at(41 + 3 * n), 1);
        flow.drained(at(41 + 3 * n), Limit::Pacing);
    }
    flow.ack(at(81), 10..=10);
    flow.send(at(81), 1);
    let sample = flow.ack(at(92), 11..=21);
    assert_eq!(sample.prior_delivered, 11_000);
    assert_eq!(
        sample.interval,
        ms(40),
        "from packet 10 at 41 ms to packet 21 at 81 ms"
    );
    assert_eq!(sample.rate, Some(275_000));
}

#[test]
fn an_interval_shorter_than_the_smallest_round_trip_gives_no_rate() {
    let mut flow = Flow::default();
    flow.send(at(0), 2);
    let sample = flow.ack(at(9), 0..=1);
    assert_eq!((sample.rate, sample.delivered), (None, 2_000));
    assert_eq!(flow.delivery.latest_rate(), None);
    let mut flow = Flow::default();
    flow.send(at(0), 2);
    assert_eq!(flow.ack(at(10), 0..=1).rate, Some(200_000));
}

#[test]
fn no_time_at_all_is_no_infinite_rate() {
    let mut flow = Flow::default();
    flow.send(at(0), 1);
    flow.delivery.on_delivered(at(0), SIZE);
    let sample = flow
        .delivery
        .sample(PacketNumber::new(0), &flow.sent[0], Duration::ZERO);
    assert_eq!((sample.interval, sample.rate), (Duration::ZERO, None));
}

#[test]
fn three_packets_and_nothing_else_are_limited_by_the_application() {
    let mut flow = Flow::default();
    for round in 0..5 {
        let now = at(100 * round);
        flow.send(now, 3);
        flow.drained(now, Limit::Application);
        let first = flow.sent.len() - 3;
        let sample = flow.ack(now + ms(20), first..=first + 2);
        flow.drained(now + ms(20), Limit::Application);
        assert!(sample.app_limited, "round {round}");
    }
    assert_eq!(
        flow.delivery.latest_rate(),
        None,
        "that is no rate of the path"
    );
}

#[test]
fn what_waits_for_the_pacer_is_not_limited_by_the_application() {
    let mut flow = Flow::default();
    let mut limited = Vec::new();
    // A packet each 5 ms, as the pacer wants; a round trip of 20 ms; data always waits.
    for n in 0..40_u64 {
        let now = at(5 * n);
        if n >= 4 {
            let acked = usize::try_from(n - 4).unwrap();
            limited.push(flow.ack(now, acked..=acked).app_limited);
            flow.drained(now, Limit::Pacing);
        }
        flow.send(now, 1);
        flow.drained(now, Limit::Pacing);
    }
    assert!(limited[0], "the connection began unused");
    assert!(limited[5..].iter().all(|&limited| !limited));
    assert_eq!(flow.delivery.latest_rate(), Some(200_000));
}

#[test]
fn data_that_comes_before_the_pacer_is_ready_leaves_no_gap() {
    let mut flow = Flow::default();
    flow.send(at(0), 10);
    flow.drained(at(0), Limit::Pacing);
    flow.ack(at(20), 0..=9);
    flow.drained(at(20), Limit::Pacing);
    flow.send(at(20), 2);
    // The application is behind for a moment, but the pacer allows nothing before 25 ms.
    flow.delivery.on_drained(Limit::Application, Some(at(25)));
    flow.send(at(25), 1);
    assert!(!flow.sent.last().unwrap().app_limited);
    // This time it comes too late.
    flow.delivery.on_drained(Limit::Application, Some(at(30)));
    flow.send(at(31), 1);
    assert!(flow.sent.last().unwrap().app_limited);
}

#[test]
fn a_full_window_is_no_gap_even_if_nothing_else_waits() {
    let mut flow = Flow::default();
    flow.send(at(0), 10);
    flow.delivery.on_drained(Limit::Application, None);
    flow.ack(at(20), 0..=0);
    // At the same moment the application sends on.
    flow.send(at(20), 1);
    assert!(!flow.sent[10].app_limited);
}

#[test]
fn the_peers_window_is_a_bottleneck_like_any_other() {
    let mut flow = Flow::default();
    flow.send(at(0), 4);
    flow.drained(at(0), Limit::Window);
    flow.ack(at(20), 0..=3);
    flow.drained(at(20), Limit::Window);
    flow.send(at(50), 4);
    assert!(flow.sent[4..].iter().all(|sent| !sent.app_limited));
    assert_eq!(flow.ack(at(70), 4..=7).rate, Some(200_000));
}

#[test]
fn a_gap_is_over_once_something_sent_after_it_arrived() {
    let mut flow = Flow::default();
    flow.send(at(0), 4);
    flow.drained(at(0), Limit::Application);
    // The gap: from 0 to 10 ms, with four packets in flight.
    flow.send(at(10), 4);
    flow.drained(at(10), Limit::Cwnd);
    flow.ack(at(20), 0..=3);
    flow.send(at(20), 1);
    assert!(flow.sent[8].app_limited, "the gap is still on the path");
    flow.ack(at(30), 4..=4);
    flow.send(at(30), 1);
    assert!(!flow.sent[9].app_limited);
    assert!(flow.ack(at(40), 5..=8).app_limited);
    assert!(!flow.ack(at(50), 9..=9).app_limited);
}

#[test]
fn a_loss_before_the_gap_does_not_make_it_longer() {
    let mut flow = Flow::default();
    flow.send(at(0), 10);
    flow.drained(at(0), Limit::Application);
    flow.send(at(10), 4);
    flow.drained(at(10), Limit::Cwnd);
    // Nine of the ten before the gap never arrive: bytes delivered alone would tell its end much too late.
    (0..9).for_each(|_| flow.lose());
    flow.ack(at(20), 9..=9);
    flow.ack(at(30), 10..=10);
    flow.send(at(30), 1);
    assert!(!flow.sent[14].app_limited);
}

#[test]
fn the_time_of_nothing_in_flight_is_no_time_of_delivery() {
    let mut flow = Flow::default();
    flow.send(at(0), 10);
    flow.drained(at(0), Limit::Application);
    flow.ack(at(20), 0..=9);
    flow.drained(at(20), Limit::Application);
    flow.send(at(5_000), 10);
    let sample = flow.ack(at(5_020), 10..=19);
    assert_eq!((sample.delivered, sample.interval), (10_000, ms(20)));
}

#[test]
fn a_slow_paced_flow_with_nothing_in_flight_at_times_keeps_its_rate() {
    // A packet each 50 ms over a round trip of 20 ms: 20,000 bytes a second. To begin anew with each packet
    // would measure 50,000.
    let mut flow = Flow::default();
    for n in 0..20_u64 {
        let index = usize::try_from(n).unwrap();
        flow.send(at(50 * n), 1);
        flow.drained(at(50 * n), Limit::Pacing);
        let sample = flow.ack(at(50 * n + 20), index..=index);
        flow.drained(at(50 * n + 20), Limit::Pacing);
        if n > 0 {
            assert_eq!(sample.rate, Some(20_000), "packet {n}");
        }
    }
}

#[test]
fn losses_since_a_packet_was_sent_are_told_with_it() {
    let mut flow = Flow::default();
    flow.send(at(0), 2);
    flow.lose();
    flow.send(at(10), 2);
    assert_eq!(
        (flow.sent[3].lost, flow.sent[3].tx_in_flight),
        (1_000, 3_000)
    );
    flow.lose();
    let sample = flow.ack(at(40), 3..=3);
    assert_eq!((sample.lost, sample.tx_in_flight), (1_000, 3_000));
}

#[test]
fn a_late_old_packet_does_not_turn_the_clock_of_sending_back() {
    let mut flow = Flow::default();
    for n in 0..11 {
        flow.send(at(n), 1);
    }
    flow.ack(at(30), 1..=9);
    flow.ack(at(31), 0..=0);
    flow.send(at(31), 1);
    assert_eq!(flow.sent[11].first_sent_at, at(9));
}

#[test]
fn after_ten_terabytes_a_sample_is_as_right_as_the_first() {
    let mut delivery = Delivery::default();
    // A gigabyte and a half each ten milliseconds, a hundredth of it lost, for ten terabytes.
    let size = 1_500_000_000;
    let mut sample = RateSample::default();
    for step in 0..7_000 {
        let (now, number) = (at(10 * step), PacketNumber::new(step));
        delivery.on_drained(Limit::Cwnd, None);
        let sent = delivery.on_sent(now, number, size, 0);
        delivery.on_lost(size / 100);
        delivery.on_delivered(at(10 * step + 10), size - size / 100);
        sample = delivery.sample(number, &sent, MIN_RTT);
    }
    assert_eq!(delivery.delivered() + delivery.lost(), 10_500_000_000_000);
    assert_eq!((sample.delivered, sample.lost), (1_485_000_000, 15_000_000));
    assert_eq!(sample.rate, Some(148_500_000_000));
    assert_eq!(delivery.latest_rate(), Some(148_500_000_000));
}

#[test]
fn rates_beyond_all_counting_do_not_overflow() {
    assert_eq!(
        bytes_per_second(u64::MAX, Duration::from_nanos(1)),
        Some(u64::MAX)
    );
    assert_eq!(
        bytes_per_second(u64::MAX, Duration::from_nanos(u64::MAX)),
        Some(1_000_000_000)
    );
    assert_eq!(bytes_per_second(1, Duration::from_secs(u64::MAX)), Some(0));
}
