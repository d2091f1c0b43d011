//! HTTP: an axum server, a hyper client, and a client that shuts its writing side down before it has its answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use aqueduct::tokio::{Connector, Listener, PeerAddr, Stream};
use axum::Router;
use axum::extract::{ConnectInfo, Path};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Error, pattern};

/// Bytes of the larger body.
const LARGE: usize = 300_000;

/// An axum server, which needs nothing but another listener.
pub async fn serve(listener: Listener) -> io::Result<()> {
    let router = Router::new()
        .route("/greet/{name}", get(greet))
        .route("/echo", post(|body: Bytes| async move { body }));
    let service = router.into_make_service_with_connect_info::<PeerAddr>();
    axum::serve(listener, service).await
}

async fn greet(
    Path(name): Path<String>,
    ConnectInfo(PeerAddr(from)): ConnectInfo<PeerAddr>,
) -> String {
    format!("{name} at {}", from.ip())
}

/// A hyper client: a small answer, and a large body there and back.
pub async fn call(addr: SocketAddr) -> Result<(), Error> {
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(Connector::default());
    let answer = client
        .get(format!("http://{addr}/greet/river").parse()?)
        .await?;
    let body = answer.into_body().collect().await?.to_bytes();
    assert_eq!(body, format!("river at {}", addr.ip()));

    let sent = Bytes::from(pattern(LARGE));
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{addr}/echo"))
        .body(Full::new(sent.clone()))?;
    let body = client
        .request(request)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    assert_eq!(body, sent);
    Ok(())
}

/// A hyper server that answers clients who have finished writing, for one connection.
pub async fn serve_half_closed(listener: &Listener) -> Result<(), Error> {
    let (stream, _) = listener.accept().await?;
    hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(late_answer))
        .await?;
    Ok(())
}

async fn late_answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // By the time that the answer is made, the end of the client's side has come.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    Ok(Response::new(Full::new(body.unwrap_or_default())))
}

/// An HTTP/1.1 client that shuts its writing side down at once, and then reads the answer.
pub async fn call_half_closed(addr: SocketAddr) -> Result<(), Error> {
    let sent = pattern(LARGE);
    let mut stream = Stream::connect(addr).await?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {LARGE}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&sent).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(answer.ends_with(&sent));
    Ok(())
}
