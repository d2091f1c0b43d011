//! Which connection wants to be woken next?
//!
//! A heap of `(Time, Handle)`. A deadline that moves back costs nothing: its entry stays where it is,
//! and when it comes up, goes back in at the later time. Only a deadline that moves forward makes a new
//! entry, and the old one becomes rubbish. A rebuild throws the rubbish away before it outgrows the rest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::endpoint::Handle;
use crate::time::Time;

/// Rubbish that is tolerated whatever the number of live entries: a rebuild of less does not pay.
const RUBBISH_MIN: usize = 64;

/// One connection's deadline.
#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    /// When it wants to be woken; `Time::MAX`: never.
    wanted: Time,
    /// Where its one live entry stands in the heap, never after `wanted`; `Time::MAX`: it has none.
    armed: Time,
}

const EMPTY: Slot = Slot {
    generation: 0,
    wanted: Time::MAX,
    armed: Time::MAX,
};

/// The deadlines of all connections of a shard.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: BinaryHeap<Reverse<(Time, Handle)>>,
    slots: Vec<Slot>,
    /// Slots with an entry in the heap.
    live: usize,
}

impl Deadlines {
    /// Sets when `handle` wants to be woken.
    pub(crate) fn set(&mut self, handle: Handle, at: Option<Time>) {
        let index = slot_index(handle);
        if index >= self.slots.len() {
            self.slots.resize(index + 1, EMPTY);
        }
        if self.slots[index].generation != handle.generation {
            self.forget(index, handle.generation);
        }
        let slot = &mut self.slots[index];
        slot.wanted = at.unwrap_or(Time::MAX);
        if slot.wanted < slot.armed {
            self.live += usize::from(slot.armed == Time::MAX);
            slot.armed = slot.wanted;
            self.heap.push(Reverse((slot.wanted, handle)));
            self.sweep();
        }
    }

    /// Forgets `handle`.
    pub(crate) fn remove(&mut self, handle: Handle) {
        let index = slot_index(handle);
        if self.slots.get(index).map(|slot| slot.generation) == Some(handle.generation) {
            self.forget(index, handle.generation);
        }
    }

    /// When to look next. It may be earlier than the earliest deadline, never later.
    pub(crate) fn earliest(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a connection out whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Handle> {
        while self.earliest()? <= now {
            let Reverse((at, handle)) = self.heap.pop()?;
            let slot = &mut self.slots[slot_index(handle)];
            if slot.generation != handle.generation || slot.armed != at {
                continue;
            }
            if slot.wanted <= now {
                *slot = Slot {
                    generation: slot.generation,
                    ..EMPTY
                };
                self.live -= 1;
                return Some(handle);
            }
            // It moved back while its entry waited.
            slot.armed = slot.wanted;
            if slot.wanted == Time::MAX {
                self.live -= 1;
            } else {
                self.heap.push(Reverse((slot.wanted, handle)));
            }
        }
        None
    }

    fn forget(&mut self, index: usize, generation: u32) {
        let slot = &mut self.slots[index];
        self.live -= usize::from(slot.armed != Time::MAX);
        *slot = Slot {
            generation,
            ..EMPTY
        };
    }

    /// Rebuilds the heap when more than half of it is rubbish.
    fn sweep(&mut self) {
        if self.heap.len() <= 2 * self.live + RUBBISH_MIN {
            return;
        }
        let slots = &self.slots;
        self.heap.retain(|Reverse((at, handle))| {
            let slot = &slots[slot_index(*handle)];
            slot.generation == handle.generation && slot.armed == *at
        });
        self.heap.shrink_to(2 * self.heap.len() + RUBBISH_MIN);
    }
}

/// Where a handle's slot is.
pub(crate) fn slot_index(handle: Handle) -> usize {
    usize::try_from(handle.index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn handle(index: u32) -> Handle {
        Handle {
            index,
            generation: 0,
        }
    }

    #[test]
    fn a_deadline_that_moves_back_fires_once_at_the_later_time() {
        let mut deadlines = Deadlines::default();
        deadlines.set(handle(3), Some(Time::from_micros(5)));
        deadlines.set(handle(3), Some(Time::from_micros(9)));
        assert_eq!(deadlines.pop_due(Time::from_micros(8)), None);
        assert_eq!(deadlines.earliest(), Some(Time::from_micros(9)));
        assert_eq!(deadlines.pop_due(Time::from_micros(9)), Some(handle(3)));
        assert_eq!(deadlines.pop_due(Time::MAX), None);
        assert_eq!(deadlines.earliest(), None);
    }

    #[test]
    fn a_new_owner_of_the_slot_does_not_inherit_the_deadline() {
        let mut deadlines = Deadlines::default();
        deadlines.set(handle(0), Some(Time::from_micros(5)));
        deadlines.remove(handle(0));
        let next = Handle {
            index: 0,
            generation: 1,
        };
        deadlines.set(next, Some(Time::from_micros(7)));
        assert_eq!(deadlines.pop_due(Time::from_micros(6)), None);
        assert_eq!(deadlines.pop_due(Time::from_micros(7)), Some(next));
    }

    #[test]
    fn memory_is_bounded_by_live_entries() {
        let mut deadlines = Deadlines::default();
        for micros in (0..100_000).rev() {
            deadlines.set(handle(0), Some(Time::from_micros(micros)));
        }
        assert!(deadlines.heap.len() <= 2 + RUBBISH_MIN);
        assert!(deadlines.heap.capacity() <= 4 * (2 + RUBBISH_MIN));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Set(u32, Option<u64>),
        Remove(u32),
        Advance(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..6_u32, proptest::option::of(0..200_u64)).prop_map(|(h, at)| Op::Set(h, at)),
            (0..6_u32).prop_map(Op::Remove),
            (0..20_u64).prop_map(Op::Advance),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_queue_fires_what_a_map_would_fire(ops in proptest::collection::vec(op(), 1..200)) {
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            let mut now = 0;
            for op in ops {
                match op {
                    Op::Set(index, after) => {
                        let at = after.map(|after| now + after);
                        deadlines.set(handle(index), at.map(Time::from_nanos));
                        model.remove(&index);
                        model.extend(at.map(|at| (index, at)));
                    }
                    Op::Remove(index) => {
                        deadlines.remove(handle(index));
                        model.remove(&index);
                    }
                    Op::Advance(by) => {
                        now += by;
                        let mut fired = Vec::new();
                        while let Some(handle) = deadlines.pop_due(Time::from_nanos(now)) {
                            fired.push(handle.index);
                        }
                        fired.sort_unstable();
                        let due: Vec<u32> =
                            model.iter().filter(|(_, at)| **at <= now).map(|(h, _)| *h).collect();
                        model.retain(|_, at| *at > now);
                        prop_assert_eq!(fired, due);
                    }
                }
                let earliest = model.values().min().copied().map(Time::from_nanos);
                if let Some(earliest) = earliest {
                    prop_assert!(deadlines.earliest().is_some_and(|at| at <= earliest));
                }
            }
        }
    }
}
