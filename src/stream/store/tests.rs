use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{LINKED_MIN, Store};

/// What a caller does.
#[derive(Clone, Debug)]
enum Op {
    Copy(usize),
    Link(usize),
    Drop(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0_usize..9_000).prop_map(Op::Copy),
        (1_usize..9_000).prop_map(Op::Link),
        (0_usize..20_000).prop_map(Op::Drop),
    ];
    vec(op, 1..60)
}

/// Bytes that say where they stand.
fn bytes_of(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|at| (at * 7 + at / 251).to_le_bytes()[0])
        .collect()
}

fn read(store: &Store, from: usize, to: usize) -> Vec<u8> {
    store.slices(from, to).collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn a_store_holds_what_a_vector_would(ops in ops(), cuts in vec((0_usize..50_000, 0_usize..3_000), 8)) {
        let mut store = Store::default();
        let (mut first, mut end) = (0, 0);
        for op in ops {
            match op {
                Op::Copy(len) => {
                    store.copy(&bytes_of(end, len), store.ring_len() + len);
                    end += len;
                }
                Op::Link(len) => {
                    store.link(Bytes::from(bytes_of(end, len)));
                    end += len;
                }
                Op::Drop(len) => {
                    let len = len.min(end - first);
                    store.drop_front(len);
                    first += len;
                }
            }
            prop_assert_eq!(store.len(), end - first);
            for &(from, len) in &cuts {
                let from = from.min(end - first);
                let to = (from + len).min(end - first);
                prop_assert_eq!(read(&store, from, to), bytes_of(first + from, to - from));
            }
        }
        store.drop_front(end - first);
        prop_assert_eq!((store.len(), store.pinned(), store.ring_len()), (0, 0, 0));
    }
}

#[test]
fn a_linked_slice_is_pinned_and_charged_until_its_last_byte_is_gone() {
    let data = Bytes::from(bytes_of(0, 10_000));
    let mut store = Store::default();
    store.link(data.slice(..5_000));
    store.copy(b"between", 7);
    store.link(data.slice(5_000..));
    assert_eq!(store.pinned(), 10_000);
    store.drop_front(4_999);
    assert_eq!(store.pinned(), 10_000, "one byte is left");
    store.drop_front(1);
    assert_eq!(store.pinned(), 5_000);
    assert!(!data.is_unique());
    store.drop_front(5_007);
    assert_eq!(store.pinned(), 0);
    assert!(data.is_unique(), "nobody else has it");
}

#[test]
fn short_slices_are_not_linked() {
    assert!(!Store::links(LINKED_MIN - 1) && Store::links(LINKED_MIN));
}
