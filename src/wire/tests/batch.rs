use crate::limits::{BATCH_BYTES_MAX, BATCH_DATAGRAMS_MAX};
use crate::wire::Batch;

/// Pushes datagrams of this size until there is no room; how many.
fn fill(batch: &mut Batch, size: usize) -> usize {
    let mut count = 0;
    while batch.room(size).is_some() {
        batch.push(size);
        count += 1;
    }
    count
}

#[test]
fn a_batch_has_at_most_64_datagrams() {
    let mut batch = Batch::new();
    assert_eq!(fill(&mut batch, 100), BATCH_DATAGRAMS_MAX);
    assert_eq!((batch.len(), batch.bytes().len()), (64, 6_400));
    assert_eq!(batch.datagrams().count(), 64);
}

#[test]
fn a_batch_is_at_most_one_udp_payload_long() {
    for size in [1_200, 1_472, 8_972, 30_000, BATCH_BYTES_MAX] {
        let mut batch = Batch::new();
        assert_eq!(fill(&mut batch, size), BATCH_BYTES_MAX / size, "{size}");
    }
    assert!(Batch::new().room(BATCH_BYTES_MAX + 1).is_none());
    assert!(Batch::new().room(0).is_none());
}

#[test]
fn the_first_datagram_sets_the_size_and_a_shorter_one_is_the_last() {
    let mut batch = Batch::new();
    assert!(batch.is_empty());
    batch.push(1_000);
    assert_eq!(batch.room(1_472).map(|room| room.len()), Some(1_000));
    assert_eq!(batch.room(600).map(|room| room.len()), Some(600));
    batch.push(999);
    assert!(batch.room(1).is_none());
    let sizes: Vec<_> = batch.datagrams().map(<[u8]>::len).collect();
    assert_eq!((sizes, batch.segment_size()), (vec![1_000, 999], 1_000));

    batch.clear();
    assert!(batch.is_empty() && batch.bytes().is_empty());
    assert_eq!(batch.room(1_472).map(|room| room.len()), Some(1_472));
}

#[test]
#[should_panic(expected = "no datagram is longer than the first")]
fn no_datagram_outgrows_the_first() {
    let mut batch = Batch::new();
    batch.push(100);
    batch.push(101);
}
