//! Many: a thousand connections that send at once; what they carry together, and how evenly.
//!
//! The server counts each connection's bytes. A connection beside them asks for all counts twice; what
//! came in between is the figure. So neither the beginning nor the end disturbs it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::{Figures, Served, at_once, figures, pause, request, wide, wrong};
use crate::pattern::Pattern;
use crate::stream::{Buffer, Peer, READ_MAX, Stream, read_numbers, write_numbers};
use crate::system::now;

const WRITE: usize = 64 << 10;
/// Sent before the first count, in parts of the time that is measured.
const WARM_UP: u32 = 2;
/// How many times the usual time: a thousand need longer until they are even.
const TIMES: u32 = 3;

/// Is the client.
pub(super) fn send<P: Peer>(
    peer: &Arc<P>,
    server: SocketAddr,
    count: u64,
    time: Duration,
) -> io::Result<Figures> {
    let time = time * TIMES;
    let pattern = Arc::new(Pattern::new());
    let done = Arc::new(AtomicBool::new(false));
    // The last task counts.
    let outcomes = at_once(peer, count + 1, |number| {
        let (peer, pattern, done) = (peer.clone(), pattern.clone(), done.clone());
        async move {
            if number < count {
                push(&*peer, server, number, &pattern, &done).await?;
                return Ok(None);
            }
            let outcome = watch(&*peer, server, count, time).await;
            done.store(true, Ordering::Relaxed);
            outcome.map(Some)
        }
    })?;
    let outcome = outcomes.into_iter().flatten().next();
    outcome.ok_or_else(|| wrong("nobody counted"))
}

/// Sends until the one that counts is done.
async fn push(
    peer: &impl Peer,
    server: SocketAddr,
    number: u64,
    pattern: &Pattern,
    done: &AtomicBool,
) -> io::Result<()> {
    let mut stream = peer.connect(server).await?;
    stream.write(Bytes::from_static(&[request::MANY])).await?;
    write_numbers(&mut stream, &[number]).await?;
    let mut offset = 0;
    while !done.load(Ordering::Relaxed) {
        stream.write(pattern.bytes(number, offset, WRITE)).await?;
        offset += wide(WRITE);
    }
    Ok(())
}

async fn watch(
    peer: &impl Peer,
    server: SocketAddr,
    count: u64,
    time: Duration,
) -> io::Result<Figures> {
    let mut stream = peer.connect(server).await?;
    stream.write(Bytes::from_static(&[request::COUNTS])).await?;
    pause(peer.tasks(), time / WARM_UP).await;
    let before = counts(&mut stream, count).await?;
    let begin = now();
    pause(peer.tasks(), time).await;
    let after = counts(&mut stream, count).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let moved: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| (after - before) as f64)
        .collect();
    let sum: f64 = moved.iter().sum();
    let squares: f64 = moved.iter().map(|one| one * one).sum();
    Ok(figures([
        ("MB/s", sum / seconds / 1e6),
        ("Jain", sum * sum / (moved.len() as f64 * squares)),
    ]))
}

async fn counts(stream: &mut impl Stream, count: u64) -> io::Result<Vec<u64>> {
    stream.write(Bytes::from_static(&[request::COUNTS])).await?;
    let mut buffer = Buffer::new(8);
    let mut counts = Vec::new();
    for _ in 0..count {
        let [one] = read_numbers(stream, &mut buffer).await?;
        counts.push(one);
    }
    Ok(counts)
}

/// Is the server of one that sends.
pub(super) async fn serve<S: Stream>(
    mut stream: S,
    buffer: &mut Buffer,
    served: &Served<S>,
) -> io::Result<()> {
    let [number] = read_numbers(&mut stream, buffer).await?;
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let count = served.counts.get(index);
    let count = count.ok_or_else(|| wrong("a connection has no number that there is"))?;
    let mut offset = 0;
    loop {
        let part = stream.read(buffer, READ_MAX).await?;
        if part.is_empty() {
            return Ok(());
        }
        if !served.pattern.matches(number, offset, part) {
            return Err(wrong("what arrived is not what was sent"));
        }
        offset += wide(part.len());
        count.store(offset, Ordering::Relaxed);
    }
}

/// Is the server of the one that counts.
pub(super) async fn report<S: Stream>(
    mut stream: S,
    buffer: &mut Buffer,
    served: &Served<S>,
) -> io::Result<()> {
    while !stream.read(buffer, 1).await?.is_empty() {
        let counts: Vec<u64> = served
            .counts
            .iter()
            .map(|one| one.load(Ordering::Relaxed))
            .collect();
        write_numbers(&mut stream, &counts).await?;
    }
    Ok(())
}
