//! Heartbeats for tasks: [`Monitor`] as in [`crate::detect`], as a task of the runtime instead of a thread.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::heartbeats::{HeartbeatsConfig, PeerEvent};
use super::watch::{Link, Watch};
use crate::layers::task_clock::TaskClock;
use crate::tokio::Stream;

/// Sends heartbeats on streams and watches those that come back: [`crate::detect::Monitor`], as a task.
///
/// The datagrams of a stream that is attached are the monitor's. A callback gets the events, in the monitor's task: it must not
/// wait, and may attach and detach. Dropping the monitor ends the task, and leaves the streams open.
///
/// ```
/// use aqueduct::detect::{HeartbeatsConfig, PeerEvent, tokio::Monitor};
/// use aqueduct::tokio::{Listener, Stream};
/// use std::time::Duration;
/// use tokio::sync::mpsc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = Listener::bind("127.0.0.1:0").await?;
/// let stream = Stream::connect(listener.local_addr()?).await?;
/// let (peer, _) = listener.accept().await?;
///
/// let config = HeartbeatsConfig::for_interval(Duration::from_millis(20));
/// let (said, mut events) = mpsc::unbounded_channel();
/// let here = Monitor::start(config, move |event| drop(said.send(event)))?;
/// let there = Monitor::start(config, |_| {})?;
/// here.attach("peer", &stream)?;
/// there.attach("me", &peer)?;
/// assert_eq!(events.recv().await, Some(PeerEvent::Up("peer")));
///
/// // The peer's program ends.
/// drop((there, peer));
/// while !matches!(events.recv().await, Some(PeerEvent::Down("peer", _))) {}
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Monitor<N> {
    shared: Arc<Shared<N>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared<N> {
    watch: Mutex<Watch<N>>,
    clock: TaskClock,
}

impl<N: Ord + Clone + Send + 'static> Monitor<N> {
    /// Starts a monitor that watches nobody yet, in this runtime. `on_event` is called in its task.
    ///
    /// # Errors
    /// What the system says when it has no random numbers.
    ///
    /// # Panics
    /// Outside of a runtime. In one without a timer its task does.
    pub fn start(
        config: HeartbeatsConfig,
        on_event: impl FnMut(PeerEvent<N>) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            watch: Mutex::new(Watch::new(config)?),
            clock: TaskClock::start(),
        });
        let task = tokio::spawn(shared.clone().run(on_event)).abort_handle();
        Ok(Monitor { shared, task })
    }

    /// Watches a node over this stream, of which the monitor keeps a handle; over this one instead of one before, if the node
    /// was connected again.
    ///
    /// # Errors
    /// `Unsupported` if the peer takes no datagrams.
    pub fn attach(&self, node: N, stream: &Stream) -> io::Result<()> {
        let link = Link::new(stream.blocking())?;
        self.shared.lock().attach(node, link);
        Ok(())
    }

    /// Watches a node no longer.
    pub fn detach(&self, node: &N) {
        // The stream may end with it, which is nothing to do under the lock.
        let link = self.shared.lock().detach(node);
        drop(link);
    }

    /// How strong the suspicion against a node is (`phi`, see [`PhiAccrual`](super::PhiAccrual)); `None` if it is not watched.
    pub fn level(&self, node: &N) -> Option<f64> {
        let now = self.shared.clock.now();
        self.shared.lock().level(now, node)
    }
}

impl<N: Ord + Clone> Shared<N> {
    fn lock(&self) -> MutexGuard<'_, Watch<N>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>, mut on_event: impl FnMut(PeerEvent<N>)) {
        loop {
            let (events, pause) = {
                let mut watch = self.lock();
                (watch.look(self.clock.now()), watch.pause())
            };
            // The callback may attach and detach.
            events.into_iter().for_each(&mut on_event);
            sleep(pause).await;
        }
    }
}

impl<N> Drop for Monitor<N> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
