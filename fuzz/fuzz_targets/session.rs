//! One side of calls (`aqueduct::msg::Session`): frames that are right and frames that are not, in any order with what a program does.

#![no_main]

use std::collections::BTreeSet;
use std::time::Duration;

use aqueduct::msg::{
    CALLS_MAX, EXT_BYTES_MAX, Event, Ext, FRAME_BYTES_MIN, Frame, HEAD_BYTES, Hello, Kind, Parser,
    Role, Session, Status,
};
use aqueduct::time::Time;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    /// Whatever comes.
    Bytes(Vec<u8>),
    /// A frame whose form is right.
    Frame(Form),
    Call { len: u32, timeout: Option<u8> },
    Stream,
    Cancel(u8),
    Respond { id: u8, len: u32 },
    RespondInPieces(u8),
    Refuse(u8),
    Push { id: u8, len: u16 },
    End(u8),
    Notify(u16),
    Ping,
    GoAway,
    Wait(u8),
    Write(u8),
    Lost,
}

#[derive(Arbitrary, Debug)]
struct Form {
    kind: u8,
    method: u16,
    id: u8,
    more: bool,
    refused: bool,
    ext: bool,
    len: u16,
    number: u64,
}

#[derive(Arbitrary, Debug)]
struct Input {
    accepts: bool,
    greets: bool,
    ops: Vec<Op>,
}

fuzz_target!(|input: Input| {
    let role = if input.accepts { Role::Acceptor } else { Role::Connector };
    let mut side = Side::new(role);
    if input.greets {
        side.greet();
    }
    for op in &input.ops {
        side.act(op);
        side.check();
    }
    side.session.handle_lost("the end");
    side.check();
    assert!(side.running.is_empty(), "every call has an end");
    assert!(side.session.is_closed() && side.session.calls() == 0);
});

/// The session, and what a program knows of it.
struct Side {
    session: Session,
    now: Time,
    /// Calls of this side that have no end yet.
    running: BTreeSet<u64>,
    /// What it says must be frames.
    said: Parser,
    pushed: usize,
    is_over: bool,
}

fn body(len: usize) -> bytes::Bytes {
    vec![7; len % 200_000].into()
}

impl Side {
    fn new(role: Role) -> Self {
        let hello = Hello {
            max_frame: FRAME_BYTES_MIN,
            ..Hello::default()
        };
        Side {
            session: Session::new(role, hello).with_greeting_by(Time::from_millis(500)),
            now: Time::from_millis(1),
            running: BTreeSet::new(),
            said: Parser::new(1 << 20),
            pushed: 0,
            is_over: false,
        }
    }

    /// The other side says who it is, as another session would.
    fn greet(&mut self) {
        let mut peer = Session::new(Role::Connector, Hello::default());
        let hello = peer.poll_output().expect("HELLO is first");
        self.hear(&hello);
        self.check();
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.session.wants_input() {
            self.pushed = bytes.len();
            self.session.handle_bytes(self.now, bytes);
        }
    }

    fn act(&mut self, op: &Op) {
        let (now, ext) = (self.now, Ext::default());
        match op {
            Op::Bytes(bytes) => self.hear(bytes),
            Op::Frame(form) => self.hear(&encoded(form)),
            Op::Call { len, timeout } => {
                let timeout = timeout.map(|ms| Duration::from_millis(ms.into()));
                let call = self.session.call(now, 1, ext, body(*len as usize), timeout);
                self.running.extend(call.ok());
            }
            Op::Stream => {
                let call = self.session.call_streaming(now, 1, ext, None);
                self.running.extend(call.ok());
            }
            Op::Cancel(id) => {
                let was_running = self.session.cancel((*id).into()).is_some();
                assert!(self.running.remove(&(*id).into()) || !was_running);
            }
            Op::Respond { id, len } => {
                self.session.respond((*id).into(), ext, body(*len as usize));
            }
            Op::RespondInPieces(id) => drop(self.session.respond_streaming((*id).into(), ext)),
            Op::Refuse(id) => drop(self.session.refuse((*id).into(), &Status::new(300, "no"))),
            Op::Push { id, len } => {
                let id = (*id).into();
                if self.session.body_room(id).is_some_and(|room| room > 0) {
                    self.session.push_body(id, body((*len).into()));
                }
            }
            Op::End(id) => self.session.end_body((*id).into()),
            Op::Notify(len) => drop(self.session.notify(1, ext, body((*len).into()))),
            Op::Ping => self.session.ping(now),
            Op::GoAway => self.session.go_away("leaving"),
            Op::Wait(ms) => {
                self.now += Duration::from_millis((*ms).into());
                self.session.handle_timeout(self.now);
            }
            Op::Write(count) => (0..*count).for_each(|_| self.write()),
            Op::Lost => self.session.handle_lost("cut"),
        }
    }

    fn write(&mut self) {
        let has_output = self.session.has_output();
        if let Some(bytes) = self.session.poll_output() {
            assert!(has_output, "it said that it had nothing to say");
            self.said.push(&bytes);
            let frame = self.said.next().expect("well-formed");
            assert!(frame.is_some() && self.said.held() == 0, "one frame, whole");
        }
    }

    fn check(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert!(!self.is_over, "something after the end: {event:?}");
            match event {
                Event::Response { id, more, .. } => {
                    assert!(self.running.contains(&id));
                    if !more {
                        self.running.remove(&id);
                    }
                }
                Event::Failed { id, .. } => assert!(self.running.remove(&id), "fails once"),
                Event::End { id } => drop(self.running.remove(&id)),
                Event::Chunk { id, data } => self.session.consumed(id, data.len()),
                Event::Closed(_) => self.is_over = true,
                _ => {}
            }
        }
        assert_eq!(self.session.calls(), self.running.len());
        assert!(self.session.calls() <= CALLS_MAX && self.session.served() <= CALLS_MAX);
        let frame = HEAD_BYTES + 2 + EXT_BYTES_MAX + FRAME_BYTES_MIN as usize;
        assert!(self.session.held() <= frame + self.pushed);
        assert!(self.session.poll_timeout().is_none_or(|at| at > self.now || !self.is_over));
    }
}

fn encoded(form: &Form) -> bytes::Bytes {
    let kind = Kind::ALL[usize::from(form.kind) % Kind::ALL.len()];
    let mut payload = form.number.to_be_bytes().to_vec();
    payload.resize(usize::from(form.len), 3);
    let mut frame = Frame::new(kind, form.id.into()).with_payload(payload.into());
    (frame.method, frame.more, frame.refused) = (form.method, form.more, form.refused);
    if form.ext {
        frame.ext.deadline_ms = u32::try_from(form.number % 1_000).ok();
        frame.ext.lamport = Some(form.number);
    }
    frame.encode()
}
