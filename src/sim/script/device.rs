//! The endpoint under test, driven as a runtime drives it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::{Config, EndpointConfig};
use crate::connection::{Connection, Event, IcmpError};
use crate::endpoint::{Endpoint, Handle, Listening, Route};
use crate::time::Time;
use crate::wire::{Batch, Meta, Packet};

/// When scripts begin: late enough that nothing lies before the origin.
const START: Time = Time::from_millis(1_000);
/// Deadlines at one instant that no honest connection needs.
const SPINS_MAX: u32 = 1_000;

/// A datagram that the endpoint sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Time,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// One connection of the endpoint.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) handle: Handle,
    pub(super) core: Connection,
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) is_closed: bool,
}

/// The endpoint, its connections, its clock, and what it sent.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) now: Time,
    pub(super) config: Config,
    pub(super) endpoint_config: EndpointConfig,
    endpoint: Option<Endpoint>,
    pub(super) lines: Vec<Line>,
    pub(super) accepted: usize,
    pub(super) sent: VecDeque<Sent>,
    pub(super) last_sent: Option<Sent>,
    batch: Batch,
}

impl Device {
    pub(super) fn new() -> Self {
        Device {
            now: START,
            config: Config::default(),
            endpoint_config: EndpointConfig::default(),
            endpoint: None,
            lines: Vec::new(),
            accepted: 0,
            sent: VecDeque::new(),
            last_sent: None,
            batch: Batch::new(),
        }
    }

    /// Time since the start of the script.
    pub(super) fn since_start(at: Time) -> std::time::Duration {
        at - START
    }

    /// The time so long after the start of the script.
    pub(super) fn at(since_start: std::time::Duration) -> Time {
        START + since_start
    }

    fn endpoint(&mut self) -> &mut Endpoint {
        started(&mut self.endpoint, &self.endpoint_config)
    }

    pub(super) fn is_started(&self) -> bool {
        self.endpoint.is_some()
    }

    pub(super) fn listen(&mut self, listening: Listening) {
        let config = self.config.clone();
        self.endpoint().set_listening(listening, &config);
    }

    pub(super) fn connect(&mut self, to: SocketAddr, token: Option<u64>) -> Result<usize, String> {
        let (now, config) = (self.now, Arc::new(self.config.clone()));
        let opened = match token {
            None => self.endpoint().connect(now, to, config),
            Some(token) => self.endpoint().connect_rendezvous(now, to, token, config),
        };
        let (handle, core) = opened.map_err(|error| error.to_string())?;
        Ok(self.add(handle, core))
    }

    fn add(&mut self, handle: Handle, core: Connection) -> usize {
        self.lines.push(Line {
            handle,
            core,
            written: 0,
            read: 0,
            is_closed: false,
        });
        self.lines.len() - 1
    }

    /// A datagram arrives.
    pub(super) fn receive(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        let (now, meta) = (
            self.now,
            Meta {
                from,
                to_ip: None,
                ecn: None,
            },
        );
        self.batch.clear();
        let endpoint = started(&mut self.endpoint, &self.endpoint_config);
        match endpoint.handle_datagram(now, &meta, bytes, &mut self.batch) {
            Route::Connection(handle, packet) => {
                self.hand_over(handle, &meta, &packet, bytes.len())
            }
            Route::Arrival(arrival, packet) => {
                let config = Arc::new(self.config.clone());
                let (handle, core) = self.endpoint().accept(now, arrival, config);
                self.add(handle, core);
                self.accepted += 1;
                self.hand_over(handle, &meta, &packet, bytes.len())
            }
            Route::Reply(transmit) => {
                self.collect(transmit.to);
                Ok(())
            }
            Route::Drop(_) => Ok(()),
        }
    }

    fn hand_over(
        &mut self,
        handle: Handle,
        meta: &Meta,
        packet: &Packet<'_>,
        len: usize,
    ) -> Result<(), String> {
        let known = self
            .lines
            .iter()
            .position(|line| line.handle == handle && !line.is_closed);
        let index = known.ok_or("a route to a connection that was removed")?;
        let now = self.now;
        self.lines[index].core.handle_packet(now, meta, packet, len);
        self.drain(index)
    }

    /// ICMP says that the port of the packet that was sent last is closed.
    pub(super) fn unreachable(&mut self) -> Result<(), String> {
        let Some(sent) = self.last_sent.clone() else {
            return Err("nothing was sent".to_owned());
        };
        let Some(quoted) = self.endpoint().find_quoted(sent.to, &sent.bytes) else {
            return Ok(());
        };
        let now = self.now;
        let known = self
            .lines
            .iter()
            .position(|line| line.handle == quoted.handle);
        let index = known.ok_or("a quote of a connection that was removed")?;
        self.lines[index]
            .core
            .handle_icmp(now, IcmpError::PortUnreachable, quoted.number);
        self.drain(index)
    }

    /// The next deadline of all.
    pub(super) fn deadline(&self) -> Option<Time> {
        let lines = self.lines.iter().filter(|line| !line.is_closed);
        let of_lines = lines
            .filter_map(|line| line.core.poll_timeout())
            .map(|due| due.at);
        of_lines
            .chain(self.endpoint.as_ref().and_then(Endpoint::poll_timeout))
            .min()
    }

    /// Moves the clock to `to`, and serves all deadlines on the way.
    pub(super) fn advance(&mut self, to: Time) -> Result<(), String> {
        let mut spins = 0;
        while let Some(due) = self.deadline().filter(|due| *due <= to) {
            spins = if due > self.now { 0 } else { spins + 1 };
            if spins > SPINS_MAX {
                return Err(format!(
                    "{SPINS_MAX} deadlines at {:?}",
                    Device::since_start(due)
                ));
            }
            self.now = self.now.max(due);
            self.serve()?;
        }
        self.now = self.now.max(to);
        Ok(())
    }

    fn serve(&mut self) -> Result<(), String> {
        let now = self.now;
        for index in 0..self.lines.len() {
            let line = &mut self.lines[index];
            let due = line.core.poll_timeout().is_some_and(|due| due.at <= now);
            if due && !line.is_closed {
                line.core.handle_timeout(now);
                self.drain(index)?;
            }
        }
        if self.endpoint().poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint().handle_timeout(now);
        }
        Ok(())
    }

    /// The drain rule: transmits, then events, until there is none left.
    pub(super) fn drain(&mut self, index: usize) -> Result<(), String> {
        for _ in 0..SPINS_MAX {
            let now = self.now;
            self.batch.clear();
            let transmit = self.lines[index].core.poll_transmit(now, &mut self.batch);
            if let Some(transmit) = transmit {
                self.collect(transmit.to);
            }
            if transmit.is_none() && !self.take_event(index) {
                return Ok(());
            }
        }
        Err("output without end".to_owned())
    }

    fn take_event(&mut self, index: usize) -> bool {
        let now = self.now;
        let line = &mut self.lines[index];
        let handle = line.handle;
        let Some(event) = line.core.poll_event() else {
            return false;
        };
        match event {
            Event::Opened { peer_cid } => self.endpoint().on_opened(handle, peer_cid),
            Event::Closed(farewell) => {
                line.is_closed = true;
                self.endpoint().remove(now, handle, farewell);
            }
            _ => {}
        }
        true
    }

    /// Keeps what the batch holds.
    fn collect(&mut self, to: SocketAddr) {
        for datagram in self.batch.datagrams() {
            let sent = Sent {
                at: self.now,
                to,
                bytes: datagram.to_vec(),
            };
            self.last_sent = Some(sent.clone());
            self.sent.push_back(sent);
        }
    }
}

/// The endpoint, made when it is first needed.
fn started<'e>(slot: &'e mut Option<Endpoint>, config: &EndpointConfig) -> &'e mut Endpoint {
    slot.get_or_insert_with(|| Endpoint::new(Arc::new(config.clone()), [7; 32]))
}
