use proptest::prelude::*;

use super::*;

/// A sender, a path that does something with marks, and a receiver that counts.
struct Pair {
    ecn: EcnValidation,
    next: u64,
    counts: EcnCounts,
}

impl Pair {
    fn new() -> Self {
        Self::counting_from(0)
    }

    /// A connection so old that the receiver's counters stand at `start`, as the sender knows.
    fn counting_from(start: u32) -> Self {
        let mut ecn = EcnValidation {
            counted: counts(start, 0, start),
            ..EcnValidation::default()
        };
        ecn.start(PacketNumber::new(1));
        Pair {
            ecn,
            next: 1,
            counts: counts(start, 0, start),
        }
    }

    /// Sends a packet, marked if that is wanted.
    fn send(&mut self) -> PacketNumber {
        let number = PacketNumber::new(self.next);
        self.next += 1;
        if self.ecn.may_mark() {
            self.ecn.on_marked_sent();
        }
        number
    }

    fn next(&self) -> PacketNumber {
        PacketNumber::new(self.next)
    }

    fn lose(&mut self, number: PacketNumber) {
        let next = self.next();
        self.ecn.on_marked_lost(number, next);
    }

    /// An acknowledgement of `newly` marked packets, with the counts as they are.
    fn ack(&mut self, newly: u64, is_newest: bool) -> u64 {
        let report = EcnReport {
            counts: Some(self.counts),
            newly_acked: newly,
            is_newest,
            next: self.next(),
        };
        self.ecn.on_ack(&report)
    }

    /// Sends and acknowledges packets of which `ce` meet congestion.
    fn pass(&mut self, packets: u32, ce: u32) -> u64 {
        for _ in 0..packets {
            assert!(self.ecn.may_mark());
            self.send();
        }
        self.counts.ect0 = self.counts.ect0.wrapping_add(packets - ce);
        self.counts.ce = self.counts.ce.wrapping_add(ce);
        self.ack(packets.into(), true)
    }
}

fn counts(ect0: u32, ect1: u32, ce: u32) -> EcnCounts {
    EcnCounts { ect0, ect1, ce }
}

#[test]
fn nothing_is_marked_until_both_sides_agree_nor_on_a_new_path_then() {
    let mut ecn = EcnValidation::default();
    ecn.on_new_path(PacketNumber::new(9));
    assert_eq!((ecn.may_mark(), ecn.state()), (false, EcnState::Off));
}

#[test]
fn a_test_marks_ten_packets_and_waits() {
    let mut pair = Pair::new();
    let marked = (0..50)
        .filter(|_| {
            let marked = pair.ecn.may_mark();
            pair.send();
            marked
        })
        .count();
    assert_eq!(marked, 10);
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    pair.counts.ect0 = 1;
    assert_eq!(pair.ack(1, true), 0);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
    assert!(pair.ecn.may_mark());
}

#[test]
fn congestion_is_reported_once_for_each_mark() {
    let mut pair = Pair::new();
    assert_eq!(pair.pass(10, 3), 3);
    assert_eq!(pair.pass(10, 0), 0);
    assert_eq!(pair.pass(2, 2), 2);
    assert_eq!(pair.ecn.ce(), 5);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn a_path_that_clears_marks_is_found_out() {
    for was_capable in [false, true] {
        let mut pair = Pair::new();
        if was_capable {
            pair.pass(5, 1);
        }
        pair.send();
        assert_eq!(pair.ack(1, true), 0);
        assert_eq!(pair.ecn.state(), EcnState::Failed);
        assert!(!pair.ecn.may_mark());
    }
}

#[test]
fn a_block_without_counts_says_that_nothing_marked_came() {
    let mut pair = Pair::new();
    pair.send();
    let report = EcnReport {
        counts: None,
        newly_acked: 1,
        is_newest: true,
        next: pair.next(),
    };
    assert_eq!(pair.ecn.on_ack(&report), 0);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

/// Its marks are answered until that is sure.
#[test]
fn a_path_that_marks_everything_is_found_out_by_ten_and_not_by_nine() {
    let mut pair = Pair::new();
    assert_eq!(pair.pass(4, 4), 4);
    assert_eq!(pair.pass(5, 5), 5);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
    assert_eq!(pair.pass(1, 1), 1);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

#[test]
fn heavy_congestion_is_no_broken_path() {
    let mut pair = Pair::new();
    assert_eq!(pair.pass(5, 4), 4);
    assert_eq!(pair.pass(500, 500), 500);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn a_path_that_changes_marks_is_found_out() {
    let mut pair = Pair::new();
    pair.send();
    pair.counts = counts(0, 1, 0);
    pair.ack(1, true);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

#[test]
fn counts_that_go_back_or_beyond_what_was_sent_are_not_believed() {
    for lie in [
        counts(4, 0, 1),
        counts(5, 0, 0),
        counts(u32::MAX, 0, 1),
        counts(8, 0, 1),
        counts(5, 0, u32::MAX),
        counts(u32::MAX, u32::MAX, u32::MAX),
    ] {
        let mut pair = Pair::new();
        pair.pass(6, 1);
        pair.send();
        pair.counts = lie;
        assert_eq!(pair.ack(1, true), 0, "{lie:?}");
        assert_eq!(pair.ecn.state(), EcnState::Failed, "{lie:?}");
        assert_eq!(pair.ecn.ce(), 1, "{lie:?}");
    }
}

/// quic-go #4088, neqo #2741: what a healthy path does, and must not fail for.
#[test]
fn an_old_acknowledgement_proves_nothing() {
    let mut pair = Pair::new();
    pair.pass(5, 0);
    let old = pair.counts;
    pair.send();
    pair.send();
    pair.counts.ect0 += 1;
    assert_eq!(pair.ack(1, true), 0);
    // One from before arrives behind it, and names a packet that the newer one had no room for.
    pair.counts = old;
    assert_eq!(pair.ack(1, false), 0);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn an_acknowledgement_of_unmarked_packets_alone_proves_nothing() {
    let mut pair = Pair::new();
    for _ in 0..12 {
        pair.send();
    }
    // The ten marked ones are under way, the eleventh has overtaken them.
    assert_eq!(pair.ack(0, true), 0);
    assert_eq!(pair.ecn.state(), EcnState::Testing);
}

/// All ten were overtaken by unmarked packets, so no acknowledgement of them was the newest.
#[test]
fn a_test_without_a_result_is_repeated() {
    let mut pair = Pair::new();
    for _ in 0..12 {
        pair.send();
    }
    assert!(!pair.ecn.may_mark());
    pair.counts.ect0 = 10;
    assert_eq!(pair.ack(10, false), 0);
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    // Their counts come with the first of the next test.
    assert_eq!(pair.pass(1, 0), 0);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn a_lost_acknowledgement_is_made_up_for_by_the_next() {
    let mut pair = Pair::new();
    for _ in 0..10 {
        pair.send();
    }
    pair.counts = counts(8, 0, 2);
    assert_eq!(pair.ack(10, true), 2);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn a_packet_that_was_given_up_for_lost_may_be_counted() {
    let mut pair = Pair::new();
    let lost = pair.send();
    pair.send();
    pair.lose(lost);
    // It arrived, but nobody remembers it: the counts know of more than is newly acknowledged.
    pair.counts.ect0 = 2;
    assert_eq!(pair.ack(1, true), 0);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn a_path_that_drops_marked_packets_is_found_out_by_ten_and_not_by_nine() {
    let mut pair = Pair::new();
    let sent: Vec<_> = (0..10).map(|_| pair.send()).collect();
    for number in &sent[..9] {
        pair.lose(*number);
    }
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    pair.lose(sent[9]);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
    // A late arrival does not bring the trust back: the path was slower than any round trip.
    pair.counts.ect0 = 1;
    assert_eq!(pair.ack(1, true), 0);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

#[test]
fn a_blackout_puts_a_trusted_path_on_test_again_and_takes_nothing_away() {
    let mut pair = Pair::new();
    pair.pass(10, 0);
    let cut: Vec<_> = (0..300).map(|_| pair.send()).collect();
    for number in cut {
        pair.lose(number);
    }
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    assert_eq!(pair.pass(1, 0), 0);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
    // But if what is marked is still lost afterwards, it is the mark.
    let cut: Vec<_> = (0..20).map(|_| pair.send()).collect();
    for number in cut {
        pair.lose(number);
    }
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    let again: Vec<_> = (0..10).map(|_| pair.send()).collect();
    for number in again {
        pair.lose(number);
    }
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

#[test]
fn a_new_path_is_tested_whatever_the_old_one_did() {
    let mut pair = Pair::new();
    pair.send();
    pair.send();
    pair.counts.ect1 = 1;
    pair.ack(1, true);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
    // The second one arrives, changed as well, and is reported while nothing is marked.
    pair.counts.ect1 = 2;
    pair.ack(1, true);
    let next = pair.next();
    pair.ecn.on_new_path(next);
    assert_eq!(pair.ecn.state(), EcnState::Testing);
    assert_eq!(pair.pass(3, 1), 1);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
}

#[test]
fn counters_wrap() {
    let mut pair = Pair::counting_from(u32::MAX - 4);
    assert_eq!(pair.pass(10, 5), 5);
    assert_eq!(pair.counts, counts(0, 0, 0));
    assert_eq!(pair.pass(10, 9), 9);
    assert_eq!(pair.ecn.state(), EcnState::Capable);
    assert_eq!(pair.ecn.ce(), 14);
}

/// A box that begins to mark everything in mid-transfer, however little is sent.
#[test]
fn marks_that_no_window_ends_are_given_up() {
    let mut pair = Pair::new();
    pair.pass(10, 1);
    for _ in 0..HOPELESS_PACKETS - 1 {
        assert_eq!(pair.pass(1, 1), 1);
        pair.ecn.on_window(true);
        assert_eq!(pair.ecn.state(), EcnState::Capable);
    }
    pair.pass(1, 1);
    pair.ecn.on_window(true);
    assert_eq!(pair.ecn.state(), EcnState::Failed);
}

/// As long as the window still shrinks, or some packets come without a mark, marks mean congestion.
#[test]
fn marks_that_a_smaller_window_may_end_are_answered() {
    let mut pair = Pair::new();
    pair.pass(10, 0);
    for round in 0..1_000 {
        pair.pass(20, 20);
        pair.ecn.on_window(false);
        pair.pass(30, 30);
        pair.ecn.on_window(true);
        pair.pass(1, u32::from(round % 2 == 0));
        pair.ecn.on_window(round % 2 == 1);
        assert_eq!(pair.ecn.state(), EcnState::Capable);
    }
}

/// What a peer and a path may do, in any order.
#[derive(Clone, Debug)]
enum Op {
    Send,
    Lose(u8),
    NewPath,
    Ack {
        counts: Option<(u32, u32, u32)>,
        newly: u8,
        is_newest: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let few = prop_oneof![0..30u32, Just(u32::MAX), any::<u32>()];
    let counts = proptest::option::of((few.clone(), prop_oneof![Just(0), few.clone()], few));
    prop_oneof![
        4 => Just(Op::Send),
        2 => any::<u8>().prop_map(Op::Lose),
        1 => Just(Op::NewPath),
        4 => (counts, 0..12u8, any::<bool>()).prop_map(|(counts, newly, is_newest)| Op::Ack {
            counts,
            newly,
            is_newest,
        }),
    ]
}

proptest! {
    /// Hostile counts: never more congestion than marked packets, and never a mark on a path that failed.
    #[test]
    fn no_counts_make_more_congestion_than_there_were_marks(
        ops in proptest::collection::vec(op(), 0..200)
    ) {
        let mut pair = Pair::new();
        let (mut marked, mut reported) = (0, 0);
        for op in ops {
            let failed = pair.ecn.state() == EcnState::Failed;
            prop_assert!(!failed || !pair.ecn.may_mark());
            match op {
                Op::Send => {
                    marked += u64::from(pair.ecn.may_mark());
                    pair.send();
                }
                Op::Lose(back) => {
                    let number = PacketNumber::new(pair.next.saturating_sub(back.into()));
                    pair.lose(number);
                }
                Op::NewPath => {
                    let next = pair.next();
                    pair.ecn.on_new_path(next);
                }
                Op::Ack { counts, newly, is_newest } => {
                    let report = EcnReport {
                        counts: counts.map(|(ect0, ect1, ce)| EcnCounts { ect0, ect1, ce }),
                        newly_acked: newly.into(),
                        is_newest,
                        next: pair.next(),
                    };
                    reported += pair.ecn.on_ack(&report);
                }
            }
            prop_assert_eq!(reported, pair.ecn.ce());
            prop_assert!(reported <= marked, "{} of {}", reported, marked);
        }
    }
}
