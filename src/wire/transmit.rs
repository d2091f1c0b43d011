//! What leaves and what arrives beside the bytes: destinations, batches, metadata.

use std::net::{IpAddr, SocketAddr};

use crate::limits::{BATCH_BYTES_MAX, BATCH_DATAGRAMS_MAX};

/// The ECN field of an IP packet that is not Not-ECT (RFC 3168 s5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ecn {
    /// ECT(0).
    Ect0,
    /// ECT(1).
    Ect1,
    /// Congestion experienced.
    Ce,
}

/// What the socket said about a datagram that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Its source.
    pub from: SocketAddr,
    /// The local address that it was sent to, if the socket tells.
    pub to_ip: Option<IpAddr>,
    /// Its ECN mark, if any.
    pub ecn: Option<Ecn>,
}

/// Where the datagrams of a [`Batch`] go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// Their destination.
    pub to: SocketAddr,
    /// The local address to send from, on a socket that is bound to all.
    pub from_ip: Option<IpAddr>,
    /// Their ECN mark.
    pub ecn: Option<Ecn>,
}

/// Datagrams for one destination in one buffer: all of one size but the last, which may be shorter.
///
/// That is the shape that UDP segmentation offload takes. The caller owns the batch and reuses it, so
/// that no datagram allocates.
///
/// ```
/// use aqueduct::wire::Batch;
///
/// let mut batch = Batch::new();
/// for len in [1200, 1200, 300] {
///     let room = batch.room(1200).expect("the batch is not full");
///     room[..len].fill(len as u8);
///     batch.push(len);
/// }
/// assert_eq!(batch.segment_size(), 1200);
/// assert_eq!(batch.datagrams().map(<[u8]>::len).collect::<Vec<_>>(), [1200, 1200, 300]);
/// assert!(batch.room(1200).is_none(), "a shorter datagram ends the batch");
/// ```
#[derive(Debug)]
pub struct Batch {
    buffer: Vec<u8>,
    used: usize,
    segment: usize,
    count: usize,
    ended: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch; allocates its buffer once.
    pub fn new() -> Self {
        let buffer = vec![0; BATCH_BYTES_MAX];
        Batch {
            buffer,
            used: 0,
            segment: 0,
            count: 0,
            ended: false,
        }
    }

    /// Forgets the datagrams, keeps the buffer.
    pub fn clear(&mut self) {
        (self.used, self.segment, self.count, self.ended) = (0, 0, 0, false);
    }

    /// Room for one more datagram of at most `max` bytes, or `None` if the batch is full.
    ///
    /// After the first datagram the room is never larger than that one was.
    pub fn room(&mut self, max: usize) -> Option<&mut [u8]> {
        let size = if self.count == 0 {
            max
        } else {
            max.min(self.segment)
        };
        let fits = self.used + size <= self.buffer.len();
        if self.ended || self.count == BATCH_DATAGRAMS_MAX || !fits || size == 0 {
            return None;
        }
        self.buffer.get_mut(self.used..self.used + size)
    }

    /// Takes the first `len` bytes of the room into the batch; a shorter datagram ends it.
    ///
    /// # Panics
    /// If `len` is 0 or exceeds the room that [`Batch::room`] gave.
    pub fn push(&mut self, len: usize) {
        assert!(
            len > 0 && self.used + len <= self.buffer.len(),
            "a datagram within its room"
        );
        if self.count == 0 {
            self.segment = len;
        }
        assert!(len <= self.segment, "no datagram is longer than the first");
        self.ended = len < self.segment;
        self.used += len;
        self.count += 1;
    }

    /// All bytes, datagram behind datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    /// The size of all datagrams but perhaps the last; 0 if there is none.
    pub fn segment_size(&self) -> usize {
        self.segment
    }

    /// How many datagrams there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no datagram.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The datagrams, one by one.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes().chunks(self.segment.max(1))
    }
}
