//! Records and leases, and what a command did to them until it is certain that all of it can be done.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::layers::kv::answer::{Change, Refusal, Versioned};
use crate::layers::kv::limits::{Limits, RECORD_OVERHEAD};

/// Records by key, leases by number.
///
/// Invariant: a lease lists exactly the keys whose records name it, and `bytes` is what all records cost.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::layers::kv) struct Store {
    records: BTreeMap<Bytes, Versioned>,
    leases: BTreeMap<u64, Lease>,
    bytes: usize,
    /// What was there before, since the last [`commit`](Store::commit).
    journal: Vec<(Bytes, Option<Versioned>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Lease {
    ttl_ms: u64,
    keys: BTreeSet<Bytes>,
}

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(in crate::layers::kv) struct Write<'a> {
    pub(in crate::layers::kv) key: &'a Bytes,
    pub(in crate::layers::kv) value: &'a Bytes,
    pub(in crate::layers::kv) lease: Option<u64>,
    pub(in crate::layers::kv) rev: u64,
    pub(in crate::layers::kv) is_final: bool,
}

impl Store {
    pub(in crate::layers::kv) fn record(&self, key: &[u8]) -> Option<&Versioned> {
        self.records.get(key)
    }

    /// Records in the order of their keys, from a key on.
    pub(in crate::layers::kv) fn records_from(
        &self,
        from: Bound<Bytes>,
    ) -> impl Iterator<Item = (&Bytes, &Versioned)> {
        self.records.range((from, Bound::Unbounded))
    }

    pub(in crate::layers::kv) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::layers::kv) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number and time to live, in milliseconds, of every lease.
    pub(in crate::layers::kv) fn leases(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.leases.iter().map(|(id, lease)| (*id, lease.ttl_ms))
    }

    pub(in crate::layers::kv) fn lease_count(&self) -> usize {
        self.leases.len()
    }

    pub(in crate::layers::kv) fn lease_ttl_ms(&self, id: u64) -> Option<u64> {
        self.leases.get(&id).map(|lease| lease.ttl_ms)
    }

    pub(in crate::layers::kv) fn lease_keys(&self, id: u64) -> Vec<Bytes> {
        let keys = self.leases.get(&id).map(|lease| &lease.keys);
        keys.into_iter().flatten().cloned().collect()
    }

    pub(super) fn write(&mut self, limits: &Limits, write: Write<'_>) -> Result<(), Refusal> {
        let before = self.records.get(write.key);
        if before.is_some_and(|before| before.is_final) {
            return Err(Refusal::Final);
        }
        if let Some(id) = write.lease {
            let lease = self.leases.get(&id).ok_or(Refusal::NoLease)?;
            if lease.keys.len() >= limits.lease_keys && !lease.keys.contains(write.key) {
                return Err(Refusal::LeaseFull);
            }
        }
        let freed = before.map_or(0, |before| cost(write.key, &before.value));
        if self.bytes - freed + cost(write.key, write.value) > limits.store_bytes {
            return Err(Refusal::StoreFull);
        }
        let record = Versioned {
            // What is kept is a copy: the command may be a part of a much larger buffer.
            value: Bytes::copy_from_slice(write.value),
            create_rev: before.map_or(write.rev, |before| before.create_rev),
            mod_rev: write.rev,
            lease: write.lease,
            is_final: write.is_final,
        };
        self.set(Bytes::copy_from_slice(write.key), Some(record));
        Ok(())
    }

    /// Deletes a record. Whether there was one.
    pub(super) fn delete(&mut self, key: &Bytes) -> Result<bool, Refusal> {
        match self.records.get(key) {
            None => Ok(false),
            Some(record) if record.is_final => Err(Refusal::Final),
            Some(_) => {
                self.set(Bytes::copy_from_slice(key), None);
                Ok(true)
            }
        }
    }

    pub(super) fn grant(&mut self, limits: &Limits, id: u64, ttl_ms: u64) -> Result<(), Refusal> {
        if self.leases.len() >= limits.leases {
            return Err(Refusal::Leases);
        }
        let fresh = self.insert_lease(id, ttl_ms);
        assert!(fresh, "a revision is the number of one lease");
        Ok(())
    }

    /// Ends a lease and deletes its records. Whether there was one.
    pub(super) fn revoke(&mut self, id: u64) -> bool {
        for key in self.lease_keys(id) {
            self.set(key, None);
        }
        self.leases.remove(&id).is_some()
    }

    /// What was done since the last time stays.
    pub(super) fn commit(&mut self, changes: &mut Vec<Change>) {
        let journal = std::mem::take(&mut self.journal);
        let mut seen = BTreeSet::new();
        for (key, _) in journal {
            if seen.insert(key.clone()) {
                let record = self.records.get(&key).cloned();
                changes.push(Change::Record { key, record });
            }
        }
    }

    /// What was done to records since the last [`commit`](Store::commit) is undone.
    pub(super) fn roll_back(&mut self) {
        let journal = std::mem::take(&mut self.journal);
        for (key, before) in journal.into_iter().rev() {
            self.set(key, before);
        }
        self.journal.clear();
    }

    /// A lease as a snapshot has it. False if it is there.
    pub(in crate::layers::kv) fn insert_lease(&mut self, id: u64, ttl_ms: u64) -> bool {
        let keys = BTreeSet::new();
        self.leases.insert(id, Lease { ttl_ms, keys }).is_none()
    }

    /// A record as a snapshot has it. False if its lease is not there.
    pub(in crate::layers::kv) fn insert_record(&mut self, key: Bytes, record: Versioned) -> bool {
        let has_lease = record.lease.is_none_or(|id| self.leases.contains_key(&id));
        if has_lease {
            self.set(key, Some(record));
            self.journal.clear();
        }
        has_lease
    }

    fn set(&mut self, key: Bytes, record: Option<Versioned>) {
        let before = match record {
            Some(record) => {
                self.bytes += cost(&key, &record.value);
                if let Some(lease) = record.lease.and_then(|id| self.leases.get_mut(&id)) {
                    lease.keys.insert(key.clone());
                }
                let lease = record.lease;
                let before = self.records.insert(key.clone(), record);
                self.forget(&key, before.as_ref(), lease);
                before
            }
            None => {
                let before = self.records.remove(&key);
                self.forget(&key, before.as_ref(), None);
                before
            }
        };
        self.journal.push((key, before));
    }

    /// A record is not there any more; the key has `lease` now.
    fn forget(&mut self, key: &Bytes, before: Option<&Versioned>, lease: Option<u64>) {
        let Some(before) = before else { return };
        self.bytes -= cost(key, &before.value);
        let left = before.lease.filter(|id| Some(*id) != lease);
        if let Some(left) = left.and_then(|id| self.leases.get_mut(&id)) {
            left.keys.remove(key);
        }
    }

    /// The invariant that is promised above.
    #[cfg(test)]
    pub(in crate::layers::kv) fn check_invariants(&self) {
        let bytes: usize = self
            .records
            .iter()
            .map(|(key, record)| cost(key, &record.value))
            .sum();
        assert_eq!(self.bytes, bytes, "bytes of all records");
        assert!(self.journal.is_empty(), "between two commands");
        for (id, lease) in &self.leases {
            let with_lease = self
                .records
                .iter()
                .filter(|(_, record)| record.lease == Some(*id));
            let keys: BTreeSet<Bytes> = with_lease.map(|(key, _)| key.clone()).collect();
            assert_eq!(lease.keys, keys, "keys of lease {id}");
        }
    }
}

fn cost(key: &Bytes, value: &Bytes) -> usize {
    RECORD_OVERHEAD + key.len() + value.len()
}
