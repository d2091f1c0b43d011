use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::batches::BATCHES_KEPT;
use super::*;

/// Bytes that an empty ring may hold.
const KEPT: usize = SLOTS_KEPT * 24 + BATCHES_KEPT * 56;

fn number(number: u64) -> PacketNumber {
    PacketNumber::new(number)
}

/// A packet whose contents follow from its number, so that a mix-up shows.
fn packet(n: u64) -> SentPacket {
    let start = Offset::new(n * 100_000);
    let probe = n % 7 == 3;
    let len = if probe { 0 } else { n * 31 % 1_400 };
    SentPacket {
        number: number(n),
        size: u16::try_from(n * 13 % 60_000).unwrap(),
        imm: n % 2 == 0,
        contents: Contents {
            data: start..start.plus(len),
            fin: n % 5 == 0,
            mtu_probe: probe.then_some(9_000),
            dgram: n % 11 == 4,
            marked: n % 3 == 0,
        },
    }
}

/// What was known when a packet left at this time, milliseconds.
fn sent_at(millis: u64) -> Snapshot {
    Snapshot {
        sent_at: Time::from_millis(millis),
        ..Snapshot::default()
    }
}

fn ring_of(first: u64, packets: u64) -> SentPackets {
    let mut sent = SentPackets::new(number(first));
    for n in first..first + packets {
        sent.push(&packet(n), &sent_at(n));
    }
    sent
}

fn acknowledge(sent: &mut SentPackets, range: RangeInclusive<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    let range = number(*range.start())..=number(*range.end());
    sent.acknowledge(range, |n, _| found.push(n.get()));
    found
}

#[test]
fn a_record_costs_twenty_four_bytes() {
    assert_eq!(size_of::<Slot>(), 24);
}

#[test]
fn what_a_packet_carried_comes_back_as_it_was() {
    let mut sent = ring_of(0, 50);
    let mut found = Vec::new();
    sent.acknowledge(number(0)..=number(49), |n, resolved| {
        found.push((n, resolved));
    });
    assert_eq!(found.len(), 50);
    for (n, resolved) in found {
        let original = packet(n.get());
        assert_eq!(resolved.contents, original.contents, "contents of {n:?}");
        assert_eq!(resolved.size, original.size, "size of {n:?}");
        assert_eq!(resolved.sent, sent_at(n.get()));
        assert!(!resolved.was_lost);
    }
}

#[test]
fn an_acknowledgement_tells_each_packet_once_and_the_highest_first() {
    let mut sent = ring_of(10, 10);
    assert_eq!(acknowledge(&mut sent, 13..=15), [15, 14, 13]);
    assert_eq!(acknowledge(&mut sent, 12..=17), [17, 16, 12]);
    assert_eq!(acknowledge(&mut sent, 12..=17), [0; 0]);
    assert_eq!(acknowledge(&mut sent, 0..=u64::MAX), [19, 18, 11, 10]);
    assert_eq!(sent.oldest_tracked(), number(20));
}

#[test]
fn an_acknowledgement_of_everything_empties_the_ring_and_gives_its_memory_back() {
    let mut sent = ring_of(0, 100_000);
    assert!(sent.memory() >= 100_000 * 24);
    assert_eq!(acknowledge(&mut sent, 0..=99_999).len(), 100_000);
    assert_eq!(sent.in_flight(), 0);
    assert_eq!(sent.oldest_in_flight(), None);
    assert!(sent.memory() <= KEPT);
}

#[test]
fn an_unused_ring_holds_no_memory() {
    assert_eq!(SentPackets::new(number(1)).memory(), 0);
}

#[test]
fn a_dialogue_of_small_messages_keeps_its_few_slots() {
    let mut sent = SentPackets::new(number(0));
    let mut held = None;
    for n in 0..1_000 {
        sent.push(&packet(n), &sent_at(n));
        acknowledge(&mut sent, 0..=n);
        assert_eq!(*held.get_or_insert(sent.memory()), sent.memory());
    }
    assert!(sent.memory() > 0);
}

#[test]
fn a_lost_packet_is_remembered_until_it_is_forgotten() {
    let mut sent = ring_of(0, 3);
    let lost = sent.lose_oldest(Time::from_millis(50)).unwrap();
    assert_eq!(lost.contents, packet(0).contents);
    assert_eq!(sent.in_flight(), 2);
    assert_eq!(sent.oldest_tracked(), number(0));
    assert_eq!(sent.oldest_in_flight().unwrap().number, number(1));
    sent.forget_lost(|| Time::from_millis(49));
    assert!(sent.is_outstanding(number(0)));
    sent.forget_lost(|| Time::from_millis(50));
    assert!(!sent.is_outstanding(number(0)));
    assert_eq!(sent.oldest_tracked(), number(1));
}

#[test]
fn a_late_acknowledgement_of_a_lost_packet_is_recognised_once() {
    let mut sent = ring_of(0, 3);
    sent.lose_oldest(Time::from_millis(50));
    let mut late = Vec::new();
    sent.acknowledge(number(0)..=number(0), |_, resolved| late.push(resolved));
    assert_eq!(late.len(), 1);
    assert!(late[0].was_lost);
    assert_eq!(late[0].sent, sent_at(0), "what was known then is kept");
    assert_eq!(late[0].contents, packet(0).contents);
    assert_eq!(acknowledge(&mut sent, 0..=0), [0; 0]);
    assert_eq!(sent.in_flight(), 2);
}

#[test]
fn a_quiet_ring_does_not_hold_many_slots_for_one_old_loss() {
    let mut sent = ring_of(0, 1_000);
    sent.lose_oldest(Time::from_millis(2_000));
    acknowledge(&mut sent, 1..=999);
    assert!(sent.is_outstanding(number(0)));
    sent.quiet();
    assert!(!sent.is_outstanding(number(0)));
    assert_eq!(sent.memory(), 0);
    assert_eq!(sent.next_number(), number(1_000));
}

#[test]
fn numbers_work_up_to_the_end_of_their_range() {
    let mut sent = SentPackets::new(number(u64::MAX - 5));
    let mut last = packet(3);
    for n in 0..4 {
        last.number = number(u64::MAX - 5 + n);
        sent.push(&last, &sent_at(0));
    }
    assert_eq!(acknowledge(&mut sent, 0..=u64::MAX).len(), 4);
}

#[test]
#[should_panic(expected = "packet numbers are used in order")]
fn a_number_out_of_order_is_refused() {
    SentPackets::new(number(5)).push(&packet(6), &sent_at(0));
}

/// Steps from slot to slot that an acknowledgement of `0..=high` would take.
fn steps(sent: &SentPackets, high: usize) -> usize {
    let mut steps = 0;
    let mut next = high + 1;
    while next > 0 {
        steps += 1;
        next = match sent.slots[next - 1] {
            Slot::Acked { skip } => below(next - 1, skip),
            Slot::Tracked(_) => next - 1,
        };
    }
    steps
}

#[test]
fn a_repeated_range_is_crossed_in_one_step() {
    let mut sent = ring_of(0, 10_000);
    for high in (63..9_000).step_by(64) {
        acknowledge(&mut sent, 1..=high);
        assert!(steps(&sent, usize::try_from(high).unwrap()) <= 2);
    }
}

#[test]
fn hostile_ranges_soon_cost_nothing() {
    // Packet 0 keeps all slots alive; then old, shrinking ranges arrive again and again.
    let mut sent = ring_of(0, 10_001);
    acknowledge(&mut sent, 1..=10_000);
    let mut total = 0;
    for high in (1..10_000).rev() {
        total += steps(&sent, high);
        let high = u64::try_from(high).unwrap();
        assert_eq!(acknowledge(&mut sent, 1..=high), [0; 0]);
    }
    assert!(
        total < 40 * 10_000,
        "{total} steps for 10,000 acknowledgements"
    );
}

#[derive(Clone, Debug)]
enum Op {
    Send(u64),
    Ack { back: u64, len: u64 },
    Lose(u64),
    Forget(u64),
    Quiet,
    Clear,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1_u64..40).prop_map(Op::Send),
        8 => (0_u64..60, 0_u64..30).prop_map(|(back, len)| Op::Ack { back, len }),
        2 => (0_u64..400, 0_u64..400).prop_map(|(back, len)| Op::Ack { back, len }),
        4 => (1_u64..6).prop_map(Op::Lose),
        2 => (0_u64..30).prop_map(Op::Forget),
        1 => Just(Op::Quiet),
        1 => Just(Op::Clear),
    ]
}

/// The naive twin: a map from each tracked number to when it was declared lost, if it was.
#[derive(Default)]
struct Model {
    next: u64,
    tracked: BTreeMap<u64, Option<Time>>,
}

impl Model {
    fn acknowledge(&mut self, range: RangeInclusive<u64>) -> Vec<(u64, bool)> {
        let found: Vec<_> = self
            .tracked
            .range(range)
            .rev()
            .map(|(&n, lost)| (n, lost.is_some()))
            .collect();
        self.tracked
            .retain(|n, _| found.iter().all(|(gone, _)| gone != n));
        found
    }

    fn lose_oldest(&mut self, now: Time) -> Option<u64> {
        let (&n, lost) = self.tracked.iter_mut().find(|(_, lost)| lost.is_none())?;
        *lost = Some(now);
        Some(n)
    }

    fn in_flight(&self) -> impl Iterator<Item = u64> {
        self.tracked
            .iter()
            .filter(|(_, lost)| lost.is_none())
            .map(|(&n, _)| n)
    }

    fn check(&self, sent: &SentPackets) {
        let oldest = self.tracked.keys().next().copied().unwrap_or(self.next);
        assert_eq!(sent.oldest_tracked().get(), oldest);
        assert_eq!(sent.next_number().get(), self.next);
        assert_eq!(sent.in_flight(), self.in_flight().count());
        let oldest_in_flight = sent.oldest_in_flight().map(|packet| packet.number.get());
        assert_eq!(oldest_in_flight, self.in_flight().next());
        for n in oldest.saturating_sub(2)..self.next + 2 {
            assert_eq!(
                sent.is_outstanding(number(n)),
                self.tracked.contains_key(&n)
            );
        }
        if self.tracked.is_empty() {
            assert!(sent.memory() <= KEPT);
        }
    }
}

fn apply(op: &Op, now: Time, sent: &mut SentPackets, model: &mut Model) {
    match *op {
        Op::Send(count) => {
            let snapshot = Snapshot {
                sent_at: now,
                ..Snapshot::default()
            };
            for n in model.next..model.next + count {
                sent.push(&packet(n), &snapshot);
                model.tracked.insert(n, None);
            }
            model.next += count;
        }
        Op::Ack { back, len } => {
            let high = model.next.saturating_sub(back);
            let range = high.saturating_sub(len)..=high;
            let mut found = Vec::new();
            sent.acknowledge(number(*range.start())..=number(high), |n, resolved| {
                assert_eq!(resolved.contents, packet(n.get()).contents);
                found.push((n.get(), resolved.was_lost));
            });
            assert_eq!(found, model.acknowledge(range));
        }
        Op::Lose(count) => {
            for _ in 0..count {
                let number = model.lose_oldest(now);
                let contents = sent.lose_oldest(now).map(|lost| lost.contents);
                assert_eq!(contents, number.map(|n| packet(n).contents));
            }
        }
        Op::Forget(age) => {
            let declared = now - Duration::from_millis(age);
            sent.forget_lost(|| declared);
            model
                .tracked
                .retain(|_, lost| lost.is_none_or(|at| at > declared));
        }
        Op::Quiet => {
            sent.quiet();
            let oldest = model.tracked.keys().next().copied().unwrap_or(model.next);
            let span = usize::try_from(model.next - oldest).unwrap();
            if model.in_flight().next().is_none() && span > REMEMBERED_WHEN_QUIET {
                model.tracked.clear();
            }
        }
        Op::Clear => {
            sent.clear();
            model.tracked.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ring_does_what_a_map_does(ops in prop::collection::vec(op(), 1..80)) {
        let mut sent = SentPackets::new(number(0));
        let mut model = Model::default();
        for (step, op) in (1..).zip(&ops) {
            apply(op, Time::from_millis(step), &mut sent, &mut model);
            model.check(&sent);
        }
    }
}
