//! Which connection a datagram belongs to: ids, peers' ids and rendezvous tokens to [`Handle`].
//!
//! The maps hash with a random key, so that nobody can choose ids that collide, and are never iterated.
//! A slot is used again, its generation tells the connections apart.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::net::SocketAddr;

use siphasher::sip::SipHasher13;

use super::Handle;
use super::random::Key;
use crate::wire::ConnectionId;

/// Hashes under a key.
#[derive(Clone)]
pub(super) struct Keyed(Key);

impl Keyed {
    pub(super) fn new(key: Key) -> Self {
        Keyed(key)
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed")
    }
}

/// Gives memory back once seven eighths of a map are unused; half full afterwards, so that the next
/// change of size is far away.
pub(super) fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V, Keyed>) {
    const SMALL: usize = 64;
    if map.capacity() > SMALL && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len().saturating_mul(2));
    }
}

/// What the endpoint knows of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// This side's id.
    pub(super) cid: ConnectionId,
    /// The peer's, once known.
    pub(super) peer: Option<ConnectionId>,
    /// The peer's address when the connection began.
    pub(super) remote: SocketAddr,
    /// The rendezvous token, or 0.
    pub(super) token: u64,
    /// Whether a cookie opened it: only such an id could be opened again.
    pub(super) is_passive: bool,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The live connections.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_cid: HashMap<ConnectionId, u32, Keyed>,
    by_peer: HashMap<ConnectionId, u32, Keyed>,
    by_token: HashMap<u64, u32, Keyed>,
}

impl Table {
    pub(super) fn new(hash: &Keyed) -> Self {
        Table {
            slots: Vec::new(),
            free: Vec::new(),
            by_cid: HashMap::with_hasher(hash.clone()),
            by_peer: HashMap::with_hasher(hash.clone()),
            by_token: HashMap::with_hasher(hash.clone()),
        }
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.by_cid.len()
    }

    /// The connection with this id.
    pub(super) fn find(&self, cid: ConnectionId) -> Option<Handle> {
        self.handle(*self.by_cid.get(&cid)?)
    }

    /// The connection whose peer has this id.
    pub(super) fn find_by_peer(&self, peer: ConnectionId) -> Option<Handle> {
        self.handle(*self.by_peer.get(&peer)?)
    }

    /// The connection that waits for this rendezvous token, or was opened with it.
    pub(super) fn find_by_token(&self, token: u64) -> Option<Handle> {
        self.handle(*self.by_token.get(&token)?)
    }

    /// What is known of a connection; `None` once it was removed.
    pub(super) fn get(&self, handle: Handle) -> Option<&Entry> {
        let slot = self.slots.get(position(handle.index))?;
        slot.entry
            .as_ref()
            .filter(|_| slot.generation == handle.generation)
    }

    /// Takes a connection in. Its id must not be live.
    pub(super) fn insert(&mut self, entry: Entry) -> Handle {
        debug_assert!(!self.by_cid.contains_key(&entry.cid), "an id is used once");
        let Handle { index, generation } = self.fill_slot(entry);
        self.by_cid.insert(entry.cid, index);
        if let Some(peer) = entry.peer {
            self.by_peer.entry(peer).or_insert(index);
        }
        if entry.token != 0 {
            self.by_token.insert(entry.token, index);
        }
        Handle { index, generation }
    }

    /// Puts the entry into a free slot, or a new one (memory ends long before their numbers do).
    fn fill_slot(&mut self, entry: Entry) -> Handle {
        let free = self.free.pop();
        let reused = free.and_then(|index| Some((index, self.slots.get_mut(position(index))?)));
        if let Some((index, slot)) = reused {
            slot.entry = Some(entry);
            let generation = slot.generation;
            return Handle { index, generation };
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            entry: Some(entry),
        });
        let generation = 0;
        Handle { index, generation }
    }

    /// The connection's peer has this id. Of two connections with one peer id, which no honest peer
    /// makes, the earlier keeps it.
    pub(super) fn set_peer(&mut self, handle: Handle, peer: ConnectionId) {
        let slot = self.slots.get_mut(position(handle.index));
        let slot = slot.filter(|slot| slot.generation == handle.generation);
        let Some(entry) = slot.and_then(|slot| slot.entry.as_mut()) else {
            return;
        };
        if let Some(old) = entry.peer.replace(peer).filter(|old| *old != peer) {
            forget(&mut self.by_peer, &old, handle.index);
        }
        self.by_peer.entry(peer).or_insert(handle.index);
    }

    /// Takes a connection out; what was known of it.
    pub(super) fn remove(&mut self, handle: Handle) -> Option<Entry> {
        let slot = self.slots.get_mut(position(handle.index))?;
        if slot.generation != handle.generation {
            return None;
        }
        let entry = slot.entry.take()?;
        // A slot that has used up its generations stays empty for ever.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(handle.index);
        }
        forget(&mut self.by_cid, &entry.cid, handle.index);
        if let Some(peer) = entry.peer {
            forget(&mut self.by_peer, &peer, handle.index);
        }
        if entry.token != 0 {
            forget(&mut self.by_token, &entry.token, handle.index);
        }
        Some(entry)
    }

    fn handle(&self, index: u32) -> Option<Handle> {
        let generation = self.slots.get(position(index))?.generation;
        Some(Handle { index, generation })
    }

    /// Slots and map entries for which there is memory.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let maps = self.by_cid.capacity() + self.by_peer.capacity() + self.by_token.capacity();
        self.slots.len() + maps
    }
}

/// Takes the key out of the map if it leads to this slot.
fn forget<K: Eq + Hash>(map: &mut HashMap<K, u32, Keyed>, key: &K, index: u32) {
    if map.get(key) == Some(&index) {
        map.remove(key);
        shrink(map);
    }
}

/// A slot's place in the vector.
fn position(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
