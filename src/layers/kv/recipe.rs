//! [`Mutex`]: a lock, or the leadership of a group, as commands.
//!
//! Both are one record that is bound to the lease of whoever has it: to acquire is to write where nothing is, to lose the lease is
//! to lose the record. Those who wait watch the key until its record is gone, and try again. When it was created is the fencing
//! token: of two holders the later has the greater one.

use bytes::Bytes;

use super::answer::{Answer, Versioned};
use super::command::{Cmd, Compare, Expect, Op, Txn};

/// A lock by its key, and somebody who wants it.
///
/// ```
/// use aqueduct::kv::{Acquired, Answer, Expect, Mutex};
///
/// let mine = Mutex::lock("backup", "host-3", 17);
/// let cmd = mine.acquire();
/// assert_eq!(mine.on_answer(&Answer::Written { rev: 40 }), Some(Acquired::Held { token: 40 }));
/// assert_eq!(mine.proof(40).expect, Expect::Rev(40));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutex {
    key: Bytes,
    owner: Bytes,
    lease: u64,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// It is held.
    Held {
        /// For the [`Gate`](super::fence::Gate) of what it protects.
        token: u64,
    },
    /// Somebody else has it: watch the key until its record is gone.
    By(Versioned),
}

impl Mutex {
    /// The lock of this name (key `lock/NAME`), wanted by `owner`, who has this lease. Owners have different names.
    pub fn lock(name: &str, owner: impl Into<Bytes>, lease: u64) -> Self {
        Mutex::at(format!("lock/{name}").into(), owner.into(), lease)
    }

    /// The leadership of this group (key `leader/NAME`), wanted by `candidate`; everybody can read who has it.
    pub fn leadership(name: &str, candidate: impl Into<Bytes>, lease: u64) -> Self {
        Mutex::at(format!("leader/{name}").into(), candidate.into(), lease)
    }

    fn at(key: Bytes, owner: Bytes, lease: u64) -> Self {
        Mutex { key, owner, lease }
    }

    /// Where the record of the holder is.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// To acquire.
    pub fn acquire(&self) -> Cmd {
        Cmd::Cas {
            key: self.key.clone(),
            expect: Expect::Absent,
            value: Some(self.owner.clone()),
            lease: Some(self.lease),
        }
    }

    /// What the answer to [`acquire`](Self::acquire) means; `None` if it was refused. Who asks twice, since the first answer was lost with its session,
    /// finds himself as the holder.
    pub fn on_answer(&self, answer: &Answer) -> Option<Acquired> {
        match answer {
            Answer::Written { rev } => Some(Acquired::Held { token: *rev }),
            Answer::NotExpected {
                current: Some(current),
            } => {
                let is_mine = current.lease == Some(self.lease) && current.value == self.owner;
                Some(match is_mine {
                    true => Acquired::Held {
                        token: current.create_rev,
                    },
                    false => Acquired::By(current.clone()),
                })
            }
            _ => None,
        }
    }

    /// To release what is held with this token. Does nothing if somebody else has it by now.
    pub fn release(&self, token: u64) -> Cmd {
        Cmd::Cas {
            key: self.key.clone(),
            expect: Expect::Rev(token),
            value: None,
            lease: None,
        }
    }

    /// Holds as long as this token does, in the same store: a transaction with it is fenced without a gate.
    pub fn proof(&self, token: u64) -> Compare {
        Compare {
            key: self.key.clone(),
            expect: Expect::Rev(token),
        }
    }

    /// Operations that are done only if this token still holds.
    pub fn guarded(&self, token: u64, then: Vec<Op>) -> Cmd {
        Cmd::Txn(Txn {
            cmp: vec![self.proof(token)],
            then,
            els: Vec::new(),
        })
    }
}
