//! [`Heartbeats`]: many nodes that beat by themselves.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::guard::PauseGuard;
use super::node::{Evidence, Finding, Life, Node, Standing, Verdict};
use super::phi::{PhiAccrual, PhiConfig};
use crate::time::Time;

/// How often heartbeats are expected, and how silence is judged.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HeartbeatsConfig {
    /// The interval of the heartbeats. 1 ms to 65 s.
    pub interval: Duration,
    /// How silence is judged.
    pub phi: PhiConfig,
    /// A node whose application leaves data unread, and reads none, for so long is stalled.
    pub stall_after: Duration,
}

impl HeartbeatsConfig {
    /// Down after a little less than seven intervals of silence, stalled after fifty without a byte read.
    pub fn for_interval(interval: Duration) -> Self {
        HeartbeatsConfig {
            interval,
            phi: PhiConfig::for_interval(interval),
            stall_after: interval * 50,
        }
    }
}

impl Default for HeartbeatsConfig {
    /// A heartbeat each 100 ms.
    fn default() -> Self {
        HeartbeatsConfig::for_interval(Duration::from_millis(100))
    }
}

/// What became of a node.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum PeerEvent<N> {
    /// It is heard, for the first time or again.
    Up(N),
    /// It has been silent for longer than usual; how unusual that is (`phi`).
    Suspect(N, f64),
    /// It lives, but its application does nothing: its transport answers while it sends no heartbeats, or reads nothing.
    Stalled(N),
    /// It counts as dead. It may come back: then `Up` follows, or `Restarted`.
    Down(N, Verdict),
    /// It was started again: what it knew is gone, whether or not `Down` was said before. It is up.
    Restarted(N),
}

/// Watches nodes by the heartbeats that they send, and by what the transport hears of them.
///
/// ```
/// use aqueduct::detect::{Heartbeats, HeartbeatsConfig, PeerEvent, Verdict};
/// use aqueduct::time::Time;
/// use std::time::Duration;
///
/// let mut nodes = Heartbeats::new(HeartbeatsConfig::default());
/// nodes.watch("b");
/// let mut now = Time::from_millis(1);
/// for _ in 0..20 {
///     nodes.heard(now, &"b", 0xb0b);
///     while let Some(event) = nodes.poll(now) {
///         assert_eq!(event, PeerEvent::Up("b"));
///     }
///     now += Duration::from_millis(100);
/// }
/// // Now b is silent, and somebody looks each time that he is told to.
/// let mut events = Vec::new();
/// while events.len() < 2 {
///     now = nodes.next_check(now).expect("somebody is watched");
///     events.extend(nodes.poll(now));
/// }
/// assert!(matches!(events[..], [PeerEvent::Suspect("b", _), PeerEvent::Down("b", Verdict::PathDead)]));
/// ```
#[derive(Debug)]
pub struct Heartbeats<N> {
    config: HeartbeatsConfig,
    fresh: PhiAccrual,
    guard: PauseGuard,
    nodes: BTreeMap<N, Node>,
    /// At most two for each node: `Restarted`, and what followed.
    events: VecDeque<PeerEvent<N>>,
}

impl<N: Ord + Clone> Heartbeats<N> {
    /// Nobody is watched yet.
    pub fn new(config: HeartbeatsConfig) -> Self {
        Heartbeats {
            config,
            fresh: PhiAccrual::new(config.phi),
            guard: PauseGuard::new(config.interval),
            nodes: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    /// Watches a node from now on. Nothing is said of it before it was heard.
    pub fn watch(&mut self, node: N) {
        let fresh = &self.fresh;
        self.nodes
            .entry(node)
            .or_insert_with(|| Node::new(fresh.clone()));
    }

    /// Watches a node no longer.
    pub fn forget(&mut self, node: &N) {
        self.nodes.remove(node);
    }

    /// A heartbeat of a node came, with its incarnation. Whether it counts: those of unknown nodes and of lives that have
    /// ended do not.
    pub fn heard(&mut self, now: Time, node: &N, incarnation: u64) -> bool {
        let Some(state) = self.nodes.get_mut(node) else {
            return false;
        };
        match state.on_beat(now, incarnation, &self.fresh) {
            Life::Same => {}
            Life::Old => return false,
            Life::New => {
                state.standing = Standing::Up;
                self.events.retain(|event| event.node() != node);
                self.events.push_back(PeerEvent::Restarted(node.clone()));
            }
        }
        true
    }

    /// What the transport knows of a node, to be told whenever it may have changed.
    pub fn observe(&mut self, now: Time, node: &N, evidence: &Evidence) {
        if let Some(state) = self.nodes.get_mut(node) {
            state.on_evidence(now, evidence);
        }
    }

    /// What has changed; to be asked until it says `None`, at the latest when [`Heartbeats::next_check`] says.
    ///
    /// Whoever asks much later than that was held up himself, and nobody is suspected for the time.
    pub fn poll(&mut self, now: Time) -> Option<PeerEvent<N>> {
        if let Some(held_up) = self.guard.awake(now) {
            for node in self.nodes.values_mut() {
                node.forgive(now, held_up);
            }
        }
        if self.events.is_empty() {
            self.look(now);
        }
        self.events.pop_front()
    }

    fn look(&mut self, now: Time) {
        for (name, node) in &mut self.nodes {
            let name = || name.clone();
            let (standing, event) = match node.find(now, self.config.stall_after) {
                Finding::Unknown => continue,
                Finding::Up => (Standing::Up, PeerEvent::Up(name())),
                Finding::Suspect(level) => (Standing::Suspect, PeerEvent::Suspect(name(), level)),
                Finding::Stalled => (Standing::Stalled, PeerEvent::Stalled(name())),
                Finding::Down(verdict) => (Standing::Down, PeerEvent::Down(name(), verdict)),
            };
            if std::mem::replace(&mut node.standing, standing) != standing {
                self.events.push_back(event);
            }
        }
    }

    /// When to [`Heartbeats::poll`] again, at the latest: in an interval, so that being held up shows.
    pub fn next_check(&self, now: Time) -> Option<Time> {
        let checks = self
            .nodes
            .values()
            .filter_map(|node| node.next_check(now, self.config.stall_after));
        checks.chain(self.guard.due()).min()
    }

    /// How strong the suspicion against a node is (`phi`); `None` if it is not watched.
    pub fn level(&self, now: Time, node: &N) -> Option<f64> {
        self.nodes.get(node).map(|node| node.level(now))
    }

    /// The incarnation of a node, if it was heard.
    pub fn incarnation(&self, node: &N) -> Option<u64> {
        self.nodes.get(node)?.incarnation()
    }
}

impl<N> PeerEvent<N> {
    /// Whom it is about.
    pub fn node(&self) -> &N {
        match self {
            PeerEvent::Up(node)
            | PeerEvent::Suspect(node, _)
            | PeerEvent::Stalled(node)
            | PeerEvent::Down(node, _)
            | PeerEvent::Restarted(node) => node,
        }
    }
}
