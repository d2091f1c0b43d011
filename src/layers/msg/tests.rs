//! Frames, sessions and the table of calls, without I/O. Over networks: `tests/sim/calls.rs`; over sockets: `tests/real/calls.rs`.

mod bounds;
mod cuts;
mod frames;
mod hostile;
mod repeats;

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::time::Time;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("small")).expect("small")
    }
}

/// Bytes in which every misplacement shows.
fn pattern(seed: u64, len: usize) -> Bytes {
    let mut dice = Dice(seed);
    let mut bytes: Vec<u8> = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&dice.next().to_be_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// Two sessions and the bytes between them.
struct Pair {
    now: Time,
    client: Session,
    server: Session,
    /// What each said happened, in order.
    at_client: Vec<Event>,
    at_server: Vec<Event>,
}

impl Pair {
    fn new() -> Self {
        Pair::with(Hello::default(), Hello::default())
    }

    fn with(client: Hello, server: Hello) -> Self {
        Pair {
            now: Time::from_millis(1),
            client: Session::new(Role::Connector, client),
            server: Session::new(Role::Acceptor, server),
            at_client: Vec::new(),
            at_server: Vec::new(),
        }
    }

    /// A pair that knows each other.
    fn open() -> Self {
        let mut pair = Pair::new();
        pair.run();
        assert!(pair.client.is_open() && pair.server.is_open());
        pair.at_client.clear();
        pair.at_server.clear();
        pair
    }

    /// Carries everything to and fro until both are quiet.
    fn run(&mut self) {
        loop {
            let (up, down) = (output(&mut self.client), output(&mut self.server));
            self.server.handle_bytes(self.now, &up);
            self.client.handle_bytes(self.now, &down);
            self.at_client
                .extend(std::iter::from_fn(|| self.client.poll_event()));
            self.at_server
                .extend(std::iter::from_fn(|| self.server.poll_event()));
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }

    fn call(&mut self, body: Bytes) -> u64 {
        self.client
            .call(self.now, 1, Ext::default(), body, None)
            .expect("open")
    }

    fn server_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.at_server)
    }

    fn client_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.at_client)
    }
}

/// Everything that a session has to say now.
fn output(session: &mut Session) -> Vec<u8> {
    std::iter::from_fn(|| session.poll_output())
        .flatten()
        .collect()
}

fn request(event: &Event) -> &Request {
    let Event::Request(request) = event else {
        panic!("a request: {event:?}")
    };
    request
}

#[test]
fn a_call_is_answered_in_both_directions() {
    let mut pair = Pair::open();
    let id = pair.call("ping?".into());
    let back = pair
        .server
        .call(pair.now, 9, Ext::default(), "pong?".into(), None)
        .expect("open");
    pair.run();
    let events = pair.server_events();
    assert_eq!(
        (request(&events[0]).id, request(&events[0]).method),
        (id, 1)
    );
    assert_eq!(&request(&events[0]).body[..], b"ping?");
    assert!(pair.server.respond(id, Ext::default(), "yes".into()));
    assert_eq!(request(&pair.client_events()[0]).id, back);
    assert!(pair.client.refuse(back, &Status::new(300, "no")));
    pair.run();
    let answer = Event::Response {
        id,
        ext: Ext::default(),
        body: "yes".into(),
        more: false,
    };
    assert_eq!(pair.client_events(), [answer]);
    let error = RpcError::Remote(Status::new(300, "no"));
    assert!(error.maybe_executed());
    assert_eq!(pair.server_events(), [Event::Failed { id: back, error }]);
    assert_eq!(
        (
            pair.client.calls(),
            pair.client.served(),
            pair.server.served()
        ),
        (0, 0, 0)
    );
    assert!(!pair.server.respond(id, Ext::default(), "again".into()));
}

#[test]
fn long_bodies_come_in_pieces_within_their_windows() {
    let mut pair = Pair::open();
    let body = pattern(1, 5 << 20);
    let id = pair.call(body.clone());
    let mut got = Vec::new();
    let mut has_ended = false;
    while !has_ended {
        pair.run();
        let mut unread = 0;
        for event in pair.server_events() {
            match event {
                Event::Request(request) => assert!(request.more && request.body.is_empty()),
                Event::Chunk { id: of, data } => {
                    assert_eq!(of, id);
                    unread += data.len();
                    got.extend_from_slice(&data);
                }
                Event::End { .. } => has_ended = true,
                other => panic!("{other:?}"),
            }
        }
        assert!(
            unread <= usize::try_from(BODY_WINDOW).expect("small"),
            "{unread} bytes at once"
        );
        assert!(unread > 0 || has_ended, "it stands still at {}", got.len());
        pair.server.consumed(id, unread);
    }
    assert_eq!(got, body);
    assert!(
        pair.server
            .respond(id, Ext::default(), body.slice(..300_000))
    );
    pair.run();
    let answer: Vec<u8> = pair
        .client_events()
        .iter()
        .filter_map(|event| {
            if let Event::Chunk { data, .. } = event {
                Some(data.to_vec())
            } else {
                None
            }
        })
        .flatten()
        .collect();
    assert_eq!(answer, body[..300_000]);
    assert_eq!((pair.client.calls(), pair.server.served()), (0, 0));
}

#[test]
fn bodies_take_turns_and_small_calls_go_first() {
    let mut pair = Pair::open();
    let long = [
        pair.call(pattern(1, 400_000)),
        pair.call(pattern(2, 400_000)),
    ];
    // Some of both has left when a small call comes.
    let mut first = Vec::new();
    for _ in 0..10 {
        first.extend(pair.client.poll_output().expect("much to send"));
    }
    let small = pair.call("small".into());
    let next = pair.client.poll_output().expect("the small one");
    let mut parser = Parser::new(1 << 20);
    parser.push(&next);
    let frame = parser.next().expect("valid").expect("whole");
    assert_eq!((frame.kind, frame.id), (Kind::Request, small));
    parser.push(&first);
    let chunks = std::iter::from_fn(|| parser.next().expect("valid"))
        .filter(|frame| frame.kind == Kind::Chunk);
    let ids: Vec<u64> = chunks.map(|frame| frame.id).collect();
    assert!(ids.chunks_exact(2).all(|pair| pair == long), "{ids:?}");
}

#[test]
fn a_body_that_nobody_reads_holds_up_no_other() {
    let mut pair = Pair::open();
    let stuck = pair.call(pattern(1, 3 << 20));
    pair.run();
    let flowing = pair.call(pattern(2, 3 << 20));
    let mut got = 0;
    for _ in 0..100 {
        pair.run();
        for event in pair.server_events() {
            if let Event::Chunk { id, data } = event {
                if id == flowing {
                    got += data.len();
                    pair.server.consumed(id, data.len());
                }
            }
        }
    }
    assert_eq!(got, 3 << 20);
    assert_eq!(pair.client.body_room(stuck), None, "it was given whole");
}

#[test]
fn cancelling_tells_the_handler_and_frees_the_window() {
    let mut pair = Pair::open();
    for round in 0..20 {
        let id = pair.call(pattern(round, 900_000));
        pair.run();
        assert_eq!(pair.client.cancel(id), Some(true));
        assert_eq!(pair.client.cancel(id), None);
        pair.run();
        let events = pair.server_events();
        let unread = events.iter().map(|event| {
            if let Event::Chunk { data, .. } = event {
                data.len()
            } else {
                0
            }
        });
        pair.server.consumed(id, unread.sum());
        assert_eq!(events.last(), Some(&Event::Cancelled { id }));
        assert_eq!(pair.server.served(), 1, "its handler runs still");
        assert!(!pair.server.respond(id, Ext::default(), "late".into()));
        assert_eq!(pair.server.served(), 0);
    }
    // Of what was never sent nothing is told.
    let mut pair = Pair::new();
    let id = pair.call("x".into());
    assert_eq!(pair.client.cancel(id), Some(false));
    pair.run();
    assert!(
        pair.at_server
            .iter()
            .all(|event| matches!(event, Event::Ready(_)))
    );
}

#[test]
fn deadlines_end_calls_on_both_sides() {
    let mut pair = Pair::open();
    let time = Duration::from_millis(250);
    let id = pair
        .client
        .call(pair.now, 1, Ext::default(), "x".into(), Some(time))
        .expect("open");
    pair.run();
    let events = pair.server_events();
    assert_eq!(request(&events[0]).ext.deadline_ms, Some(250));
    let due = pair.now + time;
    assert_eq!(
        (pair.client.poll_timeout(), pair.server.poll_timeout()),
        (Some(due), Some(due))
    );
    pair.now = due;
    pair.server.handle_timeout(due);
    pair.client.handle_timeout(due);
    pair.run();
    assert_eq!(pair.server_events(), [Event::Cancelled { id }]);
    let error = RpcError::Deadline {
        maybe_executed: true,
    };
    assert_eq!(pair.client_events(), [Event::Failed { id, error }]);
    assert_eq!(pair.client.poll_timeout(), None);
    assert!(!pair.server.respond(id, Ext::default(), "late".into()));
}

#[test]
fn who_goes_away_answers_what_he_took() {
    let mut pair = Pair::open();
    let taken = pair.call("taken".into());
    pair.run();
    pair.server.go_away("maintenance");
    // This one crosses the GOAWAY.
    let crossing = pair.call("crossing".into());
    let _lost_sight_of = pair
        .client
        .poll_output()
        .map(|bytes| pair.server.handle_bytes(pair.now, &bytes));
    pair.run();
    let events = pair.client_events();
    let refused = |event: &Event| matches!(event, Event::Failed { id, error } if *id == crossing && !error.maybe_executed());
    assert!(events.iter().any(refused), "{events:?}");
    assert!(events.contains(&Event::GoAway {
        text: "maintenance".into()
    }));
    let error = pair
        .client
        .call(pair.now, 1, Ext::default(), Bytes::new(), None)
        .expect_err("no more");
    assert_eq!(error, RpcError::Closed("maintenance".into()));
    assert!(pair.server.respond(taken, Ext::default(), "done".into()));
    pair.run();
    assert!(matches!(&pair.client_events()[..], [Event::Response { id, .. }] if *id == taken));
}

#[test]
fn pings_are_answered() {
    let mut pair = Pair::open();
    pair.client.ping(pair.now);
    let up = output(&mut pair.client);
    pair.now += Duration::from_millis(7);
    pair.server.handle_bytes(pair.now, &up);
    pair.run();
    assert_eq!(
        pair.client_events(),
        [Event::Pong {
            rtt: Duration::from_millis(7)
        }]
    );
}

#[test]
fn every_call_and_answer_is_stamped_where_a_clock_is_given() {
    use crate::clock::Lamport;
    use std::sync::Arc;
    let clocks = [
        Arc::new(Lamport::new()),
        Arc::new(Lamport::resume(100).expect("small")),
    ];
    let mut pair = Pair::new();
    pair.client = Session::new(Role::Connector, Hello::default()).with_clock(clocks[0].clone());
    pair.server = Session::new(Role::Acceptor, Hello::default()).with_clock(clocks[1].clone());
    pair.run();
    let id = pair.call("x".into());
    pair.run();
    let sent = request(pair.at_server.last().expect("one"))
        .ext
        .lamport
        .expect("stamped");
    assert!(sent < clocks[1].now());
    pair.server.respond(id, Ext::default(), "y".into());
    pair.run();
    let Some(Event::Response { ext, .. }) = pair.at_client.last() else {
        panic!("an answer")
    };
    assert!(ext.lamport > Some(100) && ext.lamport < Some(clocks[0].now()));
}

#[test]
fn c3_stamps_survive_answers_that_overtake_each_other() {
    use crate::clock::Lamport;
    use std::sync::Arc;
    let mut pair = Pair::new();
    pair.client = Session::new(Role::Connector, Hello::default()).with_clock(Arc::default());
    pair.server = Session::new(Role::Acceptor, Hello::default())
        .with_clock(Arc::new(Lamport::resume(50).expect("small")));
    pair.run();
    let calls: Vec<u64> = (0..20).map(|_| pair.call("x".into())).collect();
    pair.run();
    let events = pair.server_events();
    let asked = events.iter().filter_map(|event| match event {
        Event::Request(request) => Some((request.id, request.ext.lamport.expect("stamped"))),
        _ => None,
    });
    let asked: std::collections::BTreeMap<u64, u64> = asked.collect();
    // The last one first.
    for id in calls.iter().rev() {
        assert!(pair.server.respond(*id, Ext::default(), "y".into()));
    }
    pair.run();
    let mut answered = Vec::new();
    for event in pair.client_events() {
        if let Event::Response { id, ext, .. } = event {
            let stamp = ext.lamport.expect("stamped");
            assert!(asked[&id] < stamp, "a question comes before its answer");
            answered.push((id, stamp));
        }
    }
    assert!(answered.iter().map(|(id, _)| id).eq(calls.iter().rev()));
    assert!(
        answered.is_sorted_by_key(|(_, stamp)| *stamp),
        "and the order of the answers shows"
    );
}

#[test]
fn m5_the_wrong_node_cluster_or_version_is_refused_before_anything_is_executed() {
    let me = Hello {
        cluster: 5,
        node: "a".into(),
        wire: 2,
        ..Hello::default()
    };
    let right = Hello {
        cluster: 5,
        node: "b".into(),
        expect_node: "a".into(),
        wire: 2,
        ..Hello::default()
    };
    let mut pair = Pair::with(right.clone(), me.clone());
    pair.call("x".into());
    pair.run();
    assert!(matches!(
        pair.at_server[..],
        [Event::Ready(_), Event::Request(_)]
    ));

    let cases = [
        (
            Hello {
                cluster: 6,
                ..right.clone()
            },
            "belongs to cluster",
        ),
        (
            Hello {
                expect_node: "c".into(),
                ..right.clone()
            },
            "is node",
        ),
        (
            Hello {
                wire: 3,
                ..right.clone()
            },
            "speaks version",
        ),
    ];
    for (wrong, text) in cases {
        let mut pair = Pair::with(wrong, me.clone());
        let id = pair.call("must not run".into());
        pair.run();
        for events in [&pair.at_client, &pair.at_server] {
            assert!(
                !events
                    .iter()
                    .any(|event| matches!(event, Event::Request(_) | Event::Ready(_)))
            );
            let Some(Event::Closed(RpcError::WrongPeer(mismatch))) = events.last() else {
                panic!("{events:?}")
            };
            assert!(mismatch.to_string().starts_with(text), "{mismatch}");
        }
        let failed = |event: &Event| matches!(event, Event::Failed { id: of, error } if *of == id && !error.maybe_executed());
        assert!(pair.at_client.iter().any(failed));
    }
    // Who speaks something else altogether is told nothing but that.
    let mut server = Session::new(Role::Acceptor, Hello::default());
    let strange = Frame::new(Kind::Hello, 0).with_payload("GET / HTTP/1.1".into());
    server.handle_bytes(Time::ZERO, &strange.encode());
    assert!(matches!(
        server.poll_event(),
        Some(Event::Closed(RpcError::WrongPeer(Mismatch::Protocol)))
    ));
}
