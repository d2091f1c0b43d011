//! What the runtime stands on: the system's locks, threads and events. In the model (`tests/model`) they are those
//! of a world in which a test chooses who goes on at each step, and the same runtime is compiled over them.

#[cfg(not(model))]
pub(super) use std::{
    sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    thread::{Builder, ThreadId},
};

#[cfg(not(model))]
pub(super) use mio::{Events, Interest, Poll, Registry, Token, Waker};

#[cfg(model)]
pub(super) use super::model::{
    AtomicBool, AtomicU64, AtomicUsize, Builder, Condvar, Events, Interest, Mutex, MutexGuard,
    Poll, Registry, RwLock, RwLockReadGuard, RwLockWriteGuard, ThreadId, Token, Waker, current_id,
};

/// The name of the thread that asks.
#[cfg(not(model))]
pub(super) fn current_id() -> ThreadId {
    std::thread::current().id()
}
