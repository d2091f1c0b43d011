//! Buffers to build batches in: as many as threads that build at once, not as many as connections.

use super::lock;
use super::platform::Mutex;
use crate::wire::Batch;

/// Buffers that are kept for later; more than that many threads at once allocate their own.
const KEPT_MAX: usize = 4;

/// A pool of batches.
#[derive(Debug, Default)]
pub(crate) struct Batches(Mutex<Vec<Batch>>);

impl Batches {
    /// An empty batch.
    pub(crate) fn take(&self) -> Batch {
        let kept = lock(&self.0).pop();
        kept.unwrap_or_default()
    }

    /// Takes a batch back.
    pub(crate) fn give(&self, mut batch: Batch) {
        batch.clear();
        let mut kept = lock(&self.0);
        if kept.len() < KEPT_MAX {
            kept.push(batch);
        }
    }
}
