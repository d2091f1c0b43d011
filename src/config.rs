//! What a user may set: per connection ([`Config`]) and per UDP socket ([`EndpointConfig`]).

use std::time::Duration;

/// Keep-alive as `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT` (RFC 1122 s4.2.3.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Silence after which the first probe is sent.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes after which the connection ends with `TimedOut`.
    pub count: u32,
}

/// How one connection behaves.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) connect_timeout: Duration,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) send_buffer: usize,
    pub(crate) receive_window: u32,
    pub(crate) max_ack_delay: Duration,
    pub(crate) max_datagram: u16,
    pub(crate) nodelay: bool,
    pub(crate) abort_on_unread: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            connect_timeout: Duration::from_secs(20),
            user_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            keepalive: None,
            send_buffer: 1 << 20,
            receive_window: 256 << 10,
            max_ack_delay: Duration::from_millis(8),
            max_datagram: 65_487,
            nodelay: false,
            abort_on_unread: false,
        }
    }
}

/// How one UDP socket and all its connections behave.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub(crate) backlog: usize,
    pub(crate) time_wait: Duration,
    pub(crate) socket_buffer: usize,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            backlog: 1_024,
            time_wait: Duration::from_secs(60),
            socket_buffer: 8 << 20,
        }
    }
}
