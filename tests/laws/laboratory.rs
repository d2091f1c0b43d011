//! The laboratory itself is right: rates, delays and shares are those that were asked for.

use aqueduct::congestion::Congestion;

use crate::support::{FlowPlan, Lab, drop_tail, jain, mbit, ms, secs};

#[test]
fn jains_index_is_one_for_equals_and_one_nth_for_a_monopoly() {
    assert_eq!(jain(&[5.0, 5.0, 5.0]), 1.0);
    assert_eq!(jain(&[7.0, 0.0, 0.0, 0.0]), 0.25);
    assert!((jain(&[1.0, 3.0]) - 0.8).abs() < 1e-9);
}

#[test]
fn a_single_flow_fills_the_bottleneck_and_is_metered() {
    let mut lab = Lab::new(1, drop_tail(mbit(20), ms(40), 1.0));
    let flow = lab.start(FlowPlan::new(Congestion::NewReno, ms(40)));
    lab.run_for(secs(10));
    let mark = lab.mark();
    lab.run_for(secs(10));
    let (goodput, meter) = (lab.goodput(flow, &mark), lab.meter());
    println!(
        "{goodput:.0} bit/s, {:.3} used, {:?} mean",
        meter.utilisation(),
        meter.mean_delay()
    );
    assert!(goodput > 17e6 && goodput < 20e6, "{goodput}");
    assert!(meter.utilisation() > 0.9 && meter.utilisation() <= 1.0);
    // What passes is what the reader gets, headers and a few repeated bytes aside.
    assert!(meter.rate() * 8.0 / goodput < 1.08);
    assert!(
        meter.longest_delay() <= ms(40),
        "a queue of one BDP is drained in one round trip"
    );
    let rtts: Vec<_> = lab
        .series_by_rtt(flow, secs(1))
        .iter()
        .map(|look| look.srtt)
        .collect();
    assert!(
        rtts.iter().all(|rtt| *rtt >= ms(40) && *rtt <= ms(90)),
        "{rtts:?}"
    );
}

#[test]
fn a_flow_with_a_short_way_and_one_with_a_long_way_share_one_queue() {
    let mut lab = Lab::new(2, drop_tail(mbit(10), ms(40), 1.0));
    let near = lab.start(FlowPlan::new(Congestion::NewReno, ms(10)));
    let far = lab.start(FlowPlan::new(Congestion::NewReno, ms(80)));
    lab.run_for(secs(20));
    let mark = lab.mark();
    lab.run_for(secs(20));
    let [near_rtt, far_rtt] = [near, far].map(|flow| lab.look(flow).srtt);
    let apart = far_rtt.saturating_sub(near_rtt);
    assert!(
        apart > ms(40) && apart < ms(110),
        "{near_rtt:?} {far_rtt:?}"
    );
    let sum: f64 = lab.goodputs(&mark).iter().sum();
    assert!(sum > 8.5e6 && sum < 10e6, "{sum}");
}
