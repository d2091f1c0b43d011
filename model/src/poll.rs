//! What `mio` is for the runtime: events that are told once, when they come (as epoll's edges).

use std::collections::BTreeMap;
use std::io;
use std::ops::BitOr;
use std::sync::Arc;
use std::time::Duration;

use super::network::Socket;
use super::sync::{Condvar, Mutex, held};

/// As `mio::Token`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Token(pub(crate) usize);

/// As `mio::Interest`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interest(u8);

impl Interest {
    pub(crate) const READABLE: Interest = Interest(1);
    pub(crate) const WRITABLE: Interest = Interest(2);
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

/// As `mio::event::Event`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    token: Token,
    what: Interest,
}

impl Event {
    pub(crate) fn token(&self) -> Token {
        self.token
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.what.0 & Interest::WRITABLE.0 != 0
    }

    pub(crate) fn is_error(&self) -> bool {
        false
    }
}

/// As `mio::Events`.
#[derive(Debug)]
pub(crate) struct Events(Vec<Event>);

impl Events {
    pub(crate) fn with_capacity(_: usize) -> Self {
        Events(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.0.iter()
    }
}

/// Events that nobody has taken, and who waits for them.
#[derive(Debug, Default)]
struct Edges {
    pending: Mutex<BTreeMap<Token, Interest>>,
    came: Condvar,
}

/// As `mio::Registry`.
#[derive(Clone, Debug)]
pub(crate) struct Registry(Arc<Edges>);

impl Registry {
    pub(crate) fn try_clone(&self) -> io::Result<Registry> {
        Ok(self.clone())
    }

    pub(crate) fn register(
        &self,
        socket: &mut Socket,
        token: Token,
        what: Interest,
    ) -> io::Result<()> {
        if what.0 & Interest::WRITABLE.0 != 0 {
            self.tell(token, Interest::WRITABLE);
        }
        socket.watch(self.clone(), token);
        Ok(())
    }

    pub(crate) fn reregister(
        &self,
        socket: &mut Socket,
        token: Token,
        what: Interest,
    ) -> io::Result<()> {
        self.register(socket, token, what)
    }

    pub(crate) fn deregister(&self, socket: &mut Socket) -> io::Result<()> {
        socket.unwatch();
        Ok(())
    }

    /// An edge.
    pub(super) fn tell(&self, token: Token, what: Interest) {
        let mut pending = held(self.0.pending.lock());
        let known = pending.entry(token).or_insert(what);
        *known = *known | what;
        drop(pending);
        self.0.came.notify_all();
    }
}

/// As `mio::Poll`.
#[derive(Debug)]
pub(crate) struct Poll(Registry);

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        Ok(Poll(Registry(Arc::default())))
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0
    }

    pub(crate) fn poll(&mut self, events: &mut Events, wait: Option<Duration>) -> io::Result<()> {
        let edges = &self.0.0;
        let mut pending = held(edges.pending.lock());
        if pending.is_empty() && wait.is_none_or(|wait| !wait.is_zero()) {
            pending = match wait {
                None => held(edges.came.wait(pending)),
                Some(wait) => held(edges.came.wait_timeout(pending, wait)).0,
            };
        }
        let taken = std::mem::take(&mut *pending);
        events.0 = taken
            .into_iter()
            .map(|(token, what)| Event { token, what })
            .collect();
        Ok(())
    }
}

/// As `mio::Waker`.
#[derive(Debug)]
pub(crate) struct Waker {
    registry: Registry,
    token: Token,
}

impl Waker {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Waker> {
        let registry = registry.clone();
        Ok(Waker { registry, token })
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        self.registry.tell(self.token, Interest::READABLE);
        Ok(())
    }
}
