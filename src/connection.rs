//! One connection: no clock, no socket, no thread, no lock.

pub mod event;
pub mod info;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Keepalive};
use crate::error::{CloseReason, ResetCode};
use crate::time::{Deadline, Time};
use crate::wire::{Batch, ConnectionId, Meta, Packet, PacketNumber, Transmit, Window};

pub use event::{Event, Farewell};
pub use info::{Info, TcpState};

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

/// An operation cannot write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The send buffer is full, or the connection still opens; nothing was taken.
    #[error("the send buffer is full")]
    Blocked,
    /// This side shut its writing down, or the connection has ended (and the reason was reported).
    #[error("the stream is closed for writing")]
    Closed,
    /// The connection failed; reported once.
    #[error(transparent)]
    Failed(CloseReason),
}

/// An operation cannot read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing has arrived.
    #[error("nothing to read yet")]
    Blocked,
    /// The connection failed; reported once, after everything received was read.
    #[error(transparent)]
    Failed(CloseReason),
}

/// What the owner of a connection wants for the time after him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// Deliver in the background until acknowledged or the user timeout ends it.
    Background,
    /// Deliver for at most this long, then reset; zero resets at once.
    For(Duration),
}

/// A verified hint of ICMP about one of our own packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IcmpError {
    /// Port unreachable: the peer's host is there, its socket is not.
    PortUnreachable,
    /// Host or network unreachable, or filtered.
    Unreachable,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {}

impl Connection {
    /// A connection that this side opens.
    pub fn connect(_now: Time, _open: ActiveOpen, _config: Arc<Config>, _seed: u64) -> Self {
        todo!()
    }
    /// A connection that a third packet opens; hand that packet to [`Connection::handle_packet`] next.
    pub fn accept(_now: Time, _open: PassiveOpen, _config: Arc<Config>, _seed: u64) -> Self {
        todo!()
    }

    // --- inputs of the driver -------------------------------------------------------------------
    /// A datagram for this connection, whose checksum is right. `len` is the datagram's length.
    pub fn handle_packet(&mut self, _now: Time, _meta: &Meta, _packet: &Packet<'_>, _len: usize) {
        todo!()
    }
    /// The deadline has come.
    pub fn handle_timeout(&mut self, _now: Time) {
        todo!()
    }
    /// An ICMP error quotes a packet of this connection with this number (`None`: a SYN).
    pub fn handle_icmp(
        &mut self,
        _now: Time,
        _error: IcmpError,
        _quoted: Option<crate::wire::TruncatedNumber>,
    ) {
        todo!()
    }
    /// The driver cannot serve the connection any more.
    pub fn fail(&mut self, _reason: CloseReason) {
        todo!()
    }

    // --- outputs for the driver; drain them in this order (C1) ----------------------------------
    /// Fills an empty batch with datagrams for one destination; `None` when nothing is to be sent now.
    pub fn poll_transmit(&mut self, _now: Time, _batch: &mut Batch) -> Option<Transmit> {
        todo!()
    }
    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
    /// When to call [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline> {
        todo!()
    }

    // --- verbs of the application ---------------------------------------------------------------
    /// Takes bytes to send; how many (0 only for an empty slice).
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&mut self, _data: &[u8]) -> Result<usize, WriteError> {
        todo!()
    }
    /// Copies received bytes; `Ok(0)` for an empty slice, and at the end of the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, _buf: &mut [u8]) -> Result<usize, ReadError> {
        todo!()
    }
    /// As `read`, but leaves the bytes in place.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn peek(&mut self, _buf: &mut [u8]) -> Result<usize, ReadError> {
        todo!()
    }
    /// FIN after everything written. Doing it again does nothing.
    pub fn shutdown_write(&mut self) {
        todo!()
    }
    /// Reads answer `Ok(0)` once the queue is empty; later data is acknowledged and thrown away.
    pub fn shutdown_read(&mut self) {
        todo!()
    }
    /// RST now.
    pub fn abort(&mut self, _code: ResetCode) {
        todo!()
    }
    /// The owner is gone: FIN, deliver what is written as `linger` says, RST(unread) if data was unread.
    pub fn release(&mut self, _now: Time, _linger: Linger) {
        todo!()
    }
    /// The error that is pending, as `SO_ERROR`: taking it reports it.
    pub fn take_error(&mut self) -> Option<CloseReason> {
        todo!()
    }
    /// Keep-alive, or none.
    pub fn set_keepalive(&mut self, _now: Time, _keepalive: Option<Keepalive>) {
        todo!()
    }
    /// The user timeout, or none.
    pub fn set_user_timeout(&mut self, _timeout: Option<Duration>) {
        todo!()
    }

    // --- questions ------------------------------------------------------------------------------
    /// Whether the handshake is done (and the connection has not failed since).
    pub fn is_open(&self) -> bool {
        todo!()
    }
    /// Whether `read` would not block.
    pub fn is_readable(&self) -> bool {
        todo!()
    }
    /// Whether `write` would not block.
    pub fn is_writable(&self) -> bool {
        todo!()
    }
    /// Whether the connection ended by a reset or an error (reported or not).
    pub fn is_failed(&self) -> bool {
        todo!()
    }
    /// Whether the driver may drop the connection: nothing to send, nothing awaited, event Closed taken.
    pub fn is_gone(&self) -> bool {
        todo!()
    }
    /// Whether everything written (and the FIN, if one is due) is acknowledged.
    pub fn is_all_acked(&self) -> bool {
        todo!()
    }
    /// Whether the peer's application has read everything written, as far as its last ACK block says.
    pub fn is_all_read_by_peer(&self) -> bool {
        todo!()
    }
    /// The peer's address as `connect` or `accept` knew it.
    pub fn remote(&self) -> SocketAddr {
        todo!()
    }
    /// This side's connection id.
    pub fn local_cid(&self) -> ConnectionId {
        todo!()
    }
    /// The peer's connection id, once known.
    pub fn peer_cid(&self) -> Option<ConnectionId> {
        todo!()
    }
    /// Numbers for people.
    pub fn info(&self, _now: Time) -> Info {
        todo!()
    }
}
