mod draft;
mod limits;
mod peers;
mod pipe;

use std::time::Duration;

use super::arithmetic::UNBOUNDED;
use super::*;
use crate::wire::PacketNumber;
use pipe::{App, Flow, Path};

const MTU: u64 = 1_200;
const MBIT: u64 = 125_000;
const MS: Duration = Duration::from_millis(1);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// 100 Mbit/s, 40 ms, a queue of five bandwidth-delay products: no losses but those that a test makes.
fn usual() -> Path {
    Path::new(100 * MBIT, 40 * MS, 2_500_000)
}

/// A flow that has just entered `state` after its first cycle.
fn flow_in(state: State, path: Path) -> Flow {
    let mut flow = Flow::new(path);
    flow.run_until(State::ProbeBwCruise, secs(60));
    flow.run_until(state, secs(60));
    flow
}

/// The same by the letter of the draft.
fn draft_flow_in(state: State, path: Path) -> Flow {
    let mut flow = Flow::new(path);
    flow.bbr = Bbr::by_the_draft(Setup::new(1_200));
    flow.run_until(State::ProbeBwCruise, secs(60));
    flow.run_until(state, secs(60));
    flow
}

/// What part of the path `bytes` in `time` are, hundredths.
fn share(flow: &Flow, bytes: u64, time: Duration) -> u64 {
    bytes * 100 / arithmetic::carried(flow.path.rate, time)
}

/// Packet `number` is lost, sent when `tx_in_flight` bytes were in flight, of which `lost` are lost by now.
fn lost_packet(flow: &Flow, number: u64, tx_in_flight: u64, lost: u64) -> LostPacket {
    LostPacket {
        now: flow.now,
        number: PacketNumber::new(number),
        size: MTU,
        sent_at: flow.now,
        prior_delivered: flow.delivered,
        tx_in_flight,
        lost,
        app_limited: false,
    }
}

/// An episode of recovery begins.
fn congested(flow: &Flow, cause: Cause) -> Congested {
    Congested {
        now: flow.now,
        cause,
        inflight: flow.inflight,
    }
}

/// An acknowledgement of one packet, sent a round trip of 40 ms ago when `prior` bytes were delivered.
fn ack(at: Time, prior: u64, total: u64, rate: u64) -> AckSample {
    AckSample {
        now: at,
        newly_acked: MTU,
        inflight: 100 * MTU,
        delivered: total,
        rtt: Some(40 * MS),
        srtt: 40 * MS,
        min_rtt: 40 * MS,
        rate: Some(RateSample {
            prior_delivered: prior,
            delivered: total - prior,
            interval: 40 * MS,
            rate: Some(rate),
            tx_in_flight: 100 * MTU,
            ..RateSample::default()
        }),
        ..AckSample::default()
    }
}
