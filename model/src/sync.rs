//! Locks as `std::sync` has them.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, OnceLock, PoisonError};
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::world::{self, Woken};

/// What a lock guards. Nothing here is poisoned.
pub(super) fn held<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// As `std::sync::Mutex`, without poison.
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// As `std::sync::MutexGuard`.
pub(crate) struct MutexGuard<'a, T> {
    held: shuttle::sync::MutexGuard<'a, T>,
    of: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let held = held(self.0.lock());
        Ok(MutexGuard { held, of: self })
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

/// As `std::sync::Condvar`; its waits know the time of the model.
#[derive(Default)]
pub(crate) struct Condvar(OnceLock<u64>);

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar::default()
    }

    fn name(&self) -> u64 {
        if let Some(name) = self.0.get() {
            return *name;
        }
        let name = world::ticket();
        *self.0.get_or_init(|| name)
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        Ok(self.sleep(guard, None).0)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, Woken)> {
        Ok(self.sleep(guard, Some(timeout)))
    }

    fn sleep<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> (MutexGuard<'a, T>, Woken) {
        let ticket = world::lie_down(self.name(), timeout);
        let of = guard.of;
        drop(guard);
        let woken = world::sleep(ticket);
        (held(of.lock()), woken)
    }

    pub(crate) fn notify_one(&self) {
        world::wake(self.name(), false);
    }

    pub(crate) fn notify_all(&self) {
        world::wake(self.name(), true);
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
