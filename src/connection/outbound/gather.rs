//! Small writes leave together where much is under way already.
//!
//! On a local path a datagram is with the peer as soon as it was sent, and acknowledged soon after. While
//! a window's worth of data waits there, one datagram more helps nobody, but costs a system call of its
//! own: a batch takes 44 in one. So from [`CROWD`] on new data waits until it fills a batch, or until enough
//! was acknowledged. Its acknowledgement is never far: a receiver acknowledges half of [`CROWD`] at once.

use crate::connection::Connection;
use crate::limits::{BATCH_BYTES_MAX, BATCH_DATAGRAMS_MAX};
use crate::wire::len_u64;

use super::HEADER;

/// Bytes in flight from which on a local path only whole batches leave: what keeps the peer busy for longer
/// than it takes to wake this side (loopback, writes of 1 KiB: 1.1 GB/s; with room for all of them and without
/// this 0.15, measured).
const CROWD: u64 = 256 << 10;

impl Connection {
    /// Whether new data waits for more of it.
    pub(super) fn gathers(&self) -> bool {
        let snd_nxt = self.send.snd_nxt();
        let unsent = self.send.end().since(snd_nxt);
        unsent > 0
            && snd_nxt.since(self.send.snd_una()) >= CROWD
            && unsent < self.batch_payload()
            && !self.send_half.is_shut()
            && self.is_local()
    }

    /// Bytes of the stream that a full batch carries.
    fn batch_payload(&self) -> u64 {
        let size = usize::from(self.mtu.size()).max(1);
        let datagrams = (BATCH_BYTES_MAX / size).clamp(1, BATCH_DATAGRAMS_MAX);
        len_u64(datagrams) * len_u64(size).saturating_sub(HEADER)
    }
}
