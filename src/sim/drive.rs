//! Drives hosts as a runtime does: datagrams in, deadlines, and the drain rule after each.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::connection::{Connection, Event, IcmpError};
use crate::endpoint::Route;
use crate::wire::{self, Ecn, Kind, Meta, Packet, Transmit};

use super::app::Io;
use super::host::Process;
use super::link::Parcel;
use super::network::Happening;
use super::trace::Step;
use super::{HostId, Sim};

/// Rounds of output after one input that no honest connection needs.
const ROUNDS_MAX: u32 = 1_000;
/// Datagrams that a process takes from its socket before it looks at its connections.
const RECEIVE_BATCH: usize = 64;

impl Sim {
    pub(super) fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { link, parcel } => self.on_arrival(link, parcel),
            Happening::Departure { link, parcel } => self.network.enter(self.now, link, parcel),
            Happening::Joins { link, parcel } => self.network.join(self.now, link, parcel),
            Happening::Served { bottleneck } => self.network.serve(self.now, bottleneck),
            Happening::Release { link, id } => self.network.release(self.now, link, id),
            Happening::PortUnreachable { host, parcel } => self.on_unreachable(host, &parcel),
            Happening::ConnectionTimer { connection } => self.on_connection_timer(connection),
            Happening::EndpointTimer { host } => self.on_endpoint_timer(host),
            Happening::Application { connection } => self.on_application_timer(connection),
            Happening::Resume { host } => self.on_resume(host),
            Happening::Action(action) => action(self),
        }
    }

    fn on_arrival(&mut self, link: usize, parcel: Parcel) {
        let (sender, receiver) = self.network.ends(link);
        let host = &mut self.hosts[receiver.0];
        if host.address != parcel.to {
            return;
        }
        let now = self.now;
        self.network
            .trace
            .record(now, Step::Delivered, sender, receiver, &parcel.bytes);
        match host.process {
            Process::Running => {
                self.arrive(receiver, parcel.from, parcel.ecn, &parcel.bytes);
                self.network.recycle(parcel.bytes);
            }
            Process::Paused(_) => host.store(parcel),
            Process::Dead => {
                let way_back = self.network.route(receiver, sender);
                if let Some(back) = way_back {
                    let at = now + self.network.links[back].link.delay;
                    let event = Happening::PortUnreachable {
                        host: sender,
                        parcel,
                    };
                    self.network.queue.push(at, event);
                }
            }
        }
    }

    /// One datagram, and all that follows from it.
    pub(super) fn arrive(
        &mut self,
        host: HostId,
        from: SocketAddr,
        ecn: Option<Ecn>,
        bytes: &[u8],
    ) {
        self.is_reset = wire::glance(bytes).is_ok_and(|glance| glance.kind == Kind::Rst);
        if let Some(key) = self.receive(host, from, ecn, bytes) {
            self.drain(key);
        }
        self.is_reset = false;
        self.relieve(host);
        self.arm_endpoint(host);
    }

    /// Gives connections up that stand still, if the host's memory is used up.
    fn relieve(&mut self, host: HostId) {
        while let Some(handle) = self.hosts[host.0].endpoint.poll_eviction() {
            let Some(key) = self.hosts[host.0].connection(handle) else {
                continue;
            };
            let connection = self.connections[key].connection.as_mut();
            if connection.is_some_and(Connection::evict) {
                self.drain(key);
            }
        }
    }

    /// One datagram goes to its connection; which.
    fn receive(
        &mut self,
        host: HostId,
        from: SocketAddr,
        ecn: Option<Ecn>,
        bytes: &[u8],
    ) -> Option<usize> {
        let now = self.clock(host);
        let meta = Meta {
            from,
            to_ip: None,
            ecn,
        };
        let state = &mut self.hosts[host.0];
        self.batch.clear();
        match state
            .endpoint
            .handle_datagram(now, &meta, bytes, &mut self.batch)
        {
            Route::Connection(handle, packet) => {
                let key = state.connection(handle);
                match key {
                    Some(key) => self.deliver(key, &meta, &packet, bytes.len()),
                    None => self.violate("a route to a connection that was removed".to_owned()),
                }
                key
            }
            Route::Arrival(arrival, packet) => {
                let listener = state.listener.as_mut()?;
                let config = Arc::clone(&listener.config);
                let app = (listener.make)();
                let (handle, connection) = state.endpoint.accept(now, arrival, Arc::clone(&config));
                let key = self.add_connection(host, handle, connection, (&config, app));
                self.hosts[host.0].accepted.push(key);
                self.deliver(key, &meta, &packet, bytes.len());
                self.wake_application(key);
                Some(key)
            }
            Route::Reply(transmit) => {
                self.check_reply(from, bytes.len(), &transmit);
                self.send_batch(host, &transmit);
                None
            }
            Route::Drop(_) => None,
        }
    }

    /// I7: an answer to a stranger goes back to him and is not longer than what he sent. An ACK answers no
    /// stranger, but the peer of a connection in TIME_WAIT.
    fn check_reply(&mut self, from: SocketAddr, len: usize, reply: &Transmit) {
        let bytes = self.batch.bytes();
        let answer = bytes.len();
        let is_stranger = wire::glance(bytes).is_ok_and(|glance| glance.kind != Kind::Ack);
        if (is_stranger && answer > len) || reply.to != from {
            self.violate(format!(
                "I7: {answer} bytes to {} for {len} of {from}",
                reply.to
            ));
        }
    }

    fn deliver(&mut self, key: usize, meta: &Meta, packet: &Packet<'_>, len: usize) {
        let now = self.clock(self.connections[key].seat.report.host);
        let occupied = &mut self.connections[key];
        occupied.tap.on_received(meta.from, packet, len);
        if let Some(connection) = &mut occupied.connection {
            connection.handle_packet(now, meta, packet, len);
        }
    }

    fn on_unreachable(&mut self, host: HostId, parcel: &Parcel) {
        let now = self.clock(host);
        let state = &mut self.hosts[host.0];
        let Some(quoted) = state.endpoint.find_quoted(parcel.to, &parcel.bytes) else {
            return;
        };
        let Some(key) = state.connection(quoted.handle) else {
            return;
        };
        if let Some(connection) = &mut self.connections[key].connection {
            connection.handle_icmp(now, IcmpError::PortUnreachable, quoted.number);
        }
        self.drain(key);
    }

    fn on_connection_timer(&mut self, key: usize) {
        let now = self.now;
        let occupied = &mut self.connections[key];
        if occupied.timer != Some(now) {
            return;
        }
        occupied.timer = None;
        let host = occupied.seat.report.host;
        if self.is_stopped(host) {
            return;
        }
        let clock = self.clock(host);
        let occupied = &mut self.connections[key];
        let Some(connection) = &mut occupied.connection else {
            return;
        };
        if connection
            .poll_timeout()
            .is_some_and(|deadline| deadline.at <= clock)
        {
            if let Err(violation) = occupied.tap.on_timer(now) {
                return self.violate(violation);
            }
            connection.handle_timeout(clock);
        }
        self.drain(key);
    }

    fn on_endpoint_timer(&mut self, host: HostId) {
        let (now, clock) = (self.now, self.clock(host));
        let state = &mut self.hosts[host.0];
        if state.timer != Some(now) {
            return;
        }
        state.timer = None;
        if state.process == Process::Running {
            if state.endpoint.poll_timeout().is_some_and(|at| at <= clock) {
                state.endpoint.handle_timeout(clock);
            }
            self.arm_endpoint(host);
        }
    }

    fn on_application_timer(&mut self, key: usize) {
        let occupied = &mut self.connections[key];
        if occupied.wake != Some(self.now) {
            return;
        }
        occupied.wake = None;
        occupied.seat.wake_wanted = None;
        let host = occupied.seat.report.host;
        if let Process::Paused(until) = self.hosts[host.0].process {
            self.connections[key].seat.wake_wanted = Some(until);
            return self.arm_application(key);
        }
        self.wake_application(key);
        self.drain(key);
    }

    /// A host goes on: first what its socket holds, then its timers, as a late turn of a loop does.
    fn on_resume(&mut self, host: HostId) {
        let now = self.now;
        match self.hosts[host.0].process {
            Process::Paused(until) if until > now => return,
            Process::Dead => return,
            _ => self.hosts[host.0].process = Process::Running,
        }
        while !self.hosts[host.0].inbox.is_empty() {
            self.receive_batch(host);
        }
        for key in 0..self.connections.len() {
            if self.connections[key].seat.report.host == host && !self.connections[key].is_removed {
                self.connections[key].timer = Some(now);
                self.on_connection_timer(key);
            }
        }
        self.hosts[host.0].timer = Some(now);
        self.on_endpoint_timer(host);
    }

    fn receive_batch(&mut self, host: HostId) {
        let mut touched = std::mem::take(&mut self.touched);
        for _ in 0..RECEIVE_BATCH {
            let Some(parcel) = self.hosts[host.0].inbox.pop_front() else {
                break;
            };
            self.hosts[host.0].inbox_bytes -= parcel.bytes.len();
            touched.extend(self.receive(host, parcel.from, parcel.ecn, &parcel.bytes));
        }
        touched.sort_unstable();
        touched.dedup();
        for key in touched.drain(..) {
            self.drain(key);
        }
        self.touched = touched;
        self.arm_endpoint(host);
    }

    fn is_stopped(&self, host: HostId) -> bool {
        self.hosts[host.0].process != Process::Running
    }

    // --- the drain rule (C1) --------------------------------------------------------------------

    /// Transmits, events, then the deadline, until there is none left.
    pub(super) fn drain(&mut self, key: usize) {
        let host = self.connections[key].seat.report.host;
        if self.is_stopped(host) {
            return;
        }
        let may_send = self.hosts[host.0].sends_refused_until <= self.now;
        for round in 0.. {
            if may_send {
                self.drain_transmits(key);
            }
            if !self.drain_events(key) || self.violation.is_some() {
                break;
            }
            self.wake_application(key);
            if round > ROUNDS_MAX {
                return self.violate(format!("I11: {ROUNDS_MAX} rounds of events at one instant"));
            }
        }
        self.settle(key, may_send);
    }

    fn drain_transmits(&mut self, key: usize) {
        let clock = self.clock(self.connections[key].seat.report.host);
        for count in 0.. {
            if count > ROUNDS_MAX {
                return self.violate(format!("I11: {ROUNDS_MAX} batches at one instant"));
            }
            let occupied = &mut self.connections[key];
            let Some(connection) = &mut occupied.connection else {
                return;
            };
            occupied.tap.before_sending(clock, connection);
            self.batch.clear();
            let Some(transmit) = connection.poll_transmit(clock, &mut self.batch) else {
                return;
            };
            if self.batch.is_empty() {
                return self.violate("I11: a transmit without a datagram".to_owned());
            }
            let interface = self.hosts[occupied.seat.report.host.0].interface_mtu;
            if self.batch.segment_size() > interface {
                connection.handle_refused(clock, &self.batch, 0);
                continue;
            }
            let checked = occupied.tap.after_sending(clock, connection);
            if let Err(violation) = checked.and_then(|()| self.check_sent(key, &transmit)) {
                return self.violate(violation);
            }
            let host = self.connections[key].seat.report.host;
            self.send_batch(host, &transmit);
        }
    }

    fn check_sent(&mut self, key: usize, transmit: &Transmit) -> Result<(), String> {
        let occupied = &mut self.connections[key];
        let peer = occupied
            .connection
            .as_ref()
            .and_then(|connection| connection.peer_cid());
        let flow = occupied.seat.flow;
        for datagram in self.batch.datagrams() {
            occupied
                .tap
                .on_sent(transmit.to, datagram, flow, peer, &mut self.ledger)?;
        }
        Ok(())
    }

    fn send_batch(&mut self, host: HostId, transmit: &Transmit) {
        let from = self.hosts[host.0].address;
        let is_reset = |bytes| wire::glance(bytes).is_ok_and(|glance| glance.kind == Kind::Rst);
        if self.is_reset && self.batch.datagrams().any(is_reset) {
            self.violate("I13: a RST answers a RST".to_owned());
        }
        for datagram in self.batch.datagrams() {
            self.network.send(self.now, host, from, transmit, datagram);
        }
    }

    /// Hands events on; whether there was one.
    fn drain_events(&mut self, key: usize) -> bool {
        let mut any = false;
        let clock = self.clock(self.connections[key].seat.report.host);
        loop {
            let occupied = &mut self.connections[key];
            let Some(event) = occupied.connection.as_mut().and_then(|it| it.poll_event()) else {
                return any;
            };
            any = true;
            let host = &mut self.hosts[occupied.seat.report.host.0];
            match event {
                Event::Opened { peer_cid } => {
                    occupied.seat.report.opened_at.get_or_insert(self.now);
                    occupied.seat.peer_flow = self.ledger.find(peer_cid);
                    host.endpoint.on_opened(occupied.handle, peer_cid);
                }
                Event::Closed(farewell) => {
                    occupied.seat.report.closed_at = Some(self.now);
                    host.endpoint.remove(clock, occupied.handle, farewell);
                    host.seat(occupied.handle, None);
                    occupied.is_removed = true;
                }
                Event::Stalled(since) => host.endpoint.on_stalled(occupied.handle, since),
                Event::Readable | Event::Writable | Event::Delivered | Event::Failed(_) => {}
            }
        }
    }

    /// The deadline and the checks, once everything is drained.
    fn settle(&mut self, key: usize, may_send: bool) {
        let (now, timing) = (
            self.now,
            self.hosts[self.connections[key].seat.report.host.0].clock,
        );
        let clock = timing.show(now);
        let occupied = &mut self.connections[key];
        let Some(connection) = &mut occupied.connection else {
            return;
        };
        connection.write_trace(&mut occupied.tracer);
        if may_send {
            let (host, peer) = (occupied.seat.report.host, occupied.peer_host);
            let floor = peer.map(|peer| self.network.round_trip_min(host, peer));
            // A coarse clock may show a round trip by one step too short.
            let rtt_min = floor.unwrap_or_default().saturating_sub(timing.step());
            let mut checked = occupied.tap.on_drained(clock, connection, rtt_min);
            if !occupied.is_removed && !connection.is_failed() {
                let info = connection.info(clock);
                checked = checked.and_then(|()| occupied.tap.check_packets(&info));
            }
            if let Err(violation) = checked {
                return self.violate(violation);
            }
        }
        if occupied.is_removed {
            if occupied.seat.is_released {
                occupied.connection = None;
            }
            let host = occupied.seat.report.host;
            return self.arm_endpoint(host);
        }
        let deadline = connection
            .poll_timeout()
            .map(|deadline| timing.due(now, deadline.at));
        // An earlier event that is still in the queue will look again; a later one is made stale.
        if let Some(at) = deadline.filter(|at| occupied.timer.is_none_or(|armed| *at < armed)) {
            occupied.timer = Some(at);
            self.network
                .queue
                .push(at, Happening::ConnectionTimer { connection: key });
        }
    }

    pub(super) fn arm_endpoint(&mut self, host: HostId) {
        let state = &mut self.hosts[host.0];
        let due = state.endpoint.poll_timeout();
        let due = due.map(|at| state.clock.due(self.now, at));
        if let Some(at) = due.filter(|at| state.timer.is_none_or(|armed| *at < armed)) {
            state.timer = Some(at);
            self.network
                .queue
                .push(at, Happening::EndpointTimer { host });
        }
    }

    // --- applications ---------------------------------------------------------------------------

    pub(super) fn wake_application(&mut self, key: usize) {
        let Some(mut app) = self.connections[key].app.take() else {
            return;
        };
        self.act(key, |io| {
            if !io.is_released() {
                app.on_wake(io);
            }
        });
        let occupied = &mut self.connections[key];
        if !occupied.seat.is_released {
            occupied.app = Some(app);
        }
    }

    pub(super) fn act<R>(&mut self, key: usize, act: impl FnOnce(&mut Io<'_>) -> R) -> Option<R> {
        let clock = self.clock(self.connections[key].seat.report.host);
        let occupied = &mut self.connections[key];
        let connection = occupied.connection.as_mut()?;
        let result = act(&mut Io {
            now: self.now,
            clock,
            connection,
            seat: &mut occupied.seat,
            ledger: &mut self.ledger,
            violation: &mut self.violation,
        });
        self.arm_application(key);
        Some(result)
    }

    fn arm_application(&mut self, key: usize) {
        let occupied = &mut self.connections[key];
        if occupied.wake != occupied.seat.wake_wanted {
            occupied.wake = occupied.seat.wake_wanted.map(|at| at.max(self.now));
            if let Some(at) = occupied.wake {
                self.network
                    .queue
                    .push(at, Happening::Application { connection: key });
            }
        }
    }

    /// The process of a host dies: its connections are gone without a word.
    pub(super) fn forget_connections(&mut self, host: HostId) {
        let now = self.now;
        let here = |seat: &super::host::Seat| seat.report.host == host;
        for occupied in self.connections.iter_mut().filter(|it| here(&it.seat)) {
            if occupied.connection.take().is_some() && !occupied.is_removed {
                occupied.seat.report.closed_at = Some(now);
                self.ledger.flow_mut(occupied.seat.flow).is_cut = true;
                if let Some(flow) = occupied.seat.peer_flow {
                    self.ledger.flow_mut(flow).is_cut = true;
                }
            }
            occupied.app = None;
            occupied.is_removed = true;
        }
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
