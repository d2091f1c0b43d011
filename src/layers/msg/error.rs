//! How a call fails, and whether it may have been executed all the same.

use super::hello::Mismatch;

/// Codes of a [`Status`] that the layer itself uses; the application's begin at 256.
pub mod code {
    /// Too many calls at once.
    pub const OVERLOADED: u16 = 1;
    /// No such method.
    pub const UNKNOWN_METHOD: u16 = 2;
    /// The deadline had passed before the call was begun.
    pub const DEADLINE: u16 = 3;
    /// The server ends.
    pub const GOING_AWAY: u16 = 4;
    /// The body is too long.
    pub const TOO_LARGE: u16 = 5;
    /// The idempotency key is one whose answer the client had acknowledged.
    pub const STALE: u16 = 6;
    /// The idempotency key is of a client that the server has forgotten.
    pub const SESSION_EXPIRED: u16 = 7;
    /// The handler panicked.
    pub const PANICKED: u16 = 8;
    /// The body could not be decoded.
    pub const MALFORMED: u16 = 9;
    /// The same call is being executed at this moment.
    pub const IN_PROGRESS: u16 = 10;
    /// The first code that applications use.
    pub const APPLICATION: u16 = 256;
}

/// The failure that the other side reports.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer answers with code {code}: {text}")]
pub struct Status {
    /// One of [`code`], or the application's own from 256 on.
    pub code: u16,
    /// For people.
    pub text: String,
    /// The call was refused before its handler saw it.
    pub refused: bool,
}

/// Bytes of a status' text on the wire; a longer one is cut.
pub(super) const TEXT_BYTES_MAX: usize = 1_024;

impl Status {
    /// A failure of the application's: the handler ran.
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Status {
            code,
            text: text.into(),
            refused: false,
        }
    }

    /// A refusal: nothing was executed.
    pub fn refused(code: u16, text: impl Into<String>) -> Self {
        Status {
            refused: true,
            ..Status::new(code, text)
        }
    }

    /// The text, at most so long as a frame carries it.
    pub(super) fn short_text(&self) -> &str {
        let mut end = self.text.len().min(TEXT_BYTES_MAX);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }
}

/// A text of the other side, as long as it may be.
pub(super) fn text_of(payload: &[u8]) -> String {
    let payload = &payload[..payload.len().min(TEXT_BYTES_MAX)];
    let text = Status::new(0, String::from_utf8_lossy(payload));
    // What is no UTF-8 grows when it is made readable.
    text.short_text().to_owned()
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The connection failed before anything of the call was sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The connection failed afterwards: nobody here knows whether the call was executed.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// No answer in time.
    #[error("no answer in time")]
    Deadline {
        /// Whether it may have been executed.
        maybe_executed: bool,
    },
    /// The caller cancelled it.
    #[error("cancelled")]
    Cancelled {
        /// Whether it may have been executed.
        maybe_executed: bool,
    },
    /// The other side answered with a failure.
    #[error(transparent)]
    Remote(Status),
    /// Too many calls of this side wait for answers already; nothing was sent.
    #[error("too many calls at once")]
    Overloaded,
    /// The other side is not the one wanted; nothing was executed.
    #[error("the peer {0}")]
    WrongPeer(Mismatch),
    /// The other side takes no further calls; this one was not executed.
    #[error("the peer takes no further calls: {0}")]
    Closed(String),
    /// The caller's request, or the answer, is longer than allowed.
    #[error("a body of more than {max} bytes")]
    TooLarge {
        /// The most that is allowed, bytes.
        max: usize,
        /// Whether it may have been executed: it was the answer that was too long.
        maybe_executed: bool,
    },
    /// The other side broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Protocol(String),
}

impl RpcError {
    /// Whether the call may have been executed. `false` is certain: nothing was, and nothing will be.
    pub fn maybe_executed(&self) -> bool {
        match self {
            RpcError::NotSent(_)
            | RpcError::Overloaded
            | RpcError::WrongPeer(_)
            | RpcError::Closed(_) => false,
            RpcError::Unknown(_) | RpcError::Protocol(_) => true,
            RpcError::Remote(status) => !status.refused,
            RpcError::Deadline { maybe_executed }
            | RpcError::Cancelled { maybe_executed }
            | RpcError::TooLarge { maybe_executed, .. } => *maybe_executed,
        }
    }

    /// Whether it is safe to call again without an idempotency key.
    pub fn is_retry_safe(&self) -> bool {
        !self.maybe_executed()
    }
}
