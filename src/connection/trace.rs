//! What a connection notes for its trace: packets as they stand on the wire, deadlines that came, and whatever is
//! different after an input from what was told before.
//!
//! Nothing of this changes the connection, and without a trace none of it is done.

mod driver;

use super::{Connection, Phase, TcpState};
use crate::error::CloseReason;
use crate::recovery::{EcnState, Limit};
use crate::time::{Deadline, Time, Timer};
use crate::trace::{Acknowledgement, Event, Fate, Metrics, PacketSeen, Parameters, Stage, Told};
use crate::wire::{self, AckBlock, Batch, Body, Meta, Packet, PacketNumber};

/// What was counted before a packet came: what changes of it says what became of the packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    is_numbered: bool,
    taken: u64,
    duplicate: u64,
    rejected: u64,
}

impl Connection {
    /// A packet has come, of which nothing is known yet.
    pub(super) fn note_arrival(
        &mut self,
        now: Time,
        meta: &Meta,
        packet: &Packet<'_>,
        len: usize,
    ) -> Option<Arrival> {
        if !self.recovery.log().is_on() {
            return None;
        }
        let number = is_numbered(&packet.body).then(|| self.acks.expand(packet.pn));
        // A block that names what was never sent has no ranges to tell.
        let largest = self.recovery.next_number().prev();
        let mut packet = seen(packet, number, len, largest, self.local_first);
        packet.mark = meta.ecn;
        let fate = Fate::Dropped;
        self.recovery
            .log()
            .note(now, || Event::Received { packet, fate });
        Some(Arrival {
            is_numbered: number.is_some(),
            taken: self.acks.packets(),
            duplicate: self.counters.packets_duplicate,
            rejected: self.counters.packets_rejected,
        })
    }

    /// The packet was dealt with.
    pub(super) fn note_fate(&mut self, now: Time, arrival: Option<Arrival>) {
        let Some(before) = arrival else {
            return;
        };
        let fate = if self.counters.packets_duplicate > before.duplicate {
            Fate::Duplicate
        } else if self.counters.packets_rejected > before.rejected
            || (before.is_numbered && self.acks.packets() == before.taken)
        {
            Fate::Dropped
        } else {
            Fate::Taken
        };
        self.recovery.log().settle_arrival(fate);
        self.note_changes(now);
    }

    /// Packets have been built, if there was something to send; the first `timeout_probes` for an expired timeout.
    pub(super) fn note_departure(
        &mut self,
        now: Time,
        is_something: bool,
        batch: &Batch,
        timeout_probes: usize,
    ) {
        if !self.recovery.log().is_on() {
            return;
        }
        for (at, datagram) in batch.datagrams().enumerate().filter(|_| is_something) {
            let Ok(packet) = wire::decode(datagram) else {
                continue;
            };
            let next = self.recovery.next_number();
            let number = is_numbered(&packet.body).then(|| packet.pn.expand(next));
            let first = PacketNumber::new(1);
            let mut packet = seen(&packet, number, datagram.len(), self.acks.largest(), first);
            packet.mark = self.mark;
            self.recovery.log().note(now, || Event::Sent {
                packet,
                is_timeout_probe: at < timeout_probes,
            });
        }
        self.note_changes(now);
    }

    /// A deadline has come, if it has.
    pub(super) fn note_timer(&mut self, now: Time, due: Option<Deadline>) {
        let Some(due) = due.filter(|due| due.at <= now) else {
            return;
        };
        // These come with every batch and acknowledgement, or mean nothing to the path.
        let is_told = !matches!(due.why, Timer::Pacing | Timer::AckDelay | Timer::Rest);
        if is_told {
            self.recovery.log().note(now, || Event::TimerFired(due.why));
        }
    }

    /// The connection fails.
    pub(super) fn note_failure(&mut self, reason: &CloseReason) {
        self.recovery
            .log()
            .note(self.latest, || Event::Closed(Some(reason.clone())));
    }

    /// Whatever is different now from what was told before.
    pub(super) fn note_changes(&mut self, now: Time) {
        if !self.recovery.log().is_on() {
            return;
        }
        let snapshot = self.recovery.snapshot();
        let state = self.state();
        let told = Told {
            stage: stage(state),
            state: state.name(),
            algorithm: snapshot.algorithm,
            congestion: snapshot.state,
            mtu: self.mtu.size(),
            ecn: ecn_name(snapshot.ecn),
            limit: self.limits.current().map_or("", limit_name),
            remote: self.path.current().remote,
            is_finished: self.phase == Phase::Over && !self.failed,
        };
        let metrics = Metrics {
            min_rtt: snapshot.min_rtt,
            srtt: snapshot.srtt,
            latest_rtt: snapshot.latest_rtt,
            rttvar: snapshot.srtt.map(|_| snapshot.rttvar),
            pto_count: Some(snapshot.pto_count),
            cwnd: Some(snapshot.cwnd),
            ssthresh: Some(snapshot.ssthresh).filter(|bytes| *bytes < u64::MAX),
            bytes_in_flight: Some(snapshot.bytes_in_flight),
            packets_in_flight: Some(snapshot.packets_in_flight),
            pacing_rate: Some(snapshot.pacing_rate),
            delivery_rate: snapshot.delivery_rate,
        };
        self.recovery.log().note_changes(now, told);
        if self.phase == Phase::Open && self.recovery.log().lacks_terms() {
            let terms = self.terms();
            self.recovery.log().note_terms(now, terms);
        }
        self.recovery.log().note_metrics(now, &metrics);
    }

    /// What both sides told of themselves: this side, and the peer.
    fn terms(&self) -> [Parameters; 2] {
        let own = Parameters {
            is_own: true,
            window: self.recv_credit.window(),
            max_datagram: Some(self.config.max_datagram()),
            max_ack_delay: self.config.max_ack_delay(),
            idle_timeout: self.config.idle_timeout(),
        };
        let peer = Parameters {
            is_own: false,
            window: self.send_credit.limit().get(),
            max_datagram: None,
            max_ack_delay: self.recovery.max_ack_delay(),
            idle_timeout: self.idle.idle_timeout,
        };
        [own, peer]
    }
}

/// Whether packets of this type have a number of their own. A SYN and a RST only name one.
fn is_numbered(body: &Body<'_>) -> bool {
    match body {
        Body::Data(_) | Body::Dgram { .. } | Body::Probe(_) | Body::Path(_) => true,
        Body::Syn(_)
        | Body::SynAck(_)
        | Body::Ack { .. }
        | Body::Rst { .. }
        | Body::Unknown
        | Body::Versions(_) => false,
    }
}

/// The packet as an event tells it. Its ACK block is read as by somebody who has sent `largest`, and `first` first.
fn seen(
    packet: &Packet<'_>,
    number: Option<PacketNumber>,
    size: usize,
    largest: PacketNumber,
    first: PacketNumber,
) -> PacketSeen {
    let mut seen = PacketSeen {
        kind: packet.kind(),
        number,
        size,
        mark: None,
        flags: packet.flags,
        data: None,
        ack: packet
            .ack
            .as_ref()
            .map(|block| acknowledgement(block, largest, first)),
        probe: None,
        path: None,
        reset: None,
    };
    match &packet.body {
        Body::Data(data) => {
            seen.data = Some(data.offset..data.offset.plus_len(data.payload.len()));
        }
        Body::Probe(what) => seen.probe = Some(*what),
        Body::Path(message) => seen.path = Some(*message),
        Body::Rst { code, .. } => seen.reset = Some(*code),
        _ => {}
    }
    seen
}

fn acknowledgement(
    block: &AckBlock<'_>,
    largest: PacketNumber,
    first: PacketNumber,
) -> Acknowledgement {
    let ranges = block.expand(largest, first);
    Acknowledgement {
        ranges: ranges.map_or(Vec::new(), |ranges| ranges.iter().collect()),
        delay: block.fields.delay,
        offset: block.fields.ack_offset,
        window: block.fields.window,
        unread: block.fields.unread,
        ecn: block.fields.ecn,
    }
}

fn stage(state: TcpState) -> Stage {
    match state {
        TcpState::SynSent => Stage::Attempted,
        TcpState::SynReceived => Stage::HandshakeStarted,
        TcpState::Established => Stage::HandshakeConfirmed,
        TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::Closing
        | TcpState::LastAck => Stage::Closing,
        TcpState::TimeWait | TcpState::Closed => Stage::Closed,
    }
}

fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Application => "application",
        Limit::Window => "window",
        Limit::Cwnd => "cwnd",
        Limit::Pacing => "pacing",
    }
}

/// The state in the words of qlog (`ECNState`), where it has one.
fn ecn_name(state: EcnState) -> &'static str {
    match state {
        EcnState::Off => "",
        EcnState::Testing => "testing",
        EcnState::Capable => "capable",
        EcnState::Failed => "failed",
    }
}
