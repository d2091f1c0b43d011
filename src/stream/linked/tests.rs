//! Trains that stay in their slabs, through the assembler that they belong to.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{LENT_MIN, PART_MIN};
use crate::limits::{CHUNK_BYTES, GAPS_MAX, SLAB_BYTES};
use crate::stream::Assembler;
use crate::wire::{Offset, Slab};

const HEADER: usize = 32;
const WINDOW: usize = 300_000;

fn offset(bytes: usize) -> Offset {
    Offset::ZERO.plus_len(bytes)
}

/// The byte of the stream at a place.
fn byte(at: usize) -> u8 {
    u8::try_from((at * 31 + at / 251) % 251).unwrap()
}

fn pattern(at: usize, len: usize) -> Vec<u8> {
    (at..at + len).map(byte).collect()
}

/// A slab as slices of the application keep it.
struct Owner(Arc<Slab>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

fn share(slab: Arc<Slab>) -> Bytes {
    Bytes::from_owner(Owner(slab))
}

/// A stream, and the slabs that it was given.
#[derive(Default)]
struct Rig {
    assembler: Assembler,
    slabs: Vec<Arc<Slab>>,
    read: usize,
    lent: Vec<(usize, Bytes)>,
}

impl Rig {
    /// Receives datagrams of `len` bytes behind their headers, from `at` on, as one train that fills its slab.
    fn train(&mut self, mut at: usize, len: usize, count: usize) {
        let mut slab = Slab::new();
        let stride = HEADER + len;
        let count = count.min(SLAB_BYTES / stride);
        for (index, room) in slab.space().chunks_mut(stride).take(count).enumerate() {
            room[HEADER..].copy_from_slice(&pattern(at + index * len, len));
        }
        let slab = Arc::new(slab);
        self.assembler.begin_train(&slab, SLAB_BYTES);
        for datagram in (*slab).as_ref().chunks(stride).take(count) {
            let limit = offset(self.read + WINDOW);
            // Beyond the window, or one gap too many: not taken.
            let _refused = self
                .assembler
                .insert(offset(at), &datagram[HEADER..], limit);
            self.assembler.invariants();
            at += len;
        }
        self.assembler.end_train();
        self.slabs.push(slab);
    }

    fn insert(&mut self, at: usize, len: usize) {
        let limit = offset(self.read + WINDOW);
        let _refused = self.assembler.insert(offset(at), &pattern(at, len), limit);
    }

    fn take(&mut self, bytes: &[u8]) {
        assert!(bytes == pattern(self.read, bytes.len()), "other bytes");
        self.read += bytes.len();
        assert_eq!(self.assembler.read_offset(), offset(self.read));
    }

    fn read(&mut self, max: usize) -> usize {
        let mut buf = vec![0; max];
        let len = self.assembler.peek(&mut buf);
        assert!(buf[..len] == pattern(self.read, len), "other bytes");
        buf.fill(0);
        assert_eq!(self.assembler.read(&mut buf), len);
        self.take(&buf[..len]);
        len
    }

    fn read_bytes(&mut self, max: usize) -> usize {
        let bytes = self.assembler.read_bytes(max);
        self.take(&bytes);
        bytes.len()
    }

    fn lend(&mut self, max: usize) -> Option<usize> {
        let at = self.read;
        let bytes = self.assembler.lend(max, share)?;
        assert!(LENT_MIN <= bytes.len() && bytes.len() <= max);
        self.take(&bytes);
        let len = bytes.len();
        self.lent.push((at, bytes));
        Some(len)
    }

    /// Slabs that the stream or a slice of it still keeps.
    fn kept(&self) -> usize {
        let kept = |slab: &&Arc<Slab>| Arc::strong_count(slab) > 1;
        self.slabs.iter().filter(kept).count()
    }

    fn check(&self) {
        self.assembler.invariants();
        // Twice the window in slabs, once in chunks, used or free, and what it takes to keep count of them.
        let counts =
            16 * GAPS_MAX + 16 * (WINDOW / CHUNK_BYTES + 2) + 48 * (WINDOW / PART_MIN + 128);
        let most = 3 * WINDOW + SLAB_BYTES + 2 * CHUNK_BYTES + counts;
        let memory = self.assembler.memory();
        assert!(memory <= most, "{memory} bytes");
        for (at, bytes) in &self.lent {
            assert!(**bytes == pattern(*at, bytes.len()), "lent bytes changed");
        }
    }
}

#[test]
fn a_train_in_order_is_not_copied_and_its_slab_is_free_once_it_was_read() {
    let mut rig = Rig::default();
    rig.train(0, 1_400, 44);
    assert_eq!(rig.kept(), 1);
    let memory = rig.assembler.memory();
    assert!(
        memory < SLAB_BYTES + CHUNK_BYTES,
        "no chunk is held: {memory}"
    );
    assert_eq!(rig.read(44 * 1_400 - 1), 44 * 1_400 - 1);
    assert_eq!(rig.kept(), 1);
    assert_eq!(rig.read(10), 1);
    assert_eq!(rig.kept(), 0);
    rig.assembler.shrink();
    assert_eq!(rig.assembler.memory(), 0);
}

#[test]
fn a_large_piece_is_handed_out_and_keeps_its_slab() {
    let mut rig = Rig::default();
    rig.insert(0, 5);
    rig.train(5, 16_000, 4);
    assert_eq!(
        rig.assembler.lend(usize::MAX, share),
        None,
        "five bytes are copied"
    );
    assert_eq!(rig.read_bytes(usize::MAX), 5, "and only they");
    assert_eq!(rig.assembler.lend(LENT_MIN - 1, share), None);
    assert_eq!(rig.lend(10_000), Some(10_000));
    assert_eq!(rig.lend(usize::MAX), None, "the rest is too small");
    assert_eq!(rig.read_bytes(usize::MAX), 6_000);
    for _ in 0..3 {
        assert_eq!(rig.lend(usize::MAX), Some(16_000));
    }
    assert_eq!((rig.assembler.unread(), rig.kept()), (0, 1));
    rig.check();
    rig.lent.clear();
    assert_eq!(rig.kept(), 0);
}

#[test]
fn a_slab_of_which_little_belongs_to_the_stream_is_not_kept() {
    let mut rig = Rig::default();
    // A train of other datagrams, but for a few.
    rig.train(0, 1_400, 5);
    assert_eq!(rig.kept(), 0);
    assert!(rig.assembler.memory() <= 7_000 + 2 * CHUNK_BYTES + 4_096);
    // Small segments are copied however many there are.
    rig.train(7_000, PART_MIN - 1, 120);
    assert_eq!(rig.kept(), 0);
    // A repetition of what was received brings nothing to keep.
    rig.train(7_000, PART_MIN - 1, 120);
    assert_eq!(rig.kept(), 0);
    while rig.read(10_000) > 0 {}
    rig.check();
}

#[test]
fn what_comes_behind_a_gap_is_copied() {
    let mut rig = Rig::default();
    rig.train(1, 16_000, 4);
    assert_eq!(rig.kept(), 0);
    rig.insert(0, 1);
    assert_eq!(rig.read(SLAB_BYTES), 1 + 4 * 16_000);
}

#[test]
fn what_is_thrown_away_frees_its_slabs() {
    let mut rig = Rig::default();
    rig.train(0, 16_000, 4);
    rig.train(64_000, 16_000, 4);
    assert_eq!(rig.kept(), 2);
    assert_eq!(rig.assembler.discard(), 128_000);
    assert_eq!(rig.kept(), 0);
    rig.read = 128_000;
    rig.train(128_000, 16_000, 4);
    rig.assembler.clear();
    assert_eq!(rig.kept(), 0);
    assert!(rig.assembler.memory() < 1_000);
}

#[derive(Clone, Debug)]
enum Op {
    /// At so many bytes after `rcv_nxt - 2,000`.
    Train {
        at: usize,
        len: usize,
        count: usize,
    },
    Insert {
        at: usize,
        len: usize,
    },
    Read(usize),
    ReadBytes(usize),
    Lend(usize),
    DropLent,
    Discard,
    Shrink,
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![300..1_500_usize, 8_000..17_000_usize];
    let at = prop_oneof![6 => Just(2_000_usize), 1 => 0..6_000_usize];
    prop_oneof![
        8 => (at, len, 1..64_usize).prop_map(|(at, len, count)| Op::Train { at, len, count }),
        4 => (0..6_000_usize, 0..3_000_usize).prop_map(|(at, len)| Op::Insert { at, len }),
        2 => (0..80_000_usize).prop_map(Op::Read),
        2 => (0..80_000_usize).prop_map(Op::ReadBytes),
        4 => (0..80_000_usize).prop_map(Op::Lend),
        1 => Just(Op::DropLent),
        1 => Just(Op::Discard),
        1 => Just(Op::Shrink),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_byte_is_read_in_its_place_however_it_was_kept(ops in vec(op(), 1..60)) {
        let mut rig = Rig::default();
        for op in ops {
            let rcv_nxt = rig.assembler.rcv_nxt().len_since(Offset::ZERO);
            let place = |at: usize| (rcv_nxt + at).saturating_sub(2_000);
            match op {
                Op::Train { at, len, count } => rig.train(place(at), len, count),
                Op::Insert { at, len } => rig.insert(place(at), len),
                Op::Read(max) => { rig.read(max); }
                Op::ReadBytes(max) => { rig.read_bytes(max); }
                Op::Lend(max) => { rig.lend(max); }
                Op::DropLent => rig.lent.clear(),
                Op::Discard => rig.read += rig.assembler.discard(),
                Op::Shrink => rig.assembler.shrink(),
            }
            rig.check();
        }
        while rig.read(10_000) > 0 {}
        rig.lent.clear();
        rig.check();
        prop_assert!(rig.kept() == 0, "all was read, and slabs are kept");
    }
}
