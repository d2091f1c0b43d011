use std::io;
use std::time::Duration;

use super::*;
use crate::limits::TRACE_RECORDS_MAX;
use crate::time::Time;
use crate::wire::{ConnectionId, Flags, Kind, PacketNumber};

fn number(number: u64) -> PacketNumber {
    PacketNumber::new(number)
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn about() -> About {
    About {
        role: Role::Client,
        id: ConnectionId::new(0xabcd).expect("not 0"),
        local: "192.0.2.1:4000".parse().expect("an address"),
        remote: "[2001:db8::1]:4001".parse().expect("an address"),
        at: at(0),
        wall: Some(Duration::from_millis(1_764_331_200_000)),
    }
}

fn packet(number: u64) -> PacketSeen {
    PacketSeen {
        kind: Kind::Data,
        number: Some(PacketNumber::new(number)),
        size: 1_200,
        mark: None,
        flags: Flags::default(),
        data: None,
        ack: None,
        probe: None,
        path: None,
        reset: None,
    }
}

fn started() -> Log {
    let mut log = Log::default();
    log.start();
    log
}

#[test]
fn nothing_is_made_that_nobody_wants_to_know() {
    let mut log = Log::default();
    log.note(at(1), || panic!("made for nobody"));
    log.note_acked(at(1), number(1), false);
    assert_eq!(log.drain().count(), 0);
    log.start();
    log.note(at(2), || Event::Undone);
    log.stop();
    assert_eq!(log.drain().count(), 0);
}

#[test]
fn a_log_that_nobody_empties_is_cut_at_its_limit_and_says_so_once() {
    let mut log = started();
    for _ in 0..TRACE_RECORDS_MAX + 1_000 {
        log.note(at(1), || Event::Undone);
    }
    log.note_acked(at(1), number(1), false);
    let records: Vec<_> = log.drain().collect();
    assert_eq!(records.len(), TRACE_RECORDS_MAX + 1);
    assert_eq!(records[TRACE_RECORDS_MAX].event, Event::Cut);
    log.note(at(2), || Event::Undone);
    assert_eq!(
        log.drain().count(),
        0,
        "what would follow is missing its past"
    );
}

#[test]
fn numbers_of_one_block_are_ranges_of_one_event() {
    let mut log = started();
    for acked in [10, 11, 12, 8, 7, 3] {
        log.note_acked(at(5), number(acked), false);
    }
    log.note_acked(at(5), number(2), true);
    log.note_acked(at(6), number(1), true);
    let events: Vec<_> = log.drain().map(|record| record.event).collect();
    let range = |from, to| number(from)..=number(to);
    let expected = [
        Event::Acked(vec![range(10, 12), range(7, 8), range(3, 3)]),
        Event::Spurious(vec![range(2, 2)]),
        Event::Spurious(vec![range(1, 1)]),
    ];
    assert_eq!(events, expected);
}

#[test]
fn a_packet_that_has_not_left_is_not_told() {
    let mut log = started();
    for sent in 5..9 {
        let is_timeout_probe = false;
        log.note(at(1), || Event::Sent {
            packet: packet(sent),
            is_timeout_probe,
        });
    }
    log.note(at(1), || Event::Undone);
    log.unsend(number(7));
    let left: Vec<_> = log.drain().collect();
    assert_eq!(left.len(), 3);
    assert!(
        matches!(&left[1].event, Event::Sent { packet, .. } if packet.number == Some(number(6)))
    );
}

#[test]
fn the_fate_of_an_arrival_stands_where_it_came() {
    let mut log = started();
    log.note(at(1), || Event::Received {
        packet: packet(3),
        fate: Fate::Dropped,
    });
    log.note_acked(at(1), number(9), false);
    log.settle_arrival(Fate::Taken);
    log.settle_arrival(Fate::Duplicate);
    let first = log.drain().next().expect("the arrival");
    assert!(matches!(
        first.event,
        Event::Received {
            fate: Fate::Taken,
            ..
        }
    ));
}

/// Takes so many bytes, then none.
struct Full<'o> {
    room: usize,
    calls: &'o mut usize,
}

impl io::Write for Full<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        *self.calls += 1;
        if bytes.len() > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_first_error_is_the_last_call() {
    let mut calls = 0;
    let room = 100_000;
    let mut writer = Writer::new(
        Full {
            room,
            calls: &mut calls,
        },
        &about(),
    );
    for millis in 0..100_000 {
        writer.write(&Record {
            at: at(millis / 100),
            event: Event::Undone,
        });
    }
    assert!(writer.has_failed());
    drop(writer);
    assert_eq!(calls, 2, "one chunk fits, the second does not");
}

#[test]
fn what_is_held_back_leaves_after_a_second() {
    let mut calls = 0;
    let room = usize::MAX;
    let mut writer = Writer::new(
        Full {
            room,
            calls: &mut calls,
        },
        &about(),
    );
    for millis in [0, 400, 999, 1_000, 1_500, 1_999, 2_000, 2_100] {
        writer.write(&Record {
            at: at(millis),
            event: Event::Undone,
        });
    }
    drop(writer);
    assert_eq!(calls, 3, "after 1 s, after 2 s, and the rest at the end");
}

#[test]
fn what_a_peer_causes_cannot_break_out_of_its_record() {
    let mut text = Vec::new();
    let mut writer = Writer::new(&mut text, &about());
    let reasons = [
        crate::error::CloseReason::Resources("\"\u{1e}\n{"),
        crate::error::CloseReason::Refused,
    ];
    for reason in reasons {
        let event = Event::Closed(Some(reason));
        writer.write(&Record { at: at(1), event });
    }
    drop(writer);
    let records: Vec<_> = text.split(|byte| *byte == 0x1e).skip(1).collect();
    assert_eq!(records.len(), 4);
    for record in records {
        assert!(serde_json::from_slice::<serde_json::Value>(record).is_ok());
    }
}
