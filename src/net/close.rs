//! Ending well: was everything delivered, and what if the process ends first?

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::Stream;
use super::error::{StreamError, failed, of_blocked};
use crate::error::CloseReason;
use crate::runtime::{self, Blocked, CellState, Limit, Side};

/// How long the end of the process waits at most, unless [`set_exit_drain`] says otherwise.
const EXIT_DRAIN_MILLIS: u64 = 2_000;

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivered {
    /// The peer's host has it: everything written so far is acknowledged.
    Acked,
    /// The peer's application has it: everything written so far was read.
    Read,
}

/// A stream that was closed with everything delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Closed {
    /// Bytes written over the stream's life, all of them acknowledged.
    pub acked: u64,
    /// Whether the peer's application was known to have read them all.
    pub read_by_peer: bool,
}

/// Why [`Stream::close`] cannot say that everything was delivered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The time was over first. Delivery goes on in the background.
    #[error("peer {peer} has acknowledged {acked} of {written} bytes in time")]
    TimedOut {
        /// The peer.
        peer: SocketAddr,
        /// Bytes acknowledged.
        acked: u64,
        /// Bytes written.
        written: u64,
    },
    /// The connection failed; what was not acknowledged may be lost.
    #[error("peer {peer} {reason}")]
    Failed {
        /// The peer.
        peer: SocketAddr,
        /// What happened.
        reason: CloseReason,
    },
}

impl From<CloseError> for io::Error {
    fn from(error: CloseError) -> Self {
        let kind = match &error {
            CloseError::TimedOut { .. } => io::ErrorKind::TimedOut,
            CloseError::Failed { reason, .. } => reason.kind(),
        };
        io::Error::new(kind, error)
    }
}

impl Stream {
    /// Waits until everything written so far is delivered, for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut` if it is not; the connection's own error, without taking it, if it failed first;
    /// `NotConnected` if both sides have finished and the peer had not reported everything as read: it
    /// has everything, but will report no more.
    pub fn wait_delivered(&self, what: Delivered, timeout: Duration) -> io::Result<()> {
        let cell = self.cell();
        match wait(cell, what, timeout) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(failed(cell.peer, reason)),
            Err(Blocked::LoopEnded) => Err(of_blocked(cell.peer, Blocked::LoopEnded)),
            Err(_) => Err(StreamError::Undelivered { peer: cell.peer }.into()),
        }
    }

    /// Shuts the writing side down, waits for at most `timeout` until everything is acknowledged, and
    /// lets the stream go.
    ///
    /// # Errors
    /// See [`CloseError`]. Whatever it says, this handle is gone; after `TimedOut` the rest is delivered
    /// in the background as if the stream had been dropped.
    pub fn close(self, timeout: Duration) -> Result<Closed, CloseError> {
        let cell = self.cell();
        cell.with(|state, _| state.connection.shutdown_write());
        let outcome = wait(cell, Delivered::Acked, timeout);
        how_it_ended(cell, outcome)
    }
}

/// What a close found: everything acknowledged, or why not.
pub(super) fn how_it_ended(
    cell: &runtime::Cell,
    outcome: Result<Result<(), CloseReason>, Blocked>,
) -> Result<Closed, CloseError> {
    let peer = cell.peer;
    let state = cell.lock();
    let info = state.connection.info(runtime::now());
    match outcome {
        Ok(Ok(())) => Ok(Closed {
            acked: info.bytes_acked,
            read_by_peer: state.connection.is_all_read_by_peer(),
        }),
        Ok(Err(reason)) => Err(CloseError::Failed { peer, reason }),
        Err(Blocked::LoopEnded) => Err(CloseError::Failed {
            peer,
            reason: CloseReason::LoopEnded,
        }),
        Err(_) => Err(CloseError::TimedOut {
            peer,
            acked: info.bytes_acked,
            written: info.bytes_written,
        }),
    }
}

/// Waits for delivery, or for the failure that rules it out.
fn wait(
    cell: &Arc<runtime::Cell>,
    what: Delivered,
    timeout: Duration,
) -> Result<Result<(), CloseReason>, Blocked> {
    cell.block_on(
        Side::Write,
        |_| Limit::After(timeout),
        |state| delivery(state, what),
    )
}

/// Whether everything is delivered, or why it never will be.
pub(super) fn delivery(state: &CellState, what: Delivered) -> Option<Result<(), CloseReason>> {
    let done = match what {
        Delivered::Acked => state.connection.is_all_acked(),
        Delivered::Read => state.connection.is_all_read_by_peer(),
    };
    if done {
        return Some(Ok(()));
    }
    // After an orderly end no report can come of what the peer's application reads.
    let ended = state.connection.is_over().then_some(CloseReason::Ended);
    state.failure.clone().or(ended).map(Err)
}

/// Waits until everything that the process has written is acknowledged, for at most `timeout`; false if
/// something is not. Connections that failed are not waited for.
///
/// A kernel goes on sending for a process that has ended; nobody does for this crate. A program gets a
/// short drain of all its streams by itself ([`set_exit_drain`]) if all of this holds:
///
/// * Its main thread has bound, connected, accepted, read, written or shut something down, if only once.
///   A program whose main thread never touches a stream must call this function.
/// * Its `main` returns, or calls `std::process::exit`. Before an `abort`, the end by a signal, or an exit
///   from another thread, call this function.
/// * The platform runs thread-local destructors at exit: Linux does.
///
/// ```
/// assert!(aqueduct::drain(std::time::Duration::from_secs(1)), "nothing was written");
/// ```
pub fn drain(timeout: Duration) -> bool {
    let deadline = runtime::now() + timeout;
    let mut all = true;
    for cell in runtime::shards().iter().flat_map(|shard| shard.cells()) {
        let left = deadline - runtime::now();
        all &= wait(&cell, Delivered::Acked, left).is_ok();
    }
    all
}

static EXIT_DRAIN: AtomicU64 = AtomicU64::new(EXIT_DRAIN_MILLIS);

/// Sets how long the end of the process may wait for what is not acknowledged; zero: not at all.
pub fn set_exit_drain(timeout: Duration) {
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    EXIT_DRAIN.store(millis, Ordering::Relaxed);
}

thread_local! {
    /// Whether this thread was asked if it is the main one.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    /// What the main thread drops when it ends.
    static AT_EXIT: AtExit = const { AtExit };
}

/// Has the main thread drain when it ends. After the first call in a thread it costs one look at a flag.
#[inline]
pub(super) fn drain_at_exit() {
    if !ASKED.get() {
        arm_exit_drain();
    }
}

#[cold]
fn arm_exit_drain() {
    ASKED.set(true);
    // A run of the model ends before its process.
    if cfg!(not(model)) && thread::current().name() == Some("main") {
        // An error says that the thread is past the drain: there is nothing left to arm.
        let _ = AT_EXIT.try_with(|_| ());
    }
}

struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        drain(Duration::from_millis(EXIT_DRAIN.load(Ordering::Relaxed)));
    }
}
