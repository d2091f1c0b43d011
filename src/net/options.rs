//! The options of a stream.

use std::io;
use std::time::Duration;

use super::Stream;
use super::error::{failed, invalid};
use super::stream::zero_timeout;
use crate::config::{Config, Keepalive};
use crate::error::CloseReason;

impl Stream {
    /// Sets how long a read may wait; `None`: for ever. Clones share it.
    ///
    /// A read that takes longer fails with `WouldBlock` on Unix and `TimedOut` on Windows, as with TCP.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.cell().lock().options.read_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a read may wait.
    ///
    /// # Errors
    /// None.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.cell().lock().options.read_timeout)
    }

    /// Sets how long a write may wait for room; `None`: for ever. Clones share it.
    ///
    /// # Errors
    /// `InvalidInput` for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.cell().lock().options.write_timeout = checked(timeout)?;
        Ok(())
    }

    /// How long a write may wait.
    ///
    /// # Errors
    /// None.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.cell().lock().options.write_timeout)
    }

    /// Makes reads and writes fail with `WouldBlock` rather than wait.
    ///
    /// # Errors
    /// None.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.cell().lock().options.nonblocking = nonblocking;
        Ok(())
    }

    /// Remembers the wish that each write leave at once. It is stored for compatibility alone: there is no
    /// Nagle algorithm here, and every write leaves at once either way, as far as the window allows.
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.cell().lock().options.nodelay = nodelay;
        Ok(())
    }

    /// What [`Stream::set_nodelay`] set; at first what [`Config::with_nodelay`] says, by default `false`.
    ///
    /// # Errors
    /// None.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.cell().lock().options.nodelay)
    }

    /// Sets how long delivery may go on after the last handle is dropped: then the connection is reset,
    /// with zero at once. `None`: until delivered, or the user timeout. A drop never blocks.
    ///
    /// # Errors
    /// None.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.cell().lock().options.linger = linger;
        Ok(())
    }

    /// What [`Stream::set_linger`] set.
    ///
    /// # Errors
    /// None.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.cell().lock().options.linger)
    }

    /// Sets the time to live (IPv6: hop limit) of what leaves. It belongs to the UDP socket, and so to
    /// all streams that share it: those of one listener or endpoint.
    ///
    /// # Errors
    /// What the system says about the number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.cell().port.set_ttl(ttl)
    }

    /// The time to live (IPv6: hop limit) of what leaves.
    ///
    /// # Errors
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.cell().port.ttl()
    }

    /// The error that is pending, if any, as `SO_ERROR`: taking it reports it.
    ///
    /// # Errors
    /// None.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let cell = self.cell();
        let reason = cell.lock().connection.take_error();
        Ok(reason.map(|reason| failed(cell.peer, reason)))
    }

    /// Why the connection failed, if it did. Unlike [`Stream::take_error`] this takes nothing: the next read or write still
    /// reports it.
    pub fn failure(&self) -> Option<CloseReason> {
        self.cell().lock().failure.clone()
    }

    /// Has a silent peer asked whether it is still there; `None`: not.
    ///
    /// # Errors
    /// `InvalidInput` unless both times are 1 ms to 365 days and the count is at least 1, as in
    /// [`Config::with_keepalive`].
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        let config = Config::default().with_keepalive(keepalive);
        config.validate().map_err(invalid)?;
        self.cell()
            .with(|state, now| state.connection.set_keepalive(now, keepalive));
        Ok(())
    }

    /// Sets how long written data may stay unacknowledged before the connection fails (RFC 5482);
    /// `None`: for ever.
    ///
    /// # Errors
    /// `InvalidInput` unless it is 1 ms to 365 days, as in [`Config::with_user_timeout`].
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        let config = Config::default().with_user_timeout(timeout);
        config.validate().map_err(invalid)?;
        self.cell()
            .with(|state, now| state.connection.set_user_timeout(now, timeout));
        Ok(())
    }
}

fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    match timeout {
        Some(timeout) if timeout.is_zero() => Err(zero_timeout()),
        timeout => Ok(timeout),
    }
}
