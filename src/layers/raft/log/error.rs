//! Why a log does not open.

use std::fmt;
use std::io;

use bytes::Bytes;

/// Where in a log something is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Place {
    /// The entry with this index.
    Entry(u64),
    /// What is kept under this name beside the entries: `vote`, `committed`, `purged`, `node`, `cluster`, `format`.
    Meta(&'static str),
    /// The file's own structure, where no entry can be named.
    File,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Entry(index) => write!(f, "entry {index}"),
            Place::Meta(name) => write!(f, "the record `{name}`"),
            Place::File => f.write_str("the file"),
        }
    }
}

/// Why a log does not open. Nothing was changed on the disk, except that a file may have been created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Something is damaged that may have been acknowledged to others. It is neither repaired nor cut off: a node that forgets what it
    /// has acknowledged breaks the promise of its whole cluster. Take the node out of the membership, delete its data, and let it join
    /// as a learner under a new id.
    #[error("the log is damaged in {at}: {what}; this node must not start with it")]
    Corrupt {
        /// Where.
        at: Place,
        /// What is wrong with it.
        what: String,
    },
    /// The file belongs to another cluster.
    #[error("the log belongs to cluster {got:x}, wanted is {want:x}")]
    WrongCluster {
        /// The file's.
        got: u128,
        /// The caller's.
        want: u128,
    },
    /// The file belongs to another node.
    #[error("the log belongs to node {got:?}, wanted is {want:?}")]
    WrongNode {
        /// The file's.
        got: Bytes,
        /// The caller's.
        want: Bytes,
    },
    /// Another version of this library wrote it.
    #[error("the log has format {got}, this library knows {want}")]
    Format {
        /// The file's.
        got: u16,
        /// Ours.
        want: u16,
    },
    /// Somebody has it open.
    #[error("the log is open already")]
    InUse,
    /// The disk, or the operating system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Corrupt { .. } | OpenError::Format { .. } => io::ErrorKind::InvalidData,
            OpenError::WrongCluster { .. } | OpenError::WrongNode { .. } => {
                io::ErrorKind::InvalidInput
            }
            OpenError::InUse => io::ErrorKind::ResourceBusy,
            OpenError::Io(error) => error.kind(),
        };
        io::Error::new(kind, error)
    }
}
