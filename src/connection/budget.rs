//! The memory that all connections of one endpoint share.
//!
//! ```text
//! 0                                   3/4            15/16    1
//! |  windows grow                     |  small       |  strangers wait, what stood still for longest is reset
//! |                                   |  windows     |        |  data is not taken
//! ```
//!
//! What was acknowledged is never dropped. A window may promise more than there is: memory is taken when data
//! arrives, and data for which there is none counts as lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::limits::SLAB_BYTES;
use crate::wire::Slab;

/// The step in which a connection takes memory from the budget, so that few packets touch the shared count.
const STEP: usize = 16 << 10;
/// A connection gives back what it does not need once it is more than this.
const SLACK_MAX: usize = 2 * STEP;

/// The memory of one endpoint, bytes: how much there is, and how much its connections hold.
///
/// ```
/// use aqueduct::connection::Budget;
///
/// let budget = Budget::new(1 << 20);
/// assert_eq!((budget.limit(), budget.held()), (1 << 20, 0));
/// assert!(!budget.is_tight() && !budget.is_exhausted());
/// ```
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of `limit` bytes, none of them held.
    pub fn new(limit: usize) -> Self {
        Budget {
            limit,
            held: AtomicUsize::new(0),
        }
    }

    /// How much there is, bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How much is held, bytes, rounded up for each connection.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether three quarters are held: windows grow no more, and new ones are small.
    pub fn is_tight(&self) -> bool {
        self.held() >= self.limit - self.limit / 4
    }

    /// Whether 15 of 16 parts are held: strangers wait, and what stood still for longest is given up.
    pub fn is_exhausted(&self) -> bool {
        self.held() >= self.limit - self.limit / 16
    }

    /// Whether an eighth is free again: enough was given up.
    pub fn is_relieved(&self) -> bool {
        self.held() <= self.limit - self.limit / 8
    }

    /// Takes `bytes` if there are as many.
    fn try_take(&self, bytes: usize) -> bool {
        let take = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }

    fn take(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        let before = self.held.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "more memory given back than was taken");
    }
}

/// What one connection holds of its endpoint's budget: never less than its memory, after [`Account::settle`].
#[derive(Debug, Default)]
pub(super) struct Account {
    /// `None`: a connection without an endpoint, which takes what it likes.
    budget: Option<Arc<Budget>>,
    held: usize,
}

impl Account {
    /// An empty account with this budget.
    pub(super) fn with(budget: Arc<Budget>) -> Self {
        Account {
            budget: Some(budget),
            held: 0,
        }
    }

    /// Whether windows are to stay small.
    pub(super) fn is_tight(&self) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.is_tight())
    }

    /// Whether the connection may hold `memory` bytes. If so, they are taken.
    pub(super) fn admits(&mut self, memory: usize) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        if memory <= self.held {
            return true;
        }
        let more = memory.next_multiple_of(STEP) - self.held;
        let admitted = budget.try_take(more);
        if admitted {
            self.held += more;
        }
        admitted
    }

    /// The connection holds `memory` bytes now: takes what is missing, gives back what is much too much.
    pub(super) fn settle(&mut self, memory: usize) {
        if memory > self.held || self.held - memory > SLACK_MAX {
            self.set(memory.next_multiple_of(STEP));
        }
    }

    /// As [`Account::settle`], but gives back all that is not needed: the connection rests.
    pub(super) fn rest(&mut self, memory: usize) {
        self.set(memory);
    }

    /// A slab whose slices the application may keep: it counts until the last of them is gone.
    pub(super) fn lend(&self, slab: Arc<Slab>) -> Bytes {
        if let Some(budget) = &self.budget {
            budget.take(SLAB_BYTES);
        }
        Bytes::from_owner(Lent {
            slab,
            budget: self.budget.clone(),
        })
    }

    fn set(&mut self, held: usize) {
        let Some(budget) = &self.budget else {
            return;
        };
        if held > self.held {
            budget.take(held - self.held);
        } else {
            budget.give(self.held - held);
        }
        self.held = held;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A slab in the hands of the application.
struct Lent {
    slab: Arc<Slab>,
    budget: Option<Arc<Budget>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        (*self.slab).as_ref()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give(SLAB_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_account_holds_covers_its_memory_and_is_counted_once() {
        let budget = Arc::new(Budget::new(10 * STEP));
        let mut one = Account::with(Arc::clone(&budget));
        let mut two = Account::with(Arc::clone(&budget));
        assert!(one.admits(1) && two.admits(STEP + 1));
        assert_eq!(budget.held(), 3 * STEP);
        assert!(one.admits(STEP), "it holds as much already");
        assert_eq!(budget.held(), 3 * STEP);
        one.settle(4 * STEP);
        assert_eq!(budget.held(), 6 * STEP);
        one.settle(2 * STEP);
        assert_eq!(budget.held(), 6 * STEP, "a little slack stays");
        one.settle(STEP);
        assert_eq!(budget.held(), 3 * STEP);
        two.rest(7);
        assert_eq!(budget.held(), STEP + 7);
        drop((one, two));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn nothing_is_admitted_beyond_the_limit_and_a_refusal_takes_nothing() {
        let budget = Arc::new(Budget::new(4 * STEP));
        let mut account = Account::with(Arc::clone(&budget));
        assert!(!account.is_tight());
        assert!(account.admits(3 * STEP));
        assert!(account.is_tight() && !budget.is_exhausted());
        assert!(!account.admits(4 * STEP + 1));
        assert_eq!(budget.held(), 3 * STEP);
        assert!(account.admits(4 * STEP));
        assert!(budget.is_exhausted() && !budget.is_relieved());
        assert!(!account.admits(usize::MAX - STEP));
        account.rest(3 * STEP);
        assert!(budget.is_relieved());
    }

    #[test]
    fn what_the_application_keeps_counts_until_the_last_slice_is_gone() {
        let budget = Arc::new(Budget::new(10 * SLAB_BYTES));
        let account = Account::with(Arc::clone(&budget));
        let slab = Arc::new(Slab::new());
        let lent = account.lend(Arc::clone(&slab));
        let slices = [lent.slice(..9_000), lent.slice(9_000..20_000)];
        drop((lent, account));
        assert_eq!(budget.held(), SLAB_BYTES);
        let [first, second] = slices;
        drop(first);
        assert_eq!(budget.held(), SLAB_BYTES);
        drop(second);
        assert_eq!((budget.held(), Arc::strong_count(&slab)), (0, 1));
    }

    #[test]
    fn an_account_without_a_budget_admits_everything() {
        let mut account = Account::default();
        assert!(account.admits(usize::MAX) && !account.is_tight());
        account.settle(usize::MAX - STEP);
    }
}
