//! [`Session`]: calls over one stream, without I/O.
//!
//! ```text
//! bytes from the stream -> handle_bytes          call, respond, cancel, consumed, ...  <- the program
//!                               |                        |
//!                               v                        v
//!          poll_output: one frame            poll_event            poll_timeout
//! ```
//!
//! After every input a driver takes all events, then writes frames one by one, asking for the next only when there is room for
//! it: so what is urgent is decided as late as can be. Small frames go before pieces of bodies, and bodies take turns.
//! While [`Session::wants_input`] says no, the driver reads nothing: a peer that asks and takes no answers is held up by its own
//! stream.

mod ending;
mod event;
mod inbound;
mod outbound;
mod serving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::{RpcError, Status};
use super::ext::Ext;
use super::flow::{CONNECTION_WINDOW, Intake, Outbox};
use super::frame::{Frame, Kind, Parser};
use super::hello::{HELLO_BYTES_MAX, Hello};
use crate::layers::clock::Lamport;
use crate::time::Time;

pub use event::{Event, Request, Role};

/// Calls of one direction that wait for their answers, or whose handlers run.
pub const CALLS_MAX: usize = 256;
/// Bytes of a body that stand in the first frame; a longer one follows in pieces. Also the most that a one-way message has.
pub const INLINE_BYTES_MAX: usize = 64 << 10;
/// Small frames that wait to be sent before nothing is read any more.
const BACKLOG_MAX: usize = 1_024;
/// Answers to pings that wait to be sent; further pings are not answered.
const PONGS_MAX: usize = 8;
/// Pings whose answers are awaited.
const PINGS_MAX: usize = 8;

/// A call of this side.
#[derive(Debug)]
struct Call {
    /// Something of it has been handed to the stream.
    is_sent: bool,
    deadline: Option<Time>,
    /// The window of the answer's body, while it comes.
    intake: Option<Intake>,
    /// The answer has begun.
    has_answer: bool,
}

/// A call of the other side, until its handler is done.
#[derive(Debug)]
struct Served {
    deadline: Option<Time>,
    /// The window of the request's body, while it comes.
    intake: Option<Intake>,
    is_cancelled: bool,
    /// The answer has begun.
    has_answer: bool,
}

/// A small frame that waits to be sent.
#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    kind: Kind,
    id: u64,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was heard of the other side.
    Greeting,
    Open,
    Closed(RpcError),
}

/// Calls in both directions over one stream.
///
/// After every input a driver takes all events, then writes frames one by one, asking for the next only when there is room for
/// it, and reads nothing while [`Session::wants_input`] says no.
///
/// ```
/// use aqueduct::msg::{Ext, Event, Hello, Role, Session};
/// use aqueduct::time::Time;
///
/// let now = Time::from_millis(1);
/// let mut client = Session::new(Role::Connector, Hello::default());
/// let mut server = Session::new(Role::Acceptor, Hello::default());
/// let call = client.call(now, 7, Ext::default(), "question".into(), None)?;
///
/// // What a stream does.
/// let mut answer = None;
/// while answer.is_none() {
///     while let Some(bytes) = client.poll_output() {
///         server.handle_bytes(now, &bytes);
///     }
///     while let Some(event) = server.poll_event() {
///         if let Event::Request(request) = event {
///             assert_eq!((request.method, &request.body[..]), (7, &b"question"[..]));
///             server.respond(request.id, Ext::default(), "answer".into());
///         }
///     }
///     while let Some(bytes) = server.poll_output() {
///         client.handle_bytes(now, &bytes);
///     }
///     while let Some(event) = client.poll_event() {
///         if let Event::Response { id, body, .. } = event {
///             assert_eq!(id, call);
///             answer = Some(body);
///         }
///     }
/// }
/// assert_eq!(answer.as_deref(), Some(&b"answer"[..]));
/// # Ok::<(), aqueduct::msg::RpcError>(())
/// ```
#[derive(Debug)]
pub struct Session {
    role: Role,
    hello: Hello,
    /// Our HELLO has left.
    has_greeted: bool,
    phase: Phase,
    latest: Time,
    parser: Parser,
    waiting: VecDeque<Waiting>,
    /// Bytes that came were not looked at, because too much waits.
    is_held_up: bool,
    outbox: Outbox,
    /// Windows to be moved: of a body, or (0) of the connection.
    grants: BTreeSet<u64>,
    intake: Intake,
    calls: BTreeMap<u64, Call>,
    served: BTreeMap<u64, Served>,
    next_id: u64,
    last_peer_id: u64,
    events: VecDeque<Event>,
    /// We take no further calls.
    is_leaving: bool,
    /// The other side takes none.
    peer_leaves: Option<String>,
    pings: VecDeque<(u64, Time)>,
    next_nonce: u64,
    clock: Option<Arc<Lamport>>,
    /// The other side must have said who it is by then.
    greet_by: Option<Time>,
}

impl Session {
    /// A session that says `hello` of this side.
    ///
    /// # Panics
    /// If the values of `hello` are not within their bounds ([`Hello::is_valid`]).
    pub fn new(role: Role, hello: Hello) -> Self {
        assert!(hello.is_valid(), "a HELLO with values out of range");
        Session {
            role,
            parser: Parser::new(HELLO_BYTES_MAX),
            hello,
            has_greeted: false,
            phase: Phase::Greeting,
            latest: Time::ZERO,
            waiting: VecDeque::new(),
            is_held_up: false,
            outbox: Outbox::new(),
            grants: BTreeSet::new(),
            intake: Intake::new(CONNECTION_WINDOW),
            calls: BTreeMap::new(),
            served: BTreeMap::new(),
            next_id: if role == Role::Connector { 1 } else { 2 },
            last_peer_id: 0,
            events: VecDeque::new(),
            is_leaving: false,
            peer_leaves: None,
            pings: VecDeque::new(),
            next_nonce: 1,
            clock: None,
            greet_by: None,
        }
    }

    /// Ends the session at that time, if the other side has not said who it is.
    #[must_use]
    pub fn with_greeting_by(mut self, at: Time) -> Self {
        self.greet_by = Some(at);
        self
    }

    /// Stamps every call, answer and one-way message with this Lamport clock, and moves it by those that come.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<Lamport>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        let calls = self.calls.values().filter_map(|call| call.deadline);
        let served = self.served.values().filter_map(|call| call.deadline);
        let greeting = self
            .greet_by
            .filter(|_| matches!(self.phase, Phase::Greeting));
        calls.chain(served).chain(greeting).min()
    }

    /// Deadlines have come: calls fail, handlers hear that nobody waits any more.
    pub fn handle_timeout(&mut self, now: Time) {
        self.latest = self.latest.max(now);
        let late = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        if matches!(self.phase, Phase::Greeting) && late(self.greet_by) {
            return self.fail(&RpcError::NotSent(
                "the peer did not say who it is in time".into(),
            ));
        }
        let ids = self.calls.iter().filter(|(_, call)| late(call.deadline));
        for id in ids.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(maybe_executed) = self.abandon(id) {
                let error = RpcError::Deadline { maybe_executed };
                self.events.push_back(Event::Failed { id, error });
            }
        }
        for (id, call) in &mut self.served {
            if late(call.deadline) {
                call.deadline = None;
                if !std::mem::replace(&mut call.is_cancelled, true) {
                    self.events.push_back(Event::Cancelled { id: *id });
                }
            }
        }
    }

    /// Whether the driver is to read from the stream.
    pub fn wants_input(&self) -> bool {
        self.waiting.len() < BACKLOG_MAX && !self.is_closed()
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed(_))
    }

    /// Whether the other side is known, and calls flow.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Calls of this side that wait for their answers.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Bytes of frames that are not complete.
    pub fn held(&self) -> usize {
        self.parser.held()
    }

    /// Calls of the other side whose handlers are not done.
    pub fn served(&self) -> usize {
        self.served.len()
    }

    // --- calls of this side -------------------------------------------------------------------------

    /// Calls a method; the number of the call. `timeout`: when the caller stops waiting.
    ///
    /// # Errors
    /// [`RpcError`], nothing was sent: the session has ended, the other side leaves, too many calls wait, or the extensions are
    /// too long.
    pub fn call(
        &mut self,
        now: Time,
        method: u16,
        ext: Ext,
        body: Bytes,
        timeout: Option<Duration>,
    ) -> Result<u64, RpcError> {
        let is_long = body.len() > INLINE_BYTES_MAX;
        let first = if is_long { Bytes::new() } else { body.clone() };
        let id = self.begin_call(now, method, ext, first, timeout, is_long)?;
        if is_long {
            self.outbox.push(id, body);
            self.outbox.end(id);
        }
        Ok(id)
    }

    /// As [`Session::call`], for a body that follows by [`Session::push_body`] and [`Session::end_body`].
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn call_streaming(
        &mut self,
        now: Time,
        method: u16,
        ext: Ext,
        timeout: Option<Duration>,
    ) -> Result<u64, RpcError> {
        self.begin_call(now, method, ext, Bytes::new(), timeout, true)
    }

    fn begin_call(
        &mut self,
        now: Time,
        method: u16,
        mut ext: Ext,
        body: Bytes,
        timeout: Option<Duration>,
        more: bool,
    ) -> Result<u64, RpcError> {
        self.latest = self.latest.max(now);
        self.may_send()?;
        if self.calls.len() >= CALLS_MAX {
            return Err(RpcError::Overloaded);
        }
        ext.deadline_ms = timeout.map(millis);
        self.stamp(&mut ext);
        check_ext(&ext)?;
        let id = self.next_id;
        self.next_id += 2;
        let call = Call {
            is_sent: false,
            deadline: timeout.map(|timeout| now + timeout),
            intake: None,
            has_answer: false,
        };
        self.calls.insert(id, call);
        let mut frame = Frame::new(Kind::Request, id).with_payload(body);
        (frame.method, frame.ext, frame.more) = (method, ext, more);
        self.wait(&frame);
        if more {
            self.outbox.open(id);
        }
        Ok(id)
    }

    /// Nobody wants the answer any more: whether the call may have been executed; `None` if it is over already.
    pub fn cancel(&mut self, id: u64) -> Option<bool> {
        self.abandon(id)
    }

    /// Sends a message that nobody answers.
    ///
    /// # Errors
    /// As [`Session::call`]; [`RpcError::TooLarge`] above [`INLINE_BYTES_MAX`].
    pub fn notify(&mut self, method: u16, mut ext: Ext, body: Bytes) -> Result<(), RpcError> {
        self.may_send()?;
        if body.len() > INLINE_BYTES_MAX {
            let (max, maybe_executed) = (INLINE_BYTES_MAX, false);
            return Err(RpcError::TooLarge {
                max,
                maybe_executed,
            });
        }
        if self.waiting.len() >= BACKLOG_MAX {
            return Err(RpcError::Overloaded);
        }
        self.stamp(&mut ext);
        check_ext(&ext)?;
        let mut frame = Frame::new(Kind::Oneway, 0).with_payload(body);
        (frame.method, frame.ext) = (method, ext);
        self.wait(&frame);
        Ok(())
    }

    // --- bodies ---------------------------------------------------------------------------------------

    /// More of the body of this side: of a call's request, or of an answer. False if nobody wants it any more.
    pub fn push_body(&mut self, id: u64, data: Bytes) -> bool {
        self.outbox.push(id, data)
    }

    /// The body is complete.
    pub fn end_body(&mut self, id: u64) {
        self.outbox.end(id);
        if !self.is_ours(id) {
            self.served.remove(&id);
        }
    }

    /// Bytes that a writer of the body may hand over before he should wait; `None` if nobody wants it any more.
    pub fn body_room(&self, id: u64) -> Option<usize> {
        self.outbox.room(id)
    }

    /// The program has read, or thrown away, so many bytes of [`Event::Chunk`].
    pub fn consumed(&mut self, id: u64, len: usize) {
        if self.intake.read(len) {
            self.grants.insert(0);
        }
        if self.intake_of(id).is_some_and(|intake| intake.read(len)) {
            self.grants.insert(id);
        }
    }

    // --- the connection ---------------------------------------------------------------------------------

    /// Asks the other side for a sign of life; [`Event::Pong`] follows.
    pub fn ping(&mut self, now: Time) {
        if !self.is_open() || self.pings.len() >= PINGS_MAX {
            return;
        }
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        self.pings.push_back((nonce, now));
        let payload = [nonce.to_be_bytes(), now.as_nanos().to_be_bytes()].concat();
        self.wait(&Frame::new(Kind::Ping, 0).with_payload(payload.into()));
    }

    fn stamp(&self, ext: &mut Ext) {
        if let Some(clock) = &self.clock {
            ext.lamport = Some(clock.stamp_send());
        }
    }

    /// Whether this side chose the number of the call.
    fn is_ours(&self, id: u64) -> bool {
        (id % 2 == 1) == (self.role == Role::Connector)
    }
}

fn check_ext(ext: &Ext) -> Result<(), RpcError> {
    let max = super::ext::EXT_BYTES_MAX;
    if ext.encoded_len() > max {
        let maybe_executed = false;
        return Err(RpcError::TooLarge {
            max,
            maybe_executed,
        });
    }
    Ok(())
}

/// A time as the wire has it: rounded up, for less than a millisecond is not nothing.
fn millis(time: Duration) -> u32 {
    let up = time.as_nanos().div_ceil(1_000_000);
    u32::try_from(up).unwrap_or(u32::MAX)
}

fn error_frame(id: u64, status: &Status) -> Frame {
    let text = Bytes::copy_from_slice(status.short_text().as_bytes());
    let mut frame = Frame::new(Kind::Error, id).with_payload(text);
    (frame.method, frame.refused) = (status.code, status.refused);
    frame
}
