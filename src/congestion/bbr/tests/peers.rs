//! What broke in other implementations of BBR, one test each.

use super::*;

/// A flow fed by hand: every acknowledgement is a round of its own.
struct Fed {
    bbr: Bbr,
    now: Time,
    total: u64,
    next_lost: u64,
}

impl Fed {
    fn new() -> Self {
        Fed {
            bbr: Bbr::new(Setup::new(1_200)),
            now: Time::from_millis(1_000),
            total: 0,
            next_lost: 0,
        }
    }

    /// One more round of 40 ms; `change` may change its acknowledgement.
    fn round(&mut self, rate: u64, change: impl Fn(&mut AckSample)) {
        self.now += 40 * MS;
        let prior = self.total;
        self.total += 500_000;
        let mut sample = ack(self.now, prior, self.total, rate);
        change(&mut sample);
        self.bbr.on_ack(&sample);
    }

    /// `count` packets are lost, every `step`th.
    fn lose(&mut self, count: u64, step: u64) {
        for lost in 1..=count {
            self.next_lost += step;
            self.bbr.on_lost(&LostPacket {
                now: self.now,
                number: PacketNumber::new(self.next_lost),
                size: MTU,
                sent_at: self.now,
                prior_delivered: self.total,
                tx_in_flight: 100 * MTU,
                lost: lost * MTU,
                app_limited: false,
            });
        }
    }
}

fn many_lost(sample: &mut AckSample) {
    if let Some(rate) = &mut sample.rate {
        rate.lost = 30 * MTU;
    }
}

#[test]
fn startup_counts_runs_of_losses_and_not_packets() {
    for (step, ends) in [(1, false), (2, true)] {
        let mut fed = Fed::new();
        fed.round(50 * MBIT, |_| ());
        fed.lose(30, step);
        // The acknowledgement that dates the loss, and the one that ends its round.
        fed.round(70 * MBIT, many_lost);
        fed.round(90 * MBIT, many_lost);
        let ended = fed.bbr.state != State::Startup;
        assert_eq!(ended, ends, "every {step}th packet lost");
    }
}

/// The rate at which Startup ends where `loss_ppm` of a million packets are lost, hundredths of the path's.
fn rate_after_startup(by_the_draft: bool, seed: u64, loss_ppm: u64) -> u64 {
    let setup = Setup {
        seed,
        ..Setup::new(1_200)
    };
    let mut flow = Flow::with(usual(), setup);
    flow.bbr.by_the_draft = by_the_draft;
    flow.path.loss_ppm = loss_ppm;
    flow.run_while(flow.now + secs(5), |flow| flow.bbr.state == State::Startup);
    assert!(flow.bbr.full_pipe.full_bw_reached, "{loss_ppm}");
    flow.bbr.max_bw.max_bw() * 100 / flow.path.rate
}

#[test]
fn high_loss_ends_startup_though_the_rate_grows() {
    for seed in 0..20 {
        let draft = rate_after_startup(true, seed, 100_000);
        let ours = rate_after_startup(false, seed, 300_000);
        assert!(draft <= 50 && ours <= 50, "seed {seed}: {draft} {ours}");
    }
}

#[test]
fn losses_without_a_queue_do_not_end_startup_before_the_path_is_full() {
    for seed in 0..20 {
        let rate = rate_after_startup(false, seed, 50_000);
        assert!(rate >= 85, "seed {seed}: {rate}");
    }
}

#[test]
fn losses_in_startup_leave_the_short_term_bounds_alone() {
    let mut flow = Flow::new(usual());
    flow.path.loss_ppm = 10_000;
    flow.run_while(flow.now + secs(1), |flow| flow.bbr.state == State::Startup);
    assert!(flow.lost > 0);
    assert_eq!(flow.bbr.short_term.bw_shortterm, UNBOUNDED);
    assert_eq!(flow.bbr.short_term.inflight_shortterm, UNBOUNDED);
}

#[test]
fn coexistence_counts_rounds_by_packets_and_not_by_bytes() {
    // 20 packets in flight: a Reno flow would win its window back in 20 rounds of 20 ms, not in 24,000.
    let path = Path::new(20 * MTU * 50, 20 * MS, 10 * 20 * MTU);
    let mut flow = flow_in(State::ProbeBwDown, path);
    let (began, round) = (flow.now, flow.bbr.rounds.round_count);
    flow.run_while(flow.now + secs(5), |flow| {
        flow.bbr.state != State::ProbeBwRefill
    });
    let rounds = flow.bbr.rounds.round_count - round;
    assert!((17..=23).contains(&rounds), "{rounds}");
    assert!(flow.now - began < secs(1));
}

#[test]
fn the_first_acknowledgement_is_a_valid_sample() {
    let mut bbr = Bbr::new(Setup::new(1_200));
    bbr.on_ack(&ack(Time::from_millis(1_040), 0, MTU, 30_000));
    assert_eq!(bbr.max_bw.max_bw(), 30_000);
    assert_eq!(bbr.rounds.round_count, 1);
    assert_eq!(bbr.cwnd(), 11 * MTU);
}

#[test]
fn the_window_reaches_the_gain_times_what_the_path_holds() {
    let flow = flow_in(State::ProbeBwRefill, usual());
    let bdp = flow.path.bdp();
    assert!(flow.bbr.cwnd() >= 19 * bdp / 10, "{}", flow.bbr.cwnd());
    assert!(flow.bbr.cwnd() <= 22 * bdp / 10, "{}", flow.bbr.cwnd());
}

#[test]
fn the_long_term_bound_grows_only_if_the_window_was_full_when_packets_left() {
    for (cwnd_limited, grows) in [(false, false), (true, true)] {
        let mut flow = flow_in(State::ProbeBwUp, usual());
        let mut bbr = flow.bbr.clone();
        bbr.long_term.inflight_longterm = bbr.cwnd;
        let bound = bbr.cwnd;
        for _ in 0..20 {
            flow.now += 2 * MS;
            let mut sample = ack(
                flow.now,
                flow.delivered,
                flow.delivered + 100_000,
                100 * MBIT,
            );
            (sample.newly_acked, sample.cwnd_limited) = (100_000, cwnd_limited);
            flow.delivered += 100_000;
            bbr.on_ack(&sample);
        }
        let grown = bbr.long_term.inflight_longterm > bound;
        assert_eq!(grown, grows, "window full: {cwnd_limited}");
    }
}

#[test]
fn the_rate_filter_advances_once_for_each_cycle() {
    let mut flow = flow_in(State::ProbeBwDown, usual());
    flow.run_until(State::ProbeBwCruise, secs(2));
    // The rate halves while cruising: two cycles, not two rounds, go by until it is believed.
    let max_bw = flow.bbr.max_bw.max_bw();
    flow.path.rate /= 2;
    flow.run(secs(1));
    assert_eq!(flow.bbr.max_bw.max_bw(), max_bw);
    let probes = flow.entered(State::ProbeBwUp);
    flow.run_while(flow.now + secs(20), |flow| {
        flow.bbr.max_bw.max_bw() > max_bw * 6 / 10
    });
    assert_eq!(flow.entered(State::ProbeBwUp) - probes, 2);
}

#[test]
fn the_pacing_rate_begins_with_the_first_round_trip() {
    let bbr = Bbr::new(Setup::new(1_200));
    assert_eq!(bbr.pacing_rate(100 * MS), 332_400);
    let mut bbr = Bbr::new(Setup::new(1_200));
    bbr.on_ack(&AckSample {
        srtt: 100 * MS,
        ..ack(Time::from_millis(1_100), 0, MTU, 10_000)
    });
    assert_eq!(bbr.pacing_rate(Duration::ZERO), 332_400);
}

#[test]
fn the_quantum_follows_the_pacing_rate_between_two_packets_and_64_kib() {
    let quantum = |rate: u64| {
        let mut fed = Fed::new();
        (0..6).for_each(|_| fed.round(rate, |_| ()));
        let paced = fed.bbr.pacing_rate(40 * MS);
        (fed.bbr.send_quantum(), paced / 1_000)
    };
    assert_eq!(Bbr::new(Setup::new(1_200)).send_quantum(), None);
    assert_eq!(quantum(MBIT / 10).0, Some(2 * MTU));
    let (usual, millisecond) = quantum(100 * MBIT);
    assert_eq!(usual, Some(millisecond));
    assert_eq!(quantum(10_000 * MBIT).0, Some(64 << 10));
}

#[test]
fn packets_leave_one_percent_slower_than_the_path_delivers() {
    let flow = flow_in(State::ProbeBwCruise, usual());
    let rate = flow.bbr.pacing_rate(40 * MS);
    let whole = flow.bbr.bw;
    assert!(rate.abs_diff(whole * 99 / 100) <= 1, "{rate} of {whole}");
}

#[test]
fn rounds_that_the_application_limits_do_not_count_as_full() {
    let mut fed = Fed::new();
    for _ in 0..50 {
        fed.round(10 * MBIT, |sample| {
            if let Some(rate) = &mut sample.rate {
                rate.app_limited = true;
            }
        });
    }
    assert_eq!(fed.bbr.state, State::Startup);
    (0..4).for_each(|_| fed.round(10 * MBIT, |_| ()));
    assert_ne!(fed.bbr.state, State::Startup);
}

#[test]
fn a_window_acknowledged_at_once_is_not_a_silence() {
    let sent = |app_limited| Sent {
        now: Time::from_millis(9_000),
        size: MTU,
        inflight: 0,
        app_limited,
        idle: Some(secs(1)),
    };
    let mut fed = Fed::new();
    (0..9).for_each(|_| fed.round(10 * MBIT, |_| ()));
    fed.bbr.on_sent(&sent(false));
    fed.bbr.on_sent(&sent(true));
    assert!(
        !fed.bbr.idle_restart,
        "only the packet after the last has it"
    );
    fed.bbr.on_sent(&sent(false));
    assert!(fed.bbr.idle_restart);
}

#[test]
fn a_path_of_one_second_is_filled_and_kept_full() {
    let mut flow = Flow::new(Path::new(20 * MBIT, secs(1), 2_500_000));
    // The request that is answered first, then all there is.
    flow.app = App::Rate(MBIT / 10);
    flow.run(200 * MS);
    flow.app = App::Bulk;
    flow.run(secs(20));
    let delivered = flow.run(secs(100));
    assert!(share(&flow, delivered, secs(100)) >= 90);
}

#[test]
fn a_round_trip_of_ten_microseconds_does_not_freeze_the_window() {
    let mut flow = Flow::new(Path::new(1_000 * MBIT, Duration::from_micros(10), 200_000));
    flow.run(100 * MS);
    assert!(flow.bbr.cwnd() > 20 * MTU, "{}", flow.bbr.cwnd());
    let delivered = flow.run(200 * MS);
    assert!(share(&flow, delivered, 200 * MS) >= 90);
}

#[test]
fn a_controller_that_hears_of_no_packet_sent_still_finds_the_rate() {
    let mut fed = Fed::new();
    (0..20).for_each(|_| fed.round(100 * MBIT, |_| ()));
    assert_eq!(fed.bbr.max_bw.max_bw(), 100 * MBIT);
    assert!(fed.bbr.state.is_probe_bw());
}

#[test]
fn samples_of_the_measurement_do_not_lower_the_rate() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.path.rtt = 45 * MS;
    let max_bw = flow.bbr.max_bw.max_bw();
    flow.run_until(State::ProbeRtt, secs(6));
    flow.run_until(State::ProbeBwCruise, secs(1));
    assert!(flow.bbr.max_bw.max_bw() >= max_bw * 98 / 100);
    let delivered = flow.run(secs(5));
    assert!(share(&flow, delivered, secs(5)) >= 90);
}

#[test]
fn a_loss_is_answered_at_the_end_of_its_round_and_once() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.run(300 * MS);
    let max_bw = flow.bbr.max_bw.max_bw();
    for number in 0..50 {
        let packet = lost_packet(&flow, number, flow.inflight, (number + 1) * MTU);
        flow.bbr.on_lost(&packet);
    }
    assert_eq!(flow.bbr.short_term.bw_shortterm, UNBOUNDED);
    flow.run(100 * MS);
    let once = flow.bbr.short_term.bw_shortterm;
    assert!(
        once >= max_bw * 7 / 10 && once <= max_bw,
        "{once} of {max_bw}"
    );
    flow.run(400 * MS);
    assert_eq!(flow.bbr.short_term.bw_shortterm, once);
}

#[test]
fn a_mark_is_no_noise() {
    let cut = |is_marked: bool| {
        let mut flow = flow_in(State::ProbeBwCruise, usual());
        flow.run(300 * MS);
        let packet = lost_packet(&flow, 0, flow.inflight, MTU);
        flow.bbr.on_lost(&packet);
        if is_marked {
            flow.bbr.on_congestion(&congested(&flow, Cause::Mark));
        }
        flow.run(100 * MS);
        flow.bbr.short_term.bw_shortterm < UNBOUNDED
    };
    assert!(!cut(false), "one packet of hundreds");
    assert!(cut(true));
}

#[test]
fn a_probe_sends_a_quarter_more_and_not_a_third() {
    let flow = flow_in(State::ProbeBwUp, usual());
    let rate = flow.bbr.pacing_rate(40 * MS);
    let wanted = flow.bbr.bw * 125 * 99 / 10_000;
    assert!(rate.abs_diff(wanted) <= 1, "{rate}, {wanted}");
}

#[test]
fn startup_fills_its_window_in_half_a_round_trip_and_the_draft_in_more() {
    for (by_the_draft, percent) in [(false, 400), (true, 277)] {
        let mut flow = Flow::new(usual());
        flow.bbr.by_the_draft = by_the_draft;
        flow.run(200 * MS);
        assert_eq!(flow.bbr.state, State::Startup);
        let rate = flow.bbr.pacing_rate(40 * MS);
        let wanted = flow.bbr.bw * percent * 99 / 10_000;
        assert!(rate.abs_diff(wanted) <= 1, "{rate}, {wanted}");
    }
}
