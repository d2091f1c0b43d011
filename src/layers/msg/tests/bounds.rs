//! What a peer cannot make a session do.

use super::*;

/// A server that has greeted, and a way to send it any frame.
pub(super) struct Victim(pub(super) Session);

impl Victim {
    pub(super) fn new() -> Self {
        let mut session = Session::new(Role::Acceptor, Hello::default());
        let hello = Frame::new(Kind::Hello, 0).with_payload(Hello::default().encode());
        session.handle_bytes(Time::ZERO, &hello.encode());
        output(&mut session);
        assert!(matches!(session.poll_event(), Some(Event::Ready(_))));
        Victim(session)
    }

    pub(super) fn send(&mut self, frame: &Frame) {
        self.0.handle_bytes(Time::from_millis(1), &frame.encode());
    }

    /// The breach that ended the session.
    #[track_caller]
    pub(super) fn breach(mut self) -> String {
        let events: Vec<Event> = std::iter::from_fn(|| self.0.poll_event()).collect();
        let Some(Event::Closed(RpcError::Protocol(what))) = events.last() else {
            panic!("no breach in {} events", events.len())
        };
        let mut parser = Parser::new(1 << 20);
        parser.push(&output(&mut self.0));
        let last = parser.next().expect("valid").expect("a frame");
        assert_eq!(last.kind, Kind::GoAway, "the other side is told");
        what.clone()
    }
}

#[track_caller]
pub(super) fn breach_of(frames: &[Frame]) -> String {
    let mut victim = Victim::new();
    for frame in frames {
        victim.send(frame);
    }
    victim.breach()
}

pub(super) fn long_request(id: u64) -> Frame {
    Frame {
        more: true,
        ..Frame::new(Kind::Request, id)
    }
}

#[test]
fn what_nobody_may_do_ends_the_session() {
    let frame = Frame::new;
    let cases = [
        vec![frame(Kind::Hello, 0)],
        vec![frame(Kind::Request, 2)],
        vec![frame(Kind::Request, 0)],
        vec![frame(Kind::Request, 5), frame(Kind::Request, 5)],
        vec![frame(Kind::Request, 5), frame(Kind::Request, 3)],
        vec![frame(Kind::Response, 2)],
        vec![frame(Kind::Error, 2)],
        vec![frame(Kind::Cancel, 2)],
        vec![frame(Kind::Cancel, 1)],
        vec![frame(Kind::Chunk, 1).with_payload("x".into())],
        vec![frame(Kind::End, 1)],
        vec![frame(Kind::Chunk, 0)],
        vec![frame(Kind::Credit, 0).with_payload("abc".into())],
        vec![frame(Kind::GoAway, 0)],
    ];
    for frames in cases {
        println!("{frames:?}: {}", breach_of(&frames));
    }
}

#[test]
fn a_frame_before_hello_ends_the_session() {
    let mut session = Session::new(Role::Acceptor, Hello::default());
    session.handle_bytes(Time::ZERO, &Frame::new(Kind::Ping, 0).encode());
    assert!(matches!(
        session.poll_event(),
        Some(Event::Closed(RpcError::Protocol(_)))
    ));
}

#[test]
fn more_than_a_window_ends_the_session() {
    let chunk = |id| Frame::new(Kind::Chunk, id).with_payload(vec![0; 1 << 19].into());
    let text = breach_of(&[long_request(1), chunk(1), chunk(1), chunk(1)]);
    assert_eq!(text, "more of a body than its window allows");
    let mut frames: Vec<Frame> = (0..9).map(|n| long_request(2 * n + 1)).collect();
    frames.extend((0..18).map(|n| chunk(2 * (n / 2) + 1)));
    assert_eq!(
        breach_of(&frames),
        "more of all bodies than the connection's window allows"
    );
}

#[test]
fn too_many_calls_are_refused_and_cost_little() {
    let mut victim = Victim::new();
    for id in 0..10_000_u64 {
        victim.send(&Frame::new(Kind::Request, 2 * id + 1).with_payload("call".into()));
    }
    assert_eq!(victim.0.served(), CALLS_MAX);
    // Refusals wait to be sent, and as long as nobody takes them nothing more is read.
    assert!(!victim.0.wants_input());
    let mut parser = Parser::new(1 << 20);
    let mut refused = 0;
    while let Some(bytes) = victim.0.poll_output() {
        parser.push(&bytes);
        while let Some(frame) = parser.next().expect("valid") {
            let overloaded =
                (frame.kind, frame.refused, frame.method) == (Kind::Error, true, code::OVERLOADED);
            assert!(overloaded, "{frame:?}");
            refused += 1;
        }
    }
    assert_eq!(refused, 10_000 - CALLS_MAX);
    assert!(victim.0.wants_input());
}

#[test]
fn cancelled_calls_count_until_their_handlers_are_done() {
    let mut victim = Victim::new();
    for id in 0..1_000_u64 {
        victim.send(&Frame::new(Kind::Request, 2 * id + 1));
        if id < 256 {
            victim.send(&Frame::new(Kind::Cancel, 2 * id + 1));
        }
    }
    assert_eq!(victim.0.served(), CALLS_MAX);
    assert!(!victim.0.respond(1, Ext::default(), Bytes::new()));
    assert_eq!(victim.0.served(), CALLS_MAX - 1);
}

#[test]
fn a_flood_of_pings_draws_few_pongs() {
    let mut victim = Victim::new();
    for _ in 0..100_000 {
        victim.send(&Frame::new(Kind::Ping, 0).with_payload(vec![1; 16].into()));
    }
    assert!(output(&mut victim.0).len() <= 8 * 32);
}

#[test]
fn this_side_makes_no_more_calls_than_allowed() {
    let mut pair = Pair::open();
    for _ in 0..CALLS_MAX {
        pair.call(Bytes::new());
    }
    let error = pair
        .client
        .call(pair.now, 1, Ext::default(), Bytes::new(), None);
    assert_eq!(error, Err(RpcError::Overloaded));
    let long = Bytes::from(vec![0; INLINE_BYTES_MAX + 1]);
    assert!(matches!(
        pair.client.notify(1, Ext::default(), long),
        Err(RpcError::TooLarge { .. })
    ));
    let ext = Ext {
        vector: Some(vec![0; EXT_BYTES_MAX].into()),
        ..Ext::default()
    };
    assert!(matches!(
        pair.server.call(pair.now, 1, ext, Bytes::new(), None),
        Err(RpcError::TooLarge { .. })
    ));
}
