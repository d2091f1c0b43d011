//! What a controller is told, field by field.

use std::sync::{Arc, Mutex, MutexGuard};

use super::*;
use crate::congestion::{AckSample, Cause, Congested, LostPacket, RateSample};

/// Everything that a controller was told.
#[derive(Clone, Debug, Default)]
struct Told {
    sent: Vec<Sent>,
    acks: Vec<AckSample>,
    lost: Vec<LostPacket>,
    congested: Vec<Congested>,
    restarts: Vec<(Time, u64)>,
    /// In which order: 's', 'a', 'l', 'c', 'r'.
    order: String,
}

/// A controller with a fixed window that writes everything down.
#[derive(Clone, Debug, Default)]
struct Spy {
    told: Arc<Mutex<Told>>,
    quantum: Option<u64>,
}

impl Spy {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap()
    }

    /// A script of this controller, with a round trip of 100 ms known.
    fn script(&self) -> Script {
        let spy = self.clone();
        let choice = Congestion::custom(move |_| Box::new(spy.clone()));
        let mut script = Script::new();
        script.recovery = Recovery::new(number(0), choice, Setup::new(MTU));
        script.recovery.skips = Skips::never();
        script.recovery.on_handshake_rtt(ms(100));
        script
    }

    fn last_ack(&self) -> AckSample {
        *self.told().acks.last().unwrap()
    }
}

impl Controller for Spy {
    fn on_ack(&mut self, sample: &AckSample) {
        let mut told = self.told();
        told.acks.push(*sample);
        told.order.push('a');
    }

    fn on_congestion(&mut self, event: &Congested) {
        let mut told = self.told();
        told.congested.push(*event);
        told.order.push('c');
    }

    fn on_mtu(&mut self, _mtu: u16) {}

    fn cwnd(&self) -> u64 {
        12_000
    }

    fn pacing_rate(&self, _srtt: Duration) -> u64 {
        1_200_000
    }

    fn on_sent(&mut self, sent: &Sent) {
        let mut told = self.told();
        told.sent.push(*sent);
        told.order.push('s');
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        let mut told = self.told();
        told.lost.push(*lost);
        told.order.push('l');
    }

    fn on_restart_from_idle(&mut self, now: Time, delivered: u64) {
        let mut told = self.told();
        told.restarts.push((now, delivered));
        told.order.push('r');
    }

    fn send_quantum(&self) -> Option<u64> {
        self.quantum
    }

    fn state(&self) -> &'static str {
        "watching"
    }
}

#[test]
fn every_field_of_a_sample_is_filled() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.recovery.on_drained(at(0), Limit::Application);
    script.send(at(10), 4);
    script.recovery.on_drained(at(10), Limit::Pacing);
    script.send(at(15), 6);
    script.recovery.on_drained(at(15), Limit::Cwnd);
    script.ack(at(130), &[4..=7, 2..=2]);
    assert_eq!(script.lost(), [0, 1, 3]);
    let rate = RateSample {
        prior_delivered: 0,
        delivered: 5 * 1_200,
        interval: ms(120),
        rate: Some(50_000),
        tx_in_flight: 10 * 1_200,
        lost: 3 * 1_200,
        app_limited: true,
    };
    let srtt = (ms(100) * 7 + ms(115)) / 8;
    let expected = AckSample {
        now: at(130),
        newly_acked: 5 * 1_200,
        growth: 0,
        newly_lost: 3 * 1_200,
        newly_marked: 0,
        inflight_before: 10 * 1_200,
        inflight: 2 * 1_200,
        delivered: 5 * 1_200,
        lost: 3 * 1_200,
        rtt: Some(ms(115)),
        srtt,
        min_rtt: ms(100),
        rate: Some(rate),
        cwnd_limited: true,
    };
    assert_eq!(spy.told().acks, [expected]);
    assert!(
        spy.told().order.ends_with("lllca"),
        "losses, congestion, and then the sample"
    );
}

#[test]
fn every_packet_sent_is_told_with_what_was_before_it() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 9);
    script
        .recovery
        .on_sent(at(1), next_packet(&script.recovery), true);
    script.ack(at(100), &[0..=9]);
    script
        .recovery
        .on_sent(at(350), next_packet(&script.recovery), true);
    let probe = Contents {
        mtu_probe: Some(9_000),
        ..Contents::default()
    };
    script.send_with(at(350), probe, true);
    script.recovery.begin_batch(at(350));
    let told = spy.told();
    let inflight: Vec<_> = told.sent.iter().map(|sent| sent.inflight / 1_200).collect();
    assert_eq!(inflight, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    let limited: Vec<_> = told.sent.iter().map(|sent| sent.app_limited).collect();
    assert!(!limited[9], "the last packet filled the window");
    assert!(limited[10], "here the window has room");
    assert!(!limited[11] && !limited[0]);
    let sizes: u64 = told.sent.iter().map(|sent| sent.size).sum();
    assert_eq!(sizes, 11 * 1_200 + 9_000, "probes count too");
}

#[test]
fn idle_time_is_counted_from_the_last_acknowledgement_not_from_the_last_packet() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 2);
    script.ack(at(100), &[0..=0]);
    script.ack(at(180), &[0..=1]);
    script.ack(at(200), &[0..=1]);
    script.send(at(500), 2);
    script.recovery.begin_batch(at(500));
    let idle: Vec<_> = spy.told().sent.iter().map(|sent| sent.idle).collect();
    assert_eq!(idle, [None, None, Some(ms(320)), None]);
}

#[test]
fn a_window_that_is_always_in_use_is_never_idle() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 1);
    for n in 0..50 {
        script.send(at(100 * n + 50), 1);
        script.ack(at(100 * n + 100), &[n..=n]);
    }
    assert!(spy.told().sent.iter().all(|sent| sent.idle.is_none()));
    assert_eq!(spy.told().restarts, []);
}

#[test]
fn after_a_long_pause_the_controller_hears_what_the_last_busy_round_delivered() {
    let spy = Spy::default();
    let mut script = spy.script();
    for round in 0..3 {
        let first = script.recovery.next_number().get();
        script.send(at(100 * round), 8);
        script.ack(at(100 * round + 100), &[first..=first + 5]);
        script.ack(at(100 * round + 100), &[first..=first + 7]);
    }
    let first = script.recovery.next_number().get();
    script.send(at(300), 1);
    script.ack(at(400), &[first..=first]);
    script.send(at(5_000), 2);
    script.recovery.begin_batch(at(5_000));
    assert_eq!(spy.told().restarts, [(at(5_000), 8 * 1_200)]);
    assert!(
        spy.told().order.ends_with("rss"),
        "before the packet that ends the pause"
    );
}

#[test]
fn each_lost_packet_is_told_also_during_recovery_and_probes_of_the_mtu_are_not() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 2);
    let probe = Contents {
        mtu_probe: Some(9_000),
        ..Contents::default()
    };
    script.send_with(at(0), probe, true);
    script.send(at(0), 4);
    script.ack(at(100), &[6..=6]);
    script.send(at(100), 3);
    script.ack(at(200), &[7..=9]);
    let told = spy.told().clone();
    let numbers: Vec<_> = told.lost.iter().map(|lost| lost.number.get()).collect();
    assert_eq!(numbers, [0, 1, 3, 4, 5]);
    assert_eq!(told.congested.len(), 1);
    let lost: Vec<_> = told.lost.iter().map(|lost| lost.lost / 1_200).collect();
    assert_eq!(
        lost,
        [1, 2, 3, 4, 5],
        "since they were sent, all in one round trip"
    );
    assert_eq!(told.acks.last().unwrap().lost, 5 * 1_200);
    assert_eq!(
        told.lost[0],
        LostPacket {
            now: at(100),
            number: number(0),
            size: 1_200,
            sent_at: at(0),
            prior_delivered: 0,
            tx_in_flight: 9_000 + 6 * 1_200,
            lost: 1_200,
            app_limited: true,
        }
    );
    let snapshot = script.recovery.snapshot();
    assert_eq!(
        snapshot.bytes_lost,
        9_000 + 5 * 1_200,
        "people are told of the probe"
    );
}

#[test]
fn congestion_is_told_with_the_flight_before_its_losses() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 10);
    script.ack(at(100), &[4..=6]);
    let event = Congested {
        now: at(100),
        cause: Cause::Loss,
        inflight: 7 * 1_200,
    };
    assert_eq!(spy.told().congested, [event]);
}

#[test]
fn a_late_arrival_is_delivered_but_tells_no_rate() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 5);
    script.ack(at(100), &[1..=4]);
    script.ack(at(140), &[0..=4]);
    let sample = spy.last_ack();
    assert_eq!((sample.newly_acked, sample.growth), (1_200, 0));
    assert_eq!((sample.rate, sample.rtt), (None, None));
    assert_eq!((sample.delivered, sample.lost), (6_000, 1_200));
    let snapshot = script.recovery.snapshot();
    assert_eq!(
        (snapshot.bytes_lost, snapshot.bytes_spurious),
        (1_200, 1_200)
    );
}

#[test]
fn a_window_that_was_not_full_when_packets_left_is_not_limited_however_wide_it_looks_later() {
    let spy = Spy::default();
    let mut script = spy.script();
    // Nine of ten packets of room: not full.
    script.send(at(0), 9);
    script.ack(at(100), &[0..=8]);
    assert_eq!(
        (spy.last_ack().cwnd_limited, spy.last_ack().growth),
        (false, 0)
    );
    // Full; when the acknowledgements come, the window has room for all but one, and it counts all the same.
    script.send(at(100), 10);
    for n in 9..19 {
        script.ack(at(200), &[n..=n]);
        assert!(spy.last_ack().cwnd_limited, "packet {n}");
        assert_eq!(spy.last_ack().growth, 1_200);
    }
    // The round after: room again.
    script.send(at(200), 3);
    script.ack(at(300), &[19..=21]);
    assert!(!spy.last_ack().cwnd_limited);
}

#[test]
fn packets_of_an_earlier_path_tell_the_controller_of_the_new_one_nothing() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 10);
    script.recovery.on_new_path(MTU);
    let before = spy.told().order.len();
    script.ack(at(100), &[3..=9]);
    assert_eq!(script.lost(), [0, 1, 2]);
    assert_eq!(spy.told().order.len(), before, "not a word");
    script.send(at(100), 2);
    script.ack(at(200), &[3..=11]);
    let sample = spy.last_ack();
    assert_eq!((sample.delivered, sample.lost), (2_400, 0));
    assert_eq!(sample.rate.unwrap().rate, Some(24_000));
}

#[test]
fn what_went_to_a_port_that_is_gone_is_no_loss_to_the_controller() {
    let spy = Spy::default();
    let mut script = spy.script();
    script.send(at(0), 10);
    script.recovery.begin_batch(at(0));
    let before = spy.told().order.len();
    script.out = Outcome::default();
    script.recovery.on_rebound(at(100), &mut script.out);
    assert_eq!(script.lost(), (0..10).collect::<Vec<_>>());
    assert_eq!(spy.told().order.len(), before, "not a word");
    // The gap is the path's, and says nothing of its rate.
    script.send(at(100), 2);
    script.ack(at(200), &[10..=11]);
    let sample = spy.last_ack();
    assert_eq!((sample.newly_acked, sample.lost), (2_400, 0));
    assert!(sample.rate.unwrap().app_limited);
}

#[test]
fn the_quantum_that_a_controller_wants_is_the_pacers() {
    for (wanted, quantum) in [(None, 2_400), (Some(1_200), 1_200), (Some(6_500), 6_000)] {
        let spy = Spy {
            quantum: wanted,
            ..Spy::default()
        };
        assert_eq!(spy.script().recovery.pacer.quantum(), quantum);
    }
    assert_eq!(
        Spy::default().script().recovery.snapshot().state,
        "watching"
    );
}

#[test]
fn another_path_may_be_another_algorithms() {
    let mut script = Script::new();
    script.recovery = Recovery::new(number(0), Congestion::Auto, Setup::new(MTU));
    script.recovery.skips = Skips::new(0, number(u64::MAX), 0);
    let name = |script: &Script| script.recovery.snapshot().algorithm;
    script.send(Time::ZERO, 1);
    assert_eq!(name(&script), "undecided");
    script.ack(Time::from_millis(1), &[0..=0]);
    assert_eq!(name(&script), "CUBIC");
    // From the network of the house into that of the telephone, and back.
    script.recovery.on_new_path(MTU);
    assert_eq!(name(&script), "undecided");
    script.send(Time::from_millis(10), 1);
    script.ack(Time::from_millis(50), &[1..=1]);
    assert_eq!(name(&script), "BBR");
    script.recovery.on_new_path(MTU);
    script.send(Time::from_millis(60), 1);
    script.ack(Time::from_millis(61), &[2..=2]);
    assert_eq!(name(&script), "CUBIC");
}
