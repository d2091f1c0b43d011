//! Silence: keep-alive (RFC 1122 s4.2.3.6), the idle timeout, and the user timeout (RFC 5482).
//!
//! Packets only note the time; the timers find out when they fire whether they are really due, and are
//! set again if not. So a packet costs no timer.

use std::time::Duration;

use crate::config::Keepalive;
use crate::error::CloseReason;
use crate::time::Time;

/// What the silence of a peer means.
#[derive(Debug)]
pub(super) struct Idle {
    /// When anything valid last came from the peer.
    pub heard_at: Time,
    /// When the peer last acknowledged something new, or something was sent with nothing in flight.
    pub progress_at: Time,
    /// When the peer last acknowledged bytes of the stream.
    pub advanced_at: Time,
    /// The agreed idle timeout.
    pub idle_timeout: Option<Duration>,
    /// The user timeout.
    pub user_timeout: Option<Duration>,
    /// Keep-alive.
    pub keepalive: Option<Keepalive>,
    probes: u32,
}

/// What to do now that a timer has fired.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing; fire again then.
    Again(Time),
    /// Send a probe, and fire again then.
    Probe(Time),
    /// The timer is not needed.
    Stop,
    /// The connection has ended.
    End(CloseReason),
}

impl Idle {
    /// Nothing was heard before `now`.
    pub(super) fn new(
        now: Time,
        user_timeout: Option<Duration>,
        keepalive: Option<Keepalive>,
    ) -> Self {
        Idle {
            heard_at: now,
            progress_at: now,
            advanced_at: now,
            idle_timeout: None,
            user_timeout,
            keepalive,
            probes: 0,
        }
    }

    /// A valid packet came from the peer.
    pub(super) fn on_heard(&mut self, now: Time) {
        self.heard_at = now;
        self.probes = 0;
    }

    /// The idle timer fired.
    pub(super) fn on_idle_timer(&self, now: Time) -> Verdict {
        let Some(after) = self.idle_timeout else {
            return Verdict::Stop;
        };
        let due = self.heard_at + after;
        if now < due {
            Verdict::Again(due)
        } else {
            Verdict::End(CloseReason::Idle { after })
        }
    }

    /// The user timer fired; `waiting`: since when something waits for the peer, if anything does.
    pub(super) fn on_user_timer(&self, now: Time, waiting: Option<Time>) -> Verdict {
        let (Some(after), Some(since)) = (self.user_timeout, waiting) else {
            return Verdict::Stop;
        };
        let due = since + after;
        if now < due {
            Verdict::Again(due)
        } else {
            Verdict::End(CloseReason::TimedOut { after })
        }
    }

    /// The keep-alive timer fired. While data is in flight its own timers watch the peer.
    pub(super) fn on_keepalive_timer(&mut self, now: Time, in_flight: bool) -> Verdict {
        let Some(keepalive) = self.keepalive else {
            return Verdict::Stop;
        };
        let due = self.heard_at + keepalive.idle;
        if now < due {
            return Verdict::Again(due);
        }
        if self.probes >= keepalive.count {
            return Verdict::End(CloseReason::KeepAlive {
                probes: self.probes,
            });
        }
        if in_flight && self.probes == 0 {
            return Verdict::Again(now + keepalive.interval);
        }
        self.probes += 1;
        Verdict::Probe(now + keepalive.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
    fn at(secs: u64) -> Time {
        Time::from_millis(secs * 1_000)
    }
    fn idle() -> Idle {
        let keepalive = Keepalive {
            idle: secs(10),
            interval: secs(2),
            count: 3,
        };
        let mut idle = Idle::new(Time::ZERO, Some(secs(60)), Some(keepalive));
        idle.idle_timeout = Some(secs(30));
        idle
    }

    #[test]
    fn keepalive_probes_after_silence_and_gives_up_after_the_count() {
        let mut idle = idle();
        idle.on_heard(at(5));
        assert_eq!(
            idle.on_keepalive_timer(at(10), false),
            Verdict::Again(at(15))
        );
        for (now, next) in [(15, 17), (17, 19), (19, 21)] {
            assert_eq!(
                idle.on_keepalive_timer(at(now), false),
                Verdict::Probe(at(next))
            );
        }
        let end = CloseReason::KeepAlive { probes: 3 };
        assert_eq!(idle.on_keepalive_timer(at(21), false), Verdict::End(end));
    }

    #[test]
    fn an_answer_starts_keepalive_anew() {
        let mut idle = idle();
        assert_eq!(
            idle.on_keepalive_timer(at(10), false),
            Verdict::Probe(at(12))
        );
        idle.on_heard(at(11));
        assert_eq!(
            idle.on_keepalive_timer(at(12), false),
            Verdict::Again(at(21))
        );
        assert_eq!(
            idle.on_keepalive_timer(at(21), false),
            Verdict::Probe(at(23))
        );
    }

    #[test]
    fn keepalive_leaves_the_watch_to_data_in_flight() {
        let mut idle = idle();
        assert_eq!(
            idle.on_keepalive_timer(at(10), true),
            Verdict::Again(at(12))
        );
        idle.keepalive = None;
        assert_eq!(idle.on_keepalive_timer(at(12), false), Verdict::Stop);
    }

    #[test]
    fn user_timeout_counts_from_the_last_progress() {
        let mut idle = idle();
        idle.progress_at = at(7);
        assert_eq!(
            idle.on_user_timer(at(60), Some(idle.progress_at)),
            Verdict::Again(at(67))
        );
        assert_eq!(idle.on_user_timer(at(60), None), Verdict::Stop);
        let end = CloseReason::TimedOut { after: secs(60) };
        assert_eq!(
            idle.on_user_timer(at(67), Some(idle.progress_at)),
            Verdict::End(end)
        );
    }

    #[test]
    fn idle_timeout_counts_from_the_last_packet() {
        let mut idle = idle();
        idle.on_heard(at(3));
        assert_eq!(idle.on_idle_timer(at(30)), Verdict::Again(at(33)));
        assert_eq!(
            idle.on_idle_timer(at(33)),
            Verdict::End(CloseReason::Idle { after: secs(30) })
        );
        idle.idle_timeout = None;
        assert_eq!(idle.on_idle_timer(at(99)), Verdict::Stop);
    }
}
