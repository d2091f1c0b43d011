//! What happens next: events in order of time, and at one instant in the order in which they were added.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// Events by time; equal times come out first in, first out, so that a run has one order only.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// The events themselves: the heap moves small keys, not events.
    slots: Vec<Option<E>>,
    free: Vec<usize>,
    added: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Queue {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            added: 0,
        }
    }

    /// Adds an event.
    pub(super) fn push(&mut self, at: Time, event: E) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(event);
        self.heap.push(Reverse((at, self.added, slot)));
        self.added += 1;
    }

    /// The time of the next event.
    pub(super) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes the next event.
    pub(super) fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot].take().map(|event| (at, event))
    }

    /// Events that wait.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;

    #[test]
    fn events_come_in_order_of_time_then_of_arrival() {
        let mut rng = Rng::new(3, "queue");
        let mut queue = Queue::new();
        let mut twin = Vec::new();
        for step in 0..5_000_u64 {
            if rng.chance(0.6) {
                let at = Time::from_nanos(rng.below(20) + step / 100);
                queue.push(at, step);
                twin.push((at, step));
            } else {
                twin.sort();
                let first = (!twin.is_empty()).then(|| twin.remove(0));
                assert_eq!(queue.next_at(), first.map(|(at, _)| at));
                assert_eq!(queue.pop(), first);
            }
            assert_eq!(queue.len(), twin.len());
        }
    }
}
