//! The replicated store: openraft's storage suite, clusters on loopback, and the judges of what their clients saw.
//!
//! Histories are judged twice, by `todc-utils` (the search of Wing, Gong and Lowe) and by a checker of our own that goes through the
//! history once with all states that are possible. The two share no code and no idea. `porcupine-rs` is no third: it searches as
//! `todc-utils` does, starts threads, and brings criterion with all its features into every build of the tests.
#![cfg(feature = "kv")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod cluster;
mod histories;
mod history;
mod judges;
mod register;
mod store;
#[path = "../support/mod.rs"]
mod support;

use aqueduct::raft::PeerIdentity;

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
