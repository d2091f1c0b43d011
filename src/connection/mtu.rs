//! How large a datagram may be: packetization-layer path MTU discovery (RFC 8899; docs/WIRE.md, "Sizes").
//!
//! ```text
//!          enough data waits                     all that is left to try was lost three times
//!  BASE ---------------------> SEARCH ----------------------------------------------> DONE
//!   1,200     ^  |   probes, one at a time; an acknowledged one is the new size  ^      |
//!             |  +---------------------------------------------------------------+      |
//!             +---- 600 s: is the least that was refused possible now? <----------------+
//!
//!  any --- of a timeout's probes only the small one arrives ---> doubt: data goes at BASE, the size is tested
//!  doubt --- a packet of the size arrives ---> back       doubt --- 16 tests lost ---> black hole: 60 s at BASE
//! ```
//!
//! Every path is taken to carry [`BASE`] bytes. A probe leaves only when so much data waits, and the window is
//! so wide, that it is a small part of both: short exchanges never probe. A lost probe is no sign of
//! congestion, and no probe carries data. Nothing but an acknowledgement raises the size, and nothing but
//! the own host's refusal or a proven black hole lowers it: loss never does, and no ICMP message.
//!
//! Invariant: `refused` falls strictly and stays above `size`; what fits lies between its last entry and `size`.

mod local;

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;
use crate::wire::PacketNumber;

/// What the path of every peer carries (RFC 8899 s5.1.2, BASE_PLPMTU).
const BASE: u16 = 1_200;
/// Ethernet's 1,500 bytes less the headers of IP and UDP: the first size to try.
const ETHERNET_V4: u16 = 1_472;
const ETHERNET_V6: u16 = 1_452;
/// On loopback: four of these fill one offload batch, and a lost one is still a small loss.
const LOOPBACK: u16 = 16_336;
/// Sizes at which paths end: the least of IPv6 and tunnels, WireGuard, PPPoE and IPv6, Ethernet, jumbo
/// frames. One step of [`PRECISION`] above the two usual ones: when that is lost too, they are the end.
const LADDER: [u16; 8] = [1_232, 1_392, 1_420, 1_452, 1_472, 1_488, 8_972, 8_988];
/// From here on a size is not likely, and only tried when the likely one has passed.
const JUMBO: u16 = 8_972;
/// Bytes by which the size found may be smaller than the path's.
const PRECISION: u16 = 16;
/// How often a size is tried before it counts as too large (RFC 8899 s5.1.2, MAX_PROBES).
const TRIES_MAX: u8 = 3;
/// Datagrams of the size tried that must wait: then larger ones are worth the probe.
const WORTHWHILE: u64 = 4;
/// Datagrams of the size tried that the window must hold: a probe then delays little else.
const WINDOW_SHARE: u64 = 8;
/// When a finished search looks again whether the path has grown (RFC 8899 s5.1.1, PMTU_RAISE_TIMER).
const RAISE: Duration = Duration::from_secs(600);
/// Probes of the size in doubt that must be lost in a row: where three packets in ten are lost by chance,
/// that happens once in 200 million doubts. Meanwhile data flows, in datagrams of [`BASE`].
const TESTS: u8 = 16;
/// No search for so long after a black hole.
const COOL_DOWN: Duration = Duration::from_secs(60);

/// The datagram size in use, and what is known of larger ones.
#[derive(Debug)]
pub(super) struct Mtu {
    size: u16,
    /// The first size to try.
    likely: u16,
    /// The largest that both sides take.
    ceiling: u16,
    /// Nothing is lost on loopback: a probe costs nothing.
    is_loopback: bool,
    /// Sizes that were lost or refused, the least one last.
    refused: Vec<Refused>,
    /// The size of the probe on its way.
    in_flight: Option<u16>,
    /// No probe before.
    again_at: Time,
    doubt: Doubt,
    /// The newest packet larger than [`BASE`], probes aside, until it or a later large one is acknowledged.
    newest_large: Option<PacketNumber>,
    black_holes: u64,
}

/// A size that did not arrive.
#[derive(Clone, Copy, Debug)]
struct Refused {
    size: u16,
    tries: u8,
}

/// Whether the size in use still passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doubt {
    None,
    /// A probe timeout expired since a packet of the size arrived; the probes of the first one begin with
    /// this number.
    Stalled {
        from: PacketNumber,
    },
    /// Only small packets came through. Data goes at [`BASE`] while probes test the size that was in use.
    Tested {
        size: u16,
        lost: u8,
    },
}

/// What a probe may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Supply {
    /// Bytes that wait to be sent for the first time.
    pub waiting: u64,
    /// The congestion window, bytes.
    pub cwnd: u64,
}

impl Mtu {
    /// The sizes for a peer at `remote` that accepts `peer_max` bytes; this side sends at most `own_max`.
    pub(super) fn new(remote: SocketAddr, peer_max: u16, own_max: u16) -> Self {
        let is_loopback = remote.ip().is_loopback();
        let limit = peer_max.min(own_max).max(BASE);
        let ceiling = if is_loopback {
            limit.min(LOOPBACK)
        } else {
            limit
        };
        let likely = if is_loopback {
            LOOPBACK
        } else if remote.is_ipv4() {
            ETHERNET_V4
        } else {
            ETHERNET_V6
        };
        Mtu {
            size: BASE,
            likely,
            ceiling,
            is_loopback,
            refused: Vec::new(),
            in_flight: None,
            again_at: Time::ZERO,
            doubt: Doubt::None,
            newest_large: None,
            black_holes: 0,
        }
    }

    /// The largest datagram that may be sent as data.
    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// How often a size that had been in use was proven not to pass any more.
    pub(super) fn black_holes(&self) -> u64 {
        self.black_holes
    }

    /// The size of what the `timeouts`th probe timeout in a row sends. The first one sends a large packet and
    /// then one of the size that passes everywhere: together they show which of both still does. When that
    /// brought no answer all go at that size: there may be room for one only.
    pub(super) fn timeout_probe_size(&self, timeouts: u32) -> u16 {
        match self.doubt {
            _ if timeouts > 1 => BASE,
            Doubt::Stalled { from } if self.newest_large >= Some(from) => BASE,
            _ => self.size,
        }
    }

    /// Whether the next probe tests a size that was in use.
    fn is_in_doubt(&self) -> bool {
        matches!(self.doubt, Doubt::Tested { .. })
    }

    /// Whether a datagram of `size` bytes is larger than what every path carries.
    fn is_above_base(&self, size: u16) -> bool {
        size > BASE
    }

    // --- the search -------------------------------------------------------------------------------

    /// The next size to probe, if one is worth its cost now.
    pub(super) fn next_probe(&self, now: Time, supply: Supply) -> Option<u16> {
        if self.in_flight.is_some() {
            return None;
        }
        if let Doubt::Tested { size, .. } = self.doubt {
            return (supply.waiting >= WORTHWHILE * u64::from(BASE)).then_some(size);
        }
        if now < self.again_at {
            return None;
        }
        let size = self.wanted()?;
        self.is_affordable(size, supply).then_some(size)
    }

    fn is_affordable(&self, size: u16, supply: Supply) -> bool {
        if self.is_loopback {
            return supply.waiting >= WORTHWHILE * u64::from(self.size);
        }
        supply.waiting >= WORTHWHILE * u64::from(size)
            && supply.cwnd >= WINDOW_SHARE * u64::from(size)
    }

    /// The size that says most about what is not known yet: up from what passes while nothing was refused,
    /// then between both, and at the end the refused one again, which may have been lost by chance.
    fn wanted(&self) -> Option<u16> {
        let Some(refused) = self.refused.last() else {
            let up = [self.likely, JUMBO, self.ceiling];
            let up = up.map(|size| size.min(self.ceiling));
            return up.into_iter().find(|size| *size > self.size);
        };
        if refused.size - self.size <= PRECISION {
            return Some(refused.size);
        }
        let rungs = LADDER
            .into_iter()
            .filter(|rung| self.is_between(*rung, refused.size));
        let middle = rungs.clone().count() / 2;
        let halfway = self.size + (refused.size - self.size) / 2;
        Some(rungs.clone().nth(middle).unwrap_or(halfway))
    }

    fn is_between(&self, size: u16, refused: u16) -> bool {
        self.size < size && size < refused
    }

    /// A probe of this size left.
    pub(super) fn on_probe_sent(&mut self, size: u16) {
        self.in_flight = Some(size);
    }

    /// The probe of this size arrived; true if the size in use changed.
    pub(super) fn on_probe_acked(&mut self, size: u16) -> bool {
        self.settle(size);
        if size <= self.size || self.is_tested_above(size) {
            return false;
        }
        self.use_size(size);
        true
    }

    /// The probe of this size was lost.
    pub(super) fn on_probe_lost(&mut self, now: Time, size: u16) {
        self.settle(size);
        match self.doubt {
            Doubt::Tested { size: tested, lost } if tested == size => {
                self.doubt = Doubt::Tested {
                    size,
                    lost: lost + 1,
                };
                if lost + 1 >= TESTS {
                    self.confirm_black_hole(now, size);
                }
            }
            _ => self.refuse(now, size, 1),
        }
    }

    /// The own host refused a datagram of this size: no doubt is left, and nothing was lost. True if the
    /// size in use changed.
    pub(super) fn on_refused_here(&mut self, now: Time, size: u16) -> bool {
        self.settle(size);
        if size <= BASE {
            return false;
        }
        let falls = size <= self.size;
        if falls {
            self.size = BASE;
        }
        let settles = matches!(self.doubt, Doubt::Tested { size: tested, .. } if tested == size);
        if falls || settles {
            self.doubt = Doubt::None;
            self.again_at = Time::ZERO;
            self.refused.clear();
        }
        self.newest_large = None;
        self.refuse(now, size, TRIES_MAX);
        falls
    }

    /// Another path: what the old one carried says nothing.
    pub(super) fn on_new_path(&mut self) {
        self.size = BASE;
        self.refused.clear();
        self.in_flight = None;
        self.again_at = Time::ZERO;
        self.doubt = Doubt::None;
        self.newest_large = None;
    }

    /// The same path has another end: what is under way to the old one is lost, and says nothing of sizes.
    pub(super) fn on_rebound(&mut self) {
        self.in_flight = None;
        self.newest_large = None;
        if matches!(self.doubt, Doubt::Stalled { .. }) {
            self.doubt = Doubt::None;
        }
    }

    fn settle(&mut self, size: u16) {
        self.in_flight = self.in_flight.filter(|probed| *probed != size);
    }

    fn use_size(&mut self, size: u16) {
        self.size = size;
        self.doubt = Doubt::None;
        self.again_at = Time::ZERO;
        while self
            .refused
            .last()
            .is_some_and(|refused| refused.size <= size)
        {
            self.refused.pop();
        }
    }

    /// Counts `tries` more for a size that did not arrive. The search rests once the least such size was
    /// tried often enough, and little room is left below it.
    fn refuse(&mut self, now: Time, size: u16, tries: u8) {
        match self.refused.last_mut() {
            Some(least) if least.size == size => least.tries = least.tries.saturating_add(tries),
            Some(least) if least.size < size => return,
            _ if size <= self.size => return,
            _ => self.refused.push(Refused { size, tries }),
        }
        let is_over = self
            .refused
            .last()
            .is_some_and(|least| least.tries >= TRIES_MAX && least.size - self.size <= PRECISION);
        if is_over {
            self.again_at = now + RAISE;
        }
    }

    // --- black holes ------------------------------------------------------------------------------

    /// A packet of `size` bytes left that is no probe of the path MTU.
    pub(super) fn on_sent(&mut self, number: PacketNumber, size: u16) {
        if size > BASE {
            self.newest_large = Some(number);
        }
    }

    /// A probe timeout expired and its probes will begin with `next`.
    pub(super) fn on_timeout(&mut self, next: PacketNumber) {
        if self.size <= BASE || self.newest_large.is_none() {
            return;
        }
        if self.doubt == Doubt::None {
            self.doubt = Doubt::Stalled { from: next };
        }
    }

    /// Packets were acknowledged, the newest one `newest`, the largest of them `largest` bytes; true if the
    /// size in use changed.
    pub(super) fn on_acked(&mut self, newest: PacketNumber, largest: u16) -> bool {
        if largest > BASE && Some(newest) >= self.newest_large {
            self.newest_large = None;
        }
        match self.doubt {
            Doubt::None => false,
            Doubt::Tested { size, .. } if largest >= size => {
                self.use_size(size);
                true
            }
            Doubt::Tested { .. } => false,
            Doubt::Stalled { .. } if largest >= self.size => {
                self.doubt = Doubt::None;
                false
            }
            Doubt::Stalled { from } => {
                let small_ones_pass = newest >= from && self.newest_large >= Some(from);
                if small_ones_pass {
                    self.doubt = Doubt::Tested {
                        size: self.size,
                        lost: 0,
                    };
                    self.size = BASE;
                }
                small_ones_pass
            }
        }
    }

    fn is_tested_above(&self, size: u16) -> bool {
        matches!(self.doubt, Doubt::Tested { size: tested, .. } if size < tested)
    }

    fn confirm_black_hole(&mut self, now: Time, size: u16) {
        self.doubt = Doubt::None;
        self.black_holes = self.black_holes.saturating_add(1);
        self.refused.clear();
        self.refuse(now, size, TRIES_MAX);
        self.again_at = now + COOL_DOWN;
    }
}

#[cfg(test)]
mod tests;
