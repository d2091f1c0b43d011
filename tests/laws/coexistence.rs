//! Flows of ours beside flows of an independent implementation share a bottleneck as equals.

use std::time::Duration;

use aqueduct::congestion::Congestion;

use crate::support::{FlowPlan, Lab, drop_tail, mbit, ms, secs};
use crate::twin::{reference_cubic, reference_reno};

/// Runs `n` flows of ours beside `n` of the reference, for one minute and then one that counts: what ours got
/// over what the reference got.
fn share(ours: &Congestion, reference: &Congestion, n: usize, (rate, rtt, bdps): Path) -> f64 {
    let mut lab = Lab::new(21, drop_tail(mbit(rate), rtt, bdps));
    for number in 0..2 * n {
        let congestion = if number % 2 == 0 { ours } else { reference };
        lab.start(FlowPlan::new(congestion.clone(), rtt));
        lab.run_for(ms(211));
    }
    lab.run_for(secs(60));
    let mark = lab.mark();
    lab.run_for(secs(120));
    let goodputs = lab.goodputs(&mark);
    let sum = |first: usize| goodputs.iter().skip(first).step_by(2).sum::<f64>();
    let share = sum(0) / sum(1);
    println!(
        "{ours:?} : reference, {n} each, {rate} Mbit/s, {rtt:?}, {bdps} BDP: {share:.3}, link used {:.3}",
        lab.meter().utilisation()
    );
    share
}

/// Mbit/s, round trip, queue in BDPs.
type Path = (u64, Duration, f64);

#[test]
fn new_reno_and_the_reference_are_equals() {
    for (n, path) in [(1, (20, ms(40), 1.0)), (4, (40, ms(40), 1.0))] {
        let share = share(&Congestion::NewReno, &reference_reno(), n, path);
        assert!((0.8..=1.25).contains(&share), "{share}");
    }
}

#[test]
fn cubic_and_the_reference_are_equals() {
    for (n, path) in [(1, (20, ms(40), 1.0)), (4, (40, ms(40), 1.0))] {
        let share = share(&Congestion::Cubic, &reference_cubic(), n, path);
        assert!((0.8..=1.25).contains(&share), "{share}");
    }
}
