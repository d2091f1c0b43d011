//! What a user may set: per connection ([`Config`]) and per UDP socket ([`EndpointConfig`]).
//!
//! Every value has a default that suits most programs. `with_*` methods take the configuration and give
//! it back changed, the methods without a prefix read it. Values are checked in one place, [`Config::validate`]
//! and [`EndpointConfig::validate`], which everything that takes a configuration calls for the user.

mod busy_poll;
mod endpoint;

use std::time::Duration;

pub use busy_poll::BusyPoll;
pub use endpoint::EndpointConfig;

use crate::congestion::Congestion;
use crate::limits::{BURST_SEGMENTS, DATAGRAM_MAX_V4, DATAGRAM_MIN};
#[cfg(feature = "trace")]
use crate::trace::Traces;

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
/// More loss than this is no noise that a sender may ignore, thousandths.
const LOSS_TOLERANCE_MAX: u16 = 150;
/// The shortest burst: one datagram and the next, if the timer is late.
const BURST_MIN: u16 = 2;
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
    pub(crate) send_buffer_max: usize,
    pub(crate) receive_window: u32,
    pub(crate) receive_window_max: u32,
    pub(crate) max_ack_delay: Duration,
    pub(crate) max_datagram: u16,
    pub(crate) datagram_max: u16,
    pub(crate) nodelay: bool,
    pub(crate) abort_on_unread: bool,
    pub(crate) congestion: Congestion,
    pub(crate) loss_tolerance: u16,
    pub(crate) max_burst_segments: u16,
    #[cfg(feature = "trace")]
    pub(crate) traces: Option<Traces>,
    pub(crate) busy_poll: BusyPoll,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            connect_timeout: Duration::from_secs(20),
            user_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            keepalive: None,
            send_buffer: 1 << 20,
            send_buffer_max: 32 << 20,
            receive_window: 256 << 10,
            receive_window_max: 32 << 20,
            max_ack_delay: Duration::from_millis(8),
            max_datagram: 65_487,
            datagram_max: 65_455,
            nodelay: false,
            abort_on_unread: false,
            congestion: Congestion::default(),
            loss_tolerance: 0,
            max_burst_segments: BURST_SEGMENTS,
            #[cfg(feature = "trace")]
            traces: None,
            busy_poll: BusyPoll::default(),
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
        let wide = |window| usize::try_from(window).unwrap_or(usize::MAX);
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
        check(
            (self.send_buffer..=BUFFER_MAX).contains(&self.send_buffer_max),
            "send_buffer_max",
            "send_buffer ..= 1 GiB",
        )?;
        check(
            buffer.contains(&wide(self.receive_window)),
            "receive_window",
            BUFFER,
        )?;
        check(
            self.receive_window <= self.receive_window_max
                && wide(self.receive_window_max) <= BUFFER_MAX,
            "receive_window_max",
            "receive_window ..= 1 GiB",
        )?;
        check(
            self.max_ack_delay <= ACK_DELAY_MAX,
            "max_ack_delay",
            "0 ..= 499 ms",
        )?;
        check(
            self.loss_tolerance <= LOSS_TOLERANCE_MAX,
            "loss_tolerance",
            "0..=150 thousandths",
        )?;
        check(
            (BURST_MIN..=BURST_SEGMENTS).contains(&self.max_burst_segments),
            "max_burst_segments",
            "2..=44",
        )?;
        check(
            (DATAGRAM_MIN..=DATAGRAM_MAX_V4).contains(&datagram),
            "max_datagram",
            "1200..=65507 bytes",
        )?;
        check(
            usize::from(self.datagram_max) <= DATAGRAM_MAX_V4 - 32,
            "datagram_max",
            "0..=65475 bytes",
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

    /// Fixes how many bytes `write` takes before it blocks: those not yet sent and those not yet acknowledged, at
    /// most this many a round trip. As `SO_SNDBUF` does, it turns tuning off; [`Config::with_send_buffer_max`] after
    /// it turns tuning on again, from here on. Default: 1 MiB to begin with, tuned; 2,400 bytes to 1 GiB.
    #[must_use]
    pub fn with_send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self.send_buffer_max = bytes;
        self
    }

    /// The send buffer that a connection begins with, bytes. See [`Config::with_send_buffer`].
    pub fn send_buffer(&self) -> usize {
        self.send_buffer
    }

    /// How far the send buffer may grow, bytes: it follows twice the congestion window, so that neither the path
    /// nor the writer waits for the other. Memory is used only for what is written. Default 32 MiB;
    /// [`Config::send_buffer`] to 1 GiB.
    #[must_use]
    pub fn with_send_buffer_max(mut self, bytes: usize) -> Self {
        self.send_buffer_max = bytes;
        self
    }

    /// See [`Config::with_send_buffer_max`].
    pub fn send_buffer_max(&self) -> usize {
        self.send_buffer_max
    }

    /// Fixes the receive window: bytes that the peer may send beyond what the application has read. As `SO_RCVBUF`
    /// does, it turns tuning off; [`Config::with_receive_window_max`] after it turns tuning on again, from here on.
    /// Default: 256 KiB to begin with, tuned; 2,400 bytes to 1 GiB.
    #[must_use]
    pub fn with_receive_window(mut self, bytes: u32) -> Self {
        self.receive_window = bytes;
        self.receive_window_max = bytes;
        self
    }

    /// The receive window that a connection begins with, bytes. See [`Config::with_receive_window`].
    pub fn receive_window(&self) -> u32 {
        self.receive_window
    }

    /// How far the receive window may grow, bytes: it does while the application reads as fast as data comes.
    /// Memory is used only for what has arrived. Default 32 MiB; [`Config::receive_window`] to 1 GiB.
    #[must_use]
    pub fn with_receive_window_max(mut self, bytes: u32) -> Self {
        self.receive_window_max = bytes;
        self
    }

    /// See [`Config::with_receive_window_max`].
    pub fn receive_window_max(&self) -> u32 {
        self.receive_window_max
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

    /// The largest datagram of the application (payload, bytes) that this side accepts beside the stream; the peer is told.
    /// 0: none. Default 65,455; 0 to 65,475.
    #[must_use]
    pub fn with_datagram_max(mut self, bytes: u16) -> Self {
        self.datagram_max = bytes;
        self
    }

    /// See [`Config::with_datagram_max`].
    pub fn datagram_max(&self) -> u16 {
        self.datagram_max
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

    /// The congestion control. Default [`Congestion::default`].
    #[must_use]
    pub fn with_congestion(mut self, congestion: Congestion) -> Self {
        self.congestion = congestion;
        self
    }

    /// See [`Config::with_congestion`].
    pub fn congestion(&self) -> &Congestion {
        &self.congestion
    }

    /// Thousandths of the packets whose loss BBR takes for noise of the path and not for congestion: for paths
    /// that lose at random, and are not shared with others. Default 0; at most 150.
    #[must_use]
    pub fn with_loss_tolerance(mut self, thousandths: u16) -> Self {
        self.loss_tolerance = thousandths;
        self
    }

    /// See [`Config::with_loss_tolerance`].
    pub fn loss_tolerance(&self) -> u16 {
        self.loss_tolerance
    }

    /// Datagrams that leave back to back at most where the path is paced. Default 44, which are a whole batch for
    /// segmentation offload (8 below 100 Mbit/s, and more where they are small); 2 to 44.
    ///
    /// A router that limits a rate may have room for fewer, and drop the tail of every burst. Less than the default
    /// holds for everything that data sends: also at the beginning, after a pause, and when a thread wakes up late,
    /// which then costs rate. Round trips below 250 microseconds are not paced, and probes of a timeout do not ask.
    ///
    /// ```
    /// use aqueduct::Config;
    ///
    /// let config = Config::new().with_max_burst_segments(4);
    /// assert_eq!(config.max_burst_segments(), 4);
    /// let error = config.with_max_burst_segments(1).validate().unwrap_err();
    /// assert_eq!(error.to_string(), "max_burst_segments is out of range: it must be 2..=44");
    /// ```
    #[must_use]
    pub fn with_max_burst_segments(mut self, datagrams: u16) -> Self {
        self.max_burst_segments = datagrams;
        self
    }

    /// See [`Config::with_max_burst_segments`].
    pub fn max_burst_segments(&self) -> u16 {
        self.max_burst_segments
    }

    /// Writes what each connection does to a file of its own in this directory, as qlog: `docs/TRACES.md`. Short for
    /// [`Config::with_traces`] with [`Traces::in_dir`].
    ///
    /// ```
    /// use aqueduct::Config;
    ///
    /// let config = Config::new().with_trace_dir("traces");
    /// assert!(config.traces().is_some());
    /// ```
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn with_trace_dir(self, dir: impl Into<std::path::PathBuf>) -> Self {
        self.with_traces(Traces::in_dir(dir))
    }

    /// Where connections write what they do. Default: nowhere.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn with_traces(mut self, traces: Traces) -> Self {
        self.traces = Some(traces);
        self
    }

    /// See [`Config::with_traces`].
    #[cfg(feature = "trace")]
    pub fn traces(&self) -> Option<&Traces> {
        self.traces.as_ref()
    }

    /// Whether a thread that waits in a call looks again and again before it sleeps. Default
    /// [`BusyPoll::Adaptive`]. Only sockets know it; the simulator has no threads.
    #[must_use]
    pub fn with_busy_poll(mut self, busy_poll: BusyPoll) -> Self {
        self.busy_poll = busy_poll;
        self
    }

    /// See [`Config::with_busy_poll`].
    pub fn busy_poll(&self) -> BusyPoll {
        self.busy_poll
    }
}

#[cfg(test)]
mod tests;
