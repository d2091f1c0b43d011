//! The numbers of the endpoint's packets as a script counts them.
//!
//! An endpoint leaves numbers out now and then (docs/WIRE.md section 2.5). A script counts the packets
//! themselves, from 0: what was left out has no place in its counting, and no acknowledgement names it.

/// The packets that the endpoint has sent, by their distance from its first number, ascending.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    sent: Vec<u64>,
}

impl Numbers {
    /// The endpoint sent a packet so far above its first number.
    pub(super) fn note(&mut self, distance: u64) {
        if let Err(place) = self.sent.binary_search(&distance) {
            self.sent.insert(place, distance);
        }
    }

    /// How many packets were sent.
    pub(super) fn count(&self) -> i64 {
        i64::try_from(self.sent.len()).unwrap_or(i64::MAX)
    }

    /// Which packet it is whose number is so far above the first; what was not sent is counted on from the
    /// newest.
    pub(super) fn place(&self, distance: u64) -> u64 {
        let below = self.sent.partition_point(|&sent| sent < distance);
        let place = u64::try_from(below).unwrap_or(u64::MAX);
        let newest = self.sent.last().map_or(0, |newest| newest + 1);
        place + distance.saturating_sub(newest)
    }

    /// How far above the first number the packet at this place is.
    pub(super) fn distance(&self, place: i64) -> i64 {
        let known = usize::try_from(place)
            .ok()
            .and_then(|place| self.sent.get(place));
        let newest = self.sent.last().map_or(0, |newest| newest + 1);
        let distance = match known {
            Some(&distance) => i64::try_from(distance),
            None if place < 0 => return place,
            None => i64::try_from(newest).map(|newest| newest.saturating_add(place - self.count())),
        };
        distance.unwrap_or(i64::MAX)
    }

    /// The packets from one place to another, as ranges of neighbours.
    pub(super) fn ranges(&self, low: i64, high: i64) -> Vec<(i64, i64)> {
        if high >= self.count() + 1_000 || low < 0 {
            return vec![(self.distance(low), self.distance(high))];
        }
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for distance in (low..=high).map(|place| self.distance(place)) {
            match ranges.last_mut() {
                Some((_, end)) if distance == *end + 1 => *end = distance,
                _ => ranges.push((distance, distance)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(sent: &[u64]) -> Numbers {
        let mut numbers = Numbers::default();
        sent.iter().for_each(|&distance| numbers.note(distance));
        numbers
    }

    #[test]
    fn packets_are_counted_without_the_numbers_left_out() {
        let numbers = numbers(&[0, 1, 3, 4, 6]);
        let places: Vec<u64> = [0, 1, 3, 4, 6].map(|n| numbers.place(n)).to_vec();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        let distances: Vec<i64> = (-1..7).map(|place| numbers.distance(place)).collect();
        assert_eq!(distances, [-1, 0, 1, 3, 4, 6, 7, 8]);
        assert_eq!(numbers.place(8), 6);
    }

    #[test]
    fn a_range_of_packets_names_no_number_that_was_left_out() {
        let numbers = numbers(&[0, 1, 3, 4, 6]);
        assert_eq!(numbers.ranges(0, 4), [(0, 1), (3, 4), (6, 6)]);
        assert_eq!(numbers.ranges(2, 3), [(3, 4)]);
        assert_eq!(numbers.ranges(4, 6), [(6, 8)], "what was not sent");
        assert_eq!(numbers.ranges(-1, -1), [(-1, -1)]);
    }

    #[test]
    fn before_anything_was_sent_a_place_is_a_number() {
        let numbers = numbers(&[]);
        assert_eq!((numbers.place(3), numbers.distance(3)), (3, 3));
    }
}
