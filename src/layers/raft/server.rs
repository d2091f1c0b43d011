//! [`RaftService`] and [`RaftServer`]: what other nodes say, for this node's Raft.

mod receive;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use openraft::error::{InstallSnapshotError, RaftError};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{NodeId, Raft, RaftTypeConfig};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};
use tokio::task::JoinHandle;

use super::net::Settings;
use super::wire::{
    APPEND, Fault, FaultKind, Head, INSTALL_CHUNK, SNAPSHOT, VOTE, answer, wire_version,
};
use crate::layers::msg::tokio::{BodyReader, CallCx, Reply, RpcServer, Service};
use crate::layers::msg::{Codec, Hello, Postcard, RpcError, ServerConfig, Status, code};
use crate::tokio::Listener;

/// Answers what other nodes ask of this node's Raft, in one group or several. A handle: clones answer for the same groups.
///
/// A program with calls of its own on the same listener makes a service that hands over what this one takes:
///
/// ```
/// use aqueduct::msg::Status;
/// use aqueduct::msg::tokio::{BodyReader, CallCx, Reply, Service};
/// use aqueduct::raft::RaftService;
/// # use openraft::RaftTypeConfig;
/// # use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};
///
/// struct Both<C: RaftTypeConfig> {
///     raft: RaftService<C>,
/// }
///
/// impl<C: RaftTypeConfig> Service for Both<C>
/// # where
/// #    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
/// {
///     async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
///         if RaftService::<C>::takes(cx.method) {
///             return self.raft.call(cx, body).await;
///         }
///         Ok(Reply::stream(body))
///     }
/// }
/// ```
pub struct RaftService<C: RaftTypeConfig> {
    settings: Settings,
    groups: Arc<RwLock<BTreeMap<u64, Raft<C>>>>,
}

impl<C: RaftTypeConfig> RaftService<C> {
    pub(super) fn new(settings: Settings, raft: Raft<C>) -> Self {
        let groups = BTreeMap::from([(settings.group, raft)]);
        RaftService {
            settings,
            groups: Arc::new(RwLock::new(groups)),
        }
    }

    /// Whether a method is one of Raft's: 0x0100 to 0x01ff.
    pub fn takes(method: u16) -> bool {
        method >> 8 == 1
    }

    /// Answers for another group, too; its own net has that group ([`RaftNetBuilder::group`](super::RaftNetBuilder::group)).
    pub fn add_group(&self, group: u64, raft: Raft<C>) {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.insert(group, raft);
    }

    /// Answers no more for a group.
    pub fn remove_group(&self, group: u64) {
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        groups.remove(&group);
    }

    /// The Raft that a request is for.
    fn raft(&self, head: Head) -> Result<Raft<C>, Fault> {
        let wire = wire_version::<C::NodeId>();
        if head.wire != wire {
            let text = format!("version {:#x}, here is {wire:#x}", head.wire);
            return Err(Fault::new(FaultKind::WireVersion, text));
        }
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        let raft = groups.get(&head.group).cloned();
        raft.ok_or_else(|| Fault::new(FaultKind::NoGroup, format!("no group {}", head.group)))
    }

    /// The Raft, and the request for it.
    fn request<T: DeserializeOwned>(&self, mut body: Bytes) -> Result<(Raft<C>, T), Fault> {
        let head = Head::split(&mut body)
            .ok_or_else(|| Fault::new(FaultKind::Malformed, "shorter than its head"))?;
        let raft = self.raft(head)?;
        let request = Postcard
            .decode(&body)
            .map_err(|error| Fault::new(FaultKind::Malformed, error))?;
        Ok((raft, request))
    }
}

impl<C> RaftService<C>
where
    C: RaftTypeConfig,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
{
    async fn append(&self, body: Bytes) -> Bytes {
        let response = match self.request::<AppendEntriesRequest<C>>(body) {
            Ok((raft, request)) => raft.append_entries(request).await.map_err(fatal),
            Err(fault) => Err(fault),
        };
        answer(&response)
    }

    async fn vote(&self, body: Bytes) -> Bytes {
        let response = match self.request::<VoteRequest<C::NodeId>>(body) {
            Ok((raft, request)) => raft.vote(request).await.map_err(fatal),
            Err(fault) => Err(fault),
        };
        answer(&response)
    }

    #[allow(
        deprecated,
        reason = "in a build with `generic-snapshot-data` it is, and still answers"
    )]
    async fn install_chunk(&self, body: Bytes) -> Bytes {
        let response = match self.request::<InstallSnapshotRequest<C>>(body) {
            Ok((raft, request)) => {
                let installed = raft.install_snapshot(request).await;
                installed.map_err(|error| match error {
                    RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch)) => {
                        Fault::new(FaultKind::SnapshotMismatch, mismatch)
                    }
                    RaftError::Fatal(error) => Fault::new(FaultKind::Fatal, error),
                })
            }
            Err(fault) => Err(fault),
        };
        answer(&response)
    }

    /// A request that is held whole.
    async fn whole(&self, body: BodyReader) -> Result<Bytes, Status> {
        let body = body.read_whole(self.settings.request_bytes_max).await;
        body.map_err(|error| match error {
            RpcError::TooLarge { .. } => Status::refused(code::TOO_LARGE, error.to_string()),
            error => Status::refused(code::MALFORMED, error.to_string()),
        })
    }
}

impl<C> Service for RaftService<C>
where
    C: RaftTypeConfig,
    C::SnapshotData: AsyncRead + AsyncWrite + AsyncSeek + Unpin,
{
    async fn call(&self, cx: CallCx, body: BodyReader) -> Result<Reply, Status> {
        let answer = match cx.method {
            APPEND => self.append(self.whole(body).await?).await,
            VOTE => self.vote(self.whole(body).await?).await,
            INSTALL_CHUNK => self.install_chunk(self.whole(body).await?).await,
            SNAPSHOT => answer(&self.receive(body).await),
            method => {
                let text = format!("no method {method:#06x}");
                return Err(Status::refused(code::UNKNOWN_METHOD, text));
            }
        };
        Ok(Reply::Whole(answer))
    }
}

impl<C: RaftTypeConfig> Clone for RaftService<C> {
    fn clone(&self) -> Self {
        RaftService {
            settings: self.settings.clone(),
            groups: self.groups.clone(),
        }
    }
}

impl<C: RaftTypeConfig> fmt::Debug for RaftService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftService")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// A Raft that does not run any more.
fn fatal<N: NodeId>(error: RaftError<N>) -> Fault {
    Fault::new(FaultKind::Fatal, error)
}

/// A listener that is served; dropping it closes the connections that were accepted.
#[derive(Debug)]
pub struct RaftServer {
    task: JoinHandle<()>,
}

impl RaftServer {
    pub(super) fn start(
        listener: Listener,
        hello: Hello,
        config: ServerConfig,
        service: impl Service,
    ) -> Self {
        let server = RpcServer::with_service(hello, config, service);
        let task = tokio::spawn(async move {
            if let Err(error) = server.serve(&listener).await {
                tracing::warn!(%error, "other nodes are served no more");
            }
        });
        RaftServer { task }
    }
}

impl Drop for RaftServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
