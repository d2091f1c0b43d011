//! Opening a log: everything in it is read and checked, and what is damaged is named.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use openraft::{LogId, RaftLogId, RaftTypeConfig, Vote};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::{self, CLUSTER, COMMITTED, FORMAT, NODE, PURGED, VOTE, Write};
use super::error::{OpenError, Place};
use super::seal::{Damage, seal, unseal};
use super::tail::Tail;
use crate::layers::raft::PeerIdentity;

const FORMAT_NOW: u16 = 1;
/// Entries that are checked at once.
const CHECK_BYTES: usize = 4 << 20;

/// What a log holds when it is opened.
#[derive(Debug)]
pub(super) struct Contents<C: RaftTypeConfig> {
    pub(super) vote: Option<Vote<C::NodeId>>,
    pub(super) committed: Option<LogId<C::NodeId>>,
    pub(super) purged: Option<LogId<C::NodeId>>,
    pub(super) last: Option<LogId<C::NodeId>>,
    pub(super) tail: Tail,
}

/// Opens the file, or creates it.
pub(super) fn at_path(path: &Path) -> Result<Database, OpenError> {
    checked(|| builder(true).create(path)).map_err(|what| {
        let found = catch_unwind(AssertUnwindSafe(|| {
            let database = builder(false).open(path).ok()?;
            first_damaged(&database)
        }));
        what.with_place(found.ok().flatten())
    })
}

/// Opens what a backend holds, or begins to fill it. It can be opened once: what is damaged is named by `again`, which opens the same.
pub(super) fn over(
    first: impl redb::StorageBackend,
    again: Option<impl redb::StorageBackend>,
) -> Result<Database, OpenError> {
    checked(|| builder(true).create_with_backend(first)).map_err(|what| {
        let found = catch_unwind(AssertUnwindSafe(|| {
            let database = builder(false).create_with_backend(again?).ok()?;
            first_damaged(&database)
        }));
        what.with_place(found.ok().flatten())
    })
}

/// The check of every page finds what the sums of the entries do not: damage of the tree that holds them.
fn builder(check: bool) -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(disk::CACHE_BYTES)
        .set_check_integrity_on_open(check);
    builder
}

/// A damaged tree may also show as a panic of redb's.
fn checked(open: impl FnOnce() -> Result<Database, DatabaseError>) -> Result<Database, OpenError> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(OpenError::InUse),
        Ok(Err(DatabaseError::Storage(StorageError::Io(error))))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            Err(OpenError::Io(error))
        }
        Ok(Err(DatabaseError::Storage(StorageError::Backend(error)))) => {
            Err(OpenError::Io(std::io::Error::other(error)))
        }
        Ok(Err(error)) => Err(corrupt(Place::File, error)),
        Err(_) => Err(corrupt(Place::File, "its tree is broken")),
    }
}

fn corrupt(at: Place, what: impl ToString) -> OpenError {
    OpenError::Corrupt {
        at,
        what: what.to_string(),
    }
}

impl OpenError {
    fn with_place(self, found: Option<(Place, Damage)>) -> Self {
        match (self, found) {
            (
                OpenError::Corrupt {
                    at: Place::File, ..
                },
                Some((at, damage)),
            ) => corrupt(at, damage),
            (error, _) => error,
        }
    }
}

/// The first value whose sum does not fit, in a file that does not pass the check.
fn first_damaged(db: &Database) -> Option<(Place, Damage)> {
    for name in [FORMAT, CLUSTER, NODE, VOTE, COMMITTED, PURGED] {
        let sealed = disk::meta(db, name).ok()?;
        // The type does not matter: only the sum is asked for.
        if let Some(Err(Damage::Sum)) = sealed.map(|sealed| unseal::<()>(&sealed)) {
            return Some((Place::Meta(name), Damage::Sum));
        }
    }
    let mut from = 0;
    loop {
        let found = disk::entries(db, from..u64::MAX, CHECK_BYTES).ok()?;
        for (index, sealed) in &found {
            if let Err(Damage::Sum) = unseal::<()>(sealed) {
                return Some((Place::Entry(*index), Damage::Sum));
            }
        }
        from = found.last()?.0 + 1;
    }
}

/// Reads and checks all of it; a new file is given its identity first.
pub(super) fn read<C: RaftTypeConfig>(
    db: &Database,
    identity: &PeerIdentity,
) -> Result<Contents<C>, OpenError> {
    let begun = db.begin_read().map_err(failed)?;
    let is_new = begun.list_tables().map_err(failed)?.next().is_none();
    drop(begun);
    if is_new {
        found(db, identity)?;
    }
    check_identity(db, identity)?;
    let purged = record::<LogId<C::NodeId>>(db, PURGED)?;
    let (last, tail) = Scan::<C>::new(purged.clone()).run(db)?;
    Ok(Contents {
        vote: record(db, VOTE)?,
        committed: record::<Option<LogId<C::NodeId>>>(db, COMMITTED)?.flatten(),
        purged,
        last,
        tail,
    })
}

/// Writes down whose log this is.
fn found(db: &Database, identity: &PeerIdentity) -> Result<(), OpenError> {
    fn write(name: &'static str, value: &impl Serialize) -> Result<Write, OpenError> {
        let sealed = seal(value).map_err(|error| OpenError::Io(std::io::Error::other(error)))?;
        let durable = true;
        Ok(Write::Meta {
            name,
            sealed,
            durable,
        })
    }
    let writes = [
        write(FORMAT, &FORMAT_NOW)?,
        write(CLUSTER, &identity.cluster)?,
        write(NODE, &&identity.node[..])?,
    ];
    disk::commit(db, writes.iter(), true).map_err(failed)
}

fn check_identity(db: &Database, identity: &PeerIdentity) -> Result<(), OpenError> {
    let required = |name| move || corrupt(Place::Meta(name), "it is missing");
    let got: u16 = record(db, FORMAT)?.ok_or_else(required(FORMAT))?;
    if got != FORMAT_NOW {
        let want = FORMAT_NOW;
        return Err(OpenError::Format { got, want });
    }
    let (got, want) = (
        record(db, CLUSTER)?.ok_or_else(required(CLUSTER))?,
        identity.cluster,
    );
    if got != want {
        return Err(OpenError::WrongCluster { got, want });
    }
    let got: Vec<u8> = record(db, NODE)?.ok_or_else(required(NODE))?;
    if got != identity.node {
        let (got, want) = (got.into(), identity.node.clone());
        return Err(OpenError::WrongNode { got, want });
    }
    Ok(())
}

fn record<T: DeserializeOwned>(db: &Database, name: &'static str) -> Result<Option<T>, OpenError> {
    let Some(sealed) = disk::meta(db, name).map_err(failed)? else {
        return Ok(None);
    };
    let value = unseal(&sealed).map_err(|damage| corrupt(Place::Meta(name), damage))?;
    Ok(Some(value))
}

fn failed(error: impl Into<redb::Error>) -> OpenError {
    match error.into() {
        redb::Error::Io(error) => OpenError::Io(error),
        error => corrupt(Place::File, error),
    }
}

/// Goes through all entries: each must be whole, know its own index, and follow the one before.
struct Scan<C: RaftTypeConfig> {
    last: Option<LogId<C::NodeId>>,
    tail: Tail,
    entries: PhantomData<C>,
}

impl<C: RaftTypeConfig> Scan<C> {
    fn new(purged: Option<LogId<C::NodeId>>) -> Self {
        let mut tail = Tail::default();
        tail.purge(purged.as_ref().map_or(0, |id| id.index + 1));
        Scan {
            last: purged,
            tail,
            entries: PhantomData,
        }
    }

    #[expect(clippy::type_complexity, reason = "the two halves of what was found")]
    fn run(mut self, db: &Database) -> Result<(Option<LogId<C::NodeId>>, Tail), OpenError> {
        let mut from = 0;
        loop {
            let found = disk::entries(db, from..u64::MAX, CHECK_BYTES).map_err(failed)?;
            let Some((newest, _)) = found.last() else {
                return Ok((self.last, self.tail));
            };
            from = newest + 1;
            for (index, sealed) in found {
                self.take(index, sealed)?;
            }
        }
    }

    fn take(&mut self, index: u64, sealed: bytes::Bytes) -> Result<(), OpenError> {
        let expected = self.last.as_ref().map_or(0, |id| id.index + 1);
        if index != expected {
            let what = format!("the next entry in the file is {index}");
            return Err(corrupt(Place::Entry(expected), what));
        }
        let entry: C::Entry =
            unseal(&sealed).map_err(|damage| corrupt(Place::Entry(index), damage))?;
        let id = entry.get_log_id().clone();
        if id.index != index {
            let what = format!("it says that it is entry {}", id.index);
            return Err(corrupt(Place::Entry(index), what));
        }
        self.last = Some(id);
        self.tail.push(index, 0, sealed);
        Ok(())
    }
}
