//! Who left: TIME_WAIT entries that still answer, and spent ids that must not come alive again.
//!
//! Neither holds a port or stands in the way of a new connection (a new one has a new id). Entries run
//! out by the second: one look a second is enough, however many connections close.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::table::{Keyed, shrink};
use super::{after, since, whole_seconds};
use crate::connection::LastAck;
use crate::limits::{SPENT_LIFE, TIME_WAIT_ANSWER_GAP, TIME_WAIT_MAX};
use crate::time::Time;
use crate::wire::{AckFields, ConnectionId, Kind, Offset, PacketBuilder, PacketNumber, Window};

/// Bytes of the acknowledgement that an entry sends.
pub(super) const ACK_BYTES: usize = 60;

/// Whole seconds of the clock.
type Second = u32;

/// A connection that this side closed first (RFC 9293 s3.6.1). With its id, its key, 64 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    peer_cid: ConnectionId,
    ack_offset: Offset,
    ack_number: u64,
    /// Without the port: a peer whose NAT gave it a new one is still answered.
    ip: Ipv6Addr,
    largest: u32,
    next_number: u32,
    /// Gone from this second on.
    expires: Second,
    /// Three probe timeouts, seconds: younger entries are the last to go when the table is full.
    settle: u16,
    /// Low bits of the millisecond of the last answer.
    answered: u16,
}

/// What a packet for an entry is, as far as the entry cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Late {
    /// Where it came from.
    pub(super) from: IpAddr,
    /// The length of its datagram.
    pub(super) len: usize,
    /// Whether it is a FIN.
    pub(super) fin: bool,
}

/// What becomes of a packet for an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is answered with [`TimeWait::write_ack`].
    Answer,
    /// It was answered a moment ago, or comes from elsewhere and is shorter than the answer.
    Ignore,
}

/// The TIME_WAIT table.
#[derive(Debug)]
pub(super) struct TimeWait {
    life: Duration,
    entries: HashMap<ConnectionId, Entry, Keyed>,
    /// Ids by the second in which to look at them. An entry that a FIN restarted moves when that comes.
    due: BTreeMap<Second, Vec<ConnectionId>>,
    max: usize,
}

impl TimeWait {
    pub(super) fn new(hash: &Keyed, life: Duration) -> Self {
        TimeWait {
            life,
            entries: HashMap::with_hasher(hash.clone()),
            due: BTreeMap::new(),
            max: TIME_WAIT_MAX,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is an entry that has not run out.
    pub(super) fn contains(&self, now: Time, cid: ConnectionId) -> bool {
        let entry = self.entries.get(&cid);
        entry.is_some_and(|entry| second(now) < entry.expires)
    }

    /// Whether there is an entry, run out or not.
    pub(super) fn holds(&self, cid: ConnectionId) -> bool {
        self.entries.contains_key(&cid)
    }

    /// Remembers a connection; when the table is full, at the cost of an old one.
    pub(super) fn insert(&mut self, now: Time, cid: ConnectionId, last: &LastAck) {
        while self.entries.len() >= self.max && self.evict(now) {}
        let life = self.life.max(last.three_pto);
        let entry = Entry {
            peer_cid: last.peer_cid,
            ack_offset: last.ack_offset,
            ack_number: last.ack_number,
            ip: mapped(last.remote.ip()),
            largest: last.largest.truncate().get(),
            next_number: last.next_number.truncate().get(),
            expires: second_after(now, life),
            settle: u16::try_from(seconds_up(last.three_pto)).unwrap_or(u16::MAX),
            answered: millis(now).wrapping_sub(TIME_WAIT_ANSWER_GAP),
        };
        self.entries.insert(cid, entry);
        self.due.entry(entry.expires).or_default().push(cid);
    }

    /// A numbered packet came for the id of an entry.
    pub(super) fn on_late(&mut self, now: Time, cid: ConnectionId, late: Late) -> Verdict {
        let Some(entry) = self.entries.get_mut(&cid) else {
            return Verdict::Ignore;
        };
        if late.fin {
            let life = self.life.max(Duration::from_secs(u64::from(entry.settle)));
            entry.expires = second_after(now, life);
        }
        let is_home = mapped(late.from) == entry.ip;
        let is_soon = millis(now).wrapping_sub(entry.answered) < TIME_WAIT_ANSWER_GAP;
        if is_soon || !(is_home || late.len >= ACK_BYTES) {
            return Verdict::Ignore;
        }
        entry.answered = millis(now);
        Verdict::Answer
    }

    /// Writes the entry's acknowledgement; its length, `None` if there is no entry.
    pub(super) fn write_ack(&mut self, cid: ConnectionId, room: &mut [u8]) -> Option<usize> {
        let entry = self.entries.get_mut(&cid)?;
        let largest = PacketNumber::new(u64::from(entry.largest));
        let next = PacketNumber::new(u64::from(entry.next_number));
        let fields = AckFields {
            delay: Duration::ZERO,
            dropped: false,
            ack_offset: entry.ack_offset,
            window: Window::new(0),
            unread: 0,
            ecn: None,
        };
        let mut packet = PacketBuilder::new(room, Kind::Ack, Some(entry.peer_cid), next);
        packet.offset(entry.ack_number);
        packet.ack(&fields, std::iter::once(largest..=largest), 0);
        entry.ack_number = entry.ack_number.saturating_add(1);
        Some(packet.finish())
    }

    /// When entries run out.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.keys().next().copied().map(start_of)
    }

    /// Lets entries run out.
    pub(super) fn expire(&mut self, now: Time) {
        let now = second(now);
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= now) {
            for cid in first.remove() {
                let Some(entry) = self.entries.get(&cid) else {
                    continue;
                };
                if entry.expires > now {
                    self.due.entry(entry.expires).or_default().push(cid);
                } else {
                    self.entries.remove(&cid);
                }
            }
        }
        shrink(&mut self.entries);
    }

    /// Takes out the oldest entry that is older than three probe timeouts, or the oldest of all if there
    /// is none among the few that are looked at; false if there was nothing to take.
    fn evict(&mut self, now: Time) -> bool {
        const LOOKED_AT: usize = 16;
        let now = second(now);
        let Some(mut first) = self.due.first_entry() else {
            return false;
        };
        let bucket = first.get_mut();
        let life = self.life;
        let is_settled = |cid: &ConnectionId| {
            self.entries.get(cid).is_none_or(|entry| {
                let life = seconds_up(life).max(u32::from(entry.settle));
                let born = entry.expires.saturating_sub(life);
                now >= born.saturating_add(u32::from(entry.settle))
            })
        };
        let at = bucket.iter().take(LOOKED_AT).position(is_settled);
        let victim = match at.unwrap_or_default() {
            at if at < bucket.len() => Some(bucket.swap_remove(at)),
            _ => None,
        };
        if bucket.is_empty() {
            first.remove();
        }
        if let Some(victim) = victim {
            self.entries.remove(&victim);
        }
        true
    }

    /// Entries for which there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity() + self.due.values().map(Vec::capacity).sum::<usize>()
    }
}

/// The ids of connections that closed lately and that a cookie could open again.
#[derive(Debug)]
pub(super) struct Spent {
    ids: HashMap<ConnectionId, (), Keyed>,
    /// By time of closing, which only grows.
    closed: VecDeque<(Time, ConnectionId)>,
}

impl Spent {
    pub(super) fn new(hash: &Keyed) -> Self {
        Spent {
            ids: HashMap::with_hasher(hash.clone()),
            closed: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.closed.len()
    }

    pub(super) fn contains(&self, cid: ConnectionId) -> bool {
        self.ids.contains_key(&cid)
    }

    /// Remembers an id. The caller sees to it that there are never too many.
    pub(super) fn insert(&mut self, now: Time, cid: ConnectionId) {
        if self.ids.insert(cid, ()).is_none() {
            self.closed.push_back((now, cid));
        }
    }

    /// When to look again: in the second after the oldest ran out.
    pub(super) fn deadline(&self) -> Option<Time> {
        let (closed, _) = self.closed.front()?;
        Some(start_of(second_after(*closed, SPENT_LIFE)))
    }

    /// Lets ids run out.
    pub(super) fn expire(&mut self, now: Time) {
        while let Some((closed, cid)) = self.closed.front() {
            if since(now, *closed) < SPENT_LIFE {
                break;
            }
            self.ids.remove(cid);
            self.closed.pop_front();
        }
        shrink(&mut self.ids);
        if self.closed.len() < self.closed.capacity() / 8 {
            self.closed.shrink_to(self.closed.len().saturating_mul(2));
        }
    }

    /// Entries for which there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.ids.capacity() + self.closed.capacity()
    }
}

/// The second that `now` lies in.
fn second(now: Time) -> Second {
    Second::try_from(whole_seconds(now)).unwrap_or(Second::MAX)
}

/// The first second that lies wholly at or after `now` + `life`.
fn second_after(now: Time, life: Duration) -> Second {
    seconds_up(since(after(now, life), Time::ZERO))
}

/// The duration in seconds, rounded up.
fn seconds_up(duration: Duration) -> Second {
    let up = u64::from(duration.subsec_nanos() > 0);
    Second::try_from(duration.as_secs().saturating_add(up)).unwrap_or(Second::MAX)
}

/// The beginning of a second.
fn start_of(second: Second) -> Time {
    after(Time::ZERO, Duration::from_secs(u64::from(second)))
}

/// Low bits of the millisecond that `now` lies in.
fn millis(now: Time) -> u16 {
    u16::try_from(now.as_micros() / 1_000 % 0x1_0000).unwrap_or_default()
}

/// The address as IPv6, the shape that needs no tag.
fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests;
