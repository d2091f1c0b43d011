//! The snapshot files of a node: one that counts, and those that are being written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

const CURRENT: &str = "current.snap";
const UNFINISHED: &str = "unfinished-";

/// A folder with snapshots.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    next: AtomicU64,
    /// The index of the snapshot that counts: an older one, built meanwhile, does not take its place.
    published: Mutex<u64>,
}

impl Files {
    /// Opens the folder, and removes what was not finished when the node ended.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(UNFINISHED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Files {
            folder: folder.to_owned(),
            next: AtomicU64::new(0),
            published: Mutex::new(0),
        })
    }

    /// A new file, empty, that does not count yet.
    pub(super) fn begin(&self) -> io::Result<(PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{UNFINISHED}{number}"));
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        Ok((path, file))
    }

    /// A file for what comes from another node. It has no name where the system allows that, and so is gone with its handle.
    pub(super) fn receive(&self) -> io::Result<File> {
        let (path, file) = self.begin()?;
        if cfg!(unix) {
            fs::remove_file(path)?;
        }
        Ok(file)
    }

    /// From now on this file, of this index, counts: it is on the disk whole, or the one before is.
    pub(super) fn publish(&self, path: &Path, file: &File, index: u64) -> io::Result<()> {
        file.sync_all()?;
        let mut published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if index < *published {
            return fs::remove_file(path);
        }
        fs::rename(path, self.folder.join(CURRENT))?;
        *published = index;
        if cfg!(unix) {
            // The name is on the disk too.
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    /// The snapshot that counts.
    pub(super) fn current(&self) -> io::Result<Option<File>> {
        match File::open(self.folder.join(CURRENT)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
