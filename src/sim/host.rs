//! A host: one endpoint, the connections that it has, and the applications that use them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, EndpointConfig};
use crate::connection::Connection;
use crate::endpoint::{Endpoint, Handle, Listening};
use crate::error::CloseReason;
use crate::time::Time;
use crate::trace::Tracer;

use super::check::Tap;
use super::link::Parcel;
use super::random::{fnv1a, mix};
use super::{App, HostId, Rng, Sim};

/// Whether a host's process does anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Process {
    Running,
    /// Neither receives nor sends nor looks at its clock until then; its socket still takes datagrams.
    Paused(Time),
    /// Its port is closed.
    Dead,
}

/// Who listens on a host.
pub(super) struct ListenerState {
    pub(super) config: Arc<Config>,
    pub(super) make: Box<dyn FnMut() -> Box<dyn App>>,
}

/// What a host's clock and timers are like: they need not be good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The clock moves in steps of this length.
    step: Duration,
    /// Timers fire up to this much too late.
    late: Duration,
    seed: u64,
}

impl Clock {
    /// What the clock shows.
    pub(super) fn show(&self, now: Time) -> Time {
        let step = nanos(self.step).max(1);
        Time::from_nanos(now.as_nanos() / step * step)
    }

    /// When a timer for `at` fires that is set now. Equal deadlines are equally late, however often they are set.
    pub(super) fn due(&self, now: Time, at: Time) -> Time {
        let step = nanos(self.step).max(1);
        let at = Time::from_nanos(at.as_nanos().div_ceil(step).saturating_mul(step)).max(now);
        if self.late.is_zero() {
            return at;
        }
        let drawn = mix(at.as_nanos() ^ self.seed);
        at + Duration::from_nanos(drawn % nanos(self.late).saturating_add(1))
    }

    pub(super) fn step(&self) -> Duration {
        self.step
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Sim {
    /// What a host's clock shows.
    pub(super) fn clock(&self, host: HostId) -> Time {
        self.hosts[host.0].clock.show(self.now)
    }

    /// Makes a host's clock coarse: it moves in steps of this length, as that of some systems does (15.6 ms, 1 ms).
    pub fn set_clock_step(&mut self, host: HostId, step: Duration) {
        self.hosts[host.0].clock.step = step;
    }

    /// Makes a host's timers fire late, each up to this much, as on a busy machine.
    pub fn set_timer_lateness(&mut self, host: HostId, late: Duration) {
        self.hosts[host.0].clock.late = late;
    }
}

/// One host.
pub(super) struct Host {
    pub(super) name: String,
    /// The address that the network sees.
    pub(super) address: SocketAddr,
    pub(super) config: Arc<EndpointConfig>,
    pub(super) endpoint: Endpoint,
    pub(super) listener: Option<ListenerState>,
    pub(super) process: Process,
    pub(super) clock: Clock,
    /// Until then the socket takes no datagram to send.
    pub(super) sends_refused_until: Time,
    /// The largest datagram that its interface takes; a larger one is refused, as `EMSGSIZE`.
    pub(super) interface_mtu: usize,
    /// Datagrams in the socket buffer of a paused process, and their bytes.
    pub(super) inbox: VecDeque<Parcel>,
    pub(super) inbox_bytes: usize,
    pub(super) inbox_bytes_max: usize,
    pub(super) inbox_drops: u64,
    /// The connection of each slot of the endpoint.
    pub(super) by_slot: Vec<Option<usize>>,
    pub(super) timer: Option<Time>,
    pub(super) rng: Rng,
    pub(super) rebinds: u16,
    pub(super) accepted: Vec<usize>,
}

/// Ethernet's, over IPv4: the largest UDP payload of most hosts.
const INTERFACE_MTU: usize = 1_472;

impl Host {
    pub(super) fn new(seed: u64, name: &str, address: SocketAddr, config: EndpointConfig) -> Self {
        let config = Arc::new(config);
        let mut rng = Rng::new(seed, &format!("host {name} {address}"));
        let clock = Clock {
            step: Duration::ZERO,
            late: Duration::ZERO,
            seed: mix(seed ^ fnv1a(name.as_bytes())),
        };
        Host {
            name: name.to_owned(),
            address,
            endpoint: Endpoint::new(Arc::clone(&config), rng.seed()),
            config,
            listener: None,
            process: Process::Running,
            clock,
            sends_refused_until: Time::ZERO,
            interface_mtu: INTERFACE_MTU,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            inbox_bytes_max: 8 << 20,
            inbox_drops: 0,
            by_slot: Vec::new(),
            timer: None,
            rng,
            rebinds: 0,
            accepted: Vec::new(),
        }
    }

    /// A new process on the same address: it knows nothing of the old one's connections.
    pub(super) fn restart(&mut self) {
        self.endpoint = Endpoint::new(Arc::clone(&self.config), self.rng.seed());
        self.process = Process::Running;
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.by_slot.clear();
        self.timer = None;
        if let Some(listener) = &self.listener {
            self.endpoint
                .set_listening(Listening::Yes, &listener.config);
        }
    }

    /// The connection that an endpoint's handle names.
    pub(super) fn connection(&self, handle: Handle) -> Option<usize> {
        let index = usize::try_from(handle.index).ok()?;
        self.by_slot.get(index).copied().flatten()
    }

    pub(super) fn seat(&mut self, handle: Handle, connection: Option<usize>) {
        let index = usize::try_from(handle.index).expect("a slot in memory");
        if self.by_slot.len() <= index {
            self.by_slot.resize(index + 1, None);
        }
        self.by_slot[index] = connection;
    }

    /// A datagram reaches the socket buffer of a paused process.
    pub(super) fn store(&mut self, parcel: Parcel) {
        if self.inbox_bytes + parcel.bytes.len() > self.inbox_bytes_max {
            self.inbox_drops += 1;
            return;
        }
        self.inbox_bytes += parcel.bytes.len();
        self.inbox.push_back(parcel);
    }
}

/// What is known of one end of a connection; it stays known when the connection is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Where it runs.
    pub host: HostId,
    /// When the handshake was done here.
    pub opened_at: Option<Time>,
    /// Bytes that `write` took.
    pub written: u64,
    /// Bytes that were read.
    pub read: u64,
    /// When the end of the peer's stream was read.
    pub end_at: Option<Time>,
    /// The error that the application was told.
    pub failure: Option<CloseReason>,
    /// When the connection was over: nothing more to send or to receive.
    pub closed_at: Option<Time>,
}

/// One end of a connection: the core, its application, and what the simulator knows.
pub(super) struct Occupied {
    pub(super) handle: Handle,
    /// `None` once it is over and nobody can read from it any more.
    pub(super) connection: Option<Connection>,
    pub(super) app: Option<Box<dyn App>>,
    pub(super) seat: Seat,
    pub(super) tap: Tap,
    pub(super) tracer: Tracer,
    /// The host at the peer's first address.
    pub(super) peer_host: Option<HostId>,
    /// When the pending timer event fires; earlier ones are stale.
    pub(super) timer: Option<Time>,
    pub(super) wake: Option<Time>,
    /// Whether the endpoint no longer knows it.
    pub(super) is_removed: bool,
}

/// What an application's calls change beside the connection.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) report: Report,
    pub(super) flow: usize,
    pub(super) peer_flow: Option<usize>,
    pub(super) wake_wanted: Option<Time>,
    pub(super) is_read_shut: bool,
    pub(super) is_released: bool,
    pub(super) is_aborted: bool,
    pub(super) rng: Rng,
}

impl Seat {
    pub(super) fn new(host: HostId, flow: usize, rng: Rng) -> Self {
        let report = Report {
            host,
            opened_at: None,
            written: 0,
            read: 0,
            end_at: None,
            failure: None,
            closed_at: None,
        };
        Seat {
            report,
            flow,
            peer_flow: None,
            wake_wanted: None,
            is_read_shut: false,
            is_released: false,
            is_aborted: false,
            rng,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(step: Duration, late: Duration) -> Clock {
        Clock {
            step,
            late,
            seed: 5,
        }
    }

    #[test]
    fn a_coarse_clock_shows_a_deadline_as_passed_when_its_timer_fires() {
        let clock = clock(Duration::from_micros(15_600), Duration::ZERO);
        for micros in (0..100_000).step_by(37) {
            let at = Time::from_micros(micros);
            assert!(clock.show(at) <= at && at - clock.show(at) < clock.step());
            let due = clock.due(Time::ZERO, at);
            assert!(due >= at && clock.show(due) >= at && due - at < clock.step());
            assert_eq!(
                clock.due(due + clock.step(), at),
                due + clock.step(),
                "at once"
            );
        }
    }

    #[test]
    fn late_timers_are_late_within_their_bound_and_the_same_each_time() {
        let late = Duration::from_millis(4);
        let clock = clock(Duration::ZERO, late);
        let mut sum = Duration::ZERO;
        for micros in 0..10_000 {
            let at = Time::from_micros(micros);
            let due = clock.due(Time::ZERO, at);
            assert!(due >= at && due - at <= late);
            assert_eq!(clock.due(Time::ZERO, at), due);
            sum += due - at;
        }
        assert!((sum / 10_000).abs_diff(late / 2) < Duration::from_micros(50));
    }
}
