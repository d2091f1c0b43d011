//! Applications that tests need again and again. Their content comes from [`content`]: what
//! arrives in the wrong place is seen twice, by the simulator's book and by the application.

use std::time::Duration;

use crate::connection::{Linger, ReadError, WriteError};
use crate::error::ResetCode;
use crate::time::Time;

use super::{App, Io, content};

/// The most that an application hands to or takes from a connection in one call.
const CHUNK: usize = 16 << 10;

/// What a [`Transfer`] does once it has written all that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Shuts its writing down, reads to the end of the peer's stream, leaves.
    Shutdown,
    /// Reads to the end of the peer's stream first, then shuts its writing down and leaves.
    AfterPeer,
    /// Leaves at once; what it wrote is delivered in the background.
    Drop,
    /// Leaves at once, with this much time for what it wrote.
    Linger(Duration),
    /// Resets the connection.
    Abort(ResetCode),
    /// Stays, and reads what comes.
    Stay,
}

/// Writes a number of bytes, reads whatever comes, and ends as it is told: the sender and the receiver of most tests.
///
/// ```
/// use aqueduct::sim::apps::{Ending, Transfer};
/// use std::time::Duration;
///
/// // Writes 100 kB in pieces of up to 1,000 bytes, and reads 500 bytes every 10 ms.
/// let app = Transfer::send(100_000)
///     .writes_of(1_000)
///     .reads_of(500)
///     .reads_every(Duration::from_millis(10))
///     .ending(Ending::Shutdown);
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct Transfer {
    label: u64,
    expected: Option<u64>,
    total: u64,
    write_max: usize,
    write_every: Duration,
    read_max: usize,
    read_every: Duration,
    read_from: Duration,
    ending: Ending,
    written: u64,
    read: u64,
    started: Option<Time>,
    next_write: Time,
    next_read: Time,
    has_ended: bool,
    at_end: bool,
    /// Where it reads into; made when it first reads.
    scratch: Vec<u8>,
}

impl Transfer {
    /// Writes `bytes` bytes, then ends as [`Ending::Shutdown`] says.
    pub fn send(bytes: u64) -> Self {
        Transfer {
            label: 0,
            expected: None,
            total: bytes,
            write_max: CHUNK,
            write_every: Duration::ZERO,
            read_max: CHUNK,
            read_every: Duration::ZERO,
            read_from: Duration::ZERO,
            ending: Ending::Shutdown,
            written: 0,
            read: 0,
            started: None,
            next_write: Time::ZERO,
            next_read: Time::ZERO,
            has_ended: false,
            at_end: false,
            scratch: Vec::new(),
        }
    }

    /// Reads to the end, then closes its own side.
    pub fn sink() -> Self {
        Transfer::send(0).ending(Ending::AfterPeer)
    }

    /// Writes the content of this stream of [`content`]; 0 unless told.
    #[must_use]
    pub fn label(mut self, label: u64) -> Self {
        self.label = label;
        self
    }

    /// Insists that the peer sends the content of this stream.
    #[must_use]
    pub fn expecting(mut self, label: u64) -> Self {
        self.expected = Some(label);
        self
    }

    /// Writes at most so many bytes in one call (up to 16 KiB).
    #[must_use]
    pub fn writes_of(mut self, bytes: usize) -> Self {
        self.write_max = bytes.clamp(1, CHUNK);
        self
    }

    /// Makes one such call in each of these times.
    #[must_use]
    pub fn writes_every(mut self, time: Duration) -> Self {
        self.write_every = time;
        self
    }

    /// Reads at most so many bytes in one call (up to 16 KiB).
    #[must_use]
    pub fn reads_of(mut self, bytes: usize) -> Self {
        self.read_max = bytes.clamp(1, CHUNK);
        self
    }

    /// Makes one such call in each of these times: a slow reader.
    #[must_use]
    pub fn reads_every(mut self, time: Duration) -> Self {
        self.read_every = time;
        self
    }

    /// Reads nothing for this long.
    #[must_use]
    pub fn reads_after(mut self, time: Duration) -> Self {
        self.read_from = time;
        self
    }

    /// How it ends.
    #[must_use]
    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Writes what is due; whether the connection failed.
    fn write(&mut self, io: &mut Io<'_>) -> bool {
        if self.written >= self.total || !io.connection().is_writable() {
            return false;
        }
        let mut chunk = [0; CHUNK];
        while self.written < self.total && io.now() >= self.next_write {
            let left = usize::try_from(self.total - self.written).unwrap_or(CHUNK);
            let piece = &mut chunk[..left.min(self.write_max)];
            content::fill(self.label, self.written, piece);
            match io.write(piece) {
                Ok(taken) => self.written += u64::try_from(taken).expect("a length"),
                Err(WriteError::Blocked) => return false,
                Err(_) => return true,
            }
            if !self.write_every.is_zero() {
                self.next_write = io.now() + self.write_every;
            }
        }
        false
    }

    /// Reads what is due; whether the connection failed.
    fn read(&mut self, io: &mut Io<'_>) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(self.read_max, 0);
        let has_failed = self.read_into(io, &mut scratch);
        self.scratch = scratch;
        has_failed
    }

    fn read_into(&mut self, io: &mut Io<'_>, scratch: &mut [u8]) -> bool {
        while !self.at_end && io.now() >= self.next_read {
            match io.read(scratch) {
                Ok(0) => self.at_end = true,
                Ok(taken) => self.check(&scratch[..taken]),
                Err(ReadError::Blocked) => return false,
                Err(_) => return true,
            }
            if !self.read_every.is_zero() {
                self.next_read = io.now() + self.read_every;
            }
        }
        false
    }

    fn check(&mut self, data: &[u8]) {
        if let Some(label) = self.expected {
            let wrong = content::mismatch(label, self.read, data);
            assert_eq!(
                wrong, None,
                "stream {label} is altered after byte {}",
                self.read
            );
        }
        self.read += u64::try_from(data.len()).expect("a length");
    }

    fn end(&mut self, io: &mut Io<'_>) {
        if self.written < self.total || !io.is_open() {
            return;
        }
        match self.ending {
            Ending::Shutdown if !self.has_ended => io.shutdown_write(),
            Ending::AfterPeer if self.at_end && !self.has_ended => io.shutdown_write(),
            Ending::Drop => io.close(),
            Ending::Linger(time) => io.release(Linger::For(time)),
            Ending::Abort(code) => {
                io.abort(code);
                io.close();
            }
            Ending::Shutdown | Ending::AfterPeer | Ending::Stay => {}
        }
        let is_orderly = matches!(self.ending, Ending::Shutdown | Ending::AfterPeer);
        self.has_ended |= self.ending == Ending::Shutdown || self.at_end;
        if is_orderly && self.at_end && !io.is_released() {
            io.close();
        }
    }

    /// Asks to be woken for the next paced call.
    fn plan(&self, io: &mut Io<'_>) {
        let now = io.now();
        let write = (self.written < self.total).then_some(self.next_write);
        let read = (!self.at_end).then_some(self.next_read);
        let next = [write, read]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min();
        if let Some(at) = next {
            io.wake_at(at);
        }
    }
}

impl App for Transfer {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        if self.started.is_none() {
            self.started = Some(io.now());
            self.next_read = io.now() + self.read_from;
        }
        let has_failed = self.write(io) || self.read(io);
        if has_failed || io.connection().is_failed() && self.at_end {
            return io.close();
        }
        self.end(io);
        if !io.is_released() {
            self.plan(io);
        }
    }
}

/// Writes back what it reads; at the end of the peer's stream it ends its own.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    held: Vec<u8>,
    at_end: bool,
}

impl App for Echo {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let mut chunk = [0; CHUNK];
        loop {
            while !self.held.is_empty() {
                match io.write(&self.held) {
                    Ok(taken) => drop(self.held.drain(..taken)),
                    Err(WriteError::Blocked) => return,
                    Err(_) => return io.close(),
                }
            }
            if self.at_end {
                return io.close();
            }
            match io.read(&mut chunk) {
                Ok(0) => self.at_end = true,
                Ok(taken) => self.held.extend_from_slice(&chunk[..taken]),
                Err(ReadError::Blocked) => return,
                Err(_) => return io.close(),
            }
        }
    }
}

/// Sends requests one after another, each after the answer to the one before; then closes.
#[derive(Clone, Debug)]
pub struct Requests {
    left: u32,
    request: usize,
    response: usize,
    to_write: usize,
    to_read: usize,
    offset: u64,
}

impl Requests {
    /// So many requests of so many bytes, each answered by so many bytes.
    pub fn new(count: u32, request_bytes: usize, response_bytes: usize) -> Self {
        Requests {
            left: count,
            request: request_bytes.max(1),
            response: response_bytes.max(1),
            to_write: 0,
            to_read: 0,
            offset: 0,
        }
    }
}

impl App for Requests {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let mut chunk = [0; CHUNK];
        loop {
            if self.to_write == 0 && self.to_read == 0 {
                if self.left == 0 {
                    return io.close();
                }
                self.left -= 1;
                (self.to_write, self.to_read) = (self.request, self.response);
            }
            let progress = if self.to_write > 0 {
                let piece = &mut chunk[..self.to_write.min(CHUNK)];
                content::fill(0, self.offset, piece);
                match io.write(piece) {
                    Ok(taken) => {
                        self.to_write -= taken;
                        self.offset += u64::try_from(taken).expect("a length");
                        true
                    }
                    Err(WriteError::Blocked) => false,
                    Err(_) => return io.close(),
                }
            } else {
                match io.read(&mut chunk[..self.to_read.min(CHUNK)]) {
                    Err(ReadError::Blocked) => false,
                    Ok(0) | Err(_) => return io.close(),
                    Ok(taken) => {
                        self.to_read -= taken;
                        true
                    }
                }
            };
            if !progress {
                return;
            }
        }
    }
}

/// Answers requests: for each so many bytes read, so many bytes written.
#[derive(Clone, Debug)]
pub struct Responder {
    request: usize,
    response: usize,
    to_read: usize,
    to_write: usize,
    offset: u64,
}

impl Responder {
    /// Answers each request of so many bytes with so many bytes.
    pub fn new(request_bytes: usize, response_bytes: usize) -> Self {
        let (request, response) = (request_bytes.max(1), response_bytes.max(1));
        Responder {
            request,
            response,
            to_read: request,
            to_write: 0,
            offset: 0,
        }
    }
}

impl App for Responder {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        let mut chunk = [0; CHUNK];
        loop {
            if self.to_write > 0 {
                let piece = &mut chunk[..self.to_write.min(CHUNK)];
                content::fill(1, self.offset, piece);
                match io.write(piece) {
                    Ok(taken) => {
                        self.to_write -= taken;
                        self.offset += u64::try_from(taken).expect("a length");
                    }
                    Err(WriteError::Blocked) => return,
                    Err(_) => return io.close(),
                }
                continue;
            }
            match io.read(&mut chunk[..self.to_read.min(CHUNK)]) {
                Ok(0) => return io.close(),
                Ok(taken) => self.to_read -= taken,
                Err(ReadError::Blocked) => return,
                Err(_) => return io.close(),
            }
            if self.to_read == 0 {
                (self.to_read, self.to_write) = (self.request, self.response);
            }
        }
    }
}
