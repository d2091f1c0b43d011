//! Which algorithm a connection uses, and what an algorithm is made from.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::Controller;
use crate::limits::BURST_SEGMENTS;

/// The congestion control of a connection.
///
/// ```
/// use aqueduct::Config;
/// use aqueduct::congestion::Congestion;
///
/// let config = Config::new().with_congestion(Congestion::NewReno);
/// assert!(matches!(config.congestion(), Congestion::NewReno));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Congestion {
    /// RFC 5681 and RFC 6582 as RFC 9002 s7 combines them: simple, and slow on long fast paths, where one loss
    /// costs it minutes.
    NewReno,
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406), as the kernels have it: after a loss the window is back in
    /// a time that does not depend on the round trip. The default.
    #[default]
    Cubic,
    /// BBR version 3 (draft-ietf-ccwg-bbr).
    Bbr,
    /// CUBIC where the first round trip is below 2 ms, BBR where it is longer; decided again when the path changes. No
    /// packet is marked for ECN, since BBR does not answer marks.
    Auto,
    /// The user's own: [`Congestion::custom`].
    Custom(Custom),
}

impl Congestion {
    /// A controller of one's own; `make` is called once for each path of each connection.
    pub fn custom(
        make: impl Fn(Setup) -> Box<dyn Controller> + Send + Sync + UnwindSafe + RefUnwindSafe + 'static,
    ) -> Self {
        Congestion::Custom(Custom(Arc::new(make)))
    }
}

/// Makes controllers of the user's own.
#[derive(Clone)]
pub struct Custom(Arc<Make>);

type Make = dyn Fn(Setup) -> Box<dyn Controller> + Send + Sync + UnwindSafe + RefUnwindSafe;

impl Custom {
    pub(super) fn make(&self, setup: Setup) -> Box<dyn Controller> {
        (self.0)(setup)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// What a controller begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Bytes of the largest datagram.
    pub mtu: u16,
    /// Seed of what the algorithm draws at random.
    pub seed: u64,
    /// Thousandths of the packets whose loss is taken for noise ([`Config::with_loss_tolerance`](crate::Config::with_loss_tolerance)).
    pub loss_tolerance: u16,
    /// Datagrams that leave back to back at most ([`Config::with_max_burst_segments`](crate::Config::with_max_burst_segments)).
    pub max_burst_segments: u16,
}

impl Setup {
    /// For datagrams of at most `mtu` bytes, with a fixed seed, without a loss tolerance, in bursts of the usual length.
    pub fn new(mtu: u16) -> Self {
        Setup {
            mtu,
            seed: 0,
            loss_tolerance: 0,
            max_burst_segments: BURST_SEGMENTS,
        }
    }
}
