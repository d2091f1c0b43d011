//! Is the other side alive? Deadlines, suspicion that grows, pings, heartbeats.
//!
//! No one can know: a peer that is silent may be dead, stopped, cut off, or slow, and so may this process. What can be had is
//! a suspicion that comes soon when the peer is dead and seldom when it is not.
//!
//! | part | what it does |
//! |---|---|
//! | [`Deadline`] | silence for a fixed time is death |
//! | [`PhiAccrual`] | silence is measured against the intervals seen before (Hayashibara 2004): on a steady path it is noticed sooner |
//! | [`Pinger`] | asks, when nothing else is heard |
//! | [`Heartbeats`] | watches many nodes that send by themselves, each with its *incarnation*, so that a restart shows |
//! | [`Monitor`] | drives [`Heartbeats`] over streams, on one thread; heartbeats travel as [`Beat`], a datagram, so that a lost byte of the stream never looks like a dead peer |
//!
//! With the feature `tokio`, `detect::tokio::Monitor` is a task instead of a thread.
//!
//! All but the last are told the time and do nothing by themselves. Everything that comes from a peer counts as a sign of
//! life, not its heartbeats alone. A process that was itself stopped must not take the silence of that time for the death of
//! all others: whoever is asked much later than he had wanted ([`PauseGuard`]) shifts what he heard by as much.

mod beat;
mod detector;
mod guard;
mod heartbeats;
mod monitor;
mod node;
mod phi;
mod pinger;
#[cfg(feature = "tokio")]
pub mod tokio;
mod watch;

pub use beat::{BEAT_BYTES, Beat};
pub use detector::{Deadline, Detector, Liveness};
pub use guard::PauseGuard;
pub use heartbeats::{Heartbeats, HeartbeatsConfig, PeerEvent};
pub use monitor::Monitor;
pub use node::{Evidence, Verdict};
pub use phi::{PhiAccrual, PhiConfig};
pub use pinger::{PingEvent, Pinger};

#[cfg(test)]
mod tests;
