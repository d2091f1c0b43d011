//! Everything that can end a transfer, with the words for the user and the exit code for a script.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::Digest;
use crate::interrupt;
use crate::protocol::{FrameError, Problem};

/// Why a transfer did not happen, or not wholly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file to send cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Source { path: PathBuf, source: io::Error },
    /// A file to send has no name that can be sent.
    #[error("cannot send {}: {problem}", .path.display())]
    SourceName {
        path: PathBuf,
        problem: &'static str,
    },
    /// The receiving directory does not take files.
    #[error("cannot write into {}: {source}", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    /// A received file could not be written.
    #[error("cannot write {}: {source}; what arrived is kept", .path.display())]
    Target { path: PathBuf, source: io::Error },
    /// The disk is full.
    #[error("the disk is full: {}: {source}; what arrived is kept", .path.display())]
    DiskFull { path: PathBuf, source: io::Error },
    /// The name of the peer means nothing.
    #[error("cannot resolve {name}: {source}")]
    NotResolved { name: String, source: io::Error },
    /// Nobody answers at the address of the peer.
    #[error("nobody listens at {name}: {source}")]
    NobodyListens { name: String, source: io::Error },
    /// This side cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// The peer went away.
    #[error("the peer is gone in the middle of {doing}: {reason}")]
    PeerGone { doing: String, reason: String },
    /// What arrived is not what was sent.
    #[error("{name}: the digest does not match: sent {sent}, arrived {arrived}; nothing is kept")]
    DigestMismatch {
        name: String,
        sent: Digest,
        arrived: Digest,
    },
    /// This side refused a file.
    #[error("{text}")]
    Refused { problem: Problem, text: String },
    /// The peer reported a problem of its own.
    #[error("the peer says: {text}")]
    AtPeer { problem: Problem, text: String },
    /// The receiver was receiving the file from another sender, and did not stop.
    #[error("the peer says: {text}, still after {patience:?}; try again later")]
    StillBusy { text: String, patience: Duration },
    /// The peer speaks something else.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Anything else.
    #[error("{doing}: {source}")]
    Other {
        doing: &'static str,
        source: io::Error,
    },
}

impl Failure {
    /// The exit code of a program that ends with this; `--help` lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Other { .. } | Failure::Listen { .. } => 1,
            Failure::Source { .. } | Failure::SourceName { .. } => 3,
            Failure::Directory { .. } | Failure::Target { .. } => 4,
            Failure::DiskFull { .. } => 5,
            Failure::NotResolved { .. } => 6,
            Failure::NobodyListens { .. } => 7,
            Failure::PeerGone { .. } => 8,
            Failure::DigestMismatch { .. } => 9,
            Failure::Refused { problem, .. } | Failure::AtPeer { problem, .. } => match problem {
                Problem::NotWritable => 4,
                Problem::DiskFull => 5,
                Problem::DigestMismatch => 9,
                Problem::Protocol => 11,
                _ => 10,
            },
            Failure::StillBusy { .. } => 10,
            Failure::Protocol(_) => 11,
            Failure::Interrupted => interrupt::EXIT_CODE,
        }
    }

    /// Whether the receiver may have kept a part that a sender can go on with.
    pub(crate) fn may_resume(&self) -> bool {
        match self {
            Failure::AtPeer { problem, .. } => *problem == Problem::DiskFull,
            Failure::Interrupted | Failure::PeerGone { .. } => true,
            _ => false,
        }
    }

    /// What the peer is told about this, if it can still hear it.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Failure::Refused { problem, .. } => *problem,
            Failure::Target { .. } | Failure::Directory { .. } => Problem::NotWritable,
            Failure::DiskFull { .. } => Problem::DiskFull,
            Failure::DigestMismatch { .. } => Problem::DigestMismatch,
            Failure::Protocol(_) => Problem::Protocol,
            _ => Problem::Other,
        }
    }

    /// What a failed read or write of the stream means in the middle of `doing`.
    pub(crate) fn stream(doing: &str, error: &io::Error) -> Failure {
        Failure::PeerGone {
            doing: doing.to_owned(),
            reason: error.to_string(),
        }
    }

    /// What a frame that could not be read means in the middle of `doing`.
    pub(crate) fn frame(doing: &str, error: FrameError) -> Failure {
        match error {
            FrameError::Stream(error) => Failure::stream(doing, &error),
            FrameError::Malformed(problem) => Failure::Protocol(problem),
            ended @ FrameError::Ended => Failure::PeerGone {
                doing: doing.to_owned(),
                reason: ended.to_string(),
            },
        }
    }

    /// What a failed write to a received file means.
    pub(crate) fn writing(path: &std::path::Path, source: io::Error) -> Failure {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Failure::DiskFull { path, source },
            _ => Failure::Target { path, source },
        }
    }
}
