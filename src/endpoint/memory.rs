//! Memory that runs short: who is given up, and what newcomers are offered.
//!
//! The connections count what they hold in a [`Budget`]. They do not know each other; here it is known which of
//! them stand still, and since when.

use std::collections::{BTreeMap, BTreeSet};

use super::{Endpoint, Handle, Offer};
use crate::connection::{Budget, Connection, SMALL_WINDOW};
use crate::time::Time;
use crate::wire::Window;

/// The connections that stand still while they hold data; at most as many as there are connections.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    by_time: BTreeSet<(Time, Handle)>,
    since: BTreeMap<Handle, Time>,
    /// Memory was used up, and not enough of it is free again.
    is_relieving: bool,
}

impl Stalled {
    fn insert(&mut self, handle: Handle, since: Time) {
        self.remove(handle);
        self.since.insert(handle, since);
        self.by_time.insert((since, handle));
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        if let Some(since) = self.since.remove(&handle) {
            self.by_time.remove(&(since, handle));
        }
    }

    /// The one that has stood still for longest; it is forgotten.
    fn pop(&mut self) -> Option<Handle> {
        let (_, handle) = self.by_time.pop_first()?;
        self.since.remove(&handle);
        Some(handle)
    }
}

impl Endpoint {
    /// The memory that the connections share.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The connection holds data that has stood still since then ([`crate::connection::Event::Stalled`]).
    pub fn on_stalled(&mut self, handle: Handle, since: Time) {
        if self.table.get(handle).is_some() {
            self.stalled.insert(handle, since);
        }
    }

    /// The next connection to give up ([`Connection::evict`]), as memory is used up: the one that has stood still for
    /// longest. To be asked again until there is none, after each input that brought data or a stranger.
    pub fn poll_eviction(&mut self) -> Option<Handle> {
        let stalled = &mut self.stalled;
        stalled.is_relieving = if stalled.is_relieving {
            !self.budget.is_relieved()
        } else {
            self.budget.is_exhausted()
        };
        stalled.is_relieving.then(|| stalled.pop()).flatten()
    }

    /// The connection, with its share in the memory.
    pub(super) fn shared(&self, mut connection: Connection) -> Connection {
        connection.share(self.budget.clone());
        connection
    }
}

impl Offer {
    /// The offer to a newcomer, when memory `is_tight` or not.
    pub(super) fn narrowed(self, is_tight: bool) -> Self {
        let window = if is_tight {
            self.window.min(Window::new(SMALL_WINDOW))
        } else {
            self.window
        };
        Offer { window, ..self }
    }
}
