//! The log store when nothing fails.

use std::path::Path;

use aqueduct::raft::{LogConfig, OpenError, PeerIdentity, RedbLog};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite, blank_ent, log_id};
use openraft::{Entry, EntryPayload, RaftLogReader, StorageError, Vote};
use tempfile::TempDir;

use crate::faulty_disk::FaultyDisk;
use crate::machine::Machine;
use crate::{Types, block_on, identity};

/// An entry whose content shows where it belongs.
pub(crate) fn entry(index: u64) -> Entry<Types> {
    Entry {
        log_id: log_id(1, 1, index),
        payload: EntryPayload::Normal(content(index)),
    }
}

pub(crate) fn content(index: u64) -> String {
    format!("the content of entry {index:05}, which nobody mistakes for another's")
}

/// Fails unless these are the entries of `from..to`.
#[track_caller]
pub(crate) fn assert_entries(found: &[Entry<Types>], from: u64, to: u64) {
    let indices: Vec<_> = found.iter().map(|entry| entry.log_id.index).collect();
    assert_eq!(indices, (from..to).collect::<Vec<_>>());
    for found in found {
        assert_eq!(
            found.payload,
            EntryPayload::Normal(content(found.log_id.index))
        );
    }
}

struct InFolder;

impl StoreBuilder<Types, RedbLog<Types>, Machine, TempDir> for InFolder {
    async fn build(&self) -> Result<(TempDir, RedbLog<Types>, Machine), StorageError<u64>> {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder.path().join("log.redb")).unwrap();
        Ok((folder, log, Machine::default()))
    }
}

struct InMemory(LogConfig);

impl StoreBuilder<Types, RedbLog<Types>, Machine> for InMemory {
    async fn build(&self) -> Result<((), RedbLog<Types>, Machine), StorageError<u64>> {
        let log = RedbLog::open_backend(FaultyDisk::default(), None, &identity(1), &self.0);
        Ok(((), log.unwrap(), Machine::default()))
    }
}

fn open(path: &Path) -> Result<RedbLog<Types>, OpenError> {
    RedbLog::open(path, &identity(1))
}

#[test]
fn r1_openrafts_storage_suite_passes_on_a_file() {
    Suite::test_all(InFolder).unwrap();
}

#[test]
fn r1_openrafts_storage_suite_passes_over_a_backend_with_and_without_a_thread() {
    Suite::test_all(InMemory(LogConfig { thread: true })).unwrap();
    Suite::test_all(InMemory(LogConfig { thread: false })).unwrap();
}

#[test]
fn everything_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    block_on(async {
        let mut log = open(&path).unwrap();
        log.save_vote(&Vote::new(7, 3)).await.unwrap();
        log.blocking_append((0..100).map(entry)).await.unwrap();
        log.truncate(log_id(1, 1, 90)).await.unwrap();
        log.purge(log_id(1, 1, 9)).await.unwrap();
        log.save_committed(Some(log_id(1, 1, 80))).await.unwrap();
        let reader = log.clone();
        assert!(matches!(open(&path), Err(OpenError::InUse)));
        drop(log);
        drop(reader);

        let mut log = open(&path).unwrap();
        assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(7, 3)));
        let committed = log.read_committed().await.unwrap();
        assert_eq!(committed, Some(log_id(1, 1, 80)));
        let state = log.get_log_state().await.unwrap();
        assert_eq!(state.last_purged_log_id, Some(log_id(1, 1, 9)));
        assert_eq!(state.last_log_id, Some(log_id(1, 1, 89)));
        assert_entries(&log.try_get_log_entries(..).await.unwrap(), 10, 90);
        log.blocking_append((90..95).map(entry)).await.unwrap();
        assert_entries(&log.try_get_log_entries(85..).await.unwrap(), 85, 95);
    });
}

#[test]
fn a_log_is_opened_by_its_own_node_and_cluster_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.redb");
    drop(open(&path).unwrap());
    let other = RedbLog::<Types>::open(&path, &identity(2));
    assert!(
        matches!(other, Err(OpenError::WrongNode { .. })),
        "{other:?}"
    );
    let cluster = PeerIdentity {
        cluster: 5,
        ..identity(1)
    };
    let other = RedbLog::<Types>::open(&path, &cluster);
    assert!(
        matches!(other, Err(OpenError::WrongCluster { want: 5, .. })),
        "{other:?}"
    );
    open(&path).unwrap();
}

#[test]
fn entries_are_readable_before_they_are_on_the_disk_and_long_after() {
    block_on(async {
        let disk = FaultyDisk::default();
        let config = LogConfig::default();
        let mut log = RedbLog::<Types>::open_backend(disk, None, &identity(1), &config).unwrap();
        // More than the tail keeps.
        let mut reader = log.get_log_reader().await;
        for from in (0..20_000).step_by(500) {
            log.blocking_append((from..from + 500).map(entry))
                .await
                .unwrap();
            let found = reader.try_get_log_entries(from..).await.unwrap();
            assert_entries(&found, from, from + 500);
        }
        assert_entries(&reader.try_get_log_entries(..).await.unwrap(), 0, 20_000);
        assert_entries(
            &reader.try_get_log_entries(9_000..17_000).await.unwrap(),
            9_000,
            17_000,
        );
        log.truncate(log_id(1, 1, 300)).await.unwrap();
        assert_entries(&reader.try_get_log_entries(..).await.unwrap(), 0, 300);
        let state = log.get_log_state().await.unwrap();
        assert_eq!(state.last_log_id, Some(log_id(1, 1, 299)), "from the disk");
    });
}

#[test]
fn a_read_for_a_follower_is_limited_in_bytes_but_gives_one_entry() {
    block_on(async {
        let disk = FaultyDisk::default();
        let config = LogConfig { thread: false };
        let mut log = RedbLog::<Types>::open_backend(disk, None, &identity(1), &config).unwrap();
        let large = |index| Entry::<Types> {
            log_id: log_id(1, 1, index),
            payload: EntryPayload::Normal(String::from_utf8(vec![b'x'; 600_000]).unwrap()),
        };
        log.blocking_append((0..60).map(large)).await.unwrap();
        for start in [0, 30, 59] {
            // From the disk, and from memory.
            let found = log.limited_get_log_entries(start, 60).await.unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].log_id.index, start);
        }
        assert_eq!(log.try_get_log_entries(20..60).await.unwrap().len(), 40);
    });
}

#[test]
fn what_waits_for_the_disk_is_written_in_one_go() {
    block_on(async {
        let disk = FaultyDisk::default();
        let config = LogConfig::default();
        let log = RedbLog::<Types>::open_backend(disk.clone(), None, &identity(1), &config);
        let mut log = log.unwrap();
        let before = disk.syncs();
        let mut waiting = tokio::task::JoinSet::new();
        for index in 0..2_000 {
            // The tasks of one thread begin in the order in which they were made.
            let mut log = log.clone();
            waiting.spawn(async move { log.blocking_append([entry(index)]).await });
        }
        while let Some(done) = waiting.join_next().await {
            done.unwrap().unwrap();
        }
        assert_entries(&log.try_get_log_entries(..).await.unwrap(), 0, 2_000);
        let syncs = disk.syncs() - before;
        println!("{syncs} syncs for 2,000 entries");
        // Two each, if each were written alone.
        assert!(syncs < 2_000, "{syncs} syncs");
        assert!(log.commit_p99().is_some());
    });
}

#[test]
fn entries_of_every_kind_come_back_as_they_were() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.redb");
        let text: String = (0..5_000_u32).filter_map(char::from_u32).collect();
        let mut log = open(&path).unwrap();
        let membership = openraft::testing::membership_ent::<Types>(1, 1, 1, vec![[1, 2].into()]);
        let normal = Entry::<Types> {
            log_id: log_id(2, 2, 2),
            payload: EntryPayload::Normal(text),
        };
        let written = vec![blank_ent::<Types>(1, 1, 0), membership, normal];
        log.blocking_append(written.clone()).await.unwrap();
        drop(log);
        let found = open(&path).unwrap().try_get_log_entries(..).await.unwrap();
        assert_eq!(found, written);
    });
}
