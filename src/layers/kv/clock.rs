//! [`LeaseClock`]: when leases and sessions have run out, as the leader sees it.
//!
//! Deadlines are in no log and in no snapshot, but in the memory of whoever leads. A new leader does not know when the old one last
//! heard of a lease, so it gives each its full time again: a lease may end late, never early.
//!
//! ```text
//!   leader of term 4   |---- lease 7: 10 s ------x  (dies after 8 s)
//!   leader of term 5                               |---- lease 7: 10 s ----|> LeaseRevoke { id: 7, term: 5 }
//! ```
//!
//! Three rules keep a leader from ending what is not its own any more. A revocation carries the term in which the deadline was
//! kept, and is void in the log of another term. A renewal counts only after a majority has confirmed that this node still leads
//! ([`begin_renewal`](LeaseClock::begin_renewal), then [`renew`](LeaseClock::renew)): a client that hears of a renewal must be able to rely on it.
//! And what has run out is not renewed, since its revocation may be under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::answer::Change;
use super::command::Cmd;
use super::state::StateMachine;
use crate::time::Time;

/// How long a session lives of which nothing is heard.
pub const SESSION_TTL: Duration = Duration::from_secs(60);
/// When to propose an end again that has not come about: far longer than a commit takes, far shorter than anyone would miss.
const PROPOSE_AGAIN: Duration = Duration::from_secs(1);

/// What runs out if nothing is heard of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tenancy {
    /// The lease of this number.
    Lease(u64),
    /// The session of this client.
    Session(u128),
}

/// A renewal that is not yet one: somebody must still confirm that this node leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renewal {
    tenancy: Tenancy,
    term: u64,
}

/// It cannot be renewed here: it is gone, or about to go, or this node does not lead (any more).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not held, or not by this leader")]
pub struct NotHeld;

#[derive(Clone, Copy, Debug)]
struct Entry {
    ttl: Duration,
    /// When it runs out; then, when to propose its end again.
    at: Time,
    is_over: bool,
}

/// The deadlines that a leader keeps.
///
/// ```
/// use aqueduct::kv::{Cmd, Limits, LeaseClock, Position, Request, StateMachine, Tenancy};
/// use aqueduct::time::Time;
///
/// let mut state = StateMachine::new(Limits::default());
/// state.apply(Position { index: 1, term: 5 }, &Request::without_session(Cmd::SessionOpen { client: 7 }));
/// let grant = Request { client: 7, seq: 1, ack_below: 1, cmd: Cmd::LeaseGrant { ttl_ms: 1_000 } };
/// state.apply(Position { index: 2, term: 5 }, &grant);
///
/// let mut clock = LeaseClock::new();
/// clock.lead(Time::from_millis(0), 5, &state);
/// let renewal = clock.begin_renewal(Tenancy::Lease(2))?;
/// // ... a majority confirms that this node leads ...
/// clock.renew(Time::from_millis(600), renewal)?;
/// assert_eq!(clock.poll_expired(Time::from_millis(1_500)), None);
/// assert_eq!(clock.poll_expired(Time::from_millis(1_600)), Some(Cmd::LeaseRevoke { id: 2, term: Some(5) }));
/// assert!(clock.begin_renewal(Tenancy::Lease(2)).is_err());
/// # Ok::<(), aqueduct::kv::NotHeld>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LeaseClock {
    term: Option<u64>,
    entries: BTreeMap<Tenancy, Entry>,
    due: BTreeSet<(Time, Tenancy)>,
}

impl LeaseClock {
    /// The clock of a node that does not lead.
    pub fn new() -> Self {
        LeaseClock::default()
    }

    /// This node leads since now, in this term: all that there is has its full time. What entries of the log still bring that are
    /// not applied yet, [`on_change`](Self::on_change) tells.
    pub fn lead(&mut self, now: Time, term: u64, state: &StateMachine) {
        self.follow();
        self.term = Some(term);
        for (id, ttl_ms) in state.leases() {
            self.start(now, Tenancy::Lease(id), Duration::from_millis(ttl_ms));
        }
        for client in state.sessions() {
            self.start(now, Tenancy::Session(client), SESSION_TTL);
        }
    }

    /// This node does not lead (any more): it knows no deadline.
    pub fn follow(&mut self) {
        *self = LeaseClock::default();
    }

    /// The term that this node leads in.
    pub fn term(&self) -> Option<u64> {
        self.term
    }

    /// An entry of the log was applied, with this effect.
    pub fn on_change(&mut self, now: Time, change: &Change) {
        if self.term.is_none() {
            return;
        }
        match *change {
            Change::Lease { id, ttl_ms } => match ttl_ms {
                Some(ttl_ms) => self.start(now, Tenancy::Lease(id), Duration::from_millis(ttl_ms)),
                None => self.stop(Tenancy::Lease(id)),
            },
            Change::Session { client, ack_below } => match ack_below {
                Some(_) => self.start(now, Tenancy::Session(client), SESSION_TTL),
                None => self.stop(Tenancy::Session(client)),
            },
            // Who is answered is there.
            Change::Result { client, .. } => {
                self.start(now, Tenancy::Session(client), SESSION_TTL);
            }
            Change::Record { .. } => {}
        }
    }

    /// Somebody wants to renew: to be confirmed by [`renew`](Self::renew), once a majority has said, *after this call*, that this
    /// node leads.
    ///
    /// # Errors
    ///
    /// It cannot be renewed here.
    pub fn begin_renewal(&self, tenancy: Tenancy) -> Result<Renewal, NotHeld> {
        let term = self.term.ok_or(NotHeld)?;
        let entry = self.entries.get(&tenancy).ok_or(NotHeld)?;
        let renewal = Renewal { tenancy, term };
        (!entry.is_over).then_some(renewal).ok_or(NotHeld)
    }

    /// A majority has confirmed that this node leads: the full time from now on, which is returned.
    ///
    /// # Errors
    ///
    /// It has run out meanwhile, or this node leads in another term.
    pub fn renew(&mut self, now: Time, renewal: Renewal) -> Result<Duration, NotHeld> {
        if self.begin_renewal(renewal.tenancy)? != renewal {
            return Err(NotHeld);
        }
        let entry = self.entries.get(&renewal.tenancy).ok_or(NotHeld)?;
        let ttl = entry.ttl;
        self.start(now, renewal.tenancy, ttl);
        Ok(ttl)
    }

    /// The end of something that has run out, to be proposed; `None` if there is nothing (more) at this time. What does not come
    /// about is proposed again after a second.
    pub fn poll_expired(&mut self, now: Time) -> Option<Cmd> {
        let term = self.term?;
        let (at, tenancy) = self.due.first().copied()?;
        if at > now {
            return None;
        }
        let entry = self.entries.get_mut(&tenancy)?;
        entry.is_over = true;
        self.due.remove(&(at, tenancy));
        entry.at = now + PROPOSE_AGAIN;
        self.due.insert((entry.at, tenancy));
        Some(match tenancy {
            Tenancy::Lease(id) => Cmd::LeaseRevoke {
                id,
                term: Some(term),
            },
            Tenancy::Session(client) => Cmd::SessionExpire { client, term },
        })
    }

    /// When [`poll_expired`](Self::poll_expired) has something next.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    fn start(&mut self, now: Time, tenancy: Tenancy, ttl: Duration) {
        let entry = Entry {
            ttl,
            at: now + ttl,
            is_over: false,
        };
        self.stop(tenancy);
        self.entries.insert(tenancy, entry);
        self.due.insert((entry.at, tenancy));
    }

    fn stop(&mut self, tenancy: Tenancy) {
        if let Some(entry) = self.entries.remove(&tenancy) {
            self.due.remove(&(entry.at, tenancy));
        }
    }
}
