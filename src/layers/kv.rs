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
//! [`KvStore`] keeps the state on disk, and is what openraft asks of a state machine; the log is a [`RedbLog`](crate::raft::RedbLog).
//!
//! Invariant: what a command does follows from the state, the command, and its place in the log.

#![expect(
    clippy::result_large_err,
    reason = "the errors are openraft's, and their size is its choice"
)]

mod answer;
mod client;
mod clock;
mod command;
mod disk;
mod events;
pub mod fence;
mod files;
mod lease;
mod limits;
mod machine;
mod node;
mod protocol;
mod recipe;
mod service;
mod session;
mod snapshot;
mod state;

pub use answer::{Answer, Change, OpAnswer, Refusal, Versioned};
pub use client::{ClientConfig, KvClient, KvError, Lease, LockGuard, WriteOnce};
pub use clock::{LeaseClock, NotHeld, Renewal, SESSION_TTL, Tenancy};
pub use command::{Cmd, Compare, Expect, Op, Request, Txn};
pub use disk::StoreError;
pub use events::{Event, Watched};
pub use lease::LeaseView;
pub use limits::Limits;
pub use machine::{KvStore, KvTypes};
pub use node::{KvNode, NodeConfig, NodeError};
pub use protocol::{Consistency, Found, NodeStatus};
pub use recipe::{Acquired, Mutex};
pub use snapshot::{
    SnapshotError, SnapshotWriter, read_snapshot, read_snapshot_head, write_snapshot,
};
pub use state::{Applied, Position, StateMachine};

#[cfg(test)]
mod tests;
