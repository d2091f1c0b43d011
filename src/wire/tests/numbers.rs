use super::samples::number;
use crate::wire::*;

/// Of all numbers with these low bits the nearest to `expected`; of two the higher.
fn nearest(bits: u32, expected: u64) -> u64 {
    let epoch = expected >> 32;
    let epochs = epoch.saturating_sub(1)..=(epoch + 1).min(u32::MAX.into());
    let candidates = epochs.map(|epoch| (epoch << 32) | u64::from(bits));
    candidates
        .min_by_key(|candidate| (candidate.abs_diff(expected), u64::MAX - candidate))
        .expect("at least one epoch")
}

#[test]
fn every_pair_of_leading_bytes_expands_to_the_nearest_number() {
    let mut cases = 0u32;
    for epoch in [0, 1, 2, 0x1234, (1 << 31) - 1, (1 << 32) - 1] {
        // The low 24 bits decide only on which side of a boundary a pair falls.
        for (low_expected, low_bits) in [(0, 0), (0, 1), (1, 0), (0x00ff_ffff, 0), (7, 0xff_fff0)] {
            for pair in 0..=u16::MAX {
                let [high, bits] = pair.to_be_bytes().map(u64::from);
                let expected = (epoch << 32) | (high << 24) | low_expected;
                let bits = u32::try_from((bits << 24) | low_bits).expect("32 bits");
                let expanded = TruncatedNumber::new(bits).expand(number(expected));
                assert_eq!(
                    expanded.get(),
                    nearest(bits, expected),
                    "{bits:#x} near {expected:#x}"
                );
                cases += 1;
            }
        }
    }
    println!("{cases} expansions");
}

#[test]
fn a_number_survives_any_distance_below_half_the_range() {
    const HALF: u64 = 1 << 31;
    for base in [HALF, (1 << 32) - 1, 1 << 32, (1 << 32) + HALF, 1 << 62] {
        for distance in 0..=u64::from(u16::MAX) {
            let here = number(base);
            // Near, far, and as far as it may be.
            for distance in [distance, distance << 15, HALF - 1 - distance] {
                let (below, above) = (here.minus(distance), here.plus(distance));
                assert_eq!(here.truncate().expand(above), here, "{distance} below");
                assert_eq!(here.truncate().expand(below), here, "{distance} above");
            }
        }
    }
}

#[test]
fn of_two_equally_near_numbers_the_higher_is_meant() {
    let here = number(5 << 32);
    let bits = TruncatedNumber::new(1 << 31);
    assert_eq!(bits.expand(here).get(), (5 << 32) + (1 << 31));
}

#[test]
fn no_number_expands_below_zero() {
    let bits = TruncatedNumber::new(u32::MAX);
    assert_eq!(bits.expand(number(3)).get(), u64::from(u32::MAX));
}

#[test]
fn arithmetic_of_packet_numbers_stops_at_the_ends() {
    assert_eq!(number(0).prev(), number(0));
    assert_eq!(number(3).minus(4), number(0));
    assert_eq!(number(3).checked_minus(4), None);
    assert_eq!(number(3).checked_minus(3), Some(number(0)));
    assert_eq!(number(u64::MAX).next(), number(u64::MAX));
    assert_eq!(number(3).since(number(5)), 0);
    assert_eq!(number(5).since(number(3)), 2);
}

#[test]
fn arithmetic_of_offsets_stops_at_the_ends() {
    assert_eq!(Offset::MAX.plus(1), Offset::MAX);
    assert_eq!(Offset::new(3).since(Offset::new(5)), 0);
    assert_eq!(Offset::new(5).len_since(Offset::new(3)), 2);
    assert_eq!(range_len(&(Offset::new(5)..Offset::new(3))), 0);
    assert_eq!(range_len(&(Offset::new(3)..Offset::new(5).plus_len(1))), 3);
}

#[test]
fn a_window_is_as_wide_as_its_field_at_most() {
    assert_eq!(Window::saturating(1 << 32).get(), u32::MAX);
    assert_eq!(Window::saturating((1 << 32) - 1).get(), u32::MAX);
    assert_eq!(Window::saturating(7).get(), 7);
}

#[test]
fn no_connection_is_named_zero() {
    assert_eq!(ConnectionId::new(0), None);
    assert_eq!(ConnectionId::new(9).map(ConnectionId::get), Some(9));
}
