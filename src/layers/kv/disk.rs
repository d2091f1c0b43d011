//! The state on disk: what is in memory, table by table, in one file of redb.
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | key | record, by postcard |
//! | `leases` | number | time to live, ms |
//! | `sessions` | client | acknowledged below |
//! | `results` | client, sequence number | answer, by postcard |
//! | `meta` | a name | `owner`, `limits`, `applied`, `engine` |
//!
//! Changes are committed without waiting for the disk: after a crash the file is as it was at the last durable commit, and what is
//! missing comes from the log again. Before a log is purged a snapshot is built, and with it comes a durable commit.

use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Change, Versioned};
use super::limits::Limits;
use super::snapshot::{SnapshotError, SnapshotWriter};
use super::state::{Position, StateMachine};
use crate::layers::raft::PeerIdentity;

const RECORDS: TableDefinition<'static, &'static [u8], &'static [u8]> =
    TableDefinition::new("records");
const LEASES: TableDefinition<'static, u64, u64> = TableDefinition::new("leases");
const SESSIONS: TableDefinition<'static, u128, u64> = TableDefinition::new("sessions");
const RESULTS: TableDefinition<'static, (u128, u64), &'static [u8]> =
    TableDefinition::new("results");
const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta");

const OWNER: &str = "owner";
const LIMITS: &str = "limits";
const APPLIED: &str = "applied";
const ENGINE: &str = "engine";

/// Bytes that redb keeps of the file: all of the state is in memory anyway.
const CACHE_BYTES: usize = 16 << 20;

/// Why a store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What is in the file cannot be. The state is no more than what log and snapshot make of it: with the file deleted the node
    /// starts from its snapshot, and applies its log again.
    #[error("the state is damaged: {what}")]
    Damaged {
        /// What is wrong with it.
        what: String,
    },
    /// The file is that of another node, or of another cluster.
    #[error("the state belongs to another node or another cluster")]
    Foreign,
    /// The state was made with other bounds.
    #[error("the state was made with other limits: {found:?}")]
    Limits {
        /// Those.
        found: Box<Limits>,
    },
    /// The disk, or the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database.
    #[error("the database of the state")]
    Database(#[source] Box<redb::Error>),
    /// The snapshot that is newer than the state.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// redb has an error for each step, and one for all of them.
macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                StoreError::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

/// The tables.
#[derive(Debug)]
pub(super) struct Disk {
    db: Database,
}

impl Disk {
    /// Opens the file, or creates it with an empty state; what is in it.
    pub(super) fn open(
        path: &Path,
        owner: &PeerIdentity,
        limits: &Limits,
    ) -> Result<(Self, StateMachine), StoreError> {
        let db = redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create(path)?;
        let disk = Disk { db };
        let owner = encode(&(owner.cluster, &owner.node))?;
        match disk.meta(OWNER)? {
            None => disk.create(&owner, limits)?,
            Some(found) if found != owner => return Err(StoreError::Foreign),
            Some(_) => {}
        }
        let found: Limits = decode(&disk.meta(LIMITS)?.unwrap_or_default())?;
        if found != *limits {
            let found = Box::new(found);
            return Err(StoreError::Limits { found });
        }
        let state = disk.load(limits)?;
        Ok((disk, state))
    }

    fn create(&self, owner: &[u8], limits: &Limits) -> Result<(), StoreError> {
        let transaction = self.db.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert(OWNER, owner)?;
            meta.insert(LIMITS, encode(limits)?.as_slice())?;
        }
        save_place(&transaction, Position::default(), &Bytes::new())?;
        open_all(&transaction)?;
        transaction.commit()?;
        Ok(())
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let meta = match self.db.begin_read()?.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(meta.get(name)?.map(|found| found.value().to_vec()))
    }

    fn load(&self, limits: &Limits) -> Result<StateMachine, StoreError> {
        let copy = self.copy()?;
        let mut state = StateMachine::new(*limits);
        let (index, term) = copy.place;
        state.set_applied(Position { index, term });
        state.set_engine(copy.engine.clone());
        let (store, sessions) = state.parts_mut();
        let mut is_whole = true;
        copy.each_lease(|id, ttl_ms| {
            is_whole &= store.insert_lease(id, ttl_ms);
            Ok(())
        })?;
        copy.each_record(|key, record| {
            is_whole &= store.insert_record(key, record);
            Ok(())
        })?;
        copy.each_session(|client, ack_below| {
            is_whole &= sessions.insert(client, ack_below);
            copy.each_result(client, |seq, answer| {
                is_whole &= sessions.insert_result(client, seq, answer);
                Ok(())
            })
        })?;
        is_whole.then_some(state).ok_or_else(|| damaged("tables"))
    }

    /// Commits changes, without waiting for the disk.
    pub(super) fn save(
        &self,
        changes: &[Change],
        applied: Position,
        engine: &Bytes,
    ) -> Result<(), StoreError> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::None)?;
        for change in changes {
            save_change(&transaction, change)?;
        }
        save_place(&transaction, applied, engine)?;
        transaction.commit()?;
        Ok(())
    }

    /// All that was committed is on the disk.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.db.begin_write()?.commit()?;
        Ok(())
    }

    /// Puts a state in the place of what is here; it is on the disk afterwards.
    pub(super) fn replace(&self, state: &StateMachine) -> Result<(), StoreError> {
        let transaction = self.db.begin_write()?;
        transaction.delete_table(RECORDS)?;
        transaction.delete_table(LEASES)?;
        transaction.delete_table(SESSIONS)?;
        transaction.delete_table(RESULTS)?;
        open_all(&transaction)?;
        let (store, sessions) = state.parts();
        {
            let mut leases = transaction.open_table(LEASES)?;
            for (id, ttl_ms) in store.leases() {
                leases.insert(id, ttl_ms)?;
            }
            let mut records = transaction.open_table(RECORDS)?;
            for (key, record) in store.records_from(Bound::Unbounded) {
                records.insert(&key[..], encode(record)?.as_slice())?;
            }
            let mut acknowledged = transaction.open_table(SESSIONS)?;
            let mut results = transaction.open_table(RESULTS)?;
            for (client, session) in sessions.iter() {
                acknowledged.insert(client, session.ack_below())?;
                for (seq, answer) in session.results() {
                    results.insert((client, seq), encode(answer)?.as_slice())?;
                }
            }
        }
        save_place(&transaction, state.applied(), state.engine())?;
        transaction.commit()?;
        Ok(())
    }

    /// The state as it is now, whatever is committed while it is read.
    pub(super) fn copy(&self) -> Result<DiskCopy, StoreError> {
        let transaction = self.db.begin_read()?;
        let meta = transaction.open_table(META)?;
        let value = |name: &str| -> Result<Vec<u8>, StoreError> {
            let found = meta.get(name)?.ok_or_else(|| damaged(name))?;
            Ok(found.value().to_vec())
        };
        let place = decode(&value(APPLIED)?)?;
        let engine = value(ENGINE)?.into();
        Ok(DiskCopy {
            transaction,
            place,
            engine,
        })
    }
}

/// A state that stands still.
pub(super) struct DiskCopy {
    transaction: ReadTransaction,
    /// Index and term.
    place: (u64, u64),
    pub(super) engine: Bytes,
}

type Each = Result<(), StoreError>;

impl DiskCopy {
    pub(super) fn applied(&self) -> Position {
        let (index, term) = self.place;
        Position { index, term }
    }

    /// Writes it as a snapshot.
    pub(super) fn write(&self, limits: &Limits, out: &mut impl Write) -> Result<u64, StoreError> {
        let mut writer = SnapshotWriter::new(out, self.applied(), limits, &self.engine)?;
        self.each_lease(|id, ttl_ms| Ok(writer.lease(id, ttl_ms)?))?;
        self.each_record(|key, record| Ok(writer.record(&key, &record)?))?;
        self.each_session(|client, ack_below| {
            writer.session(client, ack_below)?;
            self.each_result(client, |seq, answer| Ok(writer.result(seq, &answer)?))
        })?;
        Ok(writer.finish()?)
    }

    fn each_lease(&self, mut each: impl FnMut(u64, u64) -> Each) -> Each {
        for lease in self.transaction.open_table(LEASES)?.iter()? {
            let (id, ttl_ms) = lease?;
            each(id.value(), ttl_ms.value())?;
        }
        Ok(())
    }

    fn each_record(&self, mut each: impl FnMut(Bytes, Versioned) -> Each) -> Each {
        for record in self.transaction.open_table(RECORDS)?.iter()? {
            let (key, record) = record?;
            each(Bytes::copy_from_slice(key.value()), decode(record.value())?)?;
        }
        Ok(())
    }

    fn each_session(&self, mut each: impl FnMut(u128, u64) -> Each) -> Each {
        for session in self.transaction.open_table(SESSIONS)?.iter()? {
            let (client, ack_below) = session?;
            each(client.value(), ack_below.value())?;
        }
        Ok(())
    }

    fn each_result(&self, client: u128, mut each: impl FnMut(u64, Answer) -> Each) -> Each {
        let results = self.transaction.open_table(RESULTS)?;
        for result in results.range((client, 0)..=(client, u64::MAX))? {
            let (key, answer) = result?;
            each(key.value().1, decode(answer.value())?)?;
        }
        Ok(())
    }
}

fn open_all(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(RECORDS)?;
    transaction.open_table(LEASES)?;
    transaction.open_table(SESSIONS)?;
    transaction.open_table(RESULTS)?;
    Ok(())
}

fn save_place(
    transaction: &WriteTransaction,
    applied: Position,
    engine: &Bytes,
) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(APPLIED, encode(&(applied.index, applied.term))?.as_slice())?;
    meta.insert(ENGINE, &engine[..])?;
    Ok(())
}

fn save_change(transaction: &WriteTransaction, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Record { key, record } => {
            let mut records = transaction.open_table(RECORDS)?;
            match record {
                Some(record) => records.insert(&key[..], encode(record)?.as_slice())?,
                None => records.remove(&key[..])?,
            };
        }
        Change::Lease { id, ttl_ms } => {
            let mut leases = transaction.open_table(LEASES)?;
            match ttl_ms {
                Some(ttl_ms) => leases.insert(id, ttl_ms)?,
                None => leases.remove(id)?,
            };
        }
        Change::Session { client, ack_below } => {
            let mut sessions = transaction.open_table(SESSIONS)?;
            let end = match ack_below {
                Some(ack_below) => {
                    sessions.insert(client, ack_below)?;
                    Bound::Excluded((*client, *ack_below))
                }
                None => {
                    sessions.remove(client)?;
                    Bound::Included((*client, u64::MAX))
                }
            };
            let mut results = transaction.open_table(RESULTS)?;
            results.retain_in((Bound::Included((*client, 0)), end), |_, _| false)?;
        }
        Change::Result {
            client,
            seq,
            answer,
        } => {
            let mut results = transaction.open_table(RESULTS)?;
            results.insert((*client, *seq), encode(answer)?.as_slice())?;
        }
    }
    Ok(())
}

fn damaged(what: &str) -> StoreError {
    let what = what.to_owned();
    StoreError::Damaged { what }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value).map_err(|error| damaged(&error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    postcard::from_bytes(bytes).map_err(|error| damaged(&error.to_string()))
}
