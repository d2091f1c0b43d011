//! The works that are measured, the same for every stream transport.
//!
//! The first byte of a connection names the work. The server does one connection after the other.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use super::pattern::{Pattern, SLICE_MAX};
use super::transport::Transport;
use super::{cpu, now, peer};

const BULK: u8 = b'b';
const PING_PONG: u8 = b'p';
const CONNECT: u8 = b'c';

/// Bytes that the server reads at once in the bulk work.
const READ: usize = 256 << 10;
/// The largest message of the ping-pong work.
const MESSAGE_MAX: usize = 64 << 10;

/// What a bulk transfer took.
pub(crate) struct Bulk {
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
    loop {
        let mut stream = transport.accept(&listener)?;
        if let Err(error) = serve_one(&mut stream, &pattern, &mut buffer) {
            eprintln!("the server: {error}");
        }
    }
}

fn serve_one(
    stream: &mut (impl Read + Write),
    pattern: &Pattern,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut work = [0];
    stream.read_exact(&mut work)?;
    match work {
        [BULK] => serve_bulk(stream, pattern, buffer),
        [PING_PONG] => serve_ping_pong(stream, buffer),
        [CONNECT] => {
            stream.write_all(&work)?;
            // Waits for the client to close.
            let _ = stream.read(&mut work)?;
            Ok(())
        }
        _ => Err(wrong("a client asked for no work that there is")),
    }
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
    let processor = u64::try_from((cpu::time() - begin).as_nanos()).unwrap_or(u64::MAX);
    for number in [offset, wrong_pieces, processor] {
        stream.write_all(&number.to_be_bytes())?;
    }
    // Waits for the client to close, so that nothing is reset.
    let _ = stream.read(buffer)?;
    Ok(())
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
        elapsed,
        processor: cpu::time() - processor + theirs,
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
            times.push(super::statistics::nanos(time));
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
