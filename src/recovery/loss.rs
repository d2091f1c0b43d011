//! Is this packet lost now, or when (RFC 9002 s6.1, s7.6)? Pure decisions on numbers and times.

use std::time::Duration;

use super::rtt::{GRANULARITY, RttEstimator};
use super::sent_packets::Oldest;
use crate::time::Time;
use crate::wire::PacketNumber;

/// How many numbers the largest acknowledged one must be ahead (RFC 9002 s6.1.1, kPacketThreshold).
const PACKET_THRESHOLD: u64 = 3;

/// What becomes of a packet in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is lost.
    Lost,
    /// It may still arrive.
    Waiting,
}

/// Judges a packet in flight. Older packets never fare better than newer ones.
pub(super) fn judge(
    now: Time,
    packet: Oldest,
    largest_acked: Option<PacketNumber>,
    threshold: Duration,
) -> Verdict {
    let overtaken_by = largest_acked.map_or(0, |largest| largest.since(packet.number));
    let too_old = lost_at(packet, largest_acked, threshold).is_some_and(|at| at <= now);
    if overtaken_by >= PACKET_THRESHOLD || too_old {
        Verdict::Lost
    } else {
        Verdict::Waiting
    }
}

/// When a packet in flight is lost by its age; `None` while nothing sent after it was acknowledged.
pub(super) fn lost_at(
    packet: Oldest,
    largest_acked: Option<PacketNumber>,
    threshold: Duration,
) -> Option<Time> {
    largest_acked
        .filter(|&largest| largest > packet.number)
        .map(|_| packet.sent_at + threshold)
}

/// The age at which a packet is lost once a later one was acknowledged: 9/8 of a round trip, and at
/// least the granularity (RFC 9002 s6.1.2).
pub(super) fn time_threshold(rtt: &RttEstimator) -> Duration {
    let expected = rtt.expected();
    (expected + expected / 8).max(GRANULARITY)
}

/// The latest packets lost one after the other, none between them acknowledged: long enough a run is
/// persistent congestion (RFC 9002 s7.6.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LostRun {
    span: Option<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: PacketNumber,
    next: PacketNumber,
    began: Time,
}

impl LostRun {
    /// The packet is lost. How much later it was sent than the first packet of its run.
    pub(super) fn on_lost(&mut self, packet: Oldest) -> Duration {
        let span = match self.span {
            Some(span) if span.next == packet.number => span,
            _ => Span {
                first: packet.number,
                next: packet.number,
                began: packet.sent_at,
            },
        };
        self.span = Some(Span {
            next: packet.number.next(),
            ..span
        });
        packet.sent_at - span.began
    }

    /// The packet is lost, but its loss says nothing: the run goes on after it.
    pub(super) fn pass_over(&mut self, number: PacketNumber) {
        if let Some(span) = self.span.as_mut().filter(|span| span.next == number) {
            span.next = number.next();
        }
    }

    /// A packet that was declared lost has arrived: a run that held it is none.
    pub(super) fn on_late_ack(&mut self, number: PacketNumber) {
        if self
            .span
            .is_some_and(|span| (span.first..span.next).contains(&number))
        {
            self.span = None;
        }
    }

    /// The run has had its effect.
    pub(super) fn clear(&mut self) {
        self.span = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64, sent_ms: u64) -> Oldest {
        Oldest {
            number: PacketNumber::new(number),
            sent_at: Time::from_millis(sent_ms),
        }
    }

    #[test]
    fn a_packet_is_lost_by_distance_or_by_age() {
        use Verdict::{Lost, Waiting};
        let at = Time::from_millis;
        // Packet 10 was sent at 100 ms; the threshold is 45 ms.
        let table = [
            (None, 1_000, Waiting),
            (Some(9), 1_000, Waiting),
            (Some(10), 1_000, Waiting),
            (Some(11), 120, Waiting),
            (Some(12), 144, Waiting),
            (Some(12), 145, Lost),
            (Some(13), 100, Lost),
            (Some(u64::MAX), 100, Lost),
        ];
        for (largest, now, verdict) in table {
            let largest = largest.map(PacketNumber::new);
            let found = judge(at(now), packet(10, 100), largest, Duration::from_millis(45));
            assert_eq!(found, verdict, "largest {largest:?} at {now} ms");
        }
    }

    #[test]
    fn the_lost_packets_are_a_prefix_and_only_grow_with_time() {
        let threshold = Duration::from_millis(20);
        let lost_before = |now: u64, largest: u64| {
            (0..40)
                .take_while(|&n| {
                    let largest = Some(PacketNumber::new(largest));
                    let now = Time::from_millis(now);
                    judge(now, packet(n, n), largest, threshold) == Verdict::Lost
                })
                .count()
        };
        for largest in 0..40 {
            for now in 40..80 {
                let prefix = lost_before(now, largest);
                assert!(lost_before(now + 1, largest) >= prefix);
                let all = (0..40).filter(|&n| {
                    let largest = Some(PacketNumber::new(largest));
                    let now = Time::from_millis(now);
                    judge(now, packet(n, n), largest, threshold) == Verdict::Lost
                });
                assert_eq!(
                    all.count(),
                    prefix,
                    "no newer packet is lost before an older one"
                );
            }
        }
    }

    #[test]
    fn the_time_threshold_is_nine_eighths_of_the_longer_round_trip() {
        let mut rtt = RttEstimator::default();
        assert_eq!(time_threshold(&rtt), Duration::from_micros(374_625));
        rtt.sample(Duration::from_millis(80), Duration::ZERO);
        assert_eq!(time_threshold(&rtt), Duration::from_millis(90));
        rtt.sample(Duration::from_millis(160), Duration::ZERO);
        assert_eq!(time_threshold(&rtt), Duration::from_millis(180));
        rtt.sample(Duration::from_millis(10), Duration::ZERO);
        assert!(time_threshold(&rtt) > Duration::from_millis(80));
    }

    #[test]
    fn the_time_threshold_is_at_least_the_granularity() {
        let mut rtt = RttEstimator::default();
        rtt.sample(Duration::from_micros(30), Duration::ZERO);
        assert_eq!(time_threshold(&rtt), GRANULARITY);
    }

    #[test]
    fn a_run_of_losses_is_as_long_as_its_packets_are_apart() {
        let mut run = LostRun::default();
        assert_eq!(run.on_lost(packet(5, 100)), Duration::ZERO);
        assert_eq!(run.on_lost(packet(6, 130)), Duration::from_millis(30));
        run.pass_over(PacketNumber::new(7));
        assert_eq!(run.on_lost(packet(8, 190)), Duration::from_millis(90));
        // 9 was acknowledged: a new run begins.
        assert_eq!(run.on_lost(packet(10, 300)), Duration::ZERO);
    }

    #[test]
    fn a_late_arrival_breaks_the_run_it_was_in() {
        let mut run = LostRun::default();
        run.on_lost(packet(5, 100));
        run.on_lost(packet(6, 200));
        run.on_late_ack(PacketNumber::new(4));
        assert_eq!(run.on_lost(packet(7, 300)), Duration::from_millis(200));
        run.on_late_ack(PacketNumber::new(6));
        assert_eq!(run.on_lost(packet(8, 400)), Duration::ZERO);
    }
}
