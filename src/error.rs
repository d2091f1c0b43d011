//! Why a connection ended: the one thing that several modules must agree on.
//!
//! Errors of a single operation live beside the function that returns them.

use std::io;
use std::time::Duration;

/// The code in a RST packet (docs/WIRE.md, "Reset codes").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ResetCode(u16);

impl ResetCode {
    /// The application aborted, or closed with a linger time of 0.
    pub const ABORTED: ResetCode = ResetCode(0);
    /// Nobody listens here.
    pub const REFUSED: ResetCode = ResetCode(1);
    /// Closed while received data was unread.
    pub const UNREAD: ResetCode = ResetCode(2);
    /// The peer broke this protocol.
    pub const PROTOCOL: ResetCode = ResetCode(3);
    /// A critical option is unknown, or the peer takes no datagrams of 1,200 bytes.
    pub const UNSUPPORTED: ResetCode = ResetCode(4);
    /// Over a limit.
    pub const RESOURCES: ResetCode = ResetCode(5);
    /// The user timeout of the peer ran out.
    pub const TIMED_OUT: ResetCode = ResetCode(6);
    /// A plain SYN reached a secure listener.
    pub const MODE: ResetCode = ResetCode(7);
    /// The first code that belongs to applications.
    pub const APPLICATION: u16 = 256;

    /// The code with this number.
    pub const fn new(code: u16) -> Self {
        ResetCode(code)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The code that an application may send: its own, or `ABORTED` for one that is the protocol's.
    pub const fn from_application(code: u16) -> Self {
        if code >= Self::APPLICATION {
            ResetCode(code)
        } else {
            ResetCode::ABORTED
        }
    }
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// It acknowledged packets that were never sent, more often than a stray packet explains.
    #[error("it acknowledged packets that were never sent")]
    AcknowledgedUnsent,
    /// It sent two different final sizes, or data beyond the final size.
    #[error("it changed the final size of its stream")]
    FinalSize,
}

/// Why a connection ended other than by an orderly close.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// Nobody listens at the address, said by the peer or by its host.
    #[error("refused the connection: nobody listens there")]
    Refused,
    /// The peer speaks no version, or lacks a feature, that this side needs.
    #[error("does not support this connection (reset code {})", .0.get())]
    Unsupported(ResetCode),
    /// The peer speaks none of our versions of the protocol.
    #[error("speaks none of the protocol versions that this side speaks")]
    Version,
    /// No answer while connecting.
    #[error(
        "did not answer {attempts} SYNs in {after:?}; is the address right, and UDP let through?"
    )]
    ConnectTimedOut {
        /// SYNs sent.
        attempts: u32,
        /// How long this side tried.
        after: Duration,
    },
    /// The peer stopped acknowledging.
    #[error("acknowledged nothing for {after:?} (the user timeout)")]
    TimedOut {
        /// How long the oldest byte waited.
        after: Duration,
    },
    /// Keep-alive probes stayed unanswered.
    #[error("did not answer {probes} keep-alive probes")]
    KeepAlive {
        /// Probes sent.
        probes: u32,
    },
    /// Nothing was heard for the agreed idle time.
    #[error("was silent for {after:?} (the idle timeout)")]
    Idle {
        /// The agreed idle time.
        after: Duration,
    },
    /// The peer reset the connection.
    #[error("reset the connection (code {})", .0.get())]
    Reset(ResetCode),
    /// The peer had finished sending, and has now closed its reading side too.
    #[error("has closed the connection and reads no more")]
    ReadSideGone,
    /// Both sides have finished in order: the peer's host has everything, but no report of what its
    /// application reads can come any more.
    #[error("has closed its side too, and will not say what its application read")]
    Ended,
    /// The peer no longer knows the connection: it restarted.
    #[error("no longer knows this connection: it was restarted, or gave it up")]
    Forgotten,
    /// The peer's host says that its port is closed: its process is gone.
    #[error("is gone: its host reports the port closed")]
    Gone,
    /// The peer broke the protocol; this side reset the connection.
    #[error("broke the protocol: {0}")]
    Protocol(#[from] PeerFault),
    /// This side aborted.
    #[error("was left: this side aborted the connection (code {})", .0.get())]
    Aborted(ResetCode),
    /// This side was over a limit.
    #[error("was dropped: this side is over a limit ({0})")]
    Resources(&'static str),
    /// The thread that serves the socket has ended.
    #[error("cannot be reached: the thread that serves this socket has ended")]
    LoopEnded,
}

impl CloseReason {
    /// The kind that `std::net::TcpStream` would report.
    pub fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind::*;
        match self {
            Self::Refused | Self::Unsupported(_) => ConnectionRefused,
            Self::Version => Unsupported,
            Self::ConnectTimedOut { .. }
            | Self::TimedOut { .. }
            | Self::KeepAlive { .. }
            | Self::Idle { .. } => TimedOut,
            Self::Reset(_) | Self::Forgotten | Self::Gone | Self::Protocol(_) => ConnectionReset,
            Self::ReadSideGone => BrokenPipe,
            Self::Ended => NotConnected,
            Self::Aborted(_) | Self::Resources(_) => ConnectionAborted,
            Self::LoopEnded => Other,
        }
    }
}
