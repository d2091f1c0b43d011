//! Networks that exist only in memory: virtual time, seeded links, every fault, the real protocol core.
//!
//! A [`Sim`] has hosts, each with an [`Endpoint`](crate::endpoint::Endpoint) as a real socket has one; links between them, each
//! direction with its rate, queue, delay, loss and other faults; and applications on the connections. Time is a
//! number that jumps from one event to the next, so an hour of idleness costs nothing, and a run depends on its
//! seed alone: the same seed gives the same datagrams at the same nanoseconds on every machine.
//!
//! After every event the simulator checks what must always hold: that readers get exactly the bytes that were
//! written, in order, and an end of stream only after all of them; that nothing is sent beyond the peer's
//! window, beyond the congestion window or to an address that proved nothing; that no packet number comes
//! twice; that something outstanding always has a deadline. A broken rule panics with the seed and the way to
//! run it again.
//!
//! ```
//! use aqueduct::config::Config;
//! use aqueduct::sim::{Link, Loss, Sim, apps};
//! use std::time::Duration;
//!
//! let mut sim = Sim::new(7);
//! let (client, server) = (sim.add_host("client"), sim.add_host("server"));
//! let path = Link::new()
//!     .rate_bits(20_000_000)
//!     .queue_bytes(100_000)
//!     .delay(Duration::from_millis(15))
//!     .loss(Loss::random(0.02))
//!     .reordering_jitter(Duration::from_millis(3));
//! sim.link(client, server, path);
//!
//! sim.listen(server, Config::default(), apps::Transfer::sink);
//! let upload = sim.connect(client, server, Config::default(), apps::Transfer::send(200_000));
//! assert!(sim.run_until(Duration::from_secs(60), |sim| sim.is_closed(upload)));
//!
//! let download = sim.peer(upload).expect("the server accepted it");
//! assert_eq!(sim.report(download).read, 200_000);
//! println!("{} datagrams, hash {:016x}", sim.trace().count(), sim.trace().hash());
//! ```
//!
//! # Replaying a failure
//!
//! A test takes its seed from [`seed`], or a range of them from [`seeds`]. Both answer with the environment
//! variable `AQUEDUCT_SEED` where it is set, so that the line that a failing run prints runs that seed alone.

mod app;
pub mod apps;
mod bottleneck;
mod check;
pub mod content;
mod drive;
mod fault;
mod host;
mod ledger;
mod link;
mod network;
mod queue;
mod random;
pub mod script;
mod trace;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, EndpointConfig};
use crate::connection::{Connection, Info};
use crate::endpoint::{ConnectError, Handle, Listening};
use crate::time::Time;
use crate::wire::Batch;

pub use app::{App, Io};
pub use bottleneck::{Bottleneck, BottleneckId, BottleneckStats, QueueMeter};
pub use fault::{Corruption, EcnFault, Fate, Loss, Passing};
pub use host::Report;
pub use link::{Link, LinkStats, Reorder};
pub use random::Rng;
pub use trace::{Described, Trace};

use check::Tap;
use host::{Host, ListenerState, Occupied, Process, Seat};
use ledger::Ledger;
use network::{Happening, Network};

/// Names a host of one simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(usize);

/// Names one end of a connection of one simulation, also after its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionKey(usize);

/// A network in memory; see the [module](self).
pub struct Sim {
    seed: u64,
    now: Time,
    events: u64,
    network: Network,
    hosts: Vec<Host>,
    connections: Vec<Occupied>,
    ledger: Ledger,
    violation: Option<String>,
    /// A RST is being handled: nothing that follows from it may be one (I13).
    is_reset: bool,
    batch: Batch,
    touched: Vec<usize>,
}

impl Sim {
    /// A network without hosts. All that is random in it follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Sim {
            seed,
            now: Time::from_millis(1),
            events: 0,
            network: Network::new(seed),
            hosts: Vec::new(),
            connections: Vec::new(),
            ledger: Ledger::default(),
            violation: None,
            is_reset: false,
            batch: Batch::new(),
            touched: Vec::new(),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Events handled so far: arrivals, deadlines, wake-ups.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The record of all datagrams.
    pub fn trace(&self) -> &Trace {
        &self.network.trace
    }

    /// The record, to say how much of it is kept.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.network.trace
    }

    // --- hosts and links ------------------------------------------------------------------------

    /// Adds a host, at an IPv4 address and port of its own.
    pub fn add_host(&mut self, name: &str) -> HostId {
        self.add_host_with(name, EndpointConfig::default())
    }

    /// Adds a host whose endpoint has this configuration.
    pub fn add_host_with(&mut self, name: &str, config: EndpointConfig) -> HostId {
        let number = u16::try_from(self.hosts.len()).expect("at most 65,536 hosts");
        let [high, low] = number.to_be_bytes();
        let address = SocketAddr::from(([10, high, low, 1], 4_000));
        self.hosts.push(Host::new(self.seed, name, address, config));
        let host = HostId(self.hosts.len() - 1);
        self.network.bind(address, host);
        host
    }

    /// The address under which the network reaches a host now.
    pub fn address(&self, host: HostId) -> SocketAddr {
        self.hosts[host.0].address
    }

    /// Links two hosts; both directions are alike, each with its own randomness.
    ///
    /// A link that was there before is replaced: what is on its way still arrives.
    pub fn link(&mut self, a: HostId, b: HostId, link: Link) {
        self.link_one_way(a, b, link.clone());
        self.link_one_way(b, a, link);
    }

    /// Links two hosts in one direction.
    pub fn link_one_way(&mut self, from: HostId, to: HostId, link: Link) {
        self.network.set_link(from, to, link);
    }

    /// Changes the link of one direction, as its owner would: what is on its way still arrives.
    ///
    /// # Panics
    /// If no link leads there.
    pub fn change_link(&mut self, from: HostId, to: HostId, change: impl FnOnce(Link) -> Link) {
        let route = self.route(from, to);
        let state = &mut self.network.links[route];
        state.set(change(state.link.clone()));
    }

    /// What became of the datagrams of one direction.
    ///
    /// # Panics
    /// If no link leads there.
    pub fn link_stats(&self, from: HostId, to: HostId) -> LinkStats {
        self.network.links[self.route(from, to)].stats
    }

    /// Lets `decide` rule over every datagram of one direction, before its link sees it.
    ///
    /// # Panics
    /// If no link leads there.
    pub fn filter(
        &mut self,
        from: HostId,
        to: HostId,
        decide: impl FnMut(&Passing<'_>) -> Fate + 'static,
    ) {
        let link = self.route(from, to);
        self.network.filter(link, Box::new(decide));
    }

    /// Takes the filters of one direction away.
    ///
    /// # Panics
    /// If no link leads there.
    pub fn unfilter(&mut self, from: HostId, to: HostId) {
        let link = self.route(from, to);
        self.network.unfilter(link);
    }

    fn route(&self, from: HostId, to: HostId) -> usize {
        self.network
            .route(from, to)
            .expect("a link between these hosts")
    }

    // --- faults ---------------------------------------------------------------------------------

    /// Cuts both directions between two hosts; what is on its way still arrives.
    pub fn partition(&mut self, a: HostId, b: HostId) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }

    /// Cuts one direction.
    pub fn partition_one_way(&mut self, from: HostId, to: HostId) {
        let link = self.route(from, to);
        self.network.links[link].is_down = true;
    }

    /// Ends a partition, in both directions.
    pub fn heal(&mut self, a: HostId, b: HostId) {
        for (from, to) in [(a, b), (b, a)] {
            let link = self.route(from, to);
            self.network.links[link].is_down = false;
        }
    }

    /// Gives a host another port, as a NAT does that forgot it; what is sent to the old one is lost.
    pub fn rebind(&mut self, host: HostId) {
        let state = &mut self.hosts[host.0];
        state.rebinds += 1;
        let mut address = state.address;
        address.set_port(20_000 + state.rebinds % 40_000);
        self.rebind_to(host, address);
    }

    /// Gives a host another address; what is sent to the old one is lost.
    pub fn rebind_to(&mut self, host: HostId, address: SocketAddr) {
        self.network.unbind(self.hosts[host.0].address);
        self.hosts[host.0].address = address;
        self.network.bind(address, host);
    }

    /// Stops a host's process for a while: its socket buffer fills, its timers are late.
    pub fn pause(&mut self, host: HostId, time: Duration) {
        let until = self.now + time;
        self.hosts[host.0].process = Process::Paused(until);
        self.network.queue.push(until, Happening::Resume { host });
    }

    /// Bytes that the socket of a paused process holds before it drops datagrams; 8 MiB unless told.
    pub fn set_socket_buffer(&mut self, host: HostId, bytes: usize) {
        self.hosts[host.0].inbox_bytes_max = bytes;
    }

    /// The largest datagram that a host's interface takes: 1,472 bytes unless told, as over Ethernet. What is
    /// larger is refused when it is sent, as by `EMSGSIZE`; links have limits of their own
    /// ([`Link::mtu`]), of which nobody is told.
    pub fn set_interface_mtu(&mut self, host: HostId, bytes: usize) {
        self.hosts[host.0].interface_mtu = bytes;
    }

    /// Lets a host's socket take no datagrams to send for a while, as a full one does.
    pub fn refuse_sends(&mut self, host: HostId, time: Duration) {
        let until = self.now + time;
        self.hosts[host.0].sends_refused_until = until;
        self.network.queue.push(until, Happening::Resume { host });
    }

    /// Kills a host's process and starts it again at the same address; it listens as before.
    pub fn restart(&mut self, host: HostId) {
        self.forget_connections(host);
        self.hosts[host.0].restart();
    }

    /// Kills a host's process: its port answers with ICMP port unreachable.
    pub fn kill(&mut self, host: HostId) {
        self.forget_connections(host);
        self.hosts[host.0].process = Process::Dead;
    }

    /// A datagram comes to `to` as if from `from`, now, past all links.
    pub fn inject(&mut self, from: SocketAddr, to: HostId, datagram: &[u8]) {
        self.arrive(to, from, None, datagram);
    }

    // --- connections ----------------------------------------------------------------------------

    /// Listens on a host: every connection that comes gets an application from `make`.
    pub fn listen<A: App + 'static>(
        &mut self,
        host: HostId,
        config: Config,
        mut make: impl FnMut() -> A + 'static,
    ) {
        let state = &mut self.hosts[host.0];
        state.endpoint.set_listening(Listening::Yes, &config);
        let make = Box::new(move || -> Box<dyn App> { Box::new(make()) });
        state.listener = Some(ListenerState {
            config: Arc::new(config),
            make,
        });
    }

    /// Changes whether a host that listens takes new connections.
    pub fn set_listening(&mut self, host: HostId, listening: Listening) {
        let state = &mut self.hosts[host.0];
        if let Some(listener) = &state.listener {
            state.endpoint.set_listening(listening, &listener.config);
        }
    }

    /// Opens a connection between two hosts.
    ///
    /// # Panics
    /// If the endpoint refuses the address.
    pub fn connect(
        &mut self,
        from: HostId,
        to: HostId,
        config: Config,
        app: impl App + 'static,
    ) -> ConnectionKey {
        let to = self.address(to);
        self.connect_to(from, to, config, app)
            .expect("the address of a host")
    }

    /// Opens a connection to an address, where perhaps nobody is.
    ///
    /// # Errors
    /// As [`Endpoint::connect`](crate::endpoint::Endpoint::connect).
    pub fn connect_to(
        &mut self,
        from: HostId,
        to: SocketAddr,
        config: Config,
        app: impl App + 'static,
    ) -> Result<ConnectionKey, ConnectError> {
        let (now, config) = (self.clock(from), Arc::new(config));
        let endpoint = &mut self.hosts[from.0].endpoint;
        let (handle, connection) = endpoint.connect(now, to, Arc::clone(&config))?;
        Ok(self.start(from, handle, connection, (&config, Box::new(app))))
    }

    /// Opens a connection with a host that does the same with the same token.
    ///
    /// # Errors
    /// As [`Endpoint::connect_rendezvous`](crate::endpoint::Endpoint::connect_rendezvous).
    pub fn connect_rendezvous(
        &mut self,
        from: HostId,
        to: HostId,
        token: u64,
        config: Config,
        app: impl App + 'static,
    ) -> Result<ConnectionKey, ConnectError> {
        let (now, to, config) = (self.clock(from), self.address(to), Arc::new(config));
        let endpoint = &mut self.hosts[from.0].endpoint;
        let (handle, connection) =
            endpoint.connect_rendezvous(now, to, token, Arc::clone(&config))?;
        Ok(self.start(from, handle, connection, (&config, Box::new(app))))
    }

    fn start(
        &mut self,
        host: HostId,
        handle: Handle,
        connection: Connection,
        (config, app): (&Config, Box<dyn App>),
    ) -> ConnectionKey {
        let key = self.add_connection(host, handle, connection, (config, app));
        self.wake_application(key);
        self.drain(key);
        self.stop_on_violation();
        ConnectionKey(key)
    }

    fn add_connection(
        &mut self,
        host: HostId,
        handle: Handle,
        mut connection: Connection,
        (config, app): (&Config, Box<dyn App>),
    ) -> usize {
        let key = self.connections.len();
        // Virtual time is no time of day.
        let tracer = connection.open_trace(self.address(host), || None);
        let rng = Rng::new(self.seed, &format!("application {key}"));
        let flow = self.ledger.open(connection.local_cid());
        self.connections.push(Occupied {
            handle,
            peer_host: self.network.host_at(connection.remote()),
            tap: Tap::new(connection.remote(), config),
            tracer,
            connection: Some(connection),
            app: Some(app),
            seat: Seat::new(host, flow, rng),
            timer: None,
            wake: None,
            is_removed: false,
        });
        self.hosts[host.0].seat(handle, Some(key));
        key
    }

    /// Acts as the application of a connection, between two events; `None` if the connection is no more.
    pub fn with<R>(&mut self, key: ConnectionKey, act: impl FnOnce(&mut Io<'_>) -> R) -> Option<R> {
        let result = self.act(key.0, act);
        self.drain(key.0);
        self.stop_on_violation();
        result
    }

    /// What is known of one end of a connection.
    pub fn report(&self, key: ConnectionKey) -> &Report {
        &self.connections[key.0].seat.report
    }

    /// Numbers about a connection; `None` once it is no more.
    pub fn info(&self, key: ConnectionKey) -> Option<Info> {
        self.connection(key)
            .map(|connection| connection.info(self.clock(self.report(key).host)))
    }

    /// The core of a connection; `None` once it is no more.
    pub fn connection(&self, key: ConnectionKey) -> Option<&Connection> {
        self.connections[key.0].connection.as_ref()
    }

    /// The other end of a connection, where it exists.
    pub fn peer(&self, key: ConnectionKey) -> Option<ConnectionKey> {
        let own = &self.connections[key.0].seat;
        let found = self.connections.iter().position(|other| {
            other.seat.peer_flow == Some(own.flow) || own.peer_flow == Some(other.seat.flow)
        });
        found.map(ConnectionKey)
    }

    /// The connections that a host accepted, in order.
    pub fn accepted(&self, host: HostId) -> Vec<ConnectionKey> {
        self.hosts[host.0]
            .accepted
            .iter()
            .copied()
            .map(ConnectionKey)
            .collect()
    }

    /// Every end of every connection so far.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionKey> + use<> {
        (0..self.connections.len()).map(ConnectionKey)
    }

    /// Whether a connection has nothing more to send or to receive.
    pub fn is_closed(&self, key: ConnectionKey) -> bool {
        self.connections[key.0].seat.report.closed_at.is_some()
    }

    /// Whether the application at this end has left the connection, or died with its process.
    pub fn has_left(&self, key: ConnectionKey) -> bool {
        let occupied = &self.connections[key.0];
        occupied.seat.is_released || occupied.app.is_none()
    }

    /// Whether all bytes that one end wrote were read at the other, and its end, if it finished, was seen.
    pub fn is_delivered(&self, key: ConnectionKey) -> bool {
        let flow = self.ledger.flow(self.connections[key.0].seat.flow);
        flow.read == flow.written && (flow.is_end_seen || !flow.is_finished)
    }

    /// Bytes that applications read, over all connections.
    pub fn bytes_delivered(&self) -> u64 {
        self.ledger.flows().iter().map(|flow| flow.read).sum()
    }

    /// How many connections a host's endpoint knows, and how many it remembers in TIME_WAIT.
    pub fn endpoint_len(&self, host: HostId) -> (usize, usize) {
        let endpoint = &self.hosts[host.0].endpoint;
        (endpoint.len(), endpoint.time_wait_len())
    }

    // --- time -----------------------------------------------------------------------------------

    /// Does something at a time; at once if the time is past.
    pub fn at(&mut self, at: Time, action: impl FnOnce(&mut Sim) + 'static) {
        let at = at.max(self.now);
        self.network
            .queue
            .push(at, Happening::Action(Box::new(action)));
    }

    /// Does something after a while.
    pub fn after(&mut self, time: Duration, action: impl FnOnce(&mut Sim) + 'static) {
        self.at(self.now + time, action);
    }

    /// Handles the next event; false if there is none.
    pub fn step(&mut self) -> bool {
        let Some((at, happening)) = self.network.queue.pop() else {
            return false;
        };
        self.now = self.now.max(at);
        self.events += 1;
        self.handle(happening);
        self.stop_on_violation();
        true
    }

    /// Lets time pass, and handles all that happens in it.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(time, |_| false);
        self.now = end;
    }

    /// Runs until `is_done` says so after an event, for at most `limit`; whether it was done.
    pub fn run_until(&mut self, limit: Duration, mut is_done: impl FnMut(&Sim) -> bool) -> bool {
        let end = self.now + limit;
        while !is_done(self) {
            match self.network.queue.next_at() {
                Some(at) if at <= end => self.step(),
                _ => return false,
            };
        }
        true
    }

    /// Runs until nothing is left to happen, for at most `limit`; whether it came to that.
    pub fn run_to_end(&mut self, limit: Duration) -> bool {
        self.run_until(limit, |sim| sim.network.queue.len() == 0)
    }

    /// Ends the run with a panic that says what is wrong, the last datagrams, and how to run it again.
    ///
    /// # Panics
    /// Always: that is its purpose.
    pub fn fail(&self, what: &str) -> ! {
        let (trace, connections) = (&self.network.trace, self.describe_connections());
        panic!("{what}\nat {:?}, after\n{trace}\n{connections}", self.now);
    }

    /// The first connections that are not over, with all that they say of themselves.
    fn describe_connections(&self) -> String {
        const SHOWN: usize = 4;
        let open = self.connections.iter().filter(|it| !it.is_removed);
        let described = open.take(SHOWN).filter_map(|it| {
            let connection = it.connection.as_ref()?;
            let (host, due) = (it.seat.report.host.0, connection.poll_timeout());
            Some(format!(
                "host {host}: next {due:?}, {:?}\n",
                connection.info(self.now)
            ))
        });
        described.collect()
    }

    fn stop_on_violation(&mut self) {
        if let Some(violation) = self.violation.take() {
            self.fail(&violation);
        }
    }
}

/// Whatever panics while a simulation runs, a check of it or an assertion of a test, can be replayed.
impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            let test = thread.name().unwrap_or("<test>");
            eprintln!(
                "run it again: AQUEDUCT_SEED={} cargo test {test}",
                self.seed
            );
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field(
                "hosts",
                &self.hosts.iter().map(|host| &host.name).collect::<Vec<_>>(),
            )
            .field("connections", &self.connections.len())
            .field("waiting", &self.network.queue.len())
            .finish_non_exhaustive()
    }
}

/// The seed of a test: `AQUEDUCT_SEED` where it is set, `default` elsewhere.
///
/// # Panics
/// If the variable is set, but not to a number.
pub fn seed(default: u64) -> u64 {
    seed_of_environment().unwrap_or(default)
}

/// The seeds of a test that runs many: `AQUEDUCT_SEED` alone where it is set, `first` and those after it elsewhere.
///
/// # Panics
/// If the variable is set, but not to a number.
pub fn seeds(first: u64, count: u64) -> impl Iterator<Item = u64> {
    let (first, count) = seed_of_environment().map_or((first, count), |seed| (seed, 1));
    first..first.saturating_add(count)
}

fn seed_of_environment() -> Option<u64> {
    let value = std::env::var("AQUEDUCT_SEED").ok()?;
    Some(value.trim().parse().expect("AQUEDUCT_SEED is a number"))
}
