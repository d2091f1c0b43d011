use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Assembler, AssemblerError, Inserted};
use crate::limits::{CHUNK_BYTES, GAPS_MAX};
use crate::wire::Offset;

fn offset(bytes: usize) -> Offset {
    Offset::ZERO.plus_len(bytes)
}

fn read_all(assembler: &mut Assembler) -> Vec<u8> {
    let mut buf = vec![0; assembler.unread()];
    assert_eq!(assembler.read(&mut buf), buf.len());
    buf
}

/// Everything that can be seen from outside.
fn state(assembler: &Assembler) -> (Offset, Offset, usize, Offset, usize) {
    (
        assembler.read_offset(),
        assembler.rcv_nxt(),
        assembler.gaps(),
        assembler.highest(),
        assembler.memory(),
    )
}

#[test]
fn a_segment_beyond_the_limit_is_refused_whole() {
    let mut assembler = Assembler::new();
    for at in [0, 3, 100] {
        let refused = assembler.insert(Offset::new(at), b"12345", Offset::new(4));
        assert_eq!(refused, Err(AssemblerError::BeyondWindow));
    }
    assert_eq!(state(&assembler), state(&Assembler::new()));
    assert!(
        assembler
            .insert(Offset::ZERO, b"1234", Offset::new(4))
            .is_ok()
    );
}

#[test]
fn an_offset_at_the_end_of_all_numbers_does_not_wrap() {
    let mut assembler = Assembler::new();
    for at in [u64::MAX - 5, u64::MAX - 1, u64::MAX] {
        let refused = assembler.insert(Offset::new(at), b"12345", Offset::MAX);
        assert_eq!(refused, Err(AssemblerError::BeyondWindow));
    }
    assert_eq!(assembler.memory(), 0);
}

#[test]
fn an_empty_segment_changes_nothing_wherever_it_stands() {
    let mut assembler = Assembler::new();
    for at in [0, 4, 5, u64::MAX] {
        assert_eq!(
            assembler.insert(Offset::new(at), b"", offset(4)),
            Ok(Inserted::default())
        );
    }
    assert_eq!(state(&assembler), state(&Assembler::new()));
}

#[test]
fn each_segment_says_what_it_did() {
    let mut assembler = Assembler::new();
    let mut insert = |at, data: &[u8]| assembler.insert(offset(at), data, offset(100)).unwrap();
    let inserted = |new, advanced, filled_gap, out_of_order| Inserted {
        new,
        advanced,
        filled_gap,
        out_of_order,
    };
    assert_eq!(insert(0, b"01"), inserted(2, 2, false, false));
    assert_eq!(
        insert(0, b"01"),
        inserted(0, 0, false, false),
        "a duplicate"
    );
    assert_eq!(
        insert(1, b"12"),
        inserted(1, 1, false, false),
        "old and new"
    );
    assert_eq!(
        insert(10, b"ab"),
        inserted(2, 0, false, true),
        "leaves a gap"
    );
    assert_eq!(
        insert(10, b"ab"),
        inserted(0, 0, false, true),
        "early, and a duplicate"
    );
    assert_eq!(
        insert(11, b"bc"),
        inserted(1, 0, false, true),
        "beyond all, fills nothing"
    );
    assert_eq!(
        insert(6, b"6"),
        inserted(1, 0, true, true),
        "fills a gap in part"
    );
    assert_eq!(
        insert(2, b"2345"),
        inserted(3, 4, true, false),
        "up to the next held byte"
    );
    assert_eq!(
        insert(4, b"456789abcd"),
        inserted(4, 7, true, false),
        "the rest, and more"
    );
    assert_eq!(read_all(&mut assembler), b"0123456789abcd");
}

#[test]
fn peek_leaves_the_bytes_and_discard_takes_them() {
    let mut assembler = Assembler::new();
    assembler
        .insert(Offset::ZERO, b"hello", offset(10))
        .unwrap();
    let mut buf = [0; 3];
    assert_eq!(assembler.peek(&mut buf), 3);
    assert_eq!(&buf, b"hel");
    assert_eq!(assembler.read(&mut buf), 3);
    assert_eq!(&buf, b"hel");
    assert_eq!(assembler.discard(), 2);
    assert_eq!(assembler.read(&mut buf), 0);
    assert_eq!(assembler.read_offset(), offset(5));
}

#[test]
fn five_segments_in_all_120_orders_give_one_stream() {
    const LEN: usize = 1_000;
    let data: Vec<u8> = (0..5 * LEN)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    let mut orders = vec![vec![]];
    for segment in 0..5 {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..=order.len()).map(|place| {
                    let mut longer = order.clone();
                    longer.insert(place, segment);
                    longer
                })
            })
            .collect();
    }
    assert_eq!(orders.len(), 120);
    for order in orders {
        let mut assembler = Assembler::new();
        for segment in order {
            let at = segment * LEN;
            assembler
                .insert(offset(at), &data[at..at + LEN], offset(data.len()))
                .unwrap();
            assembler.invariants();
        }
        assert_eq!(read_all(&mut assembler), data);
    }
}

/// Bytes of a grid unit: not a divisor of a chunk, so that seams fall everywhere.
const UNIT: usize = 700;
const UNITS: usize = 8;

/// The stream as it must be: of each unit the first sender's copy.
#[derive(Default)]
struct Overlap {
    assembler: Assembler,
    units: [Option<u8>; UNITS],
    seen: Vec<u8>,
}

impl Overlap {
    fn insert(&mut self, units: &Range<usize>, sender: u8) {
        let data = vec![sender; units.len() * UNIT];
        let limit = offset(UNITS * UNIT);
        self.assembler
            .insert(offset(units.start * UNIT), &data, limit)
            .unwrap();
        self.assembler.invariants();
        for unit in &mut self.units[units.clone()] {
            unit.get_or_insert(sender);
        }
        let in_order = self.units.iter().take_while(|unit| unit.is_some()).count();
        assert_eq!(self.assembler.rcv_nxt(), offset(in_order * UNIT));
    }

    fn read(&mut self) {
        self.seen.extend(read_all(&mut self.assembler));
    }

    fn check(mut self) {
        self.insert(&(0..UNITS), 4);
        self.read();
        let expected = self.units.map(|unit| vec![unit.unwrap(); UNIT]);
        assert!(
            self.seen == expected.concat(),
            "not the first copies: {:?}",
            self.units
        );
    }
}

#[test]
fn the_first_copy_wins_in_all_46_656_overlaps_of_three() {
    let intervals: Vec<Range<usize>> = (0..UNITS)
        .flat_map(|start| (start + 1..=UNITS).map(move |end| start..end))
        .collect();
    let mut cases = 0;
    for first in &intervals {
        for second in &intervals {
            for third in &intervals {
                let mut patient = Overlap::default();
                let mut eager = Overlap::default();
                for (sender, units) in (1..).zip([first, second, third]) {
                    patient.insert(units, sender);
                    eager.insert(units, sender);
                    eager.read();
                }
                patient.check();
                eager.check();
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 46_656);
}

/// What [`Assembler::memory`] promises for a window.
fn memory_max(window: usize) -> usize {
    window + 2 * CHUNK_BYTES + 16 * GAPS_MAX + 16 * (window / CHUNK_BYTES + 2) + 256
}

#[test]
fn the_gap_beyond_the_most_is_refused_and_changes_nothing() {
    let mut assembler = Assembler::new();
    let limit = offset(256 << 10);
    for gap in 0..GAPS_MAX {
        let inserted = assembler.insert(offset(2 * gap + 1), b"x", limit).unwrap();
        assert_eq!((inserted.new, inserted.out_of_order), (1, true));
    }
    assembler.invariants();
    assert_eq!(assembler.gaps(), GAPS_MAX);

    let before = state(&assembler);
    let refused = assembler.insert(offset(2 * GAPS_MAX + 1), b"xxx", limit);
    assert_eq!(refused, Err(AssemblerError::TooManyGaps));
    assert_eq!(state(&assembler), before);

    let touching = assembler.insert(offset(2 * GAPS_MAX), b"x", limit);
    assert!(touching.is_ok(), "a segment that makes no gap is taken");
    for gap in (0..GAPS_MAX).rev() {
        assembler.insert(offset(2 * gap), b"o", limit).unwrap();
    }
    let stream = [b"ox".repeat(GAPS_MAX), b"x".to_vec()].concat();
    assert_eq!(
        read_all(&mut assembler),
        stream,
        "nothing of the refused segment was kept"
    );
}

#[test]
fn memory_is_bounded_whatever_the_peer_sends() {
    let window = 256 << 10;
    // Neither reads nor the start of the window need fall on the seam of two chunks.
    for start in [0, 1, CHUNK_BYTES - 1] {
        let mut assembler = Assembler::new();
        assembler
            .insert(Offset::ZERO, &vec![0; start], offset(start))
            .unwrap();
        assert_eq!(assembler.discard(), start);
        let limit = offset(start + window);
        for index in 1..=GAPS_MAX {
            let at = offset(start + index * (window / GAPS_MAX) - 1);
            assembler.insert(at, b"x", limit).unwrap();
        }
        assembler.invariants();
        assert_eq!(
            assembler.gaps(),
            GAPS_MAX,
            "as many gaps as allowed, over all chunks"
        );
        assert!(assembler.memory() >= window, "the attack reaches the limit");
        assert!(
            assembler.memory() <= memory_max(window),
            "{} bytes",
            assembler.memory()
        );
        assert!(
            assembler.memory() <= (256 + 40) << 10,
            "{} bytes",
            assembler.memory()
        );
    }
}

#[test]
fn one_byte_far_away_costs_one_chunk() {
    let mut assembler = Assembler::new();
    let window = 256 << 10;
    assembler
        .insert(offset(window - 1), b"x", offset(window))
        .unwrap();
    let memory = assembler.memory();
    assert!(
        memory <= 2 * CHUNK_BYTES + 16 * (window / CHUNK_BYTES),
        "{memory} bytes"
    );
}

#[test]
fn a_steady_stream_allocates_nothing_and_a_quiet_one_holds_nothing() {
    let mut assembler = Assembler::new();
    assert_eq!(assembler.memory(), 0);
    let transfer = |assembler: &mut Assembler, batches: usize| -> usize {
        for _ in 0..batches {
            for _ in 0..44 {
                let at = assembler.rcv_nxt();
                assembler
                    .insert(at, &[7; 1_452], at.plus_len(1_452))
                    .unwrap();
            }
            assert_eq!(read_all(assembler).len(), 44 * 1_452);
            assembler.invariants();
        }
        assembler.memory()
    };
    let memory = transfer(&mut assembler, 10);
    assert!(memory <= 66 << 10, "{memory} bytes");
    for _ in 0..100 {
        assert_eq!(transfer(&mut assembler, 1), memory);
    }
    assembler.shrink();
    assert_eq!(assembler.memory(), 0);
}

#[test]
fn small_messages_keep_one_chunk() {
    let mut assembler = Assembler::new();
    for _ in 0..1_000 {
        let at = assembler.rcv_nxt();
        assembler.insert(at, &[7; 64], at.plus_len(64)).unwrap();
        assert_eq!(read_all(&mut assembler), [7; 64]);
        let memory = assembler.memory();
        assert!(memory <= 2 * (CHUNK_BYTES + 64), "{memory} bytes");
    }
}

#[test]
fn a_quiet_stream_with_unread_bytes_keeps_them() {
    let mut assembler = Assembler::new();
    assembler
        .insert(Offset::ZERO, &[7; 10_000], offset(10_000))
        .unwrap();
    assembler.read(&mut [0; 9_000]);
    assembler.shrink();
    assembler.invariants();
    assert!(assembler.memory() <= 2 * CHUNK_BYTES);
    assert_eq!(read_all(&mut assembler), [7; 1_000]);
}

#[test]
fn debug_output_does_not_show_the_bytes() {
    let mut assembler = Assembler::new();
    assembler
        .insert(Offset::ZERO, &[0; 50_000], offset(50_000))
        .unwrap();
    let text = format!("{assembler:?}");
    assert!(text.len() < 300, "{text}");
}

/// The window of the model: a few chunks.
const WINDOW: usize = 9_000;

#[derive(Clone, Debug)]
enum Op {
    /// At so many bytes after `rcv_nxt - 2,000`.
    Insert {
        at: usize,
        len: usize,
    },
    Read(usize),
    Discard,
    Shrink,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..12_000_usize, 0..3_000_usize).prop_map(|(at, len)| Op::Insert { at, len }),
        // Exactly the next bytes, as most segments are.
        6 => (0..3_000_usize).prop_map(|len| Op::Insert { at: 2_000, len }),
        5 => (0..6_000_usize).prop_map(Op::Read),
        1 => Just(Op::Discard),
        1 => Just(Op::Shrink),
    ]
}

/// The first copy of every byte.
#[derive(Default)]
struct Model {
    bytes: Vec<Option<u8>>,
    read: usize,
}

impl Model {
    fn rcv_nxt(&self) -> usize {
        self.bytes
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.bytes.len())
    }

    fn gaps(&self) -> usize {
        self.bytes
            .windows(2)
            .filter(|pair| pair[0].is_none() && pair[1].is_some())
            .count()
    }

    fn insert(&mut self, at: usize, data: &[u8]) -> Inserted {
        let (rcv_nxt, highest) = (self.rcv_nxt(), self.bytes.len());
        if data.is_empty() {
            return Inserted::default();
        }
        let mut result = Inserted {
            out_of_order: at > rcv_nxt,
            ..Inserted::default()
        };
        self.bytes.resize(highest.max(at + data.len()), None);
        for (place, &byte) in (at..).zip(data) {
            if self.bytes[place].is_none() {
                self.bytes[place] = Some(byte);
                result.new += 1;
                result.filled_gap |= place < highest;
            }
        }
        result.advanced = self.rcv_nxt() - rcv_nxt;
        result
    }

    /// The next bytes that can be read, at most `max`.
    fn next(&self, max: usize) -> Vec<u8> {
        let to = self.rcv_nxt().min(self.read + max);
        self.bytes[self.read..to]
            .iter()
            .map(|byte| byte.unwrap())
            .collect()
    }

    fn apply(&mut self, assembler: &mut Assembler, op: Op, tag: u8) {
        match op {
            Op::Insert { at, len } => {
                let at = (self.rcv_nxt() + at).saturating_sub(2_000);
                let data: Vec<u8> = (0..len)
                    .map(|index| tag.wrapping_add(u8::try_from(index % 251).unwrap()))
                    .collect();
                let limit = self.read + WINDOW;
                let result = assembler.insert(offset(at), &data, offset(limit));
                let fits = data.is_empty() || at + len <= limit;
                let expected = if fits {
                    Ok(self.insert(at, &data))
                } else {
                    Err(AssemblerError::BeyondWindow)
                };
                assert_eq!(result, expected);
            }
            Op::Read(max) => {
                let expected = self.next(max);
                let mut buf = vec![0; max];
                assert_eq!(assembler.read(&mut buf), expected.len());
                assert!(buf[..expected.len()] == expected, "other bytes");
                self.read += expected.len();
            }
            Op::Discard => {
                assert_eq!(assembler.discard(), self.rcv_nxt() - self.read);
                self.read = self.rcv_nxt();
            }
            Op::Shrink => assembler.shrink(),
        }
    }

    fn check(&self, assembler: &Assembler) {
        assembler.invariants();
        assert_eq!(assembler.read_offset(), offset(self.read));
        assert_eq!(assembler.rcv_nxt(), offset(self.rcv_nxt()));
        assert_eq!(assembler.highest(), offset(self.bytes.len()));
        assert_eq!(assembler.gaps(), self.gaps());
        assert_eq!(assembler.unread(), self.rcv_nxt() - self.read);
        assert!(
            assembler.memory() <= memory_max(WINDOW),
            "{} bytes",
            assembler.memory()
        );
        let mut buf = vec![0; assembler.unread()];
        assert_eq!(assembler.peek(&mut buf), buf.len());
        assert!(buf == self.next(usize::MAX - self.read), "other bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_byte_read_is_its_first_copy(ops in vec((op(), any::<u8>()), 1..80)) {
        let mut assembler = Assembler::new();
        let mut model = Model::default();
        for (op, tag) in ops {
            model.apply(&mut assembler, op, tag);
            model.check(&assembler);
        }
    }
}
