//! A server without sockets, and a peer who writes every packet by hand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::connection::{Connection, Event};
use aqueduct::endpoint::{Endpoint, Handle, Listening, Route};
use aqueduct::limits::SYN_BYTES;
use aqueduct::time::Time;
use aqueduct::wire::{
    AckFields, Batch, Body, ConnectionId, Flags, Kind, Meta, Offset, Opening, Options,
    PacketBuilder, PacketNumber, Window, decode,
};

/// A listening endpoint and its connections, driven by hand.
pub(crate) struct Server {
    pub(crate) now: Time,
    pub(crate) endpoint: Endpoint,
    pub(crate) connections: BTreeMap<Handle, Connection>,
    /// Who was given up for lack of memory, and what was said to the peer.
    pub(crate) evicted: Vec<(Handle, Vec<Vec<u8>>)>,
    config: Arc<Config>,
    batch: Batch,
    reply: Batch,
}

impl Server {
    pub(crate) fn new(config: Config) -> Self {
        Self::with(config, EndpointConfig::default())
    }

    /// A server whose endpoint is configured too.
    pub(crate) fn with(config: Config, endpoint: EndpointConfig) -> Self {
        Self::seeded(config, endpoint, 7)
    }

    /// A server that draws other random numbers.
    pub(crate) fn seeded(config: Config, endpoint: EndpointConfig, seed: u64) -> Self {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut endpoint = Endpoint::new(Arc::new(endpoint), key);
        endpoint.set_listening(Listening::Yes, &config);
        Server {
            now: Time::from_millis(1),
            endpoint,
            connections: BTreeMap::new(),
            evicted: Vec::new(),
            config: Arc::new(config),
            batch: Batch::new(),
            reply: Batch::new(),
        }
    }

    /// A datagram arrives; what leaves because of it. Then whoever must make room is given up.
    pub(crate) fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        let out = self.take(from, datagram);
        while let Some(handle) = self.endpoint.poll_eviction() {
            let connection = self.connections.get_mut(&handle);
            if connection.is_some_and(Connection::evict) {
                let said = self.drain(handle);
                self.evicted.push((handle, said));
            }
        }
        out
    }

    fn take(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        let meta = Meta {
            from,
            to_ip: None,
            ecn: None,
        };
        self.reply.clear();
        match self
            .endpoint
            .handle_datagram(self.now, &meta, datagram, &mut self.reply)
        {
            Route::Connection(handle, packet) => {
                let connection = self
                    .connections
                    .get_mut(&handle)
                    .expect("a routed handle is live");
                connection.handle_packet(self.now, &meta, &packet, datagram.len());
                self.drain(handle)
            }
            Route::Arrival(arrival, packet) => {
                let config = Arc::clone(&self.config);
                let (handle, mut connection) = self.endpoint.accept(self.now, arrival, config);
                connection.handle_packet(self.now, &meta, &packet, datagram.len());
                self.connections.insert(handle, connection);
                self.drain(handle)
            }
            Route::Reply(_) => self.reply.datagrams().map(<[u8]>::to_vec).collect(),
            Route::Drop(_) => Vec::new(),
        }
    }

    /// Lets a connection say all it has to say.
    pub(crate) fn drain(&mut self, handle: Handle) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let Some(connection) = self.connections.get_mut(&handle) else {
            return out;
        };
        self.batch.clear();
        while connection
            .poll_transmit(self.now, &mut self.batch)
            .is_some()
        {
            out.extend(self.batch.datagrams().map(<[u8]>::to_vec));
            self.batch.clear();
        }
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Opened { peer_cid } => self.endpoint.on_opened(handle, peer_cid),
                Event::Stalled(since) => self.endpoint.on_stalled(handle, since),
                Event::Closed(farewell) => self.endpoint.remove(self.now, handle, farewell),
                _ => {}
            }
        }
        out
    }

    /// Moves the time on at once, and fires what is due then: for crowds.
    pub(crate) fn leap(&mut self, by: Duration) {
        self.now += by;
        for handle in self.connections.keys().copied().collect::<Vec<_>>() {
            let connection = self.connections.get_mut(&handle).expect("just seen");
            let due = connection.poll_timeout();
            if due.is_some_and(|deadline| deadline.at <= self.now) {
                connection.handle_timeout(self.now);
                self.drain(handle);
            }
        }
    }

    /// Moves the time on, and fires what is due; what leaves because of it.
    pub(crate) fn advance(&mut self, by: Duration) -> Vec<(Handle, Vec<u8>)> {
        let end = self.now + by;
        let mut out = Vec::new();
        loop {
            let due =
                |connection: &Connection| connection.poll_timeout().map(|deadline| deadline.at);
            let next = self
                .connections
                .iter()
                .filter_map(|(handle, connection)| Some((due(connection)?, *handle)))
                .min();
            let Some((at, handle)) = next.filter(|(at, _)| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.connections
                .get_mut(&handle)
                .expect("just seen")
                .handle_timeout(self.now);
            out.extend(
                self.drain(handle)
                    .into_iter()
                    .map(|datagram| (handle, datagram)),
            );
        }
        self.now = end;
        self.endpoint.handle_timeout(end);
        out
    }
}

/// A peer whose every packet is written by hand.
#[derive(Clone, Debug)]
pub(crate) struct Attacker {
    pub(crate) addr: SocketAddr,
    /// The id that the server writes to.
    pub(crate) cid: ConnectionId,
    /// The id that it listens to.
    pub(crate) server_cid: ConnectionId,
    /// The server's first packet number: an ACK block that names the one before names none.
    pub(crate) server_first: PacketNumber,
    pub(crate) next: PacketNumber,
    pub(crate) handle: Handle,
}

impl Attacker {
    /// An honest handshake, from `addr`, with this receive window.
    pub(crate) fn open(server: &mut Server, addr: SocketAddr, cid: u64, window: u32) -> Self {
        let cid = ConnectionId::new(cid).expect("not 0");
        let first = PacketNumber::new(1_000);
        let replies = server.receive(addr, &syn(cid, first, window));
        let [reply] = &replies[..] else {
            panic!("one SYNACK: {replies:?}")
        };
        let reply = decode(reply).expect("a packet");
        let Body::SynAck(opening) = reply.body else {
            panic!("a SYNACK: {reply:?}")
        };
        let cookie = reply.options.cookie.expect("a cookie");
        let server_first = PacketNumber::new(u64::from(reply.pn.get()));
        let known: Vec<Handle> = server.connections.keys().copied().collect();
        let mut attacker = Attacker {
            addr,
            cid,
            server_cid: opening.cid,
            server_first,
            next: first,
            handle: Handle {
                index: 0,
                generation: 0,
            },
        };
        let third = attacker.numbered(Kind::Probe, |packet, this| {
            packet.ack(&this.nothing(window), this.none(), 0);
            packet.options(&Options {
                cookie: Some(cookie),
                ..Options::default()
            });
        });
        server.receive(addr, &third);
        let is_new = |handle: &&Handle| !known.contains(handle);
        attacker.handle = *server
            .connections
            .keys()
            .find(is_new)
            .expect("a connection was made");
        attacker
    }

    /// A packet that consumes a number.
    pub(crate) fn numbered(
        &mut self,
        kind: Kind,
        fill: impl FnOnce(&mut PacketBuilder<'_>, &Self),
    ) -> Vec<u8> {
        let number = self.next;
        self.next = number.next();
        self.with_number(kind, number, fill)
    }

    /// A packet of this number.
    pub(crate) fn with_number(
        &self,
        kind: Kind,
        number: PacketNumber,
        fill: impl FnOnce(&mut PacketBuilder<'_>, &Self),
    ) -> Vec<u8> {
        let mut buffer = vec![0; 1_472];
        let mut packet = PacketBuilder::new(&mut buffer, kind, Some(self.server_cid), number);
        fill(&mut packet, self);
        let len = packet.finish();
        buffer.truncate(len);
        buffer
    }

    /// A piece of the stream.
    pub(crate) fn data(&mut self, offset: u64, payload: &[u8]) -> Vec<u8> {
        self.numbered(Kind::Data, |packet, _| {
            packet.aux(u16::MAX);
            packet.offset(offset);
            packet.payload(payload);
        })
    }

    /// A bare acknowledgement of one packet, as an honest peer may send it.
    pub(crate) fn ack_one(&self, number: u64, fields: &AckFields, only: PacketNumber) -> Vec<u8> {
        self.with_number(Kind::Ack, self.next, |packet, _| {
            packet.offset(number);
            packet.ack(fields, std::iter::once(only..=only), 0);
        })
    }

    /// A bare acknowledgement of everything up to a packet.
    pub(crate) fn ack(&self, number: u64, fields: &AckFields, to: PacketNumber) -> Vec<u8> {
        self.with_number(Kind::Ack, self.next, |packet, this| {
            packet.offset(number);
            packet.ack(fields, std::iter::once(this.server_first.prev()..=to), 0);
        })
    }

    /// The fields of an acknowledgement of nothing.
    pub(crate) fn nothing(&self, window: u32) -> AckFields {
        AckFields {
            delay: Duration::ZERO,
            dropped: false,
            ack_offset: Offset::ZERO,
            window: Window::new(window),
            unread: 0,
            ecn: None,
        }
    }

    fn none(&self) -> impl Iterator<Item = std::ops::RangeInclusive<PacketNumber>> + use<> {
        let before = self.server_first.prev();
        std::iter::once(before..=before)
    }
}

/// A SYN with this id.
pub(crate) fn syn(cid: ConnectionId, first: PacketNumber, window: u32) -> Vec<u8> {
    let mut buffer = vec![0; SYN_BYTES];
    let mut packet = PacketBuilder::new(&mut buffer, Kind::Syn, None, first);
    packet.flags(Flags::default());
    packet.opening(&Opening {
        cid,
        max_datagram: 1_472,
        window: Window::new(window),
        clock: 1,
        service: 0,
    });
    packet.pad_to(SYN_BYTES);
    let len = packet.finish();
    buffer.truncate(len);
    buffer
}
