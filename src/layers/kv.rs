//! A replicated key-value store: every node executes the same log, and so has the same state.
//!
//! ```text
//!   Request --> log --> StateMachine --> Applied { answer, changes }      the same on every node
//!                            |
//!                            +--> snapshot <--> file
//! ```
//!
//! [`StateMachine`] is a value without clock, chance or I/O: records with revisions, write-once registers, transactions, leases, and
//! sessions in which each command is executed exactly once. `docs/KV.md` says what each command promises.
//!
//! What needs a clock stands beside it: [`LeaseClock`] is the leader's, [`LeaseView`] the holder's. [`Mutex`] makes locks and elections of the commands,
//! [`fence`] protects what they protect from holders that come too late.
//!
//! Invariant: what a command does follows from the state, the command, and its place in the log.

mod answer;
mod clock;
mod command;
pub mod fence;
mod lease;
mod limits;
mod recipe;
mod session;
mod snapshot;
mod state;

pub use answer::{Answer, Change, OpAnswer, Refusal, Versioned};
pub use clock::{LeaseClock, NotHeld, Renewal, SESSION_TTL, Tenancy};
pub use command::{Cmd, Compare, Expect, Op, Request, Txn};
pub use lease::LeaseView;
pub use limits::Limits;
pub use recipe::{Acquired, Mutex};
pub use snapshot::{SnapshotError, SnapshotWriter, read_snapshot, write_snapshot};
pub use state::{Applied, Position, StateMachine};

#[cfg(test)]
mod tests;
