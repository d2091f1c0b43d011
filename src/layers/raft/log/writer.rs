//! The one that writes: takes all that waits into one transaction, and answers when it is on the disk.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redb::Database;

use super::disk::{self, Write};
use crate::runtime;

/// Entries of one transaction: more would keep the first of them waiting.
pub(super) const BATCH_ENTRIES_MAX: usize = 4_096;
/// Bytes of one transaction.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// Durable commits whose times are remembered.
const TIMES: usize = 256;

/// Told what became of a write.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// A write, its number, and who waits for it.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) write: Write,
    pub(super) done: Done,
}

/// What the writer reports, before it answers.
pub(super) trait Watcher: Send + Sync + 'static {
    /// All writes up to this number are on the disk, or as near to it as they want.
    fn on_written(&self, number: u64);
    /// Nothing is written any more: the disk failed, and nobody knows what it holds.
    fn on_failed(&self, why: &str);
}

/// Writes on a thread of its own, or where it is called.
pub(super) enum Writer {
    Thread {
        jobs: Option<mpsc::Sender<Job>>,
        thread: Option<JoinHandle<()>>,
    },
    Inline(Mutex<Core>),
}

impl Writer {
    pub(super) fn new(
        db: Arc<Database>,
        watcher: Arc<dyn Watcher>,
        times: Arc<Times>,
        thread: bool,
    ) -> io::Result<Self> {
        let mut core = Core {
            db,
            watcher,
            times,
            failed: None,
            unsynced: false,
        };
        if !thread {
            return Ok(Writer::Inline(Mutex::new(core)));
        }
        let (jobs, waiting) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("aqueduct-log".to_owned())
            .spawn(move || {
                while let Ok(job) = waiting.recv() {
                    core.run(batch(job, &waiting));
                }
                core.close();
            })?;
        Ok(Writer::Thread {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Takes a write; jobs are done in the order in which they come.
    pub(super) fn submit(&self, job: Job) {
        match self {
            Writer::Thread { jobs, .. } => {
                let sent = jobs.as_ref().map(|jobs| jobs.send(job));
                if let Some(Err(mpsc::SendError(job))) = sent {
                    (job.done)(Err(io::Error::other("the log's thread has ended")));
                }
            }
            Writer::Inline(core) => {
                let mut core = core.lock().unwrap_or_else(PoisonError::into_inner);
                core.run(VecDeque::from([job]));
            }
        }
    }
}

/// Waits until all is written and the file is let go.
impl Drop for Writer {
    fn drop(&mut self) {
        match self {
            Writer::Thread { jobs, thread } => {
                drop(jobs.take());
                // One that panicked has said so.
                let _ = thread.take().map(JoinHandle::join);
            }
            Writer::Inline(core) => core
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner)
                .close(),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Writer::Thread { .. } => "Thread",
            Writer::Inline(_) => "Inline",
        })
    }
}

/// The first job and all that wait behind it, as many as one transaction takes.
fn batch(first: Job, waiting: &mpsc::Receiver<Job>) -> VecDeque<Job> {
    let (mut entries, mut bytes) = first.write.size();
    let mut jobs = VecDeque::from([first]);
    while entries < BATCH_ENTRIES_MAX && bytes < BATCH_BYTES_MAX {
        let Ok(job) = waiting.try_recv() else {
            break;
        };
        let (more_entries, more_bytes) = job.write.size();
        entries += more_entries;
        bytes += more_bytes;
        jobs.push_back(job);
    }
    jobs
}

/// What the thread does.
pub(super) struct Core {
    db: Arc<Database>,
    watcher: Arc<dyn Watcher>,
    times: Arc<Times>,
    failed: Option<String>,
    /// Something was committed that is not on the disk.
    unsynced: bool,
}

impl Core {
    /// One transaction for all of them; then the answers, in order. After a failure nothing is tried again: what an `fsync` that
    /// failed has left on the disk, a second one that succeeds does not say.
    fn run(&mut self, jobs: VecDeque<Job>) {
        if self.failed.is_none() {
            let durable = jobs.iter().any(|job| job.write.is_durable());
            let begun = runtime::now();
            match disk::commit(&self.db, jobs.iter().map(|job| &job.write), durable) {
                Ok(()) => {
                    self.unsynced = !durable;
                    if durable {
                        self.times.add(runtime::now() - begun);
                    }
                    if let Some(last) = jobs.back() {
                        self.watcher.on_written(last.number);
                    }
                }
                Err(error) => self.fail(&error),
            }
        }
        for job in jobs {
            (job.done)(match &self.failed {
                None => Ok(()),
                Some(why) => Err(io::Error::other(why.clone())),
            });
        }
    }

    fn fail(&mut self, error: &redb::Error) {
        let why = error.to_string();
        tracing::warn!(%why, "the log cannot be written: this node stops");
        self.watcher.on_failed(&why);
        self.failed = Some(why);
    }

    /// What needed no sync is synced after all, so that the next start knows it.
    fn close(&mut self) {
        if self.unsynced && self.failed.is_none() {
            if let Err(error) = disk::commit(&self.db, std::iter::empty(), true) {
                self.fail(&error);
            }
        }
    }
}

/// How long durable commits took.
#[derive(Debug, Default)]
pub(super) struct Times(Mutex<VecDeque<Duration>>);

impl Times {
    fn add(&self, time: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() == TIMES {
            times.pop_front();
        }
        times.push_back(time);
    }

    /// The 99th percentile of the newest.
    pub(super) fn p99(&self) -> Option<Duration> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = times.iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
        sorted.get(at).copied()
    }
}
