//! From the model to what the sender obeys: pacing rate, quantum, window (section 5.6).

use super::arithmetic::{UNBOUNDED, carried, percent, rate_of};
use super::probe_rtt::PROBE_RTT_CWND_GAIN;
use super::{Bbr, Rs, State};

use std::time::Duration;

/// `PacingMarginPercent`, as what is left of the rate: a queue that formed drains in the long run.
const PACING_MARGIN: u64 = 99;
/// The round trip assumed before the first.
const NOMINAL_RTT: Duration = Duration::from_millis(1);
/// Time whose worth of bytes leaves together.
const QUANTUM_TIME: Duration = Duration::from_millis(1);
/// The largest and the smallest quantum, bytes and datagrams.
const QUANTUM_MAX: u64 = 64 << 10;
const QUANTUM_DATAGRAMS_MIN: u64 = 2;
/// Quanta on their way through the hosts at both ends: one is queued, one is cut into datagrams, one waits
/// to be acknowledged.
const OFFLOAD_QUANTA: u64 = 3;
/// `MinPipeCwnd`, datagrams: two on their way, and two being acknowledged.
const MIN_PIPE_DATAGRAMS: u64 = 4;
/// Hundredths of the estimated rate at which Startup sends: twice the window of twice the bandwidth-delay product.
const STARTUP_PACING_GAIN: u64 = 400;
/// Datagrams that a probe has in flight beyond its model, or it could not probe a pipe that holds few.
const PROBE_DATAGRAMS: u64 = 2;

impl State {
    /// Hundredths of the estimated rate at which packets leave.
    pub(super) fn pacing_gain(self) -> u64 {
        match self {
            // 4 ln 2: the smallest with which the rate doubles in each round.
            State::Startup => 277,
            State::Drain => 50,
            State::ProbeBwDown => 90,
            State::ProbeBwUp => 125,
            State::ProbeBwCruise | State::ProbeBwRefill | State::ProbeRtt => 100,
        }
    }

    /// Hundredths of the estimated bandwidth-delay product that may be in flight.
    pub(super) fn cwnd_gain(self) -> u64 {
        match self {
            State::ProbeBwUp => 225,
            State::ProbeRtt => PROBE_RTT_CWND_GAIN,
            _ => 200,
        }
    }
}

impl Bbr {
    /// `UpdateControlParameters`.
    pub(super) fn update_control_parameters(&mut self, rs: &Rs) {
        if self.pacing_rate.is_none() {
            self.pacing_rate = Some(self.initial_pacing_rate(rs.srtt));
        }
        self.set_pacing_rate(self.pacing_gain());
        self.set_send_quantum();
        self.set_cwnd(rs);
    }

    /// The draft's gain; but Startup spreads what its window holds over half a round trip, as slow start does. The window
    /// bounds what is in flight either way, and with the smallest gain that doubles the rate each round's last packets
    /// leave a quarter of a round trip later than they might.
    fn pacing_gain(&self) -> u64 {
        if self.state == State::Startup && !self.by_the_draft {
            return STARTUP_PACING_GAIN;
        }
        self.state.pacing_gain()
    }

    /// `InitPacingRate`: the initial window in a round trip, sped up as Startup does.
    pub(super) fn initial_pacing_rate(&self, srtt: Duration) -> u64 {
        let srtt = if srtt.is_zero() { NOMINAL_RTT } else { srtt };
        percent(
            rate_of(self.initial_cwnd, srtt),
            State::Startup.pacing_gain(),
        )
    }

    /// `SetPacingRateWithGain`: it falls only once the pipe was full. Never below a datagram a second, or
    /// nothing would ever measure that the path is faster.
    pub(super) fn set_pacing_rate(&mut self, gain: u64) {
        let rate = percent(percent(self.bw, gain), PACING_MARGIN).max(self.mtu);
        let may_fall = self.full_pipe.full_bw_reached && self.bw > 0;
        if may_fall || self.pacing_rate.is_some_and(|present| rate > present) {
            self.pacing_rate = Some(rate);
        }
    }

    /// `SetSendQuantum`.
    fn set_send_quantum(&mut self) {
        let rate = self.pacing_rate.unwrap_or(0);
        self.send_quantum = carried(rate, QUANTUM_TIME)
            .min(QUANTUM_MAX)
            .max(QUANTUM_DATAGRAMS_MIN * self.mtu);
    }

    /// `SetCwnd`.
    fn set_cwnd(&mut self, rs: &Rs) {
        let max_inflight = self.max_inflight();
        if self.full_pipe.full_bw_reached {
            self.cwnd = self.cwnd.saturating_add(rs.newly_acked).min(max_inflight);
        } else if self.cwnd < max_inflight || rs.total < self.initial_cwnd {
            self.cwnd = self.cwnd.saturating_add(rs.newly_acked);
        }
        self.cwnd = self.cwnd.max(self.min_pipe_cwnd());
        if self.state == State::ProbeRtt {
            self.cwnd = self.cwnd.min(self.probe_rtt_cwnd());
        }
        self.bound_cwnd_for_model();
    }

    /// `UpdateMaxInflight`.
    fn max_inflight(&self) -> u64 {
        let inflight = self.bdp_multiple(self.bw, self.state.cwnd_gain());
        let extra = self.extra_acked.extra_acked(self.rounds.round_count);
        self.quantization_budget(inflight.saturating_add(extra))
    }

    /// `BoundCwndForModel`.
    fn bound_cwnd_for_model(&mut self) {
        let longterm = match self.state {
            State::Startup | State::Drain => UNBOUNDED,
            State::ProbeBwDown if self.by_the_draft => self.long_term.inflight_longterm,
            State::ProbeBwRefill | State::ProbeBwUp => self.long_term.inflight_longterm,
            // The draft leaves the headroom only from Cruise on; but where another flow keeps the queue, Down
            // lasts until the next probe, and that flow would never find any room.
            State::ProbeBwDown | State::ProbeBwCruise | State::ProbeRtt => {
                self.inflight_with_headroom()
            }
        };
        let bound = longterm.min(self.short_term.inflight_shortterm);
        self.cwnd = self.cwnd.min(bound.max(self.min_pipe_cwnd()));
    }

    /// `InflightWithHeadroom`. Headroom is left of a queue, not of what the path and late acknowledgements
    /// hold without one (of which the draft leaves it, too): a lossy path would else never be full.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        let headroom = self.long_term.with_headroom(self.mtu, self.min_pipe_cwnd());
        if self.by_the_draft {
            return headroom;
        }
        headroom.max(
            self.inflight_without_queue()
                .min(self.long_term.inflight_longterm),
        )
    }

    /// What is in flight where packets wait nowhere: the path's product, and what is acknowledged at once.
    pub(super) fn inflight_without_queue(&self) -> u64 {
        let extra = self.extra_acked.extra_acked(self.rounds.round_count);
        self.bdp().saturating_add(extra)
    }

    /// `MinPipeCwnd`, bytes.
    pub(super) fn min_pipe_cwnd(&self) -> u64 {
        MIN_PIPE_DATAGRAMS * self.mtu
    }

    /// The estimated bandwidth-delay product, bytes.
    pub(super) fn bdp(&self) -> u64 {
        self.bdp_multiple(self.bw, 100)
    }

    /// `TargetInflight`: that product, unless the window is smaller.
    pub(super) fn target_inflight(&self) -> u64 {
        self.bdp().min(self.cwnd)
    }

    /// `Inflight`: what keeps a path of rate `bw` busy.
    pub(super) fn inflight_at(&self, bw: u64) -> u64 {
        self.quantization_budget(self.bdp_multiple(bw, 100))
    }

    /// `BDPMultiple`.
    pub(super) fn bdp_multiple(&self, bw: u64, gain: u64) -> u64 {
        match self.min_rtt.min_rtt() {
            Some(min_rtt) => percent(carried(bw, min_rtt), gain),
            None => self.initial_cwnd,
        }
    }

    /// `QuantizationBudget`.
    fn quantization_budget(&self, inflight: u64) -> u64 {
        let offload_budget = OFFLOAD_QUANTA * self.send_quantum;
        let inflight = inflight.max(offload_budget).max(self.min_pipe_cwnd());
        if self.state == State::ProbeBwUp {
            inflight.saturating_add(PROBE_DATAGRAMS * self.mtu)
        } else {
            inflight
        }
    }
}
