//! Is the window used? Only a window that was full may grow, and only as much as was delivered in a round
//! trip may be trusted after a pause (RFC 9002 s7.8, RFC 7661 s4).
//!
//! Everything is noted by packet number, when packets leave: once their acknowledgements come, every
//! window looks wide.

use crate::wire::PacketNumber;

/// How the sender uses its window, round by round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// The newest packet in flight when the window was full last. Packets above were sent with room to
    /// spare: their arrival does not show that a wider window would have been used.
    full_through: Option<PacketNumber>,
    /// The first packet sent in the present round trip: its acknowledgement begins the next.
    round_from: PacketNumber,
    /// Bytes delivered when the present round trip began.
    round_began: u64,
    /// Bytes delivered in the one before.
    last_round: u64,
}

impl Usage {
    /// On a new path, whose first packet is `first`.
    pub(super) fn new(first: PacketNumber) -> Self {
        Usage {
            full_through: None,
            round_from: first,
            round_began: 0,
            last_round: 0,
        }
    }

    /// A packet left and filled the window.
    pub(super) fn on_full(&mut self, number: PacketNumber) {
        self.full_through = Some(number);
    }

    /// `largest` was acknowledged, `before` bytes having been delivered before; the next packet to be sent
    /// is `next`.
    pub(super) fn on_acked(&mut self, largest: PacketNumber, next: PacketNumber, before: u64) {
        if largest >= self.round_from {
            self.last_round = before - self.round_began;
            self.round_began = before;
            self.round_from = next;
        }
    }

    /// Whether the window was full at some time since this packet was sent.
    pub(super) fn was_full_since(&self, number: PacketNumber) -> bool {
        Some(number) <= self.full_through
    }

    /// Bytes delivered in a round trip lately, of `delivered` in all.
    pub(super) fn busy_round(&self, delivered: u64) -> u64 {
        self.last_round.max(delivered - self.round_began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> PacketNumber {
        PacketNumber::new(n)
    }

    #[test]
    fn a_window_that_was_full_counts_for_the_packets_then_in_flight() {
        let mut usage = Usage::new(number(0));
        assert!(!usage.was_full_since(number(0)));
        usage.on_full(number(9));
        assert!(usage.was_full_since(number(0)) && usage.was_full_since(number(9)));
        assert!(!usage.was_full_since(number(10)));
    }

    #[test]
    fn a_busy_round_is_what_was_delivered_in_one_round_trip() {
        let mut usage = Usage::new(number(0));
        // Ten packets of 1,000 bytes in one flight, acknowledged two by two.
        for pair in 0..5 {
            usage.on_acked(number(pair * 2 + 1), number(10), pair * 2_000);
        }
        assert_eq!(usage.busy_round(10_000), 10_000);
        // Three more in the next round trip, acknowledged one by one: the last full round still counts.
        for n in 10..13 {
            usage.on_acked(number(n), number(13), n * 1_000);
            assert_eq!(usage.busy_round((n + 1) * 1_000), 10_000);
        }
        // After another such round it no longer does.
        for n in 13..16 {
            usage.on_acked(number(n), number(16), n * 1_000);
        }
        assert_eq!(usage.busy_round(16_000), 3_000);
    }
}
