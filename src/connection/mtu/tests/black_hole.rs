//! Black holes: on positive proof only. Each rule is a bug that another stack had.

use super::*;

const SIZE: u16 = 1_472;

fn number(number: u64) -> PacketNumber {
    PacketNumber::new(number)
}

/// A machine whose search ended at `SIZE`.
fn found() -> Mtu {
    let mut mtu = mtu_to(V4, 65_487);
    Path::of(SIZE).search(&mut mtu, Time::ZERO);
    assert_eq!(mtu.size(), SIZE);
    mtu
}

/// A timeout, its probes numbered from 20.
fn stalled() -> Mtu {
    let mut mtu = found();
    mtu.on_sent(number(5), SIZE);
    mtu.on_timeout(number(20));
    assert_eq!(mtu.timeout_probe_size(1), SIZE, "the first of two");
    mtu.on_sent(number(20), SIZE);
    assert_eq!(mtu.timeout_probe_size(1), BASE, "the second of two");
    mtu
}

/// A machine that tests whether `SIZE` still passes.
fn doubting() -> Mtu {
    let mut mtu = stalled();
    assert!(mtu.on_acked(number(21), BASE));
    assert_eq!((mtu.size(), mtu.black_holes()), (BASE, 0));
    mtu
}

/// A path that gives room to one packet only, because its address is not proven, is not stuck for ever.
#[test]
fn timeouts_without_an_answer_ask_with_the_base() {
    let mut mtu = found();
    mtu.on_sent(number(5), SIZE);
    mtu.on_timeout(number(10));
    assert_eq!(mtu.timeout_probe_size(1), SIZE);
    mtu.on_sent(number(10), SIZE);
    mtu.on_timeout(number(11));
    assert_eq!(mtu.timeout_probe_size(2), BASE);
    assert!(
        mtu.on_acked(number(11), BASE),
        "and the answer is proof enough to doubt"
    );
}

#[test]
fn timeouts_without_an_answer_are_no_evidence() {
    let mut mtu = stalled();
    for from in (30..500).step_by(10) {
        mtu.on_timeout(number(from));
    }
    assert_eq!(
        (mtu.size(), mtu.black_holes()),
        (SIZE, 0),
        "the path is dead, not narrow"
    );
    assert!(!mtu.on_acked(number(500), SIZE), "and back, with all sizes");
    assert!(!mtu.on_acked(number(501), BASE));
    assert_eq!(mtu.size(), SIZE);
}

#[test]
fn an_answer_to_what_was_sent_before_the_timeouts_is_no_evidence() {
    let mut mtu = stalled();
    assert!(!mtu.on_acked(number(19), BASE));
    assert_eq!(mtu.size(), SIZE);
}

/// quinn #2791: with `>` instead of `>=` a packet of exactly the size in use did not count.
#[test]
fn an_acknowledged_packet_of_the_very_size_clears_all_suspicion() {
    for size in [SIZE, SIZE + 1, 9_000] {
        let mut mtu = stalled();
        assert!(!mtu.on_acked(number(20), size));
        assert!(!mtu.on_acked(number(21), BASE));
        assert_eq!(mtu.doubt, Doubt::None, "{size}");
        assert_eq!(mtu.size(), SIZE);
    }
}

#[test]
fn timeouts_of_small_packets_are_no_evidence() {
    let mut mtu = found();
    mtu.on_sent(number(5), 100);
    assert_eq!(mtu.newest_large, None);
    for from in [10, 20, 30] {
        mtu.on_timeout(number(from));
        mtu.on_sent(number(from), 100);
        assert!(!mtu.on_acked(number(from), 100));
    }
    assert_eq!((mtu.size(), mtu.doubt), (SIZE, Doubt::None));
}

/// quinn #1855, #2212: bursts of loss, in which some small packets arrived, were taken for black holes.
#[test]
fn losses_without_timeouts_are_no_evidence() {
    let mut mtu = found();
    for n in 0..10_000 {
        mtu.on_sent(number(2 * n), SIZE);
        mtu.on_sent(number(2 * n + 1), 100);
        assert!(
            !mtu.on_acked(number(2 * n + 1), 100),
            "only the small ones arrive"
        );
    }
    assert_eq!(mtu.size(), SIZE);
}

#[test]
fn a_doubt_costs_only_size_and_ends_with_the_first_large_packet_that_arrives() {
    let mut mtu = doubting();
    for _ in 0..TESTS - 1 {
        assert_eq!(mtu.next_probe(Time::ZERO, RICH), Some(SIZE));
        mtu.on_probe_sent(SIZE);
        mtu.on_probe_lost(at(1), SIZE);
        assert_eq!((mtu.size(), mtu.black_holes()), (BASE, 0));
    }
    assert!(
        mtu.on_acked(number(5), SIZE),
        "an old one, very late, will do"
    );
    assert_eq!((mtu.size(), mtu.doubt), (SIZE, Doubt::None));
    let mut mtu = doubting();
    mtu.on_probe_sent(SIZE);
    assert!(mtu.on_probe_acked(SIZE));
    assert_eq!((mtu.size(), mtu.doubt), (SIZE, Doubt::None));
}

#[test]
fn a_proven_black_hole_rests_for_a_minute_and_is_searched_below() {
    let mut mtu = doubting();
    for _ in 0..TESTS {
        mtu.on_probe_sent(SIZE);
        mtu.on_probe_lost(at(10), SIZE);
    }
    assert_eq!((mtu.size(), mtu.black_holes()), (BASE, 1));
    assert_eq!(mtu.next_probe(at(69), RICH), None);
    let search = Path::of(1_280).search(&mut mtu, at(70));
    assert!((1_265..=1_280).contains(&mtu.size()), "{search:?}");
    assert!(search.sent.iter().all(|size| *size < SIZE));
}

#[test]
fn a_size_in_doubt_that_the_own_host_refuses_is_no_black_hole_and_no_doubt() {
    let mut mtu = doubting();
    mtu.on_probe_sent(SIZE);
    assert!(!mtu.on_refused_here(at(1), SIZE));
    assert_eq!(
        (mtu.size(), mtu.black_holes(), mtu.doubt),
        (BASE, 0, Doubt::None)
    );
    assert!(mtu.next_probe(at(1), RICH).is_some_and(|size| size < SIZE));
}

#[test]
fn at_the_base_there_is_nothing_to_doubt() {
    let mut mtu = mtu_to(V4, 65_487);
    mtu.on_sent(number(1), BASE);
    assert_eq!(mtu.newest_large, None);
    assert_eq!(mtu.timeout_probe_size(1), BASE);
}

/// A sender with a window of some packets on a path that loses packets and acknowledgements by chance.
struct Flow {
    mtu: Mtu,
    chance: Chance,
    loss: u64,
    carries: u16,
    next: u64,
    doubts: u64,
    timeouts: u64,
}

impl Flow {
    fn new(seed: u64, loss: u64) -> Self {
        Flow {
            mtu: found(),
            chance: Chance(seed),
            loss,
            carries: SIZE,
            next: 0,
            doubts: 0,
            timeouts: 0,
        }
    }

    fn arrives(&mut self, size: u16) -> bool {
        size <= self.carries && !self.chance.happens(self.loss)
    }

    /// Sends packets of these sizes; what is acknowledged of them: the newest number, the largest size.
    fn flight(&mut self, sizes: &[u16]) -> Option<(u64, u16)> {
        let mut acked: Option<(u64, u16)> = None;
        for size in sizes {
            let sent = self.next;
            self.next += 1;
            self.mtu.on_sent(number(sent), *size);
            // An acknowledgement names all that came before it.
            if self.arrives(*size) && self.arrives(60) {
                let largest = acked.map_or(0, |(_, largest)| largest).max(*size);
                acked = Some((sent, largest));
            }
        }
        acked
    }

    fn take(&mut self, acked: Option<(u64, u16)>) -> bool {
        let Some((newest, largest)) = acked else {
            return false;
        };
        let before = self.mtu.size();
        self.mtu.on_acked(number(newest), largest);
        self.doubts += u64::from(self.mtu.size() < before);
        true
    }

    /// One flight, and timeouts until something of it is acknowledged. Then a test, if one is wanted.
    fn round(&mut self, packets: u64) {
        let sizes = vec![self.mtu.size(); usize::try_from(packets).expect("few")];
        let mut acked = self.flight(&sizes);
        let mut in_a_row = 0;
        while !self.take(acked) {
            in_a_row += 1;
            self.timeouts += 1;
            self.mtu.on_timeout(number(self.next));
            let first = self.mtu.timeout_probe_size(in_a_row);
            acked = self.flight(&[first]);
            let second = self.mtu.timeout_probe_size(in_a_row);
            acked = self.flight(&[second]).map_or(acked, |(newest, largest)| {
                Some((
                    newest,
                    acked.map_or(largest, |(_, other)| largest.max(other)),
                ))
            });
        }
        if let Some(size) = self.mtu.next_probe(at(1), RICH) {
            self.mtu.on_probe_sent(size);
            if self.arrives(size) {
                self.mtu.on_probe_acked(size);
            } else {
                self.mtu.on_probe_lost(at(1), size);
            }
        }
    }
}

#[test]
fn random_loss_up_to_thirty_percent_is_never_a_black_hole() {
    let (mut doubts, mut timeouts) = (0, 0);
    for seed in 0..10_000 {
        let mut flow = Flow::new(seed, seed % 31);
        for _ in 0..200 {
            let packets = 1 + flow.chance.next() % 8;
            flow.round(packets);
        }
        assert_eq!(flow.mtu.black_holes(), 0, "seed {seed}");
        doubts += flow.doubts;
        timeouts += flow.timeouts;
    }
    println!("10,000 runs of 200 flights: {timeouts} timeouts, {doubts} doubts, no black hole");
    assert!(doubts > 100, "the test tests nothing: {doubts} doubts");
}

#[test]
fn a_real_black_hole_is_doubted_after_one_timeout_and_proven() {
    for seed in 0..1_000 {
        let mut flow = Flow::new(seed, 0);
        flow.round(5);
        flow.carries = 1_280;
        assert_eq!(flow.mtu.size(), SIZE);
        flow.round(5);
        assert_eq!((flow.mtu.size(), flow.timeouts), (BASE, 1));
        for _ in 0..TESTS {
            flow.round(5);
        }
        assert_eq!((flow.mtu.size(), flow.mtu.black_holes()), (BASE, 1));
    }
}
