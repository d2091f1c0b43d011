//! CUBIC's laws: its response function, and the curve after one loss (RFC 9438).

use std::time::Duration;

use aqueduct::congestion::Congestion;
use aqueduct::sim::{Bottleneck, Fate, Loss};
use aqueduct::wire::Kind;

use crate::journal::{Entry, What, journal};
use crate::response::Trial;
use crate::support::{Endless, FlowPlan, Lab, config, ms, secs};
use crate::twin::reference_cubic;

/// How far the mean window may be from the response function.
const TOLERANCE: f64 = 0.15;
/// How far the window may be from the curve, datagrams.
const CURVE_TOLERANCE: f64 = 1.5;
/// Bytes of a datagram.
const DATAGRAM: f64 = 1_200.0;

/// RFC 9438 s5: the window that one loss in every 1/p packets leaves; NewReno's if that is more.
fn law(p: f64, rtt: Duration) -> f64 {
    let cubic = 1.0538 * (rtt.as_secs_f64() / p).powf(0.75);
    cubic.max((1.5 / p).sqrt())
}

fn hold(every: u64, rtt: Duration, expected: f64, packets: u64) {
    let law = law(1.0 / every as f64, rtt);
    assert!((law / expected - 1.0).abs() < 0.01, "{law} is {expected}");
    let trial = |congestion| Trial {
        congestion,
        // The model of the RFC: the same number of packets between one loss and the next.
        loss: Loss::EveryNth(every),
        rtt,
        first_loss: 2 * law as u64,
        warm_up: 5 * every,
        packets,
    };
    let ours = trial(Congestion::Cubic).run(5);
    let twin = trial(reference_cubic()).run(5);
    println!(
        "one of {every}, {rtt:?}: window {:.1} ({:+.1} %), used {:.1}; the reference's {:.1} and {:.1}",
        ours.window,
        100.0 * (ours.window / law - 1.0),
        ours.used,
        twin.window,
        twin.used
    );
    assert!((ours.window / law - 1.0).abs() <= TOLERANCE, "{ours:?}");
}

#[test]
fn one_in_a_thousand_at_30_ms_leaves_newrenos_window() {
    hold(1_000, ms(30), 38.7, 200_000);
}

#[test]
fn one_in_ten_thousand_at_100_ms_leaves_187_packets() {
    hold(10_000, ms(100), 187.0, 1_000_000);
}

#[test]
fn one_in_a_hundred_thousand_at_100_ms_leaves_1054_packets() {
    hold(100_000, ms(100), 1_054.0, 1_500_000);
}

/// A flow that loses two packets, the second in congestion avoidance; what happened to its window.
fn two_losses(rtt: Duration, first: u64, second: u64, time: Duration) -> Vec<Entry> {
    let (congestion, journal) = journal(Congestion::Cubic);
    let mut lab = Lab::new(9, Bottleneck::new());
    let mut plan = FlowPlan::new(congestion.clone(), rtt);
    plan.is_shared = false;
    let config = config(congestion).with_max_datagram(1_200);
    let flow = lab.start_with(plan, config, Endless);
    let hosts = lab.flows[flow];
    let mut seen = 0;
    lab.sim
        .filter(hosts.sender, hosts.receiver, move |passing| {
            let is_data = passing
                .packet()
                .is_some_and(|packet| packet.kind() == Kind::Data);
            seen += u64::from(is_data);
            if is_data && (seen == first || seen == second) {
                Fate::Drop
            } else {
                Fate::Pass
            }
        });
    lab.run_for(time);
    journal.lock().expect("no panic holds it").clone()
}

#[test]
fn after_one_loss_the_window_follows_the_curve() {
    for (rtt, first, second, time) in [
        (ms(100), 600, 100_000, secs(40)),
        (ms(100), 2_000, 400_000, secs(60)),
        (ms(50), 1_000, 400_000, secs(60)),
    ] {
        let entries = two_losses(rtt, first, second, time);
        let reduced: Vec<_> = (0..entries.len())
            .filter(|&at| entries[at].what == What::Congestion)
            .collect();
        assert_eq!(reduced.len(), 2, "two losses, two reductions");
        let at = reduced[1];
        let w_max = entries[at - 1].cwnd as f64 / DATAGRAM;
        let after = entries[at].cwnd as f64 / DATAGRAM;
        assert!((after / w_max - 0.7).abs() < 0.01, "{after} of {w_max}");
        // The stage begins with the first acknowledgement after recovery (RFC 9438 s4.2).
        let grows = |entry: &&Entry| matches!(entry.what, What::Ack { growth } if growth > 0);
        let stage: Vec<_> = entries[at..].iter().filter(grows).collect();
        let began = stage[0].at;
        let k = (w_max * 0.3 / 0.4).cbrt();
        let (mut worst, mut next, mut looks) = (0.0_f64, began, 0);
        for entry in &stage {
            let t = (entry.at - began).as_secs_f64();
            if entry.at < next || t > 1.8 * k {
                continue;
            }
            next = entry.at + rtt;
            looks += 1;
            let curve = 0.4 * (t - k).powi(3) + w_max;
            let apart = entry.cwnd as f64 / DATAGRAM - curve;
            if apart.abs() > worst.abs() {
                worst = apart;
            }
        }
        println!(
            "{rtt:?}, W_max {w_max:.1}, K {k:.2} s: {looks} looks, worst {worst:+.2} datagrams"
        );
        assert!(f64::from(looks) > k / rtt.as_secs_f64());
        assert!(worst.abs() <= CURVE_TOLERANCE, "{worst}");
    }
}
