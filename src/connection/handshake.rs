//! The opening of a connection, seen from the side that calls `connect`
//! (docs/WIRE.md, "Handshake"). The passive side keeps nothing before the third packet, so it has no
//! state here.
//!
//! ```text
//! SynSent --SYNACK--> Proving --anything else from the peer--> Done
//! ```
//! `connect` has succeeded from Proving on; until the peer is heard every packet carries the cookie.

use std::time::Duration;

use super::ActiveOpen;
use crate::time::Time;

/// The wait for an answer to the first SYN, before any round trip is known (RFC 6298 s2.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The same on loopback, where nothing but an overflow can lose a SYN.
const FIRST_WAIT_LOOPBACK: Duration = Duration::from_millis(200);
/// SYNs whose clocks are remembered, so that an answer to any of them gives a round trip.
const CLOCKS: usize = 8;
/// The peer must be heard within this after its SYNACK.
pub(super) const PROVING_MAX: Duration = Duration::from_secs(30);

/// How far the opening has come.
#[derive(Debug)]
pub(super) enum Handshake {
    /// SYNs are sent, nothing was heard.
    SynSent(Box<SynSent>),
    /// The SYNACK is here; its cookie rides on every packet until the peer is heard.
    Proving {
        /// What the SYNACK gave us to return; empty in a simultaneous open.
        cookie: Box<[u8]>,
    },
    /// The peer was heard.
    Done,
}

/// A SYN under way.
#[derive(Debug)]
pub(super) struct SynSent {
    /// When `connect` was called.
    pub started: Time,
    /// SYNs sent.
    pub attempts: u32,
    /// Whether a SYN must leave now.
    pub due: bool,
    /// 0, or the rendezvous token.
    pub service: u64,
    /// This endpoint's incarnation.
    pub incarnation: u64,
    clocks: [Option<u32>; CLOCKS],
    first_wait: Duration,
}

impl SynSent {
    /// The first SYN is due at once.
    pub(super) fn new(now: Time, open: &ActiveOpen) -> Self {
        let loopback = open.remote.ip().is_loopback();
        let usual = if loopback {
            FIRST_WAIT_LOOPBACK
        } else {
            FIRST_WAIT
        };
        let cached = open.cached_rtt.map(|rtt| rtt.saturating_mul(3));
        SynSent {
            started: now,
            attempts: 0,
            due: true,
            service: open.service,
            incarnation: open.incarnation,
            clocks: [None; CLOCKS],
            first_wait: cached.map_or(usual, |cached| cached.clamp(FIRST_WAIT_LOOPBACK, usual)),
        }
    }

    /// A SYN leaves: its clock, and when the next one is due. `jitter` is a random 0..=255.
    pub(super) fn on_sent(&mut self, now: Time, jitter: u8) -> (u32, Time) {
        let clock = clock_of(now);
        let slot = usize::try_from(self.attempts)
            .unwrap_or(usize::MAX)
            .min(CLOCKS - 1);
        self.clocks[slot] = Some(clock);
        let wait = self.first_wait.saturating_mul(1 << self.attempts.min(10));
        self.attempts += 1;
        self.due = false;
        (clock, now + jittered(wait, jitter))
    }

    /// The round trip, if the SYNACK echoes the clock of a SYN that was sent.
    pub(super) fn round_trip(&self, now: Time, echo: u32) -> Option<Duration> {
        let sent = self.clocks.contains(&Some(echo));
        let micros = clock_of(now).wrapping_sub(echo);
        sent.then(|| Duration::from_micros(u64::from(micros)))
    }
}

/// The microsecond clock of a SYN: the low 32 bits, an hour and more before it wraps.
fn clock_of(now: Time) -> u32 {
    crate::wire::low_u32(now.as_micros())
}

/// `wait`, 10 % more or less.
fn jittered(wait: Duration, jitter: u8) -> Duration {
    let tenth = wait / 10;
    wait - tenth + tenth * 2 * u32::from(jitter) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ConnectionId, PacketNumber};

    fn open(remote: &str) -> ActiveOpen {
        ActiveOpen {
            remote: remote.parse().expect("an address"),
            local_cid: ConnectionId::new(1).expect("not 0"),
            local_first: PacketNumber::new(1),
            service: 0,
            incarnation: 0,
            cached_rtt: None,
        }
    }

    /// RFC 6298 s2.1 and s5.5: 1, 2, 4, 8 s, each 10 % more or less.
    #[test]
    fn syns_back_off_from_one_second_with_a_tenth_of_jitter() {
        for jitter in 0..=u8::MAX {
            let mut syn = SynSent::new(Time::ZERO, &open("192.0.2.1:1"));
            let mut now = Time::ZERO;
            for wait in [1u64, 2, 4, 8, 16] {
                let (_, next) = syn.on_sent(now, jitter);
                let millis = u64::try_from((next - now).as_millis()).expect("small");
                assert!(
                    (wait * 900..=wait * 1_100).contains(&millis),
                    "{wait} s: {millis} ms"
                );
                now = next;
            }
        }
    }

    #[test]
    fn loopback_and_a_known_round_trip_shorten_the_first_wait() {
        let wait = |open: &ActiveOpen| SynSent::new(Time::ZERO, open).first_wait;
        assert_eq!(wait(&open("127.0.0.1:1")), FIRST_WAIT_LOOPBACK);
        assert_eq!(wait(&open("192.0.2.1:1")), FIRST_WAIT);
        let known = |millis| ActiveOpen {
            cached_rtt: Some(Duration::from_millis(millis)),
            ..open("192.0.2.1:1")
        };
        assert_eq!(wait(&known(100)), Duration::from_millis(300));
        assert_eq!(wait(&known(1)), FIRST_WAIT_LOOPBACK);
        assert_eq!(wait(&known(5_000)), FIRST_WAIT);
    }

    #[test]
    fn an_echo_of_any_syn_gives_a_round_trip_and_no_other_does() {
        let mut syn = SynSent::new(Time::ZERO, &open("192.0.2.1:1"));
        let (first, _) = syn.on_sent(Time::from_millis(1), 0);
        let (second, _) = syn.on_sent(Time::from_millis(1_001), 0);
        let now = Time::from_millis(1_040);
        assert_eq!(syn.round_trip(now, second), Some(Duration::from_millis(39)));
        assert_eq!(
            syn.round_trip(now, first),
            Some(Duration::from_millis(1_039))
        );
        assert_eq!(syn.round_trip(now, second + 1), None);
    }

    #[test]
    fn the_clock_may_wrap_between_syn_and_answer() {
        let mut syn = SynSent::new(Time::ZERO, &open("192.0.2.1:1"));
        let before_wrap = Time::from_micros(u64::from(u32::MAX) - 5);
        let (clock, _) = syn.on_sent(before_wrap, 0);
        let rtt = syn.round_trip(before_wrap + Duration::from_micros(10), clock);
        assert_eq!(rtt, Some(Duration::from_micros(10)));
    }
}
