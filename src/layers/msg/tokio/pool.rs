//! [`Pool`]: connections to one peer that come back by themselves, a number for each class, for tasks.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::RpcClient;
use crate::Config;
use crate::discovery::tokio::Resolve;
use crate::layers::msg::backoff::Backoff;
use crate::layers::msg::client::{CallOptions, ClientConfig};
use crate::layers::msg::error::RpcError;
use crate::layers::msg::hello::Hello;
use crate::layers::msg::pool::{Class, seed};
use crate::layers::msg::roster::{
    Choice, Member, PoolConfig, PoolState, Remedy, Roster, of_all_attempts, remedy,
};
use crate::layers::task_clock::TaskClock;
use crate::time::Time;
use crate::tokio::Stream;

type Opening = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;
type Connect = Box<dyn Fn(Class) -> Opening + Send + Sync>;

impl Member for RpcClient {
    fn is_open(&self) -> bool {
        RpcClient::is_open(self)
    }

    fn calls(&self) -> usize {
        RpcClient::calls(self)
    }

    fn silent_for(&self) -> Option<Duration> {
        self.health().evidence?.since_heard
    }
}

/// Connections to one peer, opened when they are wanted and again when they have failed: [`crate::msg::Pool`] for tasks. A handle:
/// clones share the connections.
///
/// A call waits for a connection as long as [`PoolConfig::wait`] says, while attempts to connect become rarer. What was surely not
/// executed is called again by itself; what may have been is so with an idempotency key alone ([`CallOptions::idem`]).
/// Connections are opened in tasks of their own: a caller that is dropped leaves what it began to others.
///
/// ```
/// use aqueduct::msg::tokio::{CallCx, Pool, RpcServer};
/// use aqueduct::msg::{CallOptions, Class, ClientConfig, Hello, ServerConfig, Status};
/// use aqueduct::tokio::{Endpoint, Listener};
/// use bytes::Bytes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let echo = |_: CallCx, body: Bytes| async move { Ok::<_, Status>(body) };
/// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
/// # let listener = Listener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # tokio::spawn(async move { server.serve(&listener).await });
/// // All connections of this peer share one UDP socket.
/// let endpoint = Endpoint::bind("127.0.0.1:0").await?;
/// let connect = move |_| {
///     let endpoint = endpoint.clone();
///     async move { endpoint.connect(address).await }
/// };
/// let pool = Pool::new(connect, Hello::default(), ClientConfig::default(), 1);
/// let answer = pool.call(Class::CONTROL, 1, "quick".into(), &CallOptions::default()).await?;
/// assert_eq!(answer, "quick");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connect: Connect,
    hello: Hello,
    config: PoolConfig,
    clock: TaskClock,
    roster: Mutex<Roster<RpcClient>>,
    changed: Notify,
    /// A task closes what has been idle for too long.
    is_swept: AtomicBool,
}

impl Pool {
    /// A pool of up to `per_class` connections of each class (at least 1), which `connect` opens. It neither waits nor repeats
    /// ([`PoolConfig::fail_fast`]).
    pub fn new<O>(
        connect: impl Fn(Class) -> O + Send + Sync + 'static,
        hello: Hello,
        config: ClientConfig,
        per_class: usize,
    ) -> Self
    where
        O: Future<Output = io::Result<Stream>> + Send + 'static,
    {
        Pool::with(connect, hello, PoolConfig::fail_fast(config, per_class))
    }

    /// A pool whose connections `connect` opens.
    pub fn with<O>(
        connect: impl Fn(Class) -> O + Send + Sync + 'static,
        hello: Hello,
        config: PoolConfig,
    ) -> Self
    where
        O: Future<Output = io::Result<Stream>> + Send + 'static,
    {
        let shared = Shared {
            connect: Box::new(move |class| Box::pin(connect(class))),
            hello,
            clock: TaskClock::start(),
            roster: Mutex::new(Roster::new(config.clone(), seed())),
            config,
            changed: Notify::new(),
            is_swept: AtomicBool::new(false),
        };
        Pool {
            shared: Arc::new(shared),
        }
    }

    /// A pool of connections to a name, which is resolved anew for each of them. Each has a UDP socket of its own.
    ///
    /// ```
    /// # use aqueduct::msg::tokio::{CallCx, RpcServer};
    /// # use aqueduct::msg::{ServerConfig, Status};
    /// # use aqueduct::tokio::Listener;
    /// # use bytes::Bytes;
    /// use aqueduct::Config;
    /// use aqueduct::msg::{CallOptions, Class, Hello, PoolConfig, tokio::Pool};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let echo = |_: CallCx, body: Bytes| async move { Ok::<_, Status>(body) };
    /// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
    /// # let listener = Listener::bind("127.0.0.1:0").await?;
    /// # let port = listener.local_addr()?.port();
    /// # tokio::spawn(async move { server.serve(&listener).await });
    /// let pool = Pool::to(("localhost", port), Config::default(), Hello::default(), PoolConfig::default());
    /// let answer = pool.call(Class::NORMAL, 1, "hello".into(), &CallOptions::default()).await?;
    /// assert_eq!(answer, "hello");
    /// assert_eq!(pool.state(Class::NORMAL).open, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn to(
        target: impl Resolve + 'static,
        stream: Config,
        hello: Hello,
        config: PoolConfig,
    ) -> Self {
        let known = Arc::new((target, stream));
        let connect = move |_| {
            let known = known.clone();
            async move {
                let (target, stream) = &*known;
                Stream::connect_with(&target.resolve().await?[..], stream).await
            }
        };
        Pool::with(connect, hello, config)
    }

    /// A connection of this class: the one with the fewest calls, or a new one while there may be more. Waits for one as long as the
    /// pool is configured to.
    ///
    /// # Errors
    /// [`RpcError`] of the last attempt; nothing was sent. [`RpcError::Overloaded`] if too many wait.
    ///
    /// # Panics
    /// Outside of a runtime, and in one without a reactor or a timer.
    ///
    /// # Cancel safety
    /// An attempt to connect that it began goes on, for whoever calls next.
    pub async fn client(&self, class: Class) -> Result<RpcClient, RpcError> {
        let until = self.shared.clock.now() + self.shared.config.wait;
        self.client_until(class, until).await
    }

    async fn client_until(&self, class: Class, until: Time) -> Result<RpcClient, RpcError> {
        let shared = &self.shared;
        let failures = shared.lock().failures(class);
        let mut place: Option<Place<'_>> = None;
        loop {
            let mut changed = pin!(shared.changed.notified());
            // What changes from here on is heard.
            changed.as_mut().enable();
            let now = shared.clock.now();
            let verdict = shared.with(|roster, now| roster.verdict(now, class, (failures, until)));
            if let Some(error) = verdict.filter(|_| place.is_some()) {
                return Err(error);
            }
            let pause = match shared.with(|roster, now| roster.choose(now, class)) {
                Choice::Take(client) => return Ok(client),
                Choice::Connect => {
                    tokio::spawn(shared.clone().open(class));
                    None
                }
                Choice::Wait(at) => at,
            };
            if place.is_none() {
                place = Some(Place::take(shared, class)?);
            }
            // Who waits for nothing else waits for the handshake all the same: it has an end of its own.
            let is_patient = !shared.config.wait.is_zero();
            let wake = pause.into_iter().chain(is_patient.then_some(until)).min();
            match wake {
                Some(wake) => drop(timeout(wake - now, changed).await),
                None => changed.await,
            }
        }
    }

    /// Calls a method over a connection of this class, again if that is safe, within the time that the call has.
    ///
    /// # Errors
    /// As [`RpcClient::call`]; those of [`Pool::client`].
    ///
    /// # Panics
    /// As [`Pool::client`].
    ///
    /// # Cancel safety
    /// As [`RpcClient::call`].
    pub async fn call(
        &self,
        class: Class,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        let Shared { config, clock, .. } = &*self.shared;
        let timeout = options.timeout.or(config.client.call_timeout);
        let end = timeout.map_or(Time::MAX, |timeout| clock.now() + timeout);
        let mut backoff = Backoff::new(config.pause_min, config.pause_max, seed());
        let mut repeats = config.repeats;
        let mut maybe_executed = false;
        loop {
            let until = (clock.now() + config.wait).min(end);
            let client = self.client_until(class, until).await;
            let client = client.map_err(|error| of_all_attempts(maybe_executed, error))?;
            let mut options = options.clone();
            options.timeout = timeout.map(|_| end - clock.now());
            let error = match client.call_with(method, body.clone(), &options).await {
                Err(error) if repeats > 0 && clock.now() < end => error,
                result => return result.map_err(|error| of_all_attempts(maybe_executed, error)),
            };
            repeats -= 1;
            maybe_executed |= error.maybe_executed();
            match remedy(&error, options.idem) {
                Remedy::None => return Err(of_all_attempts(maybe_executed, error)),
                Remedy::Again => {}
                Remedy::AfterPause => sleep(backoff.next_pause().min(end - clock.now())).await,
            }
        }
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.lock().open()
    }

    /// How the connections of a class do.
    pub fn state(&self, class: Class) -> PoolState {
        self.shared.with(|roster, now| roster.state(now, class))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Roster<RpcClient>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Roster<RpcClient>, Time) -> T) -> T {
        let mut roster = self.lock();
        let answer = act(&mut roster, self.clock.now());
        let gone = roster.take_gone();
        drop(roster);
        drop(gone);
        answer
    }

    /// Opens a connection, and enters it.
    async fn open(self: Arc<Self>, class: Class) {
        let attempt = Attempt {
            shared: &self,
            class,
        };
        let opened = match (self.connect)(class).await {
            Ok(stream) => {
                RpcClient::over(stream, self.hello.clone(), self.config.client.clone()).await
            }
            Err(error) => Err(RpcError::NotSent(error.to_string())),
        };
        attempt.end(opened);
        let has_sweeper = || self.is_swept.swap(true, Ordering::AcqRel);
        if self.config.idle_timeout.is_some() && !has_sweeper() {
            tokio::spawn(sweep(Arc::downgrade(&self)));
        }
    }
}

/// Closes what has been idle for too long, as long as the pool is there.
async fn sweep(pool: std::sync::Weak<Shared>) {
    while let Some(shared) = pool.upgrade() {
        let now = shared.clock.now();
        let at = shared.with(|roster, now| roster.sweep(now));
        let idle_timeout = shared.config.idle_timeout.unwrap_or(Duration::MAX);
        drop(shared);
        sleep(at.map_or(idle_timeout, |at| at - now)).await;
    }
}

/// A caller that waits.
struct Place<'p> {
    shared: &'p Shared,
    class: Class,
}

impl<'p> Place<'p> {
    fn take(shared: &'p Shared, class: Class) -> Result<Self, RpcError> {
        if shared.lock().begin_to_wait(class) {
            Ok(Place { shared, class })
        } else {
            Err(RpcError::Overloaded)
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().end_to_wait(self.class);
    }
}

/// A connection that is being opened; whatever happens meanwhile, the roster hears of its end.
struct Attempt<'p> {
    shared: &'p Shared,
    class: Class,
}

impl Attempt<'_> {
    fn end(self, opened: Result<RpcClient, RpcError>) {
        self.tell(opened);
        std::mem::forget(self);
    }

    fn tell(&self, opened: Result<RpcClient, RpcError>) {
        let class = self.class;
        self.shared.with(|roster, now| match opened {
            Ok(client) => roster.on_opened(now, class, client),
            Err(error) => roster.on_failed(now, class, error),
        });
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.tell(Err(RpcError::NotSent("connecting was given up".into())));
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("per_class", &self.shared.config.per_class)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
