//! [`VectorClock`]: how many events of each process led here (Fidge 1988, Mattern 1989).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::STAMP_MAX;

/// Processes in one clock at most. Every message carries an entry for each; who needs more wants another kind of clock.
pub const ENTRIES_MAX: usize = 256;

/// A number for each process, which says exactly what happened before what.
///
/// A process that is not in it has 0. On the wire it is a map in ascending order of names, without zeros: equal clocks
/// are equal bytes.
///
/// ```
/// use aqueduct::clock::VectorClock;
/// use std::cmp::Ordering;
///
/// let mut a = VectorClock::new();
/// a.tick("a")?;
/// let mut b = a.clone();
/// b.tick("b")?;
/// assert_eq!(a.partial_cmp(&b), Some(Ordering::Less));
///
/// a.tick("a")?;
/// assert_eq!(a.partial_cmp(&b), None, "neither knew of the other");
/// a.merge(&b)?;
/// assert!(a.dominates(&b));
/// # Ok::<(), aqueduct::clock::ClockError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VectorClock<N: Ord> {
    /// Invariant: no zeros, at most [`ENTRIES_MAX`].
    pub(super) counts: BTreeMap<N, u64>,
}

/// A clock that cannot take more, or bytes that are none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The caller's limit: the clock would have more than [`ENTRIES_MAX`] processes. It stays as it was.
    #[error("a vector clock has at most {ENTRIES_MAX} processes")]
    Full,
    /// The peer's fault: the bytes are no clock in its one valid form.
    #[error("these bytes are no vector clock: {0}")]
    Malformed(String),
}

impl<N: Ord> VectorClock<N> {
    /// A clock that has seen nothing.
    pub const fn new() -> Self {
        VectorClock {
            counts: BTreeMap::new(),
        }
    }

    /// How many events of `node` led here.
    pub fn get(&self, node: &N) -> u64 {
        self.counts.get(node).copied().unwrap_or(0)
    }

    /// Processes that it has heard of.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether it has seen nothing.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// All processes and their counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&N, u64)> {
        self.counts.iter().map(|(node, count)| (node, *count))
    }

    /// Forgets a process that has left for good. Clocks that still have it seem to come later or to be concurrent, so
    /// take it out everywhere.
    pub fn remove(&mut self, node: &N) {
        self.counts.remove(node);
    }

    /// Whether everything that `other` has seen led here: equal or later.
    pub fn dominates(&self, other: &Self) -> bool {
        other.iter().all(|(node, count)| self.get(node) >= count)
    }

    /// Whether neither event led to the other.
    pub fn is_concurrent(&self, other: &Self) -> bool {
        self.partial_cmp(other).is_none()
    }
}

impl<N: Ord + Clone> VectorClock<N> {
    /// Something happened at `node`, or a message leaves it: its new count.
    ///
    /// # Errors
    /// [`ClockError::Full`] if it is one process too many.
    pub fn tick(&mut self, node: N) -> Result<u64, ClockError> {
        if self.counts.len() >= ENTRIES_MAX && !self.counts.contains_key(&node) {
            return Err(ClockError::Full);
        }
        let count = self.counts.entry(node).or_insert(0);
        // No clock that was merged has more than 2^63.
        *count = count.saturating_add(1);
        Ok(*count)
    }

    /// Takes what `other` knows: the greater of both counts for each process. A message that comes in is merged, then
    /// the receiver ticks.
    ///
    /// # Errors
    /// [`ClockError::Full`] if both together have too many processes; the clock stays as it was.
    pub fn merge(&mut self, other: &Self) -> Result<(), ClockError> {
        let unknown = |node: &&N| !self.counts.contains_key(node);
        let more = other.counts.keys().filter(unknown).count();
        if self.counts.len() + more > ENTRIES_MAX {
            return Err(ClockError::Full);
        }
        for (node, count) in &other.counts {
            let known = self.counts.entry(node.clone()).or_insert(0);
            *known = (*known).max(*count);
        }
        Ok(())
    }
}

impl<N: Ord + Serialize + DeserializeOwned> VectorClock<N> {
    /// The clock as bytes: postcard, a map of names to counts.
    ///
    /// # Errors
    /// [`ClockError::Malformed`] if a name cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ClockError> {
        postcard::to_stdvec(self).map_err(malformed)
    }

    /// The clock that [`VectorClock::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ClockError::Malformed`] if there are too many processes, zeros, counts above [`STAMP_MAX`], names out of order or
    /// twice, or bytes behind the end.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClockError> {
        let (clock, rest) = postcard::take_from_bytes(bytes).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(ClockError::Malformed("bytes follow".into()));
        }
        Ok(clock)
    }
}

fn malformed(error: postcard::Error) -> ClockError {
    ClockError::Malformed(error.to_string())
}

impl<N: Ord> Default for VectorClock<N> {
    fn default() -> Self {
        VectorClock::new()
    }
}

impl<N: Ord + fmt::Debug> fmt::Debug for VectorClock<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts.fmt(f)
    }
}

/// `Less` and `Greater` mean "happened before" and "after"; `None` means concurrent.
impl<N: Ord> PartialOrd for VectorClock<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.dominates(other), other.dominates(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

impl<N: Ord + Serialize> Serialize for VectorClock<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.counts.len()))?;
        for (node, count) in &self.counts {
            map.serialize_entry(node, count)?;
        }
        map.end()
    }
}

impl<'de, N: Ord + Deserialize<'de>> Deserialize<'de> for VectorClock<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Takes entries one by one: no more memory than what has come, and nothing of a clock that breaks a rule.
struct Entries<N>(PhantomData<N>);

impl<'de, N: Ord + Deserialize<'de>> Visitor<'de> for Entries<N> {
    type Value = VectorClock<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {ENTRIES_MAX} processes in ascending order")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut counts = BTreeMap::new();
        while let Some((node, count)) = map.next_entry::<N, u64>()? {
            if counts.len() >= ENTRIES_MAX {
                return Err(A::Error::custom("too many processes"));
            }
            if count == 0 || count > STAMP_MAX {
                return Err(A::Error::custom("a count out of range"));
            }
            if counts
                .last_key_value()
                .is_some_and(|(last, _)| *last >= node)
            {
                return Err(A::Error::custom("names out of order"));
            }
            counts.insert(node, count);
        }
        Ok(VectorClock { counts })
    }
}
