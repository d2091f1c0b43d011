//! A packet comes in. One short parent holds the branching; the parts that it calls only compute.
//!
//! ```text
//! handle_packet: by kind
//!   opening kinds -> opening.rs          RST, UNKNOWN -> ending.rs
//!   ACK, numbered -> ack block -> body -> number received -> silence and path
//! ```
//! Invariant: a number is acknowledged only if all that its packet carried was taken.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use std::sync::Arc;

use super::acks::{Arrived, Standing};
use super::path::{Came, PathAction};
use super::{Connection, Phase};
use crate::connection::lifecycle::FinOrder;
use crate::error::{CloseReason, PeerFault, ResetCode};
use crate::limits::UNSENT_ACKS_MAX;
use crate::stream::Inserted;
use crate::time::{Time, Timer};
use crate::wire::{
    AckBlock, AckFields, Body, Data, Meta, Offset, Packet, PacketNumber, Slab, len_u64,
};

/// How far above all received numbers the next one may be.
const NUMBER_AHEAD_MAX: u64 = 1 << 24;
/// No packet number reaches this: 2^62, as in QUIC (RFC 9000 s12.3).
const NUMBER_MAX: u64 = 1 << 62;

/// The packet broke a rule or cannot be taken: it is dropped whole, and not acknowledged.
struct Rejected;

/// What a numbered packet's body did.
#[derive(Default)]
struct Taken {
    /// Its acknowledgement must not wait.
    at_once: bool,
}

impl Connection {
    /// The packets that are handled from now on, until [`Connection::end_train`], lie in this slab, of which `len`
    /// bytes were received: their data may stay there.
    pub fn begin_train(&mut self, slab: &Arc<Slab>, len: usize) {
        self.assembler.begin_train(slab, len);
    }

    /// What comes next lies elsewhere.
    pub fn end_train(&mut self) {
        self.assembler.end_train();
    }

    /// A datagram of `len` bytes for this connection, whose checksum is right.
    pub fn handle_packet(&mut self, now: Time, meta: &Meta, packet: &Packet<'_>, len: usize) {
        self.advance(now);
        if self.phase == Phase::Over {
            return;
        }
        let arrival = self.note_arrival(now, meta, packet, len);
        match &packet.body {
            Body::Syn(opening) => self.on_syn(packet, opening),
            Body::SynAck(opening) => self.on_syn_ack(now, packet, opening),
            Body::Versions(versions) => self.on_versions(packet, versions),
            Body::Rst { code, .. } => self.on_rst(packet.pn, *code),
            Body::Unknown => self.on_unknown(meta.from, packet.pn),
            Body::Ack { number } => self.on_bare_ack(now, meta, packet, *number, len),
            Body::Data(_) | Body::Dgram { .. } | Body::Probe(_) | Body::Path(_) => {
                self.on_numbered(now, meta, packet, len);
            }
        }
        self.settle(now);
        self.note_fate(now, arrival);
    }

    /// An ACK packet. Its number orders them, for the sake of the path alone.
    fn on_bare_ack(
        &mut self,
        now: Time,
        meta: &Meta,
        packet: &Packet<'_>,
        number: u64,
        len: usize,
    ) {
        if self.phase != Phase::Open || self.take_ack(now, packet).is_err() {
            return;
        }
        let is_newest = self.imm.on_ack_number(number);
        self.on_peer_heard(now);
        self.note_path(now, meta, len, is_newest);
    }

    /// DATA, DGRAM, PROBE, PATH.
    fn on_numbered(&mut self, now: Time, meta: &Meta, packet: &Packet<'_>, len: usize) {
        self.open_by_numbered(now);
        if self.phase != Phase::Open || packet.options.unknown_critical {
            return;
        }
        let number = self.acks.expand(packet.pn);
        if self.acks.standing(number) == Standing::Old {
            self.counters.packets_duplicate = self.counters.packets_duplicate.saturating_add(1);
            self.acks.owe_now();
            return;
        }
        let is_newest = number > self.acks.largest();
        // No honest sender is so far ahead; and the numbers of a connection never end.
        if number.since(self.acks.largest()) > NUMBER_AHEAD_MAX || number.get() >= NUMBER_MAX {
            self.counters.packets_rejected = self.counters.packets_rejected.saturating_add(1);
            return;
        }
        if self.take_numbered(now, meta, packet, number, len).is_err() {
            self.counters.packets_rejected = self.counters.packets_rejected.saturating_add(1);
            return;
        }
        self.on_peer_heard(now);
        self.note_path(now, meta, len, is_newest);
    }

    fn take_numbered(
        &mut self,
        now: Time,
        meta: &Meta,
        packet: &Packet<'_>,
        number: PacketNumber,
        len: usize,
    ) -> Result<(), Rejected> {
        self.take_ack(now, packet)?;
        let mut taken = self.take_body(now, meta, packet)?;
        taken.at_once |= packet.flags.imm || packet.options.cookie.is_some();
        let arrived = Arrived {
            number,
            size: len,
            is_data: matches!(packet.body, Body::Data(_)),
            at_once: taken.at_once,
            ecn: meta.ecn,
        };
        let srtt = self.recovery.rtt().srtt();
        self.acks
            .on_received(now, arrived, srtt, self.recv_credit.window());
        if let Body::Data(data) = &packet.body {
            self.arm_rest(now);
            self.note_flow(now, data, packet.flags);
            self.forget_untracked(number, data.tracked);
        }
        Ok(())
    }

    /// What the sender tracks no longer need not be reported to it (docs/WIRE.md, DATA `aux`).
    fn forget_untracked(&mut self, number: PacketNumber, tracked: u16) {
        if tracked < u16::MAX {
            self.acks.raise_floor(number.minus(u64::from(tracked)));
        }
    }

    fn take_body(
        &mut self,
        now: Time,
        meta: &Meta,
        packet: &Packet<'_>,
    ) -> Result<Taken, Rejected> {
        match &packet.body {
            Body::Data(data) => self.take_data(data, packet.flags.fin),
            Body::Probe(_) => Ok(Taken { at_once: true }),
            Body::Path(message) => {
                let action = self.path.on_message(now, meta, *message);
                self.follow(now, action);
                Ok(Taken { at_once: true })
            }
            Body::Dgram { payload, .. } if self.take_datagram(payload) => Ok(Taken::default()),
            // A datagram larger than this side's DGRAM_MAX: no honest peer sends one.
            _ => Err(Rejected),
        }
    }

    // --- acknowledgements -------------------------------------------------------------------------

    /// The packet's ACK block, if it has one, after it was found valid as a whole.
    fn take_ack(&mut self, now: Time, packet: &Packet<'_>) -> Result<(), Rejected> {
        let Some(block) = &packet.ack else {
            return Ok(());
        };
        let next = self.recovery.next_number();
        let ranges = block
            .expand(next.prev(), self.local_first)
            .map_err(|_| Rejected)?;
        if ranges.largest() >= next || block.fields.ack_offset > self.sent_end() {
            return self.on_ack_of_unsent();
        }
        let mut outcome = std::mem::take(&mut self.outcome);
        let AckFields { delay, ecn, .. } = block.fields;
        let result = self
            .recovery
            .on_ack(now, ranges.iter(), delay, ecn, &mut outcome);
        self.outcome = outcome;
        if result.is_err() {
            return self.on_ack_of_unsent();
        }
        if self.outcome.largest_newly_acked.is_some() {
            self.path.on_acknowledged(len_u64(self.outcome.acked.len()));
            self.idle.progress_at = now;
            self.tuner.on_sample(now, self.assembler.rcv_nxt());
            self.tune_send();
        }
        let snd_una = self.send.snd_una();
        self.repair();
        self.take_cumulative(block);
        if self.send.snd_una() > snd_una {
            self.idle.advanced_at = now;
            self.look_again(now);
        }
        Ok(())
    }

    /// The end of what was ever sent, the FIN's virtual byte included.
    fn sent_end(&self) -> Offset {
        let fin = u64::from(self.fin_ever_sent);
        self.send.snd_nxt().plus(fin)
    }

    /// An acknowledgement of what was never sent: a stray one is dropped, a habit ends the connection.
    fn on_ack_of_unsent(&mut self) -> Result<(), Rejected> {
        self.unsent_acks = self.unsent_acks.saturating_add(1);
        if self.unsent_acks > UNSENT_ACKS_MAX {
            self.reset_for(PeerFault::AcknowledgedUnsent);
        }
        Err(Rejected)
    }

    /// What recovery found out: acknowledged contents are done with, lost ones are sent again.
    pub(super) fn repair(&mut self) {
        let mut outcome = std::mem::take(&mut self.outcome);
        let before = self.send.snd_una();
        for contents in outcome.acked.drain(..) {
            self.send.on_acked(contents.data);
            // The FIN is settled by the cumulative offset alone: its packet may arrive while data before
            // it is still missing, and then nothing is over yet.
            if let Some(size) = contents.mtu_probe {
                self.on_mtu_probe_acked(size);
            }
        }
        for contents in outcome.lost.drain(..) {
            self.send.on_lost(contents.data);
            if contents.fin {
                self.send_half.on_fin_lost();
            }
            let datagrams = u64::from(contents.dgram);
            self.datagrams.counts.lost = self.datagrams.counts.lost.saturating_add(datagrams);
            if let Some(size) = contents.mtu_probe {
                self.mtu.on_probe_lost(self.latest, size);
            }
        }
        if let Some(newest) = outcome.largest_newly_acked.take() {
            self.wants.probes = 0;
            self.follow_acked_sizes(newest, outcome.largest_size);
        }
        if !self.is_awaiting_delivery() {
            self.timers.stop(Timer::User);
        }
        self.wants.probes = self.wants.probes.max(std::mem::take(&mut outcome.probes));
        self.outcome = outcome;
        self.wake_writer(before);
    }

    fn on_fin_acked(&mut self) {
        self.send_half.on_fin_acked();
        self.pending.delivered = true;
    }

    /// The cumulative part of a block repairs every lost one before it.
    fn take_cumulative(&mut self, block: &AckBlock<'_>) {
        let fields = &block.fields;
        let before = self.send.snd_una();
        self.send
            .on_acked(before..fields.ack_offset.min(self.send.snd_nxt()));
        if self.fin_ever_sent && fields.ack_offset == self.send.end().plus(1) {
            self.on_fin_acked();
        }
        if self.send_credit.update(fields.ack_offset, fields.window) {
            self.window_probes = 0;
            self.timers.stop(Timer::ZeroWindow);
        }
        let received = fields.ack_offset.min(self.send.end());
        let read = Offset::new(received.get().saturating_sub(u64::from(fields.unread)));
        if read >= self.read_by_peer {
            self.pending.delivered |= read > self.read_by_peer;
            self.read_by_peer = read;
            self.unread_at_peer = fields.unread;
        }
        self.wake_writer(before);
    }

    /// Tells a writer that waits once a third of the buffer is free.
    fn wake_writer(&mut self, snd_una_before: Offset) {
        if self.send.snd_una() == snd_una_before {
            return;
        }
        self.pending.delivered = true;
        if self.writer_waits && self.is_writable() {
            self.writer_waits = false;
            self.pending.writable = true;
        }
    }

    // --- the stream -------------------------------------------------------------------------------

    fn take_data(&mut self, data: &Data<'_>, fin: bool) -> Result<Taken, Rejected> {
        let end = data.offset.plus_len(data.payload.len());
        if let Err(fault) = self.recv_half.check(end, fin, self.assembler.highest()) {
            self.reset_for(fault);
            return Err(Rejected);
        }
        let news = fin && self.recv_half.on_fin(end);
        let limit = self.recv_credit.edge();
        let Some(inserted) = self.insert(data, limit) else {
            // The final size holds even if the data behind it must come again.
            self.acks.on_dropped();
            return Err(Rejected);
        };
        self.on_inserted(&inserted);
        Ok(Taken {
            at_once: news || inserted.out_of_order || inserted.filled_gap,
        })
    }

    /// Puts the data in its place, if there is memory for it.
    fn insert(&mut self, data: &Data<'_>, limit: Offset) -> Option<Inserted> {
        let after = self
            .memory()
            .saturating_add(data.payload.len())
            .saturating_add(self.assembler.room_for_next());
        if !self.account.admits(after) {
            return None;
        }
        self.assembler.insert(data.offset, data.payload, limit).ok()
    }

    fn on_inserted(&mut self, inserted: &Inserted) {
        let complete = self.recv_half.on_received(self.assembler.rcv_nxt());
        if complete && self.fin_order == FinOrder::None {
            self.fin_order = FinOrder::TheirsFirst;
        }
        if inserted.advanced > 0 || complete {
            self.pending.readable = true;
        }
        if self.released && inserted.new > 0 {
            self.reset_at_end = true;
            self.assembler.discard();
        }
        self.discard_after_shutdown();
    }

    // --- the path ---------------------------------------------------------------------------------

    fn note_path(&mut self, now: Time, meta: &Meta, len: usize, is_newest: bool) {
        if meta.from == self.path.current().remote && !self.path.is_changing() {
            return;
        }
        let (random, pto) = (&mut self.random, self.recovery.pto());
        let came = Came {
            len: len_u64(len),
            is_newest,
        };
        let action = self.path.on_packet(now, meta, came, pto, || random.next());
        self.follow(now, action);
    }

    /// Does what the path asks.
    pub(super) fn follow(&mut self, now: Time, action: PathAction) {
        match action {
            PathAction::Keep => {}
            PathAction::Rebound => {
                self.mtu.on_rebound();
                let mut outcome = std::mem::take(&mut self.outcome);
                self.recovery.on_rebound(now, &mut outcome);
                self.outcome = outcome;
                self.repair();
            }
            PathAction::ProbeOld => self.wants.liveness = true,
            PathAction::Moved => {
                let mut outcome = std::mem::take(&mut self.outcome);
                self.recovery.abandon_flight(now, &mut outcome);
                self.outcome = outcome;
                self.repair();
                self.leave_path();
            }
        }
        self.arm_path();
    }

    /// Round trip, window and path MTU start anew.
    pub(super) fn leave_path(&mut self) {
        self.mtu.on_new_path();
        self.recovery.on_new_path(self.mtu.size());
    }

    /// The peer broke the protocol.
    fn reset_for(&mut self, fault: PeerFault) {
        self.wants.reset = Some(ResetCode::PROTOCOL);
        self.fail(CloseReason::Protocol(fault));
    }
}
