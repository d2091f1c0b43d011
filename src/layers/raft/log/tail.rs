//! The newest entries of the log, as they lie on the disk or will: readable at once, whatever the disk does.
//!
//! ```text
//!   on the disk only  |   tail: on the disk too   |   tail: being written
//!  purged      first of tail                                         last
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

/// Entries kept although they are on the disk: a follower that is a little behind is served from memory.
pub(super) const TAIL_ENTRIES_MAX: usize = 4_096;
/// Bytes of those: entries may be large.
pub(super) const TAIL_BYTES_MAX: usize = 16 << 20;

#[derive(Debug)]
struct Entry {
    /// The number of the write that carries it.
    write: u64,
    sealed: Bytes,
}

/// Consecutive entries up to the log's last one.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The index of the first entry here; of the next one, if there is none.
    first: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Writes up to here are on the disk.
    durable: u64,
}

impl Tail {
    /// The index of the first entry here; with none, of the next one pushed.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The index after the last entry.
    pub(super) fn next(&self) -> u64 {
        self.first + u64::try_from(self.entries.len()).expect("it counts entries")
    }

    /// Adds an entry, which `write` carries to the disk. One that does not follow the last forgets all before it.
    pub(super) fn push(&mut self, index: u64, write: u64, sealed: Bytes) {
        if index != self.next() {
            self.clear(index);
        }
        self.bytes += sealed.len();
        self.entries.push_back(Entry { write, sealed });
        self.shrink();
    }

    /// Forgets what has index `since` and above.
    pub(super) fn truncate(&mut self, since: u64) {
        if since <= self.first {
            return self.clear(since);
        }
        while self.next() > since {
            let last = self.entries.pop_back();
            self.bytes -= last.map_or(0, |entry| entry.sealed.len());
        }
    }

    /// Forgets what is below `until`.
    pub(super) fn purge(&mut self, until: u64) {
        if until >= self.next() {
            return self.clear(until);
        }
        while self.first < until {
            self.pop_first();
        }
    }

    /// All writes up to this one are on the disk.
    pub(super) fn on_durable(&mut self, write: u64) {
        self.durable = self.durable.max(write);
        self.shrink();
    }

    /// The entries of these indices that are here.
    pub(super) fn range(&self, indices: Range<u64>) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        let start = indices.start.clamp(self.first, self.next());
        let end = indices.end.clamp(start, self.next());
        let at = |index: u64| usize::try_from(index - self.first).expect("it is within the deque");
        (start..end)
            .zip(self.entries.range(at(start)..at(end)))
            .map(|(index, entry)| (index, entry.sealed.clone()))
    }

    fn clear(&mut self, next: u64) {
        self.entries.clear();
        (self.first, self.bytes) = (next, 0);
    }

    fn pop_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.sealed.len();
            self.first += 1;
        }
    }

    /// Drops what is too much, but nothing that is not on the disk yet, for nobody else has it.
    fn shrink(&mut self) {
        while self.entries.len() > TAIL_ENTRIES_MAX || self.bytes > TAIL_BYTES_MAX {
            match self.entries.front() {
                Some(entry) if entry.write <= self.durable => self.pop_first(),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TAIL_BYTES_MAX, TAIL_ENTRIES_MAX, Tail};

    fn entry(index: u64) -> bytes::Bytes {
        index.to_be_bytes().to_vec().into()
    }

    fn indices(tail: &Tail) -> Vec<u64> {
        tail.range(0..u64::MAX)
            .map(|(index, sealed)| {
                assert_eq!(sealed, entry(index), "each index has its own entry");
                index
            })
            .collect()
    }

    #[test]
    fn what_is_not_on_the_disk_is_never_dropped() {
        let mut tail = Tail::default();
        let many = u64::try_from(TAIL_ENTRIES_MAX).expect("small") + 10;
        for index in 0..many {
            tail.push(index, index + 1, entry(index));
        }
        assert_eq!(tail.first(), 0, "nothing is on the disk");
        tail.on_durable(4);
        assert_eq!(tail.first(), 4);
        tail.on_durable(many);
        assert_eq!(tail.first(), 10, "and then as many are kept as allowed");
        assert_eq!(indices(&tail), (10..many).collect::<Vec<_>>());
    }

    #[test]
    fn an_older_write_of_the_same_index_says_nothing_about_the_newer() {
        let mut tail = Tail::default();
        tail.push(5, 1, vec![0; TAIL_BYTES_MAX + 1].into());
        tail.truncate(5);
        tail.push(5, 3, vec![1; TAIL_BYTES_MAX + 1].into());
        tail.on_durable(1);
        assert_eq!(
            (tail.first(), tail.next()),
            (5, 6),
            "the newer one is still to come"
        );
        tail.on_durable(3);
        assert_eq!((tail.first(), tail.next()), (6, 6));
    }

    #[test]
    fn truncating_and_purging_leave_what_lies_between() {
        let mut tail = Tail::default();
        for index in 3..10 {
            tail.push(index, 1, entry(index));
        }
        tail.truncate(8);
        tail.purge(5);
        assert_eq!(indices(&tail), [5, 6, 7]);
        tail.purge(20);
        assert_eq!((tail.first(), tail.next()), (20, 20));
        tail.push(20, 2, entry(20));
        tail.truncate(4);
        assert_eq!((tail.first(), tail.next()), (4, 4));
    }
}
