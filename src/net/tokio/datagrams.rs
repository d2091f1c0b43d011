//! Datagrams beside the stream, for tasks.

use std::io;

use super::Stream;
use crate::connection::DatagramError;
use crate::error::CloseReason;
use crate::net::datagrams::copy;
use crate::net::error::of_blocked;
use crate::runtime::Side;

impl Stream {
    /// Sends a datagram beside the stream, without waiting: [`crate::Stream::send_datagram`].
    ///
    /// ```
    /// use aqueduct::tokio::{Listener, Stream};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = Listener::bind("127.0.0.1:0").await?;
    /// let stream = Stream::connect(listener.local_addr()?).await?;
    /// let (peer, _) = listener.accept().await?;
    ///
    /// stream.send_datagram(b"position 7")?;
    /// let mut buf = [0; 1200];
    /// let len = peer.recv_datagram(&mut buf).await?;
    /// assert_eq!(&buf[..len], b"position 7");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidInput` if it is longer than [`Stream::datagram_len_max`]; `Unsupported` if the peer takes none; `NotConnected`
    /// after a shutdown of writing or when the connection is over.
    pub fn send_datagram(&self, data: &[u8]) -> io::Result<()> {
        self.blocking().send_datagram(data)
    }

    /// Waits for a datagram and copies it into `buf`; how many bytes. What does not fit is cut off, as from a UDP socket.
    ///
    /// Any number of tasks may wait; each datagram goes to one of them. Datagrams that nobody takes are dropped, the oldest first
    /// ([`Info::datagrams_unread`](crate::Info::datagrams_unread)).
    ///
    /// # Errors
    /// `NotConnected` when no more can come: the peer has shut its writing down, or the connection is over. (Why it failed, the
    /// stream says.)
    ///
    /// # Cancel safety
    /// No datagram is taken.
    pub async fn recv_datagram(&self, buf: &mut [u8]) -> io::Result<usize> {
        let cell = self.cell();
        let received = cell
            .wait_on([Side::Read], |state| {
                match state.connection.recv_datagram() {
                    Err(DatagramError::Blocked) => None,
                    outcome => Some(outcome),
                }
            })
            .await;
        let data = received
            .map_err(|blocked| of_blocked(cell.peer, blocked))?
            .map_err(|error| self.blocking().datagram_error(error))?;
        Ok(copy(&data, buf))
    }

    /// As [`Stream::recv_datagram`], without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if none has arrived; `NotConnected` when no more can come.
    pub fn try_recv_datagram(&self, buf: &mut [u8]) -> io::Result<usize> {
        let received = self
            .cell()
            .try_on(|state| match state.connection.recv_datagram() {
                Err(DatagramError::Blocked) => None,
                outcome => Some(outcome),
            });
        let data = received
            .map_err(|blocked| of_blocked(self.cell().peer, blocked))?
            .map_err(|error| self.blocking().datagram_error(error))?;
        Ok(copy(&data, buf))
    }

    /// The longest datagram that can be sent now, bytes: [`crate::Stream::datagram_len_max`].
    pub fn datagram_len_max(&self) -> Option<usize> {
        self.blocking().datagram_len_max()
    }

    /// Why the connection failed, without taking the error: [`crate::Stream::failure`].
    pub fn failure(&self) -> Option<CloseReason> {
        self.blocking().failure()
    }
}
