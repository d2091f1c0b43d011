//! Idle: connections that carried one byte each way, and then nothing; what each costs.
//!
//! User memory is what the two processes grew by (resident). The kernel's is what its objects for
//! sockets grew by in all, divided by the sockets that both processes opened, times those of the server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Figures, Served, figures, pause, request};
use crate::stream::{
    Buffer, Peer, Stream, read_exact, read_numbers, wait_for_close, write_numbers,
};
use crate::system::{self, nanos};

/// What is left of the work before, such as late acknowledgements, is not idleness.
const SETTLE: Duration = Duration::from_millis(500);
/// How long the connections are watched.
const WATCH: Duration = Duration::from_secs(2);

/// Is the client.
pub(super) async fn rest<P: Peer>(
    peer: Arc<P>,
    server: SocketAddr,
    count: u64,
) -> io::Result<Figures> {
    // The first connection brings what all of them share into memory.
    ask(&*peer, server).await?;
    let kernel = system::socket_memory();
    let before = (Report::own(), ask(&*peer, server).await?);
    let mut held = Vec::new();
    let mut buffer = Buffer::new(1);
    for _ in 0..count {
        let mut stream = peer.connect(server).await?;
        stream.write(Bytes::from_static(&[request::IDLE])).await?;
        read_exact(&mut stream, &mut buffer, &mut [0]).await?;
        held.push(stream);
    }
    pause(peer.tasks(), SETTLE).await;
    let full = (Report::own(), ask(&*peer, server).await?);
    let kernel = kernel.zip(system::socket_memory());
    pause(peer.tasks(), WATCH).await;
    let after = (Report::own(), ask(&*peer, server).await?);
    let count = count as f64;
    let [ours, theirs] = [full.0.since(&before.0), full.1.since(&before.1)];
    let sockets = (ours.sockets + theirs.sockets).max(1) as f64;
    let grown = kernel.map_or(f64::NAN, |(from, to)| to.saturating_sub(from) as f64);
    let processor = after.0.since(&full.0).processor + after.1.since(&full.1).processor;
    Ok(figures([
        ("server, user B", theirs.memory as f64 / count),
        (
            "server, kernel B",
            grown / sockets * theirs.sockets as f64 / count,
        ),
        ("client, user B", ours.memory as f64 / count),
        (
            "client, kernel B",
            grown / sockets * ours.sockets as f64 / count,
        ),
        (
            "CPU while idle, %",
            processor as f64 / WATCH.as_nanos() as f64 * 100.0,
        ),
    ]))
}

/// What a process says of itself.
struct Report {
    /// Resident bytes.
    memory: u64,
    /// Open sockets.
    sockets: u64,
    /// Nanoseconds.
    processor: u64,
}

impl Report {
    fn own() -> Report {
        Report {
            memory: system::resident_memory(),
            sockets: system::sockets(),
            processor: nanos(system::processor_time()),
        }
    }

    fn since(&self, before: &Report) -> Report {
        Report {
            memory: self.memory.saturating_sub(before.memory),
            sockets: self.sockets.saturating_sub(before.sockets),
            processor: self.processor.saturating_sub(before.processor),
        }
    }
}

async fn ask(peer: &impl Peer, server: SocketAddr) -> io::Result<Report> {
    let mut stream = peer.connect(server).await?;
    stream.write(Bytes::from_static(&[request::REPORT])).await?;
    let [memory, sockets, processor] = read_numbers(&mut stream, &mut Buffer::new(8)).await?;
    Ok(Report {
        memory,
        sockets,
        processor,
    })
}

/// Is the server of one that rests.
pub(super) async fn serve<S: Stream>(mut stream: S, served: &Served<S>) -> io::Result<()> {
    stream.write(Bytes::from_static(&[request::IDLE])).await?;
    let mut held = served.held.lock().expect("nobody panics with this lock");
    held.push(stream);
    Ok(())
}

/// Is the server of one that asks.
pub(super) async fn report(mut stream: impl Stream, buffer: &mut Buffer) -> io::Result<()> {
    let Report {
        memory,
        sockets,
        processor,
    } = Report::own();
    write_numbers(&mut stream, &[memory, sockets, processor]).await?;
    wait_for_close(&mut stream, buffer).await
}
