//! Where no descriptor stands for all that a shard waits for, its thread serves tasks as it serves threads.

use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::{Context, Poll};

use super::shard::Shard;
#[cfg(feature = "tokio")]
use crate::time::Time;

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

/// No timer without the runtime's, which it need not have: nobody is woken.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct Nap;

#[cfg(feature = "tokio")]
impl Nap {
    pub(crate) fn poll(&mut self, until: Time, _cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if until <= super::clock::now() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}
