//! Where one datagram goes: all decisions about strangers, in the order of docs/WIRE.md.

use super::cookie::{BadCookie, Proof, Said};
use super::reset::{ANSWER_BYTES, Answer, is_odd, may_answer};
use super::time_wait::{ACK_BYTES, Late, Verdict};
use super::{Arrival, DropReason, Endpoint, Listening, Route};
use crate::connection::PassiveOpen;
use crate::error::ResetCode;
use crate::limits::{DATAGRAM_MIN, SYN_BYTES};
use crate::time::Time;
use crate::wire::{
    self, Batch, Body, ConnectionId, DecodeError, ForeignSyn, Kind, Meta, Opening, Options, Packet,
    PacketBuilder, PacketNumber, Transmit, TruncatedNumber,
};

/// A datagram, and where an answer to it is written.
pub(super) struct Arrived<'a, 'd> {
    pub(super) now: Time,
    pub(super) meta: &'a Meta,
    pub(super) datagram: &'d [u8],
    pub(super) reply: &'a mut Batch,
}

impl<'d> Arrived<'_, 'd> {
    /// The datagram as a packet, its checksum verified.
    fn packet(&self) -> Result<Packet<'d>, DropReason> {
        self.check_integrity()?;
        wire::decode(self.datagram).map_err(|_| DropReason::Malformed)
    }

    fn check_integrity(&self) -> Result<(), DropReason> {
        if wire::integrity::is_intact(self.datagram) {
            return Ok(());
        }
        Err(DropReason::Checksum)
    }

    /// Puts a datagram of at most `max` bytes, which `write` writes, into the batch: the way back.
    fn answer(
        &mut self,
        max: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<Route<'d>, DropReason> {
        self.reply.clear();
        let room = self.reply.room(max).ok_or(DropReason::Unanswerable)?;
        let len = write(room).ok_or(DropReason::NoConnection)?;
        debug_assert!(
            len <= self.datagram.len() || max == ACK_BYTES,
            "no answer to a stranger is longer than what it answers"
        );
        self.reply.push(len);
        Ok(Route::Reply(Transmit {
            to: self.meta.from,
            from_ip: self.meta.to_ip,
            ecn: None,
        }))
    }
}

impl Endpoint {
    /// Where the datagram goes, or why nowhere.
    pub(super) fn route<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
    ) -> Result<Route<'d>, DropReason> {
        let glance = match wire::glance(arrived.datagram) {
            Ok(glance) => glance,
            Err(DecodeError::ForeignSyn(syn)) => return self.foreign_syn(arrived, syn),
            Err(_) => return Err(DropReason::Malformed),
        };
        let Some(dcid) = glance.dcid else {
            return self.syn(arrived);
        };
        let handle = match glance.kind {
            // It repeats the id of a packet of ours.
            Kind::Unknown => self.table.find_by_peer(dcid),
            _ => self.table.find(dcid),
        };
        if let Some(handle) = handle {
            return Ok(Route::Connection(handle, arrived.packet()?));
        }
        if glance.kind.is_numbered() {
            return self.numbered(arrived, dcid);
        }
        // A RST in TIME_WAIT is ignored (RFC 1337), and so is an ACK: two entries would answer each other.
        match self.time_wait.contains(arrived.now, dcid) {
            true => Err(DropReason::TimeWait),
            false => Err(DropReason::NoConnection),
        }
    }

    /// A SYN of a version that is not spoken here.
    fn foreign_syn<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        syn: ForeignSyn,
    ) -> Result<Route<'d>, DropReason> {
        if self.listening == Listening::Full {
            return Err(DropReason::BacklogFull);
        }
        arrived.check_integrity()?;
        let answer = Answer::Versions { of: syn.version };
        self.answer(arrived, answer, syn.cid, widen(syn.pn))
    }

    fn syn<'d>(&mut self, arrived: &mut Arrived<'_, 'd>) -> Result<Route<'d>, DropReason> {
        let packet = arrived.packet()?;
        let Body::Syn(opening) = packet.body else {
            return Err(DropReason::Malformed);
        };
        let mut rendezvous = None;
        if opening.service != 0 {
            let handle = self.table.find_by_token(opening.service);
            rendezvous = Some(handle.ok_or(DropReason::UnknownToken)?);
        }
        match (rendezvous, self.listening) {
            (None, Listening::Full) => return Err(DropReason::BacklogFull),
            (None, Listening::No) => {
                let refused = Answer::Reset(ResetCode::REFUSED);
                return self.answer(arrived, refused, opening.cid, widen(packet.pn));
            }
            (None, Listening::Yes) if self.budget.is_exhausted() => {
                return Err(DropReason::OutOfMemory);
            }
            _ => {}
        }
        let is_too_small = usize::from(opening.max_datagram) < DATAGRAM_MIN;
        if is_too_small || packet.options.unknown_critical {
            let unsupported = Answer::Reset(ResetCode::UNSUPPORTED);
            return self.answer(arrived, unsupported, opening.cid, widen(packet.pn));
        }
        match rendezvous {
            Some(handle) => Ok(Route::Connection(handle, packet)),
            None => self.syn_ack(arrived, &packet, &opening),
        }
    }

    /// Answers a SYN without remembering it.
    ///
    /// There is no limit by rate: it would let a flood of SYNs lock honest clients out, and the answer
    /// is shorter than what it answers.
    fn syn_ack<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        packet: &Packet<'_>,
        syn: &Opening,
    ) -> Result<Route<'d>, DropReason> {
        may_answer(arrived.meta)?;
        let offer = self.offer.narrowed(self.budget.is_tight());
        let said = Said::new(packet, syn);
        let minted = self
            .cookies
            .mint(arrived.now, arrived.meta.from, &said, offer.window);
        arrived.answer(SYN_BYTES, |room| {
            let mut packet = PacketBuilder::new(room, Kind::SynAck, Some(syn.cid), minted.first);
            packet.reserved_bit(is_odd(syn.cid));
            packet.opening(&Opening {
                cid: minted.cid,
                max_datagram: offer.max_datagram,
                window: offer.window,
                clock: syn.clock,
                service: syn.service,
            });
            packet.options(&Options {
                cookie: Some(&minted.cookie),
                ..offer.options
            });
            Some(packet.finish())
        })
    }

    /// A numbered packet for an id that no connection has.
    fn numbered<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        dcid: ConnectionId,
    ) -> Result<Route<'d>, DropReason> {
        let packet = arrived.packet()?;
        if self.time_wait.contains(arrived.now, dcid) {
            return self.late(arrived, dcid, &packet);
        }
        match packet.options.cookie {
            Some(cookie) => self.third_packet(arrived, dcid, cookie, packet),
            None => self.answer(arrived, Answer::Unknown, dcid, widen(packet.pn)),
        }
    }

    /// A numbered packet for a connection in TIME_WAIT: the peer may have missed the last acknowledgement.
    fn late<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        dcid: ConnectionId,
        packet: &Packet<'_>,
    ) -> Result<Route<'d>, DropReason> {
        may_answer(arrived.meta)?;
        let late = Late {
            from: arrived.meta.from.ip(),
            len: arrived.datagram.len(),
            fin: packet.flags.fin,
        };
        match self.time_wait.on_late(arrived.now, dcid, late) {
            Verdict::Ignore => Err(DropReason::TimeWait),
            Verdict::Answer => {
                arrived.answer(ACK_BYTES, |room| self.time_wait.write_ack(dcid, room))
            }
        }
    }

    /// A packet with a cookie for an id that is not live: it may open a connection.
    fn third_packet<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        dcid: ConnectionId,
        cookie: &[u8],
        packet: Packet<'d>,
    ) -> Result<Route<'d>, DropReason> {
        let proof = self
            .cookies
            .verify(arrived.now, arrived.meta.from, dcid, cookie)
            .map_err(|bad| match bad {
                BadCookie::Forged => DropReason::CookieForged,
                BadCookie::Expired => DropReason::CookieExpired,
            })?;
        // A delayed copy would open a ghost, and deliver its request twice.
        if self.spent.contains(dcid) {
            return Err(DropReason::Spent);
        }
        match self.listening {
            Listening::Full => return Err(DropReason::BacklogFull),
            Listening::No => {
                let refused = Answer::Reset(ResetCode::REFUSED);
                return self.answer(arrived, refused, proof.said.cid, proof.first);
            }
            Listening::Yes if self.budget.is_exhausted() => return Err(DropReason::OutOfMemory),
            Listening::Yes => {}
        }
        // Every connection that is taken in needs a place among the spent ones one day.
        if self.passive.saturating_add(self.spent.len()) >= self.spent_max {
            return Err(DropReason::SpentFull);
        }
        let open = passive_open(arrived.meta, dcid, &proof);
        Ok(Route::Arrival(Arrival { open }, packet))
    }

    /// Answers a stranger, within the limits.
    fn answer<'d>(
        &mut self,
        arrived: &mut Arrived<'_, 'd>,
        answer: Answer,
        dcid: ConnectionId,
        pn: PacketNumber,
    ) -> Result<Route<'d>, DropReason> {
        self.limit.take(arrived.now, arrived.meta)?;
        arrived.answer(ANSWER_BYTES, |room| Some(answer.write(room, dcid, pn)))
    }
}

/// What the cookie proves, as a connection needs it.
fn passive_open(meta: &Meta, local_cid: ConnectionId, proof: &Proof) -> PassiveOpen {
    let said = &proof.said;
    PassiveOpen {
        remote: meta.from,
        local_ip: meta.to_ip,
        local_cid,
        peer_cid: said.cid,
        local_first: proof.first,
        peer_first: said.first,
        window: said.window,
        promised_window: proof.promised,
        max_datagram: said.max_datagram,
        rtt: Some(proof.age),
        max_ack_delay: said.max_ack_delay,
        idle_timeout: said.idle_timeout,
        dgram_max: said.dgram_max,
        features: said.features,
        incarnation: said.incarnation,
    }
}

/// The low bits as a number of their own: what is echoed is truncated again.
fn widen(number: TruncatedNumber) -> PacketNumber {
    PacketNumber::new(u64::from(number.get()))
}
