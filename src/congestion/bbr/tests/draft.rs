//! The 22 example test cases of the draft's appendix A (draft-ietf-ccwg-bbr-06, A.1 to A.22), in its order and by its
//! numbers; by the letter where the deviations matter. One more is of the precautionary probe, which has no case there.

use super::*;

#[test]
fn a01_startup_ends_when_the_rate_does_not_grow_for_three_rounds() {
    let mut flow = Flow::new(usual());
    flow.run_until(State::Drain, secs(2));
    assert!(flow.bbr.full_pipe.full_bw_now && flow.bbr.full_pipe.full_bw_reached);
    let max_bw = flow.bbr.max_bw.max_bw();
    assert!(max_bw.abs_diff(100 * MBIT) <= 2 * MBIT, "{max_bw}");
    assert_eq!(flow.lost, 0);
    let rounds = flow.bbr.rounds.round_count;
    assert!((8..=13).contains(&rounds), "{rounds} rounds");
}

#[test]
fn a02_startup_ends_by_loss_also_when_the_application_is_the_limit() {
    let mut flow = Flow::new(usual());
    flow.bbr = Bbr::by_the_draft(Setup::new(1_200));
    flow.app = App::Rate(30 * MBIT);
    flow.run(secs(1));
    assert_eq!(flow.bbr.state, State::Startup);
    flow.path.loss_ppm = 100_000;
    flow.run_while(flow.now + secs(1), |flow| flow.bbr.state == State::Startup);
    // Little is in flight, so that Drain and Down end with the same acknowledgement.
    assert!(flow.bbr.state.is_probe_bw());
    assert!(flow.bbr.full_pipe.full_bw_now && flow.bbr.full_pipe.full_bw_reached);
    assert!(flow.bbr.long_term.is_bounded());
}

#[test]
fn a03_drain_ends_when_no_more_is_in_flight_than_the_path_holds() {
    let mut flow = Flow::new(usual());
    flow.run_until(State::Drain, secs(2));
    assert_eq!(State::Drain.pacing_gain(), 50);
    let target = flow.bbr.inflight_at(flow.bbr.bw);
    assert!(flow.inflight > target);
    flow.run_while(flow.now + secs(1), |flow| flow.bbr.state == State::Drain);
    assert!(flow.bbr.state.is_probe_bw());
    assert!(flow.inflight <= target, "{} of {target}", flow.inflight);
}

#[test]
fn a04_drain_ends_after_three_rounds_whatever_is_in_flight() {
    let mut flow = Flow::new(usual());
    flow.run_until(State::Drain, secs(2));
    let began = flow.bbr.drain_start_round;
    flow.path.rate /= 4;
    flow.run_while(flow.now + secs(5), |flow| flow.bbr.state == State::Drain);
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    assert!(flow.inflight > flow.bbr.inflight_at(flow.bbr.bw));
    assert_eq!(flow.bbr.rounds.round_count, began + 4);
}

#[test]
fn a05_a_probe_ends_when_the_rate_does_not_grow_for_three_rounds() {
    let mut flow = draft_flow_in(State::ProbeBwUp, usual());
    let began = flow.bbr.rounds.round_count;
    flow.run_while(flow.now + secs(2), |flow| {
        flow.bbr.state == State::ProbeBwUp
    });
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    assert!(flow.bbr.full_pipe.full_bw_now);
    assert_eq!(flow.bbr.rounds.round_count - began, 3);
    assert_eq!(flow.lost, 0);
}

#[test]
fn a06_a_probe_ends_by_loss_also_when_the_application_is_the_limit() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    flow.app = App::Rate(50 * MBIT);
    flow.run(80 * MS);
    assert_eq!(flow.bbr.state, State::ProbeBwUp);
    flow.path.loss_ppm = 100_000;
    flow.run_while(flow.now + secs(1), |flow| {
        flow.bbr.state == State::ProbeBwUp
    });
    assert!(flow.bbr.state.is_probe_bw_but_up());
    assert!(flow.bbr.cycle.prev_probe_too_high());
    // What was in flight was little because little was to be sent: that is no bound.
    assert!(!flow.bbr.long_term.is_bounded());
}

#[test]
fn a07_without_loss_an_application_that_is_the_limit_ends_neither_startup_nor_a_probe() {
    let mut starting = Flow::new(usual());
    starting.app = App::Rate(20 * MBIT);
    starting.run(secs(4));
    assert_eq!(starting.bbr.state, State::Startup);
    let mut probing = flow_in(State::ProbeBwUp, usual());
    probing.app = App::Rate(20 * MBIT);
    probing.run(secs(2));
    assert_eq!(probing.bbr.state, State::ProbeBwUp);
}

#[test]
fn a08_making_room_ends_when_the_queue_is_gone() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    flow.run_until(State::ProbeBwDown, secs(1));
    assert_eq!(State::ProbeBwDown.pacing_gain(), 90);
    assert!(flow.queue_bytes() > 100_000);
    flow.run_until(State::ProbeBwCruise, secs(2));
    assert!(flow.inflight <= flow.bbr.inflight_at(flow.bbr.max_bw.max_bw()));
    assert!(flow.queue_bytes() < 50_000, "{}", flow.queue_bytes());
}

#[test]
fn a09_making_room_ends_by_time_and_goes_straight_to_the_next_probe() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    flow.run_until(State::ProbeBwDown, secs(1));
    let began = flow.now;
    flow.bbr.min_rtt.schedule(flow.now);
    flow.path.rate = flow.path.rate * 85 / 100;
    flow.run_while(flow.now + secs(4), |flow| {
        flow.bbr.state == State::ProbeBwDown
    });
    assert_eq!(flow.bbr.state, State::ProbeBwRefill);
    assert!(flow.now - began >= secs(2), "{:?}", flow.now - began);
}

#[test]
fn a10_every_five_seconds_half_a_pipe_is_in_flight_for_200_ms() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    // A queue that others keep: no round trip is as short as before.
    flow.path.rtt = 45 * MS;
    flow.run_until(State::ProbeRtt, secs(6));
    let began = flow.now;
    flow.run(100 * MS);
    assert_eq!(flow.bbr.state.cwnd_gain(), 50);
    assert!(flow.inflight <= flow.bbr.bdp() / 2, "{}", flow.inflight);
    flow.run_while(flow.now + secs(1), |flow| flow.bbr.state == State::ProbeRtt);
    let took = flow.now - began;
    assert!(took > 200 * MS && took < 350 * MS, "{took:?}");
    assert_eq!(flow.bbr.state, State::ProbeBwCruise);
    let delivered = flow.run(secs(1));
    assert!(share(&flow, delivered, secs(1)) >= 90);
}

#[test]
fn a11_a_silence_stands_in_for_the_measurement() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.app = App::Rate(MBIT);
    flow.run(200 * MS);
    flow.app = App::Silent;
    flow.run(secs(6));
    assert_eq!(flow.inflight, 0);
    flow.app = App::Bulk;
    flow.run(MS);
    assert!(flow.bbr.idle_restart);
    let before = flow.entered(State::ProbeRtt);
    flow.run(secs(1));
    assert_eq!(flow.entered(State::ProbeRtt), before);
    assert!(!flow.bbr.idle_restart);
}

#[test]
fn a12_startup_finds_the_rate_of_a_link_that_gathers_acknowledgements() {
    let mut flow = Flow::new(Path {
        aggregation: 20 * MS,
        ..usual()
    });
    flow.run_until(State::Drain, secs(3));
    let max_bw = flow.bbr.max_bw.max_bw();
    assert!((95 * MBIT..=115 * MBIT).contains(&max_bw), "{max_bw}");
    assert!(flow.bbr.cwnd() > 2 * flow.path.bdp());
}

#[test]
fn a13_a_link_that_gathers_acknowledgements_is_kept_busy_while_cruising() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.path.aggregation = 50 * MS;
    flow.run(secs(3));
    let round = flow.bbr.rounds.round_count;
    let extra = flow.bbr.extra_acked.extra_acked(round);
    assert!(extra > flow.path.bdp() / 2, "{extra}");
    let delivered = flow.run(secs(5));
    assert!(share(&flow, delivered, secs(5)) >= 93);
}

#[test]
fn a14_a_path_that_holds_less_than_a_packet_has_four_in_flight() {
    let mut flow = Flow::new(Path::new(8_000, 20 * MS, 100_000));
    flow.run(secs(60));
    assert!(flow.bbr.state.is_probe_bw() || flow.bbr.state == State::ProbeRtt);
    // Four of 1,200 bytes take 600 ms, which is then the shortest round trip: twice that, and an extra one.
    let window = flow.bbr.cwnd() / MTU;
    assert!((4..=12).contains(&window), "{window}");
    assert!(flow.bbr.pacing_rate(20 * MS) <= 10_000);
    let delivered = flow.run(secs(60));
    assert!(share(&flow, delivered, secs(60)) >= 93);
}

#[test]
fn a15_ten_times_the_rate_is_found_in_rounds_that_grow_with_its_logarithm() {
    let mut flow = Flow::new(Path::new(10 * MBIT, 40 * MS, 50_000));
    flow.run(secs(15));
    flow.path = Path::new(100 * MBIT, 40 * MS, 500_000);
    flow.run(secs(10));
    let delivered = flow.run(secs(5));
    assert!(share(&flow, delivered, secs(5)) >= 90);
}

#[test]
fn a16_a_tenth_of_the_rate_is_believed_after_two_cycles() {
    let mut flow = Flow::new(Path::new(100 * MBIT, 40 * MS, 500_000));
    flow.run(secs(15));
    flow.path.rate = 10 * MBIT;
    flow.path.queue = 50_000;
    flow.run_while(flow.now + secs(2), |flow| flow.bbr.bw >= 30 * MBIT);
    assert!(flow.bbr.bw < 30 * MBIT, "{}", flow.bbr.bw);
    // Two measurements of the round trip fall into this time, and each puts the next probe off.
    flow.run(secs(9));
    let max_bw = flow.bbr.max_bw.max_bw();
    assert!(max_bw <= 11 * MBIT, "{max_bw}");
    let delivered = flow.run(secs(5));
    assert!(share(&flow, delivered, secs(5)) >= 90);
}

#[test]
fn a17_a_policer_is_obeyed_without_losing_all_the_time() {
    let mut flow = Flow::new(Path {
        policer_burst: Some(125_000),
        ..Path::new(10 * MBIT, 40 * MS, 0)
    });
    flow.run(secs(20));
    let before = flow.lost;
    let delivered = flow.run(secs(20));
    assert!(share(&flow, delivered, secs(20)) >= 85);
    let lost = (flow.lost - before) * 1_000 / delivered;
    assert!(lost <= 50, "{lost} per mille");
}

#[test]
fn a18_spurious_losses_give_back_what_they_took() {
    let mut flow = flow_in(State::ProbeBwUp, usual());
    flow.run(20 * MS);
    let cwnd = flow.bbr.cwnd();
    for number in 0..40 {
        let packet = lost_packet(&flow, number, flow.inflight, (number + 1) * MTU);
        flow.bbr.on_lost(&packet);
    }
    flow.bbr.on_congestion(&congested(&flow, Cause::Loss));
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    assert!(flow.bbr.long_term.is_bounded());
    flow.bbr.on_undo(flow.now);
    assert_eq!(flow.bbr.state, State::ProbeBwRefill);
    assert!(!flow.bbr.long_term.is_bounded());
    assert!(flow.bbr.cwnd() >= cwnd);
    flow.run_until(State::ProbeBwUp, secs(1));
}

#[test]
fn a18_spurious_losses_give_back_the_short_term_bounds() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.run(200 * MS);
    flow.path.loss_ppm = 200_000;
    flow.run_while(flow.now + secs(1), |flow| {
        flow.bbr.short_term.bw_shortterm == UNBOUNDED
    });
    assert!(flow.bbr.short_term.inflight_shortterm < UNBOUNDED);
    flow.bbr.on_undo(flow.now);
    assert_eq!(flow.bbr.short_term.bw_shortterm, UNBOUNDED);
    assert_eq!(flow.bbr.short_term.inflight_shortterm, UNBOUNDED);
}

#[test]
fn a19_a_spurious_timeout_gives_back_the_window() {
    let mut flow = flow_in(State::ProbeBwCruise, usual());
    flow.run(200 * MS);
    let cwnd = flow.bbr.cwnd();
    let packet = lost_packet(&flow, 0, flow.inflight, MTU);
    flow.bbr.on_lost(&packet);
    flow.bbr.on_congestion(&congested(&flow, Cause::Loss));
    flow.bbr.on_congestion(&congested(&flow, Cause::Persistent));
    assert_eq!(flow.bbr.cwnd(), 2 * MTU);
    flow.bbr.on_undo(flow.now);
    assert_eq!(flow.bbr.cwnd(), cwnd);
}

#[test]
fn a20_a_measurement_during_startup_leads_back_to_startup() {
    let mut flow = Flow::new(usual());
    flow.app = App::Rate(10 * MBIT);
    flow.run(secs(1));
    flow.path.rtt = 45 * MS;
    flow.run_until(State::ProbeRtt, secs(6));
    flow.run_while(flow.now + secs(1), |flow| flow.bbr.state == State::ProbeRtt);
    assert_eq!(flow.bbr.state, State::Startup);
    flow.app = App::Bulk;
    flow.run_until(State::Drain, secs(2));
}

#[test]
fn a21_a_probe_that_loses_too_much_lowers_the_long_term_bound() {
    let mut flow = draft_flow_in(State::ProbeBwUp, usual());
    flow.bbr.long_term.inflight_longterm = 3 * flow.path.bdp();
    flow.path.queue = flow.path.bdp() / 4;
    flow.run_while(flow.now + secs(2), |flow| {
        flow.bbr.state == State::ProbeBwUp
    });
    assert_eq!(flow.bbr.state, State::ProbeBwDown);
    assert!(flow.bbr.cycle.prev_probe_too_high());
    let (bound, bdp) = (flow.bbr.long_term.inflight_longterm, flow.path.bdp());
    assert!(bound >= bdp * 7 / 10 && bound <= bdp * 14 / 10, "{bound}");
}

#[test]
fn a22_a_refill_that_the_application_limits_leaves_the_rate_alone() {
    let mut flow = flow_in(State::ProbeBwRefill, usual());
    let max_bw = flow.bbr.max_bw.max_bw();
    flow.app = App::Rate(5 * MBIT);
    flow.run_until(State::ProbeBwUp, secs(1));
    assert_eq!(flow.bbr.max_bw.max_bw(), max_bw);
    flow.app = App::Bulk;
    flow.run_until(State::ProbeBwDown, secs(2));
    assert!(flow.bbr.max_bw.max_bw() >= max_bw * 98 / 100);
}

#[test]
fn after_a_probe_that_went_too_far_the_next_stops_there_and_its_success_starts_another() {
    let mut flow = draft_flow_in(State::ProbeBwUp, usual());
    flow.path.queue = flow.path.bdp() / 4;
    flow.run_until(State::ProbeBwDown, secs(1));
    assert!(flow.bbr.cycle.prev_probe_too_high());
    flow.bbr.min_rtt.schedule(flow.now);
    flow.path.queue = 10 * flow.path.bdp();
    flow.run_until(State::ProbeBwUp, secs(4));
    let lost = flow.lost;
    let risky = flow.bbr.long_term.inflight_longterm;
    flow.run_until(State::ProbeBwDown, secs(1));
    let ended = flow.now;
    assert!(flow.inflight + 20 * MTU > risky && flow.inflight <= risky);
    flow.run_while(flow.now + secs(1), |flow| {
        flow.bbr.state != State::ProbeBwRefill
    });
    assert!(flow.now - ended < 70 * MS, "{:?}", flow.states);
    flow.run_until(State::ProbeBwUp, secs(1));
    let bound = flow.bbr.long_term.inflight_longterm;
    flow.run(100 * MS);
    assert_eq!(flow.bbr.state, State::ProbeBwUp);
    assert!(flow.bbr.long_term.inflight_longterm > bound);
    assert_eq!(flow.lost, lost);
}
