//! When may the next bytes leave (RFC 9002 s7.7)?
//!
//! A token bucket that is filled at the pacing rate. It lets whole quanta through, one offload batch
//! each, and then makes the sender wait until the next quantum is there: a packet sent alone costs
//! many times what it costs in a batch. Credit is counted in billionths of a byte, so that a rate in
//! bytes a second and a time in nanoseconds multiply without a remainder.

use std::time::Duration;

use crate::limits::{BATCH_BYTES_MAX, BURST_SEGMENTS};
use crate::time::Time;

/// Time whose worth of bytes the bucket holds: a late wake-up of so much loses nothing.
const BURST_NANOS: u64 = 2_000_000;
/// The bucket never holds more, unless two datagrams are more.
const BURST_BYTES_MAX: u64 = 256 << 10;
/// Data that waited for its quantum, and for nothing else, keeps what it earned for so long after that was complete.
/// Timers come so late where the clock is coarse (15.6 ms) or the machine busy: with a bucket of two milliseconds a
/// wake-up that is eight late would lose three quarters of the rate, and a controller that measures the rate would
/// take that for the path's, over and over.
const LATE_NANOS: u64 = 16_000_000;
/// Time whose worth of bytes one quantum is: two wake-ups for each filling of the bucket.
const QUANTUM_NANOS: u64 = 1_000_000;
/// Below this rate (100 Mbit/s) a quantum has few datagrams, because routers that limit a rate drop the tail of
/// a longer burst.
const FAST: u64 = 12_500_000;
/// How many.
const SLOW_QUANTUM_DATAGRAMS: u64 = 8;
/// What leaves at once where nothing is paced, between two acknowledgements, unless half the window is more: what a
/// peer allows at first. With one batch (64 KiB) a window of two never filled, and so never grew: one batch, one
/// acknowledgement, and each side asleep for half of the time (loopback, 1.1 GB/s).
const UNPACED_BURST: u64 = 256 << 10;
/// The least datagrams in a quantum, where the path is slow. The bucket has room for one more than a quantum: if
/// a quantum filled it, every wake-up that comes late, and all do, would lose what was earned meanwhile.
const DATAGRAMS_MIN: u64 = 2;
/// What a path may get at once before it has shown anything (RFC 6928 s2).
const INITIAL_DATAGRAMS: u64 = 10;
/// Credit for one byte.
const BYTE: i64 = 1_000_000_000;

/// A token bucket; without a rate it lets everything through.
///
/// ```
/// use aqueduct::recovery::Pacer;
/// use aqueduct::time::Time;
///
/// let mut pacer = Pacer::new(1_000);
/// pacer.set_rate(Time::ZERO, 1_000_000);
/// // The first ten datagrams may leave at once, the next two when they are paid for.
/// for _ in 0..10 {
///     assert_eq!(pacer.ready_at(Time::ZERO, 1_000, u64::MAX), None);
///     pacer.on_sent(Time::ZERO, 1_000, false);
/// }
/// let next = pacer.ready_at(Time::ZERO, 1_000, u64::MAX);
/// assert_eq!(next, Some(Time::from_millis(2)));
/// ```
#[derive(Clone, Debug)]
pub struct Pacer {
    /// Bytes a second; 0 for no pacing.
    rate: u64,
    /// Bytes of a full datagram.
    mtu: u64,
    /// Datagrams that leave back to back at most.
    burst_max: u16,
    /// Bytes that the bucket holds.
    capacity: u64,
    /// Bytes that leave together.
    quantum: u64,
    /// Bytes that the controller wants to leave together, if it says so.
    wanted: Option<u64>,
    /// Billionths of a byte that may leave; negative after packets that did not ask.
    credit: i64,
    /// Bytes that may still leave before the next acknowledgement while there is no rate.
    burst: u64,
    /// When `credit` was true.
    updated: Time,
    /// A quantum is used up: the next one leaves when it is complete.
    exhausted: bool,
    /// Data waits for that alone: whatever more time goes by is a wake-up that comes late.
    is_awaited: bool,
}

impl Pacer {
    /// A pacer without a rate, for datagrams of at most `mtu` bytes, with credit for a first burst.
    pub fn new(mtu: u16) -> Self {
        let mut pacer = Pacer {
            rate: 0,
            mtu: u64::from(mtu).max(1),
            burst_max: BURST_SEGMENTS,
            capacity: 0,
            quantum: 0,
            wanted: None,
            burst: UNPACED_BURST,
            credit: 0,
            updated: Time::ZERO,
            exhausted: false,
            is_awaited: false,
        };
        pacer.resize();
        pacer.restart(Time::ZERO);
        pacer
    }

    /// A pacer that lets at most so many datagrams leave back to back, if they are fewer than usual (44: whole
    /// batches). Quantum, bucket and first burst have no more then, whatever a late wake-up loses by that.
    #[must_use]
    pub fn with_burst_max(mut self, datagrams: u16) -> Self {
        self.burst_max = datagrams.max(1);
        self.resize();
        self.restart(Time::ZERO);
        self
    }

    /// Paces at `rate` bytes a second from now on; 0: not at all.
    pub fn set_rate(&mut self, now: Time, rate: u64) {
        if rate == self.rate {
            return;
        }
        self.credit = self.credit_at(now);
        self.updated = self.updated.max(now);
        let paced_before = self.rate > 0;
        self.rate = rate;
        self.resize();
        if paced_before {
            self.credit = self.credit.min(to_credit(self.held()));
        }
    }

    /// About `bytes` should leave together; `None` for what a millisecond carries.
    pub fn set_quantum(&mut self, bytes: Option<u64>) {
        if bytes != self.wanted {
            self.wanted = bytes;
            self.resize();
        }
    }

    /// The path carries datagrams of `mtu` bytes.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = u64::from(mtu).max(1);
        self.resize();
    }

    /// Bytes a second; 0 when not pacing.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Bytes that may leave together.
    pub fn quantum(&self) -> u64 {
        self.quantum
    }

    /// Bytes that may leave at once after a pause.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Something was acknowledged or lost, or nothing is in flight: the next burst may leave.
    pub fn renew_burst(&mut self, cwnd: u64) {
        self.burst = UNPACED_BURST.max(cwnd / 2);
    }

    /// Bytes that may leave before [`Pacer::renew_burst`]; where there is a rate, it alone counts.
    pub fn burst_room(&self) -> u64 {
        if self.rate == 0 { self.burst } else { u64::MAX }
    }

    /// The path is new, or unknown again after a pause: credit for a first burst.
    pub fn restart(&mut self, now: Time) {
        let datagrams = INITIAL_DATAGRAMS.min(self.burst_max.into());
        self.credit = to_credit(self.mtu.saturating_mul(datagrams));
        self.updated = now;
        self.exhausted = false;
        self.is_awaited = false;
    }

    /// All that may leave has left; `is_awaited`: more data waits, for this pacer alone.
    pub fn on_drained(&mut self, is_awaited: bool) {
        if self.is_awaited && !is_awaited {
            // What a late wake-up found and did not spend is no credit for a later burst.
            self.credit = self.credit.min(to_credit(self.capacity));
        }
        self.is_awaited = is_awaited;
    }

    /// When `size` bytes may leave; `None` for now. `room`: all that may leave before the next
    /// acknowledgement, for which a whole quantum need not be awaited.
    pub fn ready_at(&self, now: Time, size: u16, room: u64) -> Option<Time> {
        if self.rate == 0 {
            return None;
        }
        let size = u64::from(size);
        let bytes = if self.exhausted {
            self.quantum.min(room).max(size)
        } else {
            size
        };
        // A bucket cannot hold more than it holds: a packet above that leaves from a full one.
        let needed = to_credit(bytes.min(self.capacity));
        let missing = needed.saturating_sub(self.credit_at(now));
        match u64::try_from(missing) {
            Ok(missing) if missing > 0 => {
                Some(now + Duration::from_nanos(missing.div_ceil(self.rate)))
            }
            _ => None,
        }
    }

    /// `size` bytes left, whether they had asked or not. `last`: nothing more is waiting.
    pub fn on_sent(&mut self, now: Time, size: u16, last: bool) {
        self.credit = self.credit_at(now);
        self.updated = now;
        self.burst = self.burst.saturating_sub(u64::from(size));
        // Without a rate there is no debt, only a first burst that is used up.
        let paced = self.rate > 0;
        let debt_max = if paced { self.capacity } else { 0 };
        let spent = self.credit.saturating_sub(to_credit(u64::from(size)));
        self.credit = spent.max(to_credit(debt_max).saturating_neg());
        self.exhausted = paced && !last && self.credit < to_credit(self.mtu);
    }

    /// The credit at `now`. Time fills the bucket; what it holds above that (a first burst) it keeps.
    fn credit_at(&self, now: Time) -> i64 {
        let full = to_credit(self.held());
        if self.credit >= full {
            return self.credit;
        }
        let elapsed = now.as_nanos().saturating_sub(self.updated.as_nanos());
        let earned = self.rate.saturating_mul(elapsed);
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.credit.saturating_add(earned).min(full)
    }

    /// Bytes that the bucket holds now: more than usual for data that waits, unless bursts are to be short.
    fn held(&self) -> u64 {
        if !self.is_awaited || self.burst_max < BURST_SEGMENTS {
            return self.capacity;
        }
        let late = worth(self.rate, LATE_NANOS).min(BURST_BYTES_MAX);
        late.max(self.capacity)
    }

    /// Bucket and quantum for the current rate: whole datagrams, the quantum within one batch.
    fn resize(&mut self) {
        let batch = u64::try_from(BATCH_BYTES_MAX).unwrap_or(u64::MAX);
        let burst_max = u64::from(self.burst_max);
        let is_short = self.burst_max < BURST_SEGMENTS;
        // The bucket has room for one datagram more than a quantum, and a short burst is all that it holds.
        let mut datagrams = u64::MAX;
        if is_short {
            datagrams = burst_max.saturating_sub(1).max(1);
        }
        if self.rate < FAST {
            datagrams = datagrams.min(SLOW_QUANTUM_DATAGRAMS);
        }
        let most = self.mtu.saturating_mul(datagrams);
        let (wanted, least) = match self.wanted {
            Some(wanted) => (wanted, 1),
            None => (worth(self.rate, QUANTUM_NANOS), DATAGRAMS_MIN),
        };
        let least = self.mtu.saturating_mul(least).min(most);
        self.quantum = (wanted.min(most).min(batch) / self.mtu * self.mtu).max(least);
        let most = if is_short {
            self.mtu.saturating_mul(burst_max)
        } else {
            BURST_BYTES_MAX
        };
        let burst = worth(self.rate, BURST_NANOS).min(most);
        self.capacity = burst.max(self.quantum.saturating_add(self.mtu));
    }
}

/// Bytes that `rate` yields in `nanos`.
fn worth(rate: u64, nanos: u64) -> u64 {
    // Division of 128 bits takes many times as long, and is for rates that no path has.
    if let Some(product) = rate.checked_mul(nanos) {
        return product / 1_000_000_000;
    }
    let bytes = u128::from(rate) * u128::from(nanos) / 1_000_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Credit for `bytes`.
fn to_credit(bytes: u64) -> i64 {
    i64::try_from(bytes)
        .unwrap_or(i64::MAX)
        .saturating_mul(BYTE)
}

#[cfg(test)]
mod tests;
