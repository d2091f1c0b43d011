//! R14: what the log does when the disk fails. Nothing that was acknowledged may be lost, and what is damaged is not taken for whole.

use aqueduct::raft::{LogConfig, OpenError, Place, RedbLog};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::log_id;
use openraft::{RaftLogReader, StorageError, Vote};

use crate::faulty_disk::{Faults, FaultyDisk};
use crate::store::{assert_entries, content, entry};
use crate::support::random::Random;
use crate::{Types, block_on, identity};

fn open(disk: &FaultyDisk) -> Result<RedbLog<Types>, OpenError> {
    let config = LogConfig { thread: false };
    RedbLog::open_backend(disk.clone(), Some(disk.clone()), &identity(1), &config)
}

/// What a log should hold.
#[derive(Clone, Copy, Debug, Default)]
struct Model {
    term: u64,
    purged: u64,
    next: u64,
}

impl Model {
    /// Does something to the log; afterwards the log has answered for all of it.
    async fn step(&mut self, log: &mut RedbLog<Types>, random: &mut Random) {
        match random.below(8) {
            0 => {
                self.term += 1;
                log.save_vote(&Vote::new(self.term, 1)).await.unwrap();
            }
            1 if self.next > self.purged + 5 => {
                self.next -= 3;
                log.truncate(log_id(1, 1, self.next)).await.unwrap();
            }
            2 if self.next > self.purged + 20 => {
                self.purged += 10;
                log.purge(log_id(1, 1, self.purged - 1)).await.unwrap();
            }
            _ => {
                let count = 1 + u64::try_from(random.below(12)).unwrap();
                let entries = (self.next..self.next + count).map(entry);
                log.blocking_append(entries).await.unwrap();
                self.next += count;
            }
        }
    }

    /// The log holds this. A purge may be forgotten: it frees room, and promises nothing.
    async fn assert_held(self, log: &mut RedbLog<Types>) {
        let vote = log.read_vote().await.unwrap();
        assert_eq!(vote.unwrap_or_default().leader_id().term, self.term);
        let state = log.get_log_state().await.unwrap();
        let first = state.last_purged_log_id.map_or(0, |id| id.index + 1);
        assert!(first <= self.purged, "{first} to {self:?}");
        assert_eq!(state.last_log_id.map_or(0, |id| id.index + 1), self.next);
        let found = log.try_get_log_entries(..).await.unwrap();
        assert_entries(&found, first, self.next);
    }
}

#[test]
fn r14_torn_writes_lose_nothing_that_was_acknowledged() {
    for seed in 0..60 {
        block_on(async {
            let mut random = Random::new(seed);
            let (mut disk, mut model) = (FaultyDisk::default(), Model::default());
            for _ in 0..4 {
                let mut log = open(&disk).unwrap();
                for _ in 0..random.below(30) {
                    model.step(&mut log, &mut random).await;
                }
                // The power goes in the midst of the next write, of which nobody has been told.
                let mut dying = model;
                let before = disk.crashed(&mut random);
                dying.step(&mut log, &mut random).await;
                let power_goes_between = random.happens(0.5);
                let after = disk.crashed(&mut random);
                (disk, model) = if power_goes_between {
                    (before, model)
                } else {
                    (after, dying)
                };
                drop(log);
                model.purged = reopened(&disk, model).await;
            }
        });
    }
}

/// Opens the disk and looks whether the model's content is there. How much of it is purged.
async fn reopened(disk: &FaultyDisk, model: Model) -> u64 {
    let mut log = open(disk).unwrap();
    model.assert_held(&mut log).await;
    let state = log.get_log_state().await.unwrap();
    state.last_purged_log_id.map_or(0, |id| id.index + 1)
}

#[test]
fn r14_a_vote_that_was_answered_survives_a_crash_right_after() {
    for seed in 0..50 {
        block_on(async {
            let mut random = Random::new(seed);
            let disk = FaultyDisk::default();
            let mut log = open(&disk).unwrap();
            log.blocking_append((0..5).map(entry)).await.unwrap();
            for term in 1..5 {
                log.save_vote(&Vote::new(term, seed)).await.unwrap();
                let crashed = disk.crashed(&mut random);
                let vote = open(&crashed).unwrap().read_vote().await.unwrap();
                assert_eq!(vote, Some(Vote::new(term, seed)));
            }
        });
    }
}

/// A disk on which a log was closed, and one on which it was not.
fn disks_with_a_log() -> [FaultyDisk; 2] {
    block_on(async {
        let closed = FaultyDisk::default();
        let mut log = open(&closed).unwrap();
        log.save_vote(&Vote::new(3, 1)).await.unwrap();
        log.blocking_append((0..200).map(entry)).await.unwrap();
        log.save_committed(Some(log_id(1, 1, 199))).await.unwrap();
        log.blocking_append((200..210).map(entry)).await.unwrap();
        let crashed = FaultyDisk::holding(closed.bytes());
        drop(log);
        [closed, crashed]
    })
}

fn flipped(disk: &FaultyDisk, at: usize, bit: usize) -> FaultyDisk {
    let mut bytes = disk.bytes();
    bytes[at] ^= 1 << bit;
    FaultyDisk::holding(bytes)
}

#[test]
fn r14_a_bit_flip_in_a_committed_entry_refuses_to_start_and_says_where() {
    let [closed, crashed] = disks_with_a_log();
    for index in [0, 7, 150, 199, 209] {
        for disk in [&closed, &crashed] {
            let bytes = disk.bytes();
            let wanted = content(index);
            let places: Vec<_> = (0..bytes.len() - wanted.len())
                .filter(|at| bytes[*at..].starts_with(wanted.as_bytes()))
                .collect();
            assert!(!places.is_empty(), "entry {index} lies on the disk");
            // Copies that older commits have left behind are damaged, too.
            let mut bytes = bytes;
            for at in places {
                bytes[at + 9] ^= 0x10;
            }
            let error = open(&FaultyDisk::holding(bytes)).expect_err("it is damaged");
            println!("{error}");
            let OpenError::Corrupt { at, .. } = error else {
                panic!("{error:?}");
            };
            // What needs a repair first cannot be looked into.
            let expected = [Place::Entry(index), Place::File];
            assert!(expected.contains(&at), "{at:?}");
            if std::ptr::eq(disk, &closed) {
                assert_eq!(at, Place::Entry(index));
            }
        }
    }
}

#[test]
fn r14_no_flipped_bit_anywhere_is_taken_for_content() {
    let disks = disks_with_a_log();
    let mut random = Random::new(14);
    let (mut refused, mut harmless) = (0, 0);
    for _ in 0..400 {
        let disk = &disks[random.below(2)];
        let bytes = disk.bytes();
        let damaged = flipped(disk, random.below(bytes.len()), random.below(8));
        block_on(async {
            match open(&damaged) {
                Err(_) => refused += 1,
                Ok(mut log) => {
                    harmless += 1;
                    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(3, 1)));
                    let committed = log.read_committed().await.unwrap();
                    assert_eq!(committed, Some(log_id(1, 1, 199)));
                    assert_entries(&log.try_get_log_entries(..).await.unwrap(), 0, 210);
                }
            }
        });
    }
    println!("{refused} refused, {harmless} without effect: free pages");
    assert!(refused > 20, "the content is a good part of the file");
}

#[test]
fn r14_an_fsync_error_stops_the_node_for_good() {
    block_on(async {
        let disk = FaultyDisk::default();
        let mut log = open(&disk).unwrap();
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
        log.blocking_append((0..10).map(entry)).await.unwrap();
        disk.set_faults(Faults {
            syncs_fail: true,
            ..Faults::default()
        });
        log.blocking_append([entry(10)]).await.unwrap_err();
        // That the next sync would succeed does not help: what the failed one has left is not known.
        disk.set_faults(Faults::default());
        let syncs = disk.syncs();
        assert_stopped(&mut log).await;
        assert_eq!(disk.syncs(), syncs, "it was not tried again");
        drop(log);

        let mut log = open(&disk.crashed(&mut Random::new(1))).unwrap();
        assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(1, 1)));
        let found = log.try_get_log_entries(..10).await.unwrap();
        assert_entries(&found, 0, 10);
    });
}

/// Every operation fails, and says why.
async fn assert_stopped(log: &mut RedbLog<Types>) {
    let errors: [Result<(), StorageError<u64>>; 8] = [
        log.blocking_append([entry(10)]).await,
        log.save_vote(&Vote::new(9, 1)).await,
        log.truncate(log_id(1, 1, 5)).await,
        log.purge(log_id(1, 1, 5)).await,
        log.save_committed(None).await,
        log.read_vote().await.map(drop),
        log.get_log_state().await.map(drop),
        log.try_get_log_entries(..).await.map(drop),
    ];
    for error in errors {
        error.expect_err("the log has failed");
    }
    assert!(log.failure().is_some());
}

#[test]
fn r14_a_full_disk_stops_the_node_and_loses_nothing() {
    block_on(async {
        let disk = FaultyDisk::default();
        let mut log = open(&disk).unwrap();
        log.blocking_append((0..10).map(entry)).await.unwrap();
        let capacity = Some(disk.bytes().len() + 300_000);
        disk.set_faults(Faults {
            capacity,
            ..Faults::default()
        });
        let mut next = 10;
        let error = loop {
            let entries = (next..next + 500).map(entry);
            match log.blocking_append(entries).await {
                Ok(()) => next += 500,
                Err(error) => break error,
            }
        };
        println!("full after {next} entries: {error}");
        assert_stopped(&mut log).await;
        drop(log);

        let mut log = open(&disk.crashed(&mut Random::new(2))).unwrap();
        let found = log.try_get_log_entries(..).await.unwrap();
        assert_entries(&found, 0, next);
        log.blocking_append([entry(next)]).await.unwrap();
    });
}

/// No software helps against a disk that says it has written and has not. What is left is an older state, or a refusal, but never a
/// mixture.
#[test]
fn r14_a_disk_that_lies_about_syncs_gives_an_older_state_or_none() {
    let (mut older, mut refused) = (0, 0);
    for seed in 0..60 {
        block_on(async {
            let mut random = Random::new(seed);
            let disk = FaultyDisk::default();
            let mut log = open(&disk).unwrap();
            log.blocking_append((0..50).map(entry)).await.unwrap();
            disk.set_faults(Faults {
                syncs_are_lost: true,
                ..Faults::default()
            });
            for index in 50..60 {
                log.blocking_append([entry(index)]).await.unwrap();
            }
            match open(&disk.crashed(&mut random)) {
                Err(error) => {
                    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
                    refused += 1;
                }
                Ok(mut log) => {
                    let found = log.try_get_log_entries(..).await.unwrap();
                    let count = u64::try_from(found.len()).unwrap();
                    assert!((50..=60).contains(&count), "{count} entries");
                    assert_entries(&found, 0, count);
                    older += 1;
                }
            }
        });
    }
    println!("{older} older, {refused} refused");
}
