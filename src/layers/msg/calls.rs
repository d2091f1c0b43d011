//! [`Calls`]: a session, and what its driver keeps of it: answers as they come, bodies that somebody reads, handlers that are to
//! hear when nobody waits any more. The same for threads and for tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::error::{RpcError, Status, code};
use super::ext::Ext;
use super::hello::Hello;
use super::inflow::Inflow;
use super::session::{Event, Request, Session};
use crate::time::Time;

/// What gets the answer of a call.
pub(super) type Done = Box<dyn FnOnce(Result<Bytes, RpcError>) + Send>;

/// How a handler hears that nobody waits for its answer any more.
pub(super) trait Signal: Clone + Default {
    fn raise(&self);
}

impl Signal for Arc<AtomicBool> {
    fn raise(&self) {
        self.store(true, Ordering::Release);
    }
}

/// A session, and who waits for what.
pub(super) struct Calls<S> {
    pub(super) session: Session,
    pub(super) peer: Option<Hello>,
    pub(super) closed: Option<RpcError>,
    /// Bodies that somebody reads piece by piece.
    pub(super) inflows: BTreeMap<u64, Inflow>,
    /// Calls of this side whose answer is wanted whole.
    pub(super) answers: BTreeMap<u64, Answer>,
    /// Calls of the other side whose handlers are to hear when nobody waits any more.
    pub(super) cancels: BTreeMap<u64, S>,
}

/// The answer of a call as it comes.
pub(super) struct Answer {
    pub(super) body: BytesMut,
    pub(super) max: usize,
    pub(super) done: Done,
}

/// What is to be done once nobody holds the lock.
pub(super) enum Act<S> {
    Done(Done, Result<Bytes, RpcError>),
    Request(Request, S),
    Oneway(u16, Ext, Bytes),
}

impl<S: Signal> Calls<S> {
    pub(super) fn new(session: Session) -> Self {
        Calls {
            session,
            peer: None,
            closed: None,
            inflows: BTreeMap::new(),
            answers: BTreeMap::new(),
            cancels: BTreeMap::new(),
        }
    }

    // --- calls of this side -------------------------------------------------------------------------

    /// Calls a method; `done` gets the answer whole, of `max` bytes at most. It is given back if nothing was begun.
    pub(super) fn call(
        &mut self,
        now: Time,
        (method, ext, body): (u16, Ext, Bytes),
        (timeout, max): (Option<Duration>, usize),
        done: Done,
    ) -> Result<u64, (RpcError, Done)> {
        match self.session.call(now, method, ext, body, timeout) {
            Ok(id) => {
                let body = BytesMut::new();
                self.answers.insert(id, Answer { body, max, done });
                Ok(id)
            }
            Err(error) => Err((error, done)),
        }
    }

    /// Calls a method whose request and answer flow.
    pub(super) fn call_streaming(
        &mut self,
        now: Time,
        (method, ext): (u16, Ext),
        timeout: Option<Duration>,
    ) -> Result<u64, RpcError> {
        let id = self.session.call_streaming(now, method, ext, timeout)?;
        self.inflows.insert(id, Inflow::begun(Bytes::new()));
        Ok(id)
    }

    /// Nobody waits for the answer any more.
    #[cfg(feature = "tokio")]
    pub(super) fn forget(&mut self, id: u64) {
        self.answers.remove(&id);
        self.session.cancel(id);
    }

    // --- calls of the other side --------------------------------------------------------------------

    /// Answers a call of the other side by a failure.
    pub(super) fn refuse(&mut self, id: u64, status: &Status) {
        self.on_answered(id);
        self.session.refuse(id, status);
    }

    /// The same for a call that no handler has seen: nobody reads its body.
    pub(super) fn refuse_unread(&mut self, id: u64, status: &Status) {
        self.throw_away(id);
        self.refuse(id, status);
    }

    /// Answers a call of the other side.
    pub(super) fn respond(&mut self, id: u64, body: Bytes) {
        self.on_answered(id);
        self.session.respond(id, Ext::default(), body);
    }

    /// A call of the other side has its answer: nobody asks any more whether somebody waits, and no more of its body comes.
    pub(super) fn on_answered(&mut self, id: u64) {
        self.cancels.remove(&id);
        self.end_inflow(id, Err(cancelled()));
    }

    // --- bodies ---------------------------------------------------------------------------------------

    fn end_inflow(&mut self, id: u64, how: Result<(), RpcError>) {
        if let Some(inflow) = self.inflows.get_mut(&id) {
            inflow.end(how);
        }
    }

    /// Nobody reads the body any more: its bytes count as read. Whether it had ended; `None` if there is none.
    pub(super) fn throw_away(&mut self, id: u64) -> Option<bool> {
        let inflow = self.inflows.remove(&id)?;
        self.session.consumed(id, inflow.unread());
        Some(inflow.has_ended())
    }

    /// The reader of a body has gone. Of an answer that has not ended this cancels the call.
    pub(super) fn on_reader_gone(&mut self, id: u64, is_answer: bool) {
        let has_ended = self.throw_away(id);
        if is_answer && has_ended == Some(false) {
            self.session.cancel(id);
        }
    }

    /// The writer of a body has gone before its end: the call is given up.
    pub(super) fn on_writer_gone(&mut self, id: u64, is_answer: bool) {
        if is_answer {
            let why = "the handler gave up in the middle";
            self.refuse(id, &Status::new(code::PANICKED, why));
        } else {
            self.session.cancel(id);
            self.end_inflow(id, Err(cancelled()));
        }
    }

    // --- events -----------------------------------------------------------------------------------------

    pub(super) fn take_events(&mut self) -> Vec<Act<S>> {
        let mut acts = Vec::new();
        while let Some(event) = self.session.poll_event() {
            self.on_event(event, &mut acts);
        }
        acts
    }

    pub(super) fn on_event(&mut self, event: Event, acts: &mut Vec<Act<S>>) {
        match event {
            Event::Ready(hello) => self.peer = Some(hello),
            Event::Request(request) => {
                if request.more {
                    self.inflows
                        .insert(request.id, Inflow::begun(request.body.clone()));
                }
                let cancelled = S::default();
                self.cancels.insert(request.id, cancelled.clone());
                acts.push(Act::Request(request, cancelled));
            }
            Event::Oneway { method, ext, body } => acts.push(Act::Oneway(method, ext, body)),
            Event::Response { id, body, more, .. } => self.on_response(id, body, more, acts),
            Event::Chunk { id, data } => self.on_chunk(id, data, acts),
            Event::End { id } => {
                if let Some(answer) = self.answers.remove(&id) {
                    let whole = within(answer.body.freeze(), answer.max);
                    acts.push(Act::Done(answer.done, whole));
                } else {
                    self.end_inflow(id, Ok(()));
                }
            }
            Event::Failed { id, error } => {
                if let Some(answer) = self.answers.remove(&id) {
                    acts.push(Act::Done(answer.done, Err(error)));
                } else {
                    self.end_inflow(id, Err(error));
                }
            }
            Event::Cancelled { id } => {
                if let Some(signal) = self.cancels.get(&id) {
                    signal.raise();
                }
                self.end_inflow(id, Err(cancelled()));
            }
            Event::Closed(error) => self.closed = Some(error),
            Event::Pong { .. } | Event::GoAway { .. } => {}
        }
    }

    fn on_response(&mut self, id: u64, body: Bytes, more: bool, acts: &mut Vec<Act<S>>) {
        if let Some(inflow) = self.inflows.get_mut(&id) {
            inflow.push_inline(body);
            if !more {
                inflow.end(Ok(()));
            }
        } else if more {
            // The first frame of a long answer has a part of it, too.
            if let Some(answer) = self.answers.get_mut(&id) {
                answer.body.extend_from_slice(&body);
            }
        } else if let Some(answer) = self.answers.remove(&id) {
            acts.push(Act::Done(answer.done, within(body, answer.max)));
        }
    }

    fn on_chunk(&mut self, id: u64, data: Bytes, acts: &mut Vec<Act<S>>) {
        if let Some(inflow) = self.inflows.get_mut(&id) {
            return inflow.push(data);
        }
        self.session.consumed(id, data.len());
        let Some(answer) = self.answers.get_mut(&id) else {
            return;
        };
        answer.body.extend_from_slice(&data);
        if answer.body.len() > answer.max {
            let max = answer.max;
            self.session.cancel(id);
            if let Some(answer) = self.answers.remove(&id) {
                acts.push(Act::Done(answer.done, Err(too_large(max))));
            }
        }
    }
}

fn cancelled() -> RpcError {
    RpcError::Cancelled {
        maybe_executed: true,
    }
}

fn within(body: Bytes, max: usize) -> Result<Bytes, RpcError> {
    if body.len() > max {
        Err(too_large(max))
    } else {
        Ok(body)
    }
}

fn too_large(max: usize) -> RpcError {
    let maybe_executed = true;
    RpcError::TooLarge {
        max,
        maybe_executed,
    }
}

#[cfg(test)]
mod tests;
