//! The works that are measured, the same for every stream transport.
//!
//! The first byte of a connection names the work. The server does one connection after the other.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::pattern::{Pattern, SLICE_MAX};
use super::statistics::nanos;
use super::transport::Transport;
use super::{cpu, now, peer};

const BULK: u8 = b'b';
const PING_PONG: u8 = b'p';
const CONNECT: u8 = b'c';
const IDLE: u8 = b'i';
const REPORT: u8 = b'r';

/// Bytes that the server reads at once in the bulk work.
const READ: usize = 256 << 10;
/// The largest message of the ping-pong work.
const MESSAGE_MAX: usize = 64 << 10;

/// What a bulk transfer took.
pub(crate) struct Bulk {
    /// Bytes that arrived: all of them, but for bare UDP.
    pub(crate) arrived: u64,
    /// From the first byte until the server's word that all are there and right.
    pub(crate) elapsed: Duration,
    /// Processor time of both processes.
    pub(crate) processor: Duration,
}

/// Serves clients for ever.
///
/// # Errors
///
/// The listener's error. A connection that fails is reported and left.
pub(crate) fn serve<T: Transport>(transport: &T) -> io::Result<()> {
    let (listener, address) = transport.listen()?;
    peer::announce(address)?;
    let pattern = Pattern::new();
    let mut buffer = vec![0; READ];
    let mut idle = Vec::new();
    loop {
        let mut stream = transport.accept(&listener)?;
        match serve_one(&mut stream, &pattern, &mut buffer) {
            Ok(IDLE) => idle.push(stream),
            Ok(_) => {}
            Err(error) => eprintln!("the server: {error}"),
        }
    }
}

/// Returns which work it was.
fn serve_one(
    stream: &mut (impl Read + Write),
    pattern: &Pattern,
    buffer: &mut [u8],
) -> io::Result<u8> {
    let mut work = [0];
    stream.read_exact(&mut work)?;
    match work {
        [BULK] => serve_bulk(stream, pattern, buffer)?,
        [PING_PONG] => serve_ping_pong(stream, buffer)?,
        [IDLE] => stream.write_all(&work)?,
        [REPORT] => {
            let report = [cpu::memory(), nanos(cpu::time())]
                .map(u64::to_be_bytes)
                .concat();
            stream.write_all(&report)?;
            wait_for_close(stream)?;
        }
        [CONNECT] => {
            stream.write_all(&work)?;
            wait_for_close(stream)?;
        }
        _ => return Err(wrong("a client asked for no work that there is")),
    }
    let [work] = work;
    Ok(work)
}

/// The client closes first, so that nothing is reset under it.
fn wait_for_close(stream: &mut impl Read) -> io::Result<()> {
    let _ = stream.read(&mut [0])?;
    Ok(())
}

fn serve_bulk(
    stream: &mut (impl Read + Write),
    pattern: &Pattern,
    buffer: &mut [u8],
) -> io::Result<()> {
    let begin = cpu::time();
    let [connection, total] = [read_number(stream)?, read_number(stream)?];
    let mut offset = 0;
    let mut wrong_pieces = 0_u64;
    while offset < total {
        let length = stream.read(buffer)?;
        if length == 0 {
            return Err(wrong("the stream ended too early"));
        }
        wrong_pieces += u64::from(!pattern.matches(connection, offset, &buffer[..length]));
        offset += wide(length);
    }
    let processor = nanos(cpu::time().saturating_sub(begin));
    stream.write_all(
        &[offset, wrong_pieces, processor]
            .map(u64::to_be_bytes)
            .concat(),
    )?;
    wait_for_close(stream)
}

fn serve_ping_pong(stream: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<()> {
    let size = usize::try_from(read_number(stream)?).unwrap_or(usize::MAX);
    let message = &mut buffer[..size.min(MESSAGE_MAX)];
    loop {
        match stream.read(message)? {
            0 => return Ok(()),
            length => {
                stream.read_exact(&mut message[length..])?;
                stream.write_all(message)?;
            }
        }
    }
}

/// Sends `total` bytes in writes of `write` bytes, and waits until the server has all of them.
///
/// # Errors
///
/// The stream's error, or that something else arrived.
pub(crate) fn bulk<T: Transport>(
    transport: &T,
    server: SocketAddr,
    connection: u64,
    write: usize,
    total: u64,
) -> io::Result<Bulk> {
    let pattern = Pattern::new();
    let mut stream = transport.connect(server)?;
    let (begin, processor) = (now(), cpu::time());
    let mut request = vec![BULK];
    request.extend(connection.to_be_bytes());
    request.extend(total.to_be_bytes());
    stream.write_all(&request)?;
    let write = write.min(SLICE_MAX);
    let mut offset = 0;
    while offset < total {
        let length = usize::try_from(total - offset).map_or(write, |left| left.min(write));
        stream.write_all(pattern.slice(connection, offset, length))?;
        offset += wide(length);
    }
    let arrived = read_number(&mut stream)?;
    let wrong_pieces = read_number(&mut stream)?;
    let theirs = Duration::from_nanos(read_number(&mut stream)?);
    let elapsed = begin.elapsed();
    transport.finish(&mut stream)?;
    if arrived != total || wrong_pieces > 0 {
        return Err(wrong("what arrived is not what was sent"));
    }
    Ok(Bulk {
        arrived,
        elapsed,
        processor: cpu::time().saturating_sub(processor) + theirs,
    })
}

/// Sends `count` messages of `size` bytes, each when the one before is back; returns how long each
/// took, nanoseconds, in order of size. The first tenth warms up and does not count.
///
/// # Errors
///
/// The stream's error, or that something else came back.
pub(crate) fn ping_pong<T: Transport>(
    transport: &T,
    server: SocketAddr,
    size: usize,
    count: u64,
) -> io::Result<Vec<u64>> {
    let pattern = Pattern::new();
    let mut stream = transport.connect(server)?;
    let mut request = vec![PING_PONG];
    request.extend(wide(size).to_be_bytes());
    stream.write_all(&request)?;
    let mut answer = vec![0; size];
    let mut times = Vec::new();
    for number in 0..count + count / 10 {
        let message = pattern.slice(number, 0, size);
        let begin = now();
        stream.write_all(message)?;
        stream.read_exact(&mut answer)?;
        let time = begin.elapsed();
        if message != answer {
            return Err(wrong("what came back is not what was sent"));
        }
        if number >= count / 10 {
            times.push(nanos(time));
        }
    }
    transport.finish(&mut stream)?;
    times.sort_unstable();
    Ok(times)
}

/// Connects `count` times in sequence; each connection carries one byte each way and is closed.
///
/// # Errors
///
/// The stream's error, or that something else came back.
pub(crate) fn connects<T: Transport>(
    transport: &T,
    server: SocketAddr,
    count: u64,
) -> io::Result<Duration> {
    let begin = now();
    for _ in 0..count {
        let mut stream = transport.connect(server)?;
        stream.write_all(&[CONNECT])?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != [CONNECT] {
            return Err(wrong("what came back is not what was sent"));
        }
    }
    Ok(begin.elapsed())
}

/// What idle connections cost, in both processes together.
pub(crate) struct Idle {
    /// Memory of one connection, bytes: at the client, at the server.
    pub(crate) memory: [u64; 2],
    /// Processor time while nothing happened.
    pub(crate) processor: Duration,
}

/// Opens `count` connections, of which each carries one byte each way, and then leaves all of them
/// alone for `time`.
///
/// # Errors
///
/// The stream's error.
pub(crate) fn idle<T: Transport>(
    transport: &T,
    server: SocketAddr,
    count: u64,
    time: Duration,
) -> io::Result<Idle> {
    // The first connection brings what all of them share into memory.
    report(transport, server)?;
    let (ours, theirs) = (cpu::memory(), report(transport, server)?.memory);
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = transport.connect(server)?;
        stream.write_all(&[IDLE])?;
        stream.read_exact(&mut [0])?;
        held.push(stream);
    }
    let grown = [
        cpu::memory().saturating_sub(ours),
        report(transport, server)?.memory.saturating_sub(theirs),
    ];
    // What is left of the work before, such as late acknowledgements, is not idleness.
    pause(Duration::from_secs(1));
    let before = (cpu::time(), report(transport, server)?.processor);
    pause(time);
    let after = (cpu::time(), report(transport, server)?.processor);
    let processor = (after.0.saturating_sub(before.0)) + (after.1.saturating_sub(before.1));
    Ok(Idle {
        memory: grown.map(|bytes| bytes / count.max(1)),
        processor,
    })
}

/// What the server says of itself.
struct Report {
    memory: u64,
    processor: Duration,
}

fn report<T: Transport>(transport: &T, server: SocketAddr) -> io::Result<Report> {
    let mut stream = transport.connect(server)?;
    stream.write_all(&[REPORT])?;
    Ok(Report {
        memory: read_number(&mut stream)?,
        processor: Duration::from_nanos(read_number(&mut stream)?),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "to be idle for a time is the work"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn read_number(stream: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory is no more than 64 bits")
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
