//! [`Lamport`]: one number, greater than those of all events that led here (Lamport 1978).

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The largest stamp that is believed. A process that counts a thousand million events a second gets there in 292
/// years: whoever sends more has not counted.
pub const STAMP_MAX: u64 = 1 << 63;

/// A logical clock that threads share: a counter that never goes back.
///
/// ```
/// use aqueduct::clock::Lamport;
///
/// let (here, there) = (Lamport::new(), Lamport::new());
/// let sent = here.stamp_send();
/// let received = there.merge_recv(sent)?;
/// assert!(sent < received);
/// # Ok::<(), aqueduct::clock::StampError>(())
/// ```
#[derive(Debug, Default)]
pub struct Lamport(AtomicU64);

/// A stamp that cannot be true.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a stamp of {0} is above all that a clock can have counted")]
pub struct StampError(pub u64);

impl Lamport {
    /// A clock that has seen nothing. Its first stamp is 1.
    pub const fn new() -> Self {
        Lamport(AtomicU64::new(0))
    }

    /// A clock that goes on after `stamp`, which a process had saved before it was restarted.
    ///
    /// # Errors
    /// [`StampError`] above [`STAMP_MAX`].
    pub fn resume(stamp: u64) -> Result<Self, StampError> {
        Ok(Lamport(AtomicU64::new(believable(stamp)?)))
    }

    /// The stamp of the latest event; 0 before any.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Something happened here: its stamp.
    pub fn tick(&self) -> u64 {
        self.advance(0)
    }

    /// A message leaves: the stamp that it carries.
    pub fn stamp_send(&self) -> u64 {
        self.tick()
    }

    /// A message came in with this stamp: that of its arrival, which is greater than both.
    ///
    /// # Errors
    /// [`StampError`] for a stamp above [`STAMP_MAX`]; the clock stays as it was.
    pub fn merge_recv(&self, stamp: u64) -> Result<u64, StampError> {
        Ok(self.advance(believable(stamp)?))
    }

    /// The next stamp, above `seen`. Two threads never get the same one.
    fn advance(&self, seen: u64) -> u64 {
        // What is believed is at most 2^63, so nobody lives to see the other half counted up.
        let next = |now: u64| Some(now.max(seen).saturating_add(1));
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        before.unwrap_or_else(|now| now).max(seen).saturating_add(1)
    }
}

fn believable(stamp: u64) -> Result<u64, StampError> {
    if stamp > STAMP_MAX {
        return Err(StampError(stamp));
    }
    Ok(stamp)
}

/// A Lamport stamp and whose it is: a total order in which causes come before their effects.
///
/// ```
/// use aqueduct::clock::Stamp;
///
/// let mut log = [Stamp::new(2, "b"), Stamp::new(2, "a"), Stamp::new(1, "c")];
/// log.sort();
/// assert_eq!(log.map(|stamp| stamp.node), ["c", "a", "b"]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Stamp<N> {
    /// What the Lamport clock said.
    pub time: u64,
    /// The process whose clock it was; no two have the same name.
    pub node: N,
}

impl<N> Stamp<N> {
    /// The stamp `time` of `node`.
    pub const fn new(time: u64, node: N) -> Self {
        Stamp { time, node }
    }
}
