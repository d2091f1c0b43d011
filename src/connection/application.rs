//! The verbs of the application: write, read, shut down. What each answers is docs/SEMANTICS.md.

use std::time::Duration;

use bytes::Bytes;

use super::{Connection, Phase};
use crate::config::Keepalive;
use crate::connection::lifecycle::{FinOrder, RecvHalf};
use crate::error::CloseReason;
use crate::stream::SendBuffer;
use crate::time::{Time, Timer};

/// An operation cannot write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The send buffer is full, or the connection still opens; nothing was taken.
    #[error("the send buffer is full")]
    Blocked,
    /// This side shut its writing down, or the connection has ended and the reason was reported.
    #[error("the stream is closed for writing")]
    Closed,
    /// The connection failed; reported once.
    #[error(transparent)]
    Failed(CloseReason),
}

/// An operation cannot read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing has arrived.
    #[error("nothing to read yet")]
    Blocked,
    /// The connection failed; reported once, after everything received was read.
    #[error(transparent)]
    Failed(CloseReason),
}

impl Connection {
    /// Takes bytes to send; how many. 0 only for an empty slice.
    ///
    /// # Errors
    /// [`WriteError`]: full, closed, or failed.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        self.write_with(data.len(), |send| send.write(data))
    }

    /// As [`Connection::write`], but keeps the bytes instead of a copy of them, until they are acknowledged. Short
    /// slices are copied.
    ///
    /// # Errors
    /// As [`Connection::write`].
    pub fn write_bytes(&mut self, data: &Bytes) -> Result<usize, WriteError> {
        self.write_with(data.len(), |send| send.write_bytes(data))
    }

    /// Has `len` bytes taken by `write`, if there may be more of them.
    fn write_with(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut SendBuffer) -> usize,
    ) -> Result<usize, WriteError> {
        if self.failed || self.send_half.is_shut() {
            return Err(self.write_refusal());
        }
        if len == 0 {
            return Ok(0);
        }
        if self.account.is_tight() {
            self.narrow_send();
        }
        let taken = if self.phase == Phase::Open && self.may_hold(len) {
            write(&mut self.send)
        } else {
            0
        };
        self.write_is_cut = taken < len;
        self.writer_waits |= self.write_is_cut;
        if taken == 0 {
            Err(WriteError::Blocked)
        } else {
            Ok(taken)
        }
    }

    /// Whether there is memory for so many bytes more. If not, the writer is to try again in a while: no acknowledgement
    /// may ever come to wake him.
    fn may_hold(&mut self, more: usize) -> bool {
        let grown = self
            .send
            .room_for(more)
            .saturating_add(self.assembler.memory());
        let admitted = self.account.admits(grown);
        if !admitted {
            self.lacks_memory = true;
            self.arm_rest(self.latest);
        }
        admitted
    }

    /// The failure, if it is still to be reported; otherwise only that writing is over.
    fn write_refusal(&mut self) -> WriteError {
        match self.failure.take() {
            Some(reason) if reason != CloseReason::ReadSideGone => WriteError::Failed(reason),
            _ => WriteError::Closed,
        }
    }

    /// Copies received bytes; `Ok(0)` for an empty slice, and at the end of the stream.
    ///
    /// # Errors
    /// [`ReadError`]: nothing yet, or failed.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<usize, ReadError> {
        if buf.is_empty() {
            return Ok(0);
        }
        let read = self.assembler.read(buf);
        if read == 0 {
            return self.read_nothing();
        }
        self.look_again(self.latest);
        self.discard_after_shutdown();
        Ok(read)
    }

    /// As [`Connection::read`], but hands the bytes out: at most `max`, where they were received if they are many in
    /// one piece, or copied into memory of their own. While memory is short they are copied.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn read_bytes(&mut self, max: usize) -> Result<Bytes, ReadError> {
        if max == 0 {
            return Ok(Bytes::new());
        }
        let account = &self.account;
        let lent = match account.is_tight() {
            true => None,
            false => self.assembler.lend(max, |slab| account.lend(slab)),
        };
        let read = lent.unwrap_or_else(|| self.assembler.read_bytes(max));
        if read.is_empty() {
            return self.read_nothing().map(|_| read);
        }
        self.look_again(self.latest);
        self.discard_after_shutdown();
        Ok(read)
    }

    /// As [`Connection::read`], but leaves the bytes in place.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn peek(&mut self, buf: &mut [u8]) -> Result<usize, ReadError> {
        if buf.is_empty() {
            return Ok(0);
        }
        let read = self.assembler.peek(buf);
        if read == 0 {
            self.read_nothing()
        } else {
            Ok(read)
        }
    }

    /// What a read says when there is no byte: the end comes before a failure, as in the kernel.
    fn read_nothing(&mut self) -> Result<usize, ReadError> {
        if self.recv_half.is_complete() {
            self.recv_half.on_end_read();
            return Ok(0);
        }
        if self.failed {
            return self
                .failure
                .take()
                .map_or(Ok(0), |reason| Err(ReadError::Failed(reason)));
        }
        if self.read_shut_at.is_some() {
            Ok(0)
        } else {
            Err(ReadError::Blocked)
        }
    }

    /// FIN after everything written. Doing it again does nothing.
    pub fn shutdown_write(&mut self) {
        if !self.failed && self.send_half.shut() {
            // From here on RFC 9293 speaks of FIN_WAIT_1, whether or not the FIN has left.
            if self.fin_order == FinOrder::None {
                self.fin_order = FinOrder::OursFirst;
            }
            self.pending.writable = true;
        }
    }

    /// Reads answer `Ok(0)` once the queue is empty; later data is acknowledged and thrown away.
    pub fn shutdown_read(&mut self) {
        if self.read_shut_at.is_none() {
            self.read_shut_at = Some(self.assembler.rcv_nxt());
            self.pending.readable = true;
        }
    }

    /// Throws away what arrived behind a shutdown of reading, once all before it is read.
    pub(super) fn discard_after_shutdown(&mut self) {
        if self
            .read_shut_at
            .is_some_and(|at| self.assembler.read_offset() >= at)
        {
            self.assembler.discard();
        }
    }

    /// The error that is pending, as `SO_ERROR`: taking it reports it.
    pub fn take_error(&mut self) -> Option<CloseReason> {
        self.failure.take()
    }

    /// Sets keep-alive, or turns it off.
    pub fn set_keepalive(&mut self, now: Time, keepalive: Option<Keepalive>) {
        self.idle.keepalive = keepalive;
        self.timers.stop(Timer::KeepAlive);
        self.arm_silence(now);
    }

    /// Sets the user timeout, or turns it off.
    pub fn set_user_timeout(&mut self, now: Time, timeout: Option<Duration>) {
        self.idle.user_timeout = timeout;
        self.timers.stop(Timer::User);
        if self.is_in_flight() {
            self.arm_user_timer(now);
        }
    }

    /// Whether `read` would not block.
    pub fn is_readable(&self) -> bool {
        self.assembler.unread() > 0 || self.is_read_ended()
    }

    /// Bytes that have arrived in order and were not read.
    pub fn unread(&self) -> usize {
        self.assembler.unread()
    }

    /// Whether nothing more will come: the peer has finished, reading was shut down, or the connection failed.
    /// What has come may still be unread.
    pub fn is_read_ended(&self) -> bool {
        self.recv_half.is_complete()
            || self.recv_half == RecvHalf::Reset
            || self.failed
            || self.read_shut_at.is_some()
    }

    /// Whether both directions have ended, as `EPOLLHUP` says it of a socket.
    pub fn is_ended(&self) -> bool {
        self.failed || (self.send_half.is_shut() && self.is_read_ended())
    }

    /// Whether a writer should try: room for a third of the buffer, as in the kernel, or an end.
    pub fn is_writable(&self) -> bool {
        let open = self.phase == Phase::Open && !self.lacks_memory;
        let room = open && self.send.free() >= self.send.capacity() / 3;
        room || self.failed || self.send_half.is_shut()
    }
}
