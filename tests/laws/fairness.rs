//! Equal flows get equal shares of a bottleneck.

use aqueduct::congestion::Congestion;

use crate::support::{FlowPlan, Lab, drop_tail, jain, mbit, ms, secs};

/// Starts `n` flows some time apart over one queue of one BDP; Jain's index of their goodputs in the second minute.
fn index(seed: u64, congestion: &Congestion, n: u64, per_flow: u64) -> f64 {
    let mut lab = Lab::new(seed, drop_tail(mbit(n * per_flow), ms(40), 1.0));
    for _ in 0..n {
        lab.start(FlowPlan::new(congestion.clone(), ms(40)));
        lab.run_for(ms(137));
    }
    lab.run_for(secs(60));
    let mark = lab.mark();
    lab.run_for(secs(60));
    let shares = lab.goodputs(&mark);
    let index = jain(&shares);
    println!(
        "{congestion:?} x {n}: Jain {index:.3}, link used {:.3}, {:.1?} Mbit/s",
        lab.meter().utilisation(),
        shares.iter().map(|share| share / 1e6).collect::<Vec<_>>()
    );
    index
}

#[test]
fn cubic_flows_are_fair() {
    for (n, per_flow) in [(2, 10), (4, 5), (16, 4)] {
        let index = index(12, &Congestion::Cubic, n, per_flow);
        assert!(index >= 0.95, "{n} flows: {index}");
    }
}

/// A flow with a quarter of the other's round trip gets more, but not all.
#[test]
fn a_round_trip_four_times_as_long_leaves_a_share() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        let mut lab = Lab::new(13, drop_tail(mbit(20), ms(80), 1.0));
        for rtt in [ms(20), ms(80)] {
            lab.start(FlowPlan::new(congestion.clone(), rtt));
        }
        lab.run_for(secs(60));
        let mark = lab.mark();
        lab.run_for(secs(60));
        let shares = lab.goodputs(&mark);
        let index = jain(&shares);
        println!("{congestion:?}, 20 and 80 ms: Jain {index:.3}, {shares:.0?}");
        assert!(index >= 0.6, "{congestion:?}: {index}");
    }
}

#[test]
fn new_reno_flows_are_fair() {
    for (n, per_flow) in [(2, 10), (4, 5), (16, 4)] {
        let index = index(11, &Congestion::NewReno, n, per_flow);
        assert!(index >= 0.95, "{n} flows: {index}");
    }
}
