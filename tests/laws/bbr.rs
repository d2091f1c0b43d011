//! The laws of BBR: how much of a path it fills, how little it queues, what losses cost it, and how it shares.

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::{Bbr, Congestion};
use aqueduct::sim::{Bottleneck, Loss};

use crate::support::{Endless, FlowPlan, Lab, config, drop_tail, jain, mbit, ms, secs};
use crate::twin::reference_cubic;

/// BBR without the deviations from its draft.
fn by_the_draft() -> Congestion {
    Congestion::custom(|setup| Box::new(Bbr::by_the_draft(setup)))
}

/// What one flow made of a path in the time that counted.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Mbit/s that the reader got.
    goodput: f64,
    /// Share of the bottleneck that was used.
    used: f64,
    /// Mean wait in the queue.
    wait: Duration,
    /// Packets lost, of those that left.
    lost: f64,
}

/// One flow for `warm` and then for `counted`, with a configuration of its own.
fn alone_with(
    lab: &mut Lab,
    plan: FlowPlan,
    config: Config,
    (warm, counted): (Duration, Duration),
) -> Outcome {
    let flow = lab.start_with(plan, config, Endless);
    lab.run_for(warm);
    let mark = lab.mark();
    let before = lab.info(flow);
    lab.run_for(counted);
    let after = lab.info(flow);
    let lost = (after.packets_lost - before.packets_lost) as f64;
    let sent = (after.packets_sent - before.packets_sent) as f64;
    let outcome = Outcome {
        goodput: lab.goodput(flow, &mark) / 1e6,
        used: lab.meter().utilisation(),
        wait: lab.meter().mean_delay(),
        lost: lost / sent,
    };
    println!("{outcome:?}");
    outcome
}

/// One flow of `congestion` over 30 seconds that count, after ten.
fn alone(lab: &mut Lab, plan: FlowPlan) -> Outcome {
    let config = config(plan.congestion.clone());
    alone_with(lab, plan, config, (secs(10), secs(30)))
}

/// What of a path BBR, or its draft, uses when packets are lost by chance.
fn with_loss(congestion: Congestion, (rate, rtt): (u64, u64), loss: f64) -> Outcome {
    let mut lab = Lab::new(32, drop_tail(mbit(rate), ms(rtt), 1.0));
    println!("{congestion:?}, {rate} Mbit/s, {rtt} ms, loss {loss}:");
    let plan = FlowPlan::new(congestion, ms(rtt)).loss(Loss::random(loss));
    alone(&mut lab, plan)
}

/// Rate, round trip and queue of paths on which one flow is alone.
const STEADY: [(u64, u64, f64); 6] = [
    (100, 40, 1.0),
    (100, 40, 5.0),
    (20, 200, 1.0),
    (10, 10, 4.0),
    (2, 100, 2.0),
    (500, 10, 1.0),
];

/// What one flow of `congestion` makes of each of these paths, and what half of its round trip is.
fn steady(congestion: &Congestion) -> Vec<(Outcome, Duration)> {
    let outcome = |(rate, rtt, bdps)| {
        let mut lab = Lab::new(31, drop_tail(mbit(rate), ms(rtt), bdps));
        println!("{congestion:?}, {rate} Mbit/s, {rtt} ms, {bdps} BDP:");
        let got = alone(&mut lab, FlowPlan::new(congestion.clone(), ms(rtt)));
        (got, ms(rtt) / 2)
    };
    STEADY.into_iter().map(outcome).collect()
}

/// One hundredth is the margin of the pacing, two are for looking at the empty path.
#[test]
fn a_steady_flow_of_the_draft_fills_its_path() {
    for (got, _) in steady(&by_the_draft()) {
        assert!((0.93..=0.99).contains(&got.used), "{got:?}");
    }
}

/// Ours sees the path empty without making it so: only the margin is left, and probes use that too.
#[test]
fn a_steady_flow_fills_its_path_and_leaves_the_queue_short() {
    for (got, half) in steady(&Congestion::Bbr) {
        assert!((0.96..=0.995).contains(&got.used), "{got:?}");
        assert!(got.wait <= half, "{got:?}");
    }
}

#[test]
fn losses_of_one_percent_cost_little_more_than_themselves() {
    for path in [(100, 30), (100, 40), (100, 100), (20, 200)] {
        let whole = with_loss(Congestion::Bbr, path, 0.0).goodput;
        for loss in [0.001_f64, 0.005, 0.01] {
            let share = with_loss(Congestion::Bbr, path, loss).goodput / whole;
            assert!(share >= 0.97 * (1.0 - loss), "{path:?} {loss}: {share}");
        }
    }
}

/// The draft's rate falls by the loss rate in every round of Cruise: (1 - (1-p)^N) / (N p) on average over
/// the N rounds of a cycle. (At 2 % and more its probes end before they have probed, of which this knows nothing.)
/// Where many rounds fall by much, they fall by less than the model says: a round's rate is the largest of many
/// samples, and so above their mean. So 30 ms and 1 % give 1.22 times the model: no law here, but a figure that is
/// not met, in tests/scripts/OPEN.md.
#[test]
fn the_draft_to_the_letter_falls_by_the_loss_rate_in_every_round() {
    for (rtt, rounds) in [(30, 62.0_f64), (100, 25.0), (200, 12.0)] {
        let whole = with_loss(by_the_draft(), (100, rtt), 0.0).goodput;
        for loss in [0.001_f64, 0.005, 0.01] {
            let model = (1.0 - (1.0 - loss).powf(rounds)) / (rounds * loss);
            let share = with_loss(by_the_draft(), (100, rtt), loss).goodput / whole;
            println!("share {share:.3}, model {model:.3}");
            let ratio = share / model;
            let is_open = rounds * loss > 0.5;
            assert!(
                ratio >= 0.9 && (is_open || ratio <= 1.15),
                "{rtt} ms, {loss}: {ratio}"
            );
        }
    }
}

#[test]
fn lossy_paths_carry_what_they_must() {
    for (path, loss, least) in [
        ((100, 40), 0.001, 90.0),
        ((100, 40), 0.01, 88.0),
        ((100, 40), 0.05, 50.0),
        ((20, 200), 0.01, 16.0),
    ] {
        let got = with_loss(Congestion::Bbr, path, loss);
        assert!(got.goodput >= least, "{path:?} {loss}: {got:?}");
    }
}

/// From the first packet on, as one sees it who transfers over such a path; acknowledgements are lost, too.
#[test]
fn a_path_that_loses_one_packet_in_twenty_is_found_at_once() {
    for seed in 44..50 {
        let mut lab = Lab::new(seed, drop_tail(mbit(100), ms(40), 1.0));
        let plan = FlowPlan::new(Congestion::Bbr, ms(40))
            .loss(Loss::random(0.05))
            .loss_back(Loss::random(0.05));
        println!("seed {seed}:");
        let got = alone_with(&mut lab, plan, config(Congestion::Bbr), (ms(0), secs(20)));
        assert!(got.goodput >= 50.0, "{seed}: {got:?}");
    }
}

#[test]
fn what_the_configuration_tolerates_costs_only_itself() {
    // What is lost in fact, and the most that may be set, with which the figures over emulated paths are measured.
    for tolerance in [50, 150] {
        let mut lab = Lab::new(33, drop_tail(mbit(100), ms(40), 1.0));
        let plan = FlowPlan::new(Congestion::Bbr, ms(40)).loss(Loss::random(0.05));
        let config = config(Congestion::Bbr).with_loss_tolerance(tolerance);
        let got = alone_with(&mut lab, plan, config, (secs(3), secs(20)));
        assert!(got.goodput >= 80.0, "{tolerance}: {got:?}");
    }
}

/// From the first packet on, as somebody sees it who pings beside the flow.
#[test]
fn a_deep_queue_stays_short() {
    let mut lab = Lab::new(34, drop_tail(mbit(100), ms(40), 5.0));
    let flow = lab.start(FlowPlan::new(Congestion::Bbr, ms(40)));
    let mark = lab.mark();
    let looks = lab.series(flow, ms(1), secs(20));
    let mut rtts: Vec<f64> = looks
        .iter()
        .map(|look| 40.0 + look.queued as f64 * 8.0 / 100e3)
        .collect();
    rtts.sort_by(f64::total_cmp);
    let (p50, p95) = (rtts[rtts.len() / 2], rtts[rtts.len() * 95 / 100]);
    let used = lab.meter().utilisation();
    let goodput = lab.goodput(flow, &mark) / 1e6;
    println!("p50 {p50:.1} ms, p95 {p95:.1} ms, used {used:.3}, {goodput:.1} Mbit/s");
    assert!(p50 <= 50.0 && p95 <= 65.0, "{p50} {p95}");
    assert!(used >= 0.93, "{used}");
}

#[test]
fn flows_of_equal_round_trips_are_fair() {
    for (n, per_flow) in [(2, 10), (4, 5), (16, 4)] {
        let mut lab = Lab::new(35, drop_tail(mbit(n * per_flow), ms(40), 1.0));
        for _ in 0..n {
            lab.start(FlowPlan::new(Congestion::Bbr, ms(40)));
            lab.run_for(ms(137));
        }
        lab.run_for(secs(60));
        let mark = lab.mark();
        lab.run_for(secs(60));
        let index = jain(&lab.goodputs(&mark));
        let used = lab.meter().utilisation();
        println!("{n} flows: Jain {index:.3}, used {used:.3}");
        assert!(index >= 0.9, "{n} flows: {index}");
        assert!(used >= 0.93, "{n} flows: {used}");
    }
}

#[test]
fn flows_of_unequal_round_trips_both_get_a_share() {
    for seed in [36, 37] {
        let mut lab = Lab::new(seed, drop_tail(mbit(40), ms(40), 1.0));
        lab.start(FlowPlan::new(Congestion::Bbr, ms(20)));
        lab.start(FlowPlan::new(Congestion::Bbr, ms(80)));
        lab.run_for(secs(60));
        let mark = lab.mark();
        lab.run_for(secs(60));
        let index = jain(&lab.goodputs(&mark));
        println!("20 ms and 80 ms: Jain {index:.3}");
        assert!(index >= 0.6, "{index}");
    }
}

#[test]
fn bbr_and_cubic_live_beside_each_other() {
    for bdps in [0.5, 1.0, 2.0, 4.0] {
        for (seed, is_first) in [(38, true), (39, false), (40, true), (41, false)] {
            let mut lab = Lab::new(seed, drop_tail(mbit(50), ms(40), bdps));
            let mut flows = [Congestion::Bbr, reference_cubic()];
            if !is_first {
                flows.reverse();
            }
            let [first, second] = flows.map(|congestion| {
                lab.run_for(ms(211));
                lab.start(FlowPlan::new(congestion, ms(40)))
            });
            let (ours, cubic) = if is_first {
                (first, second)
            } else {
                (second, first)
            };
            lab.run_for(secs(30));
            let mark = lab.mark();
            lab.run_for(secs(90));
            let ratio = lab.goodput(ours, &mark) / lab.goodput(cubic, &mark);
            println!("{bdps} BDP, seed {seed}: BBR : CUBIC {ratio:.2}");
            assert!(
                (0.4..=2.5).contains(&ratio),
                "{bdps} BDP, seed {seed}: {ratio}"
            );
        }
    }
}

#[test]
fn a_path_that_changes_tenfold_is_full_again_after_ten_seconds() {
    for (from, to) in [(10, 100), (100, 10)] {
        let mut lab = Lab::new(40, drop_tail(mbit(from), ms(40), 1.0));
        lab.start(FlowPlan::new(Congestion::Bbr, ms(40)));
        lab.run_for(secs(15));
        let queue = lab.queue;
        let after = drop_tail(mbit(to), ms(40), 1.0);
        lab.sim.change_bottleneck(queue, |_| after);
        lab.run_for(secs(10));
        lab.mark();
        lab.run_for(secs(10));
        let used = lab.meter().utilisation();
        println!("{from} to {to} Mbit/s: used {used:.3}");
        assert!(used >= 0.9, "{from} to {to}: {used}");
    }
}

#[test]
fn very_long_and_very_short_round_trips_are_filled() {
    let micros = Duration::from_micros;
    for (rtt, rate, times) in [
        (secs(1), 20, (secs(30), secs(120))),
        (micros(50), 1_000, (ms(500), ms(500))),
        (micros(10), 1_000, (ms(500), ms(500))),
    ] {
        let mut lab = Lab::new(41, drop_tail(mbit(rate), rtt.max(ms(1)), 1.0));
        println!("{rate} Mbit/s, {rtt:?}:");
        let plan = FlowPlan::new(Congestion::Bbr, rtt);
        let got = alone_with(&mut lab, plan, config(Congestion::Bbr), times);
        assert!(got.used >= 0.9, "{rtt:?}: {got:?}");
    }
}

/// A policer has no queue: what it drops is all that it says.
#[test]
fn a_policer_is_obeyed_and_used() {
    for bucket in [50_000, 250_000] {
        let bottleneck = Bottleneck::new()
            .rate_bits(mbit(100))
            .queue_bytes(500_000)
            .policer(mbit(20), bucket);
        let mut lab = Lab::new(42, bottleneck);
        println!("20 Mbit/s, bucket of {bucket}:");
        let got = alone(&mut lab, FlowPlan::new(Congestion::Bbr, ms(40)));
        assert!(got.used * 100.0 / 20.0 >= 0.9, "{got:?}");
        assert!(got.lost <= 0.05, "{got:?}");
    }
}

#[test]
fn a_link_that_sends_in_bursts_is_filled() {
    let mut lab = Lab::new(43, drop_tail(mbit(50), ms(40), 2.0).bursts_every(ms(10)));
    let got = alone(&mut lab, FlowPlan::new(Congestion::Bbr, ms(40)));
    assert!(got.used >= 0.93, "{got:?}");
}

/// The time of sending is that of leaving: what waited in the host counts for no time of the path, and makes none of its
/// round trips too short.
#[test]
fn a_host_that_cannot_send_for_a_while_measures_no_shorter_round_trip() {
    let mut lab = Lab::new(45, drop_tail(mbit(50), ms(40), 1.0));
    let flow = lab.start(FlowPlan::new(Congestion::Bbr, ms(40)));
    let sender = lab.flows[flow].sender;
    for _ in 0..40 {
        lab.run_for(ms(173));
        lab.sim.refuse_sends(sender, ms(11));
        let min_rtt = lab.info(flow).min_rtt;
        assert!(min_rtt.is_none_or(|rtt| rtt >= ms(40)), "{min_rtt:?}");
    }
    let mark = lab.mark();
    lab.run_for(secs(5));
    let goodput = lab.goodput(flow, &mark);
    assert!(goodput > 0.9 * 50e6, "{goodput}");
}
