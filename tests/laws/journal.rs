//! A controller of the crate that writes down what happens to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aqueduct::congestion::{
    AckSample, Algorithm, Congested, Congestion, Controller, LostPacket, Sent,
};
use aqueduct::time::Time;

/// What happened, and the window after it, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Time,
    pub(crate) what: What,
    pub(crate) cwnd: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Something was acknowledged; so many bytes let the window grow.
    Ack { growth: u64 },
    /// The window was reduced.
    Congestion,
}

/// What was written down, oldest first.
pub(crate) type Journal = Arc<Mutex<Vec<Entry>>>;

#[derive(Debug)]
struct Writer {
    algorithm: Algorithm,
    journal: Journal,
}

/// `choice`, and the journal of its next flow.
pub(crate) fn journal(choice: Congestion) -> (Congestion, Journal) {
    let journal = Journal::default();
    let kept = Arc::clone(&journal);
    let congestion = Congestion::custom(move |setup| {
        Box::new(Writer {
            algorithm: Algorithm::new(&choice, setup),
            journal: Arc::clone(&journal),
        })
    });
    (congestion, kept)
}

impl Writer {
    fn write(&self, at: Time, what: What) {
        let cwnd = self.algorithm.cwnd();
        let mut journal = self.journal.lock().expect("no panic holds it");
        journal.push(Entry { at, what, cwnd });
    }
}

impl Controller for Writer {
    fn on_ack(&mut self, sample: &AckSample) {
        self.algorithm.on_ack(sample);
        self.write(
            sample.now,
            What::Ack {
                growth: sample.growth,
            },
        );
    }

    fn on_congestion(&mut self, event: &Congested) {
        self.algorithm.on_congestion(event);
        self.write(event.now, What::Congestion);
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.algorithm.on_mtu(mtu);
    }

    fn cwnd(&self) -> u64 {
        self.algorithm.cwnd()
    }

    fn pacing_rate(&self, srtt: Duration) -> u64 {
        self.algorithm.pacing_rate(srtt)
    }

    fn on_sent(&mut self, sent: &Sent) {
        self.algorithm.on_sent(sent);
    }

    fn on_lost(&mut self, lost: &LostPacket) {
        self.algorithm.on_lost(lost);
    }

    fn on_undo(&mut self, now: Time) {
        self.algorithm.on_undo(now);
    }

    fn on_restart_from_idle(&mut self, now: Time, delivered: u64) {
        self.algorithm.on_restart_from_idle(now, delivered);
    }

    fn ssthresh(&self) -> u64 {
        self.algorithm.ssthresh()
    }

    fn send_quantum(&self) -> Option<u64> {
        self.algorithm.send_quantum()
    }

    fn uses_prr(&self) -> bool {
        self.algorithm.uses_prr()
    }

    fn state(&self) -> &'static str {
        self.algorithm.state()
    }
}
