//! One connection: no clock, no socket, no thread, no lock.
//!
//! ```text
//!            handle_packet, handle_timeout, handle_icmp          write, read, shutdown, ...
//!                        |                                               |
//!                        v                                               v
//!    inbound -> recovery (packets)  +  stream (bytes)  +  lifecycle (two halves)  <- application
//!                        |
//!                        v
//!    outbound: poll_transmit          poll_event            poll_timeout
//! ```
//!
//! **C1, drain rule**: inputs that share one `now` may be batched; before time moves on, poll transmit,
//! event and timeout, in that order, until each has nothing more. Only a full socket may leave
//! transmits waiting. **C2, monotone time**: `now` never decreases, and is the time of arrival.
//! **C3, determinism**: the same configuration, seed and inputs give the same bytes.

mod acks;
mod alarms;
mod application;
mod autotune;
mod budget;
mod datagrams;
mod ending;
mod event;
mod handshake;
mod idle;
mod imm;
mod inbound;
mod info;
mod lifecycle;
mod limits;
mod mtu;
mod opening;
mod outbound;
mod path;
mod random;
mod silence;
mod stall;
mod timers;
mod trace;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::congestion::Setup;
use crate::error::{CloseReason, ResetCode};
use crate::recovery::{Outcome, Recovery};
use crate::stream::{Assembler, RecvCredit, SendBuffer, SendCredit};
use crate::time::{Deadline, Time, Timer};
use crate::wire::{ConnectionId, Ecn, Offset, PacketNumber, TruncatedNumber, Window};

use acks::Acks;
use autotune::WindowTuner;
use budget::Account;
use datagrams::Datagrams;
use event::Pending;
use handshake::{Handshake, SynSent};
use idle::Idle;
use imm::Imm;
use info::Counters;
use lifecycle::{FinOrder, RecvHalf, SendHalf};
use limits::Limits;
use mtu::Mtu;
use opening::Rendezvous;
use path::Path;
use random::Random;
use silence::Silence;
use stall::Standing;
use timers::Timers;

pub use application::{ReadError, WriteError};
pub(crate) use autotune::SMALL_WINDOW;
pub use budget::Budget;
pub use datagrams::DatagramError;
pub use ending::Linger;
pub use event::{Event, Farewell, LastAck};
pub use info::{Info, TcpState};

/// Bytes of the base header: a packet's size without its payload, ACK block and options.
const HEADER_BYTES: usize = 32;

/// What the third packet of a handshake proves, from which a server makes its connection.
#[derive(Clone, Debug)]
pub struct PassiveOpen {
    /// The peer's address.
    pub remote: SocketAddr,
    /// The local address it wrote to.
    pub local_ip: Option<IpAddr>,
    /// This side's connection id (promised in the SYNACK).
    pub local_cid: ConnectionId,
    /// The peer's.
    pub peer_cid: ConnectionId,
    /// The first packet number that this side will use (promised in the SYNACK).
    pub local_first: PacketNumber,
    /// The peer's first.
    pub peer_first: PacketNumber,
    /// The window of the peer's SYN.
    pub window: Window,
    /// The window that the SYNACK promised to the peer.
    pub promised_window: Window,
    /// The largest datagram that the peer takes.
    pub max_datagram: u16,
    /// Time since the SYNACK was made: a round trip, if nothing was lost.
    pub rtt: Option<Duration>,
    /// The peer's longest acknowledgement delay.
    pub max_ack_delay: Option<Duration>,
    /// The peer's idle timeout.
    pub idle_timeout: Option<Duration>,
    /// The peer's largest DGRAM payload.
    pub dgram_max: Option<u16>,
    /// The peer's features.
    pub features: Option<u32>,
    /// The peer's incarnation.
    pub incarnation: Option<u64>,
}

/// What a client chooses, or its endpoint for it.
#[derive(Clone, Debug)]
pub struct ActiveOpen {
    /// Where to.
    pub remote: SocketAddr,
    /// This side's connection id, random.
    pub local_cid: ConnectionId,
    /// The first packet number, random in 1..2^30.
    pub local_first: PacketNumber,
    /// 0, or the rendezvous token.
    pub service: u64,
    /// This endpoint's incarnation.
    pub incarnation: u64,
    /// A round trip measured earlier to this address.
    pub cached_rtt: Option<Duration>,
}

/// An ICMP error about a packet that this side sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpError {
    /// Port unreachable: the peer's host is there, its socket is not.
    PortUnreachable,
    /// Host or network unreachable, or filtered.
    Unreachable,
}

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The peer's id is not known yet.
    Opening,
    /// Packets flow.
    Open,
    /// Nothing more is sent or taken, but for a last RST.
    Over,
}

/// One connection. Its driver feeds it packets and time, and drains what it wants to send and to say.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    random: Random,
    /// The latest `now`, for C2.
    latest: Time,
    phase: Phase,
    handshake: Handshake,
    rendezvous: Option<Box<Rendezvous>>,
    local_cid: ConnectionId,
    local_first: PacketNumber,
    peer: Option<Peer>,
    /// As `connect` or `accept` knew it.
    remote: SocketAddr,
    path: Path,
    mtu: Mtu,
    /// The first number that the last batch could use.
    batch_from: PacketNumber,

    send: SendBuffer,
    send_half: SendHalf,
    send_credit: SendCredit,
    assembler: Assembler,
    recv_half: RecvHalf,
    recv_credit: RecvCredit,
    datagrams: Datagrams,
    tuner: WindowTuner,
    account: Account,
    /// How far both directions had come when the connection was last found to hold memory.
    standing: Standing,
    /// A write was refused because the endpoint's memory is used up.
    lacks_memory: bool,
    fin_order: FinOrder,
    fin_ever_sent: bool,
    /// The application shut its reading down: what arrives behind this offset is thrown away.
    read_shut_at: Option<Offset>,

    recovery: Recovery,
    /// Scratch for what recovery says; empty between calls.
    outcome: Outcome,
    acks: Acks,
    idle: Idle,
    timers: Timers,
    limits: Limits,
    silence: Silence,
    wants: Wants,
    /// The end of what the peer's application has read.
    read_by_peer: Offset,
    unread_at_peer: u32,
    /// What our last ACK block said to be unread here.
    reported_unread: u32,
    unsent_acks: u32,
    /// Verified port-unreachables since the peer was last heard.
    unreachables: u8,
    /// A further one counts only for a packet from here on.
    unreachable_below: PacketNumber,
    /// Back-off of the zero-window probe.
    window_probes: u32,
    imm: Imm,
    /// Both sides count ECN marks in their ACK blocks.
    counts_marks: bool,
    /// The mark of the batch that is being built.
    mark: Option<Ecn>,

    /// Why the connection failed, until somebody was told.
    failure: Option<CloseReason>,
    failed: bool,
    reset_code: Option<ResetCode>,
    /// The owner is gone.
    released: bool,
    /// The owner left data unread, or more came: RST when our own data is delivered.
    reset_at_end: bool,
    /// A writer met a full buffer.
    writer_waits: bool,
    /// The latest write was not taken whole: its writer has more to say.
    write_is_cut: bool,
    pending: Pending,
    counters: Counters,
}

/// What is known of the peer once the handshake is done.
#[derive(Clone, Copy, Debug)]
struct Peer {
    cid: ConnectionId,
    incarnation: Option<u64>,
}

/// Packets that want to leave, apart from data and acknowledgements.
#[derive(Debug, Default)]
struct Wants {
    /// Ack-eliciting packets of an expired probe timeout.
    probes: u8,
    /// A liveness PROBE: keep-alive, zero window, third packet of the handshake, old path.
    liveness: bool,
    /// A segment smaller than the window rule likes, because it waited long enough.
    small_segment: bool,
    /// RST, the last packet.
    reset: Option<ResetCode>,
}

impl Connection {
    /// A connection that this side opens; its SYN is the first thing that it transmits.
    pub fn connect(now: Time, open: ActiveOpen, config: Arc<Config>, seed: u64) -> Self {
        let mut connection = Self::new(
            now,
            open.remote,
            None,
            open.local_cid,
            open.local_first,
            config,
            seed,
        );
        connection.rendezvous = Rendezvous::of(&open);
        connection.handshake = Handshake::SynSent(Box::new(SynSent::new(now, &open)));
        connection
            .timers
            .set(Timer::Connect, now + connection.config.connect_timeout());
        connection
    }

    /// A connection that a third packet opens; hand that packet to [`Connection::handle_packet`] next.
    pub fn accept(now: Time, open: PassiveOpen, config: Arc<Config>, seed: u64) -> Self {
        let (remote, first) = (open.remote, open.local_first);
        let mut connection = Self::new(
            now,
            remote,
            open.local_ip,
            open.local_cid,
            first,
            config,
            seed,
        );
        connection.recv_credit = RecvCredit::new(open.promised_window.get());
        connection.establish(
            now,
            opening::PeerTerms {
                cid: open.peer_cid,
                first: open.peer_first,
                window: open.window,
                max_datagram: open.max_datagram,
                max_ack_delay: open.max_ack_delay,
                idle_timeout: open.idle_timeout,
                dgram_max: open.dgram_max,
                features: open.features,
                incarnation: open.incarnation,
                rtt: open.rtt,
            },
        );
        connection
    }

    fn new(
        now: Time,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
        local_cid: ConnectionId,
        local_first: PacketNumber,
        config: Arc<Config>,
        seed: u64,
    ) -> Self {
        let mtu = Mtu::new(remote, config.max_datagram(), config.max_datagram());
        Connection {
            random: Random::new(seed),
            latest: now,
            phase: Phase::Opening,
            handshake: Handshake::Done,
            rendezvous: None,
            local_cid,
            local_first,
            peer: None,
            remote,
            path: Path::new(remote, local_ip),
            send: SendBuffer::new(config.send_buffer()),
            send_half: SendHalf::Open,
            send_credit: SendCredit::new(Window::new(0)),
            assembler: Assembler::new(),
            recv_half: RecvHalf::Open,
            recv_credit: RecvCredit::new(config.receive_window()),
            datagrams: Datagrams::default(),
            tuner: WindowTuner::new(now, &config),
            account: Account::default(),
            standing: Standing::Moves,
            lacks_memory: false,
            fin_order: FinOrder::None,
            fin_ever_sent: false,
            read_shut_at: None,
            recovery: Recovery::new(
                local_first,
                config.congestion().clone(),
                Setup {
                    mtu: mtu.size(),
                    seed,
                    loss_tolerance: config.loss_tolerance(),
                    max_burst_segments: config.max_burst_segments(),
                },
            ),
            mtu,
            batch_from: local_first,
            outcome: Outcome::default(),
            acks: Acks::new(PacketNumber::new(1), config.max_ack_delay()),
            idle: Idle::new(now, config.user_timeout(), config.keepalive()),
            timers: Timers::default(),
            limits: Limits::default(),
            silence: Silence::new(now),
            wants: Wants::default(),
            read_by_peer: Offset::ZERO,
            unread_at_peer: 0,
            reported_unread: 0,
            unsent_acks: 0,
            unreachables: 0,
            unreachable_below: local_first,
            window_probes: 0,
            imm: Imm::default(),
            counts_marks: false,
            mark: None,
            failure: None,
            failed: false,
            reset_code: None,
            released: false,
            reset_at_end: false,
            writer_waits: false,
            write_is_cut: false,
            pending: Pending::default(),
            counters: Counters::default(),
            config,
        }
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.pending.take()
    }

    /// When to call [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if self.phase == Phase::Over {
            return None;
        }
        let delayed_ack = self.acks.deadline().map(|at| Deadline {
            at,
            why: Timer::AckDelay,
        });
        let recovery = Deadline::earlier(self.recovery.deadline(), delayed_ack);
        Deadline::earlier(self.timers.next(), recovery)
    }

    /// Notes the time of an input (C2).
    fn advance(&mut self, now: Time) {
        debug_assert!(
            now >= self.latest,
            "time ran backwards: {now:?} after {:?}",
            self.latest
        );
        self.latest = self.latest.max(now);
    }

    /// What an ACK block's `ack_offset` says: the FIN is one virtual byte after the last.
    fn ack_offset(&self) -> Offset {
        match self.recv_half {
            RecvHalf::AllReceived(size) | RecvHalf::AllRead(size) => size.plus(1),
            _ => self.assembler.rcv_nxt(),
        }
    }

    /// The most that a datagram may carry now, as the window rules count it.
    fn mss(&self) -> u64 {
        u64::from(self.mtu.size())
    }

    /// Whether anything sent waits for its acknowledgement.
    fn is_in_flight(&self) -> bool {
        self.recovery.oldest_in_flight().is_some()
    }

    /// Bytes that may be in flight now: the congestion window, or while it shrinks how far it has come.
    pub fn flight_limit(&self) -> u64 {
        self.recovery.bytes_in_flight() + self.recovery.cwnd_room()
    }

    // --- questions --------------------------------------------------------------------------------

    /// Whether the handshake is done and the connection has not failed since.
    pub fn is_open(&self) -> bool {
        self.phase != Phase::Opening && !self.failed
    }

    /// Whether the connection ended by a reset or an error, reported or not.
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    /// Whether everything written, and the FIN if one is due, is acknowledged.
    pub fn is_all_acked(&self) -> bool {
        let fin_settled = matches!(self.send_half, SendHalf::Open | SendHalf::FinAcked);
        self.send.snd_una() == self.send.end() && fin_settled
    }

    /// Whether the peer's application has read everything written, as far as its ACK blocks say.
    pub fn is_all_read_by_peer(&self) -> bool {
        self.read_by_peer >= self.send.end()
    }

    /// Whether nothing more is sent or heard: no question about the peer gets another answer.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// How it behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The peer's address as `connect` or `accept` knew it.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The address that packets go to now: another one once the peer has moved.
    pub fn current_remote(&self) -> SocketAddr {
        self.path.current().remote
    }

    /// This side's connection id.
    pub fn local_cid(&self) -> ConnectionId {
        self.local_cid
    }

    /// The peer's connection id, once known.
    pub fn peer_cid(&self) -> Option<ConnectionId> {
        self.peer.map(|peer| peer.cid)
    }

    /// The state in the words of RFC 9293 s3.3.2.
    pub fn state(&self) -> TcpState {
        match (self.phase, &self.handshake) {
            (Phase::Opening, _) => TcpState::SynSent,
            (Phase::Over, _) if self.failed => TcpState::Closed,
            (Phase::Open, Handshake::Proving { .. }) if self.send_half == SendHalf::Open => {
                TcpState::SynReceived
            }
            _ => lifecycle::tcp_state(self.send_half, self.recv_half, self.fin_order),
        }
    }

    /// Bytes of memory held for the stream and for datagrams, both directions; bounded by the buffers and queues.
    pub fn memory(&self) -> usize {
        self.send.memory() + self.assembler.memory() + self.datagrams.memory()
    }

    /// Numbers for people.
    pub fn info(&self, now: Time) -> Info {
        let (recovery, spent) = (self.recovery.snapshot(), self.limits.spent(now));
        Info {
            state: self.state(),
            srtt: recovery.srtt,
            min_rtt: recovery.min_rtt,
            latest_rtt: recovery.latest_rtt,
            rttvar: recovery.rttvar,
            cwnd: recovery.cwnd,
            ssthresh: recovery.ssthresh,
            bytes_in_flight: recovery.bytes_in_flight,
            pacing_rate: recovery.pacing_rate,
            congestion: recovery.algorithm,
            congestion_state: recovery.state,
            delivery_rate: recovery.delivery_rate,
            time_sending: spent.total,
            limited_by_application: spent.application,
            limited_by_window: spent.window,
            limited_by_cwnd: spent.cwnd,
            limited_by_pacing: spent.pacing,
            path_mtu: self.mtu.size(),
            black_holes: self.mtu.black_holes(),
            bytes_written: self.send.end().get(),
            bytes_sent: self.send.snd_nxt().get(),
            bytes_acked: self.send.snd_una().get(),
            bytes_retransmitted: self.counters.bytes_retransmitted,
            bytes_received: self.assembler.rcv_nxt().get(),
            bytes_unread: crate::wire::len_u64(self.assembler.unread()),
            packets_sent: recovery.packets_sent,
            packets_received: self.acks.packets(),
            packets_acked: recovery.packets_acked,
            packets_lost: recovery.packets_lost,
            packets_spurious: recovery.packets_spurious,
            ecn: recovery.ecn,
            packets_marked: recovery.packets_marked,
            packets_in_flight: recovery.packets_in_flight,
            bytes_lost: recovery.bytes_lost,
            bytes_spurious: recovery.bytes_spurious,
            packets_retransmitted: self.counters.packets_retransmitted,
            packets_duplicate: self.counters.packets_duplicate,
            packets_rejected: self.counters.packets_rejected,
            datagrams_sent: self.datagrams.counts.sent,
            datagrams_lost: self.datagrams.counts.lost,
            datagrams_unsent: self.datagrams.counts.unsent,
            datagrams_received: self.datagrams.counts.received,
            datagrams_unread: self.datagrams.counts.unread,
            pto_count: recovery.pto_count,
            unread_at_peer: self.unread_at_peer,
            window: self.send_credit.limit().since(self.send.snd_una()),
            since_heard: now - self.idle.heard_at,
            oldest_unacked: self.recovery.oldest_in_flight().map(|sent| now - sent),
            peer_incarnation: self.peer.and_then(|peer| peer.incarnation),
            reset_code: self.reset_code.map(ResetCode::get),
            socket_drops: 0,
        }
    }

    /// Whether `number` (truncated, as quoted to us) is one of our packets in flight.
    fn is_outstanding(&self, number: TruncatedNumber) -> bool {
        let number = number.expand(self.recovery.next_number());
        self.recovery.is_outstanding(number)
    }
}

#[cfg(test)]
mod tests;
