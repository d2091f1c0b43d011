//! axum serves what a [`Listener`] accepts.

use std::io;
use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::{Listener, Stream};

/// The address of the client, for `axum::extract::ConnectInfo<PeerAddr>` behind
/// `Router::into_make_service_with_connect_info::<PeerAddr>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerAddr(pub SocketAddr);

/// Serves HTTP over aqueduct: `axum::serve(listener, router)`.
///
/// ```no_run
/// use aqueduct::tokio::Listener;
/// use axum::{Router, routing::get};
///
/// # async fn run() -> std::io::Result<()> {
/// let listener = Listener::bind("127.0.0.1:8080").await?;
/// let router: Router = Router::new().route("/", get(|| async { "over the valley" }));
/// axum::serve(listener, router).await
/// # }
/// ```
impl axum::serve::Listener for Listener {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match Listener::accept(self).await {
            Ok(accepted) => accepted,
            // No peer can cause an error: what serves the listener has ended, and nothing will come.
            Err(error) => {
                tracing::error!(%error, "a listener has ended");
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Listener::local_addr(self)
    }
}

impl Connected<IncomingStream<'_, Listener>> for PeerAddr {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        PeerAddr(*stream.remote_addr())
    }
}
