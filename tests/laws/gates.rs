//! What `Congestion::Auto` must show to be the default, beyond the laws of BBR and CUBIC: paths that differ from those on
//! which models are made. Everything counts from the tenth second on.

use std::time::Duration;

use aqueduct::congestion::Congestion;
use aqueduct::sim::{Bottleneck, Loss};

use crate::support::{FlowPlan, Lab, drop_tail, mbit, ms, secs};

/// The part of `rate` that one flow of the default candidate uses in ten seconds, after the first ten.
fn used(lab: &mut Lab, congestion: Congestion, rtt: Duration, rate: u64) -> f64 {
    let name = format!("{congestion:?}");
    lab.start(FlowPlan::new(congestion, rtt));
    lab.run_for(secs(10));
    lab.mark();
    lab.run_for(secs(10));
    let used = lab.meter().rate() * 8.0 / rate as f64;
    println!("{name}, {rtt:?}, {rate} bit/s: used {used:.3}");
    used
}

#[test]
fn a_policer_is_used_after_ten_seconds() {
    for bucket in [50_000, 250_000] {
        for seed in 71..75 {
            let bottleneck = Bottleneck::new()
                .rate_bits(mbit(100))
                .queue_bytes(500_000)
                .policer(mbit(20), bucket);
            let mut lab = Lab::new(seed, bottleneck);
            let used = used(&mut lab, Congestion::Auto, ms(40), mbit(20));
            assert!(used >= 0.9, "seed {seed}, bucket {bucket}: {used}");
        }
    }
}

#[test]
fn a_link_that_aggregates_is_used_after_ten_seconds() {
    for burst in [4, 10, 20] {
        let link = drop_tail(mbit(50), ms(40), 2.0).bursts_every(ms(burst));
        let used = used(&mut Lab::new(75, link), Congestion::Auto, ms(40), mbit(50));
        assert!(used >= 0.9, "bursts every {burst} ms: {used}");
    }
}

/// A round trip of one second: ten seconds are nine of them, in which ten packets double to the 520 that 5 Mbit/s hold.
#[test]
fn a_round_trip_of_a_second_is_used_after_ten_seconds() {
    for seed in 76..79 {
        let link = drop_tail(mbit(5), secs(1), 1.0);
        let used = used(
            &mut Lab::new(seed, link),
            Congestion::Auto,
            secs(1),
            mbit(5),
        );
        assert!(used >= 0.9, "seed {seed}: {used}");
    }
}

/// There it is CUBIC; BBR must do no worse.
#[test]
fn a_round_trip_of_fifty_microseconds_is_used() {
    let rtt = Duration::from_micros(50);
    for congestion in [Congestion::Auto, Congestion::Bbr] {
        let mut lab = Lab::new(79, drop_tail(mbit(200), ms(1), 1.0));
        let used = used(&mut lab, congestion, rtt, mbit(200));
        assert!(used >= 0.9, "{used}");
    }
}

#[test]
fn a_rate_that_changes_tenfold_is_used_after_ten_seconds() {
    for (from, to) in [(10, 100), (100, 10)] {
        for seed in 80..84 {
            let mut lab = Lab::new(seed, drop_tail(mbit(from), ms(40), 1.0));
            lab.start(FlowPlan::new(Congestion::Auto, ms(40)));
            // Where in its cycle it is is another with each seed.
            lab.run_for(secs(15) + ms(700) * u32::try_from(seed % 4).expect("small"));
            let queue = lab.queue;
            let after = drop_tail(mbit(to), ms(40), 1.0);
            lab.sim.change_bottleneck(queue, |_| after);
            lab.run_for(secs(10));
            lab.mark();
            lab.run_for(secs(10));
            let used = lab.meter().utilisation();
            println!("seed {seed}, {from} to {to} Mbit/s: used {used:.3}");
            assert!(used >= 0.9, "seed {seed}, {from} to {to}: {used}");
        }
    }
}

#[test]
fn its_queue_is_no_longer_than_cubics() {
    for (rate, rtt, bdps) in [
        (100, 40, 0.5),
        (100, 40, 1.0),
        (100, 40, 5.0),
        (20, 200, 1.0),
        (10, 10, 4.0),
        (2, 100, 2.0),
    ] {
        let p95 = |congestion: Congestion| {
            let mut lab = Lab::new(84, drop_tail(mbit(rate), ms(rtt), bdps));
            lab.start(FlowPlan::new(congestion, ms(rtt)));
            lab.mark();
            lab.run_for(secs(30));
            lab.meter().delay_percentile(0.95)
        };
        let (auto, cubic) = (p95(Congestion::Auto), p95(Congestion::Cubic));
        println!("{rate} Mbit/s, {rtt} ms, {bdps} BDP: p95 {auto:?}, CUBIC {cubic:?}");
        assert!(
            auto <= cubic,
            "{rate} Mbit/s, {rtt} ms, {bdps} BDP: {auto:?} {cubic:?}"
        );
    }
}

/// The table of the design has these columns, too. The draft's model stops at the short-term bounds; beyond the loss
/// threshold (2 %) its probes end early, so that ours is held to the model from below: no less than it, less a tenth.
#[test]
fn losses_of_two_and_five_percent_cost_no_more_than_the_model_says() {
    for (rtt, rounds) in [(30, 62.0_f64), (100, 25.0), (200, 12.0)] {
        for loss in [0.02_f64, 0.05] {
            let mut lab = Lab::new(85, drop_tail(mbit(100), ms(rtt), 1.0));
            let flow = lab.start(FlowPlan::new(Congestion::Auto, ms(rtt)).loss(Loss::random(loss)));
            lab.run_for(secs(10));
            let mark = lab.mark();
            lab.run_for(secs(30));
            let model = (1.0 - (1.0 - loss).powf(rounds)) / (rounds * loss);
            // The link carries 96 of 100 Mbit/s of content.
            let share = lab.goodput(flow, &mark) / 96e6;
            println!("{rtt} ms, {loss}: share {share:.3}, model {model:.3}");
            assert!(share >= 0.9 * model, "{rtt} ms, {loss}: {share} {model}");
        }
    }
}
