//! Bodies in pieces: whose turn it is to send, and how much may be sent.
//!
//! Every body and the connection as a whole have a window, as the stream below has one: a body that its reader does not
//! take holds up neither the other bodies nor the small frames between them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

/// Bytes of one body that may be under way or unread; docs/LAYERS.md.
pub const BODY_WINDOW: u64 = 1 << 20;
/// The same of all bodies of one direction of a connection.
pub const CONNECTION_WINDOW: u64 = 8 << 20;
/// Bytes of a body in one frame: others need not wait for longer.
pub(super) const CHUNK_BYTES: usize = 16 << 10;
/// Bytes of a body that wait to be sent before its writer has to.
const QUEUE_BYTES: usize = 256 << 10;

/// A piece of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Chunk(Bytes),
    End,
}

/// Bodies on their way out: one piece of each in turn.
#[derive(Debug)]
pub(super) struct Outbox {
    bodies: BTreeMap<u64, Body>,
    /// Bodies that have something to send, in order; each at most once.
    turns: VecDeque<u64>,
    /// What the connection's window allows.
    credit: u64,
}

#[derive(Debug)]
struct Body {
    pieces: VecDeque<Bytes>,
    queued: usize,
    has_ended: bool,
    credit: u64,
    has_turn: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Outbox {
            bodies: BTreeMap::new(),
            turns: VecDeque::new(),
            credit: CONNECTION_WINDOW,
        }
    }

    pub(super) fn open(&mut self, id: u64) {
        let body = Body {
            pieces: VecDeque::new(),
            queued: 0,
            has_ended: false,
            credit: BODY_WINDOW,
            has_turn: false,
        };
        self.bodies.insert(id, body);
    }

    /// Takes more of a body; false if it was closed.
    pub(super) fn push(&mut self, id: u64, data: Bytes) -> bool {
        let Some(body) = self.bodies.get_mut(&id).filter(|body| !body.has_ended) else {
            return false;
        };
        if !data.is_empty() {
            body.queued += data.len();
            body.pieces.push_back(data);
            self.give_turn(id);
        }
        true
    }

    /// No more follows of a body.
    pub(super) fn end(&mut self, id: u64) {
        if let Some(body) = self.bodies.get_mut(&id) {
            body.has_ended = true;
            self.give_turn(id);
        }
    }

    /// Nobody wants the body any more.
    pub(super) fn close(&mut self, id: u64) {
        if self.bodies.remove(&id).is_some() {
            self.turns.retain(|other| *other != id);
        }
    }

    pub(super) fn clear(&mut self) {
        self.bodies.clear();
        self.turns.clear();
    }

    /// Bytes that its writer may hand over now; `None` if it is closed.
    pub(super) fn room(&self, id: u64) -> Option<usize> {
        let body = self.bodies.get(&id).filter(|body| !body.has_ended)?;
        Some(QUEUE_BYTES.saturating_sub(body.queued))
    }

    /// The peer takes more: of a body, or (0) of the connection.
    pub(super) fn grant(&mut self, id: u64, bytes: u32) {
        let bytes = u64::from(bytes);
        if id == 0 {
            self.credit = self.credit.saturating_add(bytes);
        } else if let Some(body) = self.bodies.get_mut(&id) {
            body.credit = body.credit.saturating_add(bytes);
            self.give_turn(id);
        }
    }

    fn give_turn(&mut self, id: u64) {
        if let Some(body) = self.bodies.get_mut(&id) {
            if !std::mem::replace(&mut body.has_turn, true) {
                self.turns.push_back(id);
            }
        }
    }

    /// Whether any body has something to send, its windows aside.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The next piece that may leave.
    pub(super) fn next(&mut self) -> Option<(u64, Piece)> {
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let Some(body) = self.bodies.get_mut(&id) else {
                continue;
            };
            let Some(first) = body.pieces.front_mut() else {
                if body.has_ended {
                    self.bodies.remove(&id);
                    return Some((id, Piece::End));
                }
                body.has_turn = false;
                continue;
            };
            let credit = usize::try_from(body.credit.min(self.credit)).unwrap_or(usize::MAX);
            let len = first.len().min(CHUNK_BYTES).min(credit);
            if len == 0 {
                // Its own window is shut: it gets a turn with the next credit. The connection's: it keeps its turn.
                body.has_turn = body.credit > 0;
                if body.has_turn {
                    self.turns.push_back(id);
                }
                continue;
            }
            let chunk = first.split_to(len);
            if first.is_empty() {
                body.pieces.pop_front();
            }
            body.queued -= len;
            body.credit -= len_u64(len);
            self.credit -= len_u64(len);
            self.turns.push_back(id);
            return Some((id, Piece::Chunk(chunk)));
        }
        None
    }
}

/// The receiving side of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intake {
    window: u64,
    /// What the peer may still send.
    allowed: u64,
    /// Read since the last grant.
    read: u64,
}

impl Intake {
    pub(super) fn new(window: u64) -> Self {
        Intake {
            window,
            allowed: window,
            read: 0,
        }
    }

    /// The peer sent so much; false if that is more than it may.
    pub(super) fn take(&mut self, len: usize) -> bool {
        let Some(left) = self.allowed.checked_sub(len_u64(len)) else {
            return false;
        };
        self.allowed = left;
        true
    }

    /// The application has read so much: whether that is worth a CREDIT.
    pub(super) fn read(&mut self, len: usize) -> bool {
        self.read = (self.read + len_u64(len)).min(self.window - self.allowed);
        self.read >= self.window / 4
    }

    /// A CREDIT leaves: what it grants, bytes. Not before may the peer send more: who does not listen is not read on for ever.
    pub(super) fn grant(&mut self) -> u32 {
        self.allowed += self.read;
        u32::try_from(std::mem::take(&mut self.read)).expect("a window is far below 4 GiB")
    }
}

pub(super) fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
