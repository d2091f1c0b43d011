//! The trace as a driver sees it: begun, taken, written, ended.

use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::Connection;
#[cfg(feature = "trace")]
use crate::time::Time;
use crate::trace::Tracer;

/// Without the feature there is nothing to write.
#[cfg(all(not(feature = "trace"), any(feature = "runtime", feature = "sim")))]
impl Connection {
    #[inline(always)]
    pub(crate) fn open_trace(
        &mut self,
        _local: SocketAddr,
        _wall: fn() -> Option<Duration>,
    ) -> Tracer {
        Tracer::default()
    }

    #[inline(always)]
    pub(crate) fn write_trace(&mut self, _tracer: &mut Tracer) {}
}

#[cfg(feature = "trace")]
impl Connection {
    /// From now on this connection notes its events. A driver takes them after every drain (C1), and not between
    /// [`Connection::poll_transmit`] and what it says of that batch.
    ///
    /// ```
    /// use aqueduct::config::Config;
    /// use aqueduct::connection::{ActiveOpen, Connection};
    /// use aqueduct::time::Time;
    /// use aqueduct::trace::{Event, Stage};
    /// use aqueduct::wire::{Batch, ConnectionId, Kind, PacketNumber};
    ///
    /// let open = ActiveOpen {
    ///     remote: "192.0.2.1:4000".parse().expect("an address"),
    ///     local_cid: ConnectionId::new(7).expect("not 0"),
    ///     local_first: PacketNumber::new(100),
    ///     service: 0,
    ///     incarnation: 1,
    ///     cached_rtt: None,
    /// };
    /// let mut connection = Connection::connect(Time::ZERO, open, Config::new().into(), 1);
    /// connection.start_trace(Time::ZERO);
    /// connection.poll_transmit(Time::from_millis(1), &mut Batch::new()).expect("a SYN");
    ///
    /// let records: Vec<_> = connection.take_trace().collect();
    /// let attempted = |event: &Event| matches!(event, Event::State { stage: Stage::Attempted, .. });
    /// let syn = |event: &Event| matches!(event, Event::Sent { packet, .. } if packet.kind == Kind::Syn);
    /// assert!(records.iter().any(|record| record.at == Time::ZERO && attempted(&record.event)));
    /// assert!(records.iter().any(|record| record.at == Time::from_millis(1) && syn(&record.event)));
    /// ```
    pub fn start_trace(&mut self, now: Time) {
        self.recovery.log().start();
        self.note_changes(now);
    }

    /// From now on nothing is noted; what was is forgotten.
    pub fn stop_trace(&mut self) {
        self.recovery.log().stop();
    }

    /// Takes what happened since the last call, in order of time. Nothing before [`Connection::start_trace`].
    pub fn take_trace(&mut self) -> impl Iterator<Item = crate::trace::Record> + '_ {
        self.recovery.log().drain()
    }

    /// Opens the trace that the configuration asks for ([`Config::with_traces`](crate::config::Config::with_traces)), and
    /// begins it. A driver calls this before it feeds anything in; `local` is this side's address, and `wall` reads the
    /// time since the Unix epoch, if there is such a thing where the driver lives.
    pub fn open_trace(&mut self, local: SocketAddr, wall: fn() -> Option<Duration>) -> Tracer {
        use crate::connection::handshake::Handshake;
        use crate::trace::{About, Role};

        let Some(traces) = self.config.traces().cloned() else {
            return Tracer::default();
        };
        let is_client = matches!(self.handshake, Handshake::SynSent(_));
        let (role, id) = match self.peer_cid() {
            Some(client) if !is_client => (Role::Server, client),
            _ => (Role::Client, self.local_cid),
        };
        let about = About {
            role,
            id,
            local,
            remote: self.remote,
            at: self.latest,
            wall: wall(),
        };
        let tracer = Tracer::open(&traces, &about);
        if tracer.is_on() {
            self.start_trace(self.latest);
        }
        tracer
    }

    /// Writes what happened since the last call, if anybody wants to know; called after every drain (C1).
    #[inline]
    pub fn write_trace(&mut self, tracer: &mut Tracer) {
        if !tracer.is_on() {
            return;
        }
        self.recovery
            .log()
            .drain()
            .for_each(|record| tracer.write(&record));
        if self.is_over() {
            tracer.flush();
        }
        if !tracer.is_on() {
            self.stop_trace();
        }
    }
}
