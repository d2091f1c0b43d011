//! The arithmetic of an ACK block against a twin whose numbers cannot overflow.

#![no_main]

use aqueduct::limits::ACK_RANGES_DECODE_MAX;
use aqueduct::wire::{self, PacketNumber};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    ack_pn: u32,
    run: u32,
    ranges: Vec<(Number, Number)>,
    largest_sent: u64,
    first: u64,
}

/// Numbers that matter come in all sizes.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Small(u8),
    Any(u32),
    BelowMost(u8),
}

impl Number {
    fn get(self) -> u32 {
        match self {
            Number::Small(number) => number.into(),
            Number::Any(number) => number,
            Number::BelowMost(number) => u32::MAX - u32::from(number),
        }
    }
}

fuzz_target!(|input: Input| {
    let mut input = input;
    input.ranges.truncate(ACK_RANGES_DECODE_MAX);
    let datagram = datagram(&input);
    let packet = wire::decode(&datagram).expect("a whole ACK");
    let block = packet.ack.expect("an ACK block");
    let first = PacketNumber::new(input.first);
    let largest_sent = PacketNumber::new(input.largest_sent);
    let ranges = block.expand(largest_sent, first).ok().map(|ranges| {
        let pairs = ranges.iter().map(|r| (r.start().get(), r.end().get()));
        pairs.collect::<Vec<_>>()
    });
    assert_eq!(ranges, expected(&input));
});

/// An ACK with these numbers (docs/WIRE.md, "The ACK block").
fn datagram(input: &Input) -> Vec<u8> {
    let count = u8::try_from(input.ranges.len()).expect("at most 64");
    let mut datagram = vec![0; 60];
    (datagram[0], datagram[1]) = (0x14, 0x02);
    datagram[8] = 1;
    datagram[20] = 15 + 2 * count;
    datagram[32..36].copy_from_slice(&input.ack_pn.to_be_bytes());
    datagram[38] = count;
    datagram[56..60].copy_from_slice(&input.run.to_be_bytes());
    for (gap, len) in &input.ranges {
        datagram.extend(gap.get().to_be_bytes());
        datagram.extend(len.get().to_be_bytes());
    }
    datagram
}

fn expected(input: &Input) -> Option<Vec<(u64, u64)>> {
    let mut end = nearest(input.ack_pn, input.largest_sent);
    let mut start = end - i128::from(input.run);
    let mut all = vec![(start, end)];
    for (gap, len) in &input.ranges {
        end = start - i128::from(gap.get()) - 2;
        start = end - i128::from(len.get());
        all.push((start, end));
    }
    let lowest = i128::from(input.first.saturating_sub(1));
    let narrow = |number| u64::try_from(number).ok();
    let pairs = all.into_iter().map(|(start, end)| {
        let is_valid = start >= lowest;
        is_valid.then_some((narrow(start)?, narrow(end)?))
    });
    pairs.collect()
}

/// Of all numbers with these low bits the nearest to `expected`; of two the higher.
fn nearest(bits: u32, expected: u64) -> i128 {
    let expected = i128::from(expected);
    let epoch = expected >> 32;
    let candidates = (epoch - 1..=epoch + 1).map(|epoch| (epoch << 32) + i128::from(bits));
    candidates
        .filter(|candidate| u64::try_from(*candidate).is_ok())
        .min_by_key(|candidate| ((candidate - expected).abs(), -candidate))
        .expect("one of three is in range")
}
