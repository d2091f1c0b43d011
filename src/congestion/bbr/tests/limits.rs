//! Long lives, odd numbers, and what the deviations from the draft are good for.

use proptest::prelude::*;

use super::*;

/// The share of the path, hundredths, over 30 seconds after three.
fn goodput(path: Path, setup: Setup) -> u64 {
    let mut flow = Flow::with(path, setup);
    flow.run(secs(3));
    let delivered = flow.run(secs(30));
    share(&flow, delivered, secs(30))
}

fn losing(path: Path, per_mille: u64) -> Path {
    Path {
        loss_ppm: per_mille * 1_000,
        ..path
    }
}

fn tolerating(per_mille: u16) -> Setup {
    Setup {
        loss_tolerance: per_mille,
        ..Setup::new(1_200)
    }
}

#[test]
fn ten_terabytes_do_not_overflow() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    let start = 10_000_000_000_000;
    flow.delivered += start;
    flow.lost += start / 100;
    flow.run(secs(1));
    let delivered = flow.run(secs(20));
    assert!(share(&flow, delivered, secs(20)) >= 93);
}

#[test]
fn noise_of_one_percent_costs_little_more_than_itself() {
    for path in [
        usual(),
        Path::new(20 * MBIT, 200 * MS, 2_500_000),
        Path::new(10 * MBIT, 10 * MS, 62_500),
        Path::new(2 * MBIT, 100 * MS, 125_000),
    ] {
        for per_mille in [1, 5, 10] {
            let got = goodput(losing(path.clone(), per_mille), Setup::new(1_200));
            assert!(got >= 88, "{got} of 100 at {per_mille} per mille, {path:?}");
        }
    }
}

#[test]
fn losses_that_no_queue_explains_cut_the_rate_once() {
    for per_mille in [20, 50] {
        let got = goodput(losing(usual(), per_mille), Setup::new(1_200));
        assert!(got >= 60, "{got} of 100 at {per_mille} per mille");
    }
}

#[test]
fn what_the_configuration_tolerates_is_noise() {
    for per_mille in [30, 50] {
        let got = goodput(losing(usual(), u64::from(per_mille)), tolerating(per_mille));
        assert!(got >= 83, "{got} of 100 at {per_mille} per mille");
    }
}

#[test]
fn a_probe_that_brings_only_a_queue_ends_after_its_second_round() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    let began = flow.bbr.rounds.round_count;
    flow.run_until(State::ProbeBwDown, secs(1));
    assert_eq!(flow.bbr.rounds.round_count - began, 2);
    assert!(flow.queue_bytes() < flow.path.bdp() * 6 / 10);
}

#[test]
fn a_probe_that_overflows_the_queue_leaves_headroom_but_not_less_than_the_path_holds() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    flow.path.queue = flow.path.bdp() / 10;
    flow.run_until(State::ProbeBwDown, secs(1));
    assert!(flow.bbr.cycle.prev_probe_too_high());
    let (bound, bdp) = (flow.bbr.long_term.inflight_longterm, flow.path.bdp());
    assert!(bound >= bdp && bound <= bdp * 12 / 10, "{bound}");
    let delivered = flow.run(secs(2));
    assert!(share(&flow, delivered, secs(2)) >= 80);
}

#[test]
fn a_queue_that_overflows_is_never_noise() {
    // Another flow's queue: full all the time, and it drops one packet in a hundred.
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.run(300 * MS);
    flow.path.rtt = 60 * MS;
    flow.path.loss_ppm = 10_000;
    flow.run(secs(1));
    assert!(flow.bbr.short_term.bw_shortterm < flow.bbr.max_bw.max_bw());
}

#[test]
fn the_draft_to_the_letter_falls_with_every_lossy_round() {
    let path = losing(usual(), 10);
    let mut flow = Flow::new(path);
    flow.bbr = Bbr::by_the_draft(Setup::new(1_200));
    flow.run(secs(3));
    let delivered = flow.run(secs(30));
    let got = share(&flow, delivered, secs(30));
    assert!((55..=85).contains(&got), "{got}");
}

#[test]
fn a_larger_datagram_keeps_the_window_and_raises_its_floor() {
    let mut bbr = Bbr::new(Setup::new(1_200));
    bbr.on_mtu(1_400);
    assert_eq!(bbr.cwnd(), 12_000);
    bbr.on_mtu(9_000);
    assert_eq!(bbr.cwnd(), 36_000);
    bbr.on_mtu(0);
    assert_eq!(bbr.cwnd(), 36_000);
}

#[test]
fn persistent_congestion_leaves_two_packets_until_a_round_without_loss() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.run(200 * MS);
    let cwnd = flow.bbr.cwnd();
    // Five seconds without any arrival.
    flow.path.loss_ppm = 1_000_000;
    flow.run(secs(5));
    flow.bbr.on_congestion(&congested(&flow, Cause::Persistent));
    assert_eq!(flow.bbr.cwnd(), 2 * MTU);
    flow.path.loss_ppm = 0;
    flow.run(secs(1));
    assert!(flow.bbr.cwnd() >= cwnd / 2, "{} of {cwnd}", flow.bbr.cwnd());
    let delivered = flow.run(secs(3));
    assert!(share(&flow, delivered, secs(3)) >= 90);
}

#[test]
fn flows_of_different_seeds_do_not_probe_together() {
    let probes = |seed| {
        let mut flow = Flow::with(
            usual(),
            Setup {
                seed,
                ..Setup::new(1_200)
            },
        );
        flow.run(secs(20));
        let probes = flow
            .states
            .iter()
            .filter(|(_, state)| *state == State::ProbeBwUp);
        probes.map(|&(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(probes(1), probes(1));
    assert!(probes(1).iter().all(|at| !probes(2).contains(at)) || probes(1)[1] != probes(2)[1]);
}

/// Something that a controller can be told, in whatever order.
#[derive(Clone, Debug)]
enum Told {
    Ack(u64, u64, Option<u64>, bool),
    Lost(u64, u64),
    Congested(bool),
    Undo,
    Sent(u64, bool),
    Mtu(u16),
}

fn told() -> impl Strategy<Value = Told> {
    let size = prop_oneof![Just(0), 0..100_000u64, Just(u64::MAX)];
    prop_oneof![
        (
            size.clone(),
            size.clone(),
            proptest::option::of(any::<u64>()),
            any::<bool>()
        )
            .prop_map(|(acked, inflight, rate, limited)| Told::Ack(acked, inflight, rate, limited)),
        (size.clone(), size.clone()).prop_map(|(inflight, lost)| Told::Lost(inflight, lost)),
        any::<bool>().prop_map(Told::Congested),
        Just(Told::Undo),
        (size, any::<bool>()).prop_map(|(inflight, limited)| Told::Sent(inflight, limited)),
        any::<u16>().prop_map(Told::Mtu),
    ]
}

proptest! {
    #[test]
    fn whatever_it_is_told_there_is_a_window_and_a_rate(
        events in proptest::collection::vec((0..3_000u64, told()), 1..300),
        tolerance in 0..=150u16,
    ) {
        let mut bbr = Bbr::new(tolerating(tolerance));
        let (mut now, mut total, mut mtu) = (Time::ZERO, 0u64, 1_200u16);
        for (wait, event) in events {
            now += Duration::from_millis(wait);
            match event {
                Told::Ack(acked, inflight, rate, limited) => {
                    let prior = total;
                    total = total.saturating_add(acked);
                    let mut sample = ack(now, prior, total, rate.unwrap_or(0));
                    (sample.newly_acked, sample.inflight) = (acked, inflight);
                    (sample.rtt, sample.cwnd_limited) = (rate.map(Duration::from_nanos), limited);
                    bbr.on_ack(&sample);
                }
                Told::Lost(inflight, lost) => bbr.on_lost(&LostPacket {
                    now,
                    number: PacketNumber::new(lost),
                    size: lost,
                    sent_at: now,
                    prior_delivered: total,
                    tx_in_flight: inflight,
                    lost,
                    app_limited: false,
                }),
                Told::Congested(persistent) => bbr.on_congestion(&Congested {
                    now,
                    cause: if persistent { Cause::Persistent } else { Cause::Mark },
                    inflight: 0,
                }),
                Told::Undo => bbr.on_undo(now),
                Told::Sent(inflight, app_limited) => bbr.on_sent(&Sent {
                    now,
                    size: 1_200,
                    inflight,
                    app_limited,
                    idle: None,
                }),
                Told::Mtu(bytes) => {
                    mtu = bytes.max(1);
                    bbr.on_mtu(bytes);
                }
            }
            prop_assert!(bbr.cwnd() >= 2 * u64::from(mtu));
            prop_assert!(bbr.pacing_rate(40 * MS) > 0);
            prop_assert!(bbr.send_quantum().is_none_or(|quantum| quantum > 0));
        }
    }
}
