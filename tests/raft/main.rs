//! Raft over aqueduct: openraft's own suite on the log store, a disk that fails in every way, and clusters on loopback.
//!
//! The names `r1_…` to `r22_…` are those of the rows of the design's list; a failure prints its seed.
#![cfg(feature = "raft")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]
#![expect(
    clippy::result_large_err,
    reason = "the errors are openraft's, and their size is its choice"
)]

mod cluster;
mod disk;
mod faulty_disk;
mod machine;
mod network;
mod node;
mod snapshots;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::io::Cursor;

use aqueduct::raft::PeerIdentity;

openraft::declare_raft_types!(
    /// Strings go in; how many there were comes out.
    pub(crate) Types: D = String, R = u64, NodeId = u64, Node = openraft::BasicNode
);

fn identity(node: u64) -> PeerIdentity {
    PeerIdentity::of(0xA9_u128 << 100, &node).unwrap()
}

/// Runs a future on a runtime of its own.
fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}
