//! Answers to packets that belong to no connection, and how many of them there may be.
//!
//! Nothing here is longer than what it answers. An answer goes to no address that could be a victim or
//! an amplifier, and at a rate that is not worth an attack. RST, UNKNOWN, ACK, SYNACK and VERSIONS are
//! never answered, so that two endpoints cannot keep each other busy (CVE-2024-2169).

use std::net::IpAddr;

use super::random::{Key, keyed_hash};
use super::{DropReason, whole_seconds};
use crate::error::ResetCode;
use crate::limits::{ANSWER_SLOTS, ANSWERS_PER_NETWORK, ANSWERS_PER_SECOND};
use crate::time::Time;
use crate::wire::{ConnectionId, Kind, Meta, PacketBuilder, PacketNumber, VERSION};

/// Bytes of the longest answer of this file: VERSIONS with one version.
pub(super) const ANSWER_BYTES: usize = 33;

/// UDP services that answer strangers with more than they got, or that answer each other for ever.
///
/// <https://datatracker.ietf.org/doc/html/rfc9000#section-21.5> is about requests forged towards such.
const REFLECTORS: [u16; 16] = [
    0, 7, 17, 19, 53, 111, 123, 137, 161, 389, 500, 1900, 3702, 5353, 5355, 11211,
];

/// Whether a service that is known to reflect packets is usually found at this port.
pub(super) fn is_reflector(port: u16) -> bool {
    REFLECTORS.contains(&port)
}

/// Whether an address stands for one host: it is not unspecified, broadcast or multicast.
pub(super) fn is_host(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_multicast() || ip.is_unspecified() || is_broadcast)
}

/// Whether a packet may be answered at all: it comes from one host that is no reflector, to one host.
pub(super) fn may_answer(meta: &Meta) -> Result<(), DropReason> {
    let is_to_one = meta.to_ip.is_none_or(is_host);
    if is_host(meta.from.ip()) && is_to_one && !is_reflector(meta.from.port()) {
        return Ok(());
    }
    Err(DropReason::Unanswerable)
}

/// Answers of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    second: u64,
    answers: u32,
}

impl Count {
    /// Begins a new second; whether there was an answer to spare.
    fn has_room(&mut self, second: u64, limit: u32) -> bool {
        if self.second != second {
            *self = Count { second, answers: 0 };
        }
        self.answers < limit
    }

    fn take(&mut self) {
        self.answers = self.answers.saturating_add(1);
    }
}

/// Counts the answers: [`ANSWERS_PER_SECOND`] in all, [`ANSWERS_PER_NETWORK`] to one /24 or /56.
///
/// Networks share the slots of a fixed table, so that no number of them costs memory; which ones share
/// depends on a random key.
pub(super) struct AnswerLimit {
    key: Key,
    all: Count,
    /// Empty until the first answer: most endpoints never give one.
    networks: Vec<Count>,
}

impl AnswerLimit {
    pub(super) fn new(key: Key) -> Self {
        AnswerLimit {
            key,
            all: Count::default(),
            networks: Vec::new(),
        }
    }

    /// Counts an answer, or says why there must be none.
    pub(super) fn take(&mut self, now: Time, meta: &Meta) -> Result<(), DropReason> {
        may_answer(meta)?;
        if self.networks.is_empty() {
            self.networks = vec![Count::default(); ANSWER_SLOTS];
        }
        let second = whole_seconds(now);
        let slot = self.slot(meta.from.ip());
        let network = self.networks.get_mut(slot).ok_or(DropReason::RateLimited)?;
        if !self.all.has_room(second, ANSWERS_PER_SECOND)
            || !network.has_room(second, ANSWERS_PER_NETWORK)
        {
            return Err(DropReason::RateLimited);
        }
        self.all.take();
        network.take();
        Ok(())
    }

    /// The slot of an address's network.
    fn slot(&self, ip: IpAddr) -> usize {
        const SLOTS: u64 = 4_096;
        const _: () = assert!(ANSWER_SLOTS == 4_096);
        let mut network = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        match ip.to_canonical() {
            IpAddr::V4(_) => network[15..].fill(0),
            IpAddr::V6(_) => network[7..].fill(0),
        }
        let (hash, _) = keyed_hash(&self.key, &network);
        usize::try_from(hash % SLOTS).unwrap_or_default()
    }

    /// Bytes for which there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.networks.capacity() * size_of::<Count>()
    }
}

impl std::fmt::Debug for AnswerLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerLimit")
            .field("all", &self.all)
            .finish_non_exhaustive()
    }
}

/// An answer that says one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// "I have no such connection": repeats the packet's id and number.
    Unknown,
    /// A RST towards the peer's id: who refuses a SYN repeats its number, otherwise it is our next.
    Reset(ResetCode),
    /// The versions spoken here, in answer to a SYN of another one.
    Versions {
        /// The SYN's version.
        of: u8,
    },
}

impl Answer {
    /// Writes the answer into the room; its length.
    pub(super) fn write(self, room: &mut [u8], dcid: ConnectionId, pn: PacketNumber) -> usize {
        let kind = match self {
            Answer::Unknown => Kind::Unknown,
            Answer::Reset(_) => Kind::Rst,
            Answer::Versions { .. } => Kind::Versions,
        };
        let mut packet = PacketBuilder::new(room, kind, Some(dcid), pn);
        packet.reserved_bit(is_odd(dcid));
        match self {
            Answer::Unknown => {}
            Answer::Reset(code) => packet.aux(code.get()),
            Answer::Versions { of } => {
                packet.version(of);
                packet.payload(&[VERSION]);
            }
        }
        packet.finish()
    }
}

/// A bit that the peer drew at random.
pub(super) fn is_odd(cid: ConnectionId) -> bool {
    cid.get() & 1 == 1
}

#[cfg(test)]
mod tests;
