//! The largest delivery rate of this and the last bandwidth-probing cycle (sections 5.5.2 to 5.5.6).

/// A maximum over two cycles. Rates are bytes a second.
#[derive(Clone, Debug, Default)]
pub(super) struct MaxBwFilter {
    current: u64,
    previous: u64,
}

impl MaxBwFilter {
    /// The largest rate; 0 before the first.
    pub(super) fn max_bw(&self) -> u64 {
        self.current.max(self.previous)
    }

    /// A rate was measured. One that the application limited says something only if it is the largest.
    pub(super) fn update(&mut self, rate: u64, app_limited: bool) {
        if !app_limited || rate >= self.max_bw() {
            self.current = self.current.max(rate);
        }
    }

    /// A cycle is over: what was measured before the last one is forgotten.
    pub(super) fn advance(&mut self) {
        // A cycle in which nothing was measured is none: its silence says nothing of the path.
        if self.current > 0 {
            self.previous = std::mem::take(&mut self.current);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_remembered_for_two_cycles() {
        let mut filter = MaxBwFilter::default();
        filter.update(1_000, false);
        filter.advance();
        filter.update(100, false);
        assert_eq!(filter.max_bw(), 1_000);
        filter.advance();
        filter.update(100, false);
        assert_eq!(filter.max_bw(), 100);
    }

    #[test]
    fn a_rate_that_the_application_limited_counts_only_upward() {
        let mut filter = MaxBwFilter::default();
        filter.update(1_000, false);
        filter.advance();
        filter.update(900, true);
        filter.advance();
        assert_eq!(
            filter.max_bw(),
            1_000,
            "a cycle without a sample forgets nothing"
        );
        filter.update(1_100, true);
        assert_eq!(filter.max_bw(), 1_100);
    }
}
