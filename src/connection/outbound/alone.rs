//! The packets that have a batch to themselves: they differ from all others in size or destination.

use crate::connection::handshake::Handshake;
use crate::connection::{Connection, HEADER_BYTES, Phase};
use crate::limits::{DATAGRAM_MIN, SYN_BYTES};
use crate::recovery::Contents;
use crate::time::{Time, Timer};
use crate::wire::{Batch, Flags, Kind, Options, PacketBuilder, PathMessage, Transmit};

/// Bytes of an ACK block with ECN counters and without further ranges.
const ACK_BLOCK_BYTES: usize = 28 + 12;

impl Connection {
    pub(super) fn poll_reset(&mut self, _now: Time, batch: &mut Batch) -> Option<Transmit> {
        let code = self.wants.reset.take()?;
        let highest = self.send.snd_nxt();
        let mut packet = self.builder(batch.room(DATAGRAM_MIN)?, Kind::Rst);
        packet.aux(code.get());
        packet.offset(highest.get());
        let len = packet.finish();
        batch.push(len);
        Some(self.transmit(self.path.current()))
    }

    pub(super) fn poll_syn(&mut self, now: Time, batch: &mut Batch) -> Option<Transmit> {
        self.syn_sent().filter(|syn| syn.due)?;
        let jitter = self.random.next().to_be_bytes();
        let syn = self.syn_sent()?;
        let (service, incarnation) = (syn.service, syn.incarnation);
        let (clock, next) = syn.on_sent(now, jitter[0]);
        self.timers.set(Timer::Syn, next);
        // One SYN in sixteen carries an option that nobody knows, so that peers keep skipping those.
        let options = Options {
            grease: jitter[1] < 16,
            ..self.opening_options(incarnation)
        };
        let opening = self.opening(clock, service);
        let room = batch.room(SYN_BYTES)?;
        let mut packet = PacketBuilder::new(room, Kind::Syn, None, self.local_first);
        packet.opening(&opening);
        packet.options(&options);
        packet.pad_to(SYN_BYTES);
        let len = packet.finish();
        batch.push(len);
        Some(self.transmit(self.path.current()))
    }

    /// The answer to the peer's SYN in a simultaneous open.
    pub(super) fn poll_syn_ack(&mut self, _now: Time, batch: &mut Batch) -> Option<Transmit> {
        if self.phase == Phase::Over {
            return None;
        }
        let rendezvous = self.rendezvous.as_deref_mut()?;
        let clock = rendezvous.answer_due.take()?;
        let (token, incarnation) = (rendezvous.token, rendezvous.incarnation);
        let peer_cid = rendezvous.terms.map(|terms| terms.cid)?;
        let (opening, options) = (
            self.opening(clock, token),
            self.opening_options(incarnation),
        );
        let room = batch.room(SYN_BYTES)?;
        let mut packet = PacketBuilder::new(room, Kind::SynAck, Some(peer_cid), self.local_first);
        packet.opening(&opening);
        packet.options(&options);
        let len = packet.finish();
        batch.push(len);
        Some(self.transmit(self.path.current()))
    }

    pub(super) fn poll_path(&mut self, now: Time, batch: &mut Batch) -> Option<Transmit> {
        // The window does not hold PATH packets back: it may be full of what goes to an address where nobody
        // is any more. But a flood of challenges must not fill the memory of what was sent.
        if self.phase != Phase::Open || !self.path.has_message() {
            return None;
        }
        let room = batch.room(DATAGRAM_MIN)?;
        let (route, message) = self.path.take_message(now, self.recovery.pto())?;
        let mut packet = self.builder(room, Kind::Path);
        let (aux, nonce) = match message {
            PathMessage::Challenge(nonce) => (0, nonce),
            PathMessage::Response(nonce) => (1, nonce),
        };
        packet.aux(aux);
        packet.offset(nonce);
        let len = packet.finish();
        batch.push(len);
        self.on_numbered_sent(now, len, true, Contents::default());
        self.arm_path();
        Some(self.transmit(route))
    }

    /// One DGRAM; false if the batch has no room for it. Side by side with others, but for its size much as they are.
    pub(super) fn build_datagram(&mut self, now: Time, batch: &mut Batch) -> bool {
        let len = self.datagrams.next_len();
        let room = batch.room(usize::from(self.datagram_packet_max()));
        let Some(room) = room.filter(|room| room.len() >= HEADER_BYTES + len) else {
            return false;
        };
        let mut packet = self.builder(room, Kind::Dgram);
        // The datagram goes before the acknowledgement, which can leave alone.
        let has_room = packet.room() >= len + ACK_BLOCK_BYTES;
        let with_ack = has_room && self.put_ack(now, &mut packet, len, false);
        let Some((count, data)) = self.datagrams.take() else {
            return false;
        };
        packet.offset(count);
        packet.payload(&data);
        let len = packet.finish();
        batch.push(len);
        let contents = Contents {
            dgram: true,
            ..Contents::default()
        };
        self.on_numbered_sent(now, len, false, contents);
        if with_ack {
            self.acks.on_reported();
        }
        true
    }

    /// A larger datagram is tried when enough data waits to profit from it, and never while repairing.
    pub(super) fn poll_mtu_probe(&mut self, now: Time, batch: &mut Batch) -> Option<Transmit> {
        let opened = self.phase == Phase::Open && matches!(self.handshake, Handshake::Done);
        let size = self.wanted_mtu_probe(now).filter(|_| opened)?;
        let room = batch.room(usize::from(size))?;
        self.mark = self.recovery.mark();
        let mut packet = self.builder(room, Kind::Probe);
        packet.aux(1);
        packet.flags(Flags {
            imm: true,
            ..Flags::default()
        });
        packet.pad_to(usize::from(size));
        let len = packet.finish();
        batch.push(len);
        self.mtu.on_probe_sent(size);
        let contents = Contents {
            mtu_probe: Some(size),
            ..Contents::default()
        };
        self.on_numbered_sent(now, len, true, contents);
        Some(self.transmit(self.path.current()))
    }
}
