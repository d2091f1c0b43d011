//! Test content: byte `offset` of the stream `label` is a function of both, so that any byte that is
//! lost, doubled, moved or taken from another stream shows.

use super::random::mix;

/// Fills `buffer` with the content of stream `label` from `offset` on.
///
/// ```
/// use aqueduct::sim::content;
///
/// let mut whole = [0; 100];
/// content::fill(1, 0, &mut whole);
/// let mut part = [0; 10];
/// content::fill(1, 33, &mut part);
/// assert_eq!(part, whole[33..43]);
/// assert_eq!(content::mismatch(1, 33, &part), None);
/// assert!(content::mismatch(1, 34, &part).is_some(), "a moved byte shows");
/// ```
pub fn fill(label: u64, offset: u64, buffer: &mut [u8]) {
    let key = mix(label);
    let skip = usize::try_from(offset % 8).expect("below 8");
    let first = (8 - skip) % 8;
    let (head, rest) = buffer.split_at_mut(first.min(buffer.len()));
    head.copy_from_slice(&word(key, offset / 8)[skip..skip + head.len()]);
    let mut index = offset.div_ceil(8);
    let mut words = rest.chunks_exact_mut(8);
    for chunk in &mut words {
        chunk.copy_from_slice(&word(key, index));
        index += 1;
    }
    let tail = words.into_remainder();
    tail.copy_from_slice(&word(key, index)[..tail.len()]);
}

/// The position in `data` of the first byte that is not the content of stream `label` at `offset`.
pub fn mismatch(label: u64, offset: u64, data: &[u8]) -> Option<usize> {
    let mut expected = [0; 1024];
    let mut done = 0;
    for chunk in data.chunks(expected.len()) {
        let expected = &mut expected[..chunk.len()];
        fill(
            label,
            offset + u64::try_from(done).expect("a length"),
            expected,
        );
        if chunk != expected {
            let inside = chunk.iter().zip(expected.iter()).position(|(a, b)| a != b);
            return inside.map(|inside| done + inside);
        }
        done += chunk.len();
    }
    None
}

fn word(key: u64, index: u64) -> [u8; 8] {
    mix(key.wrapping_add(index)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_stream_fits_the_whole() {
        let mut whole = vec![0; 3_000];
        fill(9, 5, &mut whole);
        for (start, len) in [
            (0, 0),
            (0, 1),
            (1, 7),
            (3, 8),
            (2, 17),
            (0, 3_000),
            (1_023, 1_100),
        ] {
            let mut cut = vec![0; len];
            fill(9, 5 + start, &mut cut);
            let start = usize::try_from(start).unwrap();
            assert_eq!(cut, whole[start..start + len]);
        }
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let mut data = vec![0; 2_500];
        fill(9, 77, &mut data);
        assert_eq!(mismatch(9, 77, &data), None);
        data[2_000] ^= 1;
        assert_eq!(mismatch(9, 77, &data), Some(2_000));
    }
}
