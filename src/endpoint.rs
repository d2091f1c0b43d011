//! One UDP socket's worth of connections, without the socket: routes datagrams, answers strangers, opens,
//! remembers who left. Owns no [`Connection`]: it hands them out.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, EndpointConfig};
use crate::connection::{Connection, Farewell};
use crate::time::{Deadline, Time};
use crate::wire::{Batch, ConnectionId, Kind, Meta, Packet, Transmit, TruncatedNumber};

/// Names a connection of one endpoint; never reused while anybody may hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Handle {
    /// Its slot: small, so that a driver may keep a vector.
    pub index: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// Whether strangers may open connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Listening {
    /// No listener: strangers are refused.
    #[default]
    No,
    /// A listener with room in its backlog.
    Yes,
    /// A listener whose backlog is full: strangers are not answered, and try again.
    Full,
}

/// Where a datagram goes.
#[derive(Debug)]
pub enum Route<'d> {
    /// To this connection.
    Connection(Handle, Packet<'d>),
    /// A third packet with a good cookie: [`Endpoint::accept`] it and hand it the packet.
    Arrival(Arrival, Packet<'d>),
    /// An answer was put into the batch: send it.
    Reply(Transmit),
    /// Nowhere.
    Drop(DropReason),
}

/// A connection that waits to be made.
#[derive(Debug)]
pub struct Arrival {}

/// Why a datagram went nowhere; the endpoint counts each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Not a packet of this protocol.
    Malformed,
}

/// A quoted packet of ours that ICMP returned, found to belong to this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// The connection.
    pub handle: Handle,
    /// The number of the quoted packet; `None` for a SYN.
    pub number: Option<TruncatedNumber>,
}

/// Why no connection could be begun.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Port 0, or an unspecified or multicast address.
    #[error("{0} is no address to connect to")]
    BadAddress(SocketAddr),
    /// A rendezvous token of 0, or one that another connection uses.
    #[error("the rendezvous token is 0 or in use")]
    BadToken,
}

/// One UDP socket's worth of connections.
#[derive(Debug)]
pub struct Endpoint {}

impl Endpoint {
    /// All randomness comes from `seed`.
    pub fn new(_config: Arc<EndpointConfig>, _seed: [u8; 32]) -> Self {
        todo!()
    }
    /// Tells whether strangers may open connections, and with which configuration.
    pub fn set_listening(&mut self, _listening: Listening, _config: &Config) {
        todo!()
    }
    /// Begins a connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        &mut self,
        _now: Time,
        _to: SocketAddr,
        _config: Arc<Config>,
    ) -> Result<(Handle, Connection), ConnectError> {
        todo!()
    }
    /// Begins a connection with a peer that does the same, both with `token`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_rendezvous(
        &mut self,
        _now: Time,
        _to: SocketAddr,
        _token: u64,
        _config: Arc<Config>,
    ) -> Result<(Handle, Connection), ConnectError> {
        todo!()
    }
    /// Finds out whose the datagram is. An answer, if any, is written into the (empty) batch.
    pub fn handle_datagram<'d>(
        &mut self,
        _now: Time,
        _meta: &Meta,
        _datagram: &'d [u8],
        _reply: &mut Batch,
    ) -> Route<'d> {
        todo!()
    }
    /// Makes the connection of an arrival.
    pub fn accept(
        &mut self,
        _now: Time,
        _arrival: Arrival,
        _config: Arc<Config>,
    ) -> (Handle, Connection) {
        todo!()
    }
    /// Finds the connection of a packet of ours that an ICMP error quotes (as much of it as there is).
    pub fn find_quoted(&self, _to: SocketAddr, _quoted: &[u8]) -> Option<Quoted> {
        todo!()
    }
    /// The connection knows its peer's id now.
    pub fn on_opened(&mut self, _handle: Handle, _peer_cid: ConnectionId) {
        todo!()
    }
    /// The connection is over.
    pub fn remove(&mut self, _now: Time, _handle: Handle, _farewell: Farewell) {
        todo!()
    }
    /// When entries run out.
    pub fn poll_timeout(&self) -> Option<Time> {
        todo!()
    }
    /// Lets entries run out.
    pub fn handle_timeout(&mut self, _now: Time) {
        todo!()
    }
}
#[allow(unused)]
type Unused = (Kind, Deadline);
