//! Which packets ask to be acknowledged at once (docs/WIRE.md, IMM; RFC 9000 s13.2.2).
//!
//! A receiver that is not asked acknowledges rarely: that is cheap, and it is enough while much is under
//! way. The sender knows when it is not: when it must stop until it hears something, and when acknowledgements
//! get lost. Those that come alone carry numbers of their own, so their losses can be counted.

/// Packets at the start of a connection that ask: slow start's first two rounds.
const EAGER_PACKETS: u64 = 30;
/// Packets in a flight whose last one asks. A lone request does not, so that the answer carries the
/// acknowledgement.
const FLIGHT: u32 = 4;
/// In a window of so few packets each second one that is held back asks, as TCP's receivers acknowledge (RFC 5681
/// s4.2): while four are waited for, a small window leaves its path idle.
const SMALL_WINDOW: u64 = 64;
const SMALL_FLIGHT: u32 = 2;
/// Where packets are paced few are held back by the window, and an acknowledgement that waits for the receiver's timer
/// is a longer round trip: every window is slower for it, and in slow start every doubling later. As many ask in a
/// window as keep that below a thirtieth of a round trip, but never more than each second one (RFC 5681 s4.2): only in
/// a tiny window does each, where a packet that waits for its second is a tenth of all that is under way.
const PER_PACED_WINDOW: u64 = 32;
const TINY_WINDOW: u64 = 16;
/// Nor more than one in this time: what an acknowledgement costs is bounded, however fast the path is.
const TICKS_PER_SECOND: u64 = 4_000;
/// Acknowledgements in a window that are enough where none is lost (draft-ietf-ccwg-bbr: four in a round trip
/// keep samples good). The receiver's timer of a quarter of a round trip sends so many unasked.
const PER_WINDOW: u64 = 4;
/// Further ones for each that is lost beside one that arrives. Of `n` that are sent with the share `p` lost, all
/// are lost with the chance `p^n`; 14 / (1 - p) make it a millionth.
const PER_LOST: u64 = 14;
/// Acknowledgements that the count of lost ones looks back on, about.
const MEMORY: u64 = 128;
/// An estimate of so many lost ones beside one that arrives asks for every packet already.
const LOST_MAX: u64 = 1_000;

/// What is sent, as far as the decision cares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    /// FIN, or the probe of a timeout.
    pub must: bool,
    /// Packets sent since the connection began, this one aside.
    pub sent: u64,
    /// Nothing is in flight before it.
    pub is_first: bool,
    /// More data waits behind it.
    pub has_more: bool,
    /// Window or cwnd hold back the packet behind it; the pacer does not count, it lets go by itself.
    pub is_held_back: bool,
    /// Packets that the congestion window holds.
    pub window: u64,
    /// Packets that the pacer lets go in a second; 0 where nothing is paced.
    pub pace: u64,
}

/// Decides for each packet, and counts lost acknowledgements.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Imm {
    /// Packets since the last one that asked.
    since: u32,
    acks: AckLoss,
}

/// How many acknowledgements the path loses, from the numbers of those that arrive.
#[derive(Clone, Copy, Debug, Default)]
struct AckLoss {
    newest: u64,
    arrived: u64,
    lost: u64,
}

impl Imm {
    /// Whether the packet asks for an acknowledgement at once.
    pub(super) fn wants(&mut self, packet: Leaving) -> bool {
        // A packet with nothing before it in flight begins a flight.
        self.since = if packet.is_first { 1 } else { self.since + 1 };
        let starting = packet.sent < EAGER_PACKETS && (packet.has_more || !packet.is_first);
        let ends_flight = !packet.has_more || packet.is_held_back;
        let is_small = packet.window <= SMALL_WINDOW && packet.has_more;
        let flight = if is_small { SMALL_FLIGHT } else { FLIGHT };
        let interval = self.interval(&packet);
        let imm = packet.must
            || starting
            || (ends_flight && self.since >= flight)
            || interval.is_some_and(|count| !packet.is_first && u64::from(self.since) >= count);
        if imm {
            self.since = 0;
        }
        imm
    }

    /// Every how many packets one asks, if not only those do that end a flight.
    fn interval(&self, packet: &Leaving) -> Option<u64> {
        let paced = packet
            .paced_interval()
            .map(|interval| self.acks.share(interval));
        let repeated = self.repeated_interval(packet.window);
        paced.into_iter().chain(repeated).min()
    }

    /// On a path that loses acknowledgements.
    fn repeated_interval(&self, window: u64) -> Option<u64> {
        let lost = self.acks.lost_for_each();
        let wanted = PER_WINDOW + PER_LOST * lost;
        (lost > 0).then(|| (window / wanted).max(1))
    }

    /// An ACK packet arrived with this number; whether it is the newest.
    pub(super) fn on_ack_number(&mut self, number: u64) -> bool {
        self.acks.on_arrived(number)
    }
}

impl Leaving {
    /// On a path that is paced, while more waits: what ends there is acknowledged by the rule of flights.
    fn paced_interval(&self) -> Option<u64> {
        let tick = self.pace.div_ceil(TICKS_PER_SECOND);
        let least = if self.window <= TINY_WINDOW { 1 } else { 2 };
        let interval = (self.window / PER_PACED_WINDOW).max(tick).max(least);
        (self.pace > 0 && self.has_more).then_some(interval)
    }
}

impl AckLoss {
    fn on_arrived(&mut self, number: u64) -> bool {
        if number <= self.newest {
            return false;
        }
        let skipped = (number - self.newest - 1).min(LOST_MAX);
        self.newest = number;
        self.lost += skipped;
        self.arrived += 1;
        if self.lost + self.arrived > MEMORY {
            self.lost /= 2;
            self.arrived = (self.arrived / 2).max(1);
        }
        true
    }

    /// What is left of an interval when so many acknowledgements are to arrive as without a loss; at least 1.
    fn share(&self, interval: u64) -> u64 {
        let sent = (self.lost + self.arrived).max(1);
        (interval * self.arrived.max(1) / sent).max(1)
    }

    /// How many are lost for each that arrives, rounded: 0 below a loss of a third.
    fn lost_for_each(&self) -> u64 {
        (self.lost + self.arrived / 2)
            .checked_div(self.arrived)
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet in the midst of a long transfer.
    const MIDST: Leaving = Leaving {
        must: false,
        sent: 1_000,
        is_first: false,
        has_more: true,
        is_held_back: false,
        window: 100,
        pace: 0,
    };

    /// The places of those that ask among a hundred packets.
    fn asking(imm: &mut Imm, packet: Leaving) -> Vec<usize> {
        (1..=100).filter(|_| imm.wants(packet)).collect()
    }

    #[test]
    fn what_may_go_on_does_not_ask() {
        assert_eq!(asking(&mut Imm::default(), MIDST), [0; 0]);
    }

    #[test]
    fn what_is_held_back_asks_behind_a_flight_of_four() {
        let mut imm = Imm::default();
        let held = Leaving {
            is_held_back: true,
            ..MIDST
        };
        let asked: Vec<bool> = (0..8).map(|_| imm.wants(held)).collect();
        assert_eq!(
            asked,
            [false, false, false, true, false, false, false, true]
        );
    }

    #[test]
    fn what_a_small_window_holds_back_asks_behind_a_flight_of_two() {
        let mut imm = Imm::default();
        let held = Leaving {
            is_held_back: true,
            window: SMALL_WINDOW,
            ..MIDST
        };
        let asked: Vec<bool> = (0..4).map(|_| imm.wants(held)).collect();
        assert_eq!(asked, [false, true, false, true]);
    }

    #[test]
    fn the_last_of_a_flight_asks_but_not_a_lone_request() {
        let last = Leaving {
            has_more: false,
            ..MIDST
        };
        for flight in 1..=6 {
            let mut imm = Imm::default();
            let asked = (1..=flight).filter(|&n| {
                imm.wants(Leaving {
                    is_first: n == 1,
                    ..if n == flight { last } else { MIDST }
                })
            });
            assert_eq!(asked.count(), usize::from(flight >= 4), "of {flight}");
        }
    }

    #[test]
    fn the_first_two_rounds_ask_with_every_packet() {
        let mut imm = Imm::default();
        let asked = (0..40).filter(|&sent| imm.wants(Leaving { sent, ..MIDST }));
        assert_eq!(asked.filter(|&sent| sent < 30).count(), 30);
        let lone = Leaving {
            sent: 0,
            is_first: true,
            has_more: false,
            ..MIDST
        };
        assert!(!imm.wants(lone), "but not a lone request");
    }

    #[test]
    fn what_is_paced_asks_as_often_as_delays_no_window_and_costs_little() {
        // Packets in the window, packets a second, every how many one asks.
        let table = [
            (12, 300, 1),
            (17, 420, 2),
            (64, 1_600, 2),
            (333, 8_300, 10),
            (333, 80_000, 20),
            (6_400, 32_000, 200),
        ];
        for (window, pace, interval) in table {
            let paced = Leaving {
                window,
                pace,
                ..MIDST
            };
            let mut imm = Imm::default();
            let asking: Vec<_> = (1..=400).filter(|_| imm.wants(paced)).collect();
            let expected: Vec<_> = (interval..=400).step_by(interval).collect();
            assert_eq!(asking, expected, "{window} packets, {pace} a second");
        }
    }

    #[test]
    fn a_paced_flight_that_ends_asks_by_the_rule_of_flights() {
        let short = Leaving {
            has_more: false,
            window: 12,
            pace: 300,
            ..MIDST
        };
        let mut imm = Imm::default();
        let asked: Vec<bool> = (0..4).map(|_| imm.wants(short)).collect();
        assert_eq!(asked, [false, false, false, true]);
    }

    #[test]
    fn a_fin_and_a_probe_always_ask() {
        let lone = Leaving {
            must: true,
            is_first: true,
            has_more: false,
            ..MIDST
        };
        assert!(Imm::default().wants(lone));
    }

    #[test]
    fn the_more_acknowledgements_are_lost_the_more_packets_ask() {
        for (step, interval) in [(1, None), (2, Some(5)), (4, Some(2)), (10, Some(1))] {
            let mut imm = Imm::default();
            (1..=200_u64).for_each(|n| _ = imm.on_ack_number(n * step));
            assert_eq!(
                imm.repeated_interval(100),
                interval,
                "one of {step} arrives"
            );
        }
        let mut imm = Imm::default();
        (1..=200_u64).for_each(|n| _ = imm.on_ack_number(n * 2));
        assert_eq!(asking(&mut imm, MIDST).len(), 20);
    }

    #[test]
    fn as_many_acknowledgements_arrive_from_a_paced_window_whatever_is_lost() {
        let paced = Leaving {
            window: 640,
            pace: 10_000,
            ..MIDST
        };
        // One of `step` arrives; every how many packets one asks.
        for (step, interval) in [(1, 20), (2, 10), (5, 4)] {
            let mut imm = Imm::default();
            (1..=200_u64).for_each(|n| _ = imm.on_ack_number(n * step));
            let asking: Vec<_> = (1..=100).filter(|_| imm.wants(paced)).collect();
            let expected: Vec<_> = (interval..=100).step_by(interval).collect();
            assert_eq!(asking, expected, "one of {step} arrives");
        }
    }

    #[test]
    fn a_path_that_recovers_is_believed_soon() {
        let mut imm = Imm::default();
        (1..=200_u64).for_each(|n| _ = imm.on_ack_number(n * 10));
        (2_001..2_400_u64).for_each(|n| _ = imm.on_ack_number(n));
        assert_eq!(imm.repeated_interval(100), None);
    }

    #[test]
    fn numbers_that_a_peer_makes_up_are_bounded_and_old_ones_say_nothing() {
        let mut imm = Imm::default();
        assert!(imm.on_ack_number(u64::MAX));
        assert!(!imm.on_ack_number(u64::MAX));
        assert!(!imm.on_ack_number(3));
        assert_eq!(imm.repeated_interval(100), Some(1));
        assert!(imm.acks.lost <= LOST_MAX);
    }
}
