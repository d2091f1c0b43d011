//! How much may leave while the window shrinks: proportional rate reduction (RFC 9937).
//!
//! A window that is cut at once lets nothing leave until enough has arrived, then all together. Here
//! each acknowledgement lets a share leave, so that after a round trip as much is in flight as the
//! controller wants, and the clock of acknowledgements never stops.
//!
//! Invariant: of what was sent, no more than was delivered and one datagram for each safe acknowledgement
//! (RFC 9937 s5, the conservation and the slow-start reduction bound).

/// One reduction of the window, in bytes of datagrams. The names in brackets are those of RFC 9937 s6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reduction {
    /// What shall be in flight at the end (`ssthresh`).
    target: u64,
    /// In flight when it began, before anything was taken off (`RecoverFS`).
    flight: u64,
    /// Delivered since (`prr_delivered`).
    delivered: u64,
    /// Sent since (`prr_out`).
    sent: u64,
    /// What may leave now (`sndcnt`, less what left since).
    allowance: u64,
}

/// What an acknowledgement means for the reduction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Bytes that it newly delivered (`DeliveredData`).
    pub bytes: u64,
    /// Bytes in flight after it, and after what it showed to be lost.
    pub inflight: u64,
    /// What was sent since arrives, and nothing more was lost (`SafeACK`).
    pub is_safe: bool,
    /// Bytes of a full datagram (`SMSS`).
    pub mtu: u64,
}

impl Reduction {
    /// Recovery begins, with `flight` bytes in flight before the losses were found; `target` of them shall be
    /// in flight at its end. A first datagram may leave at once, so that the repair does not wait.
    pub(super) fn new(target: u64, flight: u64, mtu: u64) -> Self {
        Reduction {
            target,
            flight: flight.max(1),
            delivered: 0,
            sent: 0,
            allowance: mtu,
        }
    }

    /// Bytes that may leave now.
    pub(super) fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Whether the window is as wide as it shall be, with so many bytes in flight.
    pub(super) fn is_complete(&self, inflight: u64) -> bool {
        inflight.saturating_add(self.allowance) >= self.target
    }

    /// A packet left, new or repeated or a probe.
    pub(super) fn on_sent(&mut self, size: u64) {
        self.sent = self.sent.saturating_add(size);
        self.allowance = self.allowance.saturating_sub(size);
    }

    /// Something was delivered; also by the acknowledgement that began the recovery.
    pub(super) fn on_delivered(&mut self, progress: Progress) {
        if progress.bytes == 0 {
            return;
        }
        self.delivered = self.delivered.saturating_add(progress.bytes);
        let allowed = if progress.inflight > self.target {
            self.proportional()
        } else {
            self.bounded(progress)
        };
        // The first repair leaves at once, and is not held back for a share of a datagram.
        let least = if self.sent == 0 { progress.mtu } else { 0 };
        self.allowance = allowed.max(least);
    }

    /// Sending keeps the proportion of target and flight to what is delivered.
    fn proportional(&self) -> u64 {
        let share = u128::from(self.delivered) * u128::from(self.target);
        let share = share.div_ceil(u128::from(self.flight));
        u64::try_from(share)
            .unwrap_or(u64::MAX)
            .saturating_sub(self.sent)
    }

    /// Too little is in flight: as much as is delivered leaves, and a datagram more where that is safe. What was
    /// allowed before and still waits for the pacer stays allowed; RFC 9937 takes it as sent at once.
    fn bounded(&self, progress: Progress) -> u64 {
        let conserved = self.delivered.saturating_sub(self.sent);
        let unspent = if self.sent == 0 { 0 } else { self.allowance };
        let delivered = unspent.saturating_add(progress.bytes);
        let extra = if progress.is_safe { progress.mtu } else { 0 };
        let limit = conserved.max(delivered).saturating_add(extra);
        limit.min(self.target - progress.inflight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u64 = 1_000;

    /// A path that acknowledges one packet after the other, of a hundred in flight when recovery began.
    struct Flow {
        reduction: Reduction,
        inflight: u64,
        sent: u64,
        delivered: u64,
    }

    impl Flow {
        fn new(target: u64, flight: u64, lost: u64) -> Self {
            Flow {
                reduction: Reduction::new(target * MTU, flight * MTU, MTU),
                inflight: (flight - lost) * MTU,
                sent: 0,
                delivered: 0,
            }
        }

        /// One packet is acknowledged; how many leave.
        fn ack(&mut self, is_safe: bool) -> u64 {
            self.inflight -= MTU;
            self.delivered += MTU;
            self.reduction.on_delivered(Progress {
                bytes: MTU,
                inflight: self.inflight,
                is_safe,
                mtu: MTU,
            });
            let mut left = 0;
            while self.reduction.allowance() >= MTU {
                self.reduction.on_sent(MTU);
                self.inflight += MTU;
                self.sent += MTU;
                left += 1;
            }
            left
        }
    }

    #[test]
    fn the_first_repair_leaves_at_once() {
        let mut reduction = Reduction::new(5 * MTU, 10 * MTU, MTU);
        assert_eq!(reduction.allowance(), MTU);
        reduction.on_sent(MTU);
        assert_eq!(reduction.allowance(), 0);
        // What came with the first acknowledgement is too little for a share: still one datagram.
        let mut reduction = Reduction::new(0, 10 * MTU, MTU);
        reduction.on_delivered(Progress {
            bytes: 1,
            inflight: 8 * MTU,
            is_safe: false,
            mtu: MTU,
        });
        assert_eq!(reduction.allowance(), MTU);
    }

    #[test]
    fn with_one_loss_every_second_acknowledgement_lets_one_leave_and_the_flight_ends_at_the_target()
    {
        let mut flow = Flow::new(50, 100, 1);
        for acked in 1..=99 {
            flow.ack(false);
            let share = (flow.delivered * 50).div_ceil(100);
            assert!(
                flow.sent <= share + MTU,
                "after {acked}: {} sent, the share is {share}",
                flow.sent
            );
        }
        assert_eq!(flow.inflight, 50 * MTU);
        assert_eq!(flow.sent, 50 * MTU);
    }

    #[test]
    fn seven_tenths_leave_when_the_target_is_seven_tenths() {
        let mut flow = Flow::new(70, 100, 1);
        let left: Vec<u64> = (0..99).map(|_| flow.ack(false)).collect();
        assert!(left.iter().all(|&packets| packets <= 1), "{left:?}");
        assert_eq!(flow.inflight, 70 * MTU);
    }

    #[test]
    fn below_the_target_as_much_leaves_as_arrives() {
        let mut flow = Flow::new(50, 100, 80);
        for _ in 0..20 {
            assert_eq!(flow.ack(false), 1);
        }
        assert_eq!(flow.inflight, 20 * MTU, "conserved");
    }

    #[test]
    fn safe_acknowledgements_let_one_more_leave_up_to_the_target() {
        let mut flow = Flow::new(50, 100, 80);
        for _ in 0..20 {
            assert_eq!(flow.ack(true), 2);
        }
        assert_eq!(flow.inflight, 40 * MTU);
        for _ in 0..20 {
            flow.ack(true);
        }
        assert_eq!(flow.inflight, 50 * MTU, "and no further");
    }

    #[test]
    fn an_application_that_paused_catches_up_with_what_was_delivered_and_no_more() {
        let mut reduction = Reduction::new(50 * MTU, 100 * MTU, MTU);
        for acked in 1..=40 {
            reduction.on_delivered(Progress {
                bytes: MTU,
                inflight: (40 - acked) * MTU,
                is_safe: false,
                mtu: MTU,
            });
        }
        assert_eq!(reduction.allowance(), 40 * MTU);
        reduction.on_delivered(Progress {
            bytes: MTU,
            inflight: 20 * MTU,
            is_safe: true,
            mtu: MTU,
        });
        assert_eq!(reduction.allowance(), 30 * MTU, "the target bounds it");
    }

    #[test]
    fn an_acknowledgement_of_nothing_changes_nothing() {
        let mut reduction = Reduction::new(5 * MTU, 10 * MTU, MTU);
        reduction.on_sent(MTU);
        for _ in 0..1_400 {
            reduction.on_delivered(Progress {
                bytes: 0,
                inflight: 0,
                is_safe: true,
                mtu: MTU,
            });
        }
        assert_eq!(reduction.allowance(), 0);
    }

    #[test]
    fn bytes_in_parts_of_datagrams_are_not_lost_by_rounding() {
        let mut reduction = Reduction::new(7 * MTU, 10 * MTU, MTU);
        reduction.on_sent(MTU);
        // A thousand bytes arrive in a thousand acknowledgements: 9,000 allow 6,300, of which 1,000 left.
        for _ in 0..9_000 {
            reduction.on_delivered(Progress {
                bytes: 1,
                inflight: 8 * MTU,
                is_safe: false,
                mtu: MTU,
            });
        }
        assert_eq!(reduction.allowance(), 5_300);
    }

    #[test]
    fn ten_terabytes_do_not_overflow() {
        let huge = 10 << 40;
        let mut reduction = Reduction::new(huge, 2 * huge, MTU);
        reduction.on_delivered(Progress {
            bytes: huge,
            inflight: 2 * huge - 1,
            is_safe: false,
            mtu: MTU,
        });
        assert_eq!(reduction.allowance(), huge / 2);
        let mut extreme = Reduction::new(u64::MAX - 1, 0, MTU);
        extreme.on_delivered(Progress {
            bytes: u64::MAX,
            inflight: u64::MAX,
            is_safe: true,
            mtu: u64::MAX,
        });
        assert_eq!(extreme.allowance(), u64::MAX);
    }
}
