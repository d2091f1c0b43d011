//! How large a window a share of lost packets leaves: the response function of an algorithm.

use std::time::Duration;

use aqueduct::congestion::Congestion;
use aqueduct::sim::{Bottleneck, Fate, Loss};
use aqueduct::wire::Kind;

use crate::support::{Endless, FlowPlan, Lab, config};

/// Bytes of every datagram.
const DATAGRAM: u16 = 1_200;
/// Looks at the window in a round trip.
const LOOKS: u32 = 7;

/// A flow on a path without a bound of rate that loses packets.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) congestion: Congestion,
    pub(crate) loss: Loss,
    pub(crate) rtt: Duration,
    /// The first packet that is lost: slow start ends near the window to be expected, not far above it.
    pub(crate) first_loss: u64,
    /// Packets after which the measurement begins.
    pub(crate) warm_up: u64,
    /// Packets of the measurement.
    pub(crate) packets: u64,
}

/// What was measured, in packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response {
    /// The mean of the congestion window over time.
    pub(crate) window: f64,
    /// Packets acknowledged in a round trip: less than the window, by the pause after each loss and the delay
    /// of acknowledgements.
    pub(crate) used: f64,
    /// The share of packets that was lost.
    pub(crate) loss: f64,
}

impl Trial {
    pub(crate) fn run(&self, seed: u64) -> Response {
        let (mut lab, flow) = self.start(seed);
        let step = self.rtt / LOOKS;
        while lab.info(flow).packets_acked < self.warm_up {
            lab.run_for(step);
        }
        let (begin, before) = (lab.sim.now(), lab.info(flow));
        let (mut windows, mut looks) = (0.0, 0.0);
        let after = loop {
            lab.run_for(step);
            let info = lab.info(flow);
            windows += info.cwnd as f64 / f64::from(DATAGRAM);
            looks += 1.0;
            if info.packets_acked >= before.packets_acked + self.packets {
                break info;
            }
        };
        let acked = (after.packets_acked - before.packets_acked) as f64;
        let lost = (after.packets_lost - before.packets_lost) as f64;
        let round_trips = (lab.sim.now() - begin).as_secs_f64() / self.rtt.as_secs_f64();
        Response {
            window: windows / looks,
            used: acked / round_trips,
            loss: lost / (acked + lost),
        }
    }

    fn start(&self, seed: u64) -> (Lab, usize) {
        let mut lab = Lab::new(seed, Bottleneck::new());
        let mut plan = FlowPlan::new(self.congestion.clone(), self.rtt).loss(self.loss.clone());
        plan.is_shared = false;
        let config = config(self.congestion.clone()).with_max_datagram(DATAGRAM);
        let flow = lab.start_with(plan, config, Endless);
        let hosts = lab.flows[flow];
        let (mut seen, first_loss) = (0, self.first_loss);
        let (sender, receiver) = (hosts.sender, hosts.receiver);
        lab.sim.filter(sender, receiver, move |passing| {
            let is_data = passing
                .packet()
                .is_some_and(|packet| packet.kind() == Kind::Data);
            seen += u64::from(is_data);
            if is_data && seen == first_loss {
                Fate::Drop
            } else {
                Fate::Pass
            }
        });
        (lab, flow)
    }
}
