//! What a change of a set of ranges costs: at its end, and in the middle of the most it may hold.

use std::hint::black_box;
use std::time::Duration;

use aqueduct::range_set::RangeSet;
use criterion::{Criterion, criterion_group, criterion_main};

/// A set of `count` single numbers, every other one.
fn scattered(count: u64) -> RangeSet {
    let mut set = RangeSet::new();
    for number in 0..count {
        set.insert(2 * number..2 * number + 1);
    }
    set
}

fn range_set(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range_set");

    let mut set = RangeSet::new();
    let mut next = 0;
    group.bench_function("insert_next_number", |bencher| {
        bencher.iter(|| {
            next += 1;
            set.insert(black_box(next..next + 1))
        });
    });

    for count in [256, 1_024, 100_000] {
        let mut set = scattered(count);
        let middle = count | 1;
        group.bench_function(
            format!("insert_and_remove_in_the_middle_of_{count}"),
            |bencher| {
                bencher.iter(|| {
                    set.insert(black_box(middle..middle + 1));
                    set.remove(black_box(middle..middle + 1))
                });
            },
        );
        group.bench_function(format!("contains_in_{count}"), |bencher| {
            bencher.iter(|| set.contains(black_box(middle)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = range_set
}
criterion_main!(benches);
