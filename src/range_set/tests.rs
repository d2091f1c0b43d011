use super::RangeSet;

fn set(ranges: &[std::ops::Range<u64>]) -> RangeSet {
    let mut set = RangeSet::new();
    for range in ranges {
        set.insert(range.clone());
    }
    set
}

#[test]
fn touching_ranges_become_one() {
    assert_eq!(set(&[0..5, 5..9]), set(&[0..9]));
    assert_eq!(set(&[5..9, 0..5]), set(&[0..9]));
}

#[test]
fn removal_splits_a_range() {
    let mut set = set(&[0..10]);
    assert!(set.remove(3..5));
    assert_eq!(set.iter().collect::<Vec<_>>(), [0..3, 5..10]);
}
