//! A packet is lost, or a deadline comes: what follows for the flight, the controller and the stream.

use super::Recovery;
use super::acknowledgement::of_path;
use super::loss::{self, Verdict};
use super::report::Outcome;
use super::sent_packets::{Oldest, Resolved};
use crate::congestion::{Cause, Congested, Controller, LostPacket};
use crate::time::{Deadline, Time, Timer};
use crate::trace::Event;
use crate::wire::PacketNumber;

/// Probes for one timeout (RFC 9002 s6.2.4).
const PROBES_MAX: usize = 2;
/// Probe timeouts that a run of losses must be longer than (RFC 9002 s7.6.1).
const PERSISTENT_TIMEOUTS: u32 = 3;

/// What was declared lost at one time.
#[derive(Debug, Default)]
pub(super) struct NewlyLost {
    /// Anything was, on whatever path.
    pub(super) any: bool,
    /// Bytes on the present path, without probes of the path's MTU.
    pub(super) bytes: u64,
    /// The window was reduced.
    pub(super) is_congestion: bool,
}

impl Recovery {
    /// The deadline has come: packets are lost by age, or probes are wanted. Nothing happens before it.
    pub fn on_timeout(&mut self, now: Time, out: &mut Outcome) {
        out.probes = 0;
        out.largest_newly_acked = None;
        let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= now) else {
            return;
        };
        self.tell_sent();
        if deadline.why == Timer::Loss {
            self.detect_losses(now, self.bytes_in_flight, out);
            self.probe_timer.on_lost_by_age(now);
        } else {
            self.probe_timer.on_fired(now);
            let probes = self.sent.in_flight().min(PROBES_MAX);
            out.probes = u8::try_from(probes).unwrap_or(u8::MAX);
        }
        self.after_event(now);
    }

    /// When `on_timeout` must be called; `None` exactly when nothing ack-eliciting is in flight.
    pub fn deadline(&self) -> Option<Deadline> {
        let oldest = self.sent.oldest_in_flight()?;
        let age = self.reordering.threshold(&self.rtt).age;
        Some(
            match loss::lost_at(oldest, self.overtaken_by(oldest), age) {
                Some(at) => Deadline {
                    at,
                    why: Timer::Loss,
                },
                None => Deadline {
                    at: self
                        .probe_timer
                        .deadline(&self.rtt, self.max_ack_delay, oldest.sent_at),
                    why: Timer::Probe,
                },
            },
        )
    }

    /// How many packets sent later the newest acknowledged one could be ahead of this one.
    fn overtaken_by(&self, packet: Oldest) -> u64 {
        self.largest_acked.map_or(0, |largest| {
            let left_out = self.skips.between(packet.number, largest);
            largest.since(packet.number) - left_out
        })
    }

    /// Declares lost what is lost by now: each packet is told to the controller, then congestion once for
    /// each round trip (RFC 9002 s7.3.2). `flight`: bytes in flight before the event that shows it.
    pub(super) fn detect_losses(&mut self, now: Time, flight: u64, out: &mut Outcome) -> NewlyLost {
        let inflight = self.bytes_in_flight;
        let threshold = self.reordering.threshold(&self.rtt);
        let mut newly = NewlyLost::default();
        let (mut congested, mut persistent, mut answered) = (None, false, 0);
        while let Some(packet) = self.sent.oldest_in_flight() {
            let overtaken_by = self.overtaken_by(packet);
            if loss::judge(now, packet, overtaken_by, threshold) != Verdict::Lost {
                break;
            }
            let Some(lost) = self.sent.lose_oldest(now) else {
                break;
            };
            self.log.note(now, || Event::Lost {
                number: packet.number,
                trigger: loss::trigger(overtaken_by, threshold),
            });
            if lost.contents.marked {
                self.ecn.on_marked_lost(packet.number, self.next_number());
            }
            let is_present = packet.number >= self.path_from;
            newly.any = true;
            newly.bytes += self.count_loss(now, packet.number, &lost);
            if lost.contents.mtu_probe.is_some() {
                self.lost_run.pass_over(packet.number);
            } else {
                if congested.is_none() && self.episode.is_news(packet.number) {
                    congested = Some(packet.number);
                    answered = 0;
                }
                answered += 1;
                persistent |= self.is_persistent(packet);
            }
            out.lost.push(of_path(lost.contents, is_present));
        }
        newly.is_congestion = congested.is_some() || persistent;
        if let Some(first) = congested {
            self.begin_episode(Cause::Loss, first);
            self.tell_congestion(now, Cause::Loss, inflight);
            self.begin_reduction(flight);
        }
        self.episode.on_lost(answered);
        if persistent {
            self.lost_run.clear();
            self.rtt.forget_min_rtt();
            self.tell_congestion(now, Cause::Persistent, inflight);
            self.reduction = None;
        }
        newly
    }

    /// Takes a lost packet out of the counts; how many bytes that says to be lost on the present path.
    fn count_loss(&mut self, now: Time, number: PacketNumber, packet: &Resolved) -> u64 {
        let size = u64::from(packet.size);
        self.counts.lost += 1;
        self.counts.bytes_lost += size;
        if number < self.path_from {
            return 0;
        }
        self.bytes_in_flight -= size;
        if packet.contents.mtu_probe.is_some() {
            return 0;
        }
        let sent = &packet.sent;
        self.delivery.on_lost(size);
        self.controller.on_lost(&LostPacket {
            now,
            number,
            size,
            sent_at: sent.sent_at,
            prior_delivered: sent.delivered,
            tx_in_flight: sent.tx_in_flight,
            lost: self.delivery.lost() - sent.lost,
            app_limited: sent.app_limited,
        });
        size
    }

    /// Packets met congestion on their way: that is answered as a loss is, once for each round trip, and
    /// repairs nothing (RFC 3168 s6.1.2, RFC 9002 s7.1). `largest` is the newest packet that may be one of
    /// them, `inflight` the bytes in flight before losses were taken off. Whether the window was reduced.
    /// `flight`: bytes in flight before the event.
    pub(super) fn answer_marks(
        &mut self,
        now: Time,
        largest: PacketNumber,
        inflight: u64,
        flight: u64,
    ) -> bool {
        let is_news = self.episode.is_news(largest);
        if is_news {
            self.begin_episode(Cause::Mark, largest);
            self.tell_congestion(now, Cause::Mark, inflight);
            self.begin_reduction(flight);
        } else {
            self.episode.confirm();
        }
        is_news
    }

    fn tell_congestion(&mut self, now: Time, cause: Cause, inflight: u64) {
        self.log.note(now, || {
            Event::Congested(match cause {
                Cause::Loss => "loss",
                Cause::Mark => "mark",
                Cause::Persistent => "persistent",
            })
        });
        self.controller.on_congestion(&Congested {
            now,
            cause,
            inflight,
        });
    }

    /// Whether this lost packet makes the run of losses long enough (RFC 9002 s7.6.2).
    fn is_persistent(&mut self, packet: Oldest) -> bool {
        let counts_from = self.sampled_from.map(|from| from.max(self.path_from));
        if counts_from.is_none_or(|from| packet.number < from) {
            return false;
        }
        if let Some(left_out) = self.skips.left_out() {
            self.lost_run.pass_over(left_out);
        }
        self.lost_run.on_lost(packet) > self.pto() * PERSISTENT_TIMEOUTS
    }
}
