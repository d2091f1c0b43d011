//! What one lost packet holds up: the same requests over HTTP/1.1 and HTTP/2, on one connection and on several, on a path that
//! loses nothing and on one that loses 2 %.
//!
//! `cargo run --release --example head_of_line` prints the table of README.md. The path is a relay in this process: 20 ms each way,
//! losses by the dice of a seed. Each answer is compared with what it must be.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use aqueduct::tokio::{Endpoint, Listener, Stream};
use aqueduct_ecosystem::{Error, pattern};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tokio::time::Instant;

#[path = "../../support/relay.rs"]
#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "programs use different parts of it, and it reads the clock"
)]
mod relay;

use relay::{Impairments, Relay};

/// Requests of a run, all there at its beginning.
const REQUESTS: usize = 64;
/// Bytes of each answer.
const ANSWER: usize = 64 << 10;
/// Connections where there are several.
const SEVERAL: usize = 8;
/// Runs of each kind, each with another seed.
const ROUNDS: u64 = 7;
/// One way.
const DELAY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Http1,
    Http2,
}

/// How long the requests of one run took, each since the beginning, sorted.
type Times = Vec<Duration>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    println!("| loss | HTTP/1.1, 1 connection | HTTP/1.1, {SEVERAL} | HTTP/2, 1 connection | HTTP/2, {SEVERAL} |");
    println!("|---|---|---|---|---|");
    for loss in [0.0, 0.02] {
        let mut cells = Vec::new();
        for (version, connections) in [
            (Version::Http1, 1),
            (Version::Http1, SEVERAL),
            (Version::Http2, 1),
            (Version::Http2, SEVERAL),
        ] {
            let mut rounds = Vec::new();
            for seed in 1..=ROUNDS {
                rounds.push(run(version, connections, loss, seed).await?);
            }
            cells.push(cell(&rounds));
        }
        println!("| {} % | {} |", loss * 100.0, cells.join(" | "));
    }
    println!();
    println!(
        "{REQUESTS} requests at once, {} KiB each, {} ms of round trip; median of {ROUNDS} rounds, seeds 1 to {ROUNDS}: \
         half of the answers / all answers after so many ms",
        ANSWER >> 10,
        2 * DELAY.as_millis(),
    );
    Ok(())
}

/// Half of the answers and all of them, medians over the rounds.
fn cell(rounds: &[Times]) -> String {
    let median = |pick: &dyn Fn(&Times) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(pick).collect();
        all.sort();
        all[all.len() / 2].as_millis()
    };
    let half = median(&|times| times[times.len() / 2]);
    let all = median(&|times| times[times.len() - 1]);
    format!("{half} / {all}")
}

/// Serves, connects through a relay, and asks.
async fn run(version: Version, connections: usize, loss: f64, seed: u64) -> Result<Times, Error> {
    let listener = Listener::bind("127.0.0.1:0").await?;
    let impairments = Impairments {
        loss,
        delay: DELAY,
        seed,
        ..Impairments::default()
    };
    let relay = Relay::start(listener.local_addr()?, impairments)?;
    let server = tokio::spawn(serve(listener, version));
    // All connections share one UDP socket.
    let endpoint = Endpoint::bind("127.0.0.1:0").await?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(endpoint.connect(relay.local_addr()).await?);
    }
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for stream in streams {
        let count = REQUESTS / connections;
        let addr = relay.local_addr();
        clients.spawn(async move {
            match version {
                Version::Http1 => one_after_the_other(stream, addr, count, began).await,
                Version::Http2 => all_at_once(stream, addr, count, began).await,
            }
        });
    }
    let mut times = Times::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client??);
    }
    times.sort();
    assert_eq!(times.len(), REQUESTS);
    server.abort();
    Ok(times)
}

async fn serve(listener: Listener, version: Version) -> Result<(), Error> {
    loop {
        let io = TokioIo::new(listener.accept().await?.0);
        match version {
            Version::Http1 => {
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service_fn(answer));
                tokio::spawn(serving);
            }
            Version::Http2 => {
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service_fn(answer));
                tokio::spawn(serving);
            }
        }
    }
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(pattern(ANSWER).into())))
}

fn request(addr: SocketAddr) -> Result<Request<Empty<Bytes>>, Error> {
    Ok(Request::get(format!("http://{addr}/")).body(Empty::new())?)
}

/// Reads an answer to its end, and says how long after the beginning that was.
async fn taken(answer: Response<Incoming>, began: Instant) -> Result<Duration, Error> {
    let body = answer.into_body().collect().await?.to_bytes();
    let time = began.elapsed();
    assert!(body == pattern(ANSWER), "another answer");
    Ok(time)
}

/// HTTP/1.1: a connection carries one request at a time.
async fn one_after_the_other(
    stream: Stream,
    addr: SocketAddr,
    count: usize,
    began: Instant,
) -> Result<Times, Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut times = Times::new();
    for _ in 0..count {
        sender.ready().await?;
        let answer = sender.send_request(request(addr)?).await?;
        times.push(taken(answer, began).await?);
    }
    Ok(times)
}

/// HTTP/2: all requests of a connection at once.
async fn all_at_once(
    stream: Stream,
    addr: SocketAddr,
    count: usize,
    began: Instant,
) -> Result<Times, Error> {
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let mut sender = sender.clone();
        let request = request(addr)?;
        requests.spawn(async move {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            taken(answer, began).await
        });
    }
    let mut times = Times::new();
    while let Some(time) = requests.join_next().await {
        times.push(time??);
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g2_every_way_of_asking_gets_every_answer() -> Result<(), Error> {
        tokio::runtime::Runtime::new()?.block_on(async {
            for version in [Version::Http1, Version::Http2] {
                for connections in [1, SEVERAL] {
                    let times = run(version, connections, 0.02, 1).await?;
                    assert_eq!(times.len(), REQUESTS, "{version:?} over {connections}");
                }
            }
            Ok(())
        })
    }
}
