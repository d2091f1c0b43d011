//! What runs on a host: applications, and the face of a connection that they see.

use std::time::Duration;

use crate::connection::{Connection, DatagramError, Info, Linger, ReadError, WriteError};
use crate::error::{CloseReason, ResetCode};
use crate::time::Time;

use super::Rng;
use super::host::Seat;
use super::ledger::Ledger;

/// An application at one end of a connection: a state machine that is woken when something may have changed.
///
/// A closure is one too. It is woken once when the connection is made (on the connecting side before it is
/// open), then after every event of the connection, and when a time that it asked for has come.
///
/// ```
/// use aqueduct::config::Config;
/// use aqueduct::sim::{App, Io, Link, Sim, apps};
/// use std::time::Duration;
///
/// /// Says one word, and leaves.
/// struct Hello;
/// impl App for Hello {
///     fn on_wake(&mut self, io: &mut Io<'_>) {
///         if io.write(b"hello").is_ok() {
///             io.close();
///         }
///     }
/// }
///
/// let mut sim = Sim::new(1);
/// let (client, server) = (sim.add_host("client"), sim.add_host("server"));
/// sim.link(client, server, Link::new().delay(Duration::from_millis(5)));
/// sim.listen(server, Config::default(), apps::Echo::default);
/// let hello = sim.connect(client, server, Config::default(), Hello);
/// assert!(sim.run_until(Duration::from_secs(5), |sim| sim.report(hello).written == 5));
/// ```
pub trait App {
    /// Something may have changed.
    fn on_wake(&mut self, io: &mut Io<'_>);
}

impl<F: FnMut(&mut Io<'_>)> App for F {
    fn on_wake(&mut self, io: &mut Io<'_>) {
        self(io);
    }
}

/// One end of a connection, as its application sees it.
///
/// Everything that is written and read goes through the simulator's book: a byte that is not the next one that
/// the peer wrote ends the simulation at once.
pub struct Io<'s> {
    pub(super) now: Time,
    /// What the host's clock shows: what the connection is told.
    pub(super) clock: Time,
    pub(super) connection: &'s mut Connection,
    pub(super) seat: &'s mut Seat,
    pub(super) ledger: &'s mut Ledger,
    pub(super) violation: &'s mut Option<String>,
}

impl std::fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io")
            .field("now", &self.now)
            .field("report", &self.seat.report)
            .finish()
    }
}

impl Io<'_> {
    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// This application's own random numbers.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.seat.rng
    }

    /// Takes bytes to send; how many.
    ///
    /// # Errors
    /// As [`Connection::write`].
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        let result = self.connection.write(data);
        match &result {
            Ok(taken) if *taken > data.len() => {
                self.violate(format!("write took {taken} of {} bytes", data.len()));
            }
            Ok(taken) => {
                self.ledger
                    .flow_mut(self.seat.flow)
                    .on_written(&data[..*taken]);
                self.seat.report.written = self.ledger.flow(self.seat.flow).written;
            }
            Err(WriteError::Failed(reason)) => self.on_failed(reason.clone()),
            Err(_) => {}
        }
        result
    }

    /// Copies received bytes; `Ok(0)` at the end of the stream.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let result = self.connection.read(buffer);
        match &result {
            Ok(0) if buffer.is_empty() => {}
            Ok(0) => self.on_end(),
            Ok(taken) => self.on_read(&buffer[..*taken]),
            Err(ReadError::Failed(reason)) => self.on_failed(reason.clone()),
            Err(ReadError::Blocked) => {}
        }
        result
    }

    /// As [`Io::read`], but leaves the bytes in place.
    ///
    /// # Errors
    /// As [`Connection::peek`].
    pub fn peek(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        let result = self.connection.peek(buffer);
        match (&result, self.peer_flow()) {
            (Ok(0), _) => {}
            (Ok(seen), Some(flow)) => {
                if let Err(fault) = self.ledger.flow(flow).check(&buffer[..*seen]) {
                    self.violate(format!("peek: {fault}"));
                }
            }
            (Err(ReadError::Failed(reason)), _) => self.on_failed(reason.clone()),
            _ => {}
        }
        result
    }

    /// Sends a datagram beside the stream.
    ///
    /// # Errors
    /// As [`Connection::send_datagram`].
    pub fn send_datagram(&mut self, data: &[u8]) -> Result<(), DatagramError> {
        self.connection.send_datagram(data)
    }

    /// The oldest datagram that has arrived.
    ///
    /// # Errors
    /// As [`Connection::recv_datagram`].
    pub fn recv_datagram(&mut self) -> Result<Box<[u8]>, DatagramError> {
        self.connection.recv_datagram()
    }

    /// No more will be written: FIN follows.
    pub fn shutdown_write(&mut self) {
        self.finish();
        self.connection.shutdown_write();
    }

    /// No more will be read.
    pub fn shutdown_read(&mut self) {
        self.seat.is_read_shut = true;
        self.connection.shutdown_read();
    }

    /// The application leaves; what it wrote is delivered in the background.
    pub fn close(&mut self) {
        self.release(Linger::Background);
    }

    /// The application leaves.
    pub fn release(&mut self, linger: Linger) {
        self.finish();
        if linger != Linger::Background {
            self.cut();
        }
        self.seat.is_released = true;
        self.connection.release(self.clock, linger);
    }

    /// Resets the connection.
    pub fn abort(&mut self, code: ResetCode) {
        self.cut();
        self.seat.is_aborted = true;
        self.connection.abort(code);
    }

    /// Takes the pending error.
    pub fn take_error(&mut self) -> Option<CloseReason> {
        let error = self.connection.take_error();
        if let Some(reason) = &error {
            self.on_failed(reason.clone());
        }
        error
    }

    /// Wakes the application at this time, instead of one that it asked for before.
    pub fn wake_at(&mut self, at: Time) {
        self.seat.wake_wanted = Some(at);
    }

    /// Wakes the application after this time.
    pub fn wake_after(&mut self, time: Duration) {
        self.wake_at(self.now + time);
    }

    /// Whether the handshake is done.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether the application has left.
    pub fn is_released(&self) -> bool {
        self.seat.is_released
    }

    /// Numbers about the connection.
    pub fn info(&self) -> Info {
        self.connection.info(self.clock)
    }

    /// The connection itself, for questions and settings; reading or writing here goes past the book.
    pub fn connection(&mut self) -> &mut Connection {
        self.connection
    }

    fn peer_flow(&mut self) -> Option<usize> {
        if self.seat.peer_flow.is_none() {
            let peer = self.connection.peer_cid();
            self.seat.peer_flow = peer.and_then(|cid| self.ledger.find(cid));
        }
        self.seat.peer_flow
    }

    fn on_read(&mut self, data: &[u8]) {
        let Some(flow) = self.peer_flow() else {
            return self.violate(format!("{} bytes read that nobody wrote", data.len()));
        };
        if let Err(fault) = self.ledger.flow_mut(flow).on_read(data) {
            return self.violate(fault);
        }
        self.seat.report.read += u64::try_from(data.len()).expect("a length");
    }

    fn on_end(&mut self) {
        let is_first = self.seat.report.end_at.is_none();
        let is_explained =
            self.seat.report.failure.is_some() || self.seat.is_read_shut || self.seat.is_aborted;
        if is_explained || !is_first {
            return;
        }
        self.seat.report.end_at = Some(self.now);
        let Some(flow) = self.peer_flow() else {
            return self.violate("end of a stream that nobody wrote".to_owned());
        };
        if let Err(fault) = self.ledger.flow_mut(flow).on_end() {
            self.violate(fault);
        }
    }

    fn on_failed(&mut self, reason: CloseReason) {
        if self.seat.report.failure.is_some() {
            return self.violate(format!("an error reported twice: {reason}"));
        }
        self.seat.report.failure = Some(reason);
        self.cut();
    }

    fn finish(&mut self) {
        self.ledger.flow_mut(self.seat.flow).is_finished = true;
    }

    /// From now on bytes of both directions may miss their reader.
    fn cut(&mut self) {
        self.ledger.flow_mut(self.seat.flow).is_cut = true;
        if let Some(flow) = self.peer_flow() {
            self.ledger.flow_mut(flow).is_cut = true;
        }
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
