//! One UDP socket's worth of connections, without the socket: routes datagrams, answers strangers, opens,
//! remembers who left. Owns no [`Connection`]: it hands them out.
//!
//! A datagram is looked at in the order of cost: length, version and type; connection id; checksum; the
//! rest. What belongs to no connection ends in one of these:
//!
//! ```text
//! SYN                        -> SYNACK with a cookie; nothing is kept
//! numbered, with a cookie    -> the third packet of a handshake: an Arrival
//! numbered, for TIME_WAIT    -> the last acknowledgement again
//! numbered, anything else    -> UNKNOWN
//! SYN of another version     -> VERSIONS
//! everything else            -> nowhere
//! ```
//!
//! Invariant: strangers cost no memory. Every table is bounded, and gives back what it no longer needs.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

mod cookie;
mod drop_reason;
mod memory;
mod random;
mod reset;
mod route;
mod table;
mod time_wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::trace;

use self::cookie::Cookies;
pub use self::drop_reason::DropReason;
use self::drop_reason::Drops;
use self::memory::Stalled;
use self::random::{Random, connection_id, first_number};
use self::reset::{AnswerLimit, is_host, is_reflector};
use self::route::Arrived;
use self::table::{Entry, Keyed, Table};
use self::time_wait::{Spent, TimeWait};
use crate::config::{Config, ConfigError, EndpointConfig};
use crate::connection::{ActiveOpen, Budget, Connection, Farewell, PassiveOpen};
use crate::limits::SPENT_MAX;
use crate::time::Time;
use crate::wire::{
    self, Batch, ConnectionId, Kind, Meta, Options, Packet, Transmit, TruncatedNumber, Window,
};

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
    /// A third packet with a good cookie: [`Endpoint::accept`] it and hand it the packet, or drop it,
    /// before the next datagram.
    Arrival(Arrival, Packet<'d>),
    /// An answer was put into the batch: send it.
    Reply(Transmit),
    /// Nowhere.
    Drop(DropReason),
}

/// A connection that waits to be made.
#[derive(Debug)]
pub struct Arrival {
    open: PassiveOpen,
}

impl Arrival {
    /// The peer's address.
    pub fn remote(&self) -> SocketAddr {
        self.open.remote
    }
}

/// A quoted packet of ours that ICMP returned, found to belong to this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// The connection.
    pub handle: Handle,
    /// The number of the quoted packet; `None` for a SYN.
    pub number: Option<TruncatedNumber>,
}

/// Why no connection could be begun; nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Port 0, or an unspecified, broadcast or multicast address.
    #[error("{0} is no address to connect to")]
    BadAddress(SocketAddr),
    /// A port where services usually are that answer forged requests
    /// ([`EndpointConfig::with_allow_reflector_ports`] allows it).
    #[error(
        "{0} has a port that attacks are reflected from; the endpoint's configuration forbids it"
    )]
    ReflectorPort(SocketAddr),
    /// A rendezvous token of 0, or one that another connection uses.
    #[error("the rendezvous token is 0 or in use")]
    BadToken,
    /// The configuration has a value that is out of range.
    #[error(transparent)]
    BadConfig(#[from] ConfigError),
}

/// What a SYNACK offers to everybody.
#[derive(Clone, Copy, Debug)]
struct Offer {
    window: Window,
    max_datagram: u16,
    options: Options<'static>,
}

/// One UDP socket's worth of connections.
///
/// The first two packets of a handshake, with the network played by hand:
///
/// ```
/// use std::sync::Arc;
///
/// use aqueduct::config::{Config, EndpointConfig};
/// use aqueduct::endpoint::{Endpoint, Listening, Route};
/// use aqueduct::time::Time;
/// use aqueduct::wire::{Batch, Meta};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Arc::new(Config::new());
/// let mut client = Endpoint::new(Arc::new(EndpointConfig::new()), [1; 32]);
/// let mut server = Endpoint::new(Arc::new(EndpointConfig::new()), [2; 32]);
/// server.set_listening(Listening::Yes, &config);
///
/// let now = Time::ZERO;
/// let (handle, mut connection) = client.connect(now, "192.0.2.2:4000".parse()?, config)?;
/// let mut batch = Batch::new();
/// connection.poll_transmit(now, &mut batch).expect("a SYN is due");
///
/// let client_address = "192.0.2.1:5000".parse()?;
/// let meta = Meta { from: client_address, to_ip: None, ecn: None };
/// let mut answer = Batch::new();
/// let route = server.handle_datagram(now, &meta, batch.bytes(), &mut answer);
/// assert!(matches!(route, Route::Reply(transmit) if transmit.to == client_address));
/// assert!(server.is_empty(), "the server remembers nothing");
///
/// let meta = Meta { from: "192.0.2.2:4000".parse()?, to_ip: None, ecn: None };
/// let route = client.handle_datagram(now, &meta, answer.bytes(), &mut Batch::new());
/// assert!(matches!(route, Route::Connection(to, _) if to == handle));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Endpoint {
    config: Arc<EndpointConfig>,
    random: Random,
    incarnation: u64,
    listening: Listening,
    offer: Offer,
    cookies: Cookies,
    table: Table,
    /// Live connections that a cookie opened: each will be spent one day.
    passive: usize,
    spent_max: usize,
    time_wait: TimeWait,
    spent: Spent,
    limit: AnswerLimit,
    drops: Drops,
    budget: Arc<Budget>,
    stalled: Stalled,
}

impl Endpoint {
    /// An endpoint that does not listen. All its randomness comes from `seed`, which must come from the
    /// operating system's generator wherever peers are not trusted.
    pub fn new(config: Arc<EndpointConfig>, seed: [u8; 32]) -> Self {
        let mut random = Random::new(&seed);
        let incarnation = random.bits();
        let hash = Keyed::new(random.key());
        Endpoint {
            incarnation,
            listening: Listening::No,
            offer: offer(&Config::default(), incarnation),
            cookies: Cookies::new(&mut random),
            table: Table::new(&hash),
            passive: 0,
            spent_max: SPENT_MAX,
            time_wait: TimeWait::new(&hash, config.time_wait),
            spent: Spent::new(&hash),
            limit: AnswerLimit::new(random.key()),
            drops: Drops::default(),
            budget: Arc::new(Budget::new(config.memory)),
            stalled: Stalled::default(),
            random,
            config,
        }
    }

    /// Tells whether strangers may open connections, and with which configuration (a valid one).
    pub fn set_listening(&mut self, listening: Listening, config: &Config) {
        self.listening = listening;
        self.offer = offer(config, self.incarnation);
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        &mut self,
        now: Time,
        to: SocketAddr,
        config: Arc<Config>,
    ) -> Result<(Handle, Connection), ConnectError> {
        config.validate()?;
        let (handle, open, seed) = self.open(to, 0)?;
        Ok((
            handle,
            self.shared(Connection::connect(now, open, config, seed)),
        ))
    }

    /// Begins a connection with a peer that does the same, both with `token`.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect_rendezvous(
        &mut self,
        now: Time,
        to: SocketAddr,
        token: u64,
        config: Arc<Config>,
    ) -> Result<(Handle, Connection), ConnectError> {
        config.validate()?;
        if token == 0 || self.table.find_by_token(token).is_some() {
            return Err(ConnectError::BadToken);
        }
        let (handle, open, seed) = self.open(to, token)?;
        Ok((
            handle,
            self.shared(Connection::connect(now, open, config, seed)),
        ))
    }

    /// Finds out whose the datagram is. An answer, if any, is written into the (empty) batch.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Time,
        meta: &Meta,
        datagram: &'d [u8],
        reply: &mut Batch,
    ) -> Route<'d> {
        debug_assert!(reply.is_empty(), "the batch for the answer is empty");
        let mut arrived = Arrived {
            now,
            meta,
            datagram,
            reply,
        };
        self.route(&mut arrived).unwrap_or_else(|reason| {
            trace!(?reason, from = %meta.from, len = datagram.len(), "dropped");
            self.drops.count(reason);
            Route::Drop(reason)
        })
    }

    /// Makes the connection of an arrival.
    pub fn accept(
        &mut self,
        now: Time,
        arrival: Arrival,
        config: Arc<Config>,
    ) -> (Handle, Connection) {
        let (handle, open, seed) = self.admit(arrival);
        (
            handle,
            self.shared(Connection::accept(now, open, config, seed)),
        )
    }

    /// Finds the connection of a packet of ours that an ICMP error quotes (as much of it as there is).
    ///
    /// The quote proves itself by the id in it, which only the two ends know: the peer's in a numbered
    /// packet, ours in a SYN. The connection checks that the number is outstanding.
    pub fn find_quoted(&self, to: SocketAddr, quoted: &[u8]) -> Option<Quoted> {
        match wire::quoted(quoted)? {
            (Kind::Syn, ..) => {
                let cid = quoted.get(24..)?.first_chunk().copied()?;
                let handle = self
                    .table
                    .find(ConnectionId::new(u64::from_be_bytes(cid))?)?;
                let entry = self.table.get(handle)?;
                (entry.remote == to).then_some(Quoted {
                    handle,
                    number: None,
                })
            }
            (kind, Some(peer), number) if kind.is_numbered() => Some(Quoted {
                handle: self.table.find_by_peer(peer)?,
                number: Some(number),
            }),
            _ => None,
        }
    }

    /// The connection knows its peer's id now.
    pub fn on_opened(&mut self, handle: Handle, peer_cid: ConnectionId) {
        self.table.set_peer(handle, peer_cid);
    }

    /// The connection is over.
    pub fn remove(&mut self, now: Time, handle: Handle, farewell: Farewell) {
        let Some(entry) = self.table.remove(handle) else {
            return;
        };
        self.stalled.remove(handle);
        // An id that was drawn here, not minted, is in no cookie: nothing can open it again.
        if entry.is_passive {
            self.passive = self.passive.saturating_sub(1);
            self.spent.insert(now, entry.cid);
        }
        if let Farewell::TimeWait(last) = farewell {
            self.time_wait.insert(now, entry.cid, &last);
        }
    }

    /// When entries run out; at most once a second.
    pub fn poll_timeout(&self) -> Option<Time> {
        match (self.time_wait.deadline(), self.spent.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Lets entries run out.
    pub fn handle_timeout(&mut self, now: Time) {
        self.time_wait.expire(now);
        self.spent.expire(now);
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many closed connections are remembered because their peers may not know it.
    pub fn time_wait_len(&self) -> usize {
        self.time_wait.len()
    }

    /// How many datagrams were dropped for this reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason)
    }

    /// Chosen at random when the endpoint was made; peers are told.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Takes a connection to `to` into the table: what it needs, and the seed of its randomness.
    fn open(
        &mut self,
        to: SocketAddr,
        token: u64,
    ) -> Result<(Handle, ActiveOpen, u64), ConnectError> {
        if to.port() == 0 || !is_host(to.ip()) {
            return Err(ConnectError::BadAddress(to));
        }
        if is_reflector(to.port()) && !self.config.allow_reflector_ports {
            return Err(ConnectError::ReflectorPort(to));
        }
        let open = ActiveOpen {
            remote: to,
            local_cid: self.fresh_cid(),
            local_first: first_number(self.random.bits()),
            service: token,
            incarnation: self.incarnation,
            cached_rtt: None,
        };
        let handle = self.table.insert(Entry {
            cid: open.local_cid,
            peer: None,
            remote: to,
            token,
            is_passive: false,
        });
        Ok((handle, open, self.random.bits()))
    }

    /// Takes an arrival into the table: what its connection needs, and the seed of its randomness.
    fn admit(&mut self, arrival: Arrival) -> (Handle, PassiveOpen, u64) {
        let open = arrival.open;
        self.passive = self.passive.saturating_add(1);
        let handle = self.table.insert(Entry {
            cid: open.local_cid,
            peer: Some(open.peer_cid),
            remote: open.remote,
            token: 0,
            is_passive: true,
        });
        (handle, open, self.random.bits())
    }

    /// A random id that no connection has or had lately.
    fn fresh_cid(&mut self) -> ConnectionId {
        loop {
            let cid = connection_id(self.random.bits());
            if self.table.find(cid).is_none() && !self.time_wait.holds(cid) {
                return cid;
            }
        }
    }
}

/// Time from `earlier` to `now`; zero if it is later.
#[cfg_attr(
    not(test),
    expect(clippy::arithmetic_side_effects, reason = "it saturates")
)]
fn since(now: Time, earlier: Time) -> Duration {
    now - earlier
}

/// The instant `duration` after `now`.
#[cfg_attr(
    not(test),
    expect(clippy::arithmetic_side_effects, reason = "it saturates")
)]
fn after(now: Time, duration: Duration) -> Time {
    now + duration
}

/// Whole seconds since the origin of the clock.
fn whole_seconds(now: Time) -> u64 {
    since(now, Time::ZERO).as_secs()
}

/// What a listener with this configuration promises.
fn offer(config: &Config, incarnation: u64) -> Offer {
    Offer {
        window: Window::new(config.receive_window),
        max_datagram: config.max_datagram,
        options: Options {
            max_ack_delay: Some(config.max_ack_delay),
            idle_timeout: config.idle_timeout,
            dgram_max: Some(config.datagram_max).filter(|max| *max > 0),
            features: Some(Options::ECN_FEEDBACK),
            incarnation: Some(incarnation),
            ..Options::default()
        },
    }
}

#[cfg(test)]
mod tests;
