//! What the search for the path MTU does to its connection: probes leave, sizes change, and the own host
//! refuses what is larger than its interface takes.
//!
//! The host's refusal is the one word about sizes that is believed: it comes from the call that sends, not
//! from the network. The datagrams have not left, so that nothing was lost and nothing is congested: their
//! contents are sent again at once, in datagrams of another size.

use super::Supply;
use crate::connection::Connection;
use crate::time::Time;
use crate::wire::{Batch, PacketNumber};

impl Connection {
    /// The host refused the batch of the last [`Connection::poll_transmit`] because its datagrams are larger
    /// than the interface takes (`EMSGSIZE`); `sent` of them had left before. The driver goes on polling.
    ///
    /// Those that have not left are unsaid: they count neither as sent nor as lost, and data is sent again
    /// in smaller datagrams. A datagram of the base size that is refused is lost like any other.
    pub fn handle_refused(&mut self, now: Time, batch: &Batch, sent: usize) {
        self.advance(now);
        let Ok(size) = u16::try_from(batch.segment_size()) else {
            return;
        };
        if !self.mtu.is_above_base(size) {
            return;
        }
        self.take_back(sent);
        if self.mtu.on_refused_here(now, size) {
            self.recovery.set_mtu(self.mtu.size());
        }
        self.settle(now);
    }

    /// Of the batch of the last poll only the first `sent` datagrams have left: the others count as never sent,
    /// and what they carried is sent again.
    pub(in crate::connection) fn take_back(&mut self, sent: usize) {
        let sent = u64::try_from(sent).unwrap_or(u64::MAX);
        let from = self.batch_from.plus(sent);
        if from < self.recovery.next_number() {
            // One of them may have carried what was owed.
            self.acks.owe_now();
        }
        let mut outcome = std::mem::take(&mut self.outcome);
        self.recovery.unsend(from, &mut outcome);
        // A probe of the MTU that never left is no news about the path: `repair` would take it as lost.
        outcome.lost.retain(|contents| contents.mtu_probe.is_none());
        self.outcome = outcome;
        self.repair();
    }

    /// The size of a probe that is worth sending now, if any: data waits to profit from it, and nothing is
    /// being repaired.
    pub(in crate::connection) fn wanted_mtu_probe(&self, now: Time) -> Option<u16> {
        let supply = Supply {
            waiting: self.send.end().since(self.send.snd_nxt()),
            cwnd: self.recovery.snapshot().cwnd,
        };
        let size = self.mtu.next_probe(now, supply)?;
        let repairing = self.send.has_lost() || self.recovery.is_repairing();
        // A test of the size in use is part of the repair.
        let may = self.mtu.is_in_doubt() || !repairing;
        (may && !self.path.is_changing()).then_some(size)
    }

    /// Something was acknowledged: the newest packet of it `newest`, the largest `largest` bytes.
    pub(in crate::connection) fn follow_acked_sizes(&mut self, newest: PacketNumber, largest: u16) {
        if self.mtu.on_acked(newest, largest) {
            self.recovery.set_mtu(self.mtu.size());
        }
    }

    /// A probe of `size` bytes was acknowledged.
    pub(in crate::connection) fn on_mtu_probe_acked(&mut self, size: u16) {
        if self.mtu.on_probe_acked(size) {
            self.recovery.set_mtu(self.mtu.size());
        }
    }

    /// A probe timeout expired.
    pub(in crate::connection) fn note_stall(&mut self) {
        self.mtu.on_timeout(self.recovery.next_number());
    }
}
