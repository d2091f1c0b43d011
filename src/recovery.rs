//! Which packets arrived, which are lost, and when the next one may leave: knows packets and byte
//! counts, never the stream's contents (RFC 9002; docs/ARCHITECTURE.md, "One lost segment").

mod loss;
mod pacer;
mod pto;
mod report;
mod rtt;
mod sent_packets;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::congestion::{AckSample, Algorithm, Cause, Congested, Congestion, Controller, Setup};
use crate::time::{Deadline, Time, Timer};
use crate::wire::PacketNumber;

use loss::{LostRun, Verdict};
use pto::ProbeTimer;

pub use pacer::Pacer;
pub use report::{
    AckOfUnsent, Admission, Contents, Outcome, RecoverySnapshot, SendClass, SentPacket,
};
pub use rtt::{GRANULARITY, INITIAL_RTT, RttEstimator};
pub use sent_packets::{Oldest, Resolved, SentPackets};

/// Below this round trip nothing is paced: a timer would cost more than it spreads.
const PACED_RTT_MIN: Duration = Duration::from_micros(250);
/// A pause that ends the trust in the window, unless the probe timeout is longer.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// Probes for one timeout (RFC 9002 s6.2.4).
const PROBES_MAX: usize = 2;
/// Probe timeouts that a run of losses must be longer than (RFC 9002 s7.6.1).
const PERSISTENT_TIMEOUTS: u32 = 3;

/// Loss recovery, congestion control and pacing of one connection.
///
/// ```
/// use aqueduct::congestion::{Congestion, Setup};
/// use aqueduct::recovery::{Admission, Contents, Outcome, Recovery, SendClass, SentPacket};
/// use aqueduct::time::Time;
/// use aqueduct::wire::{Offset, PacketNumber};
/// use std::time::Duration;
///
/// let mut recovery = Recovery::new(PacketNumber::new(1), Congestion::NewReno, Setup::new(1_200));
/// let number = recovery.next_number();
/// assert_eq!(recovery.admission(Time::ZERO, 1_200, SendClass::Data), Admission::Send);
/// let data = Offset::new(0)..Offset::new(1_000);
/// let contents = Contents { data: data.clone(), ..Contents::default() };
/// let packet = SentPacket { number, size: 1_200, imm: false, contents };
/// recovery.on_sent(Time::ZERO, packet, true);
///
/// let mut outcome = Outcome::default();
/// let now = Time::from_millis(30);
/// recovery.on_ack(now, [number..=number].into_iter(), Duration::ZERO, &mut outcome)?;
/// assert_eq!(outcome.acked[0].data, data);
/// assert_eq!(recovery.rtt().srtt(), Some(Duration::from_millis(30)));
/// assert_eq!(recovery.deadline(), None);
/// # Ok::<(), aqueduct::recovery::AckOfUnsent>(())
/// ```
#[derive(Debug)]
pub struct Recovery {
    sent: SentPackets,
    rtt: RttEstimator,
    probe_timer: ProbeTimer,
    controller: Algorithm,
    choice: Congestion,
    setup: Setup,
    pacer: Pacer,
    /// The newest packet in flight when the window was full last. Packets above were sent with room to
    /// spare: their arrival does not show that a wider window would have been used. Noted when packets
    /// leave: when their acknowledgements come, every window looks wide.
    full_through: Option<PacketNumber>,
    lost_run: LostRun,
    mtu: u16,
    max_ack_delay: Duration,
    /// Bytes in flight on the present path.
    bytes_in_flight: u64,
    largest_acked: Option<PacketNumber>,
    /// The first packet of the present path: older ones say nothing about it.
    path_from: PacketNumber,
    /// The first packet sent with a round trip known: older ones are no sign of persistent congestion.
    sampled_from: Option<PacketNumber>,
    /// The first packet sent since the last reduction: losses of older ones are answered already.
    reduced_from: PacketNumber,
    /// Since when nothing is in flight, if something was.
    idle_since: Option<Time>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    acked: u64,
    lost: u64,
    spurious: u64,
}

/// What one ACK block settled.
#[derive(Debug, Default)]
struct NewlyAcked {
    /// The largest number, and when it was sent if it was still in flight.
    largest: Option<(PacketNumber, Option<Time>)>,
    /// Bytes for which the window may grow.
    growth: u64,
    /// Bytes of the longest datagram of the present path.
    largest_size: u16,
}

impl Recovery {
    /// Recovery whose first packet will be `first`, with congestion control of one's choice.
    pub fn new(first: PacketNumber, choice: Congestion, setup: Setup) -> Self {
        let mtu = setup.mtu;
        Recovery {
            sent: SentPackets::new(first),
            rtt: RttEstimator::default(),
            probe_timer: ProbeTimer::default(),
            controller: Algorithm::new(&choice, setup),
            choice,
            setup,
            pacer: Pacer::new(mtu),
            full_through: None,
            lost_run: LostRun::default(),
            mtu,
            max_ack_delay: Duration::ZERO,
            bytes_in_flight: 0,
            largest_acked: None,
            path_from: first,
            sampled_from: None,
            reduced_from: first,
            idle_since: None,
            counts: Counts::default(),
        }
    }

    /// The number that the next numbered packet must have.
    pub fn next_number(&self) -> PacketNumber {
        self.sent.next_number()
    }

    /// The oldest number still tracked (in flight, or lost and remembered); `next_number` if none.
    pub fn oldest_tracked(&self) -> PacketNumber {
        self.sent.oldest_tracked()
    }

    /// A round trip measured by the handshake.
    pub fn on_handshake_rtt(&mut self, rtt: Duration) {
        self.sample_rtt(rtt, Duration::ZERO);
        self.repace(Time::ZERO);
    }

    /// The peer's longest acknowledgement delay.
    pub fn set_max_ack_delay(&mut self, delay: Duration) {
        self.max_ack_delay = delay;
    }

    /// The path carries datagrams of `mtu` bytes. The window keeps its bytes, but never holds less than
    /// two datagrams; before the first packet it starts anew.
    pub fn set_mtu(&mut self, mtu: u16) {
        if self.counts.sent == 0 {
            self.restart_congestion(mtu);
        } else {
            self.mtu = mtu;
            self.controller.on_mtu(mtu);
            self.pacer.set_mtu(mtu);
        }
        self.repace(Time::ZERO);
    }

    /// Whether a packet of `size` bytes may leave now.
    pub fn admission(&self, now: Time, size: u16, class: SendClass) -> Admission {
        if class == SendClass::Probe {
            return Admission::Send;
        }
        let room = self.cwnd_room();
        // A window smaller than the packet must not wait for an acknowledgement that nobody owes.
        if u64::from(size) > room && self.bytes_in_flight > 0 {
            return Admission::AwaitAck;
        }
        match self.pacer.ready_at(now, size, room) {
            Some(at) => Admission::At(at),
            None => Admission::Send,
        }
    }

    /// A numbered packet left. `app_limited`: nothing more is waiting behind it.
    ///
    /// # Panics
    /// If its number is not `next_number()`.
    pub fn on_sent(&mut self, now: Time, packet: SentPacket, app_limited: bool) {
        self.end_idle(now);
        self.sent.push(now, &packet);
        self.counts.sent += 1;
        self.bytes_in_flight += u64::from(packet.size);
        self.probe_timer.on_sent(now, packet.imm);
        if self.cwnd_room() < u64::from(self.mtu) {
            self.full_through = Some(packet.number);
        }
        self.pacer.on_sent(now, packet.size, app_limited);
        self.forget_old_losses(now);
    }

    /// The packets from `from` on have not left after all, and nothing was sent after them: they are unsaid,
    /// and their contents are found among the lost ones.
    pub fn unsend(&mut self, from: PacketNumber, out: &mut Outcome) {
        while let Some(packet) = self.sent.unsend_newest(from) {
            self.counts.sent -= 1;
            self.bytes_in_flight = self.bytes_in_flight.saturating_sub(u64::from(packet.size));
            out.lost.push(packet.contents);
        }
    }

    /// Whether a loss is being repaired: nothing sent after it was found is acknowledged yet.
    pub fn is_repairing(&self) -> bool {
        let repaired = self.largest_acked >= Some(self.reduced_from);
        self.probe_timer.count() > 0 || (self.largest_acked.is_some() && !repaired)
    }

    /// An ACK block arrived: `ranges` highest first. Work is proportional to what is newly resolved.
    ///
    /// # Errors
    /// [`AckOfUnsent`]; nothing has changed then.
    pub fn on_ack(
        &mut self,
        now: Time,
        ranges: impl Iterator<Item = RangeInclusive<PacketNumber>> + Clone,
        delay: Duration,
        out: &mut Outcome,
    ) -> Result<(), AckOfUnsent> {
        let next = self.next_number();
        if ranges.clone().any(|range| *range.end() >= next) {
            return Err(AckOfUnsent);
        }
        let named = ranges.clone().next().map(|range| *range.end());
        let overslept = self.has_overslept(now);
        let newly = self.settle(ranges, out);
        out.probes = 0;
        out.largest_size = newly.largest_size;
        out.largest_newly_acked = newly.largest.map(|(largest, _)| largest);
        let Some((largest, sent_at)) = newly.largest else {
            return Ok(());
        };
        self.largest_acked = self.largest_acked.max(Some(largest));
        self.probe_timer.on_newly_acked(now);
        // The delay that the block tells is that of the largest number it names (RFC 9002 s5.1).
        if let Some(sent_at) = sent_at.filter(|_| named == Some(largest) && !overslept) {
            if largest >= self.path_from {
                self.sample_rtt(now - sent_at, delay.min(self.max_ack_delay));
            }
        }
        let lost_before = self.counts.lost;
        let reduced = self.detect_losses(now, out);
        if !reduced {
            self.controller.on_ack(&AckSample {
                now,
                newly_acked: newly.growth,
                growth: newly.growth,
                ..AckSample::default()
            });
        }
        if self.counts.lost == lost_before {
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

    /// The deadline has come: packets are lost by age, or probes are wanted. Nothing happens before it.
    pub fn on_timeout(&mut self, now: Time, out: &mut Outcome) {
        out.probes = 0;
        out.largest_newly_acked = None;
        let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= now) else {
            return;
        };
        if deadline.why == Timer::Loss {
            self.detect_losses(now, out);
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
        let threshold = loss::time_threshold(&self.rtt);
        Some(match loss::lost_at(oldest, self.largest_acked, threshold) {
            Some(at) => Deadline {
                at,
                why: Timer::Loss,
            },
            None => Deadline {
                at: self.probe_timer.deadline(&self.rtt, self.max_ack_delay),
                why: Timer::Probe,
            },
        })
    }

    /// Whether the number was sent and is neither acknowledged nor forgotten.
    pub fn is_outstanding(&self, number: PacketNumber) -> bool {
        self.sent.is_outstanding(number)
    }

    /// The time of sending of the oldest packet in flight.
    pub fn oldest_in_flight(&self) -> Option<Time> {
        self.sent.oldest_in_flight().map(|packet| packet.sent_at)
    }

    /// The probe timeout without back-off: srtt + max(4 rttvar, G) + the peer's delay.
    pub fn pto(&self) -> Duration {
        pto::timeout(&self.rtt, self.max_ack_delay)
    }

    /// A new path: round trip, cwnd and mtu start anew; what is in flight stays tracked, but counts
    /// neither as in flight on the new path nor as a sign of anything there.
    pub fn on_new_path(&mut self, mtu: u16) {
        self.rtt = RttEstimator::default();
        self.sampled_from = None;
        self.lost_run.clear();
        self.probe_timer.reset_backoff();
        self.path_from = self.next_number();
        self.bytes_in_flight = 0;
        self.idle_since = None;
        self.restart_congestion(mtu);
    }

    /// Forgets everything in flight: the connection was reset.
    pub fn clear(&mut self) {
        self.sent.clear();
        self.bytes_in_flight = 0;
    }

    /// Numbers for people.
    pub fn snapshot(&self) -> RecoverySnapshot {
        RecoverySnapshot {
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min_rtt(),
            cwnd: self.controller.cwnd(),
            ssthresh: self.controller.ssthresh(),
            bytes_in_flight: self.bytes_in_flight,
            pacing_rate: self.pacer.rate(),
            packets_sent: self.counts.sent,
            packets_acked: self.counts.acked,
            packets_lost: self.counts.lost,
            packets_spurious: self.counts.spurious,
            packets_in_flight: u64::try_from(self.sent.in_flight()).unwrap_or(u64::MAX),
            pto_count: self.probe_timer.count(),
        }
    }

    /// The round-trip estimator.
    pub fn rtt(&self) -> &RttEstimator {
        &self.rtt
    }

    /// Bytes of the window that are free.
    pub fn cwnd_room(&self) -> u64 {
        self.controller.cwnd().saturating_sub(self.bytes_in_flight)
    }

    /// Takes what `ranges` name out of flight.
    fn settle(
        &mut self,
        ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>,
        out: &mut Outcome,
    ) -> NewlyAcked {
        let mut newly = NewlyAcked::default();
        for range in ranges {
            self.sent.acknowledge(range, |number, packet| {
                let largest = Some((number, packet.sent_at));
                newly.largest = newly.largest.max(largest);
                if number >= self.path_from {
                    newly.largest_size = newly.largest_size.max(packet.size);
                }
                if packet.sent_at.is_none() {
                    self.counts.spurious += 1;
                    self.lost_run.on_late_ack(number);
                } else {
                    self.counts.acked += 1;
                    let size = u64::from(packet.size);
                    if number >= self.path_from {
                        self.bytes_in_flight -= size;
                    }
                    if number >= self.reduced_from && Some(number) <= self.full_through {
                        newly.growth += size;
                    }
                }
                out.acked
                    .push(of_path(packet.contents, number >= self.path_from));
            });
        }
        newly
    }

    /// Declares lost what is lost by now, and answers congestion once for each round trip (RFC 9002
    /// s7.3.2); true if the window was reduced.
    fn detect_losses(&mut self, now: Time, out: &mut Outcome) -> bool {
        let threshold = loss::time_threshold(&self.rtt);
        let (mut congested, mut persistent) = (false, false);
        while let Some(packet) = self.sent.oldest_in_flight() {
            if loss::judge(now, packet, self.largest_acked, threshold) != Verdict::Lost {
                break;
            }
            let Some(lost) = self.sent.lose_oldest(now) else {
                break;
            };
            self.counts.lost += 1;
            if packet.number >= self.path_from {
                self.bytes_in_flight -= u64::from(lost.size);
            }
            if lost.contents.mtu_probe.is_some() {
                self.lost_run.pass_over(packet.number);
            } else {
                congested |= packet.number >= self.reduced_from;
                persistent |= self.is_persistent(packet);
            }
            out.lost
                .push(of_path(lost.contents, packet.number >= self.path_from));
        }
        if congested {
            self.reduced_from = self.next_number();
            self.controller.on_congestion(&Congested {
                now,
                cause: Cause::Loss,
                inflight: self.bytes_in_flight,
            });
        }
        if persistent {
            self.lost_run.clear();
            self.rtt.forget_min_rtt();
            self.controller.on_congestion(&Congested {
                now,
                cause: Cause::Persistent,
                inflight: self.bytes_in_flight,
            });
        }
        congested || persistent
    }

    /// Whether this lost packet makes the run of losses long enough (RFC 9002 s7.6.2).
    fn is_persistent(&mut self, packet: Oldest) -> bool {
        let counts_from = self.sampled_from.map(|from| from.max(self.path_from));
        if counts_from.is_none_or(|from| packet.number < from) {
            return false;
        }
        self.lost_run.on_lost(packet) > self.pto() * PERSISTENT_TIMEOUTS
    }

    fn sample_rtt(&mut self, rtt: Duration, ack_delay: Duration) {
        self.rtt.sample(rtt, ack_delay);
        if self.sampled_from.is_none() {
            self.sampled_from = Some(self.next_number());
        }
    }

    /// What every acknowledgement and timeout leaves to do.
    fn after_event(&mut self, now: Time) {
        self.forget_old_losses(now);
        if self.sent.in_flight() == 0 && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
        self.repace(now);
    }

    /// A packet is about to end a pause: after a long one the window says nothing about the path.
    fn end_idle(&mut self, now: Time) {
        let Some(since) = self.idle_since.take() else {
            return;
        };
        if now - since > self.pto().max(IDLE_MIN) {
            self.controller.on_restart_from_idle(now, 0);
            self.repace(now);
            self.pacer.restart(now);
        }
    }

    /// A lost packet is remembered long enough for the acknowledgement of a late original to come.
    fn forget_old_losses(&mut self, now: Time) {
        let (rtt, max_ack_delay) = (&self.rtt, self.max_ack_delay);
        self.sent.forget_lost(|| {
            let srtt = rtt.srtt().unwrap_or(INITIAL_RTT);
            now - (srtt * 2).max(pto::timeout(rtt, max_ack_delay))
        });
    }

    fn restart_congestion(&mut self, mtu: u16) {
        self.mtu = mtu;
        self.setup.mtu = mtu;
        self.controller = Algorithm::new(&self.choice, self.setup);
        self.pacer = Pacer::new(mtu);
        self.full_through = None;
        self.reduced_from = self.next_number();
    }

    fn repace(&mut self, now: Time) {
        let paced = self.rtt.srtt().filter(|&srtt| srtt >= PACED_RTT_MIN);
        let rate = paced.map_or(0, |srtt| self.controller.pacing_rate(srtt));
        self.pacer.set_rate(now, rate);
    }
}

/// What a probe of an earlier path found says nothing of the present one.
fn of_path(contents: Contents, is_present: bool) -> Contents {
    Contents {
        mtu_probe: contents.mtu_probe.filter(|_| is_present),
        ..contents
    }
}

#[cfg(test)]
mod tests;
