//! One of the algorithms, called without a pointer to a table of methods.

use std::time::Duration;

use super::{
    AckSample, Auto, Bbr, Congested, Congestion, Controller, Cubic, LostPacket, NewReno, Sent,
    Setup,
};
use crate::time::Time;

/// The algorithm of a connection.
#[derive(Debug)]
pub enum Algorithm {
    /// RFC 5681, RFC 6582.
    NewReno(Box<NewReno>),
    /// RFC 9438, RFC 9406.
    Cubic(Box<Cubic>),
    /// draft-ietf-ccwg-bbr.
    Bbr(Box<Bbr>),
    /// CUBIC or BBR: not decided yet.
    Auto(Auto),
    /// The user's own.
    Custom(Box<dyn Controller>),
}

/// Calls `$call` on whichever controller it is.
macro_rules! each {
    ($algorithm:expr, $controller:ident => $call:expr) => {
        match $algorithm {
            Algorithm::NewReno($controller) => $call,
            Algorithm::Cubic($controller) => $call,
            Algorithm::Bbr($controller) => $call,
            Algorithm::Auto(Auto {
                cubic: $controller, ..
            }) => $call,
            Algorithm::Custom($controller) => $call,
        }
    };
}

impl Algorithm {
    /// The algorithm that was chosen, at its beginning.
    pub fn new(choice: &Congestion, setup: Setup) -> Self {
        match choice {
            Congestion::NewReno => Algorithm::NewReno(Box::new(NewReno::new(setup.mtu))),
            Congestion::Cubic => Algorithm::Cubic(Box::new(Cubic::new(setup))),
            Congestion::Bbr => Algorithm::Bbr(Box::new(Bbr::new(setup))),
            Congestion::Auto => Algorithm::Auto(Auto::new(setup)),
            Congestion::Custom(custom) => Algorithm::Custom(custom.make(setup)),
        }
    }

    /// The name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::NewReno(_) => "NewReno",
            Algorithm::Cubic(_) => "CUBIC",
            Algorithm::Bbr(_) => "BBR",
            Algorithm::Auto(_) => "undecided",
            Algorithm::Custom(_) => "custom",
        }
    }
}

impl Controller for Algorithm {
    fn on_ack(&mut self, sample: &AckSample) {
        if let Algorithm::Auto(auto) = self {
            if let Some(chosen) = auto.decide(sample) {
                *self = chosen;
            }
        }
        each!(self, controller => controller.on_ack(sample));
    }

    fn on_congestion(&mut self, event: &Congested) {
        each!(self, controller => controller.on_congestion(event));
    }

    fn on_mtu(&mut self, mtu: u16) {
        if let Algorithm::Auto(auto) = self {
            auto.setup.mtu = mtu;
        }
        each!(self, controller => controller.on_mtu(mtu));
    }

    fn cwnd(&self) -> u64 {
        each!(self, controller => controller.cwnd())
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        each!(self, controller => controller.pacing_rate(srtt))
    }

    fn on_sent(&mut self, sent: &Sent) {
        each!(self, controller => controller.on_sent(sent));
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        each!(self, controller => controller.on_lost(lost));
    }

    fn on_undo(&mut self, now: Time) {
        each!(self, controller => controller.on_undo(now));
    }

    fn on_restart_from_idle(&mut self, now: Time, delivered: u64) {
        each!(self, controller => controller.on_restart_from_idle(now, delivered));
    }

    fn ssthresh(&self) -> u64 {
        each!(self, controller => controller.ssthresh())
    }

    fn send_quantum(&self) -> Option<u64> {
        each!(self, controller => controller.send_quantum())
    }

    fn uses_prr(&self) -> bool {
        each!(self, controller => controller.uses_prr())
    }

    fn answers_marks(&self) -> bool {
        // Marks once sent must be answered, and BBR does not: nothing is marked before the choice.
        if let Algorithm::Auto(_) = self {
            return false;
        }
        each!(self, controller => controller.answers_marks())
    }

    fn state(&self) -> &'static str {
        each!(self, controller => controller.state())
    }
}
