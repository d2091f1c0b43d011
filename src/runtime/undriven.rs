//! Where no descriptor stands for all that a shard waits for, its thread serves tasks as it serves threads.

use std::sync::Arc;

use super::shard::Shard;

#[cfg(feature = "tokio")]
pub(crate) use super::{common, start};

impl Shard {
    /// Its thread looks.
    pub(crate) fn look(self: &Arc<Self>) {}

    /// Nobody looks but its thread.
    pub(crate) fn is_look_due(&self) -> bool {
        false
    }

    /// Nobody looks but its thread.
    pub(crate) fn on_look(&self, _has_found: bool) {}
}
