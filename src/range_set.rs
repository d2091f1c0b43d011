//! Disjoint ranges of `u64`, sorted, none empty, none touching another.

use std::collections::VecDeque;
use std::ops::Range;

/// A sorted set of numbers held as disjoint ranges.
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
    pub fn insert(&mut self, _range: Range<u64>) -> bool {
        todo!()
    }
    /// Takes a range out; true if any number of it was in the set.
    pub fn remove(&mut self, _range: Range<u64>) -> bool {
        todo!()
    }
    /// Whether the number is in the set.
    pub fn contains(&self, _number: u64) -> bool {
        todo!()
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
    /// How many numbers are in the set.
    pub fn covered(&self) -> u64 {
        todo!()
    }
    /// Gives back the memory of an empty set.
    pub fn shrink(&mut self) {
        if self.ranges.is_empty() {
            self.ranges = VecDeque::new();
        }
    }
}
