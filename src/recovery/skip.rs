//! Numbers that are left out on purpose: who acknowledges one has not seen what it acknowledges
//! (RFC 9000 s21.4, optimistic acknowledgements).
//!
//! A receiver that acknowledges packets before they arrive makes the sender believe in a shorter and wider
//! path. It must guess their numbers, and one in a window or so does not exist. Which one, it learns
//! only from the packets themselves.
//!
//! An honest receiver sees a gap, and acknowledges at once what comes behind it: one more acknowledgement
//! in a round trip. It forgets the gap with everything else that the sender no longer tracks.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::wire::PacketNumber;

/// The second half of the key; the first is the seed.
const KEY: u64 = 0x736b_6970_6e75_6d62;

/// The number left out last, and when the next one is due.
#[derive(Debug)]
pub(super) struct Skips {
    seed: u64,
    /// Places drawn so far.
    count: u64,
    place: Place,
}

/// The next number to be left out, or the last one.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// From this number on the next one may be left out.
    Due(PacketNumber),
    /// It was left out, and is not settled.
    LeftOut(PacketNumber),
    /// None ever is.
    #[cfg(test)]
    Never,
}

impl Skips {
    /// Draws from `seed`, which the peer must not know. `first` is the first number of the connection and
    /// `window` how many packets may be in flight.
    pub(super) fn new(seed: u64, first: PacketNumber, window: u64) -> Self {
        let mut skips = Skips {
            seed,
            count: 0,
            place: Place::Due(first),
        };
        skips.draw(first, window);
        skips
    }

    /// No number is ever left out: for tests that tell packets by their numbers.
    #[cfg(test)]
    pub(super) fn never() -> Self {
        Skips {
            seed: 0,
            count: 0,
            place: Place::Never,
        }
    }

    /// Whether `next` is to be left out, behind so many packets in flight. Not behind a lone one: a window that
    /// holds a single packet does not grow by lies about it, and a dialogue shall not be answered twice.
    pub(super) fn is_due(&self, next: PacketNumber, in_flight: usize) -> bool {
        in_flight > 1 && self.due().is_some_and(|due| next >= due)
    }

    /// `number` is left out.
    pub(super) fn on_left_out(&mut self, number: PacketNumber) {
        self.place = Place::LeftOut(number);
    }

    /// From where on the next one is left out; `None` while the last is not settled.
    fn due(&self) -> Option<PacketNumber> {
        match self.place {
            Place::Due(due) => Some(due),
            _ => None,
        }
    }

    /// The number left out last, if it is not settled.
    pub(super) fn left_out(&self) -> Option<PacketNumber> {
        match self.place {
            Place::LeftOut(number) => Some(number),
            _ => None,
        }
    }

    /// How many of the numbers between these two were left out.
    pub(super) fn between(&self, low: PacketNumber, high: PacketNumber) -> u64 {
        u64::from(
            self.left_out()
                .is_some_and(|number| low < number && number < high),
        )
    }

    /// Nothing below `oldest` is tracked any more, and `largest` was acknowledged. Returns the number left
    /// out if nobody can lie about it from now on; the next one is drawn then, for a window of `window` packets
    /// from `next` on.
    pub(super) fn settle(
        &mut self,
        oldest: PacketNumber,
        largest: Option<PacketNumber>,
        next: PacketNumber,
        window: u64,
    ) -> Option<PacketNumber> {
        let settled = self
            .left_out()
            .filter(|&number| number < oldest && Some(number) < largest)?;
        self.draw(next, window);
        Some(settled)
    }

    /// The window holds `window` packets from `next` on. If it has shrunk so far that the next number would be left out
    /// only after more than two of it, another place is drawn, which is nearer: a window that shrinks step by step
    /// never puts it off.
    pub(super) fn on_window(&mut self, next: PacketNumber, window: u64) {
        let furthest = next.plus(span(window).1);
        if self.due().is_some_and(|due| due > furthest) {
            self.draw(next, window);
        }
    }

    /// The next one is due after half a window to two windows.
    fn draw(&mut self, next: PacketNumber, window: u64) {
        let (least, most) = span(window);
        let mut hasher = SipHasher13::new_with_keys(self.seed, KEY);
        hasher.write_u64(self.count);
        self.count += 1;
        let places = (most - least).saturating_add(1);
        self.place = Place::Due(next.plus(least + hasher.finish() % places));
    }
}

/// The least and the most packets from one number left out to the next.
fn span(window: u64) -> (u64, u64) {
    let least = (window / 2).max(1);
    (least, window.saturating_mul(2).max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u64) -> PacketNumber {
        PacketNumber::new(n)
    }

    /// The first number that is left out, of a connection of this seed.
    fn first_of(seed: u64, window: u64) -> u64 {
        let skips = Skips::new(seed, number(0), window);
        (0..).find(|&n| skips.is_due(number(n), 2)).unwrap()
    }

    #[test]
    fn one_is_left_out_after_half_a_window_to_two_windows_and_each_place_is_as_likely() {
        let mut places = [0_u32; 21];
        for seed in 0..16_000 {
            let place = usize::try_from(first_of(seed, 10)).unwrap();
            assert!((5..=20).contains(&place), "{place}");
            places[place] += 1;
        }
        // 1,000 each on average, with a deviation of 31.
        assert!(
            places[5..].iter().all(|&count| count.abs_diff(1_000) < 150),
            "{places:?}"
        );
    }

    #[test]
    fn windows_of_every_size_have_a_place() {
        for window in [0, 1, 2, 3, u64::MAX / 2, u64::MAX] {
            let skips = Skips::new(7, number(0), window);
            assert!(skips.due() >= Some(number(1)));
            assert!(skips.due() <= Some(number(window.saturating_mul(2).max(1))));
        }
    }

    #[test]
    fn nothing_is_left_out_behind_a_lone_packet() {
        let skips = Skips::new(1, number(0), 10);
        assert!(!skips.is_due(number(1_000), 1));
        assert!(skips.is_due(number(1_000), 2));
    }

    #[test]
    fn none_is_left_out_before_the_last_one_is_settled() {
        let mut skips = Skips::new(1, number(0), 10);
        skips.on_left_out(number(12));
        assert!(!skips.is_due(number(1_000), 10));
        // Something older is still tracked; then nothing newer was acknowledged.
        assert_eq!(
            skips.settle(number(11), Some(number(20)), number(30), 10),
            None
        );
        assert_eq!(
            skips.settle(number(13), Some(number(11)), number(30), 10),
            None
        );
        assert_eq!(skips.settle(number(13), None, number(30), 10), None);
        assert_eq!(skips.left_out(), Some(number(12)));
        let settled = skips.settle(number(13), Some(number(13)), number(30), 10);
        assert_eq!(settled, Some(number(12)));
        assert_eq!(skips.left_out(), None);
        assert!(!skips.is_due(number(34), 10));
        assert!(skips.is_due(number(50), 10));
    }

    /// K15: one in a window, also in the one that is left after a collapse.
    #[test]
    fn a_window_that_collapses_brings_the_next_place_near() {
        for seed in 0..1_000 {
            let mut skips = Skips::new(seed, number(0), 10_000);
            let next = number(17);
            skips.on_window(next, 2);
            let due = skips.due().unwrap();
            assert!(due > next && due <= next.plus(4), "{due:?}");
            // A wider window changes nothing, nor does one that still has it within reach.
            skips.on_window(next, 2);
            skips.on_window(next, 20_000);
            assert_eq!(skips.due(), Some(due));
        }
    }

    /// Whatever the window does, the place only comes nearer: it cannot be put off for ever.
    #[test]
    fn windows_that_shrink_step_by_step_put_nothing_off() {
        for seed in 0..200 {
            let mut skips = Skips::new(seed, number(0), 1_000);
            let mut due = skips.due().unwrap();
            for n in 0..999 {
                skips.on_window(number(n), 1_000 - n);
                let now = skips.due().unwrap();
                assert!(now <= due, "{now:?} after {due:?}");
                due = now;
            }
            assert!(due <= number(1_002));
        }
    }

    #[test]
    fn it_counts_as_no_packet_between_two_others() {
        let mut skips = Skips::new(1, number(0), 10);
        skips.on_left_out(number(12));
        assert_eq!(skips.between(number(11), number(13)), 1);
        assert_eq!(skips.between(number(13), number(16)), 0);
        assert_eq!(skips.between(number(9), number(11)), 0);
    }

    #[test]
    fn the_places_follow_from_the_seed_and_tell_nothing_of_the_next() {
        let places = |seed| {
            let mut skips = Skips::new(seed, number(0), 100);
            let mut next = number(0);
            (0..50)
                .map(|_| {
                    let due = skips.due().unwrap();
                    let interval = due.since(next);
                    next = due.next();
                    skips.on_left_out(due);
                    skips.settle(next, Some(next), next, 100);
                    interval
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(places(1), places(1));
        assert_ne!(places(1), places(2));
        let mut distinct = places(1);
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 30, "{distinct:?}");
    }
}
