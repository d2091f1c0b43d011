//! The state machine on disk, with the log beside it (R1), and when a node ends in the midst of things.

use std::fs;
use std::path::Path;

use aqueduct::kv::{Answer, Cmd, KvStore, KvTypes, Limits, Request, StoreError};
use aqueduct::raft::RedbLog;
use openraft::storage::RaftStateMachine;
use openraft::testing::{StoreBuilder, Suite, log_id};
use openraft::{BasicNode, Entry, EntryPayload, Membership, RaftSnapshotBuilder, StorageError};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use crate::{block_on, identity};

struct InFolder;

impl StoreBuilder<KvTypes, RedbLog<KvTypes>, KvStore, TempDir> for InFolder {
    async fn build(&self) -> Result<(TempDir, RedbLog<KvTypes>, KvStore), StorageError<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let log = RedbLog::open(folder.path().join("log.redb"), &identity(1)).unwrap();
        let store = open(folder.path()).unwrap();
        Ok((folder, log, store))
    }
}

fn open(folder: &Path) -> Result<KvStore, StoreError> {
    KvStore::open(folder.join("state"), &identity(1), Limits::default())
}

#[test]
fn r1_openrafts_storage_suite_passes() {
    Suite::test_all(InFolder).unwrap();
}

fn entry(index: u64, payload: EntryPayload<KvTypes>) -> Entry<KvTypes> {
    Entry {
        log_id: log_id(1, 1, index),
        payload,
    }
}

const CLIENT: u128 = 7;

/// The entry of this index: the first ones are what a cluster begins with, the others write `key-N` with a content of their own.
fn numbered(index: u64) -> Entry<KvTypes> {
    let payload = match index {
        0 => {
            let nodes = [(1, BasicNode::new("a")), (2, BasicNode::new("b"))];
            EntryPayload::Membership(Membership::new(
                vec![[1, 2].into()],
                std::collections::BTreeMap::from(nodes),
            ))
        }
        1 => EntryPayload::Blank,
        2 => EntryPayload::Normal(Request::without_session(Cmd::SessionOpen {
            client: CLIENT,
        })),
        _ => EntryPayload::Normal(Request {
            client: CLIENT,
            seq: index,
            ack_below: index,
            cmd: Cmd::Put {
                key: format!("key-{}", index % 10).into(),
                value: format!("the content of entry {index:05}").into(),
                lease: None,
            },
        }),
    };
    entry(index, payload)
}

#[track_caller]
fn assert_applied(store: &KvStore, last: u64) {
    assert_eq!(store.applied_index(), last);
    store.read(|state| {
        for index in last.saturating_sub(9).max(3)..=last {
            let record = state
                .record(format!("key-{}", index % 10).as_bytes())
                .unwrap();
            assert_eq!(record.value, format!("the content of entry {index:05}"));
            assert_eq!(record.mod_rev, index);
        }
        assert_eq!(state.sessions().collect::<Vec<_>>(), [CLIENT]);
    });
}

#[test]
fn what_is_applied_is_answered_and_read() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let mut store = open(folder.path()).unwrap();
        let waiting = store.clone();
        let waiter = tokio::spawn(async move { waiting.wait_applied(30).await });
        let answers = store.apply((0..=30).map(numbered)).await.unwrap();
        assert_eq!(answers[..3], [None, None, Some(Answer::Opened)]);
        assert_eq!(answers[30], Some(Answer::Written { rev: 30 }));
        waiter.await.unwrap();
        assert_applied(&store, 30);
        let (last, membership) = store.applied_state().await.unwrap();
        assert_eq!(last, Some(log_id(1, 1, 30)));
        assert_eq!(membership.nodes().count(), 2);
    });
}

/// After a crash the state is as at a durable commit, never torn: whatever is missing, the log brings it again.
#[test]
fn after_a_crash_the_state_is_as_at_its_snapshot_or_later() {
    let folder = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    block_on(async {
        let mut store = open(folder.path()).unwrap();
        store.apply((0..=20).map(numbered)).await.unwrap();
        store.build_snapshot().await.unwrap();
        store.apply((21..=40).map(numbered)).await.unwrap();
        // What the disk holds at this moment, as after `kill -9`.
        copy_folder(&folder.path().join("state"), &crashed.path().join("state"));
        assert_applied(&store, 40);

        let mut again = open(crashed.path()).unwrap();
        let (last, _) = again.applied_state().await.unwrap();
        let last = last.unwrap().index;
        assert!((20..=40).contains(&last), "{last}");
        assert_applied(&again, last);
        again.apply((last + 1..=50).map(numbered)).await.unwrap();
        assert_applied(&again, 50);
    });
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_snapshot_brings_another_node_to_the_same_state() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    block_on(async {
        let mut store = open(one.path()).unwrap();
        store.apply((0..=20).map(numbered)).await.unwrap();
        let mut snapshot = store.build_snapshot().await.unwrap();
        store.apply((21..=22).map(numbered)).await.unwrap();
        assert_eq!(
            snapshot.meta.last_log_id,
            Some(log_id(1, 1, 20)),
            "what comes later is not in it"
        );

        let mut behind = open(other.path()).unwrap();
        behind.apply((0..=5).map(numbered)).await.unwrap();
        let mut receiving = behind.begin_receiving_snapshot().await.unwrap();
        tokio::io::copy(&mut snapshot.snapshot, &mut receiving)
            .await
            .unwrap();
        behind
            .install_snapshot(&snapshot.meta, receiving)
            .await
            .unwrap();
        assert_applied(&behind, 20);
        let current = behind.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta, snapshot.meta);
        drop(behind);

        let mut behind = open(other.path()).unwrap();
        assert_applied(&behind, 20);
        behind.apply((21..=22).map(numbered)).await.unwrap();
        let same = |store: &KvStore| store.read(Clone::clone);
        assert_eq!(same(&behind), same(&store));
    });
}

#[test]
fn a_damaged_snapshot_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let mut store = open(folder.path()).unwrap();
        store.apply((0..=20).map(numbered)).await.unwrap();
        let snapshot = store.build_snapshot().await.unwrap();
        let mut damaged = fs::read(folder.path().join("state/current.snap")).unwrap();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        let mut receiving = store.begin_receiving_snapshot().await.unwrap();
        receiving.write_all(&damaged).await.unwrap();
        receiving.flush().await.unwrap();
        let refused = store.install_snapshot(&snapshot.meta, receiving).await;
        assert!(refused.unwrap_err().to_string().contains("damaged"));
        assert_applied(&store, 20);
        assert!(
            store.get_current_snapshot().await.unwrap().is_some(),
            "the one before"
        );
    });
}

/// A node that ended after a snapshot had come, and before its state was replaced.
#[test]
fn a_snapshot_that_is_newer_than_the_state_counts() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    block_on(async {
        let mut ahead = open(one.path()).unwrap();
        ahead.apply((0..=20).map(numbered)).await.unwrap();
        ahead.build_snapshot().await.unwrap();
        drop(open(other.path()).unwrap());
        let state = other.path().join("state");
        fs::copy(
            one.path().join("state/current.snap"),
            state.join("current.snap"),
        )
        .unwrap();
        fs::write(state.join("unfinished-3"), b"half").unwrap();
        let store = open(other.path()).unwrap();
        assert_applied(&store, 20);
        assert!(!state.join("unfinished-3").exists());
    });
}

#[test]
fn the_store_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let state = folder.path().join("state");
    let other = KvStore::open(&state, &identity(2), Limits::default());
    assert!(matches!(other, Err(StoreError::Foreign)));
    let mut limits = Limits::default();
    limits.leases += 1;
    let other = KvStore::open(&state, &identity(1), limits);
    assert!(matches!(other, Err(StoreError::Limits { found }) if *found == Limits::default()));
    drop(open(folder.path()).unwrap());
}
