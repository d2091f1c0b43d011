//! Calls for tasks (`aqueduct::msg::tokio`): over streams of this crate, and over pipes in memory where time stands still.
#![cfg(all(feature = "rpc", feature = "tokio"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod bench;
mod detect;
mod pipes;
mod pools;
mod streams;
#[path = "../support/mod.rs"]
mod support;
