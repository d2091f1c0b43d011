//! Where a connection notes its events until its driver takes them.

#[cfg(feature = "trace")]
mod notes;

use std::net::SocketAddr;

use crate::time::Time;
#[cfg(feature = "trace")]
use crate::trace::Record;
use crate::trace::{Event, Fate, Metrics, Parameters, Stage};
use crate::wire::PacketNumber;

#[cfg(feature = "trace")]
use notes::Notes;

/// The events of one connection, in order. Off until it is started: then nothing that is noted is even made.
#[derive(Debug, Default)]
pub struct Log {
    #[cfg(feature = "trace")]
    notes: Option<Box<Notes>>,
}

/// Without the feature nothing is ever noted, and the compiler drops what would have been.
#[cfg(not(feature = "trace"))]
impl Log {
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn note(&mut self, _at: Time, _event: impl FnOnce() -> Event) {}

    #[inline(always)]
    pub(crate) fn note_acked(&mut self, _at: Time, _number: PacketNumber, _was_lost: bool) {}

    #[inline(always)]
    pub(crate) fn settle_arrival(&mut self, _fate: Fate) {}

    #[inline(always)]
    pub(crate) fn note_metrics(&mut self, _at: Time, _present: &Metrics) {}

    #[inline(always)]
    pub(crate) fn note_changes(&mut self, _at: Time, _present: Told) {}

    #[inline(always)]
    pub(crate) fn lacks_terms(&self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn note_terms(&mut self, _at: Time, _terms: [Parameters; 2]) {}

    #[inline(always)]
    pub(crate) fn unsend(&mut self, _from: PacketNumber) {}
}

#[cfg(feature = "trace")]
impl Log {
    /// From now on events are noted.
    pub(crate) fn start(&mut self) {
        self.notes.get_or_insert_default();
    }

    /// From now on none are; what was noted is forgotten.
    pub(crate) fn stop(&mut self) {
        self.notes = None;
    }

    /// Whether anybody wants to know.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.notes.is_some()
    }

    /// Notes an event, which is made only if somebody wants to know.
    #[inline]
    pub(crate) fn note(&mut self, at: Time, event: impl FnOnce() -> Event) {
        if let Some(notes) = &mut self.notes {
            notes.push(at, event());
        }
    }

    /// A packet was acknowledged for the first time; it joins those of the same block.
    #[inline]
    pub(crate) fn note_acked(&mut self, at: Time, number: PacketNumber, was_lost: bool) {
        if let Some(notes) = &mut self.notes {
            notes.on_acked(at, number, was_lost);
        }
    }

    /// What became of the packet that was noted last as received.
    pub(crate) fn settle_arrival(&mut self, fate: Fate) {
        if let Some(notes) = &mut self.notes {
            notes.settle_arrival(fate);
        }
    }

    /// Notes what of these numbers changed.
    pub(crate) fn note_metrics(&mut self, at: Time, present: &Metrics) {
        if let Some(notes) = &mut self.notes {
            notes.compare_metrics(at, present);
        }
    }

    /// Notes what of the rest changed.
    pub(crate) fn note_changes(&mut self, at: Time, present: Told) {
        if let Some(notes) = &mut self.notes {
            notes.compare(at, present);
        }
    }

    /// Whether the terms of the connection were not noted yet.
    pub(crate) fn lacks_terms(&self) -> bool {
        self.notes.as_ref().is_some_and(|notes| !notes.has_terms)
    }

    /// Notes what both sides told of themselves.
    pub(crate) fn note_terms(&mut self, at: Time, terms: [Parameters; 2]) {
        if let Some(notes) = &mut self.notes {
            notes.has_terms = true;
            terms
                .into_iter()
                .for_each(|terms| notes.push(at, Event::Parameters(terms)));
        }
    }

    /// The packets from this number on have not left after all.
    pub(crate) fn unsend(&mut self, from: PacketNumber) {
        if let Some(notes) = &mut self.notes {
            notes.unsend(from);
        }
    }

    /// Takes what was noted.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Record> + '_ {
        self.notes.iter_mut().flat_map(|notes| notes.drain())
    }
}

/// What a trace tells as soon as it changes, apart from numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) stage: Stage,
    /// The state of RFC 9293.
    pub(crate) state: &'static str,
    pub(crate) algorithm: &'static str,
    /// What the congestion control is about.
    pub(crate) congestion: &'static str,
    pub(crate) mtu: u16,
    pub(crate) ecn: &'static str,
    /// What keeps the sender from sending more; empty while nothing does.
    pub(crate) limit: &'static str,
    pub(crate) remote: SocketAddr,
    /// Both sides had finished, and it is over.
    pub(crate) is_finished: bool,
}
