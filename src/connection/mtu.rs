//! How large a datagram may be, found by a few probes when there is data that would profit
//! (docs/WIRE.md, "Sizes").
//!
//! Every path is taken to carry 1,200 bytes. When enough data waits, one PROBE of each larger size that
//! is likely on such a path is sent; an acknowledged one raises the size. Small exchanges never probe.
//! A size that stops working is noticed when only small probes come through, and given up.

use std::net::SocketAddr;

/// What the path of every peer carries.
const BASE: u16 = 1_200;

/// Ethernet's 1,500 bytes less the headers of IP and UDP.
const ETHERNET_V4: u16 = 1_472;
const ETHERNET_V6: u16 = 1_452;
/// On loopback: four of these fill one offload batch, and a lost one is still a small loss.
const LOOPBACK: u16 = 16_336;
/// How often a size is tried.
const TRIES_MAX: u8 = 3;
/// Datagrams of the current size that must wait before a larger size is worth its probes.
pub(super) const WORTHWHILE: u64 = 4;
/// Probe timeouts in a row after which probes shrink to the base size (RFC 8899 s4.3).
const SUSPICIOUS_TIMEOUTS: u32 = 2;

/// The datagram size in use and the sizes that may replace it.
#[derive(Debug)]
pub(super) struct Mtu {
    size: u16,
    candidates: [Candidate; 2],
    suspicious: bool,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    size: u16,
    tries: u8,
    in_flight: bool,
}

impl Mtu {
    /// The sizes for a peer at `remote` that accepts `peer_max` bytes; this side sends at most `own_max`.
    pub(super) fn new(remote: SocketAddr, peer_max: u16, own_max: u16) -> Self {
        let ethernet = if remote.is_ipv4() {
            ETHERNET_V4
        } else {
            ETHERNET_V6
        };
        let large = if remote.ip().is_loopback() {
            LOOPBACK
        } else {
            ethernet
        };
        let limit = peer_max.min(own_max);
        let candidate = |size: u16| Candidate {
            size: size.min(limit),
            tries: 0,
            in_flight: false,
        };
        Mtu {
            size: BASE,
            candidates: [candidate(large), candidate(ethernet)],
            suspicious: false,
        }
    }

    /// The largest datagram that may be sent as data.
    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// The size that a probe after `timeouts` unanswered ones may have.
    pub(super) fn probe_size(&self, timeouts: u32) -> u16 {
        if timeouts >= SUSPICIOUS_TIMEOUTS {
            BASE
        } else {
            self.size
        }
    }

    /// The next size to probe, if any.
    pub(super) fn next_probe(&self) -> Option<u16> {
        self.wanted().map(|candidate| candidate.size)
    }

    fn wanted(&self) -> Option<&Candidate> {
        let size = self.size;
        self.candidates.iter().find(|candidate| {
            candidate.size > size && !candidate.in_flight && candidate.tries < TRIES_MAX
        })
    }

    /// A probe of this size left.
    pub(super) fn on_probe_sent(&mut self, size: u16) {
        for candidate in self
            .candidates
            .iter_mut()
            .filter(|candidate| candidate.size == size)
        {
            candidate.tries += 1;
            candidate.in_flight = true;
        }
    }

    /// The probe of this size arrived; true if the size in use grew.
    pub(super) fn on_probe_acked(&mut self, size: u16) -> bool {
        let grows = size > self.size;
        self.size = self.size.max(size);
        self.settle(size);
        grows
    }

    /// The probe of this size was lost.
    pub(super) fn on_probe_lost(&mut self, size: u16) {
        self.settle(size);
    }

    fn settle(&mut self, size: u16) {
        for candidate in self
            .candidates
            .iter_mut()
            .filter(|candidate| candidate.size == size)
        {
            candidate.in_flight = false;
        }
    }

    /// Another path: what the old one carried says nothing.
    pub(super) fn on_new_path(&mut self) {
        self.size = BASE;
        self.suspicious = false;
        for candidate in &mut self.candidates {
            (candidate.tries, candidate.in_flight) = (0, false);
        }
    }

    /// A probe timeout expired, the `timeouts`th in a row.
    pub(super) fn on_timeout(&mut self, timeouts: u32) {
        self.suspicious = timeouts >= SUSPICIOUS_TIMEOUTS && self.size > BASE;
    }

    /// Something was acknowledged, the largest datagram of it `largest` bytes; true if the size in use
    /// fell: after timeouts in a row only datagrams of the base size came through.
    pub(super) fn on_acked(&mut self, largest: u16) -> bool {
        let falls = self.suspicious && largest <= BASE;
        self.suspicious = false;
        if falls {
            self.size = BASE;
            for candidate in &mut self.candidates {
                candidate.tries = 0;
            }
        }
        falls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mtu(remote: &str, peer_max: u16) -> Mtu {
        Mtu::new(remote.parse().expect("an address"), peer_max, u16::MAX)
    }

    #[test]
    fn the_base_is_what_every_peer_must_accept() {
        assert_eq!(usize::from(BASE), crate::limits::DATAGRAM_MIN);
    }

    fn sizes(mtu: &mut Mtu) -> Vec<u16> {
        std::iter::from_fn(|| {
            let size = mtu.next_probe()?;
            mtu.on_probe_sent(size);
            Some(size)
        })
        .collect()
    }

    #[test]
    fn the_likely_sizes_of_a_path_are_probed_once_each() {
        assert_eq!(sizes(&mut mtu("192.0.2.1:1", 65_535)), [1_472]);
        assert_eq!(sizes(&mut mtu("[2001:db8::1]:1", 65_535)), [1_452]);
        assert_eq!(sizes(&mut mtu("127.0.0.1:1", 65_535)), [16_336, 1_472]);
        assert_eq!(sizes(&mut mtu("127.0.0.1:1", 1_300)), [1_300]);
        assert_eq!(sizes(&mut mtu("127.0.0.1:1", 1_200)), [0u16; 0]);
    }

    #[test]
    fn an_acknowledged_probe_raises_the_size_and_never_lowers_it() {
        let mut mtu = mtu("127.0.0.1:1", 65_535);
        sizes(&mut mtu);
        assert!(mtu.on_probe_acked(16_336));
        assert!(!mtu.on_probe_acked(1_472));
        assert_eq!(mtu.size(), 16_336);
    }

    #[test]
    fn a_lost_probe_is_tried_three_times() {
        let mut mtu = mtu("192.0.2.1:1", 65_535);
        for _ in 0..3 {
            assert_eq!(sizes(&mut mtu), [1_472]);
            mtu.on_probe_lost(1_472);
        }
        assert_eq!(mtu.next_probe(), None);
        assert_eq!(mtu.size(), 1_200);
    }

    #[test]
    fn the_size_falls_only_when_small_datagrams_alone_come_through() {
        let mut mtu = mtu("192.0.2.1:1", 65_535);
        sizes(&mut mtu);
        mtu.on_probe_acked(1_472);
        mtu.on_timeout(1);
        assert!(!mtu.on_acked(100), "one timeout proves nothing");
        mtu.on_timeout(2);
        assert!(!mtu.on_acked(1_472), "a large one came through");
        mtu.on_timeout(2);
        assert_eq!((mtu.probe_size(1), mtu.probe_size(2)), (1_472, 1_200));
        assert!(mtu.on_acked(1_200));
        assert_eq!((mtu.size(), mtu.next_probe()), (1_200, Some(1_472)));
    }
}
