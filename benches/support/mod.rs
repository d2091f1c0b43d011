//! What the benchmarks that need two processes share.
//!
//! A benchmark is the client; it starts itself again as the server, once per transport, and all of
//! its rounds go there. Rounds of the transports take turns, so that a machine that slows down
//! slows all of them. Every byte is compared where it arrives: a transport that loses or mixes up
//! bytes fails the benchmark instead of winning it.

pub(crate) mod carrier;
pub(crate) mod cpu;
pub(crate) mod latency;
pub(crate) mod pattern;
pub(crate) mod peer;
pub(crate) mod placement;
pub(crate) mod statistics;
pub(crate) mod transport;
pub(crate) mod works;

use std::time::Instant;

/// The time, for measurements.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
