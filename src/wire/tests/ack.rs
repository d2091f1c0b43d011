use std::time::Duration;

use proptest::prelude::*;

use super::samples::{CLIENT, fields, number, packet, range};
use crate::limits::{ACK_RANGES_DECODE_MAX, ACK_RANGES_ENCODE_MAX};
use crate::wire::*;

/// An ACK whose numbers are these bits, whatever they mean.
fn raw(ack_pn: u32, run: u32, ranges: &[(u32, u32)]) -> Vec<u8> {
    let mut datagram = packet(Kind::Ack, CLIENT, 1, |p| {
        p.ack(&fields(), [range(1, 1)].into_iter(), 0);
    });
    datagram[32..36].copy_from_slice(&ack_pn.to_be_bytes());
    datagram[38] = u8::try_from(ranges.len()).expect("few ranges");
    datagram[56..60].copy_from_slice(&run.to_be_bytes());
    for (gap, len) in ranges {
        datagram.extend(gap.to_be_bytes());
        datagram.extend(len.to_be_bytes());
    }
    datagram[20] = u8::try_from(datagram.len() / 4).expect("a header's length");
    datagram
}

fn expand(datagram: &[u8], largest_sent: u64, first: u64) -> Result<Vec<(u64, u64)>, InvalidAck> {
    let block = decode(datagram).expect("an ACK").ack.expect("a block");
    let ranges = block.expand(number(largest_sent), number(first))?;
    let pairs = ranges.iter().map(|r| (r.start().get(), r.end().get()));
    Ok(pairs.collect())
}

/// The same with numbers that cannot overflow; `None` for a block that is invalid.
fn naive(largest: i128, run: u32, ranges: &[(u32, u32)], first: i128) -> Option<Vec<(u64, u64)>> {
    let mut all = vec![(largest - i128::from(run), largest)];
    for (gap, len) in ranges {
        let end = all[all.len() - 1].0 - i128::from(*gap) - 2;
        all.push((end - i128::from(*len), end));
    }
    let is_valid = all.iter().all(|(start, _)| *start >= (first - 1).max(0));
    let narrow = |number: i128| u64::try_from(number).expect("not negative");
    is_valid.then(|| all.iter().map(|(a, b)| (narrow(*a), narrow(*b))).collect())
}

#[test]
fn three_ranges_of_small_numbers_are_exactly_those_of_the_naive_twin() {
    let (mut cases, mut valid) = (0, 0);
    for bits in 0..1u32 << 18 {
        let field = |at: u32| (bits >> at) & 7;
        let (largest, run, first) = (field(0) * 3, field(3), u64::from(field(6)));
        let ranges = [
            (field(9) % 4, field(12) % 4),
            (field(15) % 4, field(11) % 4),
        ];
        let got = expand(&raw(largest, run, &ranges), 20, first);
        let expected = naive(largest.into(), run, &ranges, first.into());
        assert_eq!(got.ok(), expected, "{largest} {run} {ranges:?} {first}");
        cases += 1;
        valid += u32::from(expected.is_some());
    }
    println!("{cases} blocks, {valid} of them valid");
    assert!(valid > 1_000 && valid < cases);
}

#[test]
fn three_ranges_of_extreme_numbers_are_exactly_those_of_the_naive_twin() {
    const EDGES: [u32; 7] = [0, 1, 2, 1 << 31, u32::MAX - 2, u32::MAX - 1, u32::MAX];
    let bases = [
        0,
        1,
        2,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 33,
        1 << 34,
        1 << 62,
    ];
    let mut cases = 0;
    for base in bases {
        for code in 0..7usize.pow(5) {
            let edge = |place: u32| EDGES[code / 7usize.pow(place) % 7];
            let ranges = [(edge(1), edge(2)), (edge(3), edge(4))];
            let largest = number(base);
            let datagram = raw(largest.truncate().get(), edge(0), &ranges);
            for first in [1, base] {
                let got = expand(&datagram, base, first);
                let expected = naive(base.into(), edge(0), &ranges, first.into());
                assert_eq!(got.ok(), expected, "{base} {} {ranges:?}", edge(0));
                cases += 1;
            }
        }
    }
    println!("{cases} blocks");
}

#[test]
fn the_number_before_the_first_says_that_nothing_arrived() {
    let nothing = raw(999, 0, &[]);
    assert_eq!(expand(&nothing, 999, 1_000), Ok(vec![(999, 999)]));
    assert_eq!(expand(&nothing, 1_001, 1_001), Err(InvalidAck));
    assert_eq!(expand(&raw(0, 0, &[]), 0, 1), Ok(vec![(0, 0)]));
}

#[test]
fn a_block_has_at_most_64_further_ranges() {
    let most = vec![(0, 0); ACK_RANGES_DECODE_MAX];
    let all = expand(&raw(5_000, 0, &most), 5_000, 1).expect("valid");
    assert_eq!(all.len(), 65);
    let more = vec![(0, 0); ACK_RANGES_DECODE_MAX + 1];
    let error = decode(&raw(5_000, 0, &more)).expect_err("too many ranges");
    assert_eq!(error, DecodeError::AckRanges(65));
}

#[test]
fn a_delay_is_told_in_units_of_8_microseconds_up_to_half_a_second() {
    for (given, told) in [
        (0, 0),
        (7, 0),
        (8, 8),
        (15, 8),
        (524_280, 524_280),
        (9_000_000, 524_280),
    ] {
        let fields = AckFields {
            delay: Duration::from_micros(given),
            ..fields()
        };
        let datagram = packet(Kind::Ack, CLIENT, 1, |p| {
            p.ack(&fields, [range(1, 1)].into_iter(), 0);
        });
        let block = decode(&datagram).expect("an ACK").ack.expect("a block");
        assert_eq!(block.fields.delay, Duration::from_micros(told), "{given}");
    }
    assert_eq!(AckFields::DELAY_MAX, Duration::from_micros(65_535 * 8));
}

#[test]
fn ranges_give_way_to_what_is_reserved() {
    let ranges = (0..20).map(|i| range(1_000 - 10 * i, 1_000 - 10 * i));
    for (reserve, expected) in [(0, 8), (1, 7), (8, 7), (60, 0), (64, 0), (1_000, 0)] {
        let mut buffer = [0; 32 + 28 + 12 + 8 * 8];
        let dcid = ConnectionId::new(CLIENT);
        let mut packet = PacketBuilder::new(&mut buffer, Kind::Data, dcid, number(1));
        let fields = AckFields {
            ecn: Some(EcnCounts::default()),
            ..fields()
        };
        packet.ack(&fields, ranges.clone(), reserve);
        let further = (64 - packet.room()) / 8;
        assert_eq!(further, expected, "{reserve} bytes reserved");
        let len = packet.finish();
        let block = decode(&buffer[..len]).expect("DATA").ack.expect("a block");
        let ranges = block.expand(number(1_000), number(1)).expect("valid");
        assert_eq!(ranges.iter().count(), expected + 1);
    }
}

#[test]
fn a_range_too_long_for_its_field_ends_the_block_where_it_is_still_true() {
    const FAR: u64 = 1 << 40;
    let reach = u64::from(u32::MAX);
    let cases = [
        // The run is cut, and what lies below it is not said.
        (vec![range(10, FAR), range(2, 4)], vec![(FAR - reach, FAR)]),
        // It just fits.
        (
            vec![
                range(FAR - reach, FAR),
                range(FAR - reach - 9, FAR - reach - 5),
            ],
            vec![(FAR - reach, FAR), (FAR - reach - 9, FAR - reach - 5)],
        ),
        // A gap cannot be said.
        (vec![range(FAR, FAR), range(2, 4)], vec![(FAR, FAR)]),
        // A further range is cut.
        (
            vec![range(FAR, FAR), range(10, FAR - 5), range(2, 4)],
            vec![(FAR, FAR), (FAR - 5 - reach, FAR - 5)],
        ),
    ];
    for (given, told) in cases {
        let datagram = packet(Kind::Ack, CLIENT, 1, |p| {
            p.ack(&fields(), given.iter().cloned(), 0);
        });
        assert_eq!(expand(&datagram, FAR, 1), Ok(told), "{given:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Steps down from a largest number: what is written is what is read, newest first.
    #[test]
    fn received_ranges_survive_the_wire(
        largest in 1u64 << 40..1 << 41,
        steps in proptest::collection::vec((0u64..50, 0u64..1 << 20), 1..80),
    ) {
        let mut end = largest;
        let mut ranges = Vec::new();
        for (len, gap) in steps {
            ranges.push(range(end - len, end));
            end -= len + gap + 2;
        }
        let datagram = packet(Kind::Ack, CLIENT, 1, |p| {
            p.ack(&fields(), ranges.iter().cloned(), 0);
        });
        ranges.truncate(ACK_RANGES_ENCODE_MAX + 1);
        let expected: Vec<_> = ranges.iter().map(|r| (r.start().get(), r.end().get())).collect();
        prop_assert_eq!(expand(&datagram, largest + 12_345, 1), Ok(expected));
    }
}
