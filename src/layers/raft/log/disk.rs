//! The file: two tables of redb, what is written to them in one transaction, and what is read.
//!
//! | table | key | value |
//! |---|---|---|
//! | `log` | index u64 | a sealed entry |
//! | `meta` | a name | `vote`, `committed`, `purged`, `node`, `cluster`, `format`, each sealed |
//!
//! A durable commit has two phases (two `fsync`): with one, a page of the newest batch that is damaged later looks like a batch that was
//! torn by a crash, and would be forgotten although others were told of it.

use std::ops::Range;

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, TableDefinition};

/// One `redb::Database` cache for readers behind the tail, bytes.
pub(super) const CACHE_BYTES: usize = 32 << 20;

pub(super) const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
pub(super) const META: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("meta");

pub(super) const VOTE: &str = "vote";
pub(super) const COMMITTED: &str = "committed";
pub(super) const PURGED: &str = "purged";
pub(super) const NODE: &str = "node";
pub(super) const CLUSTER: &str = "cluster";
pub(super) const FORMAT: &str = "format";

/// A change of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Write {
    /// Adds entries.
    Append(Vec<(u64, Bytes)>),
    /// Sets a record, durably or whenever something else is.
    Meta {
        name: &'static str,
        sealed: Bytes,
        durable: bool,
    },
    /// Removes the entries from `since` on.
    Truncate { since: u64 },
    /// Removes the entries below `until`; `id` is the last of them, sealed.
    Purge { until: u64, id: Bytes },
    /// Nothing: an answer says that everything before is on the disk.
    Barrier,
}

impl Write {
    /// Whether it must be on the disk before anybody is told.
    pub(super) fn is_durable(&self) -> bool {
        match self {
            Write::Append(_) | Write::Truncate { .. } | Write::Barrier => true,
            Write::Meta { durable, .. } => *durable,
            Write::Purge { .. } => false,
        }
    }

    /// Entries and bytes, for the limit of a batch.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Write::Append(entries) => (
                entries.len(),
                entries.iter().map(|(_, sealed)| sealed.len()).sum(),
            ),
            _ => (1, 0),
        }
    }
}

/// Does all of these in one transaction, in this order.
pub(super) fn commit<'w>(
    db: &Database,
    writes: impl Iterator<Item = &'w Write>,
    durable: bool,
) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    if durable {
        transaction.set_two_phase_commit(true);
    } else {
        transaction.set_durability(Durability::None)?;
    }
    {
        let mut log = transaction.open_table(LOG)?;
        let mut meta = transaction.open_table(META)?;
        for write in writes {
            match write {
                Write::Append(entries) => {
                    for (index, sealed) in entries {
                        log.insert(index, &sealed[..])?;
                    }
                }
                Write::Meta { name, sealed, .. } => {
                    meta.insert(name, &sealed[..])?;
                }
                Write::Truncate { since } => log.retain_in::<u64, _>(since.., |_, _| false)?,
                Write::Purge { until, id } => {
                    log.retain_in::<u64, _>(..until, |_, _| false)?;
                    meta.insert(PURGED, &id[..])?;
                }
                Write::Barrier => {}
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The sealed entries of these indices: as many as have `bytes_max` bytes together, and at least one.
pub(super) fn entries(
    db: &Database,
    indices: Range<u64>,
    bytes_max: usize,
) -> Result<Vec<(u64, Bytes)>, redb::Error> {
    let log = db.begin_read()?.open_table(LOG)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for entry in log.range(indices)? {
        let (index, sealed) = entry?;
        let sealed = Bytes::copy_from_slice(sealed.value());
        bytes += sealed.len();
        if bytes > bytes_max && !found.is_empty() {
            break;
        }
        found.push((index.value(), sealed));
    }
    Ok(found)
}

/// A record, sealed.
pub(super) fn meta(db: &Database, name: &str) -> Result<Option<Bytes>, redb::Error> {
    let meta = db.begin_read()?.open_table(META)?;
    Ok(meta
        .get(name)?
        .map(|sealed| Bytes::copy_from_slice(sealed.value())))
}
