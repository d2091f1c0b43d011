//! A queue with one rate that several links go through: where flows meet, and share.
//!
//! A datagram of a link that leads [through](super::Link::through) a bottleneck passes the policer, then waits in
//! the queue, then is sent at the rate, then goes its link's own way: flows that share a queue may have
//! different round trips.
//!
//! ```text
//!   link a: loss, damage, own rate --+                                  +-- delay, jitter of a
//!                                    +-- policer, queue, rate, bursts --+
//!   link b: loss, damage, own rate --+                                  +-- delay, jitter of b
//! ```

mod meter;

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;
use crate::wire::Ecn;

use super::Sim;
use super::link::Parcel;

pub use meter::QueueMeter;

/// Names a bottleneck of one simulation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BottleneckId(pub(super) usize);

/// What lies at the narrowest place of several paths. A new one has no bound.
///
/// ```
/// use aqueduct::config::Config;
/// use aqueduct::sim::{Bottleneck, Link, Sim, apps};
/// use std::time::Duration;
///
/// let mut sim = Sim::new(3);
/// let [near, far, server] = ["near", "far", "server"].map(|name| sim.add_host(name));
/// let queue = sim.add_bottleneck(Bottleneck::new().rate_bits(10_000_000).queue_bytes(50_000));
/// for (host, millis) in [(near, 5), (far, 50)] {
///     let way = Link::new().delay(Duration::from_millis(millis));
///     sim.link_one_way(host, server, way.clone().through(queue));
///     sim.link_one_way(server, host, way);
/// }
/// sim.listen(server, Config::default(), apps::Transfer::sink);
/// let both = [near, far].map(|host| {
///     sim.connect(host, server, Config::default(), apps::Transfer::send(1_000_000))
/// });
/// assert!(sim.run_until(Duration::from_secs(60), |sim| both.iter().all(|key| sim.is_closed(*key))));
/// assert!(sim.queue_meter(queue).bytes() > 2_000_000);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Bottleneck {
    rate_bits: Option<u64>,
    queue_bytes: Option<u64>,
    mark_above: Option<u64>,
    policer: Option<Policer>,
    burst_every: Duration,
}

/// A token bucket: what comes faster is dropped, not delayed.
#[derive(Clone, Copy, Debug)]
struct Policer {
    rate_bits: u64,
    bucket_bytes: u64,
}

impl Bottleneck {
    /// No rate, no bound, no marks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits a second that leave the queue.
    #[must_use]
    pub fn rate_bits(mut self, bits_per_second: u64) -> Self {
        self.rate_bits = Some(bits_per_second.max(1));
        self
    }

    /// Bytes that may wait, the datagram that is being sent included as a whole; what comes on top is dropped
    /// (drop-tail). An empty queue takes any datagram.
    #[must_use]
    pub fn queue_bytes(mut self, bytes: u64) -> Self {
        self.queue_bytes = Some(bytes);
        self
    }

    /// A datagram that joins more than so many waiting bytes is marked (ECN CE), if its sender says that it
    /// understands marks.
    #[must_use]
    pub fn mark_above(mut self, bytes: u64) -> Self {
        self.mark_above = Some(bytes);
        self
    }

    /// Drops what exceeds a token bucket of this rate and of so many bytes, before the queue.
    #[must_use]
    pub fn policer(mut self, bits_per_second: u64, bucket_bytes: u64) -> Self {
        self.policer = Some(Policer {
            rate_bits: bits_per_second.max(1),
            bucket_bytes,
        });
        self
    }

    /// No policer any more.
    #[must_use]
    pub fn without_policer(mut self) -> Self {
        self.policer = None;
        self
    }

    /// What was sent leaves only at multiples of this time, all at once: frames that a Wi-Fi sender aggregates.
    #[must_use]
    pub fn bursts_every(mut self, time: Duration) -> Self {
        self.burst_every = time;
        self
    }

    /// The time that so many bytes take at the rate.
    fn serialization(&self, bytes: usize) -> Duration {
        self.rate_bits
            .map_or(Duration::ZERO, |rate| time_of(length(bytes), rate))
    }
}

/// The time that `bytes` bytes take at `rate` bits a second.
fn time_of(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What became of the datagrams that came to a bottleneck.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BottleneckStats {
    /// Datagrams that came.
    pub entered: u64,
    /// Datagrams that were sent on.
    pub passed: u64,
    /// Their bytes.
    pub passed_bytes: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped by the policer.
    pub policed: u64,
    /// Marked instead of dropped (ECN CE).
    pub marked: u64,
}

/// What a bottleneck does with a datagram that comes.
#[derive(Debug)]
pub(super) enum Admission {
    /// It goes on at once: nothing bounds the rate.
    Passes(Parcel),
    /// It waits; others are before it.
    Waits,
    /// It is the first: its last bit leaves then.
    Begins(Time),
    /// The queue is full.
    Overflows(Parcel),
    /// The token bucket is empty.
    Policed(Parcel),
}

/// A datagram that was sent.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) link: usize,
    pub(super) parcel: Parcel,
    /// When it goes its link's way: now, or with the next burst.
    pub(super) leaves_at: Time,
}

/// A bottleneck at work.
#[derive(Debug)]
pub(super) struct BottleneckState {
    config: Bottleneck,
    stats: BottleneckStats,
    meter: QueueMeter,
    /// The first one is being sent.
    waiting: VecDeque<Waiting>,
    waiting_bytes: u64,
    /// When the last bit of the first one leaves.
    done_at: Time,
    /// When the policer's bucket will be full again.
    full_at: Time,
}

#[derive(Debug)]
struct Waiting {
    link: usize,
    parcel: Parcel,
    since: Time,
}

impl BottleneckState {
    fn new(now: Time, config: Bottleneck) -> Self {
        BottleneckState {
            config,
            stats: BottleneckStats::default(),
            meter: QueueMeter::new(now),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            done_at: now,
            full_at: Time::ZERO,
        }
    }

    /// A datagram comes over a link.
    pub(super) fn enter(&mut self, now: Time, link: usize, mut parcel: Parcel) -> Admission {
        self.stats.entered += 1;
        let bytes = length(parcel.bytes.len());
        if !self.conforms(now, bytes) {
            self.stats.policed += 1;
            return Admission::Policed(parcel);
        }
        let is_idle = self.waiting.is_empty();
        let queued = self.waiting_bytes + bytes;
        if !is_idle && self.config.queue_bytes.is_some_and(|most| queued > most) {
            self.stats.overflowed += 1;
            return Admission::Overflows(parcel);
        }
        if self.config.mark_above.is_some_and(|most| queued > most) && parcel.ecn.is_some() {
            self.stats.marked += u64::from(parcel.ecn != Some(Ecn::Ce));
            parcel.ecn = Some(Ecn::Ce);
        }
        if self.config.rate_bits.is_none() && is_idle {
            self.count(now, Duration::ZERO, bytes);
            return Admission::Passes(parcel);
        }
        self.waiting_bytes = queued;
        self.waiting.push_back(Waiting {
            link,
            parcel,
            since: now,
        });
        if is_idle {
            Admission::Begins(self.begin(now))
        } else {
            Admission::Waits
        }
    }

    /// Whether the policer lets so many bytes pass; then its tokens are spent.
    fn conforms(&mut self, now: Time, bytes: u64) -> bool {
        let Some(policer) = self.config.policer else {
            return true;
        };
        // The bucket as a time: how long ago it would have to have been full.
        let full_at = self.full_at.max(now) + time_of(bytes, policer.rate_bits);
        if full_at - now > time_of(policer.bucket_bytes, policer.rate_bits) {
            return false;
        }
        self.full_at = full_at;
        true
    }

    /// The first datagram begins to be sent; when its last bit leaves.
    fn begin(&mut self, now: Time) -> Time {
        let bytes = self
            .waiting
            .front()
            .map_or(0, |first| first.parcel.bytes.len());
        let takes = self.config.serialization(bytes);
        self.done_at = now + takes;
        self.meter.on_busy(now, self.done_at);
        self.done_at
    }

    /// The last bit of the first datagram may have left: what leaves, and when the next one's last bit does.
    /// `None`: the time was changed.
    pub(super) fn serve(&mut self, now: Time) -> Option<(Served, Option<Time>)> {
        if self.done_at != now {
            return None;
        }
        let first = self.waiting.pop_front()?;
        let bytes = length(first.parcel.bytes.len());
        self.waiting_bytes -= bytes;
        let takes = self.config.serialization(first.parcel.bytes.len());
        self.count(now, (now - first.since).saturating_sub(takes), bytes);
        let next = (!self.waiting.is_empty()).then(|| self.begin(now));
        let served = Served {
            link: first.link,
            parcel: first.parcel,
            leaves_at: self.next_burst(now),
        };
        Some((served, next))
    }

    fn count(&mut self, now: Time, waited: Duration, bytes: u64) {
        self.stats.passed += 1;
        self.stats.passed_bytes += bytes;
        self.meter.on_passed(now, waited, bytes);
    }

    fn next_burst(&self, now: Time) -> Time {
        let every = u64::try_from(self.config.burst_every.as_nanos()).unwrap_or(u64::MAX);
        if every == 0 {
            return now;
        }
        let nanos = now.as_nanos().div_ceil(every).saturating_mul(every);
        Time::from_nanos(nanos)
    }

    /// Changes what the bottleneck does; when the datagram that is being sent is now done, if there is one.
    fn change(&mut self, now: Time, config: Bottleneck) -> Option<Time> {
        let (before, after) = (self.config.rate_bits, config.rate_bits);
        self.config = config;
        if self.waiting.is_empty() {
            return None;
        }
        let left = (self.done_at - now).as_nanos();
        let left = match (before, after) {
            (Some(before), Some(after)) => left * u128::from(before) / u128::from(after),
            (_, None) => 0,
            (None, Some(_)) => left,
        };
        let left = Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX));
        self.done_at = now + left;
        self.meter.on_busy_until(self.done_at);
        Some(self.done_at)
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl Sim {
    /// Adds a bottleneck; links lead through it that say so: [`Link::through`](super::Link::through).
    pub fn add_bottleneck(&mut self, bottleneck: Bottleneck) -> BottleneckId {
        let state = BottleneckState::new(self.now, bottleneck);
        self.network.bottlenecks.push(state);
        BottleneckId(self.network.bottlenecks.len() - 1)
    }

    /// Changes a bottleneck: another rate holds for the datagram that is being sent, too.
    pub fn change_bottleneck(
        &mut self,
        id: BottleneckId,
        change: impl FnOnce(Bottleneck) -> Bottleneck,
    ) {
        let now = self.now;
        let state = &mut self.network.bottlenecks[id.0];
        let config = change(state.config.clone());
        if let Some(at) = state.change(now, config) {
            self.network.serve_at(id.0, at);
        }
    }

    /// What became of the datagrams that came to a bottleneck.
    pub fn bottleneck_stats(&self, id: BottleneckId) -> BottleneckStats {
        self.network.bottlenecks[id.0].stats
    }

    /// How a bottleneck was used, and how long datagrams waited in it, since it was made or since
    /// [`Sim::reset_queue_meter`].
    pub fn queue_meter(&self, id: BottleneckId) -> QueueMeter {
        self.network.bottlenecks[id.0].meter.at(self.now)
    }

    /// Begins another window of time for [`Sim::queue_meter`].
    pub fn reset_queue_meter(&mut self, id: BottleneckId) {
        let state = &mut self.network.bottlenecks[id.0];
        state.meter = QueueMeter::new(self.now);
        if !state.waiting.is_empty() {
            state.meter.on_busy(self.now, state.done_at);
        }
    }

    /// Bytes that wait in a bottleneck now.
    pub fn queued_bytes(&self, id: BottleneckId) -> u64 {
        self.network.bottlenecks[id.0].waiting_bytes
    }
}

#[cfg(test)]
mod tests;
