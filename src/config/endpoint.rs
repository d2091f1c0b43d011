//! What a user may set for one UDP socket.

use std::time::Duration;

use super::{BUFFER_MAX, BUFFER_MIN, ConfigError, check};

/// The smallest budget, 1 MiB: some connections with the smallest window fit into it.
const MEMORY_MIN: usize = 1 << 20;

/// How one UDP socket and all its connections behave.
///
/// ```
/// use aqueduct::config::EndpointConfig;
/// use std::time::Duration;
///
/// let config = EndpointConfig::new().with_backlog(128).with_time_wait(Duration::from_secs(10));
/// assert_eq!(config.backlog(), 128);
/// assert_eq!(config.validate(), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    pub(crate) backlog: usize,
    pub(crate) time_wait: Duration,
    pub(crate) socket_buffer: usize,
    pub(crate) memory: usize,
    pub(crate) allow_reflector_ports: bool,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            backlog: 1_024,
            time_wait: Duration::from_secs(60),
            socket_buffer: 8 << 20,
            memory: 1 << 30,
            allow_reflector_ports: false,
        }
    }
}

impl EndpointConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(
            (1..=1 << 20).contains(&self.backlog),
            "backlog",
            "1..=1048576 connections",
        )?;
        check(
            self.time_wait <= Duration::from_secs(3_600),
            "time_wait",
            "0 ..= 1 hour",
        )?;
        check(
            (BUFFER_MIN..=BUFFER_MAX).contains(&self.socket_buffer),
            "socket_buffer",
            "2400 bytes ..= 1 GiB",
        )?;
        check(self.memory >= MEMORY_MIN, "memory", "1 MiB or more")
    }

    /// Connections that may wait for `accept`; when it is full, strangers are not answered and try again.
    /// Default 1,024; 1 to 1,048,576.
    #[must_use]
    pub fn with_backlog(mut self, connections: usize) -> Self {
        self.backlog = connections;
        self
    }

    /// See [`EndpointConfig::with_backlog`].
    pub fn backlog(&self) -> usize {
        self.backlog
    }

    /// How long a connection that this side closed first is remembered (2 MSL of RFC 9293 s3.6.1). It blocks no
    /// port and no new connection. It is never shorter than three probe timeouts of the connection. Default 60 s;
    /// 0 to 1 hour.
    #[must_use]
    pub fn with_time_wait(mut self, time: Duration) -> Self {
        self.time_wait = time;
        self
    }

    /// See [`EndpointConfig::with_time_wait`].
    pub fn time_wait(&self) -> Duration {
        self.time_wait
    }

    /// Bytes of buffer to ask the kernel for, in each direction; it may give less. Default 8 MiB; 2,400 bytes to
    /// 1 GiB.
    #[must_use]
    pub fn with_socket_buffer(mut self, bytes: usize) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// See [`EndpointConfig::with_socket_buffer`].
    pub fn socket_buffer(&self) -> usize {
        self.socket_buffer
    }

    /// Bytes of memory that all connections of the endpoint may hold together for data that was received and not read,
    /// or written and not acknowledged. From three quarters of it on no window grows, and new ones are small; when
    /// it is used up, data is not taken and strangers wait, and the connections that have stood still for longest are
    /// reset. What was acknowledged is never dropped. Default 1 GiB; at least 1 MiB.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// See [`EndpointConfig::with_memory`].
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Whether `connect` may go to ports where services usually are that answer forged requests (DNS, NTP, SSDP
    /// and such; RFC 9000 s21.5). Default `false`.
    #[must_use]
    pub fn with_allow_reflector_ports(mut self, allow: bool) -> Self {
        self.allow_reflector_ports = allow;
        self
    }

    /// See [`EndpointConfig::with_allow_reflector_ports`].
    pub fn allow_reflector_ports(&self) -> bool {
        self.allow_reflector_ports
    }
}
