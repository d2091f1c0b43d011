//! [`RaftPeer`]: calls to one node, and what openraft is told of them.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, PayloadTooLarge, RPCError, RaftError, RemoteError,
    ReplicationClosed, SnapshotMismatch, StreamingError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{
    AnyError, OptionalSend, RPCTypes, RaftNetwork, RaftTypeConfig, Snapshot, SnapshotSegmentId,
    Vote,
};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::budget::Budget;
use super::connection::{Connection, Target};
use super::snapshot::{self, Sending, Stopped};
use super::verdict::{Answer, Failure};
use super::{NodeAddr, PAUSE_MAX, PAUSE_MIN, Shared, lock};
use crate::layers::msg;
use crate::layers::msg::tokio::RpcClient;
use crate::layers::msg::{CallOptions, CodecError};
use crate::layers::raft::wire::{APPEND, Fault, FaultKind, INSTALL_CHUNK, VOTE, read_answer};
use crate::layers::task_clock::TaskClock;

/// What a call is like: each class has a connection of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// Votes and empty appends.
    Control,
    /// Appends with entries.
    Log,
    Snapshot,
}

/// The connections to one node.
#[derive(Debug)]
pub(super) struct Peer {
    addr: String,
    /// In the order of [`Class`].
    connections: [Arc<Connection>; 3],
    budget: Mutex<Budget>,
    faults: AtomicU64,
    clock: TaskClock,
    seed: u64,
}

/// One connection of a peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ClassHealth {
    /// It is open.
    pub is_open: bool,
    /// How often it was opened.
    pub opened: u64,
    /// Calls in a row that were not answered in time.
    pub missed: u32,
    /// Time since anything came from the peer on it; `None`: unknown.
    pub since_heard: Option<Duration>,
}

/// What a node knows of another one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PeerHealth {
    /// The connection for votes, heartbeats and reads.
    pub control: ClassHealth,
    /// The connection for entries.
    pub log: ClassHealth,
    /// The connection for snapshots.
    pub snapshot: ClassHealth,
    /// The peer's present life, random at each of its starts; `None` while nothing is open.
    pub incarnation: Option<u64>,
    /// Calls that the peer answered with a failure.
    pub faults: u64,
}

impl Peer {
    pub(super) fn new(target: Target, clock: TaskClock, seed: u64, append_max: usize) -> Self {
        let addr = target.addr.clone();
        let connection = |class: u64| {
            let seed = seed.wrapping_add(class);
            Arc::new(Connection::new(target.clone(), clock, seed))
        };
        Peer {
            addr,
            connections: [connection(0), connection(1), connection(2)],
            budget: Mutex::new(Budget::new(append_max)),
            faults: AtomicU64::new(0),
            clock,
            seed,
        }
    }

    pub(super) fn addr(&self) -> &str {
        &self.addr
    }

    pub(super) fn health(&self) -> PeerHealth {
        let mut incarnation = None;
        let [control, log, snapshot] = self.connections.each_ref().map(|connection| {
            let open = connection.health();
            let evidence = open
                .as_ref()
                .and_then(|(health, _)| health.evidence.clone());
            incarnation = open
                .as_ref()
                .map(|(_, hello)| hello.incarnation)
                .or(incarnation);
            ClassHealth {
                is_open: open.is_some_and(|(health, _)| health.is_open),
                opened: connection.opened(),
                missed: connection.missed(),
                since_heard: evidence.and_then(|evidence| evidence.since_heard),
            }
        });
        PeerHealth {
            control,
            log,
            snapshot,
            incarnation,
            faults: self.faults.load(Ordering::Relaxed),
        }
    }

    fn connection(&self, class: Class) -> &Arc<Connection> {
        match class {
            Class::Control => &self.connections[0],
            Class::Log => &self.connections[1],
            Class::Snapshot => &self.connections[2],
        }
    }

    /// Calls, and waits no longer than `patience` for connection and answer.
    async fn call<T: DeserializeOwned>(
        &self,
        class: Class,
        method: u16,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, (Failure, Option<u64>)> {
        let begun = self.clock.now();
        let connection = self.connection(class);
        let opened = connection.client(patience).await;
        let (client, number) = opened.map_err(|failure| (failure, None))?;
        let called = self.clock.now();
        let left = patience.saturating_sub(called - begun);
        let options = CallOptions {
            timeout: Some(left),
            ..CallOptions::default()
        };
        let answered = client.call_with(method, body, &options).await;
        let answer = answered.map_err(|error| {
            let heard = was_heard(&client, self.clock.now() - called);
            (Failure::of(error, heard), Some(number))
        })?;
        self.read(class, number, answer)
    }

    /// Reads an answer, and takes note of it.
    fn read<T: DeserializeOwned>(
        &self,
        class: Class,
        number: u64,
        answer: Bytes,
    ) -> Result<T, (Failure, Option<u64>)> {
        match read_answer(answer) {
            Ok(Ok(response)) => {
                self.connection(class).on_answer();
                Ok(response)
            }
            Ok(Err(fault)) => {
                self.faults.fetch_add(1, Ordering::Relaxed);
                Err((Failure::Fault(fault), Some(number)))
            }
            Err(error) => Err((Failure::Garbled(error.to_string()), Some(number))),
        }
    }
}

/// Calls to one node: openraft's `RaftNetwork`. Costs nothing to make; the connections belong to the [`RaftNet`](super::RaftNet).
pub struct RaftPeer<C: RaftTypeConfig> {
    shared: Arc<Shared<C>>,
    target: C::NodeId,
    peer: Arc<Peer>,
}

type Outcome<C, T, E> =
    Result<T, RPCError<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node, E>>;
type RaftFailure<C> = RaftError<<C as RaftTypeConfig>::NodeId>;
type InstallFailure<C> = RaftError<<C as RaftTypeConfig>::NodeId, InstallSnapshotError>;

impl<C: RaftTypeConfig> RaftPeer<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, target: C::NodeId, peer: Arc<Peer>) -> Self {
        RaftPeer {
            shared,
            target,
            peer,
        }
    }

    /// Calls, and says what openraft is to be told if it fails.
    async fn call<T: DeserializeOwned, E: std::error::Error>(
        &self,
        (class, action): (Class, RPCTypes),
        method: u16,
        body: Result<Bytes, CodecError>,
        patience: Duration,
    ) -> Outcome<C, T, E> {
        let body = body.map_err(|error| RPCError::Unreachable(unreachable(&error)))?;
        let called = self.peer.call(class, method, body, patience).await;
        called.map_err(|(failure, number)| {
            let verdict = self.peer.connection(class).on_failure(&failure, number);
            tracing::debug!(target = %self.target, ?action, %failure, ?verdict, "a call failed");
            match verdict.answer {
                Answer::Unreachable => RPCError::Unreachable(unreachable(&failure)),
                Answer::Network => RPCError::Network(network(&failure)),
                Answer::Timeout => RPCError::Timeout(self.timeout(action, patience)),
            }
        })
    }

    fn timeout(&self, action: RPCTypes, timeout: Duration) -> Timeout<C::NodeId> {
        Timeout {
            action,
            id: self.shared.id.clone(),
            target: self.target.clone(),
            timeout,
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        idle: Duration,
    ) -> Result<SnapshotResponse<C::NodeId>, Stopped<C::NodeId>>
    where
        C::SnapshotData: AsyncRead + AsyncSeek + Unpin,
    {
        let connection = self.peer.connection(Class::Snapshot);
        let patience = self.shared.settings.connect_timeout;
        let opened = connection.client(patience).await;
        let (client, number) = opened.map_err(|failure| Stopped::Call(failure, None))?;
        let sending = Sending {
            head: self.shared.head(),
            idle,
            install: self.shared.settings.snapshot_install,
        };
        let sent = snapshot::send::<C>(&client, sending, vote, snapshot).await;
        let answer = sent.map_err(|stopped| match stopped {
            Stopped::Call(failure, _) => Stopped::Call(failure, Some(number)),
            stopped => stopped,
        })?;
        self.peer
            .read(Class::Snapshot, number, answer)
            .map_err(|(failure, number)| Stopped::Call(failure, number))
    }

    fn streaming_error(
        &self,
        stopped: Stopped<C::NodeId>,
        idle: Duration,
    ) -> StreamingError<C, Fatal<C::NodeId>> {
        let (failure, number) = match stopped {
            Stopped::Storage(error) => return StreamingError::StorageError(*error),
            Stopped::Call(failure, number) => (failure, number),
        };
        let connection = self.peer.connection(Class::Snapshot);
        let verdict = connection.on_failure(&failure, number);
        tracing::debug!(target = %self.target, %failure, ?verdict, "a snapshot was not sent");
        match verdict.answer {
            _ if matches!(failure, Failure::Late { .. }) => {
                StreamingError::Timeout(self.timeout(RPCTypes::InstallSnapshot, idle))
            }
            Answer::Unreachable => StreamingError::Unreachable(unreachable(&failure)),
            Answer::Network | Answer::Timeout => StreamingError::Network(network(&failure)),
        }
    }
}

impl<C: RaftTypeConfig> fmt::Debug for RaftPeer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftPeer")
            .field("target", &self.target)
            .field("addr", &self.peer.addr)
            .finish_non_exhaustive()
    }
}

#[allow(
    deprecated,
    reason = "in a build with `generic-snapshot-data` openraft does not ask for `install_snapshot` any more"
)]
impl<C> RaftNetwork<C> for RaftPeer<C>
where
    C: RaftTypeConfig,
    C::Node: NodeAddr,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
{
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Outcome<C, AppendEntriesResponse<C::NodeId>, RaftFailure<C>> {
        if !self.shared.may_speak() {
            return Err(RPCError::Unreachable(unreachable(&Failure::Silent)));
        }
        let entries = rpc.entries.len();
        let class = if entries == 0 {
            Class::Control
        } else {
            Class::Log
        };
        let body = self.shared.head().request(&rpc);
        drop(rpc);
        let bytes = body.as_ref().map_or(0, Bytes::len);
        let hint = lock(&self.peer.budget).hint(entries, bytes);
        if let Some(hint) = hint {
            let too_large = PayloadTooLarge::new_entries_hint(hint);
            return Err(RPCError::PayloadTooLarge(too_large));
        }
        let kind = (class, RPCTypes::AppendEntries);
        let called = self.call(kind, APPEND, body, option.soft_ttl()).await;
        if entries > 0 {
            match &called {
                Ok(_) => lock(&self.peer.budget).on_answer(bytes),
                Err(RPCError::Timeout(_)) => lock(&self.peer.budget).on_late(bytes),
                Err(_) => {}
            }
        }
        called
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<C::NodeId>,
        option: RPCOption,
    ) -> Outcome<C, VoteResponse<C::NodeId>, RaftFailure<C>> {
        let body = self.shared.head().request(&rpc);
        let kind = (Class::Control, RPCTypes::Vote);
        self.call(kind, VOTE, body, option.soft_ttl()).await
    }

    /// openraft's own way to send a snapshot, piece by piece; [`RaftNetwork::full_snapshot`] here does not use it.
    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<C>,
        option: RPCOption,
    ) -> Outcome<C, InstallSnapshotResponse<C::NodeId>, InstallFailure<C>> {
        let body = self.shared.head().request(&rpc);
        let called = self
            .peer
            .call(
                Class::Snapshot,
                INSTALL_CHUNK,
                body.map_err(|error| RPCError::Unreachable(unreachable(&error)))?,
                option.soft_ttl(),
            )
            .await;
        let (failure, number) = match called {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let connection = self.peer.connection(Class::Snapshot);
        let verdict = connection.on_failure(&failure, number);
        if matches!(
            &failure,
            Failure::Fault(Fault {
                kind: FaultKind::SnapshotMismatch,
                ..
            })
        ) {
            let segment = |offset| SnapshotSegmentId {
                id: rpc.meta.snapshot_id.clone(),
                offset,
            };
            let mismatch = SnapshotMismatch {
                expect: segment(0),
                got: segment(rpc.offset),
            };
            let error = RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch));
            let error = RemoteError::new(self.target.clone(), error);
            return Err(RPCError::RemoteError(error));
        }
        Err(match verdict.answer {
            Answer::Unreachable => RPCError::Unreachable(unreachable(&failure)),
            Answer::Network => RPCError::Network(network(&failure)),
            Answer::Timeout => {
                RPCError::Timeout(self.timeout(RPCTypes::InstallSnapshot, option.soft_ttl()))
            }
        })
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<C::NodeId>,
        snapshot: Snapshot<C>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<C::NodeId>, StreamingError<C, Fatal<C::NodeId>>> {
        let idle = self.shared.settings.snapshot_idle.max(option.soft_ttl());
        let sending = self.send_snapshot(vote, snapshot, idle);
        tokio::select! {
            biased;
            // What is dropped with the other branch tells the receiver, who throws away what he has.
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent.map_err(|stopped| self.streaming_error(stopped, idle)),
        }
    }

    fn backoff(&self) -> Backoff {
        let mut pauses = msg::Backoff::new(PAUSE_MIN, PAUSE_MAX, self.peer.seed);
        Backoff::new(std::iter::repeat_with(move || pauses.next_pause()))
    }
}

fn unreachable(why: &impl ToString) -> Unreachable {
    Unreachable::new(&AnyError::error(why.to_string()))
}

fn network(why: &impl ToString) -> NetworkError {
    NetworkError::new(&AnyError::error(why.to_string()))
}

/// Whether anything came from the peer within this time, an acknowledgement at least.
pub(super) fn was_heard(client: &RpcClient, within: Duration) -> bool {
    let evidence = client.health().evidence;
    let since_heard = evidence.and_then(|evidence| evidence.since_heard);
    since_heard.is_some_and(|since| since <= within)
}

/// A stream that ended before it should.
pub(super) fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut => Failure::Late { heard: false },
        _ => Failure::Broken(error.to_string()),
    }
}
