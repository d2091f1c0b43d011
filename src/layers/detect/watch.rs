//! [`Watch`]: heartbeats over streams, a look at a time. What a monitor does each time that it wakes, be it a thread or a task.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::beat::{BEAT_BYTES, Beat};
use super::heartbeats::{Heartbeats, HeartbeatsConfig, PeerEvent};
use super::node::Evidence;
use crate::Stream;
use crate::error::CloseReason;
use crate::time::Time;

/// Looks in each interval: what arrives in between is known a quarter of an interval later at most.
const LOOKS: u32 = 4;
/// Datagrams taken from one stream in one look, so that a flood on one does not keep the others waiting.
const DATAGRAMS_MAX: usize = 64;

/// Who is watched, and over which stream.
#[derive(Debug)]
pub(super) struct Watch<N> {
    heartbeats: Heartbeats<N>,
    links: BTreeMap<N, Link>,
    interval: Duration,
    incarnation: u64,
    next_beat: Time,
}

/// A stream to a node, and how many heartbeats left on it.
#[derive(Debug)]
pub(super) struct Link {
    stream: Stream,
    beats: u64,
    /// Its end was told.
    has_ended: bool,
}

impl<N: Ord + Clone> Watch<N> {
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn new(config: HeartbeatsConfig) -> io::Result<Self> {
        let mut incarnation = [0; 8];
        getrandom::fill(&mut incarnation).map_err(io::Error::other)?;
        Ok(Watch {
            heartbeats: Heartbeats::new(config),
            links: BTreeMap::new(),
            interval: config.interval.max(Duration::from_millis(1)),
            incarnation: u64::from_ne_bytes(incarnation),
            next_beat: Time::ZERO,
        })
    }

    pub(super) fn attach(&mut self, node: N, link: Link) {
        self.heartbeats.watch(node.clone());
        self.links.insert(node, link);
    }

    pub(super) fn detach(&mut self, node: &N) -> Option<Link> {
        self.heartbeats.forget(node);
        self.links.remove(node)
    }

    pub(super) fn level(&self, now: Time, node: &N) -> Option<f64> {
        self.heartbeats.level(now, node)
    }

    /// How long to wait before the next look.
    pub(super) fn pause(&self) -> Duration {
        self.interval / LOOKS
    }

    /// Takes what has come, sends what is due, and finds out what has changed.
    pub(super) fn look(&mut self, now: Time) -> Vec<PeerEvent<N>> {
        let is_beat = now >= self.next_beat;
        if is_beat {
            self.next_beat = now + self.interval;
        }
        for (node, link) in self.links.iter_mut().filter(|(_, link)| !link.has_ended) {
            link.receive(now, node, &mut self.heartbeats);
            if is_beat {
                link.beat(self.interval, self.incarnation);
            }
        }
        std::iter::from_fn(|| self.heartbeats.poll(now)).collect()
    }
}

impl Link {
    /// # Errors
    /// `Unsupported` if the peer takes no datagrams.
    pub(super) fn new(stream: &Stream) -> io::Result<Self> {
        let room = stream.datagram_len_max();
        if room.is_none_or(|room| room < BEAT_BYTES) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Link {
            stream: stream.try_clone()?,
            beats: 0,
            has_ended: false,
        })
    }

    fn receive<N: Ord + Clone>(&mut self, now: Time, node: &N, heartbeats: &mut Heartbeats<N>) {
        let mut bytes = [0; BEAT_BYTES];
        for _ in 0..DATAGRAMS_MAX {
            match self.stream.try_recv_datagram(&mut bytes) {
                Ok(len) => {
                    if let Some(beat) = Beat::decode(&bytes[..len]) {
                        heartbeats.heard(now, node, beat.incarnation);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.has_ended = true;
                    break;
                }
            }
        }
        // A stream that was closed in order has not failed, and says no more either.
        let ended = self.has_ended.then_some(CloseReason::Ended);
        let failure = self.stream.failure().or(ended);
        heartbeats.observe(now, node, &Evidence::of(&self.stream.info(), failure));
    }

    fn beat(&mut self, interval: Duration, incarnation: u64) {
        self.beats += 1;
        let number = self.beats;
        let beat = Beat {
            interval,
            incarnation,
            number,
        };
        // Of a heartbeat that cannot leave the peer hears nothing, which is what it is to know.
        let _ = self.stream.send_datagram(&beat.encode());
    }
}
