//! What was handed to the socket may prove not to have left: the own host refuses it (`connection/mtu/local.rs`), or
//! has lost its address. Then it counts as never sent, to the last detail.
//!
//! ```text
//!   begin_batch   on_sent on_sent on_sent    unsend(from the second on)
//!   before -----> 1       2       3      ==> before, then 1 again
//! ```
//! Of a batch only what little changes is kept from before, and for each packet what it was sent with. The controller
//! hears of packets when it is sure that they left, before it hears of anything else: it need not take back anything.

use crate::congestion::{Controller, Sent};
use crate::time::Time;
use crate::wire::PacketNumber;

use super::delivery::Delivery;
use super::ecn::EcnValidation;
use super::prr::Reduction;
use super::pto::ProbeTimer;
use super::report::{Outcome, SentPacket};
use super::sent_packets::Mark;
use super::usage::Usage;
use super::{Counts, Pacer, Recovery};

/// Packets that wait to be told to the controller at most: those of one batch, and one more.
const UNTOLD_MAX: usize = 65;

/// The packets of the present batch. Apart from the rest, so that a connection that rests need not keep it.
#[derive(Debug, Default)]
pub(super) struct Untold {
    before: Option<Before>,
    packets: Vec<Left>,
    /// The pause of which the controller was told last, by its beginning.
    pause: Option<Time>,
}

#[cfg(test)]
impl Untold {
    /// The beginning of the pause of which the controller was told last.
    pub(super) fn pause(&self) -> Option<Time> {
        self.pause
    }
}

/// A packet, and what its `on_sent` was called with.
#[derive(Clone, Copy, Debug)]
struct Left {
    told: Sent,
    imm: bool,
    last: bool,
}

/// What sending a packet changes, as it was before the batch.
#[derive(Clone, Debug)]
struct Before {
    sent: Mark,
    pacer: Pacer,
    delivery: Delivery,
    usage: Usage,
    ecn: EcnValidation,
    probe_timer: ProbeTimer,
    reduction: Option<Reduction>,
    idle_since: Option<Time>,
    bytes_in_flight: u64,
    counts: Counts,
}

impl Recovery {
    /// The next packets leave together, and those before them have left for good.
    pub fn begin_batch(&mut self, now: Time) {
        self.tell_sent();
        self.forget_old_losses(now);
    }

    /// The controller hears of what has left.
    pub(super) fn tell_sent(&mut self) {
        let Some(untold) = &mut self.untold else {
            return;
        };
        untold.before = None;
        for left in untold.packets.drain(..) {
            self.controller.on_sent(&left.told);
        }
    }

    /// Nothing was sent for a while: memory is given back.
    pub fn rest(&mut self) {
        self.tell_sent();
        self.untold = None;
        self.sent.shrink();
    }

    /// A packet is about to be noted: everything is kept as it is before the first one of a batch.
    pub(super) fn keep_before(&mut self) {
        let mut untold = self.untold.take().unwrap_or_default();
        if untold.packets.len() >= UNTOLD_MAX {
            self.untold = Some(untold);
            self.tell_sent();
            untold = self.untold.take().unwrap_or_default();
        }
        if untold.before.is_none() {
            untold.before = Some(self.before());
        }
        self.untold = Some(untold);
    }

    /// The controller is to hear that a pause is over which began at `since`; whether it has not heard yet. A packet that
    /// did not leave after all has ended the pause for the window.
    pub(super) fn is_new_pause(&mut self, since: Time) -> bool {
        let untold = self.untold.get_or_insert_default();
        untold.pause.replace(since) != Some(since)
    }

    /// A packet was noted, and the controller is to hear of it.
    pub(super) fn tell_later(&mut self, told: Sent, imm: bool, last: bool) {
        let untold = self.untold.get_or_insert_default();
        untold.packets.push(Left { told, imm, last });
    }

    /// The packets from `from` on have not left after all, and nothing was sent after them: they are unsaid,
    /// and their contents are found among the lost ones. Only packets sent since [`Recovery::begin_batch`] can be.
    pub fn unsend(&mut self, from: PacketNumber, out: &mut Outcome) {
        if from >= self.next_number() {
            return;
        }
        let Some(mut untold) = self.untold.take() else {
            return;
        };
        self.log.unsend(from);
        let mut stay = Vec::new();
        while let Some(left) = untold.packets.pop() {
            let number = self.next_number().prev();
            let Some(packet) = self.sent.unsend_newest() else {
                break;
            };
            if number >= from {
                out.lost.push(packet.contents);
                continue;
            }
            let again = SentPacket {
                number,
                size: packet.size,
                imm: left.imm,
                contents: packet.contents,
            };
            stay.push((left, again));
        }
        if let Some(before) = untold.before.take() {
            self.restore(before);
        }
        self.untold = Some(untold);
        for (left, packet) in stay.into_iter().rev() {
            self.on_sent(left.told.now, packet, left.last);
        }
    }

    fn before(&self) -> Before {
        Before {
            sent: self.sent.mark(),
            pacer: self.pacer.clone(),
            delivery: self.delivery,
            usage: self.usage,
            ecn: self.ecn.clone(),
            probe_timer: self.probe_timer,
            reduction: self.reduction,
            idle_since: self.idle_since,
            bytes_in_flight: self.bytes_in_flight,
            counts: self.counts,
        }
    }

    fn restore(&mut self, before: Before) {
        self.sent.restore(before.sent);
        self.pacer = before.pacer;
        self.delivery = before.delivery;
        self.usage = before.usage;
        self.ecn = before.ecn;
        self.probe_timer = before.probe_timer;
        self.reduction = before.reduction;
        self.idle_since = before.idle_since;
        self.bytes_in_flight = before.bytes_in_flight;
        self.counts = before.counts;
    }
}
