//! What went wrong with a stream, for people and for programs.

use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::connection::{ReadError, WriteError};
use crate::error::CloseReason;
use crate::runtime::Blocked;

/// Why an operation on a stream failed: the source of the `io::Error` that it returned.
///
/// ```
/// use aqueduct::{Stream, StreamError};
/// use std::net::UdpSocket;
///
/// // A port that was free a moment ago, so that nobody listens there.
/// let free = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
/// let error = Stream::connect(free).expect_err("nobody listens");
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
/// let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<StreamError>());
/// assert!(cause.expect("typed").to_string().contains(&free.to_string()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The connection could not be opened, or ended before its time.
    #[error("peer {peer} {reason}")]
    Failed {
        /// The peer.
        peer: SocketAddr,
        /// What happened.
        reason: CloseReason,
    },
    /// A write after the end: this side shut its writing down, or the connection is over.
    #[error("the stream to {peer} takes no more data: it was shut down, or has ended")]
    WriteClosed {
        /// The peer.
        peer: SocketAddr,
    },
    /// The connection is over: there is no peer any more.
    #[error("the stream to {peer} is not connected any more")]
    NotConnected {
        /// The peer that it had.
        peer: SocketAddr,
    },
    /// What was written was not delivered in the given time.
    #[error("peer {peer} has not confirmed everything in time; it may still do so")]
    Undelivered {
        /// The peer.
        peer: SocketAddr,
    },
}

impl StreamError {
    /// The kind that `std::net::TcpStream` would report.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            StreamError::Failed { reason, .. } => reason.kind(),
            StreamError::WriteClosed { .. } => io::ErrorKind::BrokenPipe,
            StreamError::NotConnected { .. } => io::ErrorKind::NotConnected,
            StreamError::Undelivered { .. } => io::ErrorKind::TimedOut,
        }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

/// The error of a connection that ended.
pub(super) fn failed(peer: SocketAddr, reason: CloseReason) -> io::Error {
    StreamError::Failed { peer, reason }.into()
}

/// The error of a value that no connection takes, with the reason as its source.
pub(super) fn invalid(error: ConfigError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// The error of a read. `Blocked` becomes `WouldBlock`.
pub(super) fn of_read(peer: SocketAddr, error: ReadError) -> io::Error {
    match error {
        ReadError::Blocked => io::ErrorKind::WouldBlock.into(),
        ReadError::Failed(reason) => failed(peer, reason),
    }
}

/// The error of a write. `Blocked` becomes `WouldBlock`.
pub(super) fn of_write(peer: SocketAddr, error: WriteError) -> io::Error {
    match error {
        WriteError::Blocked => io::ErrorKind::WouldBlock.into(),
        WriteError::Closed => StreamError::WriteClosed { peer }.into(),
        WriteError::Failed(reason) => failed(peer, reason),
    }
}

/// The error of an operation that did not end: the kinds that the platform's TCP reports.
pub(super) fn of_blocked(peer: SocketAddr, blocked: Blocked) -> io::Error {
    match blocked {
        Blocked::TimedOut if cfg!(windows) => io::ErrorKind::TimedOut.into(),
        Blocked::Nonblocking | Blocked::TimedOut => io::ErrorKind::WouldBlock.into(),
        Blocked::LoopEnded => failed(peer, CloseReason::LoopEnded),
    }
}
