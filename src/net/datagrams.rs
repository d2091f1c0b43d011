//! Datagrams beside the stream: what is worth nothing late.

use std::io;

use super::Stream;
use super::error::{StreamError, of_blocked};
use crate::connection::DatagramError;
use crate::runtime::Side;

impl Stream {
    /// Sends a datagram beside the stream: it arrives once and whole, or not at all, and in no order with the stream or with
    /// other datagrams.
    ///
    /// It is subject to congestion control, but not to the peer's window, and nothing waits for it. It never blocks: where
    /// datagrams come faster than the path takes them, the oldest that wait are dropped
    /// ([`Info::datagrams_unsent`](crate::Info::datagrams_unsent)).
    ///
    /// ```
    /// use aqueduct::{Listener, Stream};
    ///
    /// let listener = Listener::bind("127.0.0.1:0")?;
    /// let stream = Stream::connect(listener.local_addr()?)?;
    /// let (peer, _) = listener.accept()?;
    ///
    /// stream.send_datagram(b"position 7")?;
    /// let mut buf = [0; 1200];
    /// let len = peer.recv_datagram(&mut buf)?;
    /// assert_eq!(&buf[..len], b"position 7");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` if it is longer than [`Stream::datagram_len_max`]; `Unsupported` if the peer takes none; `NotConnected`
    /// after a shutdown of writing or when the connection is over.
    pub fn send_datagram(&self, data: &[u8]) -> io::Result<()> {
        let cell = self.cell();
        let sent = cell.with(|state, _| state.connection.send_datagram(data));
        sent.map_err(|error| self.datagram_error(error))
    }

    /// Waits for a datagram and copies it into `buf`; how many bytes. What does not fit is cut off, as from a UDP socket.
    ///
    /// The read timeout and `set_nonblocking` hold for it as for a read. Datagrams that nobody takes are dropped, the oldest
    /// first ([`Info::datagrams_unread`](crate::Info::datagrams_unread)).
    ///
    /// # Errors
    /// `NotConnected` when no more can come: the peer has shut its writing down, or the connection is over. (Why it failed, the
    /// stream says.) `WouldBlock` (Windows: `TimedOut`) as for a read.
    pub fn recv_datagram(&self, buf: &mut [u8]) -> io::Result<usize> {
        let cell = self.cell();
        let received = cell.block_on(
            Side::Read,
            |options| options.limit(options.read_timeout),
            |state| match state.connection.recv_datagram() {
                Err(DatagramError::Blocked) => None,
                outcome => Some(outcome),
            },
        );
        let data = received
            .map_err(|blocked| of_blocked(cell.peer, blocked))?
            .map_err(|error| self.datagram_error(error))?;
        Ok(copy(&data, buf))
    }

    /// As [`Stream::recv_datagram`], but never waits.
    ///
    /// # Errors
    /// `WouldBlock` if none has arrived; `NotConnected` when no more can come.
    pub fn try_recv_datagram(&self, buf: &mut [u8]) -> io::Result<usize> {
        let received = self
            .cell()
            .with(|state, _| state.connection.recv_datagram());
        let data = received.map_err(|error| self.datagram_error(error))?;
        Ok(copy(&data, buf))
    }

    /// The longest datagram that can be sent now, bytes: what a packet has room for. It may change with the path, but is never
    /// below 1,168 unless the peer takes less. `None` if the peer takes none, or the connection is over.
    pub fn datagram_len_max(&self) -> Option<usize> {
        self.cell().lock().connection.datagram_len_max()
    }

    pub(super) fn datagram_error(&self, error: DatagramError) -> io::Error {
        let kind = match error {
            DatagramError::Blocked => io::ErrorKind::WouldBlock,
            DatagramError::Unsupported => io::ErrorKind::Unsupported,
            DatagramError::TooLarge { .. } => io::ErrorKind::InvalidInput,
            DatagramError::Closed => {
                let peer = self.cell().peer;
                return StreamError::NotConnected { peer }.into();
            }
        };
        io::Error::new(kind, error)
    }
}

/// Copies as much as there is room for; how much.
pub(super) fn copy(data: &[u8], buf: &mut [u8]) -> usize {
    let len = data.len().min(buf.len());
    buf[..len].copy_from_slice(&data[..len]);
    len
}
