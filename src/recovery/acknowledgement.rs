//! An ACK block comes in: what it settles, what it measures, and what the controller hears of it.
//!
//! ```text
//!   settle          packets leave the flight; bytes are counted as delivered     sent_packets, delivery
//!   measure         a round trip, if the newest of them is the one it names      rtt
//!   detect_losses   what it overtook is lost; each loss, then one congestion     detection
//!   report          one sample of all that                                       Controller::on_ack
//! ```

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ecn::EcnReport;
use super::report::{AckOfUnsent, Contents, Outcome};
use super::rtt::INITIAL_RTT;
use super::sent_packets::{Resolved, Snapshot};
use super::{Recovery, detection::NewlyLost};
use crate::congestion::{AckSample, Controller, minimum_window};
use crate::time::Time;
use crate::wire::{AckFields, EcnCounts, PacketNumber};

/// What one ACK block settled.
#[derive(Debug, Default)]
struct NewlyAcked {
    /// The largest number, and when it was sent if it was still in flight.
    largest: Option<(PacketNumber, Option<Time>)>,
    /// The newest packet of the present path that was still in flight, and what was known when it left.
    newest: Option<(PacketNumber, Snapshot)>,
    /// Bytes of the longest datagram of the present path.
    largest_size: u16,
    /// Bytes on the present path.
    bytes: u64,
    /// Of those, the bytes for which the window may grow.
    growth: u64,
    /// With it, everything that the window was reduced for has arrived.
    was_mistaken: bool,
    /// Packets on the present path that left with an ECN mark.
    marked: u64,
    /// Packets newly reported with a congestion mark.
    congested: u64,
}

/// The state before the block was looked at.
#[derive(Clone, Copy, Debug)]
struct Before {
    inflight: u64,
    delivered: u64,
}

impl Recovery {
    /// An ACK block arrived: `ranges` highest first, and `counts` of ECN marks if it has them. Work is
    /// proportional to what is newly resolved.
    ///
    /// # Errors
    /// [`AckOfUnsent`]; nothing has changed then.
    pub fn on_ack(
        &mut self,
        now: Time,
        ranges: impl Iterator<Item = RangeInclusive<PacketNumber>> + Clone,
        delay: Duration,
        counts: Option<EcnCounts>,
        out: &mut Outcome,
    ) -> Result<(), AckOfUnsent> {
        let next = self.next_number();
        let left_out = self.skips.left_out();
        let is_false = |range: RangeInclusive<PacketNumber>| {
            *range.end() >= next || left_out.is_some_and(|number| range.contains(&number))
        };
        if ranges.clone().any(is_false) {
            return Err(AckOfUnsent);
        }
        self.tell_sent();
        let named = ranges.clone().next().map(|range| *range.end());
        let overslept = self.has_overslept(now);
        let before = Before {
            inflight: self.bytes_in_flight,
            delivered: self.delivery.delivered(),
        };
        let mut newly = self.settle(now, ranges, out);
        out.probes = 0;
        out.largest_size = newly.largest_size;
        out.largest_newly_acked = newly.largest.map(|(largest, _)| largest);
        let Some((largest, sent_at)) = newly.largest else {
            return Ok(());
        };
        newly.congested = self.ecn.on_ack(&EcnReport {
            counts,
            newly_acked: newly.marked,
            is_newest: named > self.largest_acked,
            next,
        });
        let is_least = self.controller.cwnd() <= minimum_window(self.mtu);
        self.ecn.on_window(is_least);
        self.largest_acked = self.largest_acked.max(Some(largest));
        self.has_clock = self.probe_timer.count() == 0;
        self.probe_timer.on_newly_acked(now);
        // The delay that the block tells is that of the largest number it names (RFC 9002 s5.1).
        let rtt = sent_at
            .filter(|_| named == Some(largest) && largest >= self.path_from)
            .filter(|_| !overslept && !self.is_repeated(delay))
            .map(|sent_at| now - sent_at);
        if let Some(rtt) = rtt {
            self.rtt.advance(now);
            self.sample_rtt(rtt, delay.min(self.max_ack_delay));
        }
        if newly.was_mistaken {
            self.undo(now);
        }
        if self.episode.on_acked(largest) {
            self.reordering.on_recovered();
        }
        let inflight = self.bytes_in_flight;
        let mut lost = self.detect_losses(now, before.inflight, out);
        if newly.congested > 0 {
            lost.is_congestion |= self.answer_marks(now, largest, inflight, before.inflight);
        }
        self.progress(newly.bytes, largest, !lost.any);
        self.report(now, before, &newly, &lost, rtt);
        if !lost.any {
            self.sent.quiet();
        }
        self.after_event(now);
        Ok(())
    }

    /// Whether the driver has missed a deadline by more than a probe timeout: the process slept, and the
    /// time that an acknowledgement waited in the socket is no round trip.
    fn has_overslept(&self, now: Time) -> bool {
        self.deadline().is_some_and(|due| due.at + self.pto() < now)
    }

    /// Whether an acknowledgement `delay` after its packet's arrival can only be a repeated one: the answer in time
    /// was lost, and a probe timeout of either side has asked again. How long the path was cut is no round trip.
    /// RFC 9002 s5.3 takes no more off than the peer promised to wait, so the rest of a minute's cut would make a
    /// probe timeout of more than a minute. Up to a probe timeout a peer may be late, and so be waited for.
    fn is_repeated(&self, delay: Duration) -> bool {
        delay > self.pto() || delay >= AckFields::DELAY_MAX
    }

    /// Takes what `ranges` name out of flight.
    fn settle(
        &mut self,
        now: Time,
        ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>,
        out: &mut Outcome,
    ) -> NewlyAcked {
        let mut newly = NewlyAcked::default();
        let (overtaking, next) = (self.largest_acked, self.next_number());
        for range in ranges {
            self.sent.acknowledge(range, |number, packet| {
                let is_present = number >= self.path_from;
                let size = u64::from(packet.size);
                let in_flight = !packet.was_lost;
                let sent_at = in_flight.then_some(packet.sent.sent_at);
                self.log.note_acked(now, number, packet.was_lost);
                newly.largest = newly.largest.max(Some((number, sent_at)));
                if in_flight {
                    self.counts.acked += 1;
                } else {
                    self.counts.spurious += 1;
                    self.counts.bytes_spurious += size;
                    self.lost_run.on_late_ack(number);
                }
                if is_present {
                    newly.largest_size = newly.largest_size.max(packet.size);
                    newly.bytes += size;
                    newly.marked += u64::from(packet.contents.marked);
                    if !in_flight {
                        self.reordering.on_spurious(number, next);
                        let is_answered = packet.contents.mtu_probe.is_none();
                        newly.was_mistaken |= is_answered && self.episode.on_spurious(number);
                    } else {
                        if Some(number) < overtaking {
                            self.reordering.on_overtaken();
                        }
                        self.bytes_in_flight -= size;
                        newly.note(number, &packet);
                        if number >= self.episode.until() && self.usage.was_full_since(number) {
                            newly.growth += size;
                        }
                    }
                }
                out.acked.push(of_path(packet.contents, is_present));
            });
        }
        if newly.bytes > 0 {
            self.delivery.on_delivered(now, newly.bytes);
        }
        newly
    }

    /// Tells the controller what the block said of the present path, if it said anything.
    fn report(
        &mut self,
        now: Time,
        before: Before,
        newly: &NewlyAcked,
        lost: &NewlyLost,
        rtt: Option<Duration>,
    ) {
        if newly.bytes == 0 && lost.bytes == 0 {
            return;
        }
        let (delivery, min_rtt) = (&mut self.delivery, self.rtt.min_rtt());
        let rate = newly.newest.as_ref().map(|(number, sent)| {
            delivery.sample(*number, sent, min_rtt.unwrap_or(Duration::ZERO))
        });
        let mut cwnd_limited = false;
        if let Some((newest, _)) = newly.newest {
            let next = self.sent.next_number();
            self.usage.on_acked(newest, next, before.delivered);
            cwnd_limited = self.usage.was_full_since(newest);
        }
        self.controller.on_ack(&AckSample {
            now,
            newly_acked: newly.bytes,
            growth: if lost.is_congestion { 0 } else { newly.growth },
            newly_lost: lost.bytes,
            newly_marked: newly.congested,
            inflight_before: before.inflight,
            inflight: self.bytes_in_flight,
            delivered: self.delivery.delivered(),
            lost: self.delivery.lost(),
            rtt,
            srtt: self.rtt.srtt().unwrap_or(INITIAL_RTT),
            min_rtt: min_rtt.unwrap_or(INITIAL_RTT),
            rate,
            cwnd_limited,
        });
    }
}

impl NewlyAcked {
    /// Keeps what is known of the packet, if it is the newest so far.
    fn note(&mut self, number: PacketNumber, packet: &Resolved) {
        if self.newest.is_none_or(|(newest, _)| number > newest) {
            self.newest = Some((number, packet.sent));
        }
    }
}

/// What a probe of an earlier path found says nothing of the present one.
pub(super) fn of_path(contents: Contents, is_present: bool) -> Contents {
    Contents {
        mtu_probe: contents.mtu_probe.filter(|_| is_present),
        ..contents
    }
}
