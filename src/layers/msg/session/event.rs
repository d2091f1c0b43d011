//! What a session is told at its beginning, and what it tells.

use std::time::Duration;

use bytes::Bytes;

use crate::layers::msg::error::RpcError;
use crate::layers::msg::ext::Ext;
use crate::layers::msg::hello::Hello;

/// Which side opened the stream. Calls of the one have odd numbers, those of the other even ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It connected.
    Connector,
    /// It accepted.
    Acceptor,
}

/// A call of the other side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Names it until it is answered.
    pub id: u64,
    /// Which method.
    pub method: u16,
    /// What stands beside the body.
    pub ext: Ext,
    /// The body, or its beginning.
    pub body: Bytes,
    /// The body goes on, in [`Event::Chunk`], up to [`Event::End`].
    pub more: bool,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The other side has said who it is, and is the one wanted: calls flow.
    Ready(Hello),
    /// A call of the other side; to be answered by [`Session::respond`](super::Session::respond) or [`Session::refuse`](super::Session::refuse), cancelled or not.
    Request(Request),
    /// The answer to a call of this side.
    Response {
        /// The call.
        id: u64,
        /// What stands beside the body.
        ext: Ext,
        /// The body, or its beginning.
        body: Bytes,
        /// The body goes on.
        more: bool,
    },
    /// More of a body: of a call's request, or of an answer. [`Session::consumed`](super::Session::consumed) must be told of every byte once it is read
    /// or thrown away.
    Chunk {
        /// The call.
        id: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The body is complete.
    End {
        /// The call.
        id: u64,
    },
    /// A call of this side has failed.
    Failed {
        /// The call.
        id: u64,
        /// How, and whether it may have been executed.
        error: RpcError,
    },
    /// The other side does not want the answer to its call any more, or its deadline has passed.
    Cancelled {
        /// The call.
        id: u64,
    },
    /// A message that nobody answers.
    Oneway {
        /// Which method.
        method: u16,
        /// What stands beside the body.
        ext: Ext,
        /// The body.
        body: Bytes,
    },
    /// The answer to a ping of this side.
    Pong {
        /// The round trip, through both programs.
        rtt: Duration,
    },
    /// The other side takes no further calls.
    GoAway {
        /// Why.
        text: String,
    },
    /// The session has ended; the stream is to be closed when the last frames are written.
    Closed(RpcError),
}
