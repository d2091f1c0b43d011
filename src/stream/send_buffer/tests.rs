use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{IDLE_BYTES_MAX, SendBuffer};
use crate::wire::Offset;

fn offsets(start: usize, end: usize) -> Range<Offset> {
    Offset::ZERO.plus_len(start)..Offset::ZERO.plus_len(end)
}

/// A buffer with these bytes, all of them sent.
fn sent(data: &[u8]) -> SendBuffer {
    let mut buffer = SendBuffer::new(1 << 20);
    assert_eq!(buffer.write(data), data.len());
    buffer.take_new(data.len(), Offset::MAX);
    buffer
}

#[test]
fn a_write_takes_what_fits() {
    let mut buffer = SendBuffer::new(10);
    assert_eq!(buffer.write(b"0123456"), 7);
    assert_eq!(buffer.write(b"789abc"), 3);
    assert_eq!(buffer.write(b"abc"), 0);
    assert_eq!(buffer.free(), 0);
    assert_eq!(buffer.slices(offsets(0, 10)).concat(), b"0123456789");
}

#[test]
fn nothing_is_sent_beyond_the_limit() {
    let mut buffer = SendBuffer::new(100);
    buffer.write(&[0; 50]);
    assert_eq!(buffer.take_new(30, Offset::new(20)), Some(offsets(0, 20)));
    assert_eq!(buffer.take_new(30, Offset::new(20)), None);
    assert_eq!(
        buffer.take_new(30, Offset::new(5)),
        None,
        "an edge below what was sent"
    );
    assert_eq!(buffer.take_new(0, Offset::MAX), None);
    assert_eq!(buffer.take_new(100, Offset::MAX), Some(offsets(20, 50)));
}

#[test]
fn acknowledgements_out_of_order_free_when_the_oldest_arrives() {
    let mut buffer = sent(b"0123456789");
    assert_eq!(buffer.on_acked(offsets(6, 8)), 2);
    assert_eq!(buffer.on_acked(offsets(3, 7)), 3, "6 was counted before");
    assert_eq!(buffer.snd_una(), Offset::ZERO);
    assert_eq!(buffer.on_acked(offsets(0, 4)), 3);
    assert_eq!(buffer.snd_una(), Offset::new(8));
    assert_eq!(buffer.on_acked(offsets(0, 8)), 0, "an old acknowledgement");
    assert_eq!(buffer.slices(offsets(8, 10)).concat(), b"89");
}

#[test]
fn an_acknowledgement_of_unsent_bytes_is_ignored() {
    let mut buffer = SendBuffer::new(100);
    buffer.write(b"0123456789");
    buffer.take_new(4, Offset::MAX);
    assert_eq!(buffer.on_acked(offsets(2, 9)), 2);
    assert_eq!(buffer.on_acked(offsets(6, 9)), 0);
    assert_eq!(buffer.on_acked(Offset::ZERO..Offset::MAX), 2);
    assert_eq!(
        (buffer.snd_una(), buffer.snd_nxt()),
        (Offset::new(4), Offset::new(4))
    );
    assert_eq!(buffer.slices(offsets(4, 10)).concat(), b"456789");
}

#[test]
fn a_late_acknowledgement_clears_the_lost_mark() {
    let mut buffer = sent(b"0123456789");
    buffer.on_lost(offsets(2, 8));
    assert!(buffer.has_lost());
    assert_eq!(buffer.on_acked(offsets(4, 6)), 2);
    assert_eq!(buffer.take_lost(100), Some(offsets(2, 4)));
    assert_eq!(buffer.on_acked(offsets(0, 10)), 8);
    assert!(!buffer.has_lost());
    assert_eq!(buffer.take_lost(100), None);
}

#[test]
fn what_is_acknowledged_is_not_lost() {
    let mut buffer = sent(b"0123456789");
    buffer.on_acked(offsets(4, 6));
    buffer.on_lost(offsets(0, 10));
    assert_eq!(buffer.take_lost(3), Some(offsets(0, 3)));
    assert_eq!(buffer.take_lost(3), Some(offsets(3, 4)));
    assert_eq!(buffer.take_lost(0), None);
    assert_eq!(buffer.take_lost(9), Some(offsets(6, 10)));
    buffer.on_lost(offsets(0, 2));
    assert_eq!(
        buffer.take_lost(9),
        Some(offsets(0, 2)),
        "a repetition can be lost too"
    );
}

#[test]
fn a_lost_packet_is_cut_anew_for_a_smaller_datagram() {
    let data: Vec<u8> = (0..=255).collect();
    let mut buffer = sent(&data);
    buffer.on_lost(offsets(10, 250));
    let mut repeated = Vec::new();
    while let Some(range) = buffer.take_lost(100) {
        repeated.extend(buffer.slices(range).concat());
    }
    assert_eq!(repeated, data[10..250]);
}

#[test]
fn a_probe_repeats_the_oldest_bytes_once() {
    let mut buffer = sent(b"0123456789");
    buffer.on_lost(offsets(0, 3));
    buffer.on_acked(offsets(5, 6));
    assert_eq!(buffer.take_oldest(2), Some(offsets(0, 2)));
    assert_eq!(
        buffer.take_lost(10),
        Some(offsets(2, 3)),
        "the probe carried the rest"
    );
    assert_eq!(
        buffer.take_oldest(10),
        Some(offsets(0, 5)),
        "up to what is acknowledged"
    );
    assert_eq!(buffer.take_oldest(0), None);
    buffer.on_acked(offsets(0, 10));
    assert_eq!(buffer.take_oldest(10), None);
}

#[test]
#[should_panic(expected = "is not within 4..10")]
fn bytes_that_are_gone_cannot_be_had() {
    let mut buffer = sent(b"0123456789");
    buffer.on_acked(offsets(0, 4));
    buffer.slices(offsets(3, 5));
}

#[test]
fn clear_forgets_everything_and_late_news_do_no_harm() {
    let mut buffer = sent(b"0123456789");
    buffer.write(b"unsent");
    buffer.on_lost(offsets(0, 3));
    buffer.on_acked(offsets(5, 6));
    buffer.clear();
    buffer.invariants();
    assert_eq!(buffer.memory(), 0);
    assert!(!buffer.has_lost());
    assert_eq!(buffer.on_acked(offsets(0, 16)), 0);
    buffer.on_lost(offsets(0, 16));
    assert_eq!(buffer.take_lost(100), None);
    assert_eq!(buffer.take_new(100, Offset::MAX), None);
    assert_eq!(buffer.end(), Offset::new(16));
}

#[test]
fn memory_follows_use() {
    let mut buffer = SendBuffer::new(100_000);
    assert_eq!(buffer.memory(), 0, "a new buffer has none");
    buffer.write(&[1; 64]);
    assert_eq!(buffer.memory(), 64);
    buffer.write(&[1; 100_000]);
    assert_eq!(buffer.memory(), 100_000, "never beyond the capacity");

    while let Some(range) = buffer.take_new(1_400, Offset::MAX) {
        buffer.on_lost(range);
    }
    while let Some(range) = buffer.take_lost(700) {
        buffer.on_acked(range);
    }
    assert_eq!(buffer.memory(), 0, "an empty one gives back what is much");
}

#[test]
fn small_writes_keep_their_memory() {
    let mut buffer = SendBuffer::new(100_000);
    for _ in 0..100 {
        buffer.write(&[1; IDLE_BYTES_MAX]);
        let range = buffer
            .take_new(IDLE_BYTES_MAX, Offset::MAX)
            .expect("bytes are waiting");
        buffer.on_acked(range);
        assert_eq!(buffer.memory(), IDLE_BYTES_MAX);
    }
    buffer.shrink();
    assert_eq!(buffer.memory(), 0);
}

#[test]
fn debug_output_does_not_show_the_bytes() {
    let text = format!("{:?}", sent(&[0; 100_000]));
    assert!(text.len() < 200, "{text}");
}

/// Capacity of the model at first: small, so that the ring turns often.
const CAPACITY: usize = 97;

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    TakeNew { max: usize, limit: usize },
    TakeLost(usize),
    TakeOldest(usize),
    Acked(Range<usize>),
    Lost(Range<usize>),
    Clear,
    Shrink,
    SetCapacity(usize),
}

/// A range beginning so many bytes after `snd_una - 20`.
fn near() -> impl Strategy<Value = Range<usize>> {
    (0..140_usize, 0..50_usize).prop_map(|(start, len)| start..start + len)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..60_usize).prop_map(Op::Write),
        8 => (0..50_usize, 0..120_usize).prop_map(|(max, limit)| Op::TakeNew { max, limit }),
        4 => (0..30_usize).prop_map(Op::TakeLost),
        2 => (0..30_usize).prop_map(Op::TakeOldest),
        8 => near().prop_map(Op::Acked),
        5 => near().prop_map(Op::Lost),
        1 => Just(Op::Shrink),
        1 => Just(Op::Clear),
        2 => (1..200_usize).prop_map(Op::SetCapacity),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Byte {
    Unsent,
    InFlight,
    Lost,
    Acked,
}

/// Every byte ever written, and what became of it.
struct Model {
    data: Vec<u8>,
    bytes: Vec<Byte>,
    capacity: usize,
    /// The largest capacity so far.
    widest: usize,
}

impl Model {
    fn snd_una(&self) -> usize {
        self.bytes
            .iter()
            .position(|&byte| byte != Byte::Acked)
            .unwrap_or(self.bytes.len())
    }

    fn snd_nxt(&self) -> usize {
        self.bytes
            .iter()
            .position(|&byte| byte == Byte::Unsent)
            .unwrap_or(self.bytes.len())
    }

    /// How many bytes from `start` on, at most `max`, are in one of these states.
    fn run(&self, start: usize, max: usize, of: &[Byte]) -> usize {
        self.bytes[start..]
            .iter()
            .take(max)
            .take_while(|byte| of.contains(byte))
            .count()
    }

    /// Puts a run of bytes into flight.
    fn take(&mut self, start: usize, max: usize, of: &[Byte]) -> Option<Range<Offset>> {
        let len = self.run(start, max, of);
        self.bytes[start..start + len].fill(Byte::InFlight);
        (len > 0).then(|| offsets(start, start + len))
    }

    /// Changes the state of bytes in a range that are in one of `of`; how many.
    fn mark(&mut self, range: &Range<usize>, of: &[Byte], to: Byte) -> usize {
        let marked = self.bytes.iter_mut().take(range.end).skip(range.start);
        marked
            .filter(|byte| of.contains(byte))
            .map(|byte| *byte = to)
            .count()
    }

    fn apply(&mut self, buffer: &mut SendBuffer, op: Op) {
        let base = self.snd_una().saturating_sub(20);
        let shift = |range: Range<usize>| base + range.start..base + range.end;
        match op {
            Op::Write(len) => self.write(buffer, len),
            Op::TakeNew { max, limit } => {
                let limit = self.snd_una() + limit;
                let start = self.snd_nxt();
                let max_taken = max.min(limit.saturating_sub(start));
                let expected = self.take(start, max_taken, &[Byte::Unsent]);
                assert_eq!(buffer.take_new(max, Offset::ZERO.plus_len(limit)), expected);
            }
            Op::TakeLost(max) => {
                let first = self.bytes.iter().position(|&byte| byte == Byte::Lost);
                let expected = first.and_then(|start| self.take(start, max, &[Byte::Lost]));
                assert_eq!(buffer.take_lost(max), expected);
            }
            Op::TakeOldest(max) => {
                let start = self.snd_una();
                let expected = self.take(start, max, &[Byte::InFlight, Byte::Lost]);
                assert_eq!(buffer.take_oldest(max), expected);
            }
            Op::Acked(range) => {
                let range = shift(range);
                let new = self.mark(&range, &[Byte::InFlight, Byte::Lost], Byte::Acked);
                assert_eq!(buffer.on_acked(offsets(range.start, range.end)), new);
            }
            Op::Lost(range) => {
                let range = shift(range);
                self.mark(&range, &[Byte::InFlight], Byte::Lost);
                buffer.on_lost(offsets(range.start, range.end));
            }
            Op::Clear => {
                self.bytes.fill(Byte::Acked);
                buffer.clear();
            }
            Op::Shrink => buffer.shrink(),
            Op::SetCapacity(capacity) => {
                self.capacity = capacity;
                self.widest = self.widest.max(capacity);
                buffer.set_capacity(capacity);
            }
        }
    }

    fn write(&mut self, buffer: &mut SendBuffer, len: usize) {
        let at = self.data.len();
        let data: Vec<u8> = (at..at + len)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let taken = len.min(self.capacity.saturating_sub(at - self.snd_una()));
        self.data.extend(&data[..taken]);
        self.bytes.resize(at + taken, Byte::Unsent);
        assert_eq!(buffer.write(&data), taken);
    }

    fn check(&self, buffer: &SendBuffer) {
        buffer.invariants();
        let (una, end) = (self.snd_una(), self.data.len());
        assert_eq!(buffer.snd_una(), Offset::ZERO.plus_len(una));
        assert_eq!(buffer.snd_nxt(), Offset::ZERO.plus_len(self.snd_nxt()));
        assert_eq!(buffer.end(), Offset::ZERO.plus_len(end));
        assert_eq!(buffer.free(), self.capacity.saturating_sub(end - una));
        assert_eq!(buffer.capacity(), self.capacity);
        assert!(
            buffer.bytes.ring_capacity() <= self.widest,
            "more memory than allowed"
        );
        assert_eq!(buffer.has_lost(), self.bytes.contains(&Byte::Lost));
        for cut in [una, una + (end - una) / 3, end] {
            assert_eq!(
                buffer.slices(offsets(una, cut)).concat(),
                self.data[una..cut]
            );
            assert_eq!(
                buffer.slices(offsets(cut, end)).concat(),
                self.data[cut..end]
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_byte_is_where_its_history_puts_it(ops in vec(op(), 1..120)) {
        let mut buffer = SendBuffer::new(CAPACITY);
        let mut model = Model {
            data: Vec::new(),
            bytes: Vec::new(),
            capacity: CAPACITY,
            widest: CAPACITY,
        };
        for op in ops {
            model.apply(&mut buffer, op);
            model.check(&buffer);
        }
    }
}
