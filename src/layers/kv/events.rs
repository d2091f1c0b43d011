//! [`EventLog`]: what has changed lately, for those who watch.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::answer::{Change, Versioned};

/// Events that a node keeps.
const EVENTS_MAX: usize = 8_192;
/// Bytes of their keys and values.
const BYTES_MAX: usize = 16 << 20;
/// Bytes of one answer; one event always, however long.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A record was written, or is gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The revision of the command that did it.
    pub rev: u64,
    /// Where.
    pub key: Bytes,
    /// What is there now.
    pub record: Option<Versioned>,
}

/// What a watcher gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Watched {
    /// All events after the revision that was asked for, up to and with this one; perhaps none.
    Events {
        /// In the order of their revisions.
        events: Vec<Event>,
        /// Where to go on.
        upto: u64,
    },
    /// The node does not remember so far back: read, and go on from the revision that this was read at.
    Compacted,
}

/// The latest events of a node, a bounded number.
#[derive(Clone, Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<Event>,
    bytes: usize,
    /// What was changed up to here is not known any more.
    forgotten: u64,
}

impl EventLog {
    /// A node that knows of nothing before this revision.
    pub(super) fn since(rev: u64) -> Self {
        EventLog {
            forgotten: rev,
            ..EventLog::default()
        }
    }

    pub(super) fn on_change(&mut self, rev: u64, change: &Change) {
        let Change::Record { key, record } = change else {
            return;
        };
        let event = Event {
            rev,
            key: key.clone(),
            record: record.clone(),
        };
        self.bytes += event.cost();
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.bytes -= oldest.cost();
            self.forgotten = oldest.rev;
        }
    }

    /// What keys with this prefix did after the revision `after`; the state is at `applied`.
    pub(super) fn after(&self, prefix: &[u8], after: u64, applied: u64) -> Watched {
        if after < self.forgotten {
            return Watched::Compacted;
        }
        let first = self.events.partition_point(|event| event.rev <= after);
        let (mut events, mut bytes) = (Vec::<Event>::new(), 0);
        for event in self.events.range(first..) {
            // All of one revision, or nothing of it: who goes on behind it has lost nothing.
            let is_begun = events.last().is_some_and(|last| last.rev == event.rev);
            if bytes > ANSWER_BYTES_MAX && !is_begun {
                let upto = event.rev - 1;
                return Watched::Events { events, upto };
            }
            if event.key.starts_with(prefix) {
                bytes += event.cost();
                events.push(event.clone());
            }
        }
        let upto = applied.max(after);
        Watched::Events { events, upto }
    }
}

impl Event {
    fn cost(&self) -> usize {
        let value = self.record.as_ref().map_or(0, |record| record.value.len());
        64 + self.key.len() + value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: String, length: usize) -> Change {
        let record = Versioned {
            value: vec![7; length].into(),
            create_rev: 1,
            mod_rev: 1,
            lease: None,
            is_final: false,
        };
        let record = Some(record);
        let key = key.into();
        Change::Record { key, record }
    }

    fn revs(watched: Watched) -> (Vec<u64>, u64) {
        match watched {
            Watched::Events { events, upto } => {
                (events.iter().map(|event| event.rev).collect(), upto)
            }
            Watched::Compacted => panic!("it is remembered"),
        }
    }

    #[test]
    fn a_watcher_sees_what_came_after_and_nothing_else() {
        let mut log = EventLog::since(10);
        for rev in 11..=20 {
            log.on_change(rev, &change(format!("{}/{rev}", rev % 2), 1));
        }
        assert_eq!(
            revs(log.after(b"1/", 10, 25)),
            (vec![11, 13, 15, 17, 19], 25)
        );
        assert_eq!(revs(log.after(b"", 17, 25)), (vec![18, 19, 20], 25));
        assert_eq!(
            revs(log.after(b"", 30, 25)),
            (vec![], 30),
            "of a node that is behind"
        );
        assert_eq!(log.after(b"", 9, 25), Watched::Compacted);
    }

    #[test]
    fn events_have_a_bound_and_what_is_forgotten_is_said() {
        let mut log = EventLog::since(0);
        let many = u64::try_from(EVENTS_MAX).expect("small") + 5;
        for rev in 1..=many {
            log.on_change(rev, &change("k".into(), 1));
        }
        assert_eq!((log.events.len(), log.forgotten), (EVENTS_MAX, 5));
        assert_eq!(log.after(b"", 4, many), Watched::Compacted);
        let mut log = EventLog::since(0);
        for rev in 1..=40 {
            log.on_change(rev, &change("k".into(), 1 << 20));
        }
        assert!(
            log.bytes <= BYTES_MAX && log.events.len() >= 14,
            "{}",
            log.events.len()
        );
        let first = log.forgotten;
        assert_eq!(
            revs(log.after(b"", first, 40)),
            (vec![first + 1], first + 1),
            "an answer has a bound"
        );
    }

    #[test]
    fn a_revision_is_not_cut() {
        let mut log = EventLog::since(0);
        for _ in 0..3 {
            log.on_change(1, &change("k".into(), 1 << 20));
        }
        log.on_change(2, &change("k".into(), 1));
        assert_eq!(revs(log.after(b"", 0, 2)), (vec![1, 1, 1], 1));
        assert_eq!(revs(log.after(b"", 1, 2)), (vec![2], 2));
    }
}
