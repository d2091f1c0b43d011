//! The works that are measured, written once for all streams; bare UDP does two of them in its own way.

pub(crate) mod bulk;
mod connects;
mod idle;
mod many;
pub(crate) mod ping_pong;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::stream::{Buffer, Peer, READ_MAX, Stream, Tasks, read_exact};
use crate::system;

/// What is measured.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// One connection that sends, over loopback
    Bulk,
    /// The same between two network namespaces, over veth with MTU 1500
    Veth,
    /// Messages of 64 bytes to and fro
    PingPong,
    /// Connect, one byte each way, close; one after the other
    Connects,
    /// The same, 64 at once
    #[value(name = "connects-64")]
    Connects64,
    /// Connections that do nothing
    Idle,
    /// Connections that send at once
    Many,
}

/// How much of it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Amount {
    /// How long a transfer, a ping-pong or a series of connections lasts, ms
    #[arg(long, default_value_t = 1_000)]
    pub(crate) milliseconds: u64,
    /// Connections that rest
    #[arg(long, default_value_t = 10_000)]
    pub(crate) idle: u64,
    /// Connections that send at once
    #[arg(long, default_value_t = 1_000)]
    pub(crate) many: u64,
}

impl Amount {
    /// How long a transfer, a ping-pong or a series of connections lasts.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }
}

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Names the figures of one measurement; what is not a number could not be measured.
pub(crate) fn figures<const N: usize>(named: [(&str, f64); N]) -> Figures {
    let known = named.into_iter().filter(|(_, value)| value.is_finite());
    known
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// One of the compared, as server and as client.
pub(crate) trait Works {
    /// Serves one scenario for ever.
    ///
    /// # Errors
    ///
    /// The listener's error.
    fn serve(&self, scenario: Scenario, at: SocketAddr, amount: &Amount) -> io::Result<()>;

    /// Is the client of one measurement.
    ///
    /// # Errors
    ///
    /// The stream's error, or that something else arrived than was sent.
    fn measure(
        &self,
        scenario: Scenario,
        server: SocketAddr,
        amount: &Amount,
    ) -> io::Result<Figures>;
}

/// The first byte of a connection: what the client wants.
mod request {
    pub(super) const BULK: u8 = b'b';
    pub(super) const PING_PONG: u8 = b'p';
    pub(super) const CONNECT: u8 = b'c';
    pub(super) const IDLE: u8 = b'i';
    pub(super) const MANY: u8 = b'm';
    pub(super) const COUNTS: u8 = b'n';
    pub(super) const REPORT: u8 = b'r';
}

/// The works of a transport of streams.
pub(crate) struct Streams<P>(Arc<P>);

impl<P: Peer> Streams<P> {
    pub(crate) fn new(peer: P) -> Streams<P> {
        Streams(Arc::new(peer))
    }
}

/// What the connections of a server share.
struct Served<S> {
    pattern: Pattern,
    /// Connections that rest.
    held: Mutex<Vec<S>>,
    /// Bytes of each of the connections that send at once.
    counts: Vec<AtomicU64>,
}

impl<P: Peer> Works for Streams<P> {
    fn serve(&self, scenario: Scenario, at: SocketAddr, amount: &Amount) -> io::Result<()> {
        let (listener, address) = self.0.listen(at)?;
        let many = if scenario == Scenario::Many {
            amount.many
        } else {
            0
        };
        let served = Arc::new(Served {
            pattern: Pattern::new(),
            held: Mutex::default(),
            counts: (0..many).map(|_| AtomicU64::new(0)).collect(),
        });
        system::announce(address)?;
        // One thread or task for each connection that there is at a time, but one for all that rest.
        let at_once = match scenario {
            Scenario::Connects64 => connects::AT_ONCE,
            Scenario::Many => amount.many + 1,
            _ => 1,
        };
        let (peer, listener) = (self.0.clone(), Arc::new(listener));
        let work = || accept_for_ever(peer.clone(), listener.clone(), served.clone());
        let tasks = self.0.tasks();
        let others: Vec<_> = (1..at_once)
            .map(|_| tasks.start(work()))
            .collect::<Result<_, _>>()?;
        let ended = tasks.run(work());
        drop(others);
        ended
    }

    fn measure(
        &self,
        scenario: Scenario,
        server: SocketAddr,
        amount: &Amount,
    ) -> io::Result<Figures> {
        let peer = self.0.clone();
        let tasks = self.0.tasks();
        let time = amount.time();
        match scenario {
            Scenario::Bulk | Scenario::Veth => tasks.run(bulk::send(peer, server, time)),
            Scenario::PingPong => tasks.run(ping_pong::play(peer, server, time)),
            Scenario::Connects => connects::make(&peer, server, 1, time),
            Scenario::Connects64 => connects::make(&peer, server, connects::AT_ONCE, time),
            Scenario::Idle => tasks.run(idle::rest(peer, server, amount.idle)),
            Scenario::Many => many::send(&peer, server, amount.many, time),
        }
    }
}

/// Serves one connection after the other; ends only with the listener.
async fn accept_for_ever<P: Peer>(
    peer: Arc<P>,
    listener: Arc<P::Listener>,
    served: Arc<Served<P::Stream>>,
) -> io::Result<()> {
    let mut buffer = Buffer::new(READ_MAX);
    loop {
        let stream = peer.accept(&listener).await?;
        if let Err(error) = serve_one(stream, &mut buffer, &served).await {
            eprintln!("the server: {error}");
        }
    }
}

async fn serve_one<S: Stream>(
    mut stream: S,
    buffer: &mut Buffer,
    served: &Served<S>,
) -> io::Result<()> {
    let mut request = [0];
    read_exact(&mut stream, buffer, &mut request).await?;
    match request {
        [request::BULK] => bulk::serve(stream, buffer, &served.pattern).await,
        [request::PING_PONG] => ping_pong::serve(stream, buffer).await,
        [request::CONNECT] => connects::serve(stream, buffer).await,
        [request::IDLE] => idle::serve(stream, served).await,
        [request::REPORT] => idle::report(stream, buffer).await,
        [request::MANY] => many::serve(stream, buffer, served).await,
        [request::COUNTS] => many::report(stream, buffer, served).await,
        _ => Err(wrong("a client asked for no work that there is")),
    }
}

pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory is no more than 64 bits")
}

/// Waits without work.
async fn pause(tasks: &Tasks, time: Duration) {
    match tasks {
        Tasks::Threads => system::pause(time),
        Tasks::Tokio(_) => tokio::time::sleep(time).await,
    }
}

/// Starts the same work several times at once; all outcomes.
fn at_once<P: Peer, T: Send + 'static, F>(
    peer: &Arc<P>,
    count: u64,
    work: impl Fn(u64) -> F,
) -> io::Result<Vec<T>>
where
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let tasks = peer.tasks();
    let started: Vec<_> = (0..count)
        .map(|number| tasks.start(work(number)))
        .collect::<Result<_, _>>()?;
    started.into_iter().map(|task| tasks.join(task)).collect()
}
