//! [`Cancel`]: how a handler's task hears that nobody waits for its answer any more.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::layers::msg::calls::Signal;

/// Raised once; any number of tasks may wait for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_raised: AtomicBool,
    waiters: Notify,
}

impl Cancel {
    pub(super) fn is_raised(&self) -> bool {
        self.0.is_raised.load(Ordering::Acquire)
    }

    pub(super) async fn raised(&self) {
        let mut waiting = pin!(self.0.waiters.notified());
        // Who looks first might miss it between look and wait.
        waiting.as_mut().enable();
        if !self.is_raised() {
            waiting.await;
        }
    }
}

impl Signal for Cancel {
    fn raise(&self) {
        self.0.is_raised.store(true, Ordering::Release);
        self.0.waiters.notify_waiters();
    }
}
