//! Whether a path carries ECN marks, and what the peer's counts say about it (RFC 9000 s13.4, RFC 3168).
//!
//! ```text
//!         10 marked packets             counts that fit
//!   Off --------------------> Testing ------------------> Capable
//!                              |   ^                       |   |
//!          ten lost, none came |   | ten lost in a row     |   | counts that do not fit
//!                              v   +-----------------------+   v
//!                            Failed <--------------------------+
//! ```
//!
//! A path may clear the mark, change it, set it on everything, or drop what carries it. The counts in an acknowledgement are
//! compared only if it raises the largest number and newly acknowledges marked packets: any other may be
//! older than the last one compared, and then its counts prove nothing (RFC 9000 s13.4.2.1).
//!
//! Invariant: the peer never makes this side believe in more marks than it sent, whatever it counts.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use crate::wire::{EcnCounts, PacketNumber};

/// Packets that a test marks; as many lost in a row are no accident (RFC 9000 A.4).
const TEST_PACKETS: u8 = 10;
/// Packets in a row that met congestion, all while the window was as small as it gets: some thirty round trips. A router
/// that is so congested cannot be relieved by this sender any more but by dropping what it sends.
const HOPELESS_PACKETS: u8 = 64;

/// How far the trust in a path's ECN goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EcnState {
    /// Nothing is marked: the peer counts no marks, or the congestion control answers none.
    #[default]
    Off,
    /// Ten packets are marked, to see what becomes of them.
    Testing,
    /// The path carries marks: every numbered packet has one.
    Capable,
    /// The path clears marks, changes them, sets them on everything, or drops what has one: nothing is marked any more.
    Failed,
}

/// What an acknowledgement says of marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EcnReport {
    /// Its counts, if it has any.
    pub counts: Option<EcnCounts>,
    /// Packets of the present path, sent with a mark, that it acknowledges for the first time.
    pub newly_acked: u64,
    /// Whether it names a larger number than every acknowledgement before.
    pub is_newest: bool,
    /// The number that the next packet will have.
    pub next: PacketNumber,
}

/// The validation of one connection's marks, path after path.
///
/// ```
/// use aqueduct::recovery::{EcnReport, EcnState, EcnValidation};
/// use aqueduct::wire::{EcnCounts, PacketNumber};
///
/// let mut ecn = EcnValidation::default();
/// assert!(!ecn.may_mark(), "nobody agreed on it");
/// ecn.start(PacketNumber::new(1));
/// assert!(ecn.may_mark());
/// ecn.on_marked_sent();
/// ecn.on_marked_sent();
///
/// let counts = EcnCounts { ect0: 1, ect1: 0, ce: 1 };
/// let report = EcnReport {
///     counts: Some(counts),
///     newly_acked: 2,
///     is_newest: true,
///     next: PacketNumber::new(3),
/// };
/// assert_eq!(ecn.on_ack(&report), 1, "one packet met congestion");
/// assert_eq!(ecn.state(), EcnState::Capable);
/// ```
#[derive(Clone, Debug, Default)]
pub struct EcnValidation {
    state: EcnState,
    /// The counts that were compared last.
    counted: EcnCounts,
    /// Marked packets sent on all paths, less those that the peer has counted.
    uncounted: u64,
    /// Packets marked in this test.
    tested: u8,
    /// The first number whose loss says something about this test, or about the trust that came of it.
    from: PacketNumber,
    /// Marked packets lost since one was acknowledged.
    lost_in_row: u8,
    /// Packets counted on this path that had all met congestion; settled once one had not.
    congested: u8,
    /// A packet of this path came with the mark that it left with.
    is_kept: bool,
    /// Packets that met congestion since one had not, or since the window was wider than its least.
    in_vain: u8,
    /// Packets that met congestion, on all paths.
    ce: u64,
}

impl EcnValidation {
    /// Tests the path, from packet `next` on: both sides have agreed, or the path is new.
    pub fn start(&mut self, next: PacketNumber) {
        self.state = EcnState::Testing;
        self.from = next;
        self.tested = 0;
        self.lost_in_row = 0;
        self.congested = 0;
        self.is_kept = false;
        self.in_vain = 0;
    }

    /// The path is another one: what was learnt of the old one does not count.
    pub fn on_new_path(&mut self, next: PacketNumber) {
        if self.state != EcnState::Off {
            self.start(next);
        }
    }

    /// Whether the next packet is to be marked ECT(0).
    pub fn may_mark(&self) -> bool {
        match self.state {
            EcnState::Off | EcnState::Failed => false,
            EcnState::Testing => self.tested < TEST_PACKETS,
            EcnState::Capable => true,
        }
    }

    /// A marked packet left.
    pub fn on_marked_sent(&mut self) {
        self.uncounted = self.uncounted.saturating_add(1);
        self.tested = self.tested.saturating_add(1);
    }

    /// A marked packet was declared lost.
    ///
    /// Ten of a test and none that came: the path drops what is marked. Ten in a row on a path that was
    /// trusted: it may have changed, or been cut for a while, so it is tested again.
    pub fn on_marked_lost(&mut self, number: PacketNumber, next: PacketNumber) {
        if number < self.from {
            return;
        }
        self.lost_in_row = self.lost_in_row.saturating_add(1);
        if self.lost_in_row < TEST_PACKETS {
            return;
        }
        match self.state {
            EcnState::Testing => self.fail("marked packets are dropped"),
            EcnState::Capable => self.start(next),
            EcnState::Off | EcnState::Failed => {}
        }
    }

    /// An acknowledgement came: how many packets it newly reports to have met congestion.
    pub fn on_ack(&mut self, report: &EcnReport) -> u64 {
        // Counters of 0 need not be sent.
        let counts = report.counts.unwrap_or_default();
        match self.state {
            EcnState::Off => 0,
            EcnState::Failed => {
                if report.is_newest {
                    self.settle(counts);
                }
                0
            }
            EcnState::Testing | EcnState::Capable if report.newly_acked == 0 => 0,
            EcnState::Testing if !report.is_newest => {
                // Marks are not dropped here; whether they are kept, other packets must show.
                self.start(report.next);
                0
            }
            EcnState::Testing | EcnState::Capable => {
                self.lost_in_row = 0;
                if report.is_newest {
                    self.compare(counts, report.newly_acked)
                } else {
                    0
                }
            }
        }
    }

    /// Compares counts with what was sent; the new part of the CE count if they fit.
    fn compare(&mut self, counts: EcnCounts, newly_acked: u64) -> u64 {
        let before = self.counted;
        let uncounted = self.uncounted;
        let increase = self.settle(counts);
        if counts.ect1 != before.ect1 {
            self.fail("marks are changed to ECT(1)");
        } else if increase > uncounted {
            // So does a count that went back: modulo 2^32 that is a long way forward.
            self.fail("more marks are counted than were sent");
        } else if increase < newly_acked {
            self.fail("marks are cleared");
        } else {
            self.state = EcnState::Capable;
            let ce = distance(before.ce, counts.ce);
            self.ce = self.ce.saturating_add(ce);
            self.suspect(ce, counts.ect0 != before.ect0);
            return ce;
        }
        0
    }

    /// Ten packets and not one without congestion: that is no congestion, but a box that marks everything.
    fn suspect(&mut self, ce: u64, is_kept: bool) {
        self.is_kept |= is_kept;
        let ce = u8::try_from(ce).unwrap_or(u8::MAX);
        self.in_vain = if is_kept {
            0
        } else {
            self.in_vain.saturating_add(ce)
        };
        self.congested = self.congested.saturating_add(ce);
        if !self.is_kept && self.congested >= TEST_PACKETS {
            self.fail("everything is marked");
        }
    }

    /// Marks were answered, and the window is at its least now, or is not. A box that begins to mark everything in
    /// mid-transfer would hold it there for ever: without marks the path shows by drops whether it is congested, and a
    /// sender that cannot slow down any more must let it drop (RFC 3168 s6.1.2, RFC 9000 s13.4.2).
    pub fn on_window(&mut self, is_least: bool) {
        if !is_least {
            self.in_vain = 0;
        } else if self.in_vain >= HOPELESS_PACKETS && self.may_mark() {
            self.fail("everything is marked, however little is sent");
        }
    }

    /// Takes over the peer's counts; how many more marked packets they tell of.
    fn settle(&mut self, counts: EcnCounts) -> u64 {
        let ect0 = distance(self.counted.ect0, counts.ect0);
        let increase = ect0.saturating_add(distance(self.counted.ce, counts.ce));
        self.counted = counts;
        self.uncounted = self.uncounted.saturating_sub(increase);
        increase
    }

    fn fail(&mut self, why: &'static str) {
        tracing::debug!(why, "this path does not carry ECN marks");
        self.state = EcnState::Failed;
    }

    /// How far the trust in the present path goes.
    pub fn state(&self) -> EcnState {
        self.state
    }

    /// Packets that met congestion so far.
    pub fn ce(&self) -> u64 {
        self.ce
    }
}

/// How far a counter has gone, modulo 2^32.
fn distance(before: u32, now: u32) -> u64 {
    u64::from(now.wrapping_sub(before))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests;
