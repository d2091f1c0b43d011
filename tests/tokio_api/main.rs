//! The face for tasks: what becomes of futures that are dropped, of runtimes that go, and of streams that both
//! tasks and threads use.
//!
//! tokio's own tests of its TCP streams run over it, too (`tests/tokio_suite.sh`).
#![cfg(feature = "tokio")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

mod cancel;
mod datagrams;
mod mixed;
mod readiness;
mod runtimes;
#[path = "../support/mod.rs"]
mod support;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use aqueduct::tokio::{Listener, Stream};
use tokio::runtime::{Builder, Runtime};

use support::wait::watched;

/// A runtime that runs tasks on the thread that blocks, or on two workers.
#[derive(Clone, Copy, Debug)]
enum Flavor {
    CurrentThread,
    MultiThread,
}

const FLAVORS: [Flavor; 2] = [Flavor::CurrentThread, Flavor::MultiThread];

impl Flavor {
    fn build(self) -> Runtime {
        let mut builder = match self {
            Flavor::CurrentThread => Builder::new_current_thread(),
            Flavor::MultiThread => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().unwrap()
    }
}

/// Runs the case in a runtime of each flavor, under a watchdog.
#[track_caller]
fn in_each_flavor<F: Future<Output = ()>>(case: impl Fn() -> F + Clone + Send + 'static) {
    for flavor in FLAVORS {
        println!("{flavor:?}");
        let case = case.clone();
        watched(move || flavor.build().block_on(case()));
    }
}

/// Both ends of a connection.
async fn pair() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let client = Stream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    (client.unwrap(), server)
}

/// The future's output, if it has one within so many polls; then it is dropped.
async fn within_polls<F: Future>(most: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls >= most => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
