//! Disjoint ranges of `u64`, sorted, none empty, none touching another.
//!
//! Acknowledged packets, lost bytes and received bytes are all sets of numbers that come almost in order,
//! so almost every change happens at the upper end, which costs a comparison. Elsewhere a binary
//! search finds the place, and a change moves at most half of the ranges by one. The set knows no bound:
//! who fills it from the network asks [`RangeSet::len`] and [`RangeSet::touches`] first.

use std::collections::VecDeque;
use std::iter::once;
use std::ops::Range;

/// A sorted set of numbers held as disjoint ranges.
///
/// ```
/// use aqueduct::range_set::RangeSet;
///
/// let mut set = RangeSet::new();
/// assert!(set.insert(0..10));
/// assert!(set.insert(20..30));
/// assert!(!set.insert(22..25), "nothing of it was new");
/// assert!(set.insert(10..20), "closes the gap");
/// assert_eq!(set.iter().collect::<Vec<_>>(), [0..30]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: VecDeque<Range<u64>>,
}

impl RangeSet {
    /// The empty set; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range; true if it held any number that was not in the set.
    pub fn insert(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        match self.ranges.back_mut() {
            Some(last) if range.start <= last.end => {
                if range.start < last.start {
                    return self.insert_below_last(range);
                }
                let grows = range.end > last.end;
                last.end = last.end.max(range.end);
                grows
            }
            _ => {
                self.ranges.push_back(range);
                true
            }
        }
    }

    /// Adds a range that begins below the last one.
    fn insert_below_last(&mut self, range: Range<u64>) -> bool {
        let from = self.ranges.partition_point(|held| held.end < range.start);
        let to = self.ranges.partition_point(|held| held.start <= range.end);
        if from == to {
            self.ranges.insert(from, range);
            return true;
        }
        let joined =
            self.ranges[from].start.min(range.start)..self.ranges[to - 1].end.max(range.end);
        if self.ranges[from] == joined {
            return false;
        }
        self.ranges[from] = joined;
        self.ranges.drain(from + 1..to);
        true
    }

    /// Takes a range out; true if any number of it was in the set.
    pub fn remove(&mut self, range: Range<u64>) -> bool {
        let from = self.ranges.partition_point(|held| held.end <= range.start);
        let to = self.ranges.partition_point(|held| held.start < range.end);
        if range.is_empty() || from >= to {
            return false;
        }
        let below = self.ranges[from].start..range.start;
        let above = range.end..self.ranges[to - 1].end;
        if to - from == 1 && !below.is_empty() && !above.is_empty() {
            self.ranges[from] = below;
            self.ranges.insert(to, above);
            return true;
        }
        let mut gone = from..to;
        if !below.is_empty() {
            self.ranges[from] = below;
            gone.start += 1;
        }
        if !above.is_empty() {
            self.ranges[to - 1] = above;
            gone.end -= 1;
        }
        self.ranges.drain(gone);
        true
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.ranges.partition_point(|held| held.end <= number);
        self.ranges.get(at).is_some_and(|held| held.start <= number)
    }

    /// Whether adding this range would make a held one longer, or change nothing, instead of making one more.
    pub fn touches(&self, range: &Range<u64>) -> bool {
        let at = self.ranges.partition_point(|held| held.end < range.start);
        self.ranges
            .get(at)
            .is_some_and(|held| held.start <= range.end)
    }

    /// The parts of a range that are not in the set, in ascending order.
    pub fn missing(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let end = range.end;
        let from = self.ranges.partition_point(|held| held.end <= range.start);
        let mut at = range.start;
        self.ranges
            .range(from..)
            .cloned()
            .take_while(move |held| held.start < end)
            .chain(once(end..end))
            .filter_map(move |held| {
                let hole = at..held.start;
                at = held.end;
                (!hole.is_empty()).then_some(hole)
            })
    }

    /// The lowest range.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.front().cloned()
    }

    /// The highest range.
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.back().cloned()
    }

    /// Takes the lowest range out.
    pub fn pop_first(&mut self) -> Option<Range<u64>> {
        self.ranges.pop_front()
    }

    /// Takes out at most `max` numbers of the lowest range; `None` if the set is empty or `max` is 0.
    pub fn take_first(&mut self, max: u64) -> Option<Range<u64>> {
        if max == 0 {
            return None;
        }
        let first = self.ranges.front_mut()?;
        let cut = first.start.saturating_add(max);
        if cut >= first.end {
            return self.ranges.pop_front();
        }
        let taken = first.start..cut;
        first.start = cut;
        Some(taken)
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in ascending order; the iterator runs from both ends.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + Clone + '_ {
        self.ranges.iter().cloned()
    }

    /// How many numbers are in the set; looks at every range.
    pub fn covered(&self) -> u64 {
        self.ranges.iter().map(|held| held.end - held.start).sum()
    }

    /// Checks what must hold between any two calls.
    #[cfg(test)]
    pub(crate) fn invariants(&self) {
        assert!(
            self.iter().all(|held| held.start < held.end),
            "an empty range: {self:?}"
        );
        let mut pairs = self.iter().zip(self.iter().skip(1));
        assert!(
            pairs.all(|(low, high)| low.end < high.start),
            "not sorted, or touching: {self:?}"
        );
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.ranges.capacity() * size_of::<Range<u64>>()
    }

    /// Gives back the memory of an empty set.
    pub fn shrink(&mut self) {
        if self.ranges.is_empty() {
            self.ranges = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests;
