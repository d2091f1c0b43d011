//! The own host has moved: another network, another address.

use crate::connection::{Connection, Phase};
use crate::time::Time;

impl Connection {
    /// Probe timeouts since the peer last acknowledged anything.
    pub fn pto_count(&self) -> u32 {
        self.recovery.pto_count()
    }

    /// This side's address has changed, and with it the path. Of the batch of the last
    /// [`Connection::poll_transmit`] only the first `sent` datagrams left before; the others (none for
    /// `usize::MAX`) are unsaid, and their data is sent again. The driver goes on polling: a PROBE shows the peer
    /// the new address, if nothing else does (docs/WIRE.md, "Changes of address"). While the connection opens,
    /// its own timers repeat what is needed.
    pub fn handle_moved(&mut self, now: Time, sent: usize) {
        self.advance(now);
        if self.phase != Phase::Open {
            return;
        }
        self.take_back(sent);
        self.leave_path();
        self.wants.liveness = true;
        self.settle(now);
    }
}
