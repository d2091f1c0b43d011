//! [`Limits`]: how much a client may send, and how much the store keeps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::command::{Cmd, Op, Txn};

/// What a record costs beside its key and value, in bytes: many empty records are not free either.
pub(super) const RECORD_OVERHEAD: usize = 64;

/// Bounds on what a client may send, and on what the store keeps. Part of the replicated state: with different bounds the same
/// command would be taken here and refused there, so all nodes of a cluster have the same ones, and a snapshot of others is refused.
///
/// ```
/// use aqueduct::kv::{Cmd, Limits, Refusal};
///
/// let long = Cmd::Delete { key: vec![b'k'; 5_000].into() };
/// assert_eq!(Limits::default().check(&long), Err(Refusal::KeyLength));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a key, at least one. 4 KiB.
    pub key_bytes: usize,
    /// Bytes of a value. 1 MiB.
    pub value_bytes: usize,
    /// Comparisons of a transaction, and operations of each of its branches. 128.
    pub txn_ops: usize,
    /// Bytes of keys and values that all operations of a transaction carry, and that its answer carries. 2 MiB.
    pub txn_bytes: usize,
    /// Bytes of all keys and values, with 64 for each record. 1 GiB.
    pub store_bytes: usize,
    /// Sessions. 4,096.
    pub sessions: usize,
    /// Answers that a session keeps because its client has not acknowledged them. 256.
    pub session_results: usize,
    /// Bytes of those; the answer that goes beyond is kept, the next command is refused. 1 MiB.
    pub session_bytes: usize,
    /// Bytes of the answers of all sessions, in the same way. 256 MiB.
    pub results_bytes: usize,
    /// Leases. 16,384.
    pub leases: usize,
    /// Keys of a lease: all of them go at once when it ends. 1,024.
    pub lease_keys: usize,
    /// The shortest time a lease can be asked for, in milliseconds. 100.
    pub lease_ttl_min_ms: u64,
    /// The longest, in milliseconds. A day.
    pub lease_ttl_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            key_bytes: 4 << 10,
            value_bytes: 1 << 20,
            txn_ops: 128,
            txn_bytes: 2 << 20,
            store_bytes: 1 << 30,
            sessions: 4_096,
            session_results: 256,
            session_bytes: 1 << 20,
            results_bytes: 256 << 20,
            leases: 16_384,
            lease_keys: 1_024,
            lease_ttl_min_ms: 100,
            lease_ttl_max_ms: Duration::from_secs(86_400).as_secs() * 1_000,
        }
    }
}

impl Limits {
    /// Whether a command is within those bounds that need no knowledge of the state. The state machine asks it too; a node that
    /// asks before it proposes spares the log what would be refused.
    ///
    /// # Errors
    ///
    /// Which bound it exceeds.
    pub fn check(&self, cmd: &Cmd) -> Result<(), Refusal> {
        match cmd {
            Cmd::Put { key, value, .. } | Cmd::WriteOnce { key, value } => {
                self.check_key(key)?;
                self.check_value(value)
            }
            Cmd::Delete { key } => self.check_key(key),
            Cmd::Cas {
                key, expect, value, ..
            } => {
                self.check_key(key)?;
                self.check_value(expect.value().unwrap_or_default())?;
                self.check_value(value.as_deref().unwrap_or_default())
            }
            Cmd::Txn(txn) => self.check_txn(txn),
            Cmd::LeaseGrant { ttl_ms } => {
                let range = self.lease_ttl_min_ms..=self.lease_ttl_max_ms;
                range.contains(ttl_ms).then_some(()).ok_or(Refusal::Ttl)
            }
            Cmd::LeaseRevoke { .. }
            | Cmd::SessionOpen { .. }
            | Cmd::SessionClose { .. }
            | Cmd::SessionExpire { .. } => Ok(()),
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Refusal> {
        let fits = !key.is_empty() && key.len() <= self.key_bytes;
        fits.then_some(()).ok_or(Refusal::KeyLength)
    }

    fn check_value(&self, value: &[u8]) -> Result<(), Refusal> {
        let fits = value.len() <= self.value_bytes;
        fits.then_some(()).ok_or(Refusal::ValueLength)
    }

    fn check_txn(&self, txn: &Txn) -> Result<(), Refusal> {
        let lengths = [txn.cmp.len(), txn.then.len(), txn.els.len()];
        if lengths.into_iter().any(|length| length > self.txn_ops) {
            return Err(Refusal::TxnLength);
        }
        let mut bytes = 0_usize;
        for cmp in &txn.cmp {
            let value = cmp.expect.value().unwrap_or_default();
            self.check_key(&cmp.key)?;
            self.check_value(value)?;
            bytes += cmp.key.len() + value.len();
        }
        for op in txn.then.iter().chain(&txn.els) {
            self.check_key(op.key())?;
            bytes += op.key().len();
            if let Op::Put { value, .. } = op {
                self.check_value(value)?;
                bytes += value.len();
            }
        }
        let fits = bytes <= self.txn_bytes;
        fits.then_some(()).ok_or(Refusal::TxnLength)
    }
}
