//! The machine alone, as a value: paths that carry so much and lose so many.

use proptest::prelude::*;

use super::*;

mod black_hole;

const RICH: Supply = Supply {
    waiting: u64::MAX,
    cwnd: u64::MAX,
};
const V4: &str = "192.0.2.1:1";
const V6: &str = "[2001:db8::1]:1";
const LO: &str = "127.0.0.1:1";
/// No search takes more probes than this, whatever the path carries: one of Ethernet's size, one of a jumbo
/// frame, the ceiling, 8,988, and twelve to halve 56,499 bytes down to 16.
const PROBES_MAX: usize = 16;
/// The same where the path carries no more than Ethernet does.
const PROBES_ETHERNET: usize = 8;
/// No more sizes are remembered, whatever happens.
const REFUSED_MAX: usize = 20;

fn mtu_to(remote: &str, ceiling: u16) -> Mtu {
    Mtu::new(remote.parse().expect("an address"), ceiling, u16::MAX)
}

fn at(secs: u64) -> Time {
    Time::from_millis(1_000 * secs)
}

/// Numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What the network does to a probe.
struct Path {
    carries: u16,
    /// What the own interface takes.
    local: u16,
    loss: u64,
    chance: Chance,
}

/// What a search did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Search {
    /// Probes that left, in order.
    sent: Vec<u16>,
    /// Sizes that the own host refused.
    refused_here: usize,
    /// Probes that had left when the size found last was acknowledged.
    until_found: usize,
}

impl Path {
    fn of(carries: u16) -> Self {
        Path {
            carries,
            local: u16::MAX,
            loss: 0,
            chance: Chance(1),
        }
    }

    /// Searches at `now` until the machine wants no more.
    fn search(&mut self, mtu: &mut Mtu, now: Time) -> Search {
        let mut search = Search::default();
        while let Some(size) = mtu.next_probe(now, RICH) {
            let before = mtu.size();
            mtu.on_probe_sent(size);
            assert_eq!(mtu.next_probe(now, RICH), None, "one at a time");
            if size > self.local {
                search.refused_here += 1;
                assert!(!mtu.on_refused_here(now, size));
            } else {
                search.sent.push(size);
                if size > self.carries || self.chance.happens(self.loss) {
                    mtu.on_probe_lost(now, size);
                } else {
                    assert!(mtu.on_probe_acked(size));
                    search.until_found = search.sent.len();
                }
            }
            assert!(mtu.size() >= before && mtu.size() <= self.carries.max(BASE));
            assert!(mtu.refused.is_sorted_by(|a, b| a.size > b.size));
            assert!(mtu.refused.len() <= REFUSED_MAX, "{:?}", mtu.refused);
            assert!(
                search.sent.len() + search.refused_here < 1_000,
                "no end: {search:?}"
            );
        }
        search
    }
}

#[test]
fn the_base_is_what_every_peer_must_accept() {
    assert_eq!(usize::from(BASE), crate::limits::DATAGRAM_MIN);
    assert!(LADDER.is_sorted() && LADDER[0] > BASE);
}

#[test]
fn the_usual_paths_are_found_with_few_probes() {
    // what the path carries, what is found, probes until then, probes in all
    let table = [
        (1_472, 1_472, 1, 5),
        (1_464, 1_462, 4, 6),
        (1_452, 1_452, 3, 6),
        (1_420, 1_420, 2, 6),
        (1_392, 1_392, 3, 6),
        (1_252, 1_252, 7, 10),
        (1_232, 1_232, 4, 10),
        (1_200, 1_200, 0, 7),
        (8_972, 8_972, 2, 6),
    ];
    for (carries, found, until_found, in_all) in table {
        let mut mtu = mtu_to(V4, 65_487);
        let search = Path::of(carries).search(&mut mtu, Time::ZERO);
        let numbers = (mtu.size(), search.until_found, search.sent.len());
        assert_eq!(
            numbers,
            (found, until_found, in_all),
            "{carries}: {search:?}"
        );
    }
}

#[test]
fn an_interface_of_ethernet_ends_the_search_after_one_packet() {
    let mut mtu = mtu_to(V4, 65_487);
    let mut path = Path::of(65_487);
    path.local = 1_472;
    let search = path.search(&mut mtu, Time::ZERO);
    assert_eq!(
        (mtu.size(), search.sent.as_slice()),
        (1_472, [1_472].as_slice())
    );
    assert_eq!(search.refused_here, 2, "8,972 and 1,488");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_path_mtu_is_found_to_sixteen_bytes(
        carries in prop_oneof![1_200_u16..=1_600, 1_200_u16..=9_100, 1_200_u16..=65_487],
        v6: bool,
        loopback: bool,
    ) {
        let remote = if loopback { LO } else if v6 { V6 } else { V4 };
        let mut mtu = mtu_to(remote, 65_487);
        let carries = if loopback { carries.min(LOOPBACK) } else { carries };
        let search = Path::of(carries).search(&mut mtu, Time::ZERO);
        prop_assert!(mtu.size() <= carries && carries - mtu.size() < PRECISION, "{}", mtu.size());
        let most = if carries <= ETHERNET_V4 && !loopback { PROBES_ETHERNET } else { PROBES_MAX };
        prop_assert!(search.until_found <= most, "{search:?}");
    }

    #[test]
    fn what_the_interface_refuses_costs_no_packet(local in 1_200_u16..=65_487, v6: bool) {
        let mut mtu = mtu_to(if v6 { V6 } else { V4 }, 65_487);
        let mut path = Path::of(u16::MAX);
        path.local = local;
        let search = path.search(&mut mtu, Time::ZERO);
        prop_assert!(mtu.size() <= local && local - mtu.size() < PRECISION);
        prop_assert_eq!(search.until_found, search.sent.len(), "each probe that left arrived");
    }

    #[test]
    fn the_limits_of_both_sides_are_never_passed(ceiling in 1_200_u16..=65_487, loopback: bool) {
        let mut mtu = mtu_to(if loopback { LO } else { V4 }, ceiling);
        let search = Path::of(u16::MAX).search(&mut mtu, Time::ZERO);
        prop_assert_eq!(mtu.size(), if loopback { ceiling.min(LOOPBACK) } else { ceiling });
        prop_assert!(search.sent.iter().all(|size| *size <= ceiling));
    }

    /// Whatever a peer acknowledges or not, and the host refuses: the size stays between the base and the
    /// ceiling, and memory within its bound.
    #[test]
    fn no_peer_moves_the_size_out_of_its_bounds(
        ceiling in 1_200_u16..=65_487,
        ops in prop::collection::vec((0_u8..8, any::<u16>()), 1..600),
    ) {
        let mut mtu = mtu_to(V4, ceiling);
        for (step, (op, word)) in (0_u64..).zip(ops) {
            let (now, next) = (at(step * 100), PacketNumber::new(step));
            let probe = mtu.next_probe(now, RICH);
            if let Some(size) = probe {
                mtu.on_probe_sent(size);
            }
            let size = probe.unwrap_or(1_200);
            match op {
                0 | 1 => mtu.on_probe_lost(now, size),
                2 => drop(mtu.on_probe_acked(size)),
                3 => drop(mtu.on_refused_here(now, if word % 2 == 0 { size } else { mtu.size() })),
                4 => drop(mtu.on_acked(next, word.min(ceiling))),
                5 => mtu.on_sent(next, mtu.size()),
                _ => mtu.on_timeout(next),
            }
            if probe.is_some() {
                mtu.on_probe_lost(now, size);
            }
            prop_assert!((BASE..=ceiling.max(BASE)).contains(&mtu.size()));
            prop_assert!(mtu.refused.is_sorted_by(|a, b| a.size > b.size));
            prop_assert!(mtu.refused.last().is_none_or(|least| least.size > mtu.size()));
            prop_assert!(mtu.refused.len() <= REFUSED_MAX, "{:?}", mtu.refused);
        }
    }

    /// Random loss may hide a size for a while. The next looks find it.
    #[test]
    fn random_loss_only_delays_the_search(
        carries in 1_200_u16..=65_487,
        loss in 0_u64..=30,
        seed: u64,
    ) {
        let mut mtu = mtu_to(V4, 65_487);
        let mut path = Path::of(carries);
        (path.loss, path.chance) = (loss, Chance(seed));
        let mut looks = 0;
        while carries - mtu.size() >= PRECISION {
            path.search(&mut mtu, at(looks * 600));
            looks += 1;
            prop_assert!(looks < 40, "{} of {carries}", mtu.size());
        }
    }
}

#[test]
fn the_least_size_that_was_lost_is_tried_three_times_and_then_once_in_ten_minutes() {
    let mut mtu = mtu_to(V4, 65_487);
    let mut path = Path::of(1_420);
    let search = path.search(&mut mtu, at(1));
    assert_eq!(search.sent, [1_472, 1_420, 1_452, 1_436, 1_436, 1_436]);
    let least = mtu.refused.last().expect("one was lost").size;
    let tries = search.sent.iter().filter(|size| **size == least).count();
    assert_eq!(tries, usize::from(TRIES_MAX));
    assert_eq!(path.search(&mut mtu, at(600)).sent, [0_u16; 0]);
    assert_eq!(path.search(&mut mtu, at(601)).sent, [least]);
    assert_eq!(path.search(&mut mtu, at(1_200)).sent, [0_u16; 0]);
    path.carries = 1_472;
    path.search(&mut mtu, at(1_201));
    assert_eq!(mtu.size(), 1_472, "a path that has grown is found");
}

#[test]
fn a_probe_is_a_small_part_of_what_waits_and_of_the_window() {
    let mut mtu = mtu_to(V4, 65_487);
    let wants = |mtu: &Mtu, waiting, cwnd| mtu.next_probe(Time::ZERO, Supply { waiting, cwnd });
    assert_eq!(
        wants(&mtu, 4 * 1_472 - 1, u64::MAX),
        None,
        "a short exchange"
    );
    assert_eq!(wants(&mtu, u64::MAX, 8 * 1_472 - 1), None, "a small window");
    assert_eq!(wants(&mtu, 4 * 1_472, 8 * 1_472), Some(1_472));
    let initial = crate::congestion::initial_window(BASE);
    assert_eq!(wants(&mtu, 4 * 1_472, initial), Some(1_472), "at the start");
    mtu.on_probe_sent(1_472);
    mtu.on_probe_acked(1_472);
    assert_eq!(wants(&mtu, u64::MAX, 8 * 8_972 - 1), None);
    assert_eq!(wants(&mtu, 4 * 8_972, 8 * 8_972), Some(8_972));
    let loopback = mtu_to(LO, 65_487);
    assert_eq!(wants(&loopback, 4 * 1_200 - 1, u64::MAX), None);
    assert_eq!(
        wants(&loopback, 4 * 1_200, 0),
        Some(LOOPBACK),
        "certain to arrive"
    );
}

#[test]
fn another_path_starts_anew() {
    let mut mtu = mtu_to(V4, 65_487);
    let mut path = Path::of(1_300);
    path.search(&mut mtu, at(1));
    mtu.on_new_path();
    assert_eq!(
        (mtu.size(), mtu.next_probe(at(1), RICH)),
        (BASE, Some(1_472))
    );
    mtu.on_probe_sent(1_472);
    mtu.on_new_path();
    assert_eq!(
        mtu.next_probe(at(1), RICH),
        Some(1_472),
        "the probe of the old path is forgotten"
    );
}

#[test]
fn a_probe_that_was_given_up_and_arrives_late_counts() {
    let mut mtu = mtu_to(V4, 1_472);
    mtu.on_probe_sent(1_472);
    mtu.on_probe_lost(at(1), 1_472);
    mtu.on_probe_sent(1_420);
    assert!(mtu.on_probe_acked(1_472));
    assert_eq!((mtu.size(), mtu.refused.len()), (1_472, 0));
    assert!(!mtu.on_probe_acked(1_420), "a smaller one changes nothing");
    mtu.on_probe_lost(at(2), 1_420);
    assert_eq!((mtu.size(), mtu.next_probe(at(2), RICH)), (1_472, None));
}

#[test]
fn data_that_the_own_host_refuses_goes_at_the_base_and_the_search_begins_below() {
    let mut mtu = mtu_to(V4, 65_487);
    Path::of(9_000).search(&mut mtu, at(1));
    let size = mtu.size();
    assert!(mtu.on_refused_here(at(2), size));
    assert_eq!((mtu.size(), mtu.black_holes()), (BASE, 0));
    assert!(
        !mtu.on_refused_here(at(2), BASE),
        "below the base nothing helps"
    );
    let mut path = Path::of(9_000);
    path.local = 1_400;
    let search = path.search(&mut mtu, at(2));
    assert!((1_385..=1_400).contains(&mtu.size()), "{}", mtu.size());
    assert!(search.sent.iter().all(|sent| *sent < size));
}
