//! [`ReadBatcher`]: all linearizable reads that wait at the same moment ask the quorum together.
//!
//! A read is linearizable if, after it began, a quorum confirmed that this node leads, and what was committed then is applied. One
//! confirmation does for every read that began before it: so reads that come while one is under way wait for the next, all of them for
//! the same one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::error::{CheckIsLeaderError, Fatal, RaftError};
use openraft::{LogId, Raft, RaftTypeConfig};
use tokio::sync::oneshot;

/// Why a linearizable read cannot be answered here: this node does not lead, no quorum answers, or its Raft has stopped.
pub type ReadError<C> = RaftError<
    <C as RaftTypeConfig>::NodeId,
    CheckIsLeaderError<<C as RaftTypeConfig>::NodeId, <C as RaftTypeConfig>::Node>,
>;

type Confirmed<C> = Result<Option<LogId<<C as RaftTypeConfig>::NodeId>>, ReadError<C>>;

/// Confirms leadership for many reads at once. A handle: clones share the confirmations.
///
/// A leader answers a read after [`ReadBatcher::linearizable`]; a follower asks the leader for [`ReadBatcher::read_log_id`], waits
/// until it has applied that, and answers from its own state.
pub struct ReadBatcher<C: RaftTypeConfig> {
    raft: Raft<C>,
    rounds: Arc<Rounds<Confirmed<C>>>,
}

impl<C: RaftTypeConfig> ReadBatcher<C> {
    /// A batcher for this node.
    pub fn new(raft: Raft<C>) -> Self {
        ReadBatcher {
            raft,
            rounds: Arc::default(),
        }
    }

    /// The log id that has to be applied before a read that began before this call may be answered; a quorum has confirmed since then
    /// that this node leads.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Nothing is lost; the others get their answer.
    pub async fn read_log_id(&self) -> Confirmed<C> {
        let raft = self.raft.clone();
        let confirm = move || {
            let raft = raft.clone();
            async move { raft.get_read_log_id().await.map(|(read, _)| read) }
        };
        let stopped = || Err(RaftError::Fatal(Fatal::Stopped));
        self.rounds.join(confirm).await.unwrap_or_else(stopped)
    }

    /// Waits until this node's own state machine may answer a read that began before this call.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// As [`ReadBatcher::read_log_id`].
    pub async fn linearizable(&self) -> Result<(), ReadError<C>> {
        let read = self.read_log_id().await?;
        let index = read.map(|id| id.index);
        let applied = self.raft.wait(None);
        let applied = applied.applied_index_at_least(index, "a linearizable read");
        applied
            .await
            .map_err(|_| RaftError::Fatal(Fatal::Stopped))?;
        Ok(())
    }
}

impl<C: RaftTypeConfig> Clone for ReadBatcher<C> {
    fn clone(&self) -> Self {
        ReadBatcher {
            raft: self.raft.clone(),
            rounds: self.rounds.clone(),
        }
    }
}

impl<C: RaftTypeConfig> fmt::Debug for ReadBatcher<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBatcher").finish_non_exhaustive()
    }
}

/// Rounds of something that takes time, one at a time. Whoever joins gets what a round gave that began after he had joined.
struct Rounds<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    is_running: bool,
    waiting: Vec<oneshot::Sender<T>>,
}

impl<T> Default for Rounds<T> {
    fn default() -> Self {
        Rounds {
            state: Mutex::new(State {
                is_running: false,
                waiting: Vec::new(),
            }),
        }
    }
}

impl<T: Clone + Send + 'static> Rounds<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next round; `None` if the runtime ends before it does.
    async fn join<F>(self: &Arc<Self>, round: impl Fn() -> F + Send + Sync + 'static) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (done, answer) = oneshot::channel();
        let begins = {
            let mut state = self.lock();
            state.waiting.push(done);
            !std::mem::replace(&mut state.is_running, true)
        };
        if begins {
            // In a task of its own: who began it may go away, and the others still wait.
            tokio::spawn(self.clone().run(round));
        }
        answer.await.ok()
    }

    async fn run<F: Future<Output = T>>(self: Arc<Self>, round: impl Fn() -> F) {
        while let Some(waiting) = self.next() {
            let result = round().await;
            for done in waiting {
                // Who has gone away does not want to know.
                let _ = done.send(result.clone());
            }
        }
    }

    /// Those that the next round is for; with none, the rounds end.
    fn next(&self) -> Option<Vec<oneshot::Sender<T>>> {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        state.is_running = !waiting.is_empty();
        state.is_running.then_some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::Rounds;

    #[tokio::test]
    async fn who_joins_gets_a_round_that_began_after_he_had_joined() {
        let rounds = Arc::new(Rounds::<usize>::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let may_end = Arc::new(Semaphore::new(0));
        let mut readers = tokio::task::JoinSet::new();
        for wave in 0..4 {
            let before = begun.load(Ordering::SeqCst);
            for _ in 0..100 {
                let (rounds, begun, may_end) = (rounds.clone(), begun.clone(), may_end.clone());
                let round = move || {
                    let (begun, may_end) = (begun.clone(), may_end.clone());
                    async move {
                        let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                        may_end.acquire().await.expect("open").forget();
                        number
                    }
                };
                readers.spawn(async move {
                    let number = rounds.join(round).await.expect("there is room");
                    assert!(
                        number > before,
                        "wave {wave} got round {number} of before it"
                    );
                });
            }
            // All have joined before the next wave comes, while a round is under way.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
        may_end.add_permits(100);
        while let Some(reader) = readers.join_next().await {
            reader.expect("no panic");
        }
        let rounds_needed = begun.load(Ordering::SeqCst);
        println!("{rounds_needed} rounds for 400 reads");
        assert!(rounds_needed <= 3, "{rounds_needed} rounds");
    }

    #[tokio::test]
    async fn a_reader_who_leaves_takes_nobody_with_him() {
        let rounds = Arc::new(Rounds::<usize>::default());
        let may_end = Arc::new(Semaphore::new(0));
        let round = {
            let may_end = may_end.clone();
            move || {
                let may_end = may_end.clone();
                async move {
                    may_end.acquire().await.expect("open").forget();
                    7
                }
            }
        };
        let first = tokio::spawn({
            let (rounds, round) = (rounds.clone(), round.clone());
            async move { rounds.join(round).await }
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn(async move { rounds.join(round).await });
        tokio::task::yield_now().await;
        first.abort();
        may_end.add_permits(2);
        assert_eq!(second.await.expect("no panic"), Some(7));
    }
}
