//! How fast does the path deliver (draft-ietf-ccwg-bbr, "Delivery Rate Samples")?
//!
//! Every packet remembers how many bytes had been delivered when it left. Its acknowledgement tells how
//! many more are delivered now, and how long they took: at the receiver, from the acknowledgement before it
//! left to its own; at the sender, from the packet that this earlier one was for to itself. The longer of
//! the two counts, since nothing arrives faster than it was sent.
//!
//! ```text
//!   sent         first ............................ newest          send_elapsed = newest - first
//!   acknowledged         first's .......................... newest's   ack_elapsed
//! ```
//!
//! Such a sample says nothing of the path when the application had left it unused in between: a gap. What is
//! sent after a gap is marked, until an acknowledgement of it shows that the gap has left the path. (The
//! draft notes the end of the gap in bytes delivered, which must be corrected for every loss; a packet number
//! needs no correction.)

use std::time::Duration;

use crate::congestion::RateSample;
use crate::time::Time;
use crate::wire::PacketNumber;

use super::report::Limit;
use super::sent_packets::Snapshot;

/// The sampler of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// Bytes ever acknowledged.
    delivered: u64,
    /// Bytes ever declared lost.
    lost: u64,
    /// When bytes were acknowledged last, or when the path began to be used again.
    delivered_at: Time,
    /// When the newest acknowledged packet had been sent.
    first_sent_at: Time,
    /// From when on the path has been open to data that did not come.
    unused_from: Option<Time>,
    /// Data waits for the pacer.
    is_pacing: bool,
    /// The first packet after the latest gap, until one from there on is acknowledged.
    after_gap: Option<PacketNumber>,
    /// The latest rate that the application did not limit, bytes a second.
    latest: Option<u64>,
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            delivered: 0,
            lost: 0,
            delivered_at: Time::ZERO,
            first_sent_at: Time::ZERO,
            unused_from: Some(Time::ZERO),
            is_pacing: false,
            after_gap: None,
            latest: None,
        }
    }
}

impl Delivery {
    /// A packet leaves, with `inflight` bytes in flight before it.
    pub(super) fn on_sent(
        &mut self,
        now: Time,
        number: PacketNumber,
        size: u64,
        inflight: u64,
    ) -> Snapshot {
        if let Some(from) = self.unused_from.take() {
            if inflight == 0 || from < now {
                self.after_gap = Some(number);
            }
        }
        // The time before the first packet in flight is no time of delivery; but what waited for the pacer
        // was under way, even if the packets before it were acknowledged meanwhile.
        if inflight == 0 && !self.is_pacing {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        Snapshot {
            sent_at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            lost: self.lost,
            tx_in_flight: inflight + size,
            app_limited: self.after_gap.is_some(),
        }
    }

    /// Everything that may leave has left, down to the network; what holds the rest back is `limit`.
    /// `open_at`: when the next packet might leave, if the window has room for it.
    pub(super) fn on_drained(&mut self, limit: Limit, open_at: Option<Time>) {
        self.is_pacing = limit == Limit::Pacing;
        self.unused_from = match limit {
            Limit::Application => self.unused_from.or(open_at),
            Limit::Window | Limit::Cwnd | Limit::Pacing => None,
        };
    }

    /// A packet arrived.
    pub(super) fn on_delivered(&mut self, now: Time, size: u64) {
        self.delivered += size;
        self.delivered_at = now;
    }

    /// A packet was declared lost.
    pub(super) fn on_lost(&mut self, size: u64) {
        self.lost += size;
    }

    /// What the newest of the packets that were just acknowledged tells, after all of them were told to
    /// [`Delivery::on_delivered`]. An interval shorter than `min_rtt` is no true one.
    pub(super) fn sample(
        &mut self,
        number: PacketNumber,
        sent: &Snapshot,
        min_rtt: Duration,
    ) -> RateSample {
        if self.after_gap.is_some_and(|first| number >= first) {
            self.after_gap = None;
        }
        let sending = sent.sent_at - sent.first_sent_at;
        let interval = sending.max(self.delivered_at - sent.delivered_at);
        let delivered = self.delivered - sent.delivered;
        let rate = (interval >= min_rtt)
            .then(|| bytes_per_second(delivered, interval))
            .flatten();
        self.first_sent_at = self.first_sent_at.max(sent.sent_at);
        if !sent.app_limited {
            self.latest = rate.or(self.latest);
        }
        RateSample {
            prior_delivered: sent.delivered,
            delivered,
            interval,
            rate,
            tx_in_flight: sent.tx_in_flight,
            lost: self.lost - sent.lost,
            app_limited: sent.app_limited,
        }
    }

    /// Bytes ever acknowledged.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes ever declared lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// The latest rate that the application did not limit, bytes a second.
    pub(super) fn latest_rate(&self) -> Option<u64> {
        self.latest
    }
}

/// `bytes` in a time; `None` if the time is none.
fn bytes_per_second(bytes: u64, time: Duration) -> Option<u64> {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    // Division of 128 bits takes many times as long, and is for samples of 18 GB.
    if let Some(product) = bytes.checked_mul(1_000_000_000) {
        return product.checked_div(nanos);
    }
    let rate = (u128::from(bytes) * 1_000_000_000).checked_div(u128::from(nanos))?;
    Some(u64::try_from(rate).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
