//! Bulk: one connection that sends as fast as it can for a time, in writes of 64 KiB.
//!
//! The bytes go in blocks; a byte before each says whether it is there. The server compares every byte,
//! and its answer at the end, with what it counted and the processor time that it took, ends the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Figures, figures, request, wide, wrong};
use crate::pattern::Pattern;
use crate::stream::{
    Buffer, Peer, READ_MAX, Stream, read_exact, read_numbers, wait_for_close, write_numbers,
};
use crate::system::{self, nanos, now};

const WRITE: usize = 64 << 10;
/// Bytes of a block, without the byte before it.
const BLOCK: u64 = 4 << 20;
const MORE: u8 = 1;
const END: u8 = 0;

/// MB/s, and processor seconds of both processes for each GiB.
pub(crate) fn rates(bytes: u64, elapsed: Duration, processor: Duration) -> Figures {
    let bytes = bytes as f64;
    figures([
        ("MB/s", bytes / elapsed.as_secs_f64() / 1e6),
        (
            "CPU s/GiB",
            processor.as_secs_f64() / bytes * f64::from(1 << 30),
        ),
    ])
}

/// Is the client.
pub(super) async fn send<P: Peer>(
    peer: Arc<P>,
    server: SocketAddr,
    time: Duration,
) -> io::Result<Figures> {
    let pattern = Pattern::new();
    let mut stream = peer.connect(server).await?;
    let connection = u64::from(std::process::id());
    let (begin, before) = (now(), system::processor_time());
    stream.write(Bytes::from_static(&[request::BULK])).await?;
    write_numbers(&mut stream, &[connection]).await?;
    let mut offset = 0;
    while begin.elapsed() < time {
        stream.write(Bytes::from_static(&[MORE])).await?;
        let end = offset + BLOCK;
        while offset < end {
            stream
                .write(pattern.bytes(connection, offset, WRITE))
                .await?;
            offset += wide(WRITE);
        }
    }
    stream.write(Bytes::from_static(&[END])).await?;
    let mut buffer = Buffer::new(64);
    let [arrived, wrong_pieces, theirs] = read_numbers(&mut stream, &mut buffer).await?;
    let elapsed = begin.elapsed();
    let processor = system::processor_time() - before + Duration::from_nanos(theirs);
    if arrived != offset || wrong_pieces > 0 {
        return Err(wrong("what arrived is not what was sent"));
    }
    Ok(rates(arrived, elapsed, processor))
}

/// Is the server.
pub(super) async fn serve(
    mut stream: impl Stream,
    buffer: &mut Buffer,
    pattern: &Pattern,
) -> io::Result<()> {
    let before = system::processor_time();
    let [connection] = read_numbers(&mut stream, buffer).await?;
    let [mut offset, mut wrong_pieces] = [0; 2];
    let mut more = [0];
    loop {
        read_exact(&mut stream, buffer, &mut more).await?;
        if more != [MORE] {
            break;
        }
        let end = offset + BLOCK;
        while offset < end {
            let most = usize::try_from(end - offset).map_or(READ_MAX, |left| left.min(READ_MAX));
            let part = stream.read(buffer, most).await?;
            if part.is_empty() {
                return Err(wrong("the stream ended too early"));
            }
            wrong_pieces += u64::from(!pattern.matches(connection, offset, part));
            offset += wide(part.len());
        }
    }
    let processor = nanos(system::processor_time() - before);
    write_numbers(&mut stream, &[offset, wrong_pieces, processor]).await?;
    wait_for_close(&mut stream, buffer).await
}
