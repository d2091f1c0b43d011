//! The receiving directory: which names may enter it, and how a file gets into place.
//!
//! A file arrives as `NAME.part`. Only when its digest is right it becomes `NAME`, in one step, so
//! nobody ever sees half a file under that name. No name that a sender gives can leave the directory.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::{Digest, Hasher};
use crate::failure::Failure;
use crate::protocol::{NAME_MAX, Problem};

const PROBE: &str = ".file_transfer.probe";

/// A name of a file in this directory and no other: one component, of nothing that is special.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileName(String);

impl FileName {
    /// Takes `name` as it is, or not at all; a name is never changed into another one.
    ///
    /// # Errors
    ///
    /// What is wrong with it. The rules are the same on every system, so that a name that one
    /// receiver takes is taken by all.
    pub(crate) fn parse(name: &str) -> Result<FileName, &'static str> {
        if name.is_empty() {
            return Err("the name is empty");
        }
        if name.len() > NAME_MAX {
            return Err("the name is too long");
        }
        if name == "." || name == ".." {
            return Err("the name means a directory");
        }
        if name.contains(['/', '\\', ':']) {
            return Err("the name has a separator of directories or drives");
        }
        if name.chars().any(char::is_control) {
            return Err("the name has control characters");
        }
        if name.ends_with([' ', '.']) || is_device(name) {
            return Err("the name means something else on some systems");
        }
        Ok(FileName(name.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether Windows would open a device under this name, with any extension.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or(name)
        .trim_end()
        .to_ascii_uppercase();
    let numbered = |prefix| {
        let digit = stem.strip_prefix(prefix).map(str::as_bytes);
        matches!(digit, Some([b'0'..=b'9']))
    };
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// A directory that takes files, for any number of senders at once.
pub(crate) struct Inbox {
    directory: PathBuf,
    overwrite: bool,
    busy: Mutex<BTreeSet<String>>,
}

impl Inbox {
    /// Opens `directory`, and makes sure now that files can be made in it.
    ///
    /// # Errors
    ///
    /// `Directory`, if it is missing, no directory, or not writable.
    pub(crate) fn open(directory: PathBuf, overwrite: bool) -> Result<Arc<Inbox>, Failure> {
        let probe = directory.join(format!("{PROBE}.{}", std::process::id()));
        let made = File::create(&probe).and_then(|_| fs::remove_file(&probe));
        match made {
            Ok(()) => Ok(Arc::new(Inbox {
                directory,
                overwrite,
                busy: Mutex::default(),
            })),
            Err(source) => Err(Failure::Directory {
                path: directory,
                source,
            }),
        }
    }

    /// Reserves `name` for one transfer.
    ///
    /// # Errors
    ///
    /// `Refused`, if the name is bad, the file exists, or somebody else is sending it.
    pub(crate) fn claim(self: &Arc<Self>, name: &str) -> Result<Claim, Failure> {
        let refused = |problem, text| Err(Failure::Refused { problem, text });
        let name = match FileName::parse(name) {
            Ok(name) => name,
            Err(problem) => {
                return refused(Problem::BadName, format!("{name:?} is refused: {problem}"));
            }
        };
        if !self.busy().insert(name.0.clone()) {
            let text = format!("{} is being received from another sender", name.0);
            return refused(Problem::Busy, text);
        }
        let claim = Claim {
            target: self.directory.join(&name.0),
            part: self.directory.join(format!("{}.part", name.0)),
            name,
            inbox: Arc::clone(self),
        };
        if !self.overwrite && claim.target.symlink_metadata().is_ok() {
            let text = format!(
                "{} exists already; the receiver's --force overwrites",
                claim.name.0
            );
            return refused(Problem::Exists, text);
        }
        Ok(claim)
    }

    /// The set has no state in between, so a panic elsewhere does not matter.
    fn busy(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to receive one file, until dropped.
pub(crate) struct Claim {
    inbox: Arc<Inbox>,
    name: FileName,
    target: PathBuf,
    part: PathBuf,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inbox.busy().remove(&self.name.0);
    }
}

impl Claim {
    /// The name of the file.
    pub(crate) fn name(&self) -> &FileName {
        &self.name
    }

    /// Opens `NAME.part`: what an earlier transfer left of at most `size` bytes if `resume`, else an
    /// empty one.
    ///
    /// # Errors
    ///
    /// `Target`, if it cannot be opened, or is there but no plain file.
    pub(crate) fn open_part(&self, resume: bool, size: u64) -> Result<Part, Failure> {
        let part = self.try_open_part(resume, size);
        part.map_err(|source| Failure::writing(&self.part, source))
    }

    fn try_open_part(&self, resume: bool, size: u64) -> io::Result<Part> {
        let old = match self.part.symlink_metadata() {
            // A link could lead out of the directory.
            Ok(metadata) if !metadata.is_file() => return Err(io::ErrorKind::AlreadyExists.into()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
        let keep = resume && old <= size;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(!keep);
        let mut part = Part {
            file: options.open(&self.part)?,
            hasher: Hasher::default(),
            length: 0,
        };
        if keep {
            part.hasher.update_from(&mut part.file, old)?;
            part.length = old;
        }
        Ok(part)
    }

    /// Makes `part` the file: to the disk, then in place, then the directory to the disk.
    ///
    /// # Errors
    ///
    /// `Refused` if a file of that name appeared meanwhile, `Target` or `DiskFull` otherwise.
    pub(crate) fn commit(self, part: Part) -> Result<(), Failure> {
        let placed = part.file.sync_all().and_then(|()| {
            drop(part);
            self.place()
        });
        placed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                let text = format!("{} appeared while it was received", self.name.0);
                Failure::Refused {
                    problem: Problem::Exists,
                    text,
                }
            }
            _ => Failure::writing(&self.target, source),
        })
    }

    fn place(&self) -> io::Result<()> {
        if self.inbox.overwrite {
            fs::rename(&self.part, &self.target)?;
        } else {
            self.place_without_overwriting()?;
        }
        sync_directory(&self.inbox.directory)
    }

    /// A link fails if the name is taken, which a rename does not. Where the file system has no
    /// links, the check and the rename are two steps.
    fn place_without_overwriting(&self) -> io::Result<()> {
        match fs::hard_link(&self.part, &self.target) {
            Ok(()) => fs::remove_file(&self.part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if self.target.symlink_metadata().is_ok() => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Err(_) => fs::rename(&self.part, &self.target),
        }
    }

    /// Removes a part whose content is known to be wrong.
    pub(crate) fn discard(self, part: Part) {
        drop(part);
        if let Err(error) = fs::remove_file(&self.part) {
            eprintln!("cannot remove {}: {error}", self.part.display());
        }
    }

    /// The path of the part, for messages.
    pub(crate) fn part_path(&self) -> &Path {
        &self.part
    }
}

/// `NAME.part` while it grows.
pub(crate) struct Part {
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Part {
    /// Bytes that are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The digest of what is there.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.digest()
    }

    /// Forgets what is there.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = Hasher::default();
        self.length = 0;
        Ok(())
    }

    /// Appends `bytes`.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// A new name is safe from a power failure only when its directory is on the disk.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(inbox: &Arc<Inbox>, name: &str, content: &[u8]) -> Result<(), Failure> {
        let claim = inbox.claim(name)?;
        let size = u64::try_from(content.len()).unwrap();
        let mut part = claim.open_part(false, size)?;
        part.append(content).unwrap();
        claim.commit(part)
    }

    #[test]
    fn no_name_leaves_the_directory_or_means_anything_but_a_plain_file() {
        let bad = [
            "",
            ".",
            "..",
            "/",
            "/etc/passwd",
            "../up",
            "a/b",
            "a\\b",
            "..\\up",
            "C:",
            "C:evil",
            "C:\\evil",
            "stream:hidden",
            "nul\0byte",
            "bell\x07",
            "line\nbreak",
            "dot.",
            "space ",
            "NUL",
            "con.txt",
            "Com1",
            "lpt9.log",
        ];
        for name in bad {
            assert!(FileName::parse(name).is_err(), "{name:?}");
        }
        assert!(FileName::parse(&"n".repeat(NAME_MAX + 1)).is_err());
        let long = "n".repeat(NAME_MAX);
        for name in [
            "a",
            ".hidden",
            "...x",
            "größe.txt",
            "two words",
            "console",
            "COM10",
            &long,
        ] {
            assert_eq!(FileName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_file_is_overwritten_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let careful = Inbox::open(directory.path().into(), false).unwrap();
        receive(&careful, "a", b"first").unwrap();
        let error = receive(&careful, "a", b"second").unwrap_err();
        assert!(matches!(
            error,
            Failure::Refused {
                problem: Problem::Exists,
                ..
            }
        ));
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"first");
        let forceful = Inbox::open(directory.path().into(), true).unwrap();
        receive(&forceful, "a", b"second").unwrap();
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"second");
        assert!(!directory.path().join("a.part").exists());
    }

    #[test]
    fn a_file_that_appears_during_the_transfer_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(directory.path().into(), false).unwrap();
        let claim = inbox.claim("a").unwrap();
        let part = claim.open_part(false, 0).unwrap();
        fs::write(directory.path().join("a"), "somebody else's").unwrap();
        let error = claim.commit(part).unwrap_err();
        assert!(matches!(
            error,
            Failure::Refused {
                problem: Problem::Exists,
                ..
            }
        ));
        assert_eq!(
            fs::read(directory.path().join("a")).unwrap(),
            b"somebody else's"
        );
    }

    #[test]
    fn one_name_has_one_sender_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(directory.path().into(), false).unwrap();
        let claim = inbox.claim("a").unwrap();
        let Err(error) = inbox.claim("a") else {
            panic!("claimed twice")
        };
        assert!(matches!(
            error,
            Failure::Refused {
                problem: Problem::Busy,
                ..
            }
        ));
        drop(claim);
        inbox.claim("a").unwrap();
    }

    #[test]
    fn only_a_wanted_part_that_is_not_too_long_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(directory.path().into(), false).unwrap();
        let claim = inbox.claim("a").unwrap();
        for (resume, size, kept) in [(true, 4, 4), (true, 9, 4), (true, 3, 0), (false, 9, 0)] {
            fs::write(directory.path().join("a.part"), "abcd").unwrap();
            assert_eq!(claim.open_part(resume, size).unwrap().length(), kept);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_part_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, directory.path().join("a.part")).unwrap();
        let inbox = Inbox::open(directory.path().into(), true).unwrap();
        assert!(inbox.claim("a").unwrap().open_part(false, 9).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }
}
