//! Connects: connect, one byte each way, close; over and over, alone or 64 at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Figures, at_once, figures, request, wrong};
use crate::stream::{Buffer, Peer, Stream, read_exact, wait_for_close};
use crate::system::now;

/// Connections that are made at once.
pub(super) const AT_ONCE: u64 = 64;
const BYTE: &[u8] = &[request::CONNECT];

/// Is the client, with so many tasks that connect one time after the other.
pub(super) fn make<P: Peer>(
    peer: &Arc<P>,
    server: SocketAddr,
    tasks: u64,
    time: Duration,
) -> io::Result<Figures> {
    let begin = now();
    let end = begin + time;
    let made = at_once(peer, tasks, |_| {
        let peer = peer.clone();
        async move {
            let mut made = 0_u64;
            let mut buffer = Buffer::new(1);
            while now() < end {
                connect_once(&*peer, server, &mut buffer).await?;
                made += 1;
            }
            Ok(made)
        }
    })?;
    let rate = made.iter().sum::<u64>() as f64 / begin.elapsed().as_secs_f64();
    Ok(figures([("a second", rate)]))
}

async fn connect_once(peer: &impl Peer, server: SocketAddr, buffer: &mut Buffer) -> io::Result<()> {
    let mut stream = peer.connect(server).await?;
    stream.write(Bytes::from_static(BYTE)).await?;
    let mut answer = [0];
    read_exact(&mut stream, buffer, &mut answer).await?;
    if answer != BYTE {
        return Err(wrong("what came back is not what was sent"));
    }
    Ok(())
}

/// Is the server. The client closes first, so that nothing is reset under it.
pub(super) async fn serve(mut stream: impl Stream, buffer: &mut Buffer) -> io::Result<()> {
    stream.write(Bytes::from_static(BYTE)).await?;
    wait_for_close(&mut stream, buffer).await
}
