//! Real sockets, real threads, real processes: what no simulation shows.
//!
//! Everything stays on loopback and ends by itself. Some tests count what the process holds, so all of them run
//! one after the other.
#![cfg(feature = "runtime")]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod address_change;
#[cfg(feature = "rpc")]
mod calls;
mod cycles;
#[cfg(feature = "rpc")]
mod detect;
mod fairness;
mod own_address;
mod path_mtu;
#[cfg(feature = "rpc")]
mod pools;
mod process;
mod relayed;
#[path = "../support/mod.rs"]
mod support;
mod trace;

/// Held by the test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
