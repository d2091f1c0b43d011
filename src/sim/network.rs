//! What lies between the hosts: addresses, links, filters, and the queue of everything that will happen.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;
use crate::wire::Transmit;

use super::bottleneck::{Admission, BottleneckState};
use super::fault::{Fate, Passing};
use super::link::{Leaving, LinkState, Parcel};
use super::queue::Queue;
use super::trace::Step;
use super::{HostId, Link, Sim, Trace};

/// Something that will happen.
pub(super) enum Happening {
    /// A datagram arrives.
    Arrival { link: usize, parcel: Parcel },
    /// A delayed datagram enters its link.
    Departure { link: usize, parcel: Parcel },
    /// A datagram has passed its link's own queue, and comes to the bottleneck behind it.
    Joins { link: usize, parcel: Parcel },
    /// The last bit of a datagram leaves a bottleneck.
    Served { bottleneck: usize },
    /// A datagram that waits for others on this link waits no longer.
    Release { link: usize, id: u64 },
    /// ICMP: the port that this datagram was sent to is closed.
    PortUnreachable { host: HostId, parcel: Parcel },
    /// A connection's deadline.
    ConnectionTimer { connection: usize },
    /// An endpoint's deadline.
    EndpointTimer { host: HostId },
    /// An application wanted to be woken.
    Application { connection: usize },
    /// A paused host goes on, or a full socket takes datagrams again.
    Resume { host: HostId },
    /// A step of the test.
    Action(Box<dyn FnOnce(&mut Sim)>),
}

impl fmt::Debug for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Happening::Arrival { .. } => "arrival",
            Happening::Departure { .. } => "departure",
            Happening::Joins { .. } => "joins",
            Happening::Served { .. } => "served",
            Happening::Release { .. } => "release",
            Happening::PortUnreachable { .. } => "port unreachable",
            Happening::ConnectionTimer { .. } => "connection timer",
            Happening::EndpointTimer { .. } => "endpoint timer",
            Happening::Application { .. } => "application",
            Happening::Resume { .. } => "resume",
            Happening::Action(_) => "action",
        })
    }
}

/// A closure that decides over each datagram from one host to another.
struct Filter {
    link: usize,
    seen: u64,
    decide: Box<dyn FnMut(&Passing<'_>) -> Fate>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter of link {} ({} seen)", self.link, self.seen)
    }
}

/// Links, addresses and the queue.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) seed: u64,
    pub(super) queue: Queue<Happening>,
    pub(super) trace: Trace,
    pub(super) links: Vec<LinkState>,
    pub(super) bottlenecks: Vec<BottleneckState>,
    ends: Vec<(HostId, HostId)>,
    routes: BTreeMap<(HostId, HostId), usize>,
    addresses: BTreeMap<SocketAddr, HostId>,
    filters: Vec<Filter>,
    leaving: Vec<Leaving>,
    spare: Vec<Vec<u8>>,
}

/// Buffers that wait to be used again; more datagrams than this are seldom on their way.
const SPARE_MAX: usize = 4_096;

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Network {
            seed,
            queue: Queue::new(),
            trace: Trace::new(),
            links: Vec::new(),
            bottlenecks: Vec::new(),
            ends: Vec::new(),
            routes: BTreeMap::new(),
            addresses: BTreeMap::new(),
            filters: Vec::new(),
            leaving: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Puts a link between two hosts, in this direction; one that was there is gone, its datagrams arrive.
    pub(super) fn set_link(&mut self, from: HostId, to: HostId, link: Link) {
        if let Some(&index) = self.routes.get(&(from, to)) {
            self.links[index].set(link);
            return;
        }
        let name = format!("link {}-{}", from.0, to.0);
        self.links.push(LinkState::new(link, self.seed, &name));
        self.ends.push((from, to));
        self.routes.insert((from, to), self.links.len() - 1);
    }

    pub(super) fn route(&self, from: HostId, to: HostId) -> Option<usize> {
        self.routes.get(&(from, to)).copied()
    }

    /// The shortest round trip that there ever was between two hosts, queues aside.
    pub(super) fn round_trip_min(&self, a: HostId, b: HostId) -> Duration {
        let way = |from, to| {
            self.route(from, to)
                .map_or(Duration::ZERO, |link| self.links[link].delay_min)
        };
        way(a, b) + way(b, a)
    }

    pub(super) fn bind(&mut self, address: SocketAddr, host: HostId) {
        self.addresses.insert(address, host);
    }

    pub(super) fn unbind(&mut self, address: SocketAddr) {
        self.addresses.remove(&address);
    }

    pub(super) fn host_at(&self, address: SocketAddr) -> Option<HostId> {
        self.addresses.get(&address).copied()
    }

    pub(super) fn filter(&mut self, link: usize, decide: Box<dyn FnMut(&Passing<'_>) -> Fate>) {
        self.filters.push(Filter {
            link,
            seen: 0,
            decide,
        });
    }

    pub(super) fn unfilter(&mut self, link: usize) {
        self.filters.retain(|filter| filter.link != link);
    }

    /// The two hosts of a link.
    pub(super) fn ends(&self, link: usize) -> (HostId, HostId) {
        self.ends[link]
    }

    /// A host sends a datagram; where no link leads, it is lost.
    pub(super) fn send(
        &mut self,
        now: Time,
        sender: HostId,
        from: SocketAddr,
        transmit: &Transmit,
        bytes: &[u8],
    ) {
        let Transmit { to, ecn, .. } = *transmit;
        let Some(receiver) = self.host_at(to) else {
            return;
        };
        let Some(link) = self.route(sender, receiver) else {
            return;
        };
        self.trace.record(now, Step::Sent, sender, receiver, bytes);
        let bytes = self.copy(bytes);
        let parcel = Parcel {
            from,
            to,
            bytes,
            ecn,
        };
        self.pass_filters(now, link, parcel);
    }

    fn copy(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(bytes);
        copy
    }

    /// Takes a buffer back.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(bytes);
        }
    }

    fn pass_filters(&mut self, now: Time, link: usize, mut parcel: Parcel) {
        let mut copies = 0;
        let mut delay = Duration::ZERO;
        let mut extra = Vec::new();
        let (sender, receiver) = self.ends[link];
        for filter in self.filters.iter_mut().filter(|filter| filter.link == link) {
            let Parcel {
                from,
                to,
                ref bytes,
                ecn,
            } = parcel;
            let index = filter.seen;
            filter.seen += 1;
            match (filter.decide)(&Passing {
                now,
                sender,
                receiver,
                from,
                to,
                index,
                ecn,
                bytes,
            }) {
                Fate::Pass => {}
                Fate::Drop => {
                    self.links[link].stats.filtered += 1;
                    return;
                }
                Fate::Copies(more) => copies += more,
                Fate::Delay(time) => delay += time,
                Fate::Replace(bytes) => parcel.bytes = bytes,
                Fate::Remark(ecn) => parcel.ecn = ecn,
                Fate::Inject(more) => extra.extend(more),
            }
        }
        let Parcel { from, to, ecn, .. } = parcel;
        for _ in 0..copies {
            self.depart(now, link, delay, parcel.clone());
        }
        self.depart(now, link, delay, parcel);
        for bytes in extra {
            let parcel = Parcel {
                from,
                to,
                bytes,
                ecn,
            };
            self.depart(now, link, delay, parcel);
        }
    }

    fn depart(&mut self, now: Time, link: usize, delay: Duration, parcel: Parcel) {
        if delay.is_zero() {
            self.enter(now, link, parcel);
        } else {
            self.queue
                .push(now + delay, Happening::Departure { link, parcel });
        }
    }

    /// A datagram enters a link, behind its filters.
    pub(super) fn enter(&mut self, now: Time, link: usize, parcel: Parcel) {
        let mut leaving = std::mem::take(&mut self.leaving);
        self.links[link].enter(now, parcel, &mut leaving);
        self.schedule(now, link, &mut leaving);
        self.leaving = leaving;
    }

    /// A datagram that was held leaves.
    pub(super) fn release(&mut self, now: Time, link: usize, id: u64) {
        let mut leaving = std::mem::take(&mut self.leaving);
        self.links[link].release(now, id, &mut leaving);
        self.schedule(now, link, &mut leaving);
        self.leaving = leaving;
    }

    /// A datagram comes to the bottleneck of its link.
    pub(super) fn join(&mut self, now: Time, link: usize, parcel: Parcel) {
        let Some(id) = self.links[link].link.bottleneck else {
            return self.travel(now, link, parcel);
        };
        let stats = &mut self.links[link].stats;
        match self.bottlenecks[id.0].enter(now, link, parcel) {
            Admission::Passes(parcel) => self.travel(now, link, parcel),
            Admission::Waits => {}
            Admission::Begins(at) => self.serve_at(id.0, at),
            Admission::Overflows(parcel) => {
                stats.overflowed += 1;
                self.recycle(parcel.bytes);
            }
            Admission::Policed(parcel) => {
                stats.policed += 1;
                self.recycle(parcel.bytes);
            }
        }
    }

    /// The bottleneck is to be asked at this time.
    pub(super) fn serve_at(&mut self, bottleneck: usize, at: Time) {
        self.queue.push(at, Happening::Served { bottleneck });
    }

    /// The last bit of a datagram leaves a bottleneck, if its time was not changed.
    pub(super) fn serve(&mut self, now: Time, bottleneck: usize) {
        let Some((served, next)) = self.bottlenecks[bottleneck].serve(now) else {
            return;
        };
        if let Some(at) = next {
            self.serve_at(bottleneck, at);
        }
        self.travel(served.leaves_at, served.link, served.parcel);
    }

    /// A datagram goes its link's way from `sent_at` on.
    fn travel(&mut self, sent_at: Time, link: usize, parcel: Parcel) {
        let mut leaving = std::mem::take(&mut self.leaving);
        self.links[link].travel(sent_at, parcel, &mut leaving);
        self.schedule(sent_at, link, &mut leaving);
        self.leaving = leaving;
    }

    fn schedule(&mut self, now: Time, link: usize, leaving: &mut Vec<Leaving>) {
        for leaving in leaving.drain(..) {
            match leaving {
                Leaving::At(at, parcel) => self.queue.push(at, Happening::Arrival { link, parcel }),
                Leaving::Bottleneck(at, parcel) if at <= now => self.join(now, link, parcel),
                Leaving::Bottleneck(at, parcel) => {
                    self.queue.push(at, Happening::Joins { link, parcel });
                }
                Leaving::Held(at, id) => self.queue.push(at, Happening::Release { link, id }),
            }
        }
    }
}
