use std::collections::BTreeSet;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use super::RangeSet;

fn set(ranges: &[Range<u64>]) -> RangeSet {
    let mut set = RangeSet::new();
    for range in ranges {
        set.insert(range.clone());
    }
    set
}

#[track_caller]
fn assert_holds(set: &RangeSet, ranges: &str) {
    set.invariants();
    let held: Vec<String> = set.iter().map(|range| format!("{range:?}")).collect();
    assert_eq!(held.join(" "), ranges);
}

#[test]
fn touching_ranges_become_one() {
    assert_holds(&set(&[0..5, 5..9]), "0..9");
    assert_holds(&set(&[5..9, 0..5]), "0..9");
    assert_holds(&set(&[0..2, 4..6, 2..4]), "0..6");
}

#[test]
fn one_range_swallows_many() {
    let mut set = set(&[1..2, 4..5, 7..8, 10..11]);
    assert!(set.insert(3..9));
    assert_holds(&set, "1..2 3..9 10..11");
}

#[test]
fn an_empty_range_changes_nothing() {
    let mut set = set(&[3..5, 5..6]);
    assert!(!set.insert(4..4));
    assert!(!set.insert(9..9));
    assert!(!set.remove(4..4));
    assert_holds(&set, "3..6");
}

#[test]
fn removal_splits_shortens_and_takes_whole_ranges() {
    let mut set = set(&[0..10, 20..30, 40..50]);
    assert!(set.remove(3..5));
    assert_holds(&set, "0..3 5..10 20..30 40..50");
    assert!(set.remove(8..45));
    assert_holds(&set, "0..3 5..8 45..50");
    assert!(set.remove(45..50));
    assert!(!set.remove(8..100));
    assert_holds(&set, "0..3 5..8");
}

#[test]
fn the_highest_number_is_a_number_like_others() {
    let mut set = RangeSet::new();
    set.insert(u64::MAX - 1..u64::MAX);
    assert_eq!(set.take_first(u64::MAX), Some(u64::MAX - 1..u64::MAX));
    assert!(set.is_empty());
}

#[test]
fn memory_is_taken_with_the_first_range_and_given_back_by_shrink() {
    let mut set = RangeSet::new();
    assert_eq!(set.memory(), 0);
    set.insert(0..1);
    set.shrink();
    assert!(set.memory() > 0, "a set that holds something keeps it");
    set.pop_first();
    set.shrink();
    assert_eq!(set.memory(), 0);
}

/// Numbers of the model: few, so that ranges meet.
const NUMBERS: u64 = 48;

#[derive(Clone, Debug)]
enum Op {
    Insert(Range<u64>),
    Remove(Range<u64>),
    PopFirst,
    TakeFirst(u64),
    Shrink,
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..NUMBERS, 0..12_u64).prop_map(|(start, len)| start..start + len)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => range().prop_map(Op::Insert),
        4 => range().prop_map(Op::Remove),
        1 => Just(Op::PopFirst),
        1 => (0..6_u64).prop_map(Op::TakeFirst),
        1 => Just(Op::Shrink),
    ]
}

/// The same set, number by number.
#[derive(Default)]
struct Model {
    numbers: BTreeSet<u64>,
}

impl Model {
    fn apply(&mut self, set: &mut RangeSet, op: Op) {
        match op {
            Op::Insert(range) => {
                let grows = range.clone().any(|number| !self.numbers.contains(&number));
                self.numbers.extend(range.clone());
                assert_eq!(set.insert(range), grows);
            }
            Op::Remove(range) => {
                let shrinks = range.clone().any(|number| self.numbers.contains(&number));
                self.numbers.retain(|number| !range.contains(number));
                assert_eq!(set.remove(range), shrinks);
            }
            Op::PopFirst => assert_eq!(set.pop_first(), self.take(u64::MAX)),
            Op::TakeFirst(max) => assert_eq!(set.take_first(max), self.take(max)),
            Op::Shrink => set.shrink(),
        }
    }

    fn take(&mut self, max: u64) -> Option<Range<u64>> {
        let start = *self.numbers.first()?;
        let mut end = start;
        while end - start < max && self.numbers.remove(&end) {
            end += 1;
        }
        (start < end).then_some(start..end)
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        runs(|number| self.numbers.contains(&number), 0..2 * NUMBERS)
    }

    fn check(&self, set: &RangeSet, probe: Range<u64>) {
        set.invariants();
        let ranges = self.ranges();
        assert_eq!(set.iter().collect::<Vec<_>>(), ranges);
        assert_eq!(set.iter().rev().collect::<Vec<_>>().len(), set.len());
        assert_eq!(set.first(), ranges.first().cloned());
        assert_eq!(set.last(), ranges.last().cloned());
        assert_eq!(set.is_empty(), ranges.is_empty());
        assert_eq!(usize::try_from(set.covered()).unwrap(), self.numbers.len());
        for number in 0..2 * NUMBERS {
            assert_eq!(set.contains(number), self.numbers.contains(&number));
        }
        let missing = runs(|number| !self.numbers.contains(&number), probe.clone());
        assert_eq!(set.missing(probe.clone()).collect::<Vec<_>>(), missing);
        let mut grown = set.clone();
        grown.insert(probe.clone());
        if !probe.is_empty() {
            assert_eq!(set.touches(&probe), grown.len() <= set.len());
        }
    }
}

/// The longest ranges of numbers within `of` that satisfy a condition.
fn runs(holds: impl Fn(u64) -> bool, of: Range<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for number in of.filter(|&number| holds(number)) {
        match runs.last_mut() {
            Some(last) if last.end == number => last.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_range_set_is_a_set_of_numbers(ops in vec((op(), range()), 1..60)) {
        let mut set = RangeSet::new();
        let mut model = Model::default();
        for (op, probe) in ops {
            model.apply(&mut set, op);
            model.check(&set, probe);
        }
    }
}
