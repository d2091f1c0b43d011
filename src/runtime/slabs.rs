//! Memory to receive into: a slab for each call that no connection keeps a part of.

use std::sync::Arc;

use crate::wire::Slab;

/// Slabs that are kept, in use or free: twice what a wide window on one machine holds (1 MiB). Where connections
/// keep more, the others are allocated for one call each, and freed when they are read.
const KEPT_MAX: usize = 32;

/// The slabs of one loop.
#[derive(Debug)]
pub(crate) struct Slabs {
    kept: Vec<Arc<Slab>>,
    /// The one that was given out last.
    latest: Arc<Slab>,
}

impl Slabs {
    pub(crate) fn new() -> Self {
        Slabs {
            kept: Vec::new(),
            latest: Arc::default(),
        }
    }

    /// A whole slab to receive into, of which nobody keeps anything: the latest one if it is free, otherwise the
    /// first that is, so that few are used, and are in the processor's caches.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if Arc::get_mut(&mut self.latest).is_none() {
            let free = self
                .kept
                .iter_mut()
                .find(|slab| Arc::strong_count(slab) == 1);
            match free {
                Some(slab) => std::mem::swap(slab, &mut self.latest),
                None => {
                    let pinned = std::mem::take(&mut self.latest);
                    if self.kept.len() < KEPT_MAX {
                        self.kept.push(pinned);
                    }
                }
            }
        }
        let slab = Arc::get_mut(&mut self.latest).expect("it is new, or was found free");
        slab.space()
    }

    /// The first `len` bytes of the latest slab.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        let bytes = (*self.latest).as_ref();
        &bytes[..len.min(bytes.len())]
    }

    /// The slab that was given out last.
    pub(crate) fn latest(&self) -> &Arc<Slab> {
        &self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SLAB_BYTES;

    #[test]
    fn what_somebody_keeps_is_not_written_over_and_comes_back_when_he_is_done() {
        let mut slabs = Slabs::new();
        let mut pinned = Vec::new();
        for value in 0..u8::try_from(2 * KEPT_MAX).unwrap() {
            slabs.space().fill(value);
            pinned.push(slabs.latest().clone());
            assert!(slabs.kept.len() <= KEPT_MAX);
        }
        for (value, slab) in (0..).zip(&pinned) {
            assert!((**slab).as_ref() == vec![value; SLAB_BYTES]);
        }
        let places: Vec<_> = pinned.iter().map(|slab| Arc::as_ptr(slab).addr()).collect();
        drop(pinned);
        slabs.space();
        assert!(places.contains(&Arc::as_ptr(slabs.latest()).addr()));
    }

    #[test]
    fn while_nobody_keeps_anything_there_is_one() {
        let mut slabs = Slabs::new();
        let first = slabs.space().as_ptr();
        for _ in 0..100 {
            assert_eq!(slabs.space().as_ptr(), first);
        }
        assert!(slabs.kept.is_empty());
    }
}
