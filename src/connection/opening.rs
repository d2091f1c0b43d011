//! How a connection opens: what SYNACK, SYN and VERSIONS do to it (docs/WIRE.md, "Handshake").

use std::time::Duration;

use super::acks::Acks;
use super::handshake::{Handshake, PROVING_MAX, SynSent};
use super::mtu::Mtu;
use super::{ActiveOpen, Connection, Peer, Phase};
use crate::error::{CloseReason, ResetCode};
use crate::limits::DATAGRAM_MIN;
use crate::stream::SendCredit;
use crate::time::{Time, Timer};
use crate::wire::{ConnectionId, Opening, Options, Packet, PacketNumber, VERSION, Window};

/// MAX_ACK_DELAY where a SYN or SYNACK has none.
const USUAL_ACK_DELAY: Duration = Duration::from_millis(8);

/// No peer may delay our timers for longer than this, whatever it says.
const ACK_DELAY_MAX: Duration = Duration::from_secs(1);

/// A simultaneous open: both sides call, none listens.
#[derive(Debug)]
pub(super) struct Rendezvous {
    pub token: u64,
    pub incarnation: u64,
    /// The clock of a SYN of the peer that our SYNACK must echo.
    pub answer_due: Option<u32>,
    /// What the peer's SYN said.
    pub terms: Option<PeerTerms>,
}

impl Rendezvous {
    /// The rendezvous of an opening that has a token.
    pub(super) fn of(open: &ActiveOpen) -> Option<Box<Self>> {
        (open.service != 0).then(|| {
            Box::new(Rendezvous {
                token: open.service,
                incarnation: open.incarnation,
                answer_due: None,
                terms: None,
            })
        })
    }
}

/// What a side has learnt of the other once the handshake is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerTerms {
    pub cid: ConnectionId,
    pub first: PacketNumber,
    pub window: Window,
    pub max_datagram: u16,
    pub max_ack_delay: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub dgram_max: Option<u16>,
    pub features: Option<u32>,
    pub incarnation: Option<u64>,
    pub rtt: Option<Duration>,
}

impl PeerTerms {
    fn new(packet: &Packet<'_>, opening: &Opening, rtt: Option<Duration>) -> Self {
        PeerTerms {
            cid: opening.cid,
            // A first number is below 2^30, its high half zero.
            first: PacketNumber::new(u64::from(packet.pn.get())),
            window: opening.window,
            max_datagram: opening.max_datagram,
            max_ack_delay: packet.options.max_ack_delay,
            idle_timeout: packet.options.idle_timeout,
            dgram_max: packet.options.dgram_max,
            features: packet.options.features,
            incarnation: packet.options.incarnation,
            rtt,
        }
    }
}

impl Connection {
    /// The SYN being sent, while nothing was heard.
    pub(super) fn syn_sent(&mut self) -> Option<&mut SynSent> {
        match &mut self.handshake {
            Handshake::SynSent(syn) => Some(syn),
            Handshake::Proving { .. } | Handshake::Done => None,
        }
    }

    /// A SYNACK: the first that echoes a SYN of ours opens the connection; later ones of the same peer
    /// are answered by an acknowledgement, any other by nothing.
    pub(super) fn on_syn_ack(&mut self, now: Time, packet: &Packet<'_>, opening: &Opening) {
        let Some(syn) = self.syn_sent() else {
            if self.peer_cid() == Some(opening.cid) {
                self.acks.owe_now();
            }
            return;
        };
        let (rtt, service) = (syn.round_trip(now, opening.clock), syn.service);
        let rendezvous = service != 0;
        if rtt.is_none() || opening.service != service {
            return;
        }
        if packet.options.unknown_critical || usize::from(opening.max_datagram) < DATAGRAM_MIN {
            self.fail(CloseReason::Unsupported(ResetCode::UNSUPPORTED));
            return;
        }
        let Some(cookie) = packet.options.cookie.or(rendezvous.then_some(&[])) else {
            return;
        };
        self.handshake = Handshake::Proving {
            cookie: cookie.into(),
        };
        self.timers.set(Timer::Connect, now + PROVING_MAX);
        self.establish(now, PeerTerms::new(packet, opening, rtt));
    }

    /// A SYN: only a rendezvous answers one, while it opens and ever after, for its SYNACK may be lost.
    pub(super) fn on_syn(&mut self, packet: &Packet<'_>, opening: &Opening) {
        let small = usize::from(opening.max_datagram) < DATAGRAM_MIN;
        let strange = self.peer.is_some_and(|peer| peer.cid != opening.cid);
        let Some(rendezvous) = &mut self.rendezvous else {
            return;
        };
        if rendezvous.token != opening.service
            || packet.options.unknown_critical
            || small
            || strange
        {
            return;
        }
        rendezvous.answer_due = Some(opening.clock);
        rendezvous.terms = Some(PeerTerms::new(packet, opening, None));
    }

    /// A numbered packet opens a rendezvous whose peer is known from its SYN: it has our SYNACK.
    pub(super) fn open_by_numbered(&mut self, now: Time) {
        let terms = self
            .rendezvous
            .as_ref()
            .and_then(|rendezvous| rendezvous.terms);
        if let (Phase::Opening, Some(terms)) = (self.phase, terms) {
            self.handshake = Handshake::Done;
            self.timers.stop(Timer::Connect);
            self.establish(now, terms);
        }
    }

    /// VERSIONS: the peer speaks none of ours. Believed only for the SYN that was sent.
    pub(super) fn on_versions(&mut self, packet: &Packet<'_>, versions: &[u8]) {
        let about_our_syn = packet.pn == self.local_first.truncate();
        if self.syn_sent().is_some() && about_our_syn && !versions.contains(&VERSION) {
            self.fail(CloseReason::Version);
        }
    }

    /// The peer is known: packets may flow.
    pub(super) fn establish(&mut self, now: Time, terms: PeerTerms) {
        self.phase = Phase::Open;
        self.peer = Some(Peer {
            cid: terms.cid,
            incarnation: terms.incarnation,
        });
        self.acks = Acks::new(terms.first, self.config.max_ack_delay());
        self.send_credit = SendCredit::new(terms.window);
        self.mtu = Mtu::new(self.remote, terms.max_datagram, self.config.max_datagram());
        self.datagrams.peer_max = terms.dgram_max.unwrap_or(0);
        self.timers.stop(Timer::Syn);
        if let Some(rtt) = terms.rtt {
            self.recovery.on_handshake_rtt(rtt);
        }
        self.recovery.set_max_ack_delay(
            terms
                .max_ack_delay
                .unwrap_or(USUAL_ACK_DELAY)
                .min(ACK_DELAY_MAX),
        );
        if terms.features.unwrap_or(0) & Options::ECN_FEEDBACK != 0 {
            self.counts_marks = true;
            self.recovery.start_ecn();
        }
        self.idle.on_heard(now);
        self.idle.idle_timeout = shorter(self.config.idle_timeout(), terms.idle_timeout);
        self.arm_silence(now);
        self.pending.opened = Some(terms.cid);
        self.pending.writable = true;
        // The third packet: data, if some waits by the time it leaves, else this probe.
        self.wants.liveness = matches!(self.handshake, Handshake::Proving { .. });
    }

    /// Anything but a SYNACK came from the peer: it knows us, the cookie has done its work.
    pub(super) fn on_peer_heard(&mut self, now: Time) {
        if matches!(self.handshake, Handshake::Proving { .. }) {
            self.handshake = Handshake::Done;
            self.timers.stop(Timer::Connect);
        }
        self.idle.on_heard(now);
        self.unreachables = 0;
        self.timers.stop(Timer::Liveness);
    }

    /// The options of our SYN or SYNACK.
    pub(super) fn opening_options(&self, incarnation: u64) -> Options<'static> {
        let delay = self.config.max_ack_delay();
        Options {
            max_ack_delay: (delay != USUAL_ACK_DELAY).then_some(delay),
            idle_timeout: self.config.idle_timeout(),
            dgram_max: Some(self.config.datagram_max()).filter(|max| *max > 0),
            features: Some(Options::ECN_FEEDBACK),
            incarnation: Some(incarnation),
            ..Options::default()
        }
    }

    /// The fixed part of our SYN or SYNACK.
    pub(super) fn opening(&self, clock: u32, service: u64) -> Opening {
        Opening {
            cid: self.local_cid,
            max_datagram: self.config.max_datagram(),
            window: Window::saturating(self.recv_credit.window()),
            clock,
            service,
        }
    }
}

/// The shorter of two optional times; an absent one is endless.
fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
