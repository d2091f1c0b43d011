//! Why is this transfer not faster? Where the time of a sender goes.
//!
//! The life of the sending side is cut into pieces, each with what held it back then:
//!
//! ```text
//!   opened                                                     the FIN is acknowledged, or it is over
//!   |--busy--|--application--|--cwnd--|--window--|--cwnd--|--application--|
//! ```
//!
//! Invariant: every nanosecond of that life belongs to exactly one of them.

use std::time::Duration;

use crate::recovery::Limit;
use crate::time::Time;

/// How long each limit held the sender back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Spent {
    /// All of the sender's life: the rest beyond the following was spent sending, or waiting for the socket
    /// or for the proof of a new address.
    pub total: Duration,
    /// It had nothing to send.
    pub application: Duration,
    /// The peer's window was closed.
    pub window: Duration,
    /// The congestion window was full.
    pub cwnd: Duration,
    /// The next packet had its time.
    pub pacing: Duration,
}

/// The account of one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// From when on the present limit holds; `None` before the beginning and after the end.
    since: Option<Time>,
    /// `None` while nothing holds the sender back.
    limit: Option<Limit>,
    spent: Spent,
}

impl Limits {
    /// From now on `limit` holds the sender back; the first call begins its life.
    pub(super) fn note(&mut self, now: Time, limit: Option<Limit>) {
        self.spent = self.spent(now);
        self.since = Some(now);
        self.limit = limit;
    }

    /// The sender has done all that it had to do.
    pub(super) fn end(&mut self, now: Time) {
        self.spent = self.spent(now);
        self.since = None;
    }

    /// What holds the sender back at present.
    pub(super) fn current(&self) -> Option<Limit> {
        self.limit.filter(|_| self.since.is_some())
    }

    /// Where the time went until now.
    pub(super) fn spent(&self, now: Time) -> Spent {
        let mut spent = self.spent;
        let Some(since) = self.since else {
            return spent;
        };
        let time = now - since;
        spent.total += time;
        match self.limit {
            Some(Limit::Application) => spent.application += time,
            Some(Limit::Window) => spent.window += time,
            Some(Limit::Cwnd) => spent.cwnd += time,
            Some(Limit::Pacing) => spent.pacing += time,
            None => {}
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn each_piece_of_time_goes_to_what_held_the_sender_back_then() {
        let mut limits = Limits::default();
        assert_eq!(limits.spent(at(500)), Spent::default(), "it has not begun");
        limits.note(at(1_000), None);
        limits.note(at(1_001), Some(Limit::Application));
        limits.note(at(1_011), Some(Limit::Cwnd));
        limits.note(at(1_111), Some(Limit::Application));
        limits.note(at(1_113), Some(Limit::Window));
        limits.note(at(2_113), Some(Limit::Pacing));
        let expected = Spent {
            total: ms(1_120),
            application: ms(12),
            window: ms(1_000),
            cwnd: ms(100),
            pacing: ms(7),
        };
        assert_eq!(limits.spent(at(2_120)), expected);
        limits.end(at(2_120));
        limits.end(at(9_000));
        assert_eq!(limits.spent(at(9_000)), expected, "life is over");
    }

    #[test]
    fn no_nanosecond_is_counted_twice_or_never() {
        let kinds = [
            None,
            Some(Limit::Application),
            Some(Limit::Window),
            Some(Limit::Cwnd),
            Some(Limit::Pacing),
        ];
        let mut limits = Limits::default();
        let (mut now, mut expected) = (Time::from_nanos(77), [0_u64; 5]);
        limits.note(now, None);
        let mut kind = 0;
        for step in 0..10_000_u64 {
            // An odd walk over all pairs of limits, with steps of a few nanoseconds, some of none.
            let nanos = step * step % 13;
            expected[kind] += nanos;
            now += Duration::from_nanos(nanos);
            kind = usize::try_from(step * 7 % 31 % 5).unwrap();
            limits.note(now, kinds[kind]);
        }
        let spent = limits.spent(now);
        let parts = [spent.application, spent.window, spent.cwnd, spent.pacing];
        let parts = parts.map(|part| u64::try_from(part.as_nanos()).unwrap());
        assert_eq!(parts, expected[1..]);
        let total = u64::try_from(spent.total.as_nanos()).unwrap();
        assert_eq!(total, expected.iter().sum::<u64>());
    }
}
