//! A service that does everything, and what the tests of calls share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aqueduct::msg::{
    BodyReader, CallCx, ClientConfig, Codec, Hello, Postcard, Reply, RpcClient, RpcError,
    RpcServer, ServerConfig, Service, Status, code,
};
use aqueduct::{Listener, Stream};
use bytes::Bytes;

pub(super) const ECHO: u16 = 1;
pub(super) const SUM: u16 = 2;
pub(super) const WAIT: u16 = 3;
pub(super) const STREAM: u16 = 4;
pub(super) const PANIC: u16 = 5;
/// Echoes, sums, streams, and waits until it is let go or nobody wants its answer.
struct Everything {
    let_go: Mutex<Receiver<()>>,
    cancelled: Arc<AtomicUsize>,
    notified: Sender<Bytes>,
}

impl Service for Everything {
    fn call(&self, cx: &CallCx, body: BodyReader) -> Result<Reply, Status> {
        let whole = |body: BodyReader| {
            body.read_whole(1 << 20)
                .map_err(|error| Status::refused(code::TOO_LARGE, error.to_string()))
        };
        match cx.method {
            ECHO => Ok(Reply::Whole(whole(body)?)),
            SUM => {
                let numbers: Vec<u64> = Postcard.decode(&whole(body)?)?;
                Ok(Reply::Whole(Postcard.encode(&numbers.iter().sum::<u64>())?))
            }
            WAIT => {
                while !cx.is_cancelled() {
                    let let_go = self
                        .let_go
                        .lock()
                        .expect("no panic")
                        .recv_timeout(Duration::from_millis(5));
                    if let_go.is_ok() {
                        return Ok(Reply::Whole("late".into()));
                    }
                }
                self.cancelled.fetch_add(1, Ordering::SeqCst);
                Err(Status::new(400, "cancelled"))
            }
            STREAM => Ok(Reply::Stream(Box::new(body))),
            PANIC => panic!("this handler is meant to panic"),
            method => Err(Status::refused(
                code::UNKNOWN_METHOD,
                format!("no method {method}"),
            )),
        }
    }

    fn notify(&self, _: &CallCx, body: Bytes) {
        let _ = self.notified.send(body);
    }
}

pub(super) struct Bench {
    pub(super) server: Arc<RpcServer>,
    pub(super) addr: SocketAddr,
    pub(super) let_go: Sender<()>,
    pub(super) cancelled: Arc<AtomicUsize>,
    pub(super) notified: Receiver<Bytes>,
}

impl Bench {
    pub(super) fn start(addr: SocketAddr) -> Self {
        Bench::with(
            addr,
            Hello {
                node: "b".into(),
                ..Hello::default()
            },
        )
    }

    pub(super) fn with(addr: SocketAddr, hello: Hello) -> Self {
        let ((let_go, gone), (say, notified)) = (mpsc::channel(), mpsc::channel());
        let cancelled = Arc::new(AtomicUsize::new(0));
        let service = Everything {
            let_go: Mutex::new(gone),
            cancelled: cancelled.clone(),
            notified: say,
        };
        let server = Arc::new(RpcServer::with_service(
            hello,
            ServerConfig::default(),
            service,
        ));
        let addr = serve(addr, &server);
        Bench {
            server,
            addr,
            let_go,
            cancelled,
            notified,
        }
    }

    pub(super) fn client(&self) -> RpcClient {
        connect(self.addr, Hello::default()).expect("it is the one")
    }
}

/// Serves whoever connects, as long as the server is there; where.
pub(super) fn serve(addr: SocketAddr, server: &Arc<RpcServer>) -> SocketAddr {
    let listener = Listener::bind(addr).expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let theirs = Arc::downgrade(server);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(server) = theirs.upgrade() else {
                return;
            };
            // One too many is closed.
            let _ = server.serve_stream(stream.expect("a connection"));
        }
    });
    addr
}

/// A client over a stream of its own.
pub(super) fn connect(addr: SocketAddr, hello: Hello) -> Result<RpcClient, RpcError> {
    let stream = Stream::connect(addr).expect("a listener");
    RpcClient::over(stream, hello, ClientConfig::default())
}
