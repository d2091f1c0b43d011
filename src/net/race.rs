//! [`Race`]: a name with several addresses is connected to over the first that answers, in the manner of RFC 8305.
//!
//! ```text
//! resolver:   a6  b6  c4  d4          in turns: a6  c4  b6  d4
//!
//! 0           250 ms      500 ms
//! a6 -------------------------------- silent
//!             c4 --x                  refused: the next begins at once
//!                   b6 ---- open      the others are given up
//! ```
//!
//! It opens nothing and knows no clock: who drives it is told what to begin, and says what has failed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;

/// How long an attempt goes on alone (RFC 8305 s5, Connection Attempt Delay).
pub(super) const STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried; who has more is reachable by these or not at all.
const ADDRESSES_MAX: usize = 64;
/// Attempts at once, each with a socket of its own; the next then waits for one to fail.
const RUNNING_MAX: usize = 16;

/// Which address is tried next, and when.
#[derive(Debug)]
pub(super) struct Race {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    /// Not before then, as long as others run.
    next_at: Time,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Begin a connection to this address.
    Begin(SocketAddr),
    /// Wait for one of those that run, but not beyond that time.
    Wait(Option<Time>),
    /// All have failed.
    Lost,
}

impl Race {
    /// A race of these addresses, each of which counts once. The family of the first one begins, then they take turns (RFC 8305 s4).
    pub(super) fn new(addrs: impl IntoIterator<Item = SocketAddr>) -> Self {
        let mut known: Vec<SocketAddr> = Vec::new();
        for addr in addrs {
            if known.len() < ADDRESSES_MAX && !known.contains(&addr) {
                known.push(addr);
            }
        }
        let begins_with_v6 = known.first().is_some_and(SocketAddr::is_ipv6);
        let (first, second): (VecDeque<_>, VecDeque<_>) = known
            .into_iter()
            .partition(|addr| addr.is_ipv6() == begins_with_v6);
        Race {
            waiting: in_turns(first, second),
            running: 0,
            next_at: Time::ZERO,
        }
    }

    /// What is to be done now; to be asked again after each [`Step::Begin`].
    pub(super) fn step(&mut self, now: Time) -> Step {
        let may_begin = self.running < RUNNING_MAX && (self.running == 0 || now >= self.next_at);
        let next = may_begin.then(|| self.waiting.pop_front()).flatten();
        if let Some(addr) = next {
            self.running += 1;
            self.next_at = now + STAGGER;
            return Step::Begin(addr);
        }
        if self.running == 0 {
            return Step::Lost;
        }
        let is_next = !self.waiting.is_empty() && self.running < RUNNING_MAX;
        Step::Wait(is_next.then_some(self.next_at))
    }

    /// One of those that ran has failed, or could not be begun: the next begins at once (RFC 8305 s5).
    pub(super) fn on_failed(&mut self, now: Time) {
        self.running = self.running.saturating_sub(1);
        self.next_at = now;
    }
}

/// One of each, and what is left of the longer one.
fn in_turns(
    mut first: VecDeque<SocketAddr>,
    mut second: VecDeque<SocketAddr>,
) -> VecDeque<SocketAddr> {
    let mut all = VecDeque::with_capacity(first.len() + second.len());
    while !(first.is_empty() && second.is_empty()) {
        all.extend(first.pop_front());
        all.extend(second.pop_front());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Time = Time::from_millis(1_000);

    fn v4(number: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], number))
    }

    fn v6(number: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], number))
    }

    /// The order in which addresses are begun that all fail at once.
    fn order(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut race = Race::new(addrs.iter().copied());
        let mut begun = Vec::new();
        while let Step::Begin(addr) = race.step(AT) {
            begun.push(addr);
            race.on_failed(AT);
        }
        assert_eq!(race.step(AT), Step::Lost);
        begun
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_begins() {
        let (a, b, c, d) = (v6(1), v6(2), v4(3), v4(4));
        assert_eq!(order(&[a, b, c, d]), [a, c, b, d]);
        assert_eq!(order(&[c, a, b]), [c, a, b]);
        assert_eq!(order(&[a, a, c, a, c]), [a, c]);
        assert_eq!(order(&[c, d]), [c, d]);
        assert_eq!(order(&[]), []);
    }

    #[test]
    fn the_next_begins_after_a_quarter_of_a_second_or_at_once_after_a_failure() {
        let mut race = Race::new([v4(1), v4(2), v4(3), v4(4)]);
        let quarter = AT + STAGGER;
        assert_eq!(race.step(AT), Step::Begin(v4(1)));
        assert_eq!(race.step(AT), Step::Wait(Some(quarter)));
        assert_eq!(
            race.step(quarter - Duration::from_nanos(1)),
            Step::Wait(Some(quarter))
        );
        assert_eq!(race.step(quarter), Step::Begin(v4(2)));
        let soon = quarter + Duration::from_millis(10);
        race.on_failed(soon);
        assert_eq!(race.step(soon), Step::Begin(v4(3)));
        assert_eq!(race.step(soon), Step::Wait(Some(soon + STAGGER)));
        assert_eq!(race.step(soon + STAGGER), Step::Begin(v4(4)));
        assert_eq!(
            race.step(soon + STAGGER),
            Step::Wait(None),
            "nobody is left"
        );
        for _ in 0..3 {
            race.on_failed(soon);
        }
        assert_eq!(race.step(soon), Step::Lost);
    }

    #[test]
    fn silent_addresses_without_number_are_bounded() {
        let mut race = Race::new((0..10_000).map(v4));
        let (mut now, mut begun) = (AT, 0);
        loop {
            match race.step(now) {
                Step::Begin(_) => begun += 1,
                Step::Wait(Some(at)) => now = at,
                Step::Wait(None) => break,
                Step::Lost => panic!("nobody has failed"),
            }
        }
        assert_eq!(begun, RUNNING_MAX);
        // Each that fails lets one in.
        while begun < ADDRESSES_MAX {
            race.on_failed(now);
            assert!(matches!(race.step(now), Step::Begin(_)));
            begun += 1;
            assert_eq!(race.step(now), Step::Wait(None));
        }
        for _ in 0..RUNNING_MAX {
            race.on_failed(now);
        }
        assert_eq!(race.step(now), Step::Lost);
    }
}
