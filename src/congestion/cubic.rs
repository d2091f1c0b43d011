//! To be written: stands in for the algorithm.

use std::time::Duration;

use super::{AckSample, Congested, Controller, NewReno, Setup};

/// The controller.
#[derive(Clone, Debug)]
pub struct Cubic(NewReno);

impl Cubic {
    /// A controller at its initial window.
    pub fn new(setup: Setup) -> Self {
        Cubic(NewReno::new(setup.mtu))
    }
}

impl Controller for Cubic {
    fn answers_marks(&self) -> bool {
        true
    }

    fn on_ack(&mut self, sample: &AckSample) {
        self.0.on_ack(sample);
    }

    fn on_congestion(&mut self, event: &Congested) {
        self.0.on_congestion(event);
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.0.on_mtu(mtu);
    }

    fn cwnd(&self) -> u64 {
        self.0.cwnd()
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.0.pacing_rate(srtt)
    }
}
