//! A disk in memory that does what disks do when nobody looks: it forgets what was not synced, tears writes, flips bits, runs full,
//! and fails.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::support::random::Random;

/// What one write of the hardware keeps whole.
const SECTOR: usize = 512;

/// A handle: clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Image>>);

#[derive(Debug, Default)]
struct Image {
    /// What a reader sees.
    now: Vec<u8>,
    /// What has survived whatever comes.
    durable: Vec<u8>,
    /// What happened since the last sync.
    unsynced: Vec<Change>,
    syncs: usize,
    faults: Faults,
}

/// What goes wrong from now on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Syncs say that they succeeded, and keep nothing.
    pub(crate) syncs_are_lost: bool,
    /// Syncs fail.
    pub(crate) syncs_fail: bool,
    /// The disk has this many bytes.
    pub(crate) capacity: Option<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Len(len) => bytes.resize(*len, 0),
            Change::Write(at, data) => {
                let end = at + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(data);
            }
        }
    }

    /// As much of it as reaches the disk when the power goes.
    fn torn(&self, random: &mut Random) -> Change {
        match self {
            Change::Len(len) => Change::Len(*len),
            Change::Write(at, data) => {
                let sectors = data.len().div_ceil(SECTOR);
                let kept = random.below(sectors + 1) * SECTOR;
                Change::Write(*at, data[..kept.min(data.len())].to_vec())
            }
        }
    }
}

impl FaultyDisk {
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.lock().unwrap().faults = faults;
    }

    /// Syncs that were asked for.
    pub(crate) fn syncs(&self) -> usize {
        self.0.lock().unwrap().syncs
    }

    /// The disk after the power went: what was synced, and of the rest a part, each write whole, torn or not at all. A disk with no
    /// faults.
    pub(crate) fn crashed(&self, random: &mut Random) -> FaultyDisk {
        let image = self.0.lock().unwrap();
        let mut bytes = image.durable.clone();
        for change in &image.unsynced {
            match random.below(3) {
                0 => {}
                1 => change.torn(random).apply(&mut bytes),
                _ => change.apply(&mut bytes),
            }
        }
        FaultyDisk::holding(bytes)
    }

    /// A copy of what is on the disk.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().now.clone()
    }

    pub(crate) fn holding(bytes: Vec<u8>) -> FaultyDisk {
        FaultyDisk(Arc::new(Mutex::new(Image {
            now: bytes.clone(),
            durable: bytes,
            ..Image::default()
        })))
    }
}

impl Image {
    fn change(&mut self, change: Change) -> io::Result<()> {
        let end = match &change {
            Change::Len(len) => *len,
            Change::Write(at, data) => at + data.len(),
        };
        if self.faults.capacity.is_some_and(|capacity| end > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut self.now);
        self.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.0.lock().unwrap().now.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let image = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let found = image.now.get(at..at + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.0.lock().unwrap().change(Change::Len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut image = self.0.lock().unwrap();
        image.syncs += 1;
        if image.faults.syncs_fail {
            return Err(io::Error::other("the disk does not answer"));
        }
        if !image.faults.syncs_are_lost {
            let changes = std::mem::take(&mut image.unsynced);
            for change in changes {
                change.apply(&mut image.durable);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let change = Change::Write(at, data.to_vec());
        self.0.lock().unwrap().change(change)
    }
}
