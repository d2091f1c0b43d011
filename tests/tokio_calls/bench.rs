//! A service that does everything, and what the tests ask it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aqueduct::msg::tokio::{BodyReader, CallCx, Reply, RpcServer, Service};
use aqueduct::msg::{Codec, Hello, Postcard, ServerConfig, Status, code};
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};

pub(crate) const ECHO: u16 = 1;
pub(crate) const SUM: u16 = 2;
pub(crate) const WAIT: u16 = 3;
pub(crate) const STREAM: u16 = 4;
pub(crate) const PANIC: u16 = 5;

/// What the service and its test share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Handlers of [`WAIT`] that have begun.
    pub(crate) begun: Semaphore,
    /// Lets one of them answer.
    pub(crate) let_go: Notify,
    /// Of those that heard that nobody waits.
    pub(crate) cancelled: Semaphore,
    /// Handlers that run, and the most that ever did.
    pub(crate) running: AtomicUsize,
    pub(crate) running_most: AtomicUsize,
}

/// Echoes, sums, streams, and waits until it is let go or nobody wants its answer.
struct Everything {
    shared: Arc<Shared>,
    notified: mpsc::UnboundedSender<Bytes>,
}

impl Everything {
    async fn wait(&self, cx: &CallCx) -> Result<Reply, Status> {
        self.shared.begun.add_permits(1);
        tokio::select! {
            () = self.shared.let_go.notified() => Ok(Reply::Whole("late".into())),
            () = cx.cancelled() => {
                assert!(cx.is_cancelled());
                self.shared.cancelled.add_permits(1);
                Err(Status::new(400, "cancelled"))
            }
        }
    }

    async fn answer(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        let whole = async |body: BodyReader| {
            let body = body.read_whole(4 << 20).await;
            body.map_err(|error| Status::refused(code::TOO_LARGE, error.to_string()))
        };
        match cx.method {
            ECHO => Ok(Reply::Whole(whole(body).await?)),
            SUM => {
                let numbers: Vec<u64> = Postcard.decode(&whole(body).await?)?;
                Ok(Reply::Whole(Postcard.encode(&numbers.iter().sum::<u64>())?))
            }
            WAIT => self.wait(&cx).await,
            STREAM => Ok(Reply::stream(body)),
            PANIC => panic!("this handler is meant to panic"),
            method => Err(Status::refused(
                code::UNKNOWN_METHOD,
                format!("no method {method}"),
            )),
        }
    }
}

impl Service for Everything {
    async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        let now = self.shared.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.shared.running_most.fetch_max(now, Ordering::SeqCst);
        let reply = self.answer(cx, body).await;
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
        reply
    }

    async fn notify(&self, _: CallCx, body: Bytes) {
        let _ = self.notified.send(body);
    }
}

/// A server of that service.
pub(crate) struct Bench {
    pub(crate) server: Arc<RpcServer>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) notified: mpsc::UnboundedReceiver<Bytes>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let node = "b".into();
        Bench::with(
            Hello {
                node,
                ..Hello::default()
            },
            ServerConfig::default(),
        )
    }

    pub(crate) fn with(hello: Hello, config: ServerConfig) -> Self {
        let shared = Arc::new(Shared {
            begun: Semaphore::new(0),
            let_go: Notify::new(),
            cancelled: Semaphore::new(0),
            running: AtomicUsize::new(0),
            running_most: AtomicUsize::new(0),
        });
        let (say, notified) = mpsc::unbounded_channel();
        let service = Everything {
            shared: shared.clone(),
            notified: say,
        };
        let server = Arc::new(RpcServer::with_service(hello, config, service));
        Bench {
            server,
            shared,
            notified,
        }
    }

    /// Waits until so many handlers of [`WAIT`] have begun, since the last time.
    pub(crate) async fn begun(&self, count: u32) {
        let permits = self.shared.begun.acquire_many(count).await;
        permits.unwrap().forget();
    }

    /// Waits until so many of them have heard that nobody waits.
    pub(crate) async fn cancelled(&self, count: u32) {
        let permits = self.shared.cancelled.acquire_many(count).await;
        permits.unwrap().forget();
    }
}
