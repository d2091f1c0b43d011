//! CUBIC where the round trip is short, BBR where it is long: decided by the first round trip measured.
//!
//! Below two milliseconds a path is a machine room or the machine itself. Queues there are as long as the
//! round trip, clocks are coarse beside it, and a model of both is worth less than the window alone.

use std::time::Duration;

use super::{AckSample, Algorithm, Bbr, Cubic, Setup};

/// The round trip from which on BBR is chosen.
const BBR_RTT_MIN: Duration = Duration::from_millis(2);

/// Not decided yet: CUBIC until then. Both begin with the same window, which so carries over.
#[derive(Debug)]
pub struct Auto {
    pub(super) setup: Setup,
    pub(super) cubic: Box<Cubic>,
}

impl Auto {
    /// Undecided, at the initial window.
    pub fn new(setup: Setup) -> Self {
        Auto {
            setup,
            cubic: Box::new(Cubic::new(setup)),
        }
    }

    /// The algorithm for the path that the acknowledgement shows; `None` if it measured no round trip.
    pub(super) fn decide(&self, sample: &AckSample) -> Option<Algorithm> {
        // A machine that is busy answers late now and then: of the handshake and of this answer the shorter counts.
        Some(if sample.rtt?.min(sample.min_rtt) < BBR_RTT_MIN {
            Algorithm::Cubic(self.cubic.clone())
        } else {
            Algorithm::Bbr(Box::new(Bbr::new(self.setup)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::{Congestion, Controller, RateSample, initial_window};

    fn first_ack(algorithm: &mut Algorithm, rtt: Option<Duration>) {
        algorithm.on_ack(&AckSample {
            newly_acked: 1_200,
            growth: 1_200,
            delivered: 1_200,
            rtt,
            srtt: rtt.unwrap_or_default(),
            min_rtt: rtt.unwrap_or(Duration::MAX),
            rate: Some(RateSample::default()),
            ..AckSample::default()
        });
    }

    fn auto() -> Algorithm {
        Algorithm::new(&Congestion::Auto, Setup::new(1_200))
    }

    #[test]
    fn the_first_round_trip_decides_and_the_window_carries_over() {
        for (micros, is_bbr) in [(50, false), (1_999, false), (2_000, true), (900_000, true)] {
            let mut algorithm = auto();
            assert_eq!(algorithm.cwnd(), initial_window(1_200));
            first_ack(&mut algorithm, Some(Duration::from_micros(micros)));
            assert_eq!(
                matches!(algorithm, Algorithm::Bbr(_)),
                is_bbr,
                "{micros} us"
            );
            assert_eq!(matches!(algorithm, Algorithm::Cubic(_)), !is_bbr);
            assert_eq!(algorithm.cwnd(), initial_window(1_200) + 1_200);
        }
    }

    #[test]
    fn a_late_answer_on_a_short_path_makes_it_no_long_one() {
        let mut algorithm = auto();
        algorithm.on_ack(&AckSample {
            rtt: Some(Duration::from_millis(9)),
            min_rtt: Duration::from_micros(80),
            ..AckSample::default()
        });
        assert!(matches!(algorithm, Algorithm::Cubic(_)));
    }

    #[test]
    fn nothing_is_decided_without_a_round_trip_nor_twice() {
        let mut algorithm = auto();
        first_ack(&mut algorithm, None);
        assert!(matches!(algorithm, Algorithm::Auto(_)));
        first_ack(&mut algorithm, Some(Duration::from_millis(40)));
        first_ack(&mut algorithm, Some(Duration::from_micros(40)));
        assert!(matches!(algorithm, Algorithm::Bbr(_)));
    }

    #[test]
    fn a_datagram_size_found_before_the_decision_counts_after_it() {
        let mut algorithm = auto();
        algorithm.on_mtu(1_400);
        first_ack(&mut algorithm, Some(Duration::from_millis(40)));
        assert_eq!(algorithm.cwnd(), initial_window(1_400) + 1_200);
    }
}
