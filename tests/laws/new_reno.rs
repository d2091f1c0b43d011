//! NewReno's response function: W = sqrt(3 / 2p) packets (Mathis et al., 1997).

use aqueduct::congestion::Congestion;
use aqueduct::sim::Loss;

use crate::response::Trial;
use crate::support::ms;
use crate::twin::reference_reno;

/// How far the mean window may be from the law.
const TOLERANCE: f64 = 0.10;
/// The least share of the window that a round trip acknowledges: the rest of a datagram stays unused, and what
/// acknowledgements wait makes round trips longer.
const USED: f64 = 0.92;

fn law(p: f64) -> f64 {
    (1.5 / p).sqrt()
}

/// Measures with one packet lost of every `every`, in one pattern or the other.
fn hold(every: u64, packets: u64) {
    for rtt in [10, 50, 200] {
        for loss in [Loss::EveryNth(every), Loss::random(1.0 / every as f64)] {
            let trial = |congestion| Trial {
                congestion,
                loss: loss.clone(),
                rtt: ms(rtt),
                first_loss: 2 * law(1.0 / every as f64) as u64,
                warm_up: 5 * every,
                packets,
            };
            let ours = trial(Congestion::NewReno).run(3);
            let twin = trial(reference_reno()).run(3);
            // The law at the loss that there was: chance is not what is tested.
            let expected = law(ours.loss);
            println!(
                "{loss:?}, {rtt} ms: window {:.2} ({:+.1} %), used {:.2}; the reference's {:.2} and {:.2}",
                ours.window,
                100.0 * (ours.window / expected - 1.0),
                ours.used,
                twin.window,
                twin.used,
            );
            let apart = (ours.window / expected - 1.0).abs();
            assert!(apart <= TOLERANCE, "{ours:?}, law {expected}");
            assert!(ours.used >= USED * ours.window, "{rtt} ms: {ours:?}");
        }
    }
}

#[test]
fn one_percent_of_loss_leaves_the_window_of_the_law() {
    hold(100, 100_000);
}

#[test]
fn one_in_a_thousand_leaves_the_window_of_the_law() {
    hold(1_000, 500_000);
}

#[test]
fn one_in_ten_thousand_leaves_the_window_of_the_law() {
    hold(10_000, 1_000_000);
}
