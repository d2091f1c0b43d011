//! A state machine in memory: the strings that were applied.

use std::io::Cursor;
use std::sync::{Arc, Mutex};

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    BasicNode, Entry, EntryPayload, LogId, OptionalSend, RaftSnapshotBuilder, SnapshotMeta,
    StorageError, StorageIOError, StoredMembership,
};
use serde::{Deserialize, Serialize};

use crate::Types;

type Outcome<T> = Result<T, StorageError<u64>>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Applied {
    last: Option<LogId<u64>>,
    membership: StoredMembership<u64, BasicNode>,
    strings: Vec<String>,
}

/// A handle: clones are the same machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    applied: Arc<Mutex<Applied>>,
    snapshot: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Machine {
    pub(crate) fn strings(&self) -> Vec<String> {
        self.applied.lock().unwrap().strings.clone()
    }
}

fn read(bytes: &[u8]) -> Outcome<Applied> {
    serde_json::from_slice(bytes)
        .map_err(|error| StorageIOError::read_snapshot(None, &error).into())
}

fn snapshot_of(bytes: Vec<u8>) -> Outcome<Snapshot<Types>> {
    let applied = read(&bytes)?;
    let meta = SnapshotMeta {
        last_log_id: applied.last,
        last_membership: applied.membership,
        snapshot_id: format!("{:?}", applied.last.map(|id| id.index)),
    };
    let snapshot = Box::new(Cursor::new(bytes));
    Ok(Snapshot { meta, snapshot })
}

impl RaftSnapshotBuilder<Types> for Machine {
    async fn build_snapshot(&mut self) -> Outcome<Snapshot<Types>> {
        let bytes = serde_json::to_vec(&*self.applied.lock().unwrap()).unwrap();
        *self.snapshot.lock().unwrap() = Some(bytes.clone());
        snapshot_of(bytes)
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Self;

    async fn applied_state(
        &mut self,
    ) -> Outcome<(Option<LogId<u64>>, StoredMembership<u64, BasicNode>)> {
        let applied = self.applied.lock().unwrap();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Outcome<Vec<u64>>
    where
        I: IntoIterator<Item = Entry<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.applied.lock().unwrap();
        let mut answers = Vec::new();
        for entry in entries {
            applied.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(string) => applied.strings.push(string),
                EntryPayload::Membership(membership) => {
                    applied.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            answers.push(u64::try_from(applied.strings.len()).unwrap());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Outcome<Box<Cursor<Vec<u8>>>> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta<u64, BasicNode>,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Outcome<()> {
        let bytes = snapshot.into_inner();
        *self.applied.lock().unwrap() = read(&bytes)?;
        *self.snapshot.lock().unwrap() = Some(bytes);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Outcome<Option<Snapshot<Types>>> {
        let snapshot = self.snapshot.lock().unwrap().clone();
        snapshot.map(snapshot_of).transpose()
    }
}
