//! What a user may set: per connection ([`Config`]) and per UDP socket ([`EndpointConfig`]).
//!
//! Every value has a default that suits most programs. `with_*` methods take the configuration and give
//! it back changed, the methods without a prefix read it. Values are checked in one place, [`Config::validate`]
//! and [`EndpointConfig::validate`], which everything that takes a configuration calls for the user.

use std::time::Duration;

use crate::limits::{DATAGRAM_MAX_V4, DATAGRAM_MIN};

/// A value of a configuration is outside its range; the text says which, and what is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name} is out of range: it must be {range}")]
pub struct ConfigError {
    name: &'static str,
    range: &'static str,
}

impl ConfigError {
    /// The name of the value, as its getter is called.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// `Err` naming the value unless it `holds` its range.
fn check(holds: bool, name: &'static str, range: &'static str) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError { name, range })
}

/// The shortest timeout that a configuration may have.
pub(crate) const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// The longest timeout that a configuration may have: a year, so that no sum of times overflows.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 86_400);
/// The longest idle timeout: what 32 bits of milliseconds say.
const IDLE_MAX: Duration = Duration::from_millis(0xffff_ffff);
/// The longest delay of an acknowledgement: less than half a second (RFC 9293 s3.8.6.3, MUST-40).
const ACK_DELAY_MAX: Duration = Duration::from_millis(499);
/// The smallest buffer or window: two base datagrams, below which no connection makes progress.
const BUFFER_MIN: usize = 2 * DATAGRAM_MIN;
/// The largest buffer or window, 1 GiB: the memory that a whole process should not exceed.
const BUFFER_MAX: usize = 1 << 30;

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

impl Default for Keepalive {
    /// Probes after 15 s of silence, 5 s apart; four unanswered ones end the connection.
    fn default() -> Self {
        Keepalive {
            idle: Duration::from_secs(15),
            interval: Duration::from_secs(5),
            count: 4,
        }
    }
}

impl Keepalive {
    fn is_valid(&self) -> bool {
        is_timeout(self.idle) && is_timeout(self.interval) && self.count > 0
    }
}

fn is_timeout(duration: Duration) -> bool {
    (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&duration)
}

/// How one connection behaves.
///
/// ```
/// use aqueduct::config::{Config, Keepalive};
/// use std::time::Duration;
///
/// let config = Config::new()
///     .with_connect_timeout(Duration::from_secs(5))
///     .with_user_timeout(Some(Duration::from_secs(30)))
///     .with_keepalive(Some(Keepalive::default()))
///     .with_nodelay(true);
/// assert!(config.nodelay());
/// assert_eq!(config.validate(), Ok(()));
///
/// let error = config.with_max_datagram(100).validate().unwrap_err();
/// assert_eq!(error.to_string(), "max_datagram is out of range: it must be 1200..=65507 bytes");
/// ```
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

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        const TIMEOUT: &str = "1 ms ..= 365 days";
        const BUFFER: &str = "2400 bytes ..= 1 GiB";
        let buffer = BUFFER_MIN..=BUFFER_MAX;
        let window = usize::try_from(self.receive_window).unwrap_or(usize::MAX);
        let datagram = usize::from(self.max_datagram);
        check(is_timeout(self.connect_timeout), "connect_timeout", TIMEOUT)?;
        check(
            self.user_timeout.is_none_or(is_timeout),
            "user_timeout",
            TIMEOUT,
        )?;
        check(
            self.idle_timeout
                .is_none_or(|idle| (TIMEOUT_MIN..=IDLE_MAX).contains(&idle)),
            "idle_timeout",
            "1 ms ..= 4294967295 ms",
        )?;
        check(
            self.keepalive.is_none_or(|keepalive| keepalive.is_valid()),
            "keepalive",
            "idle and interval of 1 ms ..= 365 days, and a count of at least 1",
        )?;
        check(buffer.contains(&self.send_buffer), "send_buffer", BUFFER)?;
        check(buffer.contains(&window), "receive_window", BUFFER)?;
        check(
            self.max_ack_delay <= ACK_DELAY_MAX,
            "max_ack_delay",
            "0 ..= 499 ms",
        )?;
        check(
            (DATAGRAM_MIN..=DATAGRAM_MAX_V4).contains(&datagram),
            "max_datagram",
            "1200..=65507 bytes",
        )
    }

    /// How long `connect` tries; then it fails with `TimedOut`. Default 20 s; 1 ms to 365 days.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// See [`Config::with_connect_timeout`].
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How long the peer may leave data unacknowledged (or keep its window closed without a sign of life)
    /// before the connection ends with `TimedOut` (RFC 5482); `None` waits for ever. Default 60 s; 1 ms to
    /// 365 days.
    #[must_use]
    pub fn with_user_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.user_timeout = timeout;
        self
    }

    /// See [`Config::with_user_timeout`].
    pub fn user_timeout(&self) -> Option<Duration> {
        self.user_timeout
    }

    /// How long the connection may be silent in both directions before it ends with `TimedOut`; the lower
    /// value of the two sides holds. Default `None`: for ever. 1 ms to 4,294,967,295 ms (the width of its field).
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// See [`Config::with_idle_timeout`].
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Probes that find out whether a silent peer is there (RFC 1122 s4.2.3.6). Default `None`: off. Both times
    /// are 1 ms to 365 days, the count is at least 1.
    #[must_use]
    pub fn with_keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// See [`Config::with_keepalive`].
    pub fn keepalive(&self) -> Option<Keepalive> {
        self.keepalive
    }

    /// Bytes that `write` takes before it blocks: those not yet sent and those not yet acknowledged. It bounds
    /// the throughput to this much a round trip. Default 1 MiB; 2,400 bytes to 1 GiB.
    #[must_use]
    pub fn with_send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// See [`Config::with_send_buffer`].
    pub fn send_buffer(&self) -> usize {
        self.send_buffer
    }

    /// The receive window that a connection begins with, bytes. It grows by itself while the application reads
    /// as fast as data comes. Default 256 KiB; 2,400 bytes to 1 GiB.
    #[must_use]
    pub fn with_receive_window(mut self, bytes: u32) -> Self {
        self.receive_window = bytes;
        self
    }

    /// See [`Config::with_receive_window`].
    pub fn receive_window(&self) -> u32 {
        self.receive_window
    }

    /// The longest that this side delays an acknowledgement; the peer is told. Default 8 ms; 0 to 499 ms
    /// (RFC 9293 s3.8.6.3 wants less than half a second).
    #[must_use]
    pub fn with_max_ack_delay(mut self, delay: Duration) -> Self {
        self.max_ack_delay = delay;
        self
    }

    /// See [`Config::with_max_ack_delay`].
    pub fn max_ack_delay(&self) -> Duration {
        self.max_ack_delay
    }

    /// The largest datagram (UDP payload, bytes) that this side accepts; the peer is told. Default 65,487, the
    /// most that fits an IPv6 packet; 1,200 to 65,507.
    #[must_use]
    pub fn with_max_datagram(mut self, bytes: u16) -> Self {
        self.max_datagram = bytes;
        self
    }

    /// See [`Config::with_max_datagram`].
    pub fn max_datagram(&self) -> u16 {
        self.max_datagram
    }

    /// What `nodelay` of a new stream says. It is stored for compatibility alone: there is no Nagle algorithm
    /// here, and every write leaves at once either way, as far as the window allows. Default `false`, as in std.
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// See [`Config::with_nodelay`].
    pub fn nodelay(&self) -> bool {
        self.nodelay
    }

    /// Whether dropping a stream with unread data resets the connection at once, as kernel TCP does, even if the
    /// peer then loses our last bytes. Otherwise the reset waits until they are acknowledged. Default `false`.
    #[must_use]
    pub fn with_abort_on_unread(mut self, abort: bool) -> Self {
        self.abort_on_unread = abort;
        self
    }

    /// See [`Config::with_abort_on_unread`].
    pub fn abort_on_unread(&self) -> bool {
        self.abort_on_unread
    }
}

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
    pub(crate) allow_reflector_ports: bool,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            backlog: 1_024,
            time_wait: Duration::from_secs(60),
            socket_buffer: 8 << 20,
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
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        assert_eq!(Config::new().validate(), Ok(()));
        assert_eq!(EndpointConfig::new().validate(), Ok(()));
    }

    #[test]
    fn each_value_is_checked_at_both_ends_of_its_range() {
        let ms = Duration::from_millis;
        let keepalive = |count| {
            Some(Keepalive {
                count,
                ..Keepalive::default()
            })
        };
        let cases: [(&str, Config, Config); 12] = [
            (
                "connect_timeout",
                Config::new().with_connect_timeout(ms(0)),
                Config::new().with_connect_timeout(ms(1)),
            ),
            (
                "connect_timeout",
                Config::new().with_connect_timeout(Duration::MAX),
                Config::new().with_connect_timeout(TIMEOUT_MAX),
            ),
            (
                "user_timeout",
                Config::new().with_user_timeout(Some(ms(0))),
                Config::new().with_user_timeout(None),
            ),
            (
                "idle_timeout",
                Config::new().with_idle_timeout(Some(ms(0x1_0000_0000))),
                Config::new().with_idle_timeout(Some(ms(0xffff_ffff))),
            ),
            (
                "idle_timeout",
                Config::new().with_idle_timeout(Some(ms(0))),
                Config::new().with_idle_timeout(None),
            ),
            (
                "keepalive",
                Config::new().with_keepalive(keepalive(0)),
                Config::new().with_keepalive(keepalive(1)),
            ),
            (
                "send_buffer",
                Config::new().with_send_buffer(2_399),
                Config::new().with_send_buffer(2_400),
            ),
            (
                "send_buffer",
                Config::new().with_send_buffer((1 << 30) + 1),
                Config::new().with_send_buffer(1 << 30),
            ),
            (
                "receive_window",
                Config::new().with_receive_window(2_399),
                Config::new().with_receive_window(2_400),
            ),
            (
                "max_ack_delay",
                Config::new().with_max_ack_delay(ms(500)),
                Config::new().with_max_ack_delay(ms(0)),
            ),
            (
                "max_datagram",
                Config::new().with_max_datagram(1_199),
                Config::new().with_max_datagram(1_200),
            ),
            (
                "max_datagram",
                Config::new().with_max_datagram(65_508),
                Config::new().with_max_datagram(65_507),
            ),
        ];
        for (name, bad, good) in cases {
            assert_eq!(bad.validate().map_err(|error| error.name()), Err(name));
            assert_eq!(good.validate(), Ok(()), "{name}");
        }
    }

    #[test]
    fn values_of_an_endpoint_are_checked() {
        let name = |config: EndpointConfig| config.validate().map_err(|error| error.name());
        assert_eq!(name(EndpointConfig::new().with_backlog(0)), Err("backlog"));
        assert_eq!(name(EndpointConfig::new().with_backlog(1)), Ok(()));
        assert_eq!(
            name(EndpointConfig::new().with_time_wait(Duration::from_secs(3_601))),
            Err("time_wait")
        );
        assert_eq!(
            name(EndpointConfig::new().with_time_wait(Duration::ZERO)),
            Ok(())
        );
        assert_eq!(
            name(EndpointConfig::new().with_socket_buffer(0)),
            Err("socket_buffer")
        );
    }

    #[test]
    fn every_setter_is_seen_by_its_getter() {
        let ms = Duration::from_millis;
        let keepalive = Keepalive {
            idle: ms(1),
            interval: ms(2),
            count: 3,
        };
        let config = Config::new()
            .with_connect_timeout(ms(1))
            .with_user_timeout(Some(ms(2)))
            .with_idle_timeout(Some(ms(3)))
            .with_keepalive(Some(keepalive))
            .with_send_buffer(4_000)
            .with_receive_window(5_000)
            .with_max_ack_delay(ms(6))
            .with_max_datagram(7_000)
            .with_nodelay(true)
            .with_abort_on_unread(true);
        assert_eq!(config.connect_timeout(), ms(1));
        assert_eq!(config.user_timeout(), Some(ms(2)));
        assert_eq!(config.idle_timeout(), Some(ms(3)));
        assert_eq!(config.keepalive(), Some(keepalive));
        assert_eq!(config.send_buffer(), 4_000);
        assert_eq!(config.receive_window(), 5_000);
        assert_eq!(config.max_ack_delay(), ms(6));
        assert_eq!(config.max_datagram(), 7_000);
        assert!(config.nodelay() && config.abort_on_unread());
        let config = EndpointConfig::new()
            .with_backlog(1)
            .with_time_wait(ms(2))
            .with_socket_buffer(3_000);
        assert_eq!(
            (config.backlog(), config.time_wait(), config.socket_buffer()),
            (1, ms(2), 3_000)
        );
    }
}
