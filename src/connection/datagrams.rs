//! Unreliable datagrams beside the stream: each leaves once, in a packet of its own, or never.
//!
//! They obey the congestion window and the pacer, but no flow control: both queues drop their oldest when they are
//! full, for of things that are not repeated the newest is worth most. While stream data waits too, each has a turn.
//!
//! ```text
//! send_datagram -> [ waiting ] -> DGRAM -> network -> [ arrived ] -> recv_datagram
//!                  oldest drop              loss      oldest drop
//! ```

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

use std::collections::VecDeque;

use super::handshake::Handshake;
use super::{Connection, HEADER_BYTES, Phase};
use crate::limits::{DATAGRAM_BYTES_QUEUED_MAX, DATAGRAMS_QUEUED_MAX};

/// A datagram cannot be sent, or there is none to receive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// Nothing has arrived, or the connection still opens.
    #[error("no datagram yet")]
    Blocked,
    /// The peer takes no datagrams.
    #[error("the peer takes no datagrams")]
    Unsupported,
    /// The caller's datagram is longer than a packet has room for now; it was not taken.
    #[error("a datagram of {len} bytes does not fit, at most {max} do")]
    TooLarge {
        /// Its length, bytes.
        len: usize,
        /// The longest that fits, bytes.
        max: usize,
    },
    /// The direction was shut down, or the connection is over.
    #[error("the connection carries no more datagrams")]
    Closed,
}

/// Both queues of a connection, and what became of the datagrams.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// The largest that the peer takes; 0: none.
    pub(super) peer_max: u16,
    waiting: Queue,
    arrived: Queue,
    /// A datagram was the last to leave: stream data that waits is next.
    yields: bool,
    pub(super) counts: Counts,
}

/// What became of the datagrams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Sent.
    pub(super) sent: u64,
    /// Sent, and declared lost.
    pub(super) lost: u64,
    /// Never sent.
    pub(super) unsent: u64,
    /// Received.
    pub(super) received: u64,
    /// Received, and dropped before somebody took them.
    pub(super) unread: u64,
}

/// A queue that drops its oldest.
#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Queue {
    /// Takes a datagram; how many older ones had to go.
    fn push(&mut self, data: &[u8]) -> u64 {
        let mut dropped = 0;
        while self.items.len() >= DATAGRAMS_QUEUED_MAX
            || self.bytes.saturating_add(data.len()) > DATAGRAM_BYTES_QUEUED_MAX
        {
            if self.pop().is_none() {
                break;
            }
            dropped += 1;
        }
        self.bytes += data.len();
        self.items.push_back(data.into());
        dropped
    }

    fn pop(&mut self) -> Option<Box<[u8]>> {
        let data = self.items.pop_front()?;
        self.bytes -= data.len();
        Some(data)
    }

    fn clear(&mut self) -> u64 {
        self.bytes = 0;
        let dropped = crate::wire::len_u64(self.items.len());
        self.items = VecDeque::new();
        dropped
    }
}

impl Datagrams {
    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.waiting.bytes + self.arrived.bytes
    }

    /// Whether a datagram waits to leave.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.items.is_empty()
    }

    /// Length of the next to leave, bytes.
    pub(super) fn next_len(&self) -> usize {
        self.waiting.items.front().map_or(0, |data| data.len())
    }

    /// The next leaves: what it carries, and how many were sent before it.
    pub(super) fn take(&mut self) -> Option<(u64, Box<[u8]>)> {
        let data = self.waiting.pop()?;
        let count = self.counts.sent;
        self.counts.sent += 1;
        self.yields = true;
        Some((count, data))
    }

    /// Stream data left.
    pub(super) fn on_stream_sent(&mut self) {
        self.yields = false;
    }

    /// Whether a datagram is to leave next, if any may; those that fit no more are dropped.
    fn is_next(&mut self, max: usize, has_stream_data: bool) -> bool {
        while self.is_waiting() && self.next_len() > max {
            self.waiting.pop();
            self.counts.unsent += 1;
        }
        self.is_waiting() && !(self.yields && has_stream_data)
    }

    /// No more are sent.
    pub(super) fn stop(&mut self) {
        self.counts.unsent += self.waiting.clear();
    }
}

impl Connection {
    /// The longest datagram that fits into one packet now, bytes; `None` if the peer takes none, or is not known yet.
    ///
    /// It grows while the search for the path MTU goes on, and falls to 1,168 at worst. A peer may take less.
    pub fn datagram_len_max(&self) -> Option<usize> {
        let peer = usize::from(self.datagrams.peer_max);
        let packet = usize::from(self.mtu.size()).saturating_sub(HEADER_BYTES);
        (self.phase == Phase::Open && peer > 0).then(|| peer.min(packet))
    }

    /// Sends a datagram: once, or never. If too many wait already, the oldest is dropped.
    ///
    /// # Errors
    /// [`DatagramError`]: the peer takes none, it is too large, the connection opens still or is over.
    pub fn send_datagram(&mut self, data: &[u8]) -> Result<(), DatagramError> {
        if self.phase == Phase::Over || self.send_half.is_shut() {
            return Err(DatagramError::Closed);
        }
        if self.phase == Phase::Opening {
            return Err(DatagramError::Blocked);
        }
        let max = self.datagram_len_max().ok_or(DatagramError::Unsupported)?;
        if data.len() > max {
            let len = data.len();
            return Err(DatagramError::TooLarge { len, max });
        }
        let after = self.memory().saturating_add(data.len());
        self.datagrams.counts.unsent += if self.account.admits(after) {
            self.datagrams.waiting.push(data)
        } else {
            1
        };
        Ok(())
    }

    /// The oldest datagram that has arrived and was not taken.
    ///
    /// # Errors
    /// [`DatagramError`]: none has arrived; or none will, because the peer has finished or the connection is over.
    pub fn recv_datagram(&mut self) -> Result<Box<[u8]>, DatagramError> {
        match self.datagrams.arrived.pop() {
            Some(data) => Ok(data),
            None if self.phase == Phase::Over || self.recv_half.is_complete() => {
                Err(DatagramError::Closed)
            }
            None => Err(DatagramError::Blocked),
        }
    }

    /// A DGRAM came in; false if this side takes none, or none of that size.
    pub(super) fn take_datagram(&mut self, data: &[u8]) -> bool {
        if data.len() > usize::from(self.config.datagram_max()) || self.config.datagram_max() == 0 {
            return false;
        }
        self.datagrams.counts.received += 1;
        let after = self.memory().saturating_add(data.len());
        // Nobody is promised a datagram: one that nobody takes, or that there is no memory for, ends here.
        self.datagrams.counts.unread += if self.released || !self.account.admits(after) {
            1
        } else {
            self.pending.readable = true;
            self.datagrams.arrived.push(data)
        };
        true
    }

    /// Whether a datagram is to leave next. None does before the peer is heard: it would need room for the cookie.
    pub(super) fn is_datagram_next(&mut self, has_stream_data: bool) -> bool {
        let max = usize::from(self.mtu.size()).saturating_sub(HEADER_BYTES);
        matches!(self.handshake, Handshake::Done)
            && self.datagrams.is_next(max, has_stream_data)
            && self.fits_path(self.datagram_packet_max())
    }

    /// Whether a packet of this size may go where packets go: until that address has answered none is larger than every path
    /// carries, nor more than what came from there allows.
    fn fits_path(&self, size: u16) -> bool {
        let is_small = !self.path.is_unproven() || size <= self.datagram_size();
        is_small && self.path.may_send(size.into())
    }

    /// Bytes of the packet of the next datagram, at most: an acknowledgement joins it if both fit into a full packet.
    pub(super) fn datagram_packet_max(&self) -> u16 {
        let alone = u16::try_from(HEADER_BYTES + self.datagrams.next_len()).unwrap_or(u16::MAX);
        self.datagram_size().max(alone)
    }
}
