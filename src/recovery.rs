//! Which packets arrived, which are lost, and when the next one may leave: knows packets and byte
//! counts, never the stream's contents (RFC 9002; docs/ARCHITECTURE.md, "One lost segment").

mod acknowledgement;
mod answer;
mod delivery;
mod detection;
mod ecn;
mod episode;
mod loss;
mod pacer;
mod path;
mod prr;
mod pto;
mod reorder;
mod report;
mod rtt;
mod sent_packets;
mod skip;
mod unsend;
mod usage;

use std::time::Duration;

use crate::congestion::{Algorithm, Congestion, Controller, Sent, Setup};
use crate::time::Time;
use crate::trace::Log;
use crate::wire::{Ecn, PacketNumber};

use delivery::Delivery;
use episode::Episode;
use loss::LostRun;
use prr::Reduction;
use pto::ProbeTimer;
use reorder::Reordering;
use skip::Skips;
use unsend::Untold;
use usage::Usage;

pub use ecn::{EcnReport, EcnState, EcnValidation};
pub use pacer::Pacer;
pub use report::{
    AckOfUnsent, Admission, Contents, Limit, Outcome, RecoverySnapshot, SendClass, SentPacket,
};
pub use rtt::{GRANULARITY, INITIAL_RTT, RttEstimator};
pub use sent_packets::{Oldest, Resolved, SentPackets, Snapshot};

/// Below this round trip nothing is paced: a timer would cost more than it spreads.
const PACED_RTT_MIN: Duration = Duration::from_micros(250);
/// A pause that ends the trust in the window, unless the probe timeout is longer.
const IDLE_MIN: Duration = Duration::from_secs(1);

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
/// assert_eq!(recovery.admission(Time::ZERO, 1_200, SendClass::Data { waiting: 1_000 }), Admission::Send);
/// let data = Offset::new(0)..Offset::new(1_000);
/// let contents = Contents { data: data.clone(), ..Contents::default() };
/// let packet = SentPacket { number, size: 1_200, imm: false, contents };
/// recovery.on_sent(Time::ZERO, packet, true);
///
/// let mut outcome = Outcome::default();
/// let now = Time::from_millis(30);
/// recovery.on_ack(now, [number..=number].into_iter(), Duration::ZERO, None, &mut outcome)?;
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
    delivery: Delivery,
    usage: Usage,
    ecn: EcnValidation,
    lost_run: LostRun,
    reordering: Reordering,
    episode: Episode,
    /// The window shrinks by degrees.
    reduction: Option<Reduction>,
    /// The latest acknowledgement came before a timeout had asked for it.
    has_clock: bool,
    skips: Skips,
    mtu: u16,
    max_ack_delay: Duration,
    /// Bytes in flight on the present path.
    bytes_in_flight: u64,
    largest_acked: Option<PacketNumber>,
    /// The first packet of the present path: older ones say nothing about it.
    path_from: PacketNumber,
    /// The first packet sent with a round trip known: older ones are no sign of persistent congestion.
    sampled_from: Option<PacketNumber>,
    /// Since when nothing is in flight, if something was.
    idle_since: Option<Time>,
    untold: Option<Box<Untold>>,
    counts: Counts,
    /// For the connection's trace, whose other events are noted here too, in order.
    log: Log,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    sent: u64,
    acked: u64,
    lost: u64,
    spurious: u64,
    bytes_lost: u64,
    bytes_spurious: u64,
}

impl Recovery {
    /// Recovery whose first packet will be `first`, with congestion control of one's choice.
    pub fn new(first: PacketNumber, choice: Congestion, setup: Setup) -> Self {
        let mtu = setup.mtu;
        let controller = Algorithm::new(&choice, setup);
        let window = answer::packets(controller.cwnd(), mtu);
        Recovery {
            sent: SentPackets::new(first),
            rtt: RttEstimator::default(),
            probe_timer: ProbeTimer::default(),
            controller,
            choice,
            setup,
            pacer: Pacer::new(mtu).with_burst_max(setup.max_burst_segments),
            delivery: Delivery::default(),
            usage: Usage::new(first),
            ecn: EcnValidation::default(),
            lost_run: LostRun::default(),
            reordering: Reordering::new(first),
            episode: Episode::none(first),
            reduction: None,
            has_clock: true,
            skips: Skips::new(setup.seed, first, window),
            mtu,
            max_ack_delay: Duration::ZERO,
            bytes_in_flight: 0,
            largest_acked: None,
            path_from: first,
            sampled_from: None,
            idle_since: None,
            untold: None,
            counts: Counts::default(),
            log: Log::default(),
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

    /// The peer counts marks: if the congestion control answers them, packets may have them.
    pub fn start_ecn(&mut self) {
        if self.controller.answers_marks() {
            self.ecn.start(self.next_number());
        }
    }

    /// The ECN mark of the next packet.
    pub fn mark(&self) -> Option<Ecn> {
        self.ecn.may_mark().then_some(Ecn::Ect0)
    }

    /// The path carries datagrams of `mtu` bytes. The window keeps its bytes, but never holds less than
    /// two datagrams; before the first packet it starts anew.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.tell_sent();
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
        let SendClass::Data { waiting } = class else {
            return Admission::Send;
        };
        let room = self.burst_room();
        // A window smaller than the packet must not wait for an acknowledgement that nobody owes.
        if u64::from(size) > room && self.bytes_in_flight > 0 {
            return Admission::AwaitAck;
        }
        match self.pacer.ready_at(now, size, room.min(waiting)) {
            Some(at) => Admission::At(at),
            None => Admission::Send,
        }
    }

    /// A numbered packet left. `last`: nothing more is waiting behind it.
    ///
    /// # Panics
    /// If its number is not `next_number()`.
    pub fn on_sent(&mut self, now: Time, packet: SentPacket, last: bool) {
        self.keep_before();
        let idle = self.end_idle(now);
        let (size, inflight) = (u64::from(packet.size), self.bytes_in_flight);
        if inflight == 0 {
            self.pacer.renew_burst(self.controller.cwnd());
        }
        let snapshot = self.delivery.on_sent(now, packet.number, size, inflight);
        self.sent.push(&packet, &snapshot);
        self.counts.sent += 1;
        if packet.contents.marked {
            self.ecn.on_marked_sent();
        }
        self.bytes_in_flight += size;
        self.probe_timer.on_sent(now, packet.imm);
        let is_full = self.is_window_full();
        if is_full {
            self.usage.on_full(packet.number);
        }
        self.pacer.on_sent(now, packet.size, last);
        if let Some(reduction) = &mut self.reduction {
            reduction.on_sent(size);
        }
        let told = Sent {
            now,
            size,
            inflight,
            app_limited: last && !is_full,
            idle,
        };
        self.tell_later(told, packet.imm, last);
    }

    /// Everything that may leave has left the core and found room below it; `limit` holds the rest back.
    pub fn on_drained(&mut self, now: Time, limit: Limit) {
        let (mtu, room) = (self.mtu, self.cwnd_room());
        let open_at =
            (!self.is_window_full()).then(|| self.pacer.ready_at(now, mtu, room).unwrap_or(now));
        self.delivery.on_drained(limit, open_at);
        self.pacer.on_drained(limit == Limit::Pacing);
        // Between batches: the numbers within one follow each other.
        self.leave_out_a_number();
    }

    /// Probe timeouts since something was acknowledged.
    pub fn pto_count(&self) -> u32 {
        self.probe_timer.count()
    }

    /// Whether a loss is being repaired: nothing sent after it was found is acknowledged yet.
    pub fn is_repairing(&self) -> bool {
        let repaired = self.largest_acked >= Some(self.episode.until());
        self.probe_timer.count() > 0 || (self.largest_acked.is_some() && !repaired)
    }

    /// Whether the window has no room for another packet.
    fn is_window_full(&self) -> bool {
        self.cwnd_room() < u64::from(self.mtu)
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

    /// Forgets everything in flight: the connection was reset.
    pub fn clear(&mut self) {
        self.tell_sent();
        self.sent.clear();
        self.bytes_in_flight = 0;
    }

    /// Numbers for people.
    pub fn snapshot(&self) -> RecoverySnapshot {
        RecoverySnapshot {
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min_rtt(),
            latest_rtt: self.rtt.latest(),
            cwnd: self.controller.cwnd(),
            ssthresh: self.controller.ssthresh(),
            bytes_in_flight: self.bytes_in_flight,
            pacing_rate: self.pacer.rate(),
            packets_sent: self.counts.sent,
            packets_acked: self.counts.acked,
            packets_lost: self.counts.lost,
            packets_spurious: self.counts.spurious,
            bytes_lost: self.counts.bytes_lost,
            bytes_spurious: self.counts.bytes_spurious,
            delivery_rate: self.delivery.latest_rate(),
            algorithm: self.controller.name(),
            state: self.controller.state(),
            packets_in_flight: u64::try_from(self.sent.in_flight()).unwrap_or(u64::MAX),
            pto_count: self.probe_timer.count(),
            ecn: self.ecn.state(),
            packets_marked: self.ecn.ce(),
        }
    }

    /// Where the events of this connection are noted.
    pub(crate) fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The peer's longest acknowledgement delay, as far as it is waited for.
    pub(crate) fn max_ack_delay(&self) -> Duration {
        self.max_ack_delay
    }

    /// The round-trip estimator.
    pub fn rtt(&self) -> &RttEstimator {
        &self.rtt
    }

    /// Bytes in flight on the present path.
    pub fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Packets that the congestion window holds.
    pub fn window_packets(&self) -> u64 {
        answer::packets(self.controller.cwnd(), self.mtu)
    }

    /// Packets that the pacer lets go in a second; 0 where nothing is paced.
    pub fn pace_packets(&self) -> u64 {
        answer::packets(self.pacer.rate(), self.mtu)
    }

    /// Bytes of the window that are free; while it shrinks, those that may leave for what was delivered.
    pub fn cwnd_room(&self) -> u64 {
        match &self.reduction {
            Some(reduction) => reduction.allowance(),
            None => self.controller.cwnd().saturating_sub(self.bytes_in_flight),
        }
    }

    /// Bytes that may leave before the next acknowledgement: of a path that is not paced, never the whole of
    /// a large window at once.
    pub fn burst_room(&self) -> u64 {
        self.cwnd_room().min(self.pacer.burst_room())
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
        self.settle_left_out();
        self.end_reduction_without_flight();
        if self.sent.in_flight() == 0 && self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
        self.repace(now);
        self.pacer.renew_burst(self.controller.cwnd());
    }

    /// A packet is about to end a pause: after a long one the window says nothing about the path. How long
    /// the pause was.
    fn end_idle(&mut self, now: Time) -> Option<Duration> {
        let since = self.idle_since.take()?;
        let idle = now - since;
        if idle > self.pto().max(IDLE_MIN) {
            if self.is_new_pause(since) {
                let delivered = self.usage.busy_round(self.delivery.delivered());
                self.controller.on_restart_from_idle(now, delivered);
            }
            self.repace(now);
            self.pacer.restart(now);
        }
        Some(idle)
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
        self.pacer = Pacer::new(mtu).with_burst_max(self.setup.max_burst_segments);
        self.delivery = Delivery::default();
        self.usage = Usage::new(self.next_number());
        self.episode = Episode::none(self.next_number());
        self.reordering = Reordering::new(self.next_number());
        self.reduction = None;
    }

    fn repace(&mut self, now: Time) {
        let is_paced = self.rtt.srtt().is_some_and(|srtt| srtt >= PACED_RTT_MIN);
        let spreading = self.rtt.spreading().filter(|_| is_paced);
        let rate = spreading.map_or(0, |rtt| self.controller.pacing_rate(rtt));
        self.pacer.set_rate(now, rate);
        self.pacer.set_quantum(self.controller.send_quantum());
    }
}

#[cfg(test)]
mod tests;
