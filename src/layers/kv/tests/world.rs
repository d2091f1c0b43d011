//! A cluster in virtual time, as far as leases are concerned: three nodes whose clocks run at different rates, who are paused, lose
//! the leadership without noticing and apply entries late; clients with clocks of their own, who are paused too, over a slow network.
//!
//! Consensus itself is taken as given: there is one log, and only who really leads appends to it, in the term of now.

use crate::layers::kv::fence::FencedStore;
use crate::layers::kv::tests::model::Random;
use crate::time::Time;

use super::*;

/// Milliseconds of a step, of a lease, of a run.
const STEP: u64 = 10;
const TTL: u64 = 2_000;
const RUN: u64 = 60_000;

/// Rules that can be left out, to see that the others do not hide it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    /// Revocations do not say in which term the deadline was kept.
    Terms,
    /// Renewals are confirmed without asking a majority.
    Confirmation,
    /// A holder believes in its lease for all of its time, from when it heard of the renewal.
    View,
    /// What is protected takes every token.
    Fence,
}

/// A clock that runs up to 4.5 % too fast or too slow.
struct Clock {
    rate: u64,
    offset: u64,
}

impl Clock {
    fn new(random: &mut Random) -> Self {
        let rate = 955 + u64::try_from(random.below(91)).expect("small");
        let offset = random.next() % 1_000_000;
        Clock { rate, offset }
    }

    fn at(&self, now: u64) -> Time {
        Time::from_micros(self.offset * 1_000 + now * self.rate)
    }
}

struct Node {
    clock: Clock,
    leases: LeaseClock,
    /// The node's own copy, which may be behind.
    state: StateMachine,
    applied: usize,
    paused_until: u64,
    /// Proposals, and when they get to the log: whatever happens in between, the node does not take them back.
    proposals: Vec<(u64, Cmd)>,
    /// The term it leads in, and when it notices that it does, or does not.
    notices: Vec<(u64, Option<u64>)>,
}

struct Holder {
    clock: Clock,
    paused_until: u64,
    lease: Option<(u64, LeaseView)>,
    token: Option<u64>,
    /// When it next does something.
    next: u64,
    renews_at: Time,
    contact: usize,
    seq: u64,
}

/// A renewal under way.
enum Message {
    Request {
        node: usize,
        holder: usize,
        lease: u64,
        sent_at: Time,
    },
    Confirmed {
        node: usize,
        holder: usize,
        lease: u64,
        sent_at: Time,
        renewal: Renewal,
    },
    Answer {
        holder: usize,
        lease: u64,
        sent_at: Time,
        is_renewed: bool,
    },
    /// What a holder writes to what the lock protects, on its way.
    Write { holder: usize, token: u64 },
}

pub(super) struct World {
    random: Random,
    broken: Broken,
    now: u64,
    term: u64,
    leader: Option<usize>,
    next_leader: u64,
    log: Vec<(Position, Request)>,
    truth: StateMachine,
    nodes: Vec<Node>,
    holders: Vec<Holder>,
    messages: Vec<(u64, Message)>,
    /// What the lock protects: who wrote, with which token.
    store: FencedStore<Vec<(usize, u64)>>,
    pub(super) ended: usize,
    pub(super) fenced: usize,
}

/// What two clients compete for.
fn lock(holder: usize, lease: u64) -> Mutex {
    Mutex::leadership("group", format!("candidate {holder}"), lease)
}

/// Takes out what is due.
fn due<T>(queue: &mut Vec<(u64, T)>, now: u64) -> Vec<T> {
    let (due, later) = std::mem::take(queue)
        .into_iter()
        .partition(|(when, _)| *when <= now);
    *queue = later;
    let due: Vec<(u64, T)> = due;
    due.into_iter().map(|(_, what)| what).collect()
}

impl World {
    pub(super) fn new(seed: u64, broken: Broken) -> Self {
        let mut random = Random::new(seed);
        let node = |random: &mut Random| Node {
            clock: Clock::new(random),
            leases: LeaseClock::new(),
            state: StateMachine::new(Limits::default()),
            applied: 0,
            paused_until: 0,
            proposals: vec![],
            notices: vec![],
        };
        let nodes = (0..3).map(|_| node(&mut random)).collect();
        let holder = |random: &mut Random| Holder {
            clock: Clock::new(random),
            paused_until: 0,
            lease: None,
            token: None,
            next: random.next() % 1_000,
            renews_at: Time::ZERO,
            contact: 0,
            seq: 0,
        };
        let holders = (0..3).map(|_| holder(&mut random)).collect();
        let mut world = World {
            random,
            broken,
            now: 0,
            term: 0,
            leader: None,
            next_leader: 0,
            log: vec![],
            truth: StateMachine::new(Limits::default()),
            nodes,
            holders,
            messages: vec![],
            store: FencedStore::new(vec![]),
            ended: 0,
            fenced: 0,
        };
        world.change_leader();
        for client in 1..=3 {
            world.commit(Request::without_session(Cmd::SessionOpen { client }));
        }
        world
    }

    /// Runs for a minute. What went wrong.
    pub(super) fn run(&mut self) -> Result<(), String> {
        while self.now < RUN {
            self.now += STEP;
            if self.now >= self.next_leader {
                self.change_leader();
            }
            for node in 0..self.nodes.len() {
                self.step_node(node);
            }
            self.deliver();
            for holder in 0..self.holders.len() {
                self.step_holder(holder);
                self.check(holder)?;
            }
        }
        let written = self.store.inner();
        let back = written.windows(2).find(|pair| pair[0].1 > pair[1].1);
        back.map_or(Ok(()), |pair| Err(format!("tokens went back: {pair:?}")))
    }

    fn ms(&mut self, end: u64) -> u64 {
        self.random.next() % end
    }

    fn is_one_in(&mut self, count: usize) -> bool {
        self.random.below(count) == 0
    }

    /// Now nobody leads; or somebody does, in a new term. Who led notices late.
    fn change_leader(&mut self) {
        let late = self.now + self.ms(3_000);
        if let Some(old) = self.leader.take() {
            self.nodes[old].notices.push((late, None));
            self.next_leader = self.now + self.ms(1_000);
            return;
        }
        self.term += 1;
        let leader = self.random.below(self.nodes.len());
        self.leader = Some(leader);
        let soon = self.now + self.ms(200);
        let term = self.term;
        // What it has not noticed of an earlier term is of no interest any more.
        self.nodes[leader].notices = vec![(soon, Some(term))];
        self.next_leader = self.now + 500 + self.ms(12_000);
    }

    fn commit(&mut self, request: Request) -> Answer {
        let index = u64::try_from(self.log.len()).expect("small") + 1;
        let at = Position {
            index,
            term: self.term,
        };
        let answer = self.truth.apply(at, &request).answer;
        self.log.push((at, request));
        answer
    }

    fn step_node(&mut self, at: usize) {
        if self.is_one_in(2_000) {
            self.nodes[at].paused_until = self.now + self.ms(6_000);
        }
        if self.now < self.nodes[at].paused_until {
            return;
        }
        if !self.is_one_in(4) {
            self.apply(at);
        }
        let now = self.now;
        let node = &mut self.nodes[at];
        let local = node.clock.at(now);
        for term in due(&mut node.notices, now) {
            match term {
                Some(term) => node.leases.lead(local, term, &node.state),
                None => node.leases.follow(),
            }
        }
        while let Some(cmd) = self.nodes[at].leases.poll_expired(local) {
            let when = now + self.ms(1_500);
            self.nodes[at].proposals.push((when, cmd));
        }
        self.propose(at);
    }

    fn apply(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let local = node.clock.at(self.now);
        for (position, request) in &self.log[node.applied..] {
            for change in node.state.apply(*position, request).changes {
                node.leases.on_change(local, &change);
            }
        }
        node.applied = self.log.len();
    }

    fn propose(&mut self, at: usize) {
        let now = self.now;
        for mut cmd in due(&mut self.nodes[at].proposals, now) {
            if let (Broken::Terms, Cmd::LeaseRevoke { term, .. }) = (self.broken, &mut cmd) {
                *term = None;
            }
            let expires_session = matches!(cmd, Cmd::SessionExpire { .. });
            if self.leader == Some(at) && !expires_session {
                let answer = self.commit(Request::without_session(cmd));
                self.ended += usize::from(answer == Answer::Revoked { ended: true });
            }
        }
    }

    fn send(&mut self, message: Message) {
        let when = self.now + self.ms(150);
        self.messages.push((when, message));
    }

    fn deliver(&mut self) {
        let now = self.now;
        let is_held_up = |message: &Message| match message {
            Message::Request { node, .. } | Message::Confirmed { node, .. } => {
                now < self.nodes[*node].paused_until
            }
            Message::Answer { holder, .. } => now < self.holders[*holder].paused_until,
            Message::Write { .. } => false,
        };
        let (due, later) = std::mem::take(&mut self.messages)
            .into_iter()
            .partition(|(when, message)| *when <= now && !is_held_up(message));
        self.messages = later;
        let due: Vec<(u64, Message)> = due;
        for (_, message) in due {
            self.handle(message);
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Request {
                node,
                holder,
                lease,
                sent_at,
            } => {
                let Ok(renewal) = self.nodes[node].leases.begin_renewal(Tenancy::Lease(lease))
                else {
                    return;
                };
                // A majority is asked at this moment, and its answer is under way for a while.
                let leads =
                    self.leader == Some(node) && self.nodes[node].leases.term() == Some(self.term);
                if leads || self.broken == Broken::Confirmation {
                    self.send(Message::Confirmed {
                        node,
                        holder,
                        lease,
                        sent_at,
                        renewal,
                    });
                }
            }
            Message::Confirmed {
                node,
                holder,
                lease,
                sent_at,
                renewal,
            } => {
                let node = &mut self.nodes[node];
                let local = node.clock.at(self.now);
                let is_renewed = node.leases.renew(local, renewal).is_ok();
                self.send(Message::Answer {
                    holder,
                    lease,
                    sent_at,
                    is_renewed,
                });
            }
            Message::Answer {
                holder,
                lease,
                sent_at,
                is_renewed,
            } => {
                let holder = &mut self.holders[holder];
                let local = holder.clock.at(self.now);
                let view = holder.lease.as_mut().filter(|(id, _)| *id == lease);
                match view {
                    Some((_, view)) if is_renewed => match self.broken {
                        Broken::View => {
                            *view = LeaseView::new(Duration::from_millis(TTL * 10 / 9), local)
                        }
                        _ => view.on_renewed(local, sent_at),
                    },
                    Some((_, view)) => view.on_lost(),
                    None => {}
                }
            }
            Message::Write { holder, token } => match self.broken {
                Broken::Fence => {
                    self.store = FencedStore::new(
                        [self.store.inner().as_slice(), &[(holder, token)]].concat(),
                    )
                }
                _ => match self.store.check(token) {
                    Ok(writes) => writes.push((holder, token)),
                    Err(_) => self.fenced += 1,
                },
            },
        }
    }

    fn step_holder(&mut self, at: usize) {
        if self.is_one_in(1_000) {
            self.holders[at].paused_until = self.now + self.ms(8_000);
        }
        if self.now < self.holders[at].paused_until.max(self.holders[at].next) {
            return;
        }
        self.holders[at].next = self.now + STEP * (1 + self.ms(20));
        let local = self.holders[at].clock.at(self.now);
        match self.holders[at].lease {
            None => self.begin(at, local),
            Some((lease, view)) => {
                self.renew(at, lease, view, local);
                match self.holders[at].token {
                    // What is on the way to a write takes any time: the check of the view does not protect it.
                    Some(token) => {
                        self.send(Message::Write { holder: at, token });
                    }
                    None => self.acquire(at, lease),
                }
                if !view.is_held(local) && self.is_one_in(3) {
                    let holder = &mut self.holders[at];
                    (holder.lease, holder.token) = (None, None);
                }
            }
        }
    }

    fn run_command(&mut self, at: usize, cmd: Cmd) -> Option<Answer> {
        self.leader?;
        self.holders[at].seq += 1;
        let seq = self.holders[at].seq;
        let client = u128::try_from(at).expect("small") + 1;
        Some(self.commit(Request {
            client,
            seq,
            ack_below: seq,
            cmd,
        }))
    }

    fn begin(&mut self, at: usize, local: Time) {
        if let Some(Answer::Granted { id }) = self.run_command(at, Cmd::LeaseGrant { ttl_ms: TTL })
        {
            let view = LeaseView::new(Duration::from_millis(TTL), local);
            self.holders[at].lease = Some((id, view));
            self.holders[at].renews_at = view.renew_at();
        }
    }

    fn acquire(&mut self, at: usize, lease: u64) {
        let mutex = lock(at, lease);
        let answer = self.run_command(at, mutex.acquire());
        if let Some(Acquired::Held { token }) = answer.and_then(|answer| mutex.on_answer(&answer)) {
            self.holders[at].token = Some(token);
        }
    }

    fn renew(&mut self, at: usize, lease: u64, view: LeaseView, local: Time) {
        if local < self.holders[at].renews_at {
            return;
        }
        self.holders[at].renews_at = local + Duration::from_millis(TTL / 8);
        // It goes on with whoever answered last: it cannot know better.
        if local >= view.renew_at() {
            self.holders[at].contact = self.random.below(self.nodes.len());
        }
        self.send(Message::Request {
            node: self.holders[at].contact,
            holder: at,
            lease,
            sent_at: local,
        });
    }

    /// Whoever believes in its lease has it, and with it what is bound to it.
    fn check(&self, at: usize) -> Result<(), String> {
        let holder = &self.holders[at];
        let local = holder.clock.at(self.now);
        let Some((lease, _)) = holder.lease.filter(|(_, view)| view.is_held(local)) else {
            return Ok(());
        };
        if self.truth.lease_ttl_ms(lease).is_none() {
            return Err(format!("{} ms: lease {lease} ended early", self.now));
        }
        let leads = self
            .truth
            .record(lock(at, lease).key())
            .map(|record| record.create_rev);
        match holder.token {
            Some(token) if leads != Some(token) => Err(format!(
                "{} ms: token {token} is not that of {leads:?}",
                self.now
            )),
            _ => Ok(()),
        }
    }

    /// Every token that the store has taken is of one candidate.
    pub(super) fn owners(
        &self,
    ) -> std::collections::BTreeMap<u64, std::collections::BTreeSet<usize>> {
        let mut owners = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
        for (holder, token) in self.store.inner() {
            owners.entry(*token).or_default().insert(*holder);
        }
        owners
    }
}
