//! The datagrams of one train on their way through the endpoint to their connections.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::cell::{Cell, Owner};
use super::super::port::{Port, Sent};
use super::super::shard::{Shard, ShardState};
use super::super::socket::{Receiver, Train};
use crate::endpoint::{Arrival, Handle, Listening, Route};
use crate::time::Time;
use crate::wire::{Meta, Packet, Slab, Transmit};

/// The datagrams of one train on their way through the endpoint.
pub(super) struct Routes<'a, 'd> {
    shard: &'a Arc<Shard>,
    state: &'a mut ShardState,
    port: &'a Arc<Port>,
    meta: &'a Meta,
    now: Time,
    datagrams: std::slice::Chunks<'d, u8>,
    /// Where the train lies, and its length.
    slab: Option<&'d Arc<Slab>>,
    len: usize,
}

impl<'a, 'd> Routes<'a, 'd> {
    /// The datagrams of this train, which the receiver holds.
    pub(super) fn new(
        shard: &'a Arc<Shard>,
        state: &'a mut ShardState,
        port: &'a Arc<Port>,
        now: Time,
        train: &'a Train,
        receiver: &'d Receiver,
    ) -> Self {
        Routes {
            shard,
            state,
            port,
            meta: &train.meta,
            now,
            datagrams: receiver.bytes(train.len).chunks(train.stride.max(1)),
            slab: receiver.slab(),
            len: train.len,
        }
    }

    /// Passes each datagram on; the connections to drain are touched. Whether somebody new has come in.
    pub(super) fn deliver(&mut self, touched: &mut VecDeque<Arc<Cell>>) -> bool {
        let mut has_admitted = false;
        let mut next = self.next();
        while let Some((route, len)) = next {
            next = match route {
                Route::Connection(handle, packet) => self.run(handle, (packet, len), touched),
                Route::Arrival(arrival, packet) => {
                    let admitted = self.admit(arrival, &packet, len);
                    has_admitted |= admitted.is_some();
                    touched.extend(admitted);
                    self.next()
                }
                Route::Reply(to) => {
                    self.answer(&to);
                    self.next()
                }
                Route::Drop(_) => self.next(),
            };
        }
        has_admitted
    }

    /// Where the next datagram goes, and its length.
    fn next(&mut self) -> Option<(Route<'d>, usize)> {
        let datagram = self.datagrams.next()?;
        self.state.reply.clear();
        let ShardState {
            endpoint, reply, ..
        } = &mut *self.state;
        let route = endpoint.handle_datagram(self.now, self.meta, datagram, reply);
        Some((route, datagram.len()))
    }

    /// Hands a connection its packet and all that follow for it, under one lock: the rest of a train is
    /// nearly always for the same connection. Returns the first route that is not.
    fn run(
        &mut self,
        handle: Handle,
        first: (Packet<'d>, usize),
        touched: &mut VecDeque<Arc<Cell>>,
    ) -> Option<(Route<'d>, usize)> {
        let cell = self.state.cell(handle).cloned();
        // A stream that owns its socket hears nothing that comes to another's.
        let Some(cell) = cell.filter(|cell| Arc::ptr_eq(&cell.port, self.port)) else {
            return self.next();
        };
        let mut held = cell.lock();
        let now = held.now(self.now);
        let (mut packet, mut len) = first;
        if let Some(slab) = self.slab {
            held.connection.begin_train(slab, self.len);
        }
        let other = loop {
            held.connection.handle_packet(now, self.meta, &packet, len);
            match self.next() {
                Some((Route::Connection(same, next), next_len)) if same == handle => {
                    (packet, len) = (next, next_len);
                }
                other => break other,
            }
        };
        held.connection.end_train();
        if Cell::touch(&mut held) {
            touched.push_back(cell.clone());
        }
        other
    }

    /// Makes the connection that a third packet opens, and queues it for `accept`.
    fn admit(&mut self, arrival: Arrival, packet: &Packet<'_>, len: usize) -> Option<Arc<Cell>> {
        let backlog = self
            .state
            .backlog
            .clone()
            .filter(|backlog| backlog.has_room())?;
        let accepted = self
            .state
            .endpoint
            .accept(self.now, arrival, backlog.config.clone());
        let mut local = self.port.local;
        if let Some(ip) = self.meta.to_ip.filter(|_| local.ip().is_unspecified()) {
            local.set_ip(ip);
        }
        let cell = self.state.insert(self.shard, self.port, accepted, local);
        let mut held = cell.lock();
        let now = held.now(self.now);
        held.connection.handle_packet(now, self.meta, packet, len);
        let is_new = Cell::touch(&mut held);
        drop(held);
        backlog.push(Owner(cell.clone()));
        if !backlog.has_room() {
            self.state
                .endpoint
                .set_listening(Listening::Full, &backlog.config);
        }
        is_new.then_some(cell)
    }

    /// Sends what the endpoint answers to a stranger; a full socket drops it, as the network might.
    fn answer(&mut self, to: &Transmit) {
        if self.port.is_stalled() {
            return;
        }
        if let Sent::Stalled(why) = self.port.send(self.now, to, &self.state.reply) {
            self.shard.on_stall(self.state, self.now, self.port, why);
            self.shard.plan_chores(self.state);
        }
    }
}
