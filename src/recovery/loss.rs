//! Is this packet lost now, or when (RFC 8985 s6.2, RFC 9002 s6.1, s7.6)? Pure decisions on numbers and times.

use std::time::Duration;

use super::reorder::Threshold;
use super::sent_packets::Oldest;
use crate::time::Time;
use crate::trace::LossTrigger;
use crate::wire::PacketNumber;

/// What becomes of a packet in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is lost.
    Lost,
    /// It may still arrive.
    Waiting,
}

/// Judges a packet in flight, overtaken by so many numbers, none if it is 0. Older packets never fare better
/// than newer ones.
pub(super) fn judge(now: Time, packet: Oldest, overtaken_by: u64, threshold: Threshold) -> Verdict {
    let too_far = is_too_far(overtaken_by, threshold);
    let too_old = lost_at(packet, overtaken_by, threshold.age).is_some_and(|at| at <= now);
    if too_far || too_old {
        Verdict::Lost
    } else {
        Verdict::Waiting
    }
}

/// Whether so many numbers ahead are a sign of loss, whatever the time.
fn is_too_far(overtaken_by: u64, threshold: Threshold) -> bool {
    threshold
        .packets
        .is_some_and(|packets| overtaken_by >= packets)
}

/// By which rule a packet is lost that is.
pub(super) fn trigger(overtaken_by: u64, threshold: Threshold) -> LossTrigger {
    if is_too_far(overtaken_by, threshold) {
        LossTrigger::Reordering
    } else {
        LossTrigger::Time
    }
}

/// When a packet in flight is lost by its age; `None` while nothing sent after it was acknowledged.
pub(super) fn lost_at(packet: Oldest, overtaken_by: u64, age: Duration) -> Option<Time> {
    (overtaken_by > 0).then(|| packet.sent_at + age)
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

    fn threshold(packets: Option<u64>, millis: u64) -> Threshold {
        Threshold {
            packets,
            age: Duration::from_millis(millis),
        }
    }

    #[test]
    fn a_packet_is_lost_by_distance_or_by_age() {
        use Verdict::{Lost, Waiting};
        // The packet was sent at 100 ms; it is too old at 45.
        let table = [
            (0, 1_000, Waiting, Waiting),
            (1, 120, Waiting, Waiting),
            (2, 144, Waiting, Waiting),
            (2, 145, Lost, Lost),
            (3, 100, Lost, Waiting),
            (u64::MAX, 100, Lost, Waiting),
            (u64::MAX, 145, Lost, Lost),
        ];
        for (overtaken_by, now, in_order, reordering) in table {
            for (packets, verdict) in [(Some(3), in_order), (None, reordering)] {
                let now = Time::from_millis(now);
                let found = judge(now, packet(10, 100), overtaken_by, threshold(packets, 45));
                assert_eq!(
                    found, verdict,
                    "overtaken by {overtaken_by} at {now:?}, {packets:?}"
                );
            }
        }
    }

    #[test]
    fn the_lost_packets_are_a_prefix_and_only_grow_with_time() {
        for packets in [None, Some(3)] {
            let lost = |now: u64, largest: u64| {
                (0..40).map(move |n| {
                    let threshold = threshold(packets, 20);
                    let overtaken_by = largest.saturating_sub(n);
                    judge(
                        Time::from_millis(now),
                        packet(n, n),
                        overtaken_by,
                        threshold,
                    ) == Verdict::Lost
                })
            };
            for largest in 0..40 {
                for now in 40..80 {
                    let prefix = lost(now, largest).take_while(|&lost| lost).count();
                    let all = lost(now, largest).filter(|&lost| lost).count();
                    assert_eq!(all, prefix, "no newer packet is lost before an older one");
                    let later = lost(now + 1, largest).filter(|&lost| lost).count();
                    assert!(later >= all);
                }
            }
        }
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
