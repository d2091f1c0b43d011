//! Any segments, in any order, against a model that keeps the first copy of every byte.

#![no_main]

use aqueduct::limits::{CHUNK_BYTES, GAPS_MAX};
use aqueduct::stream::{Assembler, AssemblerError, Inserted};
use aqueduct::wire::Offset;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// How far below `rcv_nxt` a segment may begin.
const BEHIND: usize = 4_096;

#[derive(Arbitrary, Debug)]
struct Input {
    window: u16,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// A segment at `rcv_nxt - BEHIND + at`.
    Insert {
        at: u16,
        len: u16,
        tag: u8,
    },
    /// The next bytes in order.
    Next {
        len: u16,
        tag: u8,
    },
    /// Single bytes with gaps of `step` between them.
    Scatter {
        at: u16,
        step: u8,
        count: u16,
    },
    Read(u16),
    Peek(u16),
    Discard,
    Shrink,
}

/// The first copy of every byte.
#[derive(Default)]
struct Model {
    bytes: Vec<Option<u8>>,
    rcv_nxt: usize,
    read: usize,
    window: usize,
}

impl Model {
    fn apply(&mut self, assembler: &mut Assembler, op: &Op) {
        match *op {
            Op::Insert { at, len, tag } => {
                let at = (self.rcv_nxt + usize::from(at)).saturating_sub(BEHIND);
                self.insert(assembler, at, &contents(tag, len));
            }
            Op::Next { len, tag } => self.insert(assembler, self.rcv_nxt, &contents(tag, len)),
            Op::Scatter { at, step, count } => {
                let start = self.rcv_nxt + usize::from(at);
                for index in 0..usize::from(count).min(2 * GAPS_MAX) {
                    self.insert(assembler, start + index * (usize::from(step) + 1), b"x");
                }
            }
            Op::Read(max) => {
                let expected = self.next(usize::from(max));
                let mut buf = vec![0; usize::from(max)];
                let len = assembler.read(&mut buf);
                assert!(buf[..len] == expected, "read other bytes");
                self.read += len;
            }
            Op::Peek(max) => {
                let expected = self.next(usize::from(max));
                let mut buf = vec![0; usize::from(max)];
                let len = assembler.peek(&mut buf);
                assert!(buf[..len] == expected, "peeked other bytes");
            }
            Op::Discard => {
                assert_eq!(assembler.discard(), self.rcv_nxt - self.read);
                self.read = self.rcv_nxt;
            }
            Op::Shrink => assembler.shrink(),
        }
    }

    fn insert(&mut self, assembler: &mut Assembler, at: usize, data: &[u8]) {
        let limit = self.read + self.window;
        let gaps = assembler.gaps();
        match assembler.insert(offset(at), data, offset(limit)) {
            Ok(inserted) => assert_eq!(inserted, self.accept(at, data)),
            Err(AssemblerError::BeyondWindow) => assert!(at + data.len() > limit),
            Err(AssemblerError::TooManyGaps) => {
                assert_eq!(gaps, GAPS_MAX);
                let mut around = self
                    .bytes
                    .iter()
                    .take(at + data.len() + 1)
                    .skip(at.saturating_sub(1));
                assert!(around.all(Option::is_none), "it makes no gap");
            }
            Err(other) => panic!("unknown error {other:?}"),
        }
    }

    fn accept(&mut self, at: usize, data: &[u8]) -> Inserted {
        let mut result = Inserted::default();
        if data.is_empty() {
            return result;
        }
        let highest = self.bytes.len();
        result.out_of_order = at > self.rcv_nxt;
        self.bytes.resize(highest.max(at + data.len()), None);
        for (place, &byte) in (at..).zip(data) {
            if self.bytes[place].is_none() {
                self.bytes[place] = Some(byte);
                result.new += 1;
                result.filled_gap |= place < highest;
            }
        }
        let rest = &self.bytes[self.rcv_nxt..];
        result.advanced = rest.iter().take_while(|byte| byte.is_some()).count();
        self.rcv_nxt += result.advanced;
        result
    }

    /// The next bytes that can be read, at most `max`.
    fn next(&self, max: usize) -> Vec<u8> {
        let to = self.rcv_nxt.min(self.read + max);
        self.bytes[self.read..to]
            .iter()
            .copied()
            .flatten()
            .collect()
    }

    fn check(&self, assembler: &Assembler) {
        assert_eq!(assembler.read_offset(), offset(self.read));
        assert_eq!(assembler.rcv_nxt(), offset(self.rcv_nxt));
        assert_eq!(assembler.highest(), offset(self.bytes.len()));
        assert_eq!(assembler.unread(), self.rcv_nxt - self.read);
        let early = &self.bytes[self.rcv_nxt..];
        let gaps = early
            .windows(2)
            .filter(|pair| pair[0].is_none() && pair[1].is_some())
            .count();
        assert_eq!(assembler.gaps(), gaps);
        assert!(gaps <= GAPS_MAX);
        let chunks = self.window + 2 * CHUNK_BYTES;
        let order = 16 * GAPS_MAX + 16 * (chunks / CHUNK_BYTES) + 256;
        assert!(
            assembler.memory() <= chunks + order,
            "{} bytes",
            assembler.memory()
        );
    }
}

fn contents(tag: u8, len: u16) -> Vec<u8> {
    (0..len)
        .map(|index| tag.wrapping_add(index.to_le_bytes()[0]))
        .collect()
}

fn offset(bytes: usize) -> Offset {
    Offset::ZERO.plus_len(bytes)
}

fuzz_target!(|input: Input| {
    let mut assembler = Assembler::new();
    let mut model = Model {
        window: usize::from(input.window),
        ..Model::default()
    };
    for op in input.ops.iter().take(500) {
        model.apply(&mut assembler, op);
        model.check(&assembler);
    }
});
