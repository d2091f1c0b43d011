//! Time as the core sees it: nanoseconds on a monotonic clock that somebody else reads.
//!
//! Nothing below the runtime reads a clock. Every input carries `now`, so the same core runs on real
//! time, in the simulator, and in a unit test that writes its own instants.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// An instant: nanoseconds since an origin that the driver chose.
///
/// All arithmetic saturates: an instant never wraps, and no instant lies before the origin.
///
/// ```
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let start = Time::from_nanos(5);
/// let later = start + Duration::from_nanos(10);
/// assert_eq!(later - start, Duration::from_nanos(10));
/// assert_eq!(start - later, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Time = Time(0);
    /// The end of time, about 584 years after the origin.
    pub const MAX: Time = Time(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros.saturating_mul(1_000))
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis.saturating_mul(MILLISECOND))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The first whole millisecond that is not before this instant.
    pub const fn next_millisecond(self) -> Time {
        Time::from_millis(self.0.div_ceil(MILLISECOND))
    }

    /// Whether this is a whole number of milliseconds after the origin.
    pub const fn is_whole_millisecond(self) -> bool {
        self.0 % MILLISECOND == 0
    }

    /// Whole microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }
}

/// Nanoseconds of `duration`, at most `u64::MAX`.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, rhs: Duration) -> Time {
        Time(self.0.saturating_add(nanos(rhs)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, rhs: Duration) -> Time {
        Time(self.0.saturating_sub(nanos(rhs)))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, rhs: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

/// When something must be looked at again, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The instant at which the timeout is due.
    pub at: Time,
    /// What is due then.
    pub why: Timer,
}

impl Deadline {
    /// The earlier of two optional deadlines; the first one on a tie.
    pub fn earlier(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// Every reason for which a connection wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// Repeat the SYN (RFC 6298 s2.1).
    Syn,
    /// Opening the connection takes too long.
    Connect,
    /// A packet is old enough to count as lost (RFC 9002 s6.1.2).
    Loss,
    /// The probe timeout: nothing was acknowledged for too long (RFC 9002 s6.2).
    Probe,
    /// The pacer allows the next packet.
    Pacing,
    /// A delayed acknowledgement is due.
    AckDelay,
    /// The peer's window is closed, or too small to use: ask (RFC 9293 s3.8.6.1).
    ZeroWindow,
    /// Keep-alive (RFC 1122 s4.2.3.6).
    KeepAlive,
    /// Nothing was heard for the agreed idle time.
    Idle,
    /// The peer left data unacknowledged for too long (RFC 5482).
    User,
    /// A new path has not answered its challenge.
    Path,
    /// A liveness probe after an ICMP error was not answered.
    Liveness,
    /// The owner left, and its data was not delivered within the linger time.
    Linger,
    /// FIN_WAIT_2 without an owner.
    FinWait2,
    /// Data stopped in the midst of its flow: the peer is asked whether it knows where this side is.
    Silence,
    /// Nothing happened for a while: memory is given back.
    Rest,
}

impl Timer {
    /// Whether the peer could have made it void: what it has sent must be heard before the timer may fire.
    pub fn awaits_peer(self) -> bool {
        !matches!(self, Timer::Pacing | Timer::AckDelay | Timer::Rest)
    }
}
