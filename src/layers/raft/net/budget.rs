//! [`Budget`]: how long an `AppendEntries` may be, so that it is there before its time is over.

/// The least budget, bytes: what any path carries in a round trip.
pub(super) const BUDGET_MIN: usize = 64 << 10;

/// Bytes of entries in one call: halved by a call that was late, growing again with those that were not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Budget {
    now: usize,
    max: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        let max = max.max(BUDGET_MIN);
        Budget { now: max, max }
    }

    /// How many of `entries`, which have `bytes` together, should be sent instead; `None` if all may. A single entry always may.
    pub(super) fn hint(self, entries: usize, bytes: usize) -> Option<u64> {
        if entries <= 1 || bytes <= self.now {
            return None;
        }
        let fit = entries.saturating_mul(self.now) / bytes;
        u64::try_from(fit.clamp(1, entries - 1)).ok()
    }

    /// A call of so many bytes was not answered in time.
    pub(super) fn on_late(&mut self, bytes: usize) {
        if bytes > BUDGET_MIN {
            self.now = (bytes / 2).clamp(BUDGET_MIN, self.now);
        }
    }

    /// A call of so many bytes was answered.
    pub(super) fn on_answer(&mut self, bytes: usize) {
        // Short ones prove nothing about long ones.
        if bytes > self.now / 2 {
            self.now = (self.now + self.now / 4).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET_MIN, Budget};

    #[test]
    fn r2_a_body_over_the_budget_is_cut_by_entries_but_one_entry_is_always_sent() {
        let budget = Budget::new(1 << 20);
        assert_eq!(budget.hint(100, 1 << 20), None);
        assert_eq!(budget.hint(100, 2 << 20), Some(50));
        assert_eq!(budget.hint(2, 100 << 20), Some(1));
        assert_eq!(budget.hint(1, 100 << 20), None);
        assert_eq!(budget.hint(0, 0), None, "a heartbeat");
        for entries in 2..200 {
            for bytes in (1..40_usize).map(|n| n << 18) {
                let hint = budget.hint(entries, bytes);
                let is_less = hint.is_none_or(|hint| hint >= 1 && hint < entries as u64);
                assert!(is_less, "{entries} entries of {bytes} bytes: {hint:?}");
            }
        }
    }

    #[test]
    fn late_calls_shorten_those_that_follow_and_answers_lengthen_them_again() {
        let mut budget = Budget::new(1 << 20);
        budget.on_late(1 << 20);
        assert_eq!(budget.hint(10, 1 << 20), Some(5));
        for _ in 0..20 {
            budget.on_late(1 << 20);
            budget.on_late(BUDGET_MIN);
        }
        assert!(
            budget.hint(10, BUDGET_MIN).is_none(),
            "never below the least"
        );
        let mut budget = Budget::new(1 << 20);
        budget.on_late(BUDGET_MIN + 2);
        assert_eq!(budget.hint(2, BUDGET_MIN + 1), Some(1));
        budget.on_answer(10);
        assert_eq!(budget.hint(2, BUDGET_MIN + 1), Some(1));
        for _ in 0..20 {
            budget.on_answer(1 << 20);
        }
        assert_eq!(budget, Budget::new(1 << 20));
    }
}
