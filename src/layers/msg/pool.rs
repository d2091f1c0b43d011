//! [`Pool`]: connections to one peer that come back by themselves, a number for each class, so that what is urgent never waits
//! behind what is long.
//!
//! Within one connection bodies take turns, but bytes that are in the stream's buffer, or lost on the way, hold up all that
//! follows. Another connection is not held up by them.

use std::fmt;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::backoff::Backoff;
use super::client::{CallOptions, ClientConfig, RpcClient};
use super::error::RpcError;
use super::hello::Hello;
use super::roster::{
    Choice, Member, PoolConfig, PoolState, Remedy, Roster, of_all_attempts, remedy,
};
use crate::discovery::Resolve;
use crate::time::Time;
use crate::{Config, Stream, runtime};

/// What a call is like, as far as others should not wait for it. Any number will do; these are usual.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Class(pub u8);

impl Class {
    /// Small, and urgent: heartbeats, votes, look-ups.
    pub const CONTROL: Class = Class(0);
    /// The usual.
    pub const NORMAL: Class = Class(1);
    /// Long: files, snapshots.
    pub const BULK: Class = Class(2);
}

type Connect = Box<dyn Fn(Class, Duration) -> io::Result<Stream> + Send + Sync>;

impl Member for RpcClient {
    fn is_open(&self) -> bool {
        RpcClient::is_open(self)
    }

    fn calls(&self) -> usize {
        RpcClient::calls(self)
    }

    fn silent_for(&self) -> Option<Duration> {
        self.evidence().since_heard
    }
}

/// Connections to one peer, opened when they are wanted and again when they have failed.
///
/// A call waits for a connection as long as [`PoolConfig::wait`] says, while attempts to connect become rarer. What was surely not
/// executed is called again by itself; what may have been is so with an idempotency key alone ([`CallOptions::idem`]).
///
/// ```
/// use aqueduct::msg::{CallCx, CallOptions, Class, ClientConfig, Hello, Pool, RpcServer, ServerConfig};
/// use aqueduct::{Endpoint, Listener};
/// use bytes::Bytes;
///
/// # let echo = |_: &CallCx, body: Bytes| Ok(body);
/// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
/// # let listener = Listener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// # std::thread::spawn(move || server.serve(&listener));
/// // All connections of this peer share one UDP socket.
/// let endpoint = Endpoint::bind("127.0.0.1:0")?;
/// let pool = Pool::new(move |_| endpoint.connect(address), Hello::default(), ClientConfig::default(), 1);
/// let answer = pool.call(Class::CONTROL, 1, "quick".into(), &CallOptions::default())?;
/// assert_eq!(answer, "quick");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    connect: Connect,
    hello: Hello,
    config: PoolConfig,
    roster: Mutex<Roster<RpcClient>>,
    changed: Condvar,
}

impl Pool {
    /// A pool of up to `per_class` connections of each class (at least 1), which `connect` opens. It neither waits nor repeats
    /// ([`PoolConfig::fail_fast`]).
    pub fn new(
        connect: impl Fn(Class) -> io::Result<Stream> + Send + Sync + 'static,
        hello: Hello,
        config: ClientConfig,
        per_class: usize,
    ) -> Self {
        Pool::with(connect, hello, PoolConfig::fail_fast(config, per_class))
    }

    /// A pool whose connections `connect` opens. That is called by whoever wants one, who waits for it.
    pub fn with(
        connect: impl Fn(Class) -> io::Result<Stream> + Send + Sync + 'static,
        hello: Hello,
        config: PoolConfig,
    ) -> Self {
        Pool::start(Box::new(move |class, _| connect(class)), hello, config)
    }

    /// A pool of connections to a name, which is resolved anew for each of them. Each has a UDP socket of its own.
    ///
    /// ```
    /// use aqueduct::msg::{CallCx, CallOptions, Class, Hello, Pool, PoolConfig, RpcServer, ServerConfig};
    /// use aqueduct::{Config, Listener};
    /// use bytes::Bytes;
    ///
    /// # let echo = |_: &CallCx, body: Bytes| Ok(body);
    /// # let server = RpcServer::new(Hello::default(), ServerConfig::default(), echo);
    /// # let listener = Listener::bind("127.0.0.1:0")?;
    /// # let port = listener.local_addr()?.port();
    /// # std::thread::spawn(move || server.serve(&listener));
    /// let pool = Pool::to(("localhost", port), Config::default(), Hello::default(), PoolConfig::default());
    /// let answer = pool.call(Class::NORMAL, 1, "hello".into(), &CallOptions::default())?;
    /// assert_eq!(answer, "hello");
    /// assert_eq!(pool.state(Class::NORMAL).open, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to(
        target: impl Resolve + 'static,
        stream: Config,
        hello: Hello,
        config: PoolConfig,
    ) -> Self {
        let connect = move |_, left: Duration| {
            let timeout = stream.connect_timeout().min(left);
            let stream = stream.clone().with_connect_timeout(timeout);
            Stream::connect_with(&target.resolve()?[..], &stream)
        };
        Pool::start(Box::new(connect), hello, config)
    }

    fn start(connect: Connect, hello: Hello, config: PoolConfig) -> Self {
        let roster = Roster::new(config.clone(), seed());
        Pool {
            connect,
            hello,
            config,
            roster: Mutex::new(roster),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Roster<RpcClient>> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of this class: the one with the fewest calls, or a new one while there may be more. Waits for one as long as the
    /// pool is configured to.
    ///
    /// # Errors
    /// [`RpcError`] of the last attempt; nothing was sent. [`RpcError::Overloaded`] if too many wait.
    pub fn client(&self, class: Class) -> Result<RpcClient, RpcError> {
        self.client_until(class, runtime::now() + self.config.wait)
    }

    fn client_until(&self, class: Class, until: Time) -> Result<RpcClient, RpcError> {
        let mut roster = self.lock();
        let failures = roster.failures(class);
        let mut is_first = true;
        loop {
            let now = runtime::now();
            let verdict = roster.verdict(now, class, (failures, until));
            if let Some(error) = verdict.filter(|_| !is_first) {
                return Err(error);
            }
            let choice = roster.choose(now, class);
            let gone = roster.take_gone();
            roster = match choice {
                Choice::Wait(at) if gone.is_empty() => {
                    self.wait(roster, class, (now, at, until))?
                }
                choice => {
                    drop(roster);
                    drop(gone);
                    match choice {
                        Choice::Take(client) => return Ok(client),
                        Choice::Connect => self.open(class, until - now),
                        Choice::Wait(_) => {}
                    }
                    self.lock()
                }
            };
            is_first = false;
        }
    }

    /// Opens a connection, while others of the pool do not wait for the handshake, and enters it.
    fn open(&self, class: Class, left: Duration) {
        let mut config = self.config.client.clone();
        let left = if self.config.wait.is_zero() {
            Duration::MAX
        } else {
            left.max(Duration::from_millis(1))
        };
        config.hello_timeout = config.hello_timeout.min(left);
        let opening = Opening { pool: self, class };
        let stream = (self.connect)(class, left);
        let opened = stream
            .map_err(|error| RpcError::NotSent(error.to_string()))
            .and_then(|stream| RpcClient::over(stream, self.hello.clone(), config));
        opening.end(opened);
    }

    /// Waits for another who connects, or for a pause to end.
    fn wait<'p>(
        &'p self,
        mut roster: MutexGuard<'p, Roster<RpcClient>>,
        class: Class,
        (now, at, until): (Time, Option<Time>, Time),
    ) -> Result<MutexGuard<'p, Roster<RpcClient>>, RpcError> {
        if !roster.begin_to_wait(class) {
            return Err(RpcError::Overloaded);
        }
        // Who waits for nothing else waits for a handshake that another has begun all the same: it has an end of its own.
        let wake = match at {
            Some(at) => Some(at.min(until)),
            None => Some(until).filter(|_| !self.config.wait.is_zero()),
        };
        roster = match wake {
            None => self
                .changed
                .wait(roster)
                .unwrap_or_else(PoisonError::into_inner),
            Some(wake) => {
                let waited = self.changed.wait_timeout(roster, wake - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        roster.end_to_wait(class);
        Ok(roster)
    }

    /// Calls a method over a connection of this class, again if that is safe, within the time that the call has.
    ///
    /// # Errors
    /// As [`RpcClient::call`]; those of [`Pool::client`].
    pub fn call(
        &self,
        class: Class,
        method: u16,
        body: Bytes,
        options: &CallOptions,
    ) -> Result<Bytes, RpcError> {
        let timeout = options.timeout.or(self.config.client.call_timeout);
        let end = timeout.map_or(Time::MAX, |timeout| runtime::now() + timeout);
        let mut backoff = Backoff::new(self.config.pause_min, self.config.pause_max, seed());
        let mut repeats = self.config.repeats;
        let mut maybe_executed = false;
        loop {
            let now = runtime::now();
            let client = self
                .client_until(class, (now + self.config.wait).min(end))
                .map_err(|error| of_all_attempts(maybe_executed, error))?;
            let mut options = options.clone();
            options.timeout = timeout.map(|_| end - runtime::now());
            let error = match client.call_with(method, body.clone(), &options) {
                Err(error) if repeats > 0 && runtime::now() < end => error,
                result => return result.map_err(|error| of_all_attempts(maybe_executed, error)),
            };
            repeats -= 1;
            maybe_executed |= error.maybe_executed();
            match remedy(&error, options.idem) {
                Remedy::None => return Err(of_all_attempts(maybe_executed, error)),
                Remedy::Again => {}
                Remedy::AfterPause => self.pause(backoff.next_pause().min(end - runtime::now())),
            }
        }
    }

    /// Waits, at most until anything changes in the pool.
    fn pause(&self, pause: Duration) {
        let waited = self.changed.wait_timeout(self.lock(), pause);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.lock().open()
    }

    /// How the connections of a class do.
    pub fn state(&self, class: Class) -> PoolState {
        self.change(|roster, now| roster.state(now, class))
    }

    /// Closes what has been idle for too long; how long it is until that may be so again. Each call does it too: this is for programs
    /// whose pools rest.
    pub fn sweep(&self) -> Option<Duration> {
        self.change(|roster, now| roster.sweep(now).map(|at| at - now))
    }

    fn change<T>(&self, act: impl FnOnce(&mut Roster<RpcClient>, Time) -> T) -> T {
        let mut roster = self.lock();
        let answer = act(&mut roster, runtime::now());
        let gone = roster.take_gone();
        drop(roster);
        drop(gone);
        answer
    }
}

/// A connection that is being opened; whatever happens meanwhile, the roster hears of its end.
struct Opening<'p> {
    pool: &'p Pool,
    class: Class,
}

impl Opening<'_> {
    fn end(self, opened: Result<RpcClient, RpcError>) {
        self.tell(opened);
        std::mem::forget(self);
    }

    fn tell(&self, opened: Result<RpcClient, RpcError>) {
        let now = runtime::now();
        let mut roster = self.pool.lock();
        match opened {
            Ok(client) => roster.on_opened(now, self.class, client),
            Err(error) => roster.on_failed(now, self.class, error),
        }
        drop(roster);
        self.pool.changed.notify_all();
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.tell(Err(RpcError::NotSent("connecting panicked".into())));
    }
}

/// What the jitter of a pool is drawn from. Without chance there is none: then all pools have the same pauses.
pub(super) fn seed() -> u64 {
    let mut seed = [0; 8];
    let _ = getrandom::fill(&mut seed);
    u64::from_ne_bytes(seed)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("per_class", &self.config.per_class)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
