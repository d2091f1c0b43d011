//! Peers that mean harm, and strangers who forge: what they cost, and what they cannot do.
//!
//! `core` attacks the machines without I/O, in virtual time; `sockets` attacks real ones, on loopback only. Memory
//! is counted, so the tests run one after the other.

mod attacker;
mod core;
mod memory;
#[cfg(feature = "runtime")]
mod sockets;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by the test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
