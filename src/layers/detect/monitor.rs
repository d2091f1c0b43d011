//! [`Monitor`]: heartbeats over streams, on a thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::beat::{BEAT_BYTES, Beat};
use super::heartbeats::{Heartbeats, HeartbeatsConfig, PeerEvent};
use super::node::Evidence;
use crate::Stream;
use crate::error::CloseReason;
use crate::runtime;
use crate::time::Time;

/// Looks in each interval: what arrives in between is known a quarter of an interval later at most.
const LOOKS: u32 = 4;
/// Datagrams taken from one stream in one look, so that a flood on one does not keep the others waiting.
const DATAGRAMS_MAX: usize = 64;

/// Sends heartbeats on streams and watches those that come back, for both ends do the same.
///
/// The heartbeats are datagrams beside the stream. The datagrams of a stream that is attached are the monitor's: programs
/// that have others of their own drive [`Heartbeats`] themselves. A callback gets the events, on the monitor's thread; it may
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
    heartbeats: Heartbeats<N>,
    links: BTreeMap<N, Link>,
    interval: Duration,
    incarnation: u64,
    next_beat: Time,
    stopped: bool,
}

/// A stream to a node, and how many heartbeats left on it.
#[derive(Debug)]
struct Link {
    stream: Stream,
    beats: u64,
    /// Its end was told.
    has_ended: bool,
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
        let mut incarnation = [0; 8];
        getrandom::fill(&mut incarnation).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                heartbeats: Heartbeats::new(config),
                links: BTreeMap::new(),
                interval: config.interval.max(Duration::from_millis(1)),
                incarnation: u64::from_ne_bytes(incarnation),
                next_beat: Time::ZERO,
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
        let room = stream.datagram_len_max();
        if room.is_none_or(|room| room < BEAT_BYTES) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let link = Link {
            stream: stream.try_clone()?,
            beats: 0,
            has_ended: false,
        };
        let mut state = self.shared.lock();
        state.heartbeats.watch(node.clone());
        state.links.insert(node, link);
        Ok(())
    }

    /// Watches a node no longer.
    pub fn detach(&self, node: &N) {
        let mut state = self.shared.lock();
        state.heartbeats.forget(node);
        let link = state.links.remove(node);
        drop(state);
        drop(link);
    }

    /// How strong the suspicion against a node is (`phi`, see [`PhiAccrual`](super::PhiAccrual)); `None` if it is not watched.
    pub fn level(&self, node: &N) -> Option<f64> {
        self.shared.lock().heartbeats.level(runtime::now(), node)
    }
}

impl<N: Ord + Clone> Shared<N> {
    fn lock(&self) -> MutexGuard<'_, State<N>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut on_event: impl FnMut(PeerEvent<N>)) {
        loop {
            let mut state = self.lock();
            let events = state.look(runtime::now());
            // The callback may attach and detach.
            drop(state);
            events.into_iter().for_each(&mut on_event);
            state = self.lock();
            let pause = state.interval / LOOKS;
            let running = |state: &mut State<N>| !state.stopped;
            let waited = self.stop.wait_timeout_while(state, pause, running);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stopped {
                return;
            }
        }
    }
}

impl<N: Ord + Clone> State<N> {
    /// Takes what has come, sends what is due, and finds out what has changed.
    fn look(&mut self, now: Time) -> Vec<PeerEvent<N>> {
        let is_beat = now >= self.next_beat;
        if is_beat {
            self.next_beat = now + self.interval;
        }
        for (node, link) in self.links.iter_mut().filter(|(_, link)| !link.has_ended) {
            link.receive(now, node, &mut self.heartbeats);
            if is_beat {
                link.beat(self.interval, self.incarnation);
            }
        }
        std::iter::from_fn(|| self.heartbeats.poll(now)).collect()
    }
}

impl Link {
    fn receive<N: Ord + Clone>(&mut self, now: Time, node: &N, heartbeats: &mut Heartbeats<N>) {
        let mut bytes = [0; BEAT_BYTES];
        for _ in 0..DATAGRAMS_MAX {
            match self.stream.try_recv_datagram(&mut bytes) {
                Ok(len) => {
                    if let Some(beat) = Beat::decode(&bytes[..len]) {
                        heartbeats.heard(now, node, beat.incarnation);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        // A stream that was closed in order has not failed, and says no more either.
        let ended = self.has_ended.then_some(CloseReason::Ended);
        let failure = self.stream.failure().or(ended);
        heartbeats.observe(now, node, &Evidence::of(&self.stream.info(), failure));
    }

    fn beat(&mut self, interval: Duration, incarnation: u64) {
        self.beats += 1;
        let number = self.beats;
        let beat = Beat {
            interval,
            incarnation,
            number,
        };
        // Of a heartbeat that cannot leave the peer hears nothing, which is what it is to know.
        let _ = self.stream.send_datagram(&beat.encode());
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
