//! [`Monitor`]: heartbeats over streams, on a thread.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::heartbeats::{HeartbeatsConfig, PeerEvent};
use super::watch::{Link, Watch};
use crate::Stream;
use crate::runtime;

/// Sends heartbeats on streams and watches those that come back, for both ends do the same.
///
/// The heartbeats are datagrams beside the stream. The datagrams of a stream that is attached are the monitor's: programs
/// that have others of their own drive [`Heartbeats`](super::Heartbeats) themselves. A callback gets the events, on the
/// monitor's thread; it may
/// attach and detach. Dropping the monitor ends the thread, and leaves the streams open.
///
/// ```
/// use aqueduct::detect::{HeartbeatsConfig, Monitor, PeerEvent};
/// use aqueduct::{Listener, Stream};
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let listener = Listener::bind("127.0.0.1:0")?;
/// let stream = Stream::connect(listener.local_addr()?)?;
/// let (peer, _) = listener.accept()?;
///
/// let config = HeartbeatsConfig::for_interval(Duration::from_millis(20));
/// let (said, events) = mpsc::channel();
/// let here = Monitor::start(config, move |event| drop(said.send(event)))?;
/// let there = Monitor::start(config, |_| {})?;
/// here.attach("peer", &stream)?;
/// there.attach("me", &peer)?;
/// assert_eq!(events.recv().expect("an event"), PeerEvent::Up("peer"));
///
/// // The peer's program ends.
/// drop((there, peer));
/// let is_down = |event| matches!(event, PeerEvent::Down("peer", _));
/// assert!(events.iter().any(is_down));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Monitor<N> {
    shared: Arc<Shared<N>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<N> {
    state: Mutex<State<N>>,
    stop: Condvar,
}

#[derive(Debug)]
struct State<N> {
    watch: Watch<N>,
    stopped: bool,
}

impl<N: Ord + Clone + Send + 'static> Monitor<N> {
    /// Starts a monitor that watches nobody yet. `on_event` is called on its thread.
    ///
    /// # Errors
    /// What the system says when it has no thread or no random numbers.
    pub fn start(
        config: HeartbeatsConfig,
        on_event: impl FnMut(PeerEvent<N>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                watch: Watch::new(config)?,
                stopped: false,
            }),
            stop: Condvar::new(),
        });
        let theirs = shared.clone();
        let thread = thread::Builder::new()
            .name("aqueduct-monitor".to_owned())
            .spawn(move || theirs.run(on_event))?;
        Ok(Monitor {
            shared,
            thread: Some(thread),
        })
    }

    /// Watches a node over this stream, of which the monitor keeps a handle; over this one instead of one before, if the node
    /// was connected again.
    ///
    /// # Errors
    /// As [`Stream::try_clone`]; `Unsupported` if the peer takes no datagrams.
    pub fn attach(&self, node: N, stream: &Stream) -> io::Result<()> {
        let link = Link::new(stream)?;
        self.shared.lock().watch.attach(node, link);
        Ok(())
    }

    /// Watches a node no longer.
    pub fn detach(&self, node: &N) {
        // The stream may end with it, which is nothing to do under the lock.
        let link = self.shared.lock().watch.detach(node);
        drop(link);
    }

    /// How strong the suspicion against a node is (`phi`, see [`PhiAccrual`](super::PhiAccrual)); `None` if it is not watched.
    pub fn level(&self, node: &N) -> Option<f64> {
        self.shared.lock().watch.level(runtime::now(), node)
    }
}

impl<N: Ord + Clone> Shared<N> {
    fn lock(&self) -> MutexGuard<'_, State<N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut on_event: impl FnMut(PeerEvent<N>)) {
        loop {
            let mut state = self.lock();
            let events = state.watch.look(runtime::now());
            // The callback may attach and detach.
            drop(state);
            events.into_iter().for_each(&mut on_event);
            state = self.lock();
            let pause = state.watch.pause();
            let running = |state: &mut State<N>| !state.stopped;
            let waited = self.stop.wait_timeout_while(state, pause, running);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stopped {
                return;
            }
        }
    }
}

impl<N> Drop for Monitor<N> {
    fn drop(&mut self) {
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        drop(state);
        self.shared.stop.notify_all();
        // A callback may drop the last handle.
        if let Some(thread) = self
            .thread
            .take()
            .filter(|it| it.thread().id() != thread::current().id())
        {
            let _ = thread.join();
        }
    }
}
