//! What a session makes of the frames that come. Each is checked against what its sender may do at that moment; whoever does
//! something else is told so, and the session ends.

use bytes::Buf;

use super::ending::go_away_frame;
use super::{
    BACKLOG_MAX, CALLS_MAX, Event, INLINE_BYTES_MAX, PONGS_MAX, Phase, Request, Served, Session,
    error_frame,
};
use crate::layers::msg::error::{RpcError, Status, code, text_of};
use crate::layers::msg::ext::Ext;
use crate::layers::msg::flow::{BODY_WINDOW, Intake};
use crate::layers::msg::frame::{Frame, Kind};
use crate::layers::msg::hello::{Hello, Mismatch};
use crate::time::Time;
use std::time::Duration;

/// What the other side did wrong.
type Breach = &'static str;

impl Session {
    /// Bytes came from the stream.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        self.latest = self.latest.max(now);
        if self.is_closed() {
            return;
        }
        self.parser.push(bytes);
        self.process();
    }

    /// Handles frames that are complete, as long as there is room for answers.
    pub(super) fn process(&mut self) {
        self.is_held_up = false;
        while !self.is_closed() {
            if self.waiting.len() >= BACKLOG_MAX {
                self.is_held_up = true;
                return;
            }
            let frame = match self.parser.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => return self.breach(&error.to_string()),
            };
            if let Err(breach) = self.handle_frame(frame) {
                return self.breach(breach);
            }
        }
    }

    /// The other side broke the protocol: it is told, and the session ends.
    fn breach(&mut self, what: &str) {
        self.end(&RpcError::Protocol(what.to_owned()), what);
    }

    fn end(&mut self, error: &RpcError, text: &str) {
        self.fail(error);
        self.wait(&go_away_frame(self.last_peer_id, text));
    }

    fn handle_frame(&mut self, frame: Frame) -> Result<(), Breach> {
        if matches!(self.phase, Phase::Greeting) != (frame.kind == Kind::Hello) {
            return Err("HELLO is the first frame, and no other");
        }
        if frame.kind != Kind::Hello {
            // Who is not accepted yet moves no clock.
            self.hear(&frame.ext)?;
        }
        let has_body = matches!(frame.kind, Kind::Request | Kind::Response | Kind::Oneway);
        if has_body && frame.payload.len() > INLINE_BYTES_MAX {
            return Err("more in the first frame of a body than may stand there");
        }
        match frame.kind {
            Kind::Hello => self.on_hello(frame),
            Kind::Request => return self.on_request(frame),
            Kind::Response => return self.on_response(frame),
            Kind::Error => return self.on_error(&frame),
            Kind::Cancel => return self.on_cancel(frame.id),
            Kind::Oneway => {
                let Frame {
                    method,
                    ext,
                    payload: body,
                    ..
                } = frame;
                self.events.push_back(Event::Oneway { method, ext, body });
            }
            Kind::Ping => self.on_ping(frame),
            Kind::Pong => self.on_pong(frame),
            Kind::GoAway => return self.on_go_away(frame),
            Kind::Chunk => return self.on_chunk(frame),
            Kind::End => return self.on_end(frame.id),
            Kind::Credit => return self.on_credit(frame),
        }
        Ok(())
    }

    /// Moves our clock by the stamp of a frame.
    fn hear(&self, ext: &Ext) -> Result<(), Breach> {
        match (&self.clock, ext.lamport) {
            (Some(clock), Some(stamp)) => clock
                .merge_recv(stamp)
                .map(drop)
                .map_err(|_| "an absurd stamp"),
            _ => Ok(()),
        }
    }

    fn on_hello(&mut self, frame: Frame) {
        let Some(theirs) = Hello::decode(frame.payload) else {
            return self.end(
                &RpcError::WrongPeer(Mismatch::Protocol),
                "no HELLO of this protocol",
            );
        };
        if let Err(mismatch) = self.hello.accepts(&theirs) {
            let text = format!("refused: the other side {mismatch}");
            return self.end(&RpcError::WrongPeer(mismatch), &text);
        }
        self.phase = Phase::Open;
        self.parser.set_max(self.hello.max_frame);
        self.events.push_back(Event::Ready(theirs));
    }

    fn on_request(&mut self, frame: Frame) -> Result<(), Breach> {
        if self.is_ours(frame.id) || frame.id <= self.last_peer_id {
            return Err("a REQUEST with a number that is not the next");
        }
        self.last_peer_id = frame.id;
        let refusal = if self.is_leaving {
            Some((code::GOING_AWAY, "no further calls are taken"))
        } else if self.served.len() >= CALLS_MAX {
            Some((code::OVERLOADED, "too many calls at once"))
        } else if frame.ext.deadline_ms == Some(0) {
            Some((code::DEADLINE, "the deadline has passed"))
        } else {
            None
        };
        if let Some((code, text)) = refusal {
            self.wait(&error_frame(frame.id, &Status::refused(code, text)));
            return Ok(());
        }
        let time = frame
            .ext
            .deadline_ms
            .map(|ms| Duration::from_millis(u64::from(ms)));
        let call = Served {
            deadline: time.map(|time| self.latest + time),
            intake: frame.more.then(|| Intake::new(BODY_WINDOW)),
            is_cancelled: false,
            has_answer: false,
        };
        self.served.insert(frame.id, call);
        let Frame {
            id,
            method,
            ext,
            payload: body,
            more,
            ..
        } = frame;
        let request = Request {
            id,
            method,
            ext,
            body,
            more,
        };
        self.events.push_back(Event::Request(request));
        Ok(())
    }

    fn on_response(&mut self, frame: Frame) -> Result<(), Breach> {
        let Some(call) = self.calls.get_mut(&frame.id) else {
            return self.check_known(frame.id);
        };
        if !call.is_sent || std::mem::replace(&mut call.has_answer, true) {
            return Err("a RESPONSE to nothing, or the second");
        }
        let Frame {
            id,
            ext,
            payload: body,
            more,
            ..
        } = frame;
        if more {
            call.intake = Some(Intake::new(BODY_WINDOW));
        } else {
            self.forget_call(id);
        }
        self.events.push_back(Event::Response {
            id,
            ext,
            body,
            more,
        });
        Ok(())
    }

    fn on_error(&mut self, frame: &Frame) -> Result<(), Breach> {
        let id = frame.id;
        let Some(call) = self.calls.get(&id) else {
            return self.check_known(id);
        };
        if !call.is_sent {
            return Err("an ERROR to nothing");
        }
        self.forget_call(id);
        let status = Status {
            code: frame.method,
            text: text_of(&frame.payload),
            refused: frame.refused,
        };
        let error = RpcError::Remote(status);
        self.events.push_back(Event::Failed { id, error });
        Ok(())
    }

    /// A call of this side is over; the rest of its body is not sent.
    fn forget_call(&mut self, id: u64) {
        self.calls.remove(&id);
        self.outbox.close(id);
        self.grants.remove(&id);
    }

    fn on_cancel(&mut self, id: u64) -> Result<(), Breach> {
        if self.is_ours(id) {
            return Err("a CANCEL of a call of the other side");
        }
        let Some(call) = self.served.get_mut(&id) else {
            // Its answer is on its way; the rest of it need not follow.
            self.outbox.close(id);
            return self.check_known(id);
        };
        call.intake = None;
        call.deadline = None;
        self.outbox.close(id);
        self.grants.remove(&id);
        if !std::mem::replace(&mut call.is_cancelled, true) {
            self.events.push_back(Event::Cancelled { id });
        }
        Ok(())
    }

    fn on_ping(&mut self, frame: Frame) {
        let pongs = self
            .waiting
            .iter()
            .filter(|waiting| waiting.kind == Kind::Pong)
            .count();
        if pongs < PONGS_MAX && frame.payload.len() <= 16 {
            self.wait(&Frame::new(Kind::Pong, 0).with_payload(frame.payload));
        }
    }

    fn on_pong(&mut self, mut frame: Frame) {
        let nonce = frame.payload.try_get_u64().ok();
        let at = self.pings.iter().position(|(sent, _)| Some(*sent) == nonce);
        if let Some((_, sent)) = at.and_then(|at| self.pings.remove(at)) {
            let rtt = self.latest - sent;
            self.events.push_back(Event::Pong { rtt });
        }
    }

    fn on_go_away(&mut self, mut frame: Frame) -> Result<(), Breach> {
        let last_id = frame
            .payload
            .try_get_u64()
            .map_err(|_| "a GOAWAY that is too short")?;
        let text = text_of(&frame.payload);
        // What was begun after the last one that the other side took was not executed, and will not be.
        let refused = self.calls.keys().filter(|id| **id > last_id);
        for id in refused.copied().collect::<Vec<_>>() {
            self.waiting.retain(|waiting| waiting.id != id);
            self.forget_call(id);
            let error = RpcError::Closed(text.clone());
            self.events.push_back(Event::Failed { id, error });
        }
        if self.peer_leaves.is_none() {
            self.events.push_back(Event::GoAway { text: text.clone() });
            self.peer_leaves = Some(text);
        }
        Ok(())
    }

    // --- bodies -----------------------------------------------------------------------------------

    fn on_chunk(&mut self, frame: Frame) -> Result<(), Breach> {
        let Frame {
            id, payload: data, ..
        } = frame;
        if !self.intake.take(data.len()) {
            return Err("more of all bodies than the connection's window allows");
        }
        match self.intake_of(id).map(|intake| intake.take(data.len())) {
            Some(true) => self.events.push_back(Event::Chunk { id, data }),
            Some(false) => return Err("more of a body than its window allows"),
            None => {
                self.check_known(id)?;
                // Of a body that nobody wants any more; its sender does not know yet.
                self.consumed(id, data.len());
            }
        }
        Ok(())
    }

    fn on_end(&mut self, id: u64) -> Result<(), Breach> {
        if self.intake_of(id).is_none() {
            return self.check_known(id);
        }
        if self.is_ours(id) {
            self.forget_call(id);
        } else if let Some(call) = self.served.get_mut(&id) {
            call.intake = None;
            self.grants.remove(&id);
        }
        self.events.push_back(Event::End { id });
        Ok(())
    }

    fn on_credit(&mut self, mut frame: Frame) -> Result<(), Breach> {
        let more = frame
            .payload
            .try_get_u32()
            .map_err(|_| "a CREDIT that is too short")?;
        self.outbox.grant(frame.id, more);
        Ok(())
    }

    /// The window of the body that the other side sends for a call, while it comes.
    pub(super) fn intake_of(&mut self, id: u64) -> Option<&mut Intake> {
        if self.is_ours(id) {
            self.calls.get_mut(&id)?.intake.as_mut()
        } else {
            self.served.get_mut(&id)?.intake.as_mut()
        }
    }

    /// A frame for a call that is over is late; one for a call that never was is a breach.
    fn check_known(&self, id: u64) -> Result<(), Breach> {
        let was = if self.is_ours(id) {
            id < self.next_id
        } else {
            id <= self.last_peer_id
        };
        if was && id > 0 {
            Ok(())
        } else {
            Err("a frame for a call that never was")
        }
    }
}
