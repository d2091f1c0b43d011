//! [`RedbLog`]: what a node must not forget, in one file of redb.
//!
//! A write is taken into memory at once, where readers find it, and goes to one writer, which commits all that waits in one transaction.
//! Who waits is told when it is on the disk. Everything carries a checksum of its own.
//!
//! | if | then |
//! |---|---|
//! | a crash tears a write | the file is as before it; nobody was told otherwise |
//! | a bit flips in what was written | the log does not open, and says where ([`OpenError::Corrupt`]) |
//! | the disk fails or is full | every operation fails from then on; openraft stops the node. Nothing is tried again |
//! | the file is another node's | the log does not open |

mod disk;
mod error;
mod open;
mod seal;
mod tail;
mod writer;

use std::fmt::{self, Debug};
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{
    AnyError, ErrorSubject, ErrorVerb, LogId, OptionalSend, RaftLogId, RaftLogReader,
    RaftTypeConfig, StorageError, StorageIOError, Vote,
};
use redb::{Database, StorageBackend};
use tokio::sync::oneshot;

use self::disk::Write;
pub use self::error::{OpenError, Place};
use self::open::Contents;
use self::seal::{seal, unseal};
use self::writer::{Done, Job, Times, Watcher, Writer};
use super::PeerIdentity;

/// Bytes of entries that one read gives to a follower that is behind; the first entry always, however long.
const READ_BYTES_MAX: usize = 1 << 20;
/// Bytes that wait for the disk above which an append waits too.
const BACKLOG_BYTES_MAX: usize = 2 * writer::BATCH_BYTES_MAX;

/// How a log writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Whether a thread writes, so that the node goes on meanwhile. Default true; false, for simulations, writes within the call.
    pub thread: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { thread: true }
    }
}

/// A node's log, vote and committed index on disk: openraft's `RaftLogStorage`, for any type configuration.
///
/// A handle: clones are the same log, and read it at the same time. When the last one is dropped, it waits for the disk and lets the
/// file go.
///
/// ```
/// use aqueduct::raft::{PeerIdentity, RedbLog};
/// use openraft::storage::RaftLogStorage;
/// use std::io::Cursor;
///
/// openraft::declare_raft_types!(pub Types: D = String, R = String, NodeId = u64, Node = openraft::BasicNode);
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let folder = tempfile::tempdir()?;
/// let me = PeerIdentity::of(0xA9, &1_u64)?;
/// let mut log = RedbLog::<Types>::open(folder.path().join("log.redb"), &me)?;
/// log.save_vote(&openraft::Vote::new(3, 1)).await?;
/// drop(log);
///
/// let mut log = RedbLog::<Types>::open(folder.path().join("log.redb"), &me)?;
/// assert_eq!(log.read_vote().await?, Some(openraft::Vote::new(3, 1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedbLog<C: RaftTypeConfig> {
    shared: Arc<Shared<C>>,
}

/// The fields are dropped in this order: the writer ends before the file is closed.
struct Shared<C: RaftTypeConfig> {
    writer: Writer,
    /// The number of the last write; who holds it writes next. Taken before `state`, never while that is held.
    order: Mutex<u64>,
    state: Arc<Mutex<State<C>>>,
    times: Arc<Times>,
    db: Arc<Database>,
}

/// What is known without the disk.
struct State<C: RaftTypeConfig> {
    contents: Contents<C>,
    /// Bytes of entries that wait for the disk.
    backlog: usize,
    failed: Option<String>,
}

type Outcome<C, T> = Result<T, StorageError<<C as RaftTypeConfig>::NodeId>>;

impl<C: RaftTypeConfig> RedbLog<C> {
    /// Opens the log in this file, or creates it. Reads and checks all of it: some seconds for a gigabyte.
    ///
    /// # Errors
    /// [`OpenError`]; one that is damaged is not opened.
    pub fn open(path: impl AsRef<Path>, identity: &PeerIdentity) -> Result<Self, OpenError> {
        Self::start(
            open::at_path(path.as_ref())?,
            identity,
            &LogConfig::default(),
        )
    }

    /// Opens the log that a backend of redb's holds, or begins one there. With a second backend over the same bytes, damage that redb
    /// finds is looked up in them, so that the error names the entry.
    ///
    /// # Errors
    /// As [`RedbLog::open`].
    pub fn open_backend<B: StorageBackend>(
        backend: B,
        again: Option<B>,
        identity: &PeerIdentity,
        config: &LogConfig,
    ) -> Result<Self, OpenError> {
        Self::start(open::over(backend, again)?, identity, config)
    }

    fn start(db: Database, identity: &PeerIdentity, config: &LogConfig) -> Result<Self, OpenError> {
        let state = State {
            contents: open::read(&db, identity)?,
            backlog: 0,
            failed: None,
        };
        let (db, state) = (Arc::new(db), Arc::new(Mutex::new(state)));
        let times = Arc::new(Times::default());
        let writer = Writer::new(db.clone(), state.clone(), times.clone(), config.thread)?;
        let shared = Shared {
            writer,
            order: Mutex::new(0),
            state,
            times,
            db,
        };
        Ok(RedbLog {
            shared: Arc::new(shared),
        })
    }

    /// How long the slowest of a hundred durable commits took, of the newest 256; `None` before the first. For
    /// [`RaftProfile::from_measured`](super::RaftProfile::from_measured).
    pub fn commit_p99(&self) -> Option<Duration> {
        self.shared.times.p99()
    }

    /// Why nothing is written any more; `None` while all is well.
    pub fn failure(&self) -> Option<String> {
        self.lock().failed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        lock(&self.shared.state)
    }

    /// Changes the state, and hands over what goes to the disk for it: in the same order as others do.
    fn submit(
        &self,
        change: impl FnOnce(&mut State<C>, u64) -> Outcome<C, (Write, Done)>,
    ) -> Outcome<C, ()> {
        let mut order = lock(&self.shared.order);
        let number = *order + 1;
        let (write, done) = change(&mut self.lock(), number)?;
        *order = number;
        self.shared.writer.submit(Job {
            number,
            write,
            done,
        });
        Ok(())
    }

    /// Changes the state and writes, and waits for the disk as long as the write does.
    async fn write(
        &self,
        verb: ErrorVerb,
        subject: ErrorSubject<C::NodeId>,
        change: impl FnOnce(&mut State<C>) -> Result<Write, String>,
    ) -> Outcome<C, ()> {
        let (done, answer) = oneshot::channel();
        let done: Done = Box::new(move |result| {
            // Who has gone away does not want to know.
            let _ = done.send(result);
        });
        self.submit(|state, _| {
            state.check(subject.clone(), verb)?;
            let write = change(state).map_err(|what| failure(subject.clone(), verb, what))?;
            Ok((write, done))
        })?;
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failure(subject, verb, error)),
            Err(_) => Err(failure(subject, verb, "the log's thread has ended")),
        }
    }

    /// The entries of these indices that exist: as many as have `bytes_max` bytes together, and at least one.
    fn entries(&self, indices: Range<u64>, bytes_max: usize) -> Outcome<C, Vec<C::Entry>> {
        let (on_disk, newest) = {
            let state = self.lock();
            state.check(ErrorSubject::Logs, ErrorVerb::Read)?;
            let indices = state.existing(indices);
            let first = state.contents.tail.first();
            let on_disk = indices.start..indices.end.min(first);
            let tail: Vec<_> = state.contents.tail.range(indices).collect();
            (on_disk, tail)
        };
        let mut sealed = Vec::new();
        if !on_disk.is_empty() {
            sealed = disk::entries(&self.shared.db, on_disk.clone(), bytes_max)
                .map_err(|error| failure(ErrorSubject::Logs, ErrorVerb::Read, error))?;
        }
        // What the disk did not give whole is not continued from the tail.
        if sealed
            .last()
            .is_none_or(|(index, _)| index + 1 == on_disk.end)
        {
            sealed.extend(newest);
        }
        let mut bytes = 0;
        let within = sealed
            .into_iter()
            .enumerate()
            .take_while(|(at, (_, entry))| {
                bytes += entry.len();
                *at == 0 || bytes <= bytes_max
            });
        within
            .map(|(_, (index, entry))| {
                unseal(&entry).map_err(|damage| {
                    failure(ErrorSubject::LogIndex(index), ErrorVerb::Read, damage)
                })
            })
            .collect()
    }
}

impl<C: RaftTypeConfig> State<C> {
    fn check(&self, subject: ErrorSubject<C::NodeId>, verb: ErrorVerb) -> Outcome<C, ()> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(failure(subject, verb, why)),
        }
    }

    /// Those of the indices that neither were purged nor are yet to come.
    fn existing(&self, indices: Range<u64>) -> Range<u64> {
        let first = next(&self.contents.purged);
        let start = indices.start.max(first);
        start..indices.end.min(next(&self.contents.last)).max(start)
    }

    /// The id of the entry at `index`, or of the last one purged.
    fn id_before(&self, index: u64, db: &Database) -> Result<Option<LogId<C::NodeId>>, String> {
        let purged = self.contents.purged.clone();
        let Some(index) = index.checked_sub(1) else {
            return Ok(None);
        };
        if index < next(&purged) {
            return Ok(purged);
        }
        let in_tail = self.contents.tail.range(index..index + 1).next();
        let on_disk = match in_tail {
            Some((_, sealed)) => Some(sealed),
            None => disk::entries(db, index..index + 1, usize::MAX)
                .map_err(|error| error.to_string())?
                .pop()
                .map(|(_, sealed)| sealed),
        };
        let sealed: Bytes = on_disk.ok_or_else(|| format!("there is no entry {index}"))?;
        let entry: C::Entry = unseal(&sealed).map_err(|damage| damage.to_string())?;
        Ok(Some(entry.get_log_id().clone()))
    }
}

impl<C: RaftTypeConfig> Watcher for Mutex<State<C>> {
    fn on_written(&self, number: u64) {
        lock(self).contents.tail.on_durable(number);
    }

    fn on_failed(&self, why: &str) {
        lock(self).failed = Some(why.to_owned());
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The index after this one.
fn next<N: openraft::NodeId>(id: &Option<LogId<N>>) -> u64 {
    id.as_ref().map_or(0, |id| id.index + 1)
}

fn failure<N: openraft::NodeId>(
    subject: ErrorSubject<N>,
    verb: ErrorVerb,
    what: impl ToString,
) -> StorageError<N> {
    StorageIOError::new(subject, verb, AnyError::error(what.to_string())).into()
}

impl<C: RaftTypeConfig> Clone for RedbLog<C> {
    fn clone(&self) -> Self {
        RedbLog {
            shared: self.shared.clone(),
        }
    }
}

impl<C: RaftTypeConfig> Debug for RedbLog<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("RedbLog")
            .field("vote", &state.contents.vote)
            .field("purged", &state.contents.purged)
            .field("last", &state.contents.last)
            .field("failed", &state.failed)
            .finish_non_exhaustive()
    }
}

impl<C: RaftTypeConfig> RaftLogReader<C> for RedbLog<C> {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Outcome<C, Vec<C::Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(start..end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Outcome<C, Vec<C::Entry>> {
        self.entries(start..end, READ_BYTES_MAX)
    }
}

impl<C: RaftTypeConfig> RaftLogStorage<C> for RedbLog<C> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Outcome<C, LogState<C>> {
        let state = self.lock();
        state.check(ErrorSubject::Logs, ErrorVerb::Read)?;
        Ok(LogState {
            last_purged_log_id: state.contents.purged.clone(),
            last_log_id: state.contents.last.clone(),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<C::NodeId>) -> Outcome<C, ()> {
        let sealed = seal(vote);
        self.write(ErrorVerb::Write, ErrorSubject::Vote, |_| {
            Ok(Write::Meta {
                name: disk::VOTE,
                sealed: sealed?,
                durable: true,
            })
        })
        .await?;
        self.lock().contents.vote = Some(vote.clone());
        Ok(())
    }

    async fn read_vote(&mut self) -> Outcome<C, Option<Vote<C::NodeId>>> {
        let state = self.lock();
        state.check(ErrorSubject::Vote, ErrorVerb::Read)?;
        Ok(state.contents.vote.clone())
    }

    /// Does not wait for the disk: it goes there with the next entry.
    async fn save_committed(&mut self, committed: Option<LogId<C::NodeId>>) -> Outcome<C, ()> {
        let sealed = seal(&committed);
        self.submit(|state, _| {
            state.check(ErrorSubject::Store, ErrorVerb::Write)?;
            let sealed =
                sealed.map_err(|what| failure(ErrorSubject::Store, ErrorVerb::Write, what))?;
            state.contents.committed = committed;
            let (name, durable) = (disk::COMMITTED, false);
            let write = Write::Meta {
                name,
                sealed,
                durable,
            };
            Ok((write, Box::new(|_| {})))
        })
    }

    async fn read_committed(&mut self) -> Outcome<C, Option<LogId<C::NodeId>>> {
        let state = self.lock();
        state.check(ErrorSubject::Store, ErrorVerb::Read)?;
        Ok(state.contents.committed.clone())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<C>) -> Outcome<C, ()>
    where
        I: IntoIterator<Item = C::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut sealed = Vec::new();
        for entry in entries {
            let id = entry.get_log_id().clone();
            let bytes = seal(&entry)
                .map_err(|what| failure(ErrorSubject::Log(id.clone()), ErrorVerb::Write, what))?;
            sealed.push((id, bytes));
        }
        if self.take(sealed, callback)? {
            let barrier = |_: &mut State<C>| Ok(Write::Barrier);
            self.write(ErrorVerb::Write, ErrorSubject::Logs, barrier)
                .await?;
        }
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId<C::NodeId>) -> Outcome<C, ()> {
        let db = self.shared.db.clone();
        let subject = ErrorSubject::Log(log_id.clone());
        self.write(ErrorVerb::Delete, subject, |state| {
            state.contents.last = state.id_before(log_id.index, &db)?;
            state.contents.tail.truncate(log_id.index);
            let since = log_id.index;
            Ok(Write::Truncate { since })
        })
        .await
    }

    async fn purge(&mut self, log_id: LogId<C::NodeId>) -> Outcome<C, ()> {
        let subject = ErrorSubject::Log(log_id.clone());
        self.write(ErrorVerb::Delete, subject, |state| {
            let id = seal(&log_id)?;
            let until = log_id.index + 1;
            let contents = &mut state.contents;
            if next(&contents.last) <= until {
                contents.last = Some(log_id.clone());
            }
            contents.purged = Some(log_id.clone());
            contents.tail.purge(until);
            Ok(Write::Purge { until, id })
        })
        .await
    }
}

impl<C: RaftTypeConfig> RedbLog<C> {
    /// Takes entries into memory and hands them to the writer. Whether so much waits there that the caller should wait, too.
    fn take(
        &self,
        sealed: Vec<(LogId<C::NodeId>, Bytes)>,
        callback: LogFlushed<C>,
    ) -> Outcome<C, bool> {
        let mut is_far_behind = false;
        self.submit(|state, number| {
            state.check(ErrorSubject::Logs, ErrorVerb::Write)?;
            let mut entries = Vec::with_capacity(sealed.len());
            let mut bytes_written = 0;
            for (id, bytes) in sealed {
                bytes_written += bytes.len();
                let contents = &mut state.contents;
                contents.tail.push(id.index, number, bytes.clone());
                entries.push((id.index, bytes));
                contents.last = Some(id);
            }
            state.backlog += bytes_written;
            is_far_behind = state.backlog > BACKLOG_BYTES_MAX;
            let theirs = self.shared.state.clone();
            let done = move |result: io::Result<()>| {
                lock(&theirs).backlog -= bytes_written;
                callback.log_io_completed(result);
            };
            Ok((Write::Append(entries), Box::new(done)))
        })?;
        Ok(is_far_behind)
    }
}
