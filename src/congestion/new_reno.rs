//! NewReno: double the window every round trip until something is lost, then halve it and grow by one
//! datagram a round trip (RFC 5681 s3, RFC 6582, RFC 9002 s7.3).

use std::time::Duration;

use super::{AckSample, Cause, Congested, Controller, initial_window, minimum_window};
use crate::time::Time;

/// The controller. All figures are bytes.
///
/// ```
/// use aqueduct::congestion::{AckSample, Cause, Congested, Controller, NewReno};
/// use aqueduct::time::Time;
///
/// let mut reno = NewReno::new(1_200);
/// assert_eq!(reno.cwnd(), 12_000);
/// reno.on_ack(&AckSample { newly_acked: 12_000, growth: 12_000, ..AckSample::default() });
/// assert_eq!(reno.cwnd(), 24_000);
/// reno.on_congestion(&Congested { now: Time::ZERO, cause: Cause::Loss, inflight: 24_000 });
/// assert_eq!(reno.cwnd(), 12_000);
/// ```
#[derive(Clone, Debug)]
pub struct NewReno {
    mtu: u16,
    cwnd: u64,
    ssthresh: u64,
    /// Bytes acknowledged above `ssthresh` for which the window has not grown yet.
    credit: u64,
}

impl NewReno {
    /// A controller at its initial window, for datagrams of at most `mtu` bytes.
    pub fn new(mtu: u16) -> Self {
        NewReno {
            mtu: mtu.max(1),
            cwnd: initial_window(mtu),
            ssthresh: u64::MAX,
            credit: 0,
        }
    }

    fn is_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Grows by all of `bytes` up to `ssthresh` (RFC 3465 without its limit, which would punish a
    /// receiver that acknowledges rarely); returns what is left of them.
    fn slow_start(&mut self, bytes: u64) -> u64 {
        let growth = bytes.min(self.ssthresh.saturating_sub(self.cwnd));
        self.cwnd = self.cwnd.saturating_add(growth);
        bytes - growth
    }

    /// Grows by a datagram for each window of bytes; a part of a window is kept for the next time.
    fn avoid_congestion(&mut self, bytes: u64) {
        let mtu = u64::from(self.mtu);
        self.credit = self.credit.saturating_add(bytes);
        loop {
            // Only whole datagrams are ever in flight: they are what one round trip acknowledges.
            let round = self.cwnd - self.cwnd % mtu;
            if self.credit < round {
                break;
            }
            self.credit -= round;
            self.cwnd = self.cwnd.saturating_add(mtu);
        }
    }
}

impl Controller for NewReno {
    fn answers_marks(&self) -> bool {
        true
    }

    fn on_ack(&mut self, sample: &AckSample) {
        let beyond = self.slow_start(sample.growth);
        self.avoid_congestion(beyond);
    }

    fn on_congestion(&mut self, event: &Congested) {
        let least = minimum_window(self.mtu);
        self.credit = 0;
        match event.cause {
            Cause::Loss | Cause::Mark => {
                self.ssthresh = (self.cwnd / 2).max(least);
                self.cwnd = self.ssthresh;
            }
            // What the loss before it said of ssthresh stays true: slow start leads back there.
            Cause::Persistent => self.cwnd = least,
        }
    }

    fn on_restart_from_idle(&mut self, _now: Time, _delivered: u64) {
        self.cwnd = self.cwnd.min(initial_window(self.mtu));
        self.credit = 0;
    }

    fn on_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.max(1);
        self.cwnd = self.cwnd.max(minimum_window(mtu));
    }

    fn cwnd(&self) -> u64 {
        self.cwnd
    }

    fn ssthresh(&self) -> u64 {
        self.ssthresh
    }

    /// Twice the window in a round trip while it doubles, later five quarters of it: enough to fill
    /// the window in time, little enough to spread it (RFC 9002 s7.7).
    fn pacing_rate(&self, srtt: Duration) -> u64 {
        let quarters: u128 = if self.is_slow_start() { 8 } else { 5 };
        let bytes = u128::from(self.cwnd) * quarters * 1_000_000_000 / 4;
        let rate = bytes / srtt.as_nanos().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
