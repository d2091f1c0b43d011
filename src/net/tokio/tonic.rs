//! tonic serves what a [`Listener`] accepts; its clients connect by [`Connector`](super::Connector).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream as FuturesStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{Listener, Stream};

/// What a listener accepts, without end: for `serve_with_incoming` of tonic's server.
///
/// ```no_run
/// use aqueduct::tokio::{Incoming, Listener};
///
/// # async fn run() -> std::io::Result<()> {
/// let incoming = Incoming::new(Listener::bind("127.0.0.1:50051").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
}

impl Incoming {
    /// What `listener` accepts.
    pub fn new(listener: Listener) -> Self {
        Incoming { listener }
    }
}

impl FuturesStream for Incoming {
    type Item = io::Result<Stream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Stream>>> {
        let accepted = ready!(self.listener.poll_accept(cx));
        Poll::Ready(Some(accepted.map(|(stream, _)| stream)))
    }
}

/// The addresses, in tonic's own type, so that `Request::remote_addr` knows them.
impl Connected for Stream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: self.local_addr().ok(),
            remote_addr: self.peer_addr().ok(),
        }
    }
}
