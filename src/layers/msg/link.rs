//! One session on one stream: a thread that reads, one that writes, and what waits for them.
//!
//! The session lies behind a lock that nobody holds while he reads, writes, or runs the program's code. Whoever has given it
//! something to say wakes the writer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::calls::{Act, Calls, Done};
use super::error::RpcError;
use super::ext::Ext;
use super::session::{Request, Session};
use crate::time::Time;
use crate::{Stream, runtime};

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes written at once: what is urgent waits for no more than that.
const WRITE_BYTES: usize = 32 << 10;
/// A writer that is held up looks after deadlines as often.
const LOOK: Duration = Duration::from_millis(20);

/// A session that threads wait for.
pub(super) type Core = Calls<Arc<AtomicBool>>;

/// Who serves the calls of the other side.
pub(super) trait Handler: Send + Sync + 'static {
    /// A call came; `cancelled` turns true when nobody waits for its answer any more.
    fn on_request(&self, link: &Arc<Link>, request: Request, cancelled: Arc<AtomicBool>);
    /// A one-way message came.
    fn on_oneway(&self, link: &Arc<Link>, method: u16, ext: Ext, body: Bytes);
}

/// A session, its stream, and who waits for what.
pub(super) struct Link {
    stream: Stream,
    core: Mutex<Core>,
    /// The writer waits for something to say.
    output: Condvar,
    /// Until when, if it waits: it looks after deadlines, too.
    waits_until: Mutex<Option<Time>>,
    /// The reader waits until answers have left.
    input: Condvar,
    /// Readers and writers of bodies wait, and whoever waits for the other side's HELLO.
    bodies: Condvar,
    handler: Option<Arc<dyn Handler>>,
}

impl Link {
    /// Starts the threads of a session.
    pub(super) fn start(
        stream: Stream,
        session: Session,
        handler: Option<Arc<dyn Handler>>,
    ) -> io::Result<Arc<Self>> {
        stream.set_write_timeout(Some(LOOK))?;
        let link = Arc::new(Link {
            stream,
            core: Mutex::new(Core::new(session)),
            output: Condvar::new(),
            waits_until: Mutex::new(None),
            input: Condvar::new(),
            bodies: Condvar::new(),
            handler,
        });
        let (reader, writer) = (link.clone(), link.clone());
        let spawn = |name: &str| thread::Builder::new().name(name.to_owned());
        spawn("aqueduct-msg-read").spawn(move || reader.read())?;
        let started = spawn("aqueduct-msg-write").spawn(move || writer.write());
        if let Err(error) = started {
            link.close("no thread to write");
            return Err(error);
        }
        Ok(link)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only for a moment, and while the core is locked.
    fn waits_until(&self) -> MutexGuard<'_, Option<Time>> {
        self.waits_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream, for questions.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Waits until something happens to a body or to the connection.
    pub(super) fn wait<'c>(&self, core: MutexGuard<'c, Core>) -> MutexGuard<'c, Core> {
        self.bodies
            .wait(core)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Link::wait`], but not beyond a time; `None` when that has come.
    pub(super) fn wait_until<'c>(
        &self,
        core: MutexGuard<'c, Core>,
        until: Option<Time>,
    ) -> Option<MutexGuard<'c, Core>> {
        let Some(until) = until else {
            return Some(self.wait(core));
        };
        let left = until - runtime::now();
        if left.is_zero() {
            return None;
        }
        let waited = self.bodies.wait_timeout(core, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Changes the session, lets the writer say what follows, and does what follows elsewhere.
    pub(super) fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Core, Time) -> T) -> T {
        let mut core = self.lock();
        let answer = act(&mut core, runtime::now());
        self.settle(core);
        answer
    }

    /// Takes the events, lets the lock go, and does what they ask.
    fn settle(self: &Arc<Self>, mut core: MutexGuard<'_, Core>) {
        let acts = core.take_events();
        let has_output = core.session.has_output() || core.session.is_closed();
        let due = core.session.poll_timeout();
        let waits_until = *self.waits_until();
        let is_sooner = waits_until.is_some_and(|until| due.is_some_and(|due| due < until));
        drop(core);
        if has_output || is_sooner {
            self.output.notify_one();
        }
        self.bodies.notify_all();
        for act in acts {
            self.run(act);
        }
    }

    fn run(self: &Arc<Self>, act: Act<Arc<AtomicBool>>) {
        match (act, &self.handler) {
            (Act::Done(done, result), _) => done(result),
            (Act::Request(request, cancelled), Some(handler)) => {
                handler.on_request(self, request, cancelled);
            }
            (Act::Oneway(method, ext, body), Some(handler)) => {
                handler.on_oneway(self, method, ext, body);
            }
            (Act::Request(request, _), None) => {
                let status = super::server::unknown_method(request.method);
                self.with(|core, _| core.refuse_unread(request.id, &status));
            }
            (Act::Oneway(..), None) => {}
        }
    }

    /// Calls a method; `done` gets the answer whole, on a thread of this link or of whoever changes it.
    pub(super) fn call(
        self: &Arc<Self>,
        method: u16,
        ext: Ext,
        body: Bytes,
        limits: (Option<Duration>, usize),
        done: Done,
    ) {
        let call = (method, ext, body);
        let begun = self.with(|core, now| core.call(now, call, limits, done));
        if let Err((error, done)) = begun {
            done(Err(error));
        }
    }

    /// Ends the session: what waits fails.
    pub(super) fn close(self: &Arc<Self>, why: &str) {
        self.with(|core, _| core.session.handle_lost(why));
        self.input.notify_all();
    }

    fn read(self: &Arc<Self>) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let mut core = self.lock();
            while !core.session.wants_input() && !core.session.is_closed() {
                core = self
                    .input
                    .wait(core)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if core.session.is_closed() {
                return;
            }
            drop(core);
            match (&self.stream).read(&mut buffer) {
                Ok(0) => return self.close("the peer has closed the connection"),
                Ok(len) => self.with(|core, now| core.session.handle_bytes(now, &buffer[..len])),
                Err(error) => return self.close(&error.to_string()),
            }
        }
    }

    fn write(self: &Arc<Self>) {
        let mut batch = Vec::with_capacity(WRITE_BYTES);
        while self.next_batch(&mut batch) {
            let mut written = 0;
            while written < batch.len() {
                match (&self.stream).write(&batch[written..]) {
                    Ok(len) => written += len,
                    // Held up by the peer: deadlines come all the same.
                    Err(error) if is_timeout(&error) => {
                        self.with(|core, now| core.session.handle_timeout(now))
                    }
                    Err(error) => {
                        self.close(&error.to_string());
                        break;
                    }
                }
            }
        }
        // The reader may wait in the stream.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.input.notify_all();
    }

    /// Waits for something to write; false when all is said and the session has ended.
    fn next_batch(self: &Arc<Self>, batch: &mut Vec<u8>) -> bool {
        batch.clear();
        let mut core = self.lock();
        loop {
            // Also while there is always something to write, or deadlines would wait for a pause.
            let now = runtime::now();
            if core.session.poll_timeout().is_some_and(|at| at <= now) {
                core.session.handle_timeout(now);
                self.settle(core);
                core = self.lock();
            }
            while batch.len() < WRITE_BYTES {
                let Some(frame) = core.session.poll_output() else {
                    break;
                };
                batch.extend_from_slice(&frame);
            }
            if !batch.is_empty() {
                self.input.notify_all();
                // What was read only now, because answers had to leave first, has events too; and bodies have room.
                self.settle(core);
                return true;
            }
            if core.session.is_closed() {
                return false;
            }
            core = self.wait_for_output(core, now);
        }
    }

    /// Waits until somebody has something to say, or a deadline comes.
    fn wait_for_output<'c>(&self, core: MutexGuard<'c, Core>, now: Time) -> MutexGuard<'c, Core> {
        let due = core.session.poll_timeout();
        *self.waits_until() = Some(due.unwrap_or(Time::MAX));
        let core = match due {
            None => self
                .output
                .wait(core)
                .unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let waited = self.output.wait_timeout(core, at - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *self.waits_until() = None;
        core
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Starts a session on a stream and waits until the other side has said who it is.
pub(super) fn greet(stream: Stream, session: Session) -> Result<Arc<Link>, RpcError> {
    let link = Link::start(stream, session, None);
    let link = link.map_err(|error| RpcError::NotSent(error.to_string()))?;
    let mut core = link.lock();
    while core.peer.is_none() {
        if let Some(error) = core.closed.clone() {
            return Err(error);
        }
        core = link.wait(core);
    }
    drop(core);
    Ok(link)
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
