//! What the sender knew when its packets left, kept once for all that left together.
//!
//! Packets of one burst share it: they left at the same time, with the same acknowledged before them
//! (draft-ietf-ccwg-bbr, "Offload Mechanisms"). So a packet costs the four bytes of an index, and a path
//! with a hundred thousand packets in flight some thousands of snapshots.

use std::collections::VecDeque;

use crate::limits::BATCH_BYTES_MAX;
use crate::time::Time;

/// Snapshots whose memory an empty ring keeps until a rest: those of a window on one machine in batches of 16 KiB.
pub(super) const BATCHES_KEPT: usize = 64;

/// What the sender knew when a batch left (draft-ietf-ccwg-bbr, "Per-packet (P) state").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When the batch left.
    pub sent_at: Time,
    /// Bytes delivered until then.
    pub delivered: u64,
    /// When the last of them were reported.
    pub delivered_at: Time,
    /// When the newest of them had been sent.
    pub first_sent_at: Time,
    /// Bytes declared lost until then.
    pub lost: u64,
    /// Bytes in flight once it had left, it included.
    pub tx_in_flight: u64,
    /// The application had left the path unused a short while ago.
    pub app_limited: bool,
}

impl Snapshot {
    /// Whether a packet with this snapshot left together with those before it.
    fn joins(&self, newest: &Snapshot) -> bool {
        let Snapshot { tx_in_flight, .. } = *newest;
        Snapshot {
            tx_in_flight,
            ..*self
        } == *newest
    }
}

/// Where the snapshots end, and the newest of them.
#[derive(Clone, Copy, Debug)]
pub(in crate::recovery) struct Mark {
    end: u32,
    newest: Option<Snapshot>,
    bytes: usize,
}

/// The snapshots of all tracked packets, oldest first.
#[derive(Debug, Default)]
pub(super) struct Batches {
    ring: VecDeque<Snapshot>,
    /// The index of `ring[0]`, counted from the first batch on; wraps around.
    first: u32,
    /// Bytes that left with the newest.
    bytes: usize,
}

impl Batches {
    /// Notes that a packet of `size` bytes left; the index of its snapshot.
    pub(super) fn push(&mut self, snapshot: &Snapshot, size: u16) -> u32 {
        let size = usize::from(size);
        match self.ring.back_mut() {
            Some(newest) if snapshot.joins(newest) && self.bytes + size <= BATCH_BYTES_MAX => {
                newest.tx_in_flight = snapshot.tx_in_flight;
                self.bytes += size;
            }
            _ => {
                self.ring.push_back(*snapshot);
                self.bytes = size;
            }
        }
        let newest = u32::try_from(self.ring.len() - 1)
            .expect("fewer batches are in flight than a u32 counts");
        self.first.wrapping_add(newest)
    }

    /// The snapshot of a tracked packet.
    pub(super) fn get(&self, batch: u32) -> &Snapshot {
        let index = usize::try_from(batch.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        &self.ring[index]
    }

    /// The present end.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            end: self.end(),
            newest: self.ring.back().copied(),
            bytes: self.bytes,
        }
    }

    /// What was added since the mark is gone, and the newest before it is what it was then.
    pub(super) fn restore(&mut self, mark: Mark) {
        while self.end() != mark.end && self.ring.pop_back().is_some() {}
        if let (Some(newest), Some(was)) = (self.ring.back_mut(), mark.newest) {
            *newest = was;
        }
        self.bytes = mark.bytes;
    }

    /// One past the index of the newest.
    fn end(&self) -> u32 {
        let len =
            u32::try_from(self.ring.len()).expect("fewer batches are in flight than a u32 counts");
        self.first.wrapping_add(len)
    }

    /// Nothing older than `batch` is tracked any more.
    pub(super) fn forget_before(&mut self, batch: u32) {
        while self.first != batch {
            let forgotten = self.ring.pop_front();
            debug_assert!(forgotten.is_some(), "a tracked packet has its snapshot");
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Nothing is tracked any more.
    pub(super) fn clear(&mut self) {
        self.ring.clear();
        if self.ring.capacity() > BATCHES_KEPT {
            self.ring.shrink_to(BATCHES_KEPT);
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.ring.capacity() * size_of::<Snapshot>()
    }

    /// Gives all memory back.
    pub(super) fn release(&mut self) {
        self.ring = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(sent_ms: u64, tx_in_flight: u64) -> Snapshot {
        Snapshot {
            sent_at: Time::from_millis(sent_ms),
            tx_in_flight,
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_snapshot_costs_fifty_six_bytes() {
        assert_eq!(size_of::<Snapshot>(), 56);
    }

    #[test]
    fn what_leaves_together_shares_a_snapshot_of_the_whole_batch() {
        let mut batches = Batches::default();
        let together: Vec<_> = (1..=3)
            .map(|n| batches.push(&snapshot(5, n * 1_000), 1_000))
            .collect();
        assert_eq!(together, [0, 0, 0]);
        assert_eq!(batches.get(0).tx_in_flight, 3_000);
        let acked_between = Snapshot {
            delivered: 1_000,
            ..snapshot(5, 4_000)
        };
        assert_eq!(batches.push(&acked_between, 1_000), 1);
        assert_eq!(batches.push(&snapshot(6, 5_000), 1_000), 2);
        assert_eq!(batches.get(0).tx_in_flight, 3_000);
    }

    #[test]
    fn a_batch_is_no_longer_than_one_that_the_socket_takes() {
        let mut batches = Batches::default();
        let indices: Vec<_> = (1..=100)
            .map(|n| batches.push(&snapshot(0, n * 1_472), 1_472))
            .collect();
        assert_eq!((indices[43], indices[44], indices[99]), (0, 1, 2));
        assert_eq!(batches.get(0).tx_in_flight, 44 * 1_472);
    }

    #[test]
    fn the_index_wraps_around_after_four_billion_batches() {
        let mut batches = Batches {
            first: u32::MAX - 1,
            ..Batches::default()
        };
        let indices: Vec<_> = (0..4)
            .map(|ms| batches.push(&snapshot(ms, 0), 100))
            .collect();
        assert_eq!(indices, [u32::MAX - 1, u32::MAX, 0, 1]);
        batches.forget_before(0);
        assert_eq!(batches.get(0).sent_at, Time::from_millis(2));
        assert_eq!(batches.get(1).sent_at, Time::from_millis(3));
        assert_eq!(batches.push(&snapshot(9, 0), 100), 2);
    }
}
