//! One session, as tasks share it: the lock around it, and who waits for what.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Driver;
use super::signal::Cancel;
use crate::Stream;
use crate::detect::Evidence;
use crate::layers::msg::calls::{Act, Calls};
use crate::layers::msg::error::RpcError;
use crate::layers::msg::ext::Ext;
use crate::layers::msg::health::Health;
use crate::layers::msg::server::unknown_method;
use crate::layers::msg::session::{Request, Session};
use crate::layers::task_clock::TaskClock;
use crate::time::Time;

/// A session that tasks wait for.
pub(super) type Core = Calls<Cancel>;

/// Who serves the calls of the other side. It is called within the runtime.
pub(super) trait Handler: Send + Sync + 'static {
    /// A call came; `cancelled` is raised when nobody waits for its answer any more.
    fn on_request(&self, link: &Arc<Link>, request: Request, cancelled: Cancel);
    /// A one-way message came.
    fn on_oneway(&self, link: &Arc<Link>, method: u16, ext: Ext, body: Bytes);
}

/// A session, and who waits for what. The stream is the driver's.
pub(super) struct Link {
    state: Mutex<State>,
    clock: TaskClock,
    handler: Option<Arc<dyn Handler>>,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) core: Core,
    /// The task that reads and writes, when it waits.
    driver: Option<Waker>,
    waiters: Waiters,
    /// The stream, for questions; until the driver has ended.
    probe: Option<Stream>,
}

/// Tasks that wait; at most one for each end of a body.
#[derive(Default)]
struct Waiters {
    readers: BTreeMap<u64, Waker>,
    writers: BTreeMap<u64, Waker>,
    greeted: Option<Waker>,
}

impl Waiters {
    /// Takes those that need not wait any more.
    fn due(&mut self, core: &Core) -> Vec<Waker> {
        let mut due = Vec::new();
        let is_readable = |id: &u64| core.inflows.get(id).is_none_or(|it| it.is_readable());
        let is_writable = |id: &u64| core.session.body_room(*id) != Some(0);
        take(&mut self.readers, is_readable, &mut due);
        take(&mut self.writers, is_writable, &mut due);
        if core.peer.is_some() || core.closed.is_some() {
            due.extend(self.greeted.take());
        }
        due
    }
}

fn take(waiters: &mut BTreeMap<u64, Waker>, is_due: impl Fn(&u64) -> bool, due: &mut Vec<Waker>) {
    waiters.retain(|id, waker| {
        let is_due = is_due(id);
        if is_due {
            due.push(waker.clone());
        }
        !is_due
    });
}

impl Link {
    /// Starts the task of a session in this runtime. `probe` is a handle of the same stream, for questions.
    pub(super) fn start(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        probe: Option<Stream>,
        begin: impl FnOnce(Time) -> Session,
        handler: Option<Arc<dyn Handler>>,
    ) -> Arc<Self> {
        let clock = TaskClock::start();
        let state = State {
            core: Core::new(begin(clock.now())),
            driver: None,
            waiters: Waiters::default(),
            probe,
        };
        let link = Arc::new(Link {
            state: Mutex::new(state),
            clock,
            handler,
        });
        tokio::spawn(Driver::new(link.clone(), io));
        link
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn clock(&self) -> TaskClock {
        self.clock
    }

    /// Changes the session, lets the driver say what follows, and does what follows elsewhere.
    pub(super) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Core, Time) -> T) -> T {
        let mut state = self.lock();
        let answer = act(&mut state.core, self.clock.now());
        self.settle(state);
        answer
    }

    /// Takes the events, lets the lock go, and does what they ask.
    pub(super) fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let acts = state.core.take_events();
        let State { core, waiters, .. } = &mut *state;
        let mut due = waiters.due(core);
        if core.session.has_output() || core.session.is_closed() {
            due.extend(state.driver.take());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
        for act in acts {
            self.run(act);
        }
    }

    fn run(self: &Arc<Self>, act: Act<Cancel>) {
        match (act, &self.handler) {
            (Act::Done(done, result), _) => done(result),
            (Act::Request(request, cancelled), Some(handler)) => {
                handler.on_request(self, request, cancelled);
            }
            (Act::Oneway(method, ext, body), Some(handler)) => {
                handler.on_oneway(self, method, ext, body);
            }
            (Act::Request(request, _), None) => {
                let status = unknown_method(request.method);
                self.with(|core, _| core.refuse_unread(request.id, &status));
            }
            (Act::Oneway(..), None) => {}
        }
    }

    /// Ends the session: what waits fails.
    pub(super) fn close(self: &Arc<Self>, why: &str) {
        self.with(|core, _| core.session.handle_lost(why));
    }

    /// The driver waits: it is woken when there is something to say.
    pub(super) fn on_driver_waits(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        match &mut state.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// The driver has ended: nothing is sent or heard any more.
    pub(super) fn on_driver_gone(self: &Arc<Self>) {
        self.close("the connection's task has ended");
        let probe = self.lock().probe.take();
        drop(probe);
    }

    /// Waits until the other side has said who it is.
    pub(super) async fn greeted(&self) -> Result<(), RpcError> {
        poll_fn(|cx| {
            let mut state = self.lock();
            if let Some(error) = &state.core.closed {
                return Poll::Ready(Err(error.clone()));
            }
            if state.core.peer.is_some() {
                return Poll::Ready(Ok(()));
            }
            state.waiters.greeted = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(super) fn health(&self) -> Health {
        let state = self.lock();
        let session = &state.core.session;
        let probe = state.probe.as_ref();
        Health {
            is_open: session.is_open(),
            leaves: session.peer_leaves().map(str::to_owned),
            calls: session.calls(),
            evidence: probe.map(|stream| Evidence::of(&stream.info(), stream.failure())),
        }
    }
}

impl State {
    /// Wakes this task when the body has something to read, or its end.
    pub(super) fn on_reader_waits(&mut self, id: u64, cx: &Context<'_>) {
        self.waiters.readers.insert(id, cx.waker().clone());
    }

    /// Wakes this task when there is room for more of the body, or nobody wants it.
    pub(super) fn on_writer_waits(&mut self, id: u64, cx: &Context<'_>) {
        self.waiters.writers.insert(id, cx.waker().clone());
    }

    pub(super) fn on_reader_leaves(&mut self, id: u64) {
        self.waiters.readers.remove(&id);
    }

    pub(super) fn on_writer_leaves(&mut self, id: u64) {
        self.waiters.writers.remove(&id);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Link")
            .field("stream", &state.probe)
            .finish_non_exhaustive()
    }
}
