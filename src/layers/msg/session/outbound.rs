//! What a session sends, one frame at a time.

use bytes::Bytes;

use super::{Phase, Session, Waiting};
use crate::layers::msg::flow::{Intake, Piece};
use crate::layers::msg::frame::{Frame, Kind};

impl Session {
    /// The next frame to write, whole. HELLO comes first; nothing else leaves before the other side has said who it is.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_greeted, true) {
            return Some(
                Frame::new(Kind::Hello, 0)
                    .with_payload(self.hello.encode())
                    .encode(),
            );
        }
        if matches!(self.phase, Phase::Greeting) {
            return None;
        }
        if let Some(credit) = self.next_credit() {
            return Some(credit.encode());
        }
        if let Some(waiting) = self.waiting.pop_front() {
            if waiting.kind == Kind::Request {
                if let Some(call) = self.calls.get_mut(&waiting.id) {
                    call.is_sent = true;
                }
            }
            // What was not read while too much waited is read now.
            if self.is_held_up {
                self.process();
            }
            return Some(waiting.bytes);
        }
        let (id, piece) = self.outbox.next()?;
        let frame = match piece {
            Piece::Chunk(data) => Frame::new(Kind::Chunk, id).with_payload(data),
            Piece::End => Frame::new(Kind::End, id),
        };
        Some(frame.encode())
    }

    /// The next window that is moved.
    fn next_credit(&mut self) -> Option<Frame> {
        while let Some(id) = self.grants.pop_first() {
            let intake = if id == 0 {
                Some(&mut self.intake)
            } else {
                self.intake_of(id)
            };
            // None: its body has ended meanwhile.
            if let Some(more) = intake.map(Intake::grant) {
                let payload = Bytes::copy_from_slice(&more.to_be_bytes());
                return Some(Frame::new(Kind::Credit, id).with_payload(payload));
            }
        }
        None
    }

    /// Whether [`Session::poll_output`] may have a frame: cheap, and sometimes wrong the one way only.
    pub fn has_output(&self) -> bool {
        !self.has_greeted
            || !self.waiting.is_empty()
            || !self.grants.is_empty()
            || self.outbox.has_turns()
    }

    pub(super) fn wait(&mut self, frame: &Frame) {
        self.waiting.push_back(Waiting {
            bytes: frame.encode(),
            kind: frame.kind,
            id: frame.id,
        });
    }

    /// Gives a call of this side up: whether it may have been executed; `None` if there is none.
    pub(super) fn abandon(&mut self, id: u64) -> Option<bool> {
        let call = self.calls.remove(&id)?;
        self.outbox.close(id);
        self.grants.remove(&id);
        if call.is_sent {
            self.wait(&Frame::new(Kind::Cancel, id));
        } else {
            self.waiting.retain(|waiting| waiting.id != id);
        }
        Some(call.is_sent)
    }
}
