use super::*;
use crate::wire::{PacketNumber, integrity};

fn secs(seconds: u64) -> Time {
    Time::from_millis(seconds * 1_000)
}

fn id(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

fn last(three_pto: Duration) -> LastAck {
    LastAck {
        peer_cid: id(0xbeef),
        remote: "192.0.2.7:40000".parse().expect("an address"),
        largest: PacketNumber::new(5),
        ack_offset: Offset::new(100),
        next_number: PacketNumber::new(7),
        ack_number: u64::MAX,
        three_pto,
    }
}

fn table(max: usize) -> TimeWait {
    let mut table = TimeWait::new(&Keyed::new([1; 16]), Duration::from_secs(60));
    table.max = max;
    table
}

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn an_entry_with_its_id_takes_64_bytes() {
    assert!(size_of::<(ConnectionId, Entry)>() <= 64);
}

#[test]
fn the_acknowledgement_is_as_long_as_its_constant_says() {
    let mut table = table(10);
    table.insert(secs(0), id(1), &last(SHORT));
    let mut room = [0xaa; ACK_BYTES];
    for _ in 0..2 {
        assert_eq!(table.write_ack(id(1), &mut room), Some(ACK_BYTES));
        assert!(integrity::is_intact(&room));
    }
    assert_eq!(table.write_ack(id(2), &mut room), None);
}

#[test]
fn a_full_table_gives_up_its_oldest() {
    let mut table = table(100);
    for count in 1..=1_000 {
        table.insert(secs(count), id(count), &last(SHORT));
        assert!(table.len() <= 100);
    }
    for count in 1..=1_000 {
        assert_eq!(
            table.contains(secs(1_000), id(count)),
            count > 940,
            "entry {count}"
        );
    }
    table.expire(secs(2_000));
    assert_eq!((table.len(), table.deadline()), (0, None));
}

#[test]
fn a_full_table_prefers_entries_beyond_three_probe_timeouts() {
    let mut table = table(3);
    // The first still waits for its three probe timeouts, the others do not.
    table.insert(secs(0), id(1), &last(Duration::from_secs(50)));
    table.insert(secs(0), id(2), &last(SHORT));
    table.insert(secs(0), id(3), &last(SHORT));
    table.insert(secs(5), id(4), &last(SHORT));
    table.insert(secs(5), id(5), &last(SHORT));
    let there = [1, 2, 3, 4, 5].map(|bits| table.contains(secs(5), id(bits)));
    assert_eq!(there, [true, false, false, true, true]);
    // If all are young, the oldest goes: it has had the most time.
    let mut table = self::table(2);
    for bits in 1..=4 {
        table.insert(secs(bits), id(bits), &last(Duration::from_secs(50)));
    }
    let there = [1, 2, 3, 4].map(|bits| table.contains(secs(5), id(bits)));
    assert_eq!(there, [false, false, true, true]);
}

#[test]
fn a_million_closes_keep_the_table_at_its_limit() {
    let mut table = TimeWait::new(&Keyed::new([1; 16]), Duration::from_secs(60));
    for count in 1..=1_000_000 {
        table.insert(Time::from_micros(count * 10), id(count), &last(SHORT));
    }
    assert_eq!(table.len(), TIME_WAIT_MAX);
    let queued: usize = table.due.values().map(Vec::len).sum();
    assert_eq!(
        queued, TIME_WAIT_MAX,
        "the queue holds what the table holds"
    );
    table.expire(secs(100));
    assert_eq!(table.len(), 0);
    assert!(table.capacity() < 100, "{}", table.capacity());
}

#[test]
fn restarting_an_entry_often_costs_nothing() {
    let mut table = table(10);
    table.insert(secs(0), id(1), &last(SHORT));
    let late = Late {
        from: "192.0.2.7".parse().expect("an address"),
        len: 32,
        fin: true,
    };
    for second in 0..1_000 {
        assert_eq!(table.on_late(secs(second), id(1), late), Verdict::Answer);
        table.expire(secs(second));
        assert_eq!(table.due.values().map(Vec::len).sum::<usize>(), 1);
        assert!(table.deadline() > Some(secs(second)));
    }
    assert!(table.contains(secs(1_058), id(1)));
    table.expire(secs(1_059));
    assert_eq!(table.len(), 0);
}

#[test]
fn spent_ids_are_forgotten_in_order() {
    let mut spent = Spent::new(&Keyed::new([1; 16]));
    for count in 1..=10_000 {
        spent.insert(Time::from_millis(count), id(count));
        spent.insert(Time::from_millis(count), id(count));
    }
    assert_eq!(spent.len(), 10_000);
    // One look a second: the first runs out after 60.001 s.
    assert_eq!(spent.deadline(), Some(secs(61)));
    spent.expire(Time::from_millis(60_000 + 5_000));
    assert_eq!(spent.len(), 5_000);
    assert!(!spent.contains(id(5_000)) && spent.contains(id(5_001)));
    spent.expire(secs(100));
    assert_eq!((spent.len(), spent.deadline()), (0, None));
    assert!(spent.capacity() < 200, "{}", spent.capacity());
}

#[test]
fn seconds_round_up() {
    assert_eq!(seconds_up(Duration::ZERO), 0);
    assert_eq!(seconds_up(Duration::from_nanos(1)), 1);
    assert_eq!(seconds_up(Duration::from_secs(1)), 1);
    assert_eq!(seconds_up(Duration::MAX), u32::MAX);
    assert_eq!(
        second(Time::MAX),
        u32::try_from(u64::MAX / 1_000_000_000).unwrap_or(u32::MAX)
    );
}
