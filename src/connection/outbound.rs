//! A packet goes out: candidates in order of priority, each a short function.
//!
//! ```text
//! alone in their batch:  RST, SYN, SYNACK, PATH, MTU probe
//! side by side:          probe (timeout), datagram, lost data, new data, FIN, liveness PROBE, bare ACK
//! ```
//! The first candidate that has something to say and may leave is built into the batch; an owed
//! acknowledgement rides along; recovery hears of each packet once.

mod alone;
mod gather;

use std::ops::Range;

use super::handshake::Handshake;
use super::imm::Leaving;
use super::lifecycle::SendHalf;
use super::path::Route;
use super::{Connection, HEADER_BYTES, Phase};
use crate::limits::DATAGRAM_MIN;
use crate::recovery::{Admission, Contents, Limit, SendClass, SentPacket};
use crate::time::{Time, Timer};
use crate::wire::{
    AckFields, Batch, Ecn, Flags, Kind, Offset, Options, PacketBuilder, Transmit, Window, len_u64,
    range_len,
};

/// Bytes of the base header.
const HEADER: u64 = 32;
/// Bytes of the longest header of DATA: with an ACK block of 32 further ranges and ECN counters.
const HEADERS_MAX: u64 = HEADER + 28 + 8 * 32 + 12;
/// A candidate that has a batch to itself.
type Poll = fn(&mut Connection, Time, &mut Batch) -> Option<Transmit>;

/// What the next packet of the stream is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plan {
    /// What an expired probe timeout sends: exempt from cwnd and pacing.
    TimeoutProbe,
    /// Lost bytes, again.
    Lost,
    /// Bytes never sent.
    New,
    /// The FIN without data.
    Fin,
    /// A datagram of the application.
    Datagram,
    /// A PROBE.
    Liveness,
    /// An acknowledgement alone.
    Ack,
}

impl Connection {
    /// Fills an empty batch with datagrams for one destination; `None` when nothing may leave now.
    pub fn poll_transmit(&mut self, now: Time, batch: &mut Batch) -> Option<Transmit> {
        debug_assert!(
            batch.is_empty(),
            "the driver sends or clears a batch before the next"
        );
        self.advance(now);
        self.mark = None;
        self.batch_from = self.recovery.next_number();
        let probes = self.wants.probes;
        self.recovery.begin_batch(now);
        let alone: [Poll; 5] = [
            Self::poll_reset,
            Self::poll_syn,
            Self::poll_syn_ack,
            Self::poll_path,
            Self::poll_mtu_probe,
        ];
        let first = alone.into_iter().find_map(|poll| poll(self, now, batch));
        let transmit = first.or_else(|| self.poll_stream(now, batch));
        self.note_limit(now, transmit.is_some());
        self.settle(now);
        let timeout_probes = usize::from(probes.saturating_sub(self.wants.probes));
        self.note_departure(now, transmit.is_some(), batch, timeout_probes);
        self.account.settle(self.memory());
        transmit
    }

    /// Notes what holds this side back. Once there is nothing to transmit, everything that may leave has
    /// left, and the driver found room for it in the socket: then recovery hears of it too.
    fn note_limit(&mut self, now: Time, is_busy: bool) {
        let is_done = self.phase == Phase::Over || self.send_half == SendHalf::FinAcked;
        if is_done {
            self.limits.end(now);
            return;
        }
        if !is_busy && self.is_held_by_path() {
            // An address that has not proved itself leaves its path unused, as an application would.
            self.limits.note(now, None);
            return self.recovery.on_drained(now, Limit::Application);
        }
        let limit = if is_busy { None } else { self.limit(now) };
        if self.phase == Phase::Open {
            self.limits.note(now, limit);
        }
        if let Some(limit) = limit {
            self.recovery.on_drained(now, limit);
        }
    }

    /// What keeps this side from sending more; `None` if it is not free to send, or about to. Decided by what
    /// waits to be sent, never by how full the window is.
    fn limit(&self, now: Time) -> Option<Limit> {
        if self.phase != Phase::Open {
            return None;
        }
        // A datagram that waits is held back as a repair is: by cwnd and pacer alone.
        let fin = self.fin_plan().is_some() || self.datagrams.is_waiting();
        let unsent = self.send.end() > self.send.snd_nxt();
        if !self.send.has_lost() && !fin && !unsent {
            return Some(Limit::Application);
        }
        if !self.send.has_lost() && !fin && !self.may_send_new() {
            return Some(Limit::Window);
        }
        if !self.send.has_lost() && !fin && self.gathers() {
            return Some(Limit::Application);
        }
        match self.admission(now, self.datagram_size()) {
            Admission::Send => None,
            Admission::AwaitAck if self.recovery.cwnd_room() < self.mss() => Some(Limit::Cwnd),
            Admission::At(_) | Admission::AwaitAck => Some(Limit::Pacing),
        }
    }

    /// Bytes of a full datagram: to an address that has not proved itself none is larger than every path carries, so
    /// that what came from there pays for some.
    pub(super) fn datagram_size(&self) -> u16 {
        let size = self.mtu.size();
        let least = u16::try_from(DATAGRAM_MIN).unwrap_or(u16::MAX);
        if self.path.is_unproven() {
            size.min(least)
        } else {
            size
        }
    }

    /// Whether the address must prove itself before another full datagram goes there.
    fn is_held_by_path(&self) -> bool {
        self.phase == Phase::Open && !self.path.may_send(self.datagram_size().into())
    }

    fn transmit(&self, route: Route) -> Transmit {
        Transmit {
            to: route.remote,
            from_ip: route.local_ip,
            ecn: self.mark,
        }
    }

    fn builder<'b>(&mut self, room: &'b mut [u8], kind: Kind) -> PacketBuilder<'b> {
        let number = self.recovery.next_number();
        let dcid = self.peer.map(|peer| peer.cid);
        let mut packet = PacketBuilder::new(room, kind, dcid, number);
        // One bit that receivers must ignore, at random, from the number: it needs no secrecy.
        packet.reserved_bit(number.get().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 1);
        packet
    }

    fn poll_stream(&mut self, now: Time, batch: &mut Batch) -> Option<Transmit> {
        if self.phase != Phase::Open {
            return None;
        }
        self.timers.stop(Timer::Pacing);
        self.tune_receive(now);
        if self.wants_window_update() {
            self.acks.owe_now();
        }
        self.owe_read_report(now);
        while let Some(plan) = self.next_plan(now, batch) {
            let mark = self.mark_for(plan);
            // All datagrams of a batch have the same mark.
            if mark != self.mark && !batch.is_empty() {
                break;
            }
            self.mark = mark;
            if !self.build(now, plan, batch) {
                break;
            }
        }
        (!batch.is_empty()).then(|| self.transmit(self.path.current()))
    }

    /// The ECN mark of a packet. A bare ACK has none, for nobody would answer its congestion (RFC 3168
    /// s6.1.4); nor has what a probe timeout sends, which must get through a path that drops marked packets.
    fn mark_for(&self, plan: Plan) -> Option<Ecn> {
        match plan {
            Plan::TimeoutProbe | Plan::Ack => None,
            Plan::Lost | Plan::New | Plan::Fin | Plan::Datagram | Plan::Liveness => {
                self.recovery.mark()
            }
        }
    }

    fn wants_window_update(&self) -> bool {
        let (rcv_nxt, read) = (self.assembler.rcv_nxt(), self.assembler.read_offset());
        self.recv_half.final_size().is_none()
            && self.recv_credit.wants_update(rcv_nxt, read, self.mss())
    }

    /// The application has read all that the peer was told to be unread: the peer may wait to hear it.
    fn owe_read_report(&mut self, now: Time) {
        if self.reported_unread > 0 && self.assembler.unread() == 0 {
            self.reported_unread = 0;
            self.acks.owe_by(now + self.config.max_ack_delay());
        }
    }

    /// The first candidate that has something to send and may send it now.
    fn next_plan(&mut self, now: Time, batch: &Batch) -> Option<Plan> {
        if self.is_held_by_path() {
            return None;
        }
        if self.wants.probes > 0 {
            return Some(Plan::TimeoutProbe);
        }
        let data = self
            .lost_plan()
            .or_else(|| self.new_plan(now, batch))
            .or_else(|| self.fin_plan());
        let data = match self.is_datagram_next(data.is_some()) {
            true => Some(Plan::Datagram),
            false => data,
        };
        if data.is_some_and(|plan| self.is_admitted(now, plan)) {
            return data;
        }
        if self.wants.liveness {
            // A packet of this very batch asks the same question.
            self.wants.liveness = batch.is_empty();
        }
        if self.wants.liveness {
            return Some(Plan::Liveness);
        }
        (batch.is_empty() && self.acks.is_due(now)).then_some(Plan::Ack)
    }

    fn lost_plan(&self) -> Option<Plan> {
        self.send.has_lost().then_some(Plan::Lost)
    }

    /// New data, within the peer's window and its silly-window rule (RFC 9293 s3.8.6.2.1).
    fn new_plan(&mut self, now: Time, batch: &Batch) -> Option<Plan> {
        if self.send.snd_nxt() == self.send.end() || (batch.is_empty() && self.gathers()) {
            return None;
        }
        if self.may_send_new() {
            return Some(Plan::New);
        }
        if !self.is_in_flight() {
            self.arm_zero_window(now);
        }
        // Nothing else looks after data that cannot leave (`stall.rs`).
        self.arm_rest(now);
        None
    }

    /// Whether the window lets some of the bytes never sent leave.
    fn may_send_new(&self) -> bool {
        let snd_nxt = self.send.snd_nxt();
        let unsent = self.send.end().since(snd_nxt);
        let room = self.send_credit.limit().since(snd_nxt);
        let small = self.wants.small_segment && room > 0;
        // The window counts payload: a packet's worth is what is left of a datagram after its header.
        let payload = self.mss().saturating_sub(HEADER);
        unsent > 0 && (small || self.send_credit.is_worth_sending(snd_nxt, unsent, payload))
    }

    /// The FIN needs no window; it follows the last byte.
    fn fin_plan(&self) -> Option<Plan> {
        let sent_all = self.send.snd_nxt() == self.send.end();
        (self.send_half == SendHalf::FinQueued && sent_all).then_some(Plan::Fin)
    }

    /// When a packet of `size` bytes may leave, with what waits behind it.
    fn admission(&self, now: Time, size: u16) -> Admission {
        let waiting = if self.send.has_lost() {
            u64::MAX
        } else {
            self.send
                .end()
                .since(self.send.snd_nxt())
                .saturating_add(HEADER)
        };
        let class = SendClass::Data { waiting };
        self.recovery.admission(now, size, class)
    }

    /// Whether cwnd and pacer let the packet go; otherwise the pacer's timer is set. A repair may be small, and
    /// need not wait until there is room for a full packet; new data does, or it would leave in crumbs.
    fn is_admitted(&mut self, now: Time, plan: Plan) -> bool {
        let full = self.datagram_size();
        let size = match plan {
            Plan::Lost => u16::try_from(HEADERS_MAX + self.send.next_lost_len())
                .map_or(full, |size| size.min(full)),
            Plan::Datagram => u16::try_from(HEADER_BYTES + self.datagrams.next_len())
                .map_or(full, |size| size.min(full)),
            _ => full,
        };
        match self.admission(now, size) {
            Admission::Send => true,
            Admission::At(at) => {
                self.timers.set(Timer::Pacing, at);
                false
            }
            Admission::AwaitAck => false,
        }
    }

    fn build(&mut self, now: Time, plan: Plan, batch: &mut Batch) -> bool {
        match plan {
            Plan::TimeoutProbe => self.build_timeout_probe(now, batch),
            Plan::Lost | Plan::New | Plan::Fin => {
                self.build_data(now, plan, usize::from(self.datagram_size()), batch)
            }
            Plan::Datagram => self.build_datagram(now, batch),
            Plan::Liveness => self.build_liveness(now, batch),
            Plan::Ack => self.build_ack(now, batch),
        }
    }

    /// New data if the window has room, else the oldest in flight, else the FIN, else a PROBE
    /// (RFC 9002 s6.2.4).
    fn build_timeout_probe(&mut self, now: Time, batch: &mut Batch) -> bool {
        let size = self
            .mtu
            .timeout_probe_size(self.recovery.snapshot().pto_count);
        let size = usize::from(size.min(self.datagram_size()));
        let unsent = self.send.end() > self.send.snd_nxt();
        let built = if unsent && self.send_credit.limit() > self.send.snd_nxt() {
            self.build_data(now, Plan::New, size, batch)
        } else if self.send.snd_una() < self.send.snd_nxt() {
            self.build_data(now, Plan::TimeoutProbe, size, batch)
        } else if matches!(self.send_half, SendHalf::FinQueued | SendHalf::FinSent) {
            self.build_data(now, Plan::Fin, size, batch)
        } else {
            self.build_liveness(now, batch)
        };
        if built {
            self.wants.probes -= 1;
        }
        built
    }

    /// One DATA packet of at most `size` bytes; false if the batch is full.
    fn build_data(&mut self, now: Time, plan: Plan, size: usize, batch: &mut Batch) -> bool {
        let Some(room) = whole_room(size, batch) else {
            return false;
        };
        let number = self.recovery.next_number();
        let tracked = number.since(self.recovery.oldest_tracked());
        let mut packet = self.builder(room, Kind::Data);
        packet.aux(u16::try_from(tracked).unwrap_or(u16::MAX));
        // Who receives a FIN may let the connection go: it says what was received, lost blocks or not.
        let ending = matches!(self.send_half, SendHalf::FinQueued | SendHalf::FinSent);
        // Data keeps at least half of the datagram.
        let with_ack = self.put_ack(
            now,
            &mut packet,
            DATAGRAM_MIN / 2,
            ending || self.is_probing_timeout(),
        );
        self.put_cookie(&mut packet);
        let Some(range) = self.take_range(plan, packet.room()) else {
            return false;
        };
        for piece in self.send.pieces(range.clone()) {
            packet.payload(piece);
        }
        packet.offset(range.start.get());
        let fin = self.fin_rides_on(&range);
        let is_repeated = plan != Plan::New && range.start < range.end;
        let imm = self.wants_imm(fin);
        let flags = Flags {
            fin,
            imm,
            push: range.end == self.send.end() && !self.write_is_cut,
            retransmitted: is_repeated,
        };
        packet.flags(flags);
        let len = packet.finish();
        batch.push(len);
        self.on_data_sent(now, len, range, flags);
        if with_ack {
            self.acks.on_reported();
        }
        true
    }

    /// The bytes that the packet carries; empty for a FIN alone.
    fn take_range(&mut self, plan: Plan, max: usize) -> Option<Range<Offset>> {
        match plan {
            Plan::Lost => self.send.take_lost(max),
            Plan::New => self.send.take_new(max, self.send_credit.limit()),
            Plan::TimeoutProbe => self.send.take_oldest(max),
            Plan::Fin => Some(self.send.end()..self.send.end()),
            Plan::Datagram | Plan::Liveness | Plan::Ack => None,
        }
    }

    /// Whether a FIN is due and these are the last bytes.
    fn fin_rides_on(&self, range: &Range<Offset>) -> bool {
        let due = matches!(self.send_half, SendHalf::FinQueued | SendHalf::FinSent);
        due && range.end == self.send.end()
    }

    fn on_data_sent(&mut self, now: Time, len: usize, data: Range<Offset>, flags: Flags) {
        if flags.fin {
            self.fin_ever_sent = true;
            self.send_half.on_fin_sent();
        }
        if flags.retransmitted {
            self.counters.packets_retransmitted += 1;
            self.counters.bytes_retransmitted += len_u64(range_len(&data));
        }
        self.wants.small_segment = false;
        self.datagrams.on_stream_sent();
        self.arm_rest(now);
        let contents = Contents {
            data,
            fin: flags.fin,
            ..Contents::default()
        };
        self.on_numbered_sent(now, len, flags.imm, contents);
    }

    /// A PROBE: answered at once, carries nothing.
    fn build_liveness(&mut self, now: Time, batch: &mut Batch) -> bool {
        let Some(room) = whole_room(usize::from(self.datagram_size()), batch) else {
            return false;
        };
        let mut packet = self.builder(room, Kind::Probe);
        packet.flags(Flags {
            imm: true,
            ..Flags::default()
        });
        let with_ack = self.put_ack(now, &mut packet, DATAGRAM_MIN / 2, true);
        self.put_cookie(&mut packet);
        if self.silence.is_asking() {
            packet.pad_to(super::silence::QUESTION_BYTES);
        }
        let len = packet.finish();
        batch.push(len);
        self.wants.liveness = false;
        self.on_numbered_sent(now, len, true, Contents::default());
        if with_ack {
            self.acks.on_reported();
        }
        true
    }

    fn build_ack(&mut self, now: Time, batch: &mut Batch) -> bool {
        let Some(room) = whole_room(usize::from(self.datagram_size()), batch) else {
            return false;
        };
        let number = self.acks.take_ack_number();
        let mut packet = self.builder(room, Kind::Ack);
        packet.offset(number);
        self.put_ack(now, &mut packet, DATAGRAM_MIN / 2, true);
        let len = packet.finish();
        batch.push(len);
        self.path.on_sent(len_u64(len));
        self.acks.on_reported();
        true
    }

    /// Writes the ACK block if one is owed or `always`; whether it did. It leaves `reserve` bytes, if it can.
    fn put_ack(
        &mut self,
        now: Time,
        packet: &mut PacketBuilder<'_>,
        reserve: usize,
        always: bool,
    ) -> bool {
        if !always && !self.acks.is_owed() && !self.is_proving() {
            return false;
        }
        let ack_offset = self.ack_offset();
        let was_shut_out = self.is_peer_shut_out();
        let edge = self
            .recv_credit
            .advertise(self.assembler.read_offset(), self.mss());
        if was_shut_out && !self.is_peer_shut_out() {
            self.expect_data(now);
        }
        let unread = u32::try_from(self.assembler.unread()).unwrap_or(u32::MAX);
        let fields = AckFields {
            delay: self.acks.age_of_largest(now),
            dropped: self.acks.has_dropped(),
            ack_offset,
            window: Window::saturating(edge.since(ack_offset)),
            unread,
            ecn: self.acks.ecn_counts().filter(|_| self.counts_marks),
        };
        self.reported_unread = unread;
        packet.ack(&fields, self.acks.ranges(), reserve);
        true
    }

    fn is_proving(&self) -> bool {
        matches!(self.handshake, Handshake::Proving { .. })
    }

    /// Until the peer is heard every packet carries its cookie.
    fn put_cookie(&self, packet: &mut PacketBuilder<'_>) {
        if let Handshake::Proving { cookie } = &self.handshake {
            if !cookie.is_empty() {
                packet.options(&Options {
                    cookie: Some(cookie),
                    ..Options::default()
                });
            }
        }
    }

    /// Whether the packet asks for an acknowledgement at once.
    fn wants_imm(&mut self, fin: bool) -> bool {
        let leaving = Leaving {
            must: fin || self.is_probing_timeout(),
            sent: self.recovery.next_number().since(self.local_first),
            is_first: !self.is_in_flight(),
            has_more: self.send.snd_nxt() < self.send.end(),
            is_held_back: self.is_last_admitted() || self.gathers(),
            window: self.recovery.window_packets(),
            pace: self.recovery.pace_packets(),
        };
        self.imm.wants(leaving)
    }

    /// Whether what is built now answers an expired probe timeout, be it with old bytes or with new ones.
    fn is_probing_timeout(&self) -> bool {
        self.wants.probes > 0
    }

    /// Whether cwnd or window will hold back the packet after this one.
    fn is_last_admitted(&self) -> bool {
        let window = self.send_credit.limit().since(self.send.snd_nxt());
        let cwnd = self.recovery.burst_room();
        let mss = self.mss();
        let is_last_to_unproven = !self.path.may_send(2 * u64::from(self.datagram_size()));
        window < mss || cwnd < 2 * mss || is_last_to_unproven
    }

    /// Every numbered packet that left is told to recovery, to the timers and to the path.
    fn on_numbered_sent(&mut self, now: Time, len: usize, imm: bool, contents: Contents) {
        if !self.is_in_flight() {
            self.idle.progress_at = now;
        }
        let number = self.recovery.next_number();
        let size = u16::try_from(len).unwrap_or(u16::MAX);
        let last = self.send.snd_nxt() == self.send.end() && !self.send.has_lost();
        if contents.mtu_probe.is_none() {
            self.mtu.on_sent(number, size);
        }
        self.recovery.on_sent(
            now,
            SentPacket {
                number,
                size,
                imm,
                contents: Contents {
                    marked: self.mark.is_some(),
                    ..contents
                },
            },
            last,
        );
        self.path.on_sent(len_u64(len));
        self.arm_user_timer(now);
    }
}

/// Room for any packet of the stream. A batch that began with a small packet has none: what follows could
/// not even hold its acknowledgement, and goes into the next batch.
fn whole_room(size: usize, batch: &mut Batch) -> Option<&mut [u8]> {
    batch.room(size).filter(|room| room.len() >= DATAGRAM_MIN)
}
