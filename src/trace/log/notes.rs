//! Events that wait, and what was told last.

use super::Told;
use crate::limits::TRACE_RECORDS_MAX;
use crate::time::Time;
use crate::trace::{Event, Fate, Metrics, Record};
use crate::wire::PacketNumber;

#[derive(Debug, Default)]
pub(super) struct Notes {
    records: Vec<Record>,
    metrics: Metrics,
    told: Option<Told>,
    /// Where the latest arrival stands, until it is known what became of it.
    arrival: Option<usize>,
    /// What both sides told of themselves was noted.
    pub(super) has_terms: bool,
    /// Nobody took the records: nothing more is noted.
    is_cut: bool,
}

impl Notes {
    pub(super) fn push(&mut self, at: Time, event: Event) {
        if self.is_cut {
            return;
        }
        let event = if self.records.len() < TRACE_RECORDS_MAX {
            event
        } else {
            self.is_cut = true;
            Event::Cut
        };
        if matches!(event, Event::Received { .. }) {
            self.arrival = Some(self.records.len());
        }
        self.records.push(Record { at, event });
    }

    pub(super) fn on_acked(&mut self, at: Time, number: PacketNumber, was_lost: bool) {
        let last = self.records.last_mut().filter(|record| record.at == at);
        let ranges = match last.map(|record| &mut record.event) {
            Some(Event::Acked(ranges)) if !was_lost => ranges,
            Some(Event::Spurious(ranges)) if was_lost => ranges,
            _ => {
                let ranges = vec![number..=number];
                let event = if was_lost {
                    Event::Spurious(ranges)
                } else {
                    Event::Acked(ranges)
                };
                return self.push(at, event);
            }
        };
        match ranges.last_mut() {
            Some(range) if range.end().next() == number => *range = *range.start()..=number,
            Some(range) if number.next() == *range.start() => *range = number..=*range.end(),
            _ => ranges.push(number..=number),
        }
    }

    pub(super) fn settle_arrival(&mut self, news: Fate) {
        let arrival = self.arrival.take().and_then(|at| self.records.get_mut(at));
        if let Some(Event::Received { fate, .. }) = arrival.map(|record| &mut record.event) {
            *fate = news;
        }
    }

    pub(super) fn unsend(&mut self, from: PacketNumber) {
        self.records.retain(|record| match &record.event {
            Event::Sent { packet, .. } => packet.number.is_none_or(|number| number < from),
            _ => true,
        });
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Record> + '_ {
        self.arrival = None;
        self.records.drain(..)
    }

    pub(super) fn compare_metrics(&mut self, at: Time, present: &Metrics) {
        let news = self.metrics.news(present);
        if news != Metrics::default() {
            self.push(at, Event::Metrics(news));
        }
    }

    pub(super) fn compare(&mut self, at: Time, mut present: Told) {
        if let Some(told) = self.told.filter(|_| present.limit.is_empty()) {
            // A moment of sending between two of waiting for the same is no news.
            present.limit = told.limit;
        }
        let told = self.told.replace(present);
        if told == Some(present) {
            return;
        }
        let changed = |of: fn(&Told) -> &'static str| {
            told.is_none_or(|told| of(&told) != of(&present)) && !of(&present).is_empty()
        };
        if changed(|told| told.state) {
            let (stage, name) = (present.stage, present.state);
            self.push(at, Event::State { stage, name });
        }
        if told.is_some_and(|told| told.remote != present.remote) {
            self.push(at, Event::Path(present.remote));
        }
        if told.is_none_or(|told| told.mtu != present.mtu) {
            let (old, new) = (told.map(|told| told.mtu), present.mtu);
            self.push(at, Event::Mtu { old, new });
        }
        if changed(|told| told.ecn) {
            self.push(at, Event::Ecn(present.ecn));
        }
        if changed(|told| told.congestion) || changed(|told| told.algorithm) {
            let (algorithm, new) = (present.algorithm, present.congestion);
            let old = told.map_or("", |told| told.congestion);
            let event = Event::Congestion {
                algorithm,
                old,
                new,
            };
            self.push(at, event);
        }
        if changed(|told| told.limit) {
            self.push(at, Event::Limited(present.limit));
        }
        if present.is_finished && told.is_none_or(|told| !told.is_finished) {
            self.push(at, Event::Closed(None));
        }
    }
}
