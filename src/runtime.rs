//! Sockets, threads and the clock: what drives the core of the crate in a real process.
//!
//! A *shard* is what one loop serves: sockets, the core's endpoint, connections. Each `Endpoint` has a
//! shard; all streams that own their socket share one, the process's.
//!
//! Three rules say which thread does what. Whoever changes a connection sends what it wants to send
//! ([`cell`]). Whoever waits for a shard may take its turns ([`turn`], [`leader`]): receive, fire deadlines,
//! tell the waiters. When nobody does, the shard's own thread does ([`background`]), asleep until a socket,
//! a deadline or another thread wants something: what is idle costs no processor time.

mod background;
mod backlog;
mod batches;
mod cell;
mod clock;
mod deadlines;
#[cfg(feature = "_tasks")]
#[cfg_attr(
    not(all(feature = "tokio", target_os = "linux")),
    path = "runtime/undriven.rs"
)]
pub(crate) mod driver;
mod leader;
mod mailbox;
#[cfg(model)]
#[path = "../model/src/model.rs"]
pub mod model;
#[cfg(all(feature = "tokio", target_os = "linux"))]
mod nap;
mod platform;
#[cfg(feature = "_tasks")]
mod polling;
mod port;
mod shard;
#[cfg(not(model))]
mod slabs;
mod sleep;
mod socket;
mod spin;
#[cfg(feature = "_tasks")]
mod tasks;
mod turn;
mod waiters;

use std::io;
use std::sync::{Arc, PoisonError, Weak};

use crate::config::EndpointConfig;
use crate::endpoint::Endpoint;

use platform::{Mutex, MutexGuard};

#[cfg(feature = "tokio")]
pub(crate) use background::serve;
pub(crate) use backlog::Backlog;
pub(crate) use cell::{Blocked, Cell, CellState, Limit, Owner, Side};
#[cfg(feature = "kv")]
pub(crate) use clock::boot;
pub(crate) use clock::now;
#[cfg(test)]
pub(crate) use leader::Baton;
#[cfg(test)]
pub(crate) use mailbox::Command;
pub(crate) use port::Port;
pub(crate) use shard::Shard;
pub(crate) use socket::SocketOptions;
#[cfg(feature = "_tasks")]
pub(crate) use tasks::Seat;
#[cfg(test)]
pub(crate) use turn::Wish;

/// All shards of the process, for [`shards`].
#[cfg(not(model))]
static SHARDS: Mutex<Vec<Weak<Shard>>> = Mutex::new(Vec::new());
/// The shard of the streams that own their socket.
#[cfg(not(model))]
static COMMON: Mutex<Option<Arc<Shard>>> = Mutex::new(None);
#[cfg(model)]
shuttle::lazy_static! {
    static ref SHARDS: Mutex<Vec<Weak<Shard>>> = Mutex::new(Vec::new());
    static ref COMMON: Mutex<Option<Arc<Shard>>> = Mutex::new(None);
}

/// Starts a shard of its own for an endpoint.
pub(crate) fn start(config: Arc<EndpointConfig>) -> io::Result<Arc<Shard>> {
    let shard = prepare(config)?;
    background::serve(&shard)?;
    Ok(shard)
}

/// A shard that nobody serves yet.
fn prepare(config: Arc<EndpointConfig>) -> io::Result<Arc<Shard>> {
    let shard = background::prepare(Endpoint::new(config, seed()?))?;
    let mut shards = lock(&SHARDS);
    shards.retain(|shard| shard.strong_count() > 0);
    shards.push(Arc::downgrade(&shard));
    Ok(shard)
}

/// What an endpoint draws all its random numbers from.
#[cfg(not(model))]
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

#[cfg(model)]
fn seed() -> io::Result<[u8; 32]> {
    Ok(model::seed())
}

/// No stream of its own socket will come any more in this run of the model.
#[cfg(model)]
fn disown_common() {
    if let Some(shard) = lock(&COMMON).take() {
        shard.disown();
    }
}

/// The shard of all streams that own their socket; it starts with the first one.
pub(crate) fn common() -> io::Result<Arc<Shard>> {
    let mut common = lock(&COMMON);
    if let Some(shard) = common.as_ref().filter(|shard| !shard.has_ended()) {
        return Ok(shard.clone());
    }
    let shard = start(Arc::new(EndpointConfig::default()))?;
    *common = Some(shard.clone());
    Ok(shard)
}

/// The shards of the process that serve anything.
pub(crate) fn shards() -> Vec<Arc<Shard>> {
    lock(&SHARDS).iter().filter_map(Weak::upgrade).collect()
}

/// Locks a mutex. Poison is passed over: a panic of one thread must not become one of another, and a
/// loop that panicked is told to all waiters by its end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
