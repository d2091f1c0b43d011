//! Raft between nodes that talk over aqueduct: what [openraft](https://docs.rs/openraft/0.9) asks of its user, but the state machine.
//!
//! openraft is the consensus; this module gives it a place to write and somebody to talk to, for any type configuration:
//!
//! | part | is |
//! |---|---|
//! | [`RedbLog`] | the log, the vote and the committed index on disk, in one file of redb: group commit, checksums, and a refusal to start on damage |
//! | [`PeerIdentity`] | the cluster and the node that a file, or a connection, belongs to |
//!
//! The crate never enables openraft's features `generic-snapshot-data` and `single-term-leader`, which change it for a whole build;
//! it works in a build whose user does. openraft's `singlethreaded` is not supported: a log is written by a thread.

#![expect(
    clippy::result_large_err,
    reason = "the errors are openraft's, and their size is its choice"
)]

mod identity;
mod log;

pub use identity::PeerIdentity;
pub use log::{LogConfig, OpenError, Place, RedbLog};
