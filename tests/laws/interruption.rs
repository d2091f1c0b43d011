//! What interrupts a transfer costs it a known time: a blackout, a path that narrows, a NAT that forgets.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::congestion::Congestion;
use aqueduct::sim::Fate;

use crate::support::{FlowPlan, Lab, drop_tail, mbit, ms, secs};

const RTT: Duration = ms(40);

/// The algorithms whose recovery is asked for.
fn algorithms() -> [Congestion; 4] {
    [
        Congestion::NewReno,
        Congestion::Cubic,
        Congestion::Bbr,
        Congestion::Auto,
    ]
}

/// A flow that has been running for some time, over 20 Mbit/s and 40 ms.
fn running(seed: u64, congestion: Congestion, time: Duration) -> Lab {
    let mut lab = Lab::new(seed, drop_tail(mbit(20), RTT, 1.0));
    lab.start(FlowPlan::new(congestion, RTT));
    lab.run_for(time);
    lab
}

/// The directions that a blackout cuts: there, back, both.
const CUTS: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

#[test]
fn after_a_blackout_of_five_seconds_data_flows_within_one_probe_interval() {
    for congestion in algorithms() {
        for (there, back) in CUTS {
            for offset in [0, 700, 2_900] {
                let (gap, timeout) = blackout(congestion.clone(), (there, back), ms(offset));
                let interval = probe_interval(timeout, secs(5));
                println!("{congestion:?}, there {there}, back {back}: {gap:?} of {interval:?}");
                assert!(
                    gap <= interval + RTT,
                    "{gap:?} after the end, probe timeout {timeout:?}, one in {interval:?}"
                );
            }
        }
    }
}

/// Cuts the path for five seconds; how long after its end the reader got something, and the probe timeout before.
fn blackout(congestion: Congestion, cut: (bool, bool), offset: Duration) -> (Duration, Duration) {
    let mut lab = running(31, congestion, secs(5) + offset);
    let (sender, receiver) = (lab.flows[0].sender, lab.flows[0].receiver);
    let timeout = lab.probe_timeout(0);
    if cut.0 {
        lab.sim.partition_one_way(sender, receiver);
    }
    if cut.1 {
        lab.sim.partition_one_way(receiver, sender);
    }
    lab.run_for(secs(5));
    let end = lab.sim.now();
    lab.sim.heal(sender, receiver);
    let before = lab.read(0);
    let is_back = (0..40_000).any(|_| {
        lab.run_for(Duration::from_micros(250));
        lab.read(0) > before
    });
    assert!(is_back, "nothing came in ten seconds");
    (lab.sim.now() - end, timeout)
}

/// The longest time from one probe to the next when nothing was heard for `silence`: timeouts double (RFC 9002 s6.2.1), so
/// that after n of them, `timeout` times 2^n - 1 in all, the next one takes `timeout` times 2^n: as long as all
/// before it together, and one `timeout` more.
fn probe_interval(timeout: Duration, silence: Duration) -> Duration {
    silence + timeout
}

#[test]
fn a_path_that_narrows_to_1280_stalls_for_three_probe_timeouts_at_most() {
    for congestion in algorithms() {
        for offset in [0, 333, 1_710] {
            let (stall, gap, timeout) = narrowing(congestion.clone(), ms(offset));
            println!("{congestion:?}: {stall:?}, {gap:?} at the reader, probe timeout {timeout:?}");
            assert!(stall <= 3 * timeout, "{stall:?}, probe timeout {timeout:?}");
            assert!(gap <= 3 * timeout, "{gap:?}, probe timeout {timeout:?}");
        }
    }
}

/// Narrows the path to 1,280 bytes of IPv6, 1,232 of UDP payload: the time from the last datagram that the window
/// let leave until the reader had data again, the time without data for the reader, and the probe timeout before.
fn narrowing(congestion: Congestion, offset: Duration) -> (Duration, Duration, Duration) {
    let mut lab = running(32, congestion, secs(5) + offset);
    assert!(lab.info(0).path_mtu > 1_232, "{:?}", lab.info(0));
    let (sender, receiver) = (lab.flows[0].sender, lab.flows[0].receiver);
    lab.sim
        .change_link(sender, receiver, |link| link.mtu(1_232));
    let sent = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&sent);
    lab.sim.filter(sender, receiver, move |passing| {
        seen.borrow_mut().push(passing.now);
        Fate::Pass
    });
    let timeout = lab.probe_timeout(0);
    let (gap, ended) = lab.longest_gap(0, secs(10));
    lab.sim.unfilter(sender, receiver);
    let sent = sent.borrow();
    let silence = sent.windows(2).find(|pair| pair[1] - pair[0] > RTT / 2);
    let last = silence.map_or(ended - gap, |pair| pair[0]);
    let mark = lab.mark();
    lab.run_for(secs(5));
    let goodput = lab.goodput(0, &mark);
    assert!(goodput > 0.8 * 20e6, "{goodput} bit/s afterwards");
    (ended - last, gap, timeout)
}

#[test]
fn a_nat_that_forgets_costs_two_round_trips_at_most() {
    for congestion in algorithms() {
        for offset in [0, 333, 1_710] {
            let mut lab = running(33, congestion.clone(), secs(5) + ms(offset));
            let sender = lab.flows[0].sender;
            let rtt = lab.info(0).srtt.expect("measured");
            lab.sim.rebind(sender);
            let (gap, ended) = lab.longest_gap(0, secs(5));
            println!("{congestion:?}: {gap:?} until {ended:?}, round trip {rtt:?}");
            assert!(gap <= 2 * rtt, "{gap:?}, round trip {rtt:?}");
            assert_eq!(lab.sim.report(lab.flows[0].key).failure, None);
            let mark = lab.mark();
            lab.run_for(secs(5));
            let goodput = lab.goodput(0, &mark);
            assert!(goodput > 0.8 * 20e6, "{goodput} bit/s afterwards");
        }
    }
}
