//! The detectors alone, told the time by hand. Over networks and processes: `tests/sim/detect.rs`, `tests/real/detect.rs`.

use std::time::Duration;

use super::*;
use crate::error::CloseReason;
use crate::time::Time;

const BEAT: Duration = Duration::from_millis(100);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A detector that has heard a steady peer until this time.
fn steady(config: PhiConfig, until: u64) -> PhiAccrual {
    let mut peer = PhiAccrual::new(config);
    for beat in 1..=until / 100 {
        peer.heard(at(100 * beat));
    }
    peer
}

#[test]
fn suspicion_grows_without_bound_and_never_falls_while_silent() {
    for config in [PhiConfig::default(), PhiConfig::for_interval(BEAT)] {
        let peer = steady(config, 5_000);
        let mut last = -1.0;
        for silence in 0..100_000 {
            let level = peer.level(at(5_000 + silence));
            assert!(
                level >= last && level.is_finite(),
                "{level} after {silence} ms"
            );
            last = level;
        }
        assert!(last > 1_000.0);
    }
}

#[test]
fn level_and_silence_are_each_others_inverse() {
    let peer = steady(PhiConfig::for_interval(BEAT), 5_000);
    for phi in [0.1, 0.5, 1.0, 3.0, 8.0, 16.0, 50.0] {
        let silence = peer.silence_of(phi);
        let back = peer.level(at(5_000) + silence);
        assert!((back - phi).abs() < 0.001, "{phi} came back as {back}");
    }
}

/// One standard deviation is phi 0.8, two are 1.64, three 2.87; the approximation is off by less than 0.05.
#[test]
fn phi_is_the_tail_of_the_normal_distribution() {
    let mut peer = PhiAccrual::new(PhiConfig::default());
    for beat in 1..=200 {
        peer.heard(at(100 * beat));
    }
    for (deviations, tail) in [
        (0_u64, 0.5_f64),
        (1, 0.158_655),
        (2, 0.022_750),
        (3, 0.001_350),
    ] {
        let phi = peer.level(at(20_100 + 50 * deviations));
        assert!((phi + tail.log10()).abs() < 0.05, "{deviations}: {phi}");
    }
}

#[test]
fn a_jittery_path_is_given_more_time() {
    let calm = steady(PhiConfig::default(), 20_000);
    let mut rough = PhiAccrual::new(PhiConfig::default());
    let mut now = at(0);
    for beat in 0..201_u64 {
        now += Duration::from_millis(if beat % 2 == 0 { 10 } else { 190 });
        rough.heard(now);
    }
    assert_eq!(rough.mean(), BEAT);
    assert_eq!(rough.std(), Duration::from_millis(90));
    assert!(rough.silence_of(8.0) > calm.silence_of(8.0) + Duration::from_millis(200));
}

#[test]
fn only_the_window_is_remembered() {
    let mut peer = PhiAccrual::new(PhiConfig {
        window: 10,
        ..PhiConfig::default()
    });
    let mut now = at(0);
    for interval in [300; 50].into_iter().chain([120; 11]) {
        now += Duration::from_millis(interval);
        peer.heard(now);
    }
    assert_eq!(
        (peer.mean(), peer.std()),
        (Duration::from_millis(120), Duration::from_millis(50))
    );
}

#[test]
fn an_outage_does_not_blunt_the_detector() {
    let mut peer = steady(PhiConfig::for_interval(BEAT), 5_000);
    let before = peer.silence_of(8.0);
    assert!(matches!(peer.liveness(at(65_000)), Liveness::Dead { .. }));
    peer.heard(at(65_000));
    assert_eq!(peer.liveness(at(65_000)), Liveness::Alive);
    assert_eq!(peer.silence_of(8.0), before);
}

#[test]
fn a_check_at_the_time_it_asked_for_finds_the_change() {
    let mut deadline = Deadline::new(Duration::from_millis(500));
    deadline.heard(at(5_000));
    let phi = steady(PhiConfig::for_interval(BEAT), 5_000);
    fn walk(detector: &impl Detector) {
        let mut now = at(5_000);
        assert_eq!(detector.liveness(now), Liveness::Alive);
        now = detector.next_check(now).expect("it may become suspect");
        assert!(matches!(detector.liveness(now), Liveness::Suspect { since, .. } if since == now));
        now = detector.next_check(now).expect("it may die");
        assert_eq!(detector.liveness(now), Liveness::Dead { since: now });
        assert_eq!(detector.next_check(now), None);
    }
    walk(&deadline);
    walk(&phi);
}

#[test]
fn a_peer_that_was_never_heard_is_unknown_for_ever() {
    let deadline = Deadline::new(BEAT);
    let phi = PhiAccrual::new(PhiConfig::default());
    for detector in [&deadline as &dyn Detector, &phi] {
        assert_eq!(detector.liveness(at(1_000_000)), Liveness::Unknown);
        assert_eq!(detector.next_check(at(1)), None);
    }
}

#[test]
fn a_pinger_asks_only_when_nothing_else_is_heard() {
    let mut pinger = Pinger::new(BEAT, Deadline::new(Duration::from_millis(500)));
    let mut pings = 0;
    for millis in 0..10_000 {
        // The peer talks for five seconds, then stops.
        if millis < 5_000 && millis % 20 == 0 {
            pinger.evidence(at(millis));
        }
        while let Some(event) = pinger.poll(at(millis)) {
            match event {
                PingEvent::Ping(_) => {
                    pings += 1;
                    assert!(
                        millis >= 5_000,
                        "a ping at {millis} ms to a peer that talks"
                    );
                }
                PingEvent::Up => assert_eq!(millis, 0),
                PingEvent::Suspect(_) => assert_eq!(millis, 4_980 + 250),
                PingEvent::Down => assert_eq!(millis, 4_980 + 500),
            }
        }
    }
    assert!((49..=51).contains(&pings), "{pings} pings in five seconds");
    pinger.evidence(at(10_000));
    assert_eq!(pinger.poll(at(10_000)), Some(PingEvent::Up));
}

#[test]
fn pongs_that_nobody_waits_for_prove_nothing() {
    let mut pinger = Pinger::new(BEAT, Deadline::new(Duration::from_millis(500)));
    assert_eq!(pinger.poll(at(1)), Some(PingEvent::Ping(1)));
    assert_eq!(pinger.on_pong(at(2), 9), None);
    assert_eq!(pinger.poll(at(2)), None);
    assert_eq!(pinger.on_pong(at(3), 1), Some(Duration::from_millis(2)));
    assert_eq!(pinger.on_pong(at(4), 1), None, "a copy");
    // Only the latest few are awaited.
    for second in 1..100 {
        while pinger.poll(at(1_000 * second)).is_some() {}
    }
    assert_eq!(pinger.on_pong(at(100_000), 2), None);
}

/// A watcher of one node, looked at each ten milliseconds.
struct Watch {
    nodes: Heartbeats<char>,
    now: Time,
}

impl Watch {
    fn new() -> Self {
        let mut nodes = Heartbeats::new(HeartbeatsConfig::default());
        nodes.watch('b');
        Watch { nodes, now: at(1) }
    }

    /// Lets time pass, with heartbeats of this incarnation, or none.
    fn pass(&mut self, time: u64, incarnation: Option<u64>) -> Vec<PeerEvent<char>> {
        let mut events = Vec::new();
        for step in 0..time / 10 {
            if let Some(incarnation) = incarnation.filter(|_| step % 10 == 0) {
                self.nodes.heard(self.now, &'b', incarnation);
            }
            events.extend(std::iter::from_fn(|| self.nodes.poll(self.now)));
            self.now += Duration::from_millis(10);
        }
        events
    }
}

#[test]
fn d1_a_silent_node_is_down_within_a_second_of_its_last_heartbeat() {
    let mut watch = Watch::new();
    assert_eq!(watch.pass(5_000, Some(1)), [PeerEvent::Up('b')]);
    let silent_from = watch.now;
    let events = watch.pass(900, None);
    println!("{events:?} after {:?}", watch.now - silent_from);
    let down = PeerEvent::Down('b', Verdict::PathDead);
    assert!(matches!(&events[..], [PeerEvent::Suspect('b', _), last] if *last == down));
}

#[test]
fn d4_whoever_was_stopped_himself_suspects_nobody() {
    let mut watch = Watch::new();
    watch.pass(5_000, Some(1));
    for pause in [200, 2_000, 60_000] {
        watch.now += Duration::from_millis(pause);
        // Nothing has come yet when he looks first; then it does.
        assert_eq!(watch.nodes.poll(watch.now), None, "after {pause} ms");
        assert_eq!(watch.pass(2_000, Some(1)), []);
    }
    // But silence that goes on after the pause is silence.
    watch.now += Duration::from_secs(2);
    assert!(
        watch
            .pass(1_000, None)
            .contains(&PeerEvent::Down('b', Verdict::PathDead))
    );
}

#[test]
fn d5_a_new_incarnation_is_a_restart_and_the_old_one_is_heard_no_more() {
    let mut watch = Watch::new();
    watch.pass(1_000, Some(1));
    assert_eq!(watch.pass(500, Some(2)), [PeerEvent::Restarted('b')]);
    assert!(
        !watch.nodes.heard(watch.now, &'b', 1),
        "a late packet of the dead"
    );
    assert_eq!(watch.pass(500, Some(2)), []);
    assert_eq!(watch.nodes.incarnation(&'b'), Some(2));
    // Down, and then back as another.
    assert!(
        watch
            .pass(1_000, None)
            .contains(&PeerEvent::Down('b', Verdict::PathDead))
    );
    assert_eq!(watch.pass(500, Some(3)), [PeerEvent::Restarted('b')]);
    // Down, and then back as the same.
    watch.pass(1_000, None);
    assert_eq!(watch.pass(500, Some(3)), [PeerEvent::Up('b')]);
    // However often it is started, little is remembered.
    for incarnation in 4..10_000 {
        watch.nodes.heard(watch.now, &'b', incarnation);
    }
    assert_eq!(
        std::iter::from_fn(|| watch.nodes.poll(watch.now)).count(),
        1
    );
}

#[test]
fn strangers_are_not_heard() {
    let mut watch = Watch::new();
    assert!(!watch.nodes.heard(watch.now, &'x', 1));
    assert_eq!(watch.nodes.level(watch.now, &'x'), None);
    watch.pass(500, Some(1));
    watch.nodes.forget(&'b');
    assert_eq!(watch.pass(5_000, Some(1)), []);
}

#[test]
fn the_transport_tells_a_dead_process_from_a_stalled_one() {
    let heard = Evidence {
        since_heard: Some(Duration::from_millis(5)),
        ..Evidence::default()
    };

    // It acknowledges, but its heartbeats have stopped.
    let mut watch = Watch::new();
    watch.pass(2_000, Some(1));
    let mut events = Vec::new();
    for _ in 0..20 {
        watch.nodes.observe(watch.now, &'b', &heard);
        events.extend(watch.pass(100, None));
    }
    assert_eq!(events, [PeerEvent::Stalled('b')]);
    assert_eq!(watch.pass(100, Some(1)), [PeerEvent::Up('b')]);

    // It beats, but its application reads nothing of what lies there.
    let stuck = Evidence {
        unread: 70,
        read: 30,
        ..heard.clone()
    };
    let mut events = Vec::new();
    for _ in 0..60 {
        watch.nodes.observe(watch.now, &'b', &stuck);
        events.extend(watch.pass(100, Some(1)));
    }
    assert_eq!(events, [PeerEvent::Stalled('b')]);
    watch.nodes.observe(
        watch.now,
        &'b',
        &Evidence {
            unread: 70,
            read: 31,
            ..heard.clone()
        },
    );
    assert_eq!(watch.pass(100, Some(1)), [PeerEvent::Up('b')]);

    // Its host says that nobody is there.
    let gone = Evidence {
        failure: Some(CloseReason::Gone),
        ..heard.clone()
    };
    watch.nodes.observe(watch.now, &'b', &gone);
    assert_eq!(
        watch.nodes.poll(watch.now),
        Some(PeerEvent::Down('b', Verdict::ProcessDead))
    );

    // A connection that timed out says nothing of the process.
    let after = Duration::from_secs(60);
    let cut = Evidence {
        failure: Some(CloseReason::TimedOut { after }),
        ..heard
    };
    let mut watch = Watch::new();
    watch.pass(1_000, Some(1));
    watch.nodes.observe(watch.now, &'b', &cut);
    assert_eq!(watch.nodes.poll(watch.now), None);
}

#[test]
fn beats_that_are_none_are_refused() {
    let beat = Beat {
        interval: BEAT,
        incarnation: 0x0102_0304_0506_0708,
        number: 9,
    };
    let bytes = beat.encode();
    assert_eq!(bytes[..8], *b"AQHB\x01\x00\x00\x64");
    for at in 0..BEAT_BYTES {
        assert_eq!(Beat::decode(&bytes[..at]), None);
    }
    for at in 0..5 {
        let mut other = bytes;
        other[at] ^= 1;
        assert_eq!(Beat::decode(&other), None);
    }
    let longer = [&bytes[..], b"more"].concat();
    assert_eq!(Beat::decode(&longer), Some(beat));
    let slow = Beat {
        interval: Duration::from_secs(100),
        ..beat
    };
    assert_eq!(
        Beat::decode(&slow.encode()).map(|beat| beat.interval),
        Some(Duration::from_millis(65_535))
    );
}
