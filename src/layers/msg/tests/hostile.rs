//! What a peer that means harm can take: memory, turns, the clock. Each bound of docs/LAYERS.md that the peer pushes against.

use std::sync::Arc;

use super::bounds::{Victim, breach_of, long_request};
use super::*;
use crate::clock::Lamport;

/// A frame of a kind that nobody knows, which is skipped.
fn skipped(len: usize) -> Vec<u8> {
    let mut bytes = Frame::new(Kind::Chunk, 3)
        .with_payload(vec![0; len].into())
        .encode()
        .to_vec();
    bytes[0] = 77;
    bytes
}

fn chunk(id: u64, len: usize) -> Frame {
    Frame::new(Kind::Chunk, id).with_payload(vec![0; len].into())
}

/// Refusals wait, requests are held back; then the queue shrinks by a call that is given up, not by a frame that leaves.
#[test]
fn what_was_held_back_is_handled_although_a_call_is_given_up_meanwhile() {
    let mut victim = Victim::new();
    let own = victim
        .0
        .call(Time::ZERO, 1, Ext::default(), Bytes::new(), None)
        .expect("open");
    for id in 0..2_000_u64 {
        victim.send(&Frame::new(Kind::Request, 2 * id + 1));
    }
    assert!(!victim.0.wants_input());
    assert_eq!(victim.0.cancel(own), Some(false));
    let frames = output(&mut victim.0).len() / "too many calls at once".len();
    assert!(frames >= 2_000 - CALLS_MAX, "about {frames} refusals");
    assert_eq!(victim.0.held(), 0);
}

#[test]
fn a_first_frame_with_more_than_its_share_ends_the_session() {
    let long = Bytes::from(vec![0; INLINE_BYTES_MAX + 1]);
    for kind in [Kind::Request, Kind::Oneway] {
        let id = u64::from(kind == Kind::Request);
        breach_of(&[Frame::new(kind, id).with_payload(long.clone())]);
        let mut victim = Victim::new();
        victim.send(&Frame::new(kind, id).with_payload(long.slice(1..)));
        assert!(victim.0.is_open(), "{kind:?} of just so much");
    }
    let mut victim = Victim::new();
    let call = victim
        .0
        .call(Time::ZERO, 1, Ext::default(), Bytes::new(), None);
    output(&mut victim.0);
    victim.send(&Frame::new(Kind::Response, call.expect("open")).with_payload(long));
    victim.breach();
}

#[test]
fn a_long_text_is_cut() {
    let text = Bytes::from(vec![0xff; 200_000]);
    let mut pair = Pair::open();
    let id = pair.call(Bytes::new());
    output(&mut pair.client);
    let error = Frame::new(Kind::Error, id).with_payload(text.clone());
    pair.client.handle_bytes(pair.now, &error.encode());
    let Some(Event::Failed { error, .. }) = pair.client.poll_event() else {
        panic!("it failed")
    };
    let RpcError::Remote(status) = error else {
        panic!("{error}")
    };
    assert!(!status.text.is_empty() && status.text.len() <= 1_024);

    let payload = [&[0; 8][..], &text].concat();
    let leave = Frame::new(Kind::GoAway, 0).with_payload(payload.into());
    pair.client.handle_bytes(pair.now, &leave.encode());
    let Some(Event::GoAway { text }) = pair.client.poll_event() else {
        panic!("it leaves")
    };
    assert!(!text.is_empty() && text.len() <= 1_024);
}

/// Otherwise it could go on for ever without reading a word of what this side says.
#[test]
fn what_was_read_may_be_sent_again_only_once_the_credit_has_left() {
    let mut frames = vec![long_request(1), chunk(1, 1 << 19), chunk(1, 1 << 19)];
    let half_way = |told: bool| {
        let mut victim = Victim::new();
        frames.iter().for_each(|frame| victim.send(frame));
        victim.0.consumed(1, 1 << 20);
        if told {
            assert!(!output(&mut victim.0).is_empty());
        }
        victim.send(&chunk(1, 1));
        victim
    };
    assert!(half_way(true).0.is_open());
    let text = half_way(false).breach();
    assert_eq!(text, "more of a body than its window allows");

    // The connection's window, with bodies that nobody wants.
    frames.truncate(1);
    let mut victim = Victim::new();
    victim.send(&frames[0]);
    victim.send(&Frame::new(Kind::Cancel, 1));
    for _ in 0..16 {
        victim.send(&chunk(1, 1 << 19));
    }
    assert!(victim.0.is_open());
    victim.send(&chunk(1, 1));
    let text = victim.breach();
    assert_eq!(
        text,
        "more of all bodies than the connection's window allows"
    );
}

/// A byte that is kept must not keep the megabyte that came with it.
#[test]
fn a_small_payload_keeps_no_large_buffer() {
    let mut parser = Parser::new(1 << 20);
    for piece in skipped(1 << 20).chunks(1 << 16) {
        assert_eq!(parser.next(), Ok(None));
        parser.push(piece);
    }
    parser.push(
        &Frame::new(Kind::Request, 1)
            .with_payload("x".into())
            .encode(),
    );
    let frame = parser.next().expect("valid").expect("whole");
    let kept = frame.payload.try_into_mut().expect("nobody else has it");
    assert!(kept.capacity() < 100, "{} bytes", kept.capacity());

    let hello = [
        &Hello {
            node: "n".into(),
            ..Hello::default()
        }
        .encode()[..],
        &[0; 1_000],
    ]
    .concat();
    let bytes = Bytes::from(hello);
    let hello = Hello::decode(bytes.clone()).expect("valid");
    assert!(bytes.is_unique() && hello.node == "n");
}

/// Who is not known yet gets little room.
#[test]
fn a_stranger_is_not_waited_for_beyond_a_hello() {
    let hello = |padding: usize| {
        let payload = [&Hello::default().encode()[..], &vec![0; padding]].concat();
        let frame = Frame::new(Kind::Hello, 0).with_payload(payload.into());
        let mut session = Session::new(Role::Acceptor, Hello::default());
        // Its head alone.
        session.handle_bytes(Time::ZERO, &frame.encode()[..HEAD_BYTES]);
        session
    };
    assert!(!hello(1_000).is_closed());
    assert!(hello(5_000).is_closed());
}

#[test]
fn who_is_refused_moves_no_clock() {
    let clock = Arc::new(Lamport::new());
    let mut session = Session::new(Role::Acceptor, Hello::default()).with_clock(clock.clone());
    let stranger = Hello {
        cluster: 9,
        ..Hello::default()
    };
    let mut frame = Frame::new(Kind::Hello, 0).with_payload(stranger.encode());
    frame.ext.lamport = Some(1 << 40);
    session.handle_bytes(Time::ZERO, &frame.encode());
    assert!(session.is_closed());
    assert_eq!(clock.now(), 0);
}

#[test]
fn names_have_a_bound() {
    let hello = |len: usize| Hello {
        node: vec![b'n'; len].into(),
        service: "s".repeat(len),
        ..Hello::default()
    };
    assert_eq!(Hello::decode(hello(64).encode()), Some(hello(64)));
    assert!(!hello(65).is_valid());
    // The same, said by somebody who does not keep to it.
    let mut bytes = hello(64).encode().to_vec();
    let at = bytes.iter().position(|byte| *byte == 64).expect("a length");
    bytes[at] = 65;
    bytes.insert(at + 1, b'n');
    assert_eq!(Hello::decode(bytes.into()), None);
    // One that ends in the middle, at every byte.
    let bytes = hello(64).encode();
    assert!((0..bytes.len()).all(|len| Hello::decode(bytes.slice(..len)).is_none()));
}
