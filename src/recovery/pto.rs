//! When silence asks for a probe (RFC 9002 s6.2, RFC 6298 s5).

use std::time::Duration;

use super::rtt::{GRANULARITY, RttEstimator};
use crate::limits::BACKOFF_MAX;
use crate::time::Time;

/// The timeout before there is any round trip to compute one from (RFC 6298 s2.1).
const INITIAL_PTO: Duration = Duration::from_secs(1);

/// The timeout without back-off: `srtt + max(4 rttvar, G) + delay` (RFC 9002 s6.2.1), where `delay` is
/// how long the peer may keep its acknowledgement back. One second before the first sample.
pub(super) fn timeout(rtt: &RttEstimator, delay: Duration) -> Duration {
    match rtt.srtt() {
        Some(srtt) => srtt + (rtt.rttvar() * 4).max(GRANULARITY) + delay,
        None => INITIAL_PTO,
    }
}

/// The probe timer: armed by what is sent and by what is newly acknowledged or lost, not by
/// acknowledgements that say nothing new.
///
/// What is sent does not put it off for ever: the oldest packet in flight is acknowledged in its time, too, or there is
/// silence (RFC 6298 s5.1, s5.3; RFC 9002 s6.2.1 starts anew with every packet). A window of two round trips would
/// otherwise be sent to its end before anybody asks why nothing comes back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeTimer {
    /// When it was armed last, by whatever.
    armed_at: Time,
    /// When it was armed last by something else than a packet that left.
    heard_at: Time,
    /// Timeouts since something was acknowledged.
    count: u32,
    /// The newest packet asked for an answer at once.
    prompt: bool,
}

impl ProbeTimer {
    /// A packet left; `prompt`: the peer must not delay its acknowledgement.
    pub(super) fn on_sent(&mut self, now: Time, prompt: bool) {
        self.armed_at = now;
        self.prompt = prompt;
    }

    /// A packet was newly acknowledged: the path works.
    pub(super) fn on_newly_acked(&mut self, now: Time) {
        self.rearm(now);
        self.count = 0;
    }

    /// The timer fired; the next one is later even if nothing can be sent now.
    pub(super) fn on_fired(&mut self, now: Time) {
        self.rearm(now);
        self.count = self.count.saturating_add(1);
    }

    /// Packets were declared lost by age: their repair is on its way, and is given its time.
    pub(super) fn on_lost_by_age(&mut self, now: Time) {
        self.rearm(now);
    }

    fn rearm(&mut self, now: Time) {
        self.armed_at = now;
        self.heard_at = now;
    }

    /// Timeouts since something was acknowledged.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Another path has its own patience.
    pub(super) fn reset_backoff(&mut self) {
        self.count = 0;
    }

    /// When it fires, if something is in flight, the oldest of it sent at `oldest`.
    pub(super) fn deadline(
        &self,
        rtt: &RttEstimator,
        max_ack_delay: Duration,
        oldest: Time,
    ) -> Time {
        let patient = backed_off(timeout(rtt, max_ack_delay), self.count);
        let latest = self.heard_at.max(oldest) + patient;
        let delay = if self.prompt {
            Duration::ZERO
        } else {
            max_ack_delay
        };
        latest.min(self.armed_at + backed_off(timeout(rtt, delay), self.count))
    }
}

/// Twice as long with every timeout, up to a minute; a path slower than that keeps its own pace.
fn backed_off(timeout: Duration, count: u32) -> Duration {
    let factor = 1_u32.checked_shl(count).unwrap_or(u32::MAX);
    let doubled = timeout.saturating_mul(factor);
    doubled.min(BACKOFF_MAX).max(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(8);
    /// An oldest packet that plays no part.
    const LATEST: Time = Time::from_millis(1 << 40);

    fn rtt_of(millis: u64) -> RttEstimator {
        let mut rtt = RttEstimator::default();
        for _ in 0..200 {
            rtt.sample(Duration::from_millis(millis), Duration::ZERO);
        }
        rtt
    }

    #[test]
    fn the_timeout_follows_the_formula() {
        assert_eq!(timeout(&RttEstimator::default(), DELAY), INITIAL_PTO);
        let mut rtt = RttEstimator::default();
        rtt.sample(Duration::from_millis(100), Duration::ZERO);
        assert_eq!(timeout(&rtt, DELAY), Duration::from_millis(100 + 200 + 8));
        // The deviation has died away: the granularity stands in for it.
        assert_eq!(
            timeout(&rtt_of(40), DELAY),
            Duration::from_millis(40 + 1 + 8)
        );
    }

    #[test]
    fn a_packet_that_wants_a_prompt_answer_does_not_wait_for_the_delay() {
        let rtt = rtt_of(40);
        let mut timer = ProbeTimer::default();
        timer.on_sent(Time::from_millis(100), true);
        assert_eq!(timer.deadline(&rtt, DELAY, LATEST), Time::from_millis(141));
        timer.on_sent(Time::from_millis(100), false);
        assert_eq!(timer.deadline(&rtt, DELAY, LATEST), Time::from_millis(149));
    }

    /// A window of several round trips that is sent into silence: the oldest packet's time counts.
    #[test]
    fn what_leaves_does_not_put_it_off_for_ever() {
        let rtt = rtt_of(40);
        let mut timer = ProbeTimer::default();
        timer.on_newly_acked(Time::from_millis(100));
        for millis in (100..200).step_by(5) {
            timer.on_sent(Time::from_millis(millis), false);
            let oldest = Time::from_millis(90);
            let due = timer.deadline(&rtt, DELAY, oldest);
            assert_eq!(due, Time::from_millis(149), "since the last news");
            let oldest = Time::from_millis(100).max(Time::from_millis(millis - 20));
            let due = timer.deadline(&rtt, DELAY, oldest);
            assert_eq!(due, oldest + timeout(&rtt, DELAY), "since the oldest left");
        }
    }

    #[test]
    fn it_doubles_up_to_a_minute_and_never_overflows() {
        let base = Duration::from_millis(300);
        let table = [(0, 300), (1, 600), (2, 1_200), (7, 38_400), (8, 60_000)];
        for (count, millis) in table {
            assert_eq!(backed_off(base, count), Duration::from_millis(millis));
        }
        for count in [31, 32, 33, 1_000, u32::MAX] {
            assert_eq!(backed_off(base, count), BACKOFF_MAX);
        }
        let weeks = Duration::from_secs(8 * 7 * 86_400);
        assert_eq!(backed_off(weeks, u32::MAX), weeks);
        assert_eq!(backed_off(Duration::MAX, u32::MAX), Duration::MAX);
    }

    #[test]
    fn an_acknowledgement_ends_the_back_off_and_rearms() {
        let rtt = rtt_of(40);
        let mut timer = ProbeTimer::default();
        timer.on_sent(Time::from_millis(0), true);
        timer.on_fired(Time::from_millis(41));
        assert_eq!(
            timer.deadline(&rtt, DELAY, LATEST),
            Time::from_millis(41 + 82)
        );
        timer.on_fired(Time::from_millis(123));
        assert_eq!(
            timer.deadline(&rtt, DELAY, LATEST),
            Time::from_millis(123 + 164)
        );
        timer.on_newly_acked(Time::from_millis(130));
        assert_eq!(
            timer.deadline(&rtt, DELAY, LATEST),
            Time::from_millis(130 + 41)
        );
    }
}
