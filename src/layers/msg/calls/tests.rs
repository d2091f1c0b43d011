//! What a driver keeps of a session: nothing that nobody reads.

use super::*;
use crate::layers::msg::session::Role;

type Core = Calls<Arc<AtomicBool>>;

/// A driver without its stream, and a peer.
struct Pair {
    core: Core,
    peer: Session,
}

impl Pair {
    fn open() -> Self {
        let mut pair = Pair {
            core: Core::new(Session::new(Role::Acceptor, Hello::default())),
            peer: Session::new(Role::Connector, Hello::default()),
        };
        pair.run();
        pair
    }

    /// Carries everything to and fro; what the driver is asked to do.
    fn run(&mut self) -> Vec<Act<Arc<AtomicBool>>> {
        let mut acts = Vec::new();
        loop {
            let mut is_quiet = true;
            while let Some(frame) = self.peer.poll_output() {
                self.core.session.handle_bytes(Time::ZERO, &frame);
                is_quiet = false;
            }
            acts.extend(self.core.take_events());
            while let Some(frame) = self.core.session.poll_output() {
                self.peer.handle_bytes(Time::ZERO, &frame);
                is_quiet = false;
            }
            if is_quiet {
                return acts;
            }
        }
    }

    fn long_call(&mut self, len: usize) -> u64 {
        let body = vec![7; len].into();
        let call = self.peer.call(Time::ZERO, 1, Ext::default(), body, None);
        call.expect("open")
    }
}

/// The connection's window is 8 MiB: were their bodies not given back, the ninth would stand still.
#[test]
fn refused_calls_leave_no_body_and_no_hole_in_the_window() {
    let mut pair = Pair::open();
    for _ in 0..20 {
        let id = pair.long_call(1 << 20);
        assert!(matches!(&pair.run()[..], [Act::Request(..)]));
        pair.core.refuse_unread(id, &Status::refused(1, "no"));
        pair.run();
        assert_eq!(pair.peer.calls(), 0);
        assert!(pair.core.inflows.is_empty() && pair.core.cancels.is_empty());
    }
    let id = pair.long_call(1 << 20);
    pair.run();
    assert_eq!(pair.core.throw_away(id), Some(true), "all of it came");
}

/// A reader that outlives its handler is told, and does not wait for what nobody sends any more.
#[test]
fn the_body_of_a_call_that_has_its_answer_ends() {
    for is_refused in [false, true] {
        let mut pair = Pair::open();
        let call = pair
            .peer
            .call_streaming(Time::ZERO, 1, Ext::default(), None);
        let id = call.expect("open");
        pair.run();
        if is_refused {
            pair.core.refuse(id, &Status::new(300, "no"));
        } else {
            pair.core.respond(id, Bytes::new());
        }
        assert_eq!(pair.core.throw_away(id), Some(true));
    }
}

#[test]
fn pieces_of_a_byte_are_kept_as_few() {
    let mut inflow = Inflow::begun("x".into());
    for _ in 0..100_000 {
        inflow.push("y".into());
    }
    assert!(
        inflow.pieces.len() <= 2 * 100_000 / (16 << 10) + 2,
        "{}",
        inflow.pieces.len()
    );
}

/// An answer of one frame and an END is no longer than another.
#[test]
fn a_short_answer_that_goes_on_is_measured_too() {
    let mut pair = Pair::open();
    let call = pair
        .core
        .session
        .call(Time::ZERO, 1, Ext::default(), Bytes::new(), None);
    let id = call.expect("open");
    let answer = Answer {
        body: BytesMut::zeroed(1_000),
        max: 999,
        done: Box::new(|_| ()),
    };
    pair.core.answers.insert(id, answer);
    let mut acts = Vec::new();
    pair.core.on_event(Event::End { id }, &mut acts);
    let [Act::Done(_, Err(RpcError::TooLarge { max: 999, .. }))] = &acts[..] else {
        panic!("too large")
    };
}
