//! Ctrl-C as an orderly end: blocked reads and writes return, and the program leaves by itself.
//!
//! The handler raises a flag, shuts down every stream that is watched, and calls the subscribers.
//! Whoever was blocked comes back with an end of file or an error, sees the flag, and cleans up. A
//! second Ctrl-C ends the process at once.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::transport::Stream;

/// The exit code of a program that Ctrl-C ended: 128 + SIGINT, as shells have it.
pub(crate) const EXIT_CODE: u8 = 130;

/// Whether the user wants the program to end, and whom to wake then.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Shared>);

#[derive(Default)]
struct Shared {
    requested: AtomicBool,
    next_key: AtomicU64,
    streams: Mutex<BTreeMap<u64, Stream>>,
    subscribers: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

impl Interrupt {
    /// Installs the handler of the process.
    ///
    /// # Errors
    ///
    /// The system's error, or that the process has a handler already.
    pub(crate) fn install() -> Result<Interrupt, ctrlc::Error> {
        let interrupt = Interrupt::default();
        let handler = interrupt.clone();
        ctrlc::set_handler(move || handler.raise())?;
        Ok(interrupt)
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Shuts `stream` down on Ctrl-C, as long as the returned guard lives.
    ///
    /// # Errors
    ///
    /// What `try_clone` of the stream returns.
    pub(crate) fn watch(&self, stream: &Stream) -> std::io::Result<Watched> {
        let key = self.0.next_key.fetch_add(1, Ordering::Relaxed);
        lock(&self.0.streams).insert(key, stream.try_clone()?);
        // Ctrl-C may have come before the insertion; then the handler did not see the stream.
        if self.is_requested() {
            shut_down(stream);
        }
        Ok(Watched {
            interrupt: self.clone(),
            key,
        })
    }

    /// Calls `wake` on Ctrl-C, at least once.
    pub(crate) fn subscribe(&self, wake: impl Fn() + Send + 'static) {
        let mut subscribers = lock(&self.0.subscribers);
        // As above: it may have come already.
        if self.is_requested() {
            wake();
        }
        subscribers.push(Box::new(wake));
    }

    fn raise(&self) {
        if self.0.requested.swap(true, Ordering::SeqCst) {
            process::exit(i32::from(EXIT_CODE));
        }
        lock(&self.0.streams).values().for_each(shut_down);
        lock(&self.0.subscribers).iter().for_each(|wake| wake());
    }
}

/// Keeps a stream known to the handler; dropping it ends that.
pub(crate) struct Watched {
    interrupt: Interrupt,
    key: u64,
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.interrupt.0.streams).remove(&self.key);
    }
}

/// A stream that is closed already has nobody to wake, so its error means nothing here.
fn shut_down(stream: &Stream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// Nothing under these locks can be left half changed, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
