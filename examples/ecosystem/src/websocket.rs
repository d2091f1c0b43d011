//! WebSocket: an echo.

use std::net::SocketAddr;

use aqueduct::tokio::{Listener, Stream};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

use crate::{Error, pattern};

/// Messages there and back, each longer than the last.
const MESSAGES: usize = 50;

/// Sends back what one client says, until it closes.
pub async fn serve(listener: &Listener) -> Result<(), Error> {
    let (stream, _) = listener.accept().await?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_binary() || message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// Says something, and expects to hear it again.
pub async fn call(addr: SocketAddr) -> Result<(), Error> {
    let stream = Stream::connect(addr).await?;
    let (mut socket, _) = client_async(format!("ws://{addr}/"), stream).await?;
    for round in 0..MESSAGES {
        let sent = Message::binary(pattern(round * 1_000));
        socket.send(sent.clone()).await?;
        let heard = socket.next().await.ok_or("the server has gone")??;
        assert_eq!(heard, sent);
    }
    socket.close(None).await?;
    while let Some(rest) = socket.next().await {
        rest?;
    }
    Ok(())
}
