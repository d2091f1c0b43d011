//! [`KvStore`]: the state machine as openraft asks for one, in memory and on disk.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, BufWriter, Seek};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    AnyError, BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder,
    SnapshotMeta, StorageError, StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::answer::{Answer, Change};
use super::clock::{LeaseClock, NotHeld, Renewal, Tenancy};
use super::command::{Cmd, Request};
use super::disk::{Disk, StoreError};
use super::events::{EventLog, Watched};
use super::files::Files;
use super::limits::Limits;
use super::snapshot::{read_snapshot, read_snapshot_head, write_snapshot};
use super::state::{Position, StateMachine};
use crate::layers::raft::PeerIdentity;
use crate::runtime;
use crate::time::Time;

/// Ends that are proposed one after the other before anything else is looked at.
const EXPIRED_MAX: usize = 64;
/// How long to wait where no deadline is known: a grant wakes whoever waits.
const NO_DEADLINE: Duration = Duration::from_secs(60);

openraft::declare_raft_types!(
    /// The store as openraft knows it: requests go in, answers come out (`None` for entries that are no request), a snapshot is a file.
    pub KvTypes:
        D = Request,
        R = Option<Answer>,
        NodeId = u64,
        Node = BasicNode,
        SnapshotData = tokio::fs::File
);

/// The state of a node: in memory, to be read; in a file of redb, to be there again after a start; in a snapshot, for others and for
/// a log that has been purged.
///
/// A handle: clones are the same store. openraft applies the log to it; everybody else reads.
///
/// | after | the state is |
/// |---|---|
/// | a crash | as at the last snapshot or later; openraft applies the log again from there |
/// | a crash while a snapshot is built, or received | as before it: a snapshot counts when it is on the disk whole |
/// | a damaged snapshot came | as before; the sender is told |
///
/// ```
/// use aqueduct::kv::{KvStore, Limits};
/// use aqueduct::raft::PeerIdentity;
///
/// let folder = tempfile::tempdir()?;
/// let store = KvStore::open(folder.path(), &PeerIdentity::of(0xA9, &1_u64)?, Limits::default())?;
/// assert_eq!(store.read(|state| state.records()), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KvStore {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    state: Mutex<Current>,
    disk: Disk,
    files: Files,
    applied: watch::Sender<u64>,
}

/// The state, what openraft calls its place, and what follows from the changes alone: deadlines, events.
struct Current {
    state: StateMachine,
    engine: Engine,
    leases: LeaseClock,
    events: EventLog,
}

/// What a snapshot carries for openraft.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Engine {
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
}

type Outcome<T> = Result<T, StorageError<u64>>;

impl KvStore {
    /// Opens the store in this folder, or creates it.
    ///
    /// # Errors
    /// [`StoreError`]: what is there is another node's, or damaged.
    pub fn open(
        folder: impl AsRef<Path>,
        owner: &PeerIdentity,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let folder = folder.as_ref();
        let files = Files::open(folder)?;
        let (disk, mut state) = Disk::open(&folder.join("state.redb"), owner, &limits)?;
        if let Some(newer) = newer_snapshot(&files, &state)? {
            disk.replace(&newer)?;
            state = newer;
        }
        let engine = Engine::read(state.engine())?;
        let (applied, _) = watch::channel(state.applied().index);
        let state = Mutex::new(Current::new(state, engine));
        let shared = Arc::new(Shared {
            limits,
            state,
            disk,
            files,
            applied,
        });
        Ok(KvStore { shared })
    }

    /// Looks at the state as it is now. Nothing is applied meanwhile: be quick.
    pub fn read<T>(&self, look: impl FnOnce(&StateMachine) -> T) -> T {
        look(&self.shared.current().state)
    }

    /// The index of the last entry that is in the state: how old what is read here may be.
    pub fn applied_index(&self) -> u64 {
        *self.shared.applied.borrow()
    }

    /// Waits until the state contains the entry of this index.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn wait_applied(&self, index: u64) {
        let mut applied = self.shared.applied.subscribe();
        let done = applied.wait_for(|applied| *applied >= index).await;
        debug_assert!(done.is_ok(), "the sender lives in the store");
    }
}

/// For the node that the store belongs to.
impl KvStore {
    /// This node leads in this term, or does not: what has run out if it does.
    pub(super) fn lead(&self, term: Option<u64>) -> Vec<Cmd> {
        let now = runtime::boot();
        let current = &mut *self.shared.current();
        if current.leases.term() != term {
            match term {
                Some(term) => current.leases.lead(now, term, &current.state),
                None => current.leases.follow(),
            }
        }
        let expired = std::iter::from_fn(|| current.leases.poll_expired(now));
        expired.take(EXPIRED_MAX).collect()
    }

    /// How long nothing runs out.
    pub(super) fn until_expiry(&self) -> Duration {
        let now = runtime::boot();
        let next = self.shared.current().leases.poll_timeout();
        next.map_or(NO_DEADLINE, |next| next - now).min(NO_DEADLINE)
    }

    pub(super) fn begin_renewal(&self, tenancy: Tenancy) -> Result<Renewal, NotHeld> {
        self.shared.current().leases.begin_renewal(tenancy)
    }

    /// Whether it is renewed.
    pub(super) fn renew(&self, renewal: Renewal) -> bool {
        let now = runtime::boot();
        self.shared.current().leases.renew(now, renewal).is_ok()
    }

    /// Whether it may be renewed some time, although [`begin_renewal`](Self::begin_renewal) says that it may not now: no deadline is kept here (yet).
    pub(super) fn is_undecided(&self, tenancy: Tenancy) -> bool {
        let current = self.shared.current();
        let exists = match tenancy {
            Tenancy::Lease(id) => current.state.lease_ttl_ms(id).is_some(),
            Tenancy::Session(client) => current.state.has_session(client),
        };
        exists && current.leases.term().is_none()
    }

    pub(super) fn events_after(&self, prefix: &[u8], after: u64) -> Watched {
        let current = self.shared.current();
        let applied = current.state.applied().index;
        current.events.after(prefix, after, applied)
    }
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(
        &self,
        entries: impl IntoIterator<Item = Entry<KvTypes>>,
    ) -> Outcome<Vec<Option<Answer>>> {
        let mut current = self.current();
        let (mut answers, mut changes) = (Vec::new(), Vec::new());
        let now = runtime::boot();
        for entry in entries {
            let begin = changes.len();
            answers.push(current.apply(entry, &mut changes));
            current.note(now, &changes[begin..]);
        }
        let engine = current.engine.write().map_err(apply_failed)?;
        current.state.set_engine(engine.clone());
        let applied = current.state.applied();
        let saved = self.disk.save(&changes, applied, &engine);
        saved.map_err(apply_failed)?;
        drop(current);
        self.applied.send_replace(applied.index);
        Ok(answers)
    }

    /// Writes the state as it is in the file, while entries go on being applied.
    fn build(&self) -> Result<Snapshot<KvTypes>, StoreError> {
        self.disk.settle()?;
        let copy = self.disk.copy()?;
        let (path, file) = self.files.begin()?;
        let mut out = BufWriter::new(&file);
        copy.write(&self.limits, &mut out)?;
        drop(out);
        self.files.publish(&path, &file, copy.applied().index)?;
        Engine::read(&copy.engine)?.snapshot(file)
    }

    fn install(&self, file: &mut File) -> Result<(), StoreError> {
        file.rewind()?;
        let state = read_snapshot(file, &self.limits)?;
        let engine = Engine::read(state.engine())?;
        let (path, copy) = self.files.begin()?;
        let mut out = BufWriter::new(&copy);
        write_snapshot(&state, &mut out)?;
        drop(out);
        let applied = state.applied();
        self.files.publish(&path, &copy, applied.index)?;
        let mut current = self.current();
        self.disk.replace(&state)?;
        // Who leads installs nothing: no deadline is lost.
        *current = Current::new(state, engine);
        drop(current);
        self.applied.send_replace(applied.index);
        Ok(())
    }

    fn published(&self) -> Result<Option<Snapshot<KvTypes>>, StoreError> {
        let Some(mut file) = self.files.current()? else {
            return Ok(None);
        };
        let (_, engine) = read_snapshot_head(&mut file, &self.limits)?;
        Ok(Some(Engine::read(&engine)?.snapshot(file)?))
    }
}

impl Current {
    fn new(state: StateMachine, engine: Engine) -> Self {
        let events = EventLog::since(state.applied().index);
        Current {
            state,
            engine,
            leases: LeaseClock::new(),
            events,
        }
    }

    fn note(&mut self, now: Time, changes: &[Change]) {
        let rev = self.state.applied().index;
        for change in changes {
            self.leases.on_change(now, change);
            self.events.on_change(rev, change);
        }
    }

    fn apply(&mut self, entry: Entry<KvTypes>, changes: &mut Vec<Change>) -> Option<Answer> {
        let id = entry.log_id;
        let at = Position {
            index: id.index,
            term: id.leader_id.term,
        };
        self.engine.last = Some(id);
        match entry.payload {
            EntryPayload::Normal(request) => {
                let applied = self.state.apply(at, &request);
                changes.extend(applied.changes);
                Some(applied.answer)
            }
            EntryPayload::Blank => {
                self.state.skip(at);
                None
            }
            EntryPayload::Membership(membership) => {
                self.state.skip(at);
                self.engine.membership = StoredMembership::new(Some(id), membership);
                None
            }
        }
    }
}

impl Engine {
    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes.is_empty() {
            return Ok(Engine::default());
        }
        postcard::from_bytes(bytes).map_err(|error| StoreError::Damaged {
            what: format!("position and membership: {error}"),
        })
    }

    fn write(&self) -> Result<Bytes, StoreError> {
        let bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        Ok(bytes.into())
    }

    /// The snapshot of this place in a file, to be read from its beginning.
    fn snapshot(self, mut file: File) -> Result<Snapshot<KvTypes>, StoreError> {
        file.rewind()?;
        let index = self.last.map(|last| last.index);
        let term = self.last.map(|last| last.leader_id.term);
        let meta = SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership,
            snapshot_id: format!("{}-{}", term.unwrap_or(0), index.unwrap_or(0)),
        };
        let snapshot = Box::new(tokio::fs::File::from_std(file));
        Ok(Snapshot { meta, snapshot })
    }
}

/// The snapshot in the folder, if the state has been left behind by it: the node ended while it was installed.
fn newer_snapshot(files: &Files, state: &StateMachine) -> Result<Option<StateMachine>, StoreError> {
    let Some(mut file) = files.current()? else {
        return Ok(None);
    };
    let (applied, _) = read_snapshot_head(&mut file, state.limits())?;
    if applied.index <= state.applied().index {
        return Ok(None);
    }
    file.rewind()?;
    Ok(Some(read_snapshot(&mut file, state.limits())?))
}

fn apply_failed(error: StoreError) -> StorageError<u64> {
    StorageIOError::write_state_machine(AnyError::new(&error)).into()
}

/// Runs what waits for the disk where it holds up no task.
async fn on_disk<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AnyError> {
    let shared = Arc::clone(shared);
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    match done {
        Ok(result) => result.map_err(|error| AnyError::new(&error)),
        Err(error) => Err(AnyError::new(&error)),
    }
}

impl RaftSnapshotBuilder<KvTypes> for KvStore {
    async fn build_snapshot(&mut self) -> Outcome<Snapshot<KvTypes>> {
        let built = on_disk(&self.shared, Shared::build).await;
        built.map_err(|error| StorageIOError::write_snapshot(None, error).into())
    }
}

impl RaftStateMachine<KvTypes> for KvStore {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Outcome<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>)> {
        let current = self.shared.current();
        Ok((current.engine.last, current.engine.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Outcome<Vec<Option<Answer>>>
    where
        I: IntoIterator<Item = Entry<KvTypes>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.shared.apply(entries)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Outcome<Box<tokio::fs::File>> {
        let file = on_disk(&self.shared, |shared| Ok(shared.files.receive()?)).await;
        let file = file.map_err(|error| StorageIOError::write_snapshot(None, error))?;
        Ok(Box::new(tokio::fs::File::from_std(file)))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, BasicNode>,
        snapshot: Box<tokio::fs::File>,
    ) -> Outcome<()> {
        let signature = Some(meta.signature());
        let mut file = snapshot.into_std().await;
        let installed = on_disk(&self.shared, move |shared| shared.install(&mut file)).await;
        installed.map_err(|error| StorageIOError::read_snapshot(signature, error).into())
    }

    async fn get_current_snapshot(&mut self) -> Outcome<Option<Snapshot<KvTypes>>> {
        let published = on_disk(&self.shared, Shared::published).await;
        published.map_err(|error| StorageIOError::read_snapshot(None, error).into())
    }
}

impl Debug for KvStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvStore")
            .field("applied", &self.applied_index())
            .finish_non_exhaustive()
    }
}
