//! One connection to a peer, for one class of calls: opened when it is wanted, and again when it has failed.
//!
//! It is opened by a task of its own. Who wants it waits only as long as his call may take; the handshake goes on, and the next call
//! finds it done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::verdict::{Failure, Track, Verdict};
use super::{PAUSE_MAX, PAUSE_MIN};
use crate::layers::msg::tokio::RpcClient;
use crate::layers::msg::{Backoff, ClientConfig, Health, Hello};
use crate::layers::task_clock::TaskClock;
use crate::time::Time;
use crate::tokio::Endpoint;

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) addr: String,
    pub(super) hello: Hello,
    pub(super) config: ClientConfig,
    /// For the handshake, and for looking the name up.
    pub(super) connect_timeout: Duration,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Nobody opens it before `until`; why the last attempt failed.
    Closed {
        until: Time,
        why: String,
    },
    Opening,
    /// The count of openings tells a connection from those before it.
    Open(RpcClient, u64),
}

#[derive(Debug)]
struct State {
    track: Track,
    backoff: Backoff,
    /// Attempts that succeeded.
    opened: u64,
}

#[derive(Debug)]
pub(super) struct Connection {
    target: Target,
    clock: TaskClock,
    phase: watch::Sender<Phase>,
    state: Mutex<State>,
}

impl Connection {
    pub(super) fn new(target: Target, clock: TaskClock, seed: u64) -> Self {
        let (until, why) = (Time::ZERO, String::new());
        Connection {
            target,
            clock,
            phase: watch::Sender::new(Phase::Closed { until, why }),
            state: Mutex::new(State {
                track: Track::default(),
                backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX, seed),
                opened: 0,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open connection; opens it, and waits for that no longer than `patience`.
    pub(super) async fn client(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<(RpcClient, u64), Failure> {
        let mut changes = self.phase.subscribe();
        if self.begins() {
            tokio::spawn(self.clone().open());
        }
        let is_decided = |phase: &Phase| !matches!(phase, Phase::Opening);
        let decided = tokio::time::timeout(patience, changes.wait_for(is_decided)).await;
        let phase = decided.map(|decided| decided.map(|phase| phase.clone()));
        match phase {
            Ok(Ok(Phase::Open(client, number))) => Ok((client, number)),
            Ok(Ok(Phase::Closed { why, .. })) => Err(Failure::NotConnected(why)),
            _ => Err(Failure::NotConnected("the handshake goes on".to_owned())),
        }
    }

    /// Whether the caller is to open it: it is closed, and the pause is over.
    fn begins(&self) -> bool {
        let now = self.clock.now();
        self.phase.send_if_modified(|phase| {
            let is_due = match phase {
                Phase::Closed { until, .. } => *until <= now,
                Phase::Opening => false,
                Phase::Open(client, _) => !client.is_open(),
            };
            if is_due {
                *phase = Phase::Opening;
            }
            is_due
        })
    }

    async fn open(self: Arc<Self>) {
        let target = &self.target;
        let opening = RpcClient::connect_from(
            &target.endpoint,
            target.addr.as_str(),
            target.hello.clone(),
            target.config.clone(),
        );
        let opened = tokio::time::timeout(target.connect_timeout, opening).await;
        let phase = match opened {
            Ok(Ok(client)) => {
                let mut state = self.lock();
                state.track.on_connected();
                state.backoff.reset();
                state.opened += 1;
                Phase::Open(client, state.opened)
            }
            Ok(Err(error)) => self.closed(error.to_string()),
            Err(_) => self.closed("the handshake took too long".to_owned()),
        };
        self.phase.send_replace(phase);
    }

    fn closed(&self, why: String) -> Phase {
        let pause = self.lock().backoff.next_pause();
        tracing::debug!(addr = %self.target.addr, %why, ?pause, "a peer cannot be connected to");
        let until = self.clock.now() + pause;
        Phase::Closed { until, why }
    }

    pub(super) fn on_answer(&self) {
        self.lock().track.on_answer();
    }

    /// Judges a call that failed, on the connection of this number if there was one, and gives that up if it is to be.
    pub(super) fn on_failure(&self, failure: &Failure, number: Option<u64>) -> Verdict {
        let verdict = self.lock().track.judge(failure);
        if verdict.resets {
            // The next call opens another one at once: a restarted peer is there already.
            let (until, why) = (self.clock.now(), failure.to_string());
            self.phase.send_if_modified(|phase| {
                let is_it = matches!(phase, Phase::Open(_, open) if Some(*open) == number);
                if is_it {
                    *phase = Phase::Closed { until, why };
                }
                is_it
            });
        }
        verdict
    }

    /// How it does; `None` while it is not open.
    pub(super) fn health(&self) -> Option<(Health, Hello)> {
        match &*self.phase.borrow() {
            Phase::Open(client, _) => Some((client.health(), client.peer())),
            _ => None,
        }
    }

    pub(super) fn missed(&self) -> u32 {
        self.lock().track.missed()
    }

    pub(super) fn opened(&self) -> u64 {
        self.lock().opened
    }
}
