//! How long a packet that was overtaken may still arrive: the adaptive reordering window (RFC 8985 s6.2).
//!
//! Once a later packet is acknowledged, a packet is lost at
//!
//! ```text
//!   sent + max(srtt, latest round trip) + window
//! ```
//!
//! RFC 8985 s7.2 counts from the round trip of the newest delivered packet alone. That is `latest`; it
//! is exact on a path that keeps the order, where a packet sent earlier arrives earlier. What overtakes
//! came by a faster way, though, and its short round trip is no measure for the one that it overtook: so
//! the smoothed one counts too. The price is that a loss is found `srtt - latest` later when a queue drains.
//!
//! No delay of acknowledgements is added. A receiver answers at once to a number that opens or closes a
//! gap, so neither the news of the gap nor that of the late packet waits; where an acknowledgement did
//! wait, `latest` holds the delay already.

use std::time::Duration;

use super::rtt::{GRANULARITY, RttEstimator};
use crate::wire::PacketNumber;

/// How many packets must have overtaken one while the path is not known to reorder (RFC 9002 s6.1.1,
/// kPacketThreshold; RFC 5681 s3.2).
const PACKET_THRESHOLD: u64 = 3;
/// Quarters of the smallest round trip that the window has at most: it would rather be a round trip wide
/// than hold the repair back for longer.
const QUARTERS_MAX: u32 = 4;
/// Recoveries without a spurious loss after which the window is narrow again (RFC 8985 s6.2, RACK.reo_wnd_persist).
const PERSIST: u8 = 16;

/// What is known of the order in which the path delivers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reordering {
    /// A packet arrived after one that was sent later, or was thought lost and was not.
    seen: bool,
    /// Quarters of the smallest round trip.
    quarters: u32,
    /// Recoveries until the window is narrow again.
    persist: u8,
    /// Only packets from here on were judged by the present window: one step for each round.
    widened_from: PacketNumber,
}

/// By how much a packet may be overtaken, and how old it may be, before it is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Threshold {
    /// Lost once so many later packets could have been acknowledged; `None` once the path reorders.
    pub packets: Option<u64>,
    /// Lost at this age.
    pub age: Duration,
}

impl Reordering {
    /// A path of which nothing is known, whose first packet will be `first`.
    pub(super) fn new(first: PacketNumber) -> Self {
        Reordering {
            seen: false,
            quarters: 1,
            persist: 0,
            widened_from: first,
        }
    }

    /// A packet arrived that a later one had overtaken.
    pub(super) fn on_overtaken(&mut self) {
        self.seen = true;
    }

    /// The packet `number`, declared lost, has arrived. `next`: the next number to be sent.
    pub(super) fn on_spurious(&mut self, number: PacketNumber, next: PacketNumber) {
        self.seen = true;
        self.persist = PERSIST;
        if number >= self.widened_from {
            self.quarters = (self.quarters + 1).min(QUARTERS_MAX);
            self.widened_from = next;
        }
    }

    /// A recovery is over.
    pub(super) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.quarters = 1;
        }
    }

    /// The window: quarters of the smallest round trip, at most a smoothed one, and never finer than
    /// clocks and timers are.
    pub(super) fn window(&self, rtt: &RttEstimator) -> Duration {
        let smoothed = rtt.expected();
        let smallest = rtt.min_rtt().unwrap_or(smoothed);
        let window = (smallest * self.quarters / 4).min(rtt.srtt().unwrap_or(smoothed));
        window.max(GRANULARITY)
    }

    /// What a packet in flight is judged by.
    pub(super) fn threshold(&self, rtt: &RttEstimator) -> Threshold {
        Threshold {
            packets: (!self.seen).then_some(PACKET_THRESHOLD),
            age: rtt.expected() + self.window(rtt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn number(n: u64) -> PacketNumber {
        PacketNumber::new(n)
    }

    fn rtt_of(round_trip: Duration) -> RttEstimator {
        let mut rtt = RttEstimator::default();
        rtt.sample(round_trip, Duration::ZERO);
        rtt
    }

    #[test]
    fn a_path_in_order_is_judged_by_three_packets_and_a_quarter_of_a_round_trip() {
        let reordering = Reordering::new(number(0));
        let threshold = reordering.threshold(&rtt_of(ms(80)));
        assert_eq!(threshold.packets, Some(3));
        assert_eq!(threshold.age, ms(100));
    }

    #[test]
    fn before_the_first_sample_the_assumed_round_trip_counts() {
        let reordering = Reordering::new(number(0));
        let threshold = reordering.threshold(&RttEstimator::default());
        assert_eq!(threshold.age, Duration::from_micros(333_000 + 83_250));
    }

    #[test]
    fn a_longer_latest_round_trip_counts_and_the_smallest_makes_the_window() {
        let reordering = Reordering::new(number(0));
        let mut rtt = rtt_of(ms(80));
        rtt.sample(ms(160), Duration::ZERO);
        assert_eq!(reordering.threshold(&rtt).age, ms(160 + 20));
        // The newest came fast: what it overtook did not.
        rtt.sample(ms(40), Duration::ZERO);
        let expected = rtt.srtt().unwrap() + ms(10);
        assert_eq!(reordering.threshold(&rtt).age, expected);
    }

    #[test]
    fn once_something_was_overtaken_only_age_counts() {
        let mut reordering = Reordering::new(number(0));
        reordering.on_overtaken();
        let threshold = reordering.threshold(&rtt_of(ms(80)));
        assert_eq!(threshold.packets, None);
        assert_eq!(threshold.age, ms(100), "the window is as it was");
    }

    #[test]
    fn each_round_with_a_spurious_loss_widens_the_window_by_a_quarter_up_to_a_round_trip() {
        let mut reordering = Reordering::new(number(0));
        let rtt = rtt_of(ms(80));
        for (round, window) in [(1, 40), (2, 60), (3, 80), (4, 80), (5, 80)] {
            // Ten packets of one flight are spurious, with a hundred sent: it counts once.
            for n in 0..10 {
                reordering.on_spurious(number(round * 100 + n), number(round * 100 + 100));
            }
            assert_eq!(reordering.window(&rtt), ms(window), "round {round}");
        }
    }

    #[test]
    fn sixteen_recoveries_without_a_spurious_loss_make_the_window_narrow_again() {
        let mut reordering = Reordering::new(number(0));
        let rtt = rtt_of(ms(80));
        reordering.on_spurious(number(5), number(10));
        for _ in 0..15 {
            reordering.on_recovered();
        }
        reordering.on_spurious(number(7), number(20));
        for recovery in 1..=15 {
            reordering.on_recovered();
            assert_eq!(reordering.window(&rtt), ms(40), "after {recovery}");
        }
        reordering.on_recovered();
        assert_eq!(reordering.window(&rtt), ms(20));
        assert_eq!(reordering.threshold(&rtt).packets, None, "order stays open");
    }

    #[test]
    fn a_round_trip_of_ten_microseconds_is_given_the_granularity() {
        let reordering = Reordering::new(number(0));
        let rtt = rtt_of(Duration::from_micros(10));
        assert_eq!(reordering.window(&rtt), GRANULARITY);
        assert_eq!(
            reordering.threshold(&rtt).age,
            GRANULARITY + Duration::from_micros(10)
        );
    }

    #[test]
    fn the_widest_window_is_no_longer_than_the_smoothed_round_trip() {
        let mut reordering = Reordering::new(number(0));
        let mut rtt = rtt_of(ms(80));
        for round in 0..9 {
            reordering.on_spurious(number(round), number(round));
        }
        rtt.forget_min_rtt();
        rtt.sample(ms(200), Duration::ZERO);
        assert_eq!(rtt.min_rtt(), Some(ms(200)));
        assert_eq!(Some(reordering.window(&rtt)), rtt.srtt());
    }
}
