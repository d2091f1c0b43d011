//! What a connection tells its driver.

use std::net::SocketAddr;

use crate::error::CloseReason;
use crate::time::Time;
use crate::wire::{ConnectionId, Offset, PacketNumber};

/// Something happened that a waiter or the endpoint should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is done; tell the endpoint the peer's id ([`crate::endpoint::Endpoint::on_opened`]).
    Opened {
        /// The peer's connection id.
        peer_cid: ConnectionId,
    },
    /// `read` may have something: data, the end of the stream, an error.
    Readable,
    /// `write` may take something, or says an error.
    Writable,
    /// Something sent was acknowledged, or read by the peer's application: look at `is_all_acked` again.
    Delivered,
    /// The connection failed; every waiter should look.
    Failed(CloseReason),
    /// Data that nobody reads, or that the peer does not take, has stood still since then: tell the endpoint
    /// ([`crate::endpoint::Endpoint::on_stalled`]), which may have it given up when memory is short.
    Stalled(Time),
    /// Nothing remains to be sent or received: take the connection out of the endpoint
    /// ([`crate::endpoint::Endpoint::remove`]). What was received stays readable.
    Closed(Farewell),
}

/// What the endpoint must remember of a connection that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// This side's FIN went first: answer late packets of the peer for 2 MSL (docs/WIRE.md, TIME_WAIT).
    TimeWait(LastAck),
    /// Only that the id must not come alive again for a minute.
    Spent,
}

/// The acknowledgement that a TIME_WAIT entry repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAck {
    /// The peer's connection id.
    pub peer_cid: ConnectionId,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The largest packet number received.
    pub largest: PacketNumber,
    /// The peer's final size + 1.
    pub ack_offset: Offset,
    /// The next number this side would use.
    pub next_number: PacketNumber,
    /// The next acknowledgement number.
    pub ack_number: u64,
    /// Three probe timeouts: the shortest time the entry must live.
    pub three_pto: std::time::Duration,
}

/// The events that wait to be polled: each kind at most once, so that nobody can make them pile up.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub opened: Option<ConnectionId>,
    pub readable: bool,
    pub writable: bool,
    pub delivered: bool,
    pub failed: Option<CloseReason>,
    pub stalled: Option<Time>,
    pub closed: Option<Farewell>,
}

impl Pending {
    /// The next event, in an order that makes sense to a waiter.
    pub(super) fn take(&mut self) -> Option<Event> {
        if let Some(peer_cid) = self.opened.take() {
            return Some(Event::Opened { peer_cid });
        }
        if std::mem::take(&mut self.readable) {
            return Some(Event::Readable);
        }
        if std::mem::take(&mut self.writable) {
            return Some(Event::Writable);
        }
        if std::mem::take(&mut self.delivered) {
            return Some(Event::Delivered);
        }
        if let Some(reason) = self.failed.take() {
            return Some(Event::Failed(reason));
        }
        if let Some(since) = self.stalled.take() {
            return Some(Event::Stalled(since));
        }
        self.closed.take().map(Event::Closed)
    }
}
