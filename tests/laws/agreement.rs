//! Ours and the reference, told the same by a real connection: the windows agree in every round trip.

use aqueduct::congestion::Congestion;
use aqueduct::sim::Loss;

use crate::support::{FlowPlan, Lab, drop_tail, mbit, ms, secs};
use crate::twin::{Pair, beside};

/// How far ours may be from the twin: so many segments, or this share of the window, whichever is more.
struct Tolerance {
    segments: f64,
    share: f64,
}

/// Runs one flow for a minute over each pattern of loss; the windows of every round trip.
fn compare(choice: &Congestion, tolerance: &Tolerance) {
    let patterns = [
        ("full queues", Loss::None),
        ("0.1 %", Loss::random(0.001)),
        ("1 %", Loss::random(0.01)),
        ("bursts of 8", Loss::bursts(0.002, 8.0)),
        ("every 500th", Loss::EveryNth(500)),
    ];
    for (name, loss) in patterns {
        for (rate, rtt) in [(20, 20), (50, 100)] {
            let (congestion, log) = beside(choice.clone());
            let mut lab = Lab::new(7, drop_tail(mbit(rate), ms(rtt), 1.0));
            lab.start(FlowPlan::new(congestion, ms(rtt)).loss(loss.clone()));
            lab.run_for(secs(60));
            let pairs = log.lock().expect("no panic holds it");
            let worst = worst(&pairs);
            println!(
                "{choice:?}, {name}, {rate} Mbit/s, {rtt} ms: {} rounds, {} reductions, worst {:.2} of {:.1} segments at {:?}",
                pairs.len(),
                pairs.last().map_or(0, |pair| pair.reductions),
                (worst.ours - worst.twin) / worst.mss,
                worst.twin / worst.mss,
                worst.at
            );
            assert!(pairs.len() > 200, "{} rounds", pairs.len());
            for pair in pairs.iter() {
                let apart = (pair.ours - pair.twin).abs();
                let most = (tolerance.segments * pair.mss).max(tolerance.share * pair.twin);
                assert!(apart <= most, "{name}: {pair:?}");
            }
        }
    }
}

fn worst(pairs: &[Pair]) -> Pair {
    let apart = |pair: &Pair| (pair.ours - pair.twin).abs();
    let worst = pairs.iter().max_by(|a, b| apart(a).total_cmp(&apart(b)));
    *worst.expect("a round")
}

#[test]
fn new_reno_has_the_window_of_the_reference_in_every_round() {
    // Ours grows in steps of a segment, and so is up to one behind; a halving keeps half of that: 1 + 1/2 + 1/4 ...
    let tolerance = Tolerance {
        segments: 2.0,
        share: 0.0,
    };
    compare(&Congestion::NewReno, &tolerance);
}

#[test]
fn cubic_has_the_window_of_the_reference_in_every_round() {
    let tolerance = Tolerance {
        segments: 1.0,
        share: 0.01,
    };
    compare(&Congestion::Cubic, &tolerance);
}
