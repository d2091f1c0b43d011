//! Frames: there and back, and nothing else.

use proptest::prelude::*;

use super::*;

fn whole(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut parser = Parser::new(1 << 20);
    parser.push(bytes);
    parser.next()
}

/// The layout of docs/LAYERS.md, byte by byte.
#[test]
fn golden_bytes() {
    let mut frame = Frame::new(Kind::Request, 0x0102_0304_0506_0708).with_payload("body".into());
    (frame.method, frame.more) = (0x0a0b, true);
    frame.ext.deadline_ms = Some(1_000);
    frame.ext.lamport = Some(5);
    let wanted = [
        &[1, 0x05, 0x0a, 0x0b, 0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8][..],
        &[
            0, 18, 1, 0, 4, 0, 0, 0x03, 0xe8, 3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5,
        ],
        b"body",
    ]
    .concat();
    assert_eq!(&frame.encode()[..], &wanted[..]);

    let hello = Hello {
        features: 1,
        cluster: 2,
        node: "n".into(),
        expect_node: "mm".into(),
        incarnation: 3,
        max_frame: 1 << 20,
        service: "kv".into(),
        wire: 4,
    };
    let mut wanted = b"AQM1\0\x01\0\0\0\x01".to_vec();
    wanted.extend(2_u128.to_be_bytes());
    wanted.extend(3_u64.to_be_bytes());
    wanted.extend(b"\0\x10\0\0\0\x04\x01n\x02mm\x02kv");
    assert_eq!(&hello.encode()[..], &wanted[..]);
    assert_eq!(Hello::decode(wanted.into()), Some(hello));
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_head_alone() {
    let mut parser = Parser::new(1 << 16);
    let head = [4_u8, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    parser.push(&head);
    assert_eq!(
        parser.next(),
        Err(FrameError::TooLong {
            len: (1 << 16) + 1,
            max: 1 << 16
        })
    );
    let mut parser = Parser::new(1 << 16);
    parser.push(&[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1]);
    assert_eq!(parser.next(), Err(FrameError::ExtTooLong(0x2001)));
}

#[test]
fn unknown_kinds_are_skipped_unless_they_must_not_be() {
    let mut bytes = Frame::new(Kind::Chunk, 3)
        .with_payload("later version".into())
        .encode()
        .to_vec();
    bytes[0] = 77;
    let mut both = bytes.clone();
    both.extend(Frame::new(Kind::End, 3).encode());
    assert_eq!(
        whole(&both).expect("skipped").expect("the next").kind,
        Kind::End
    );
    bytes[1] |= 0x02;
    assert_eq!(whole(&bytes), Err(FrameError::Unknown(77)));
}

#[test]
fn extensions_are_skipped_if_unknown_and_refused_if_malformed() {
    let with = |ext: &[u8]| {
        let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes.extend(u16::try_from(ext.len()).expect("small").to_be_bytes());
        bytes.extend(ext);
        whole(&bytes)
    };
    assert_eq!(
        with(&[99, 0, 2, 7, 7])
            .expect("skipped")
            .expect("whole")
            .ext,
        Ext::default()
    );
    assert_eq!(with(&[1, 0, 3, 0, 0, 1]), Err(FrameError::Ext(1)));
    assert_eq!(with(&[3, 0, 9, 0]), Err(FrameError::Ext(3)));
    assert_eq!(with(&[6]), Err(FrameError::Ext(6)));
    let twice = [1, 0, 4, 0, 0, 0, 1, 1, 0, 4, 0, 0, 0, 1];
    assert_eq!(with(&twice), Err(FrameError::Ext(1)));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let kind = prop::sample::select(vec![
        Kind::Request,
        Kind::Response,
        Kind::Error,
        Kind::Cancel,
        Kind::Oneway,
        Kind::Chunk,
        Kind::End,
    ]);
    let idem = prop::option::of(any::<(u128, u64, u64)>());
    let ext = (
        prop::option::of(any::<u32>()),
        idem,
        prop::option::of(any::<u64>()),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        prop::option::of(any::<[u8; 16]>()),
        prop::option::of(any::<u64>()),
    );
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (kind, any::<(bool, bool, u16, u64)>(), ext, payload).prop_map(|(kind, fixed, ext, payload)| {
        Frame {
            kind,
            more: fixed.0,
            refused: fixed.1,
            method: fixed.2,
            id: fixed.3,
            ext: Ext {
                deadline_ms: ext.0,
                idem: ext.1.map(|(client, seq, ack_below)| IdemKey {
                    client,
                    seq,
                    ack_below,
                }),
                lamport: ext.2,
                vector: ext.3.map(Bytes::from),
                trace: ext.4,
                group: ext.5,
            },
            payload: payload.into(),
        }
    })
}

proptest! {
    #[test]
    fn frames_survive_the_wire_in_any_pieces(frames in prop::collection::vec(any_frame(), 1..6), piece in 1..50_usize) {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        let mut parser = Parser::new(1 << 20);
        let mut got = Vec::new();
        for part in bytes.chunks(piece) {
            parser.push(part);
            while let Some(frame) = parser.next().expect("valid") {
                got.push(frame);
            }
        }
        prop_assert_eq!(got, frames);
        prop_assert_eq!(parser.held(), 0);
    }

    #[test]
    fn a_hello_survives_the_wire(numbers in any::<(u32, u128, u64, u16)>(), names in any::<([u8; 9], [u8; 3])>()) {
        let hello = Hello {
            features: numbers.0,
            cluster: numbers.1,
            incarnation: numbers.2,
            wire: numbers.3,
            node: Bytes::copy_from_slice(&names.0),
            expect_node: Bytes::copy_from_slice(&names.1),
            ..Hello::default()
        };
        prop_assert_eq!(Hello::decode(hello.encode()), Some(hello));
    }
}

/// A frame whose every field is drawn, some of them absurd.
fn random_frame(dice: &mut Dice) -> Vec<u8> {
    let len = match dice.below(8) {
        0 => dice.below(70_000),
        1 => 0,
        _ => dice.below(200),
    };
    let said = if dice.below(20) == 0 {
        dice.next()
    } else {
        u64::try_from(len).expect("small")
    };
    let id = if dice.below(4) == 0 {
        dice.next()
    } else {
        dice.next() % 40
    };
    let mut bytes = vec![
        u8::try_from(dice.below(14)).expect("small"),
        u8::try_from(dice.below(16)).expect("small"),
    ];
    bytes.extend(&dice.next().to_be_bytes()[..2]);
    bytes.extend(&said.to_be_bytes()[4..]);
    bytes.extend(id.to_be_bytes());
    if bytes[1] & 1 != 0 {
        let ext = dice.below(30);
        bytes.extend(&u64::try_from(ext).expect("small").to_be_bytes()[6..]);
        bytes.extend((0..ext).map(|_| dice.next().to_be_bytes()[0] % 9));
    }
    bytes.resize(bytes.len() + len, 7);
    bytes
}

/// A million frames, most of them nonsense, to sessions that are open: nothing panics, and nothing grows.
#[test]
fn m1_a_million_random_frames_cost_neither_a_panic_nor_memory() {
    let mut dice = Dice(11);
    let mut frames = 0;
    let mut sessions = 0;
    while frames < 1_000_000 {
        sessions += 1;
        let mut session = Session::new(Role::Acceptor, Hello::default());
        let hello = Frame::new(Kind::Hello, 0)
            .with_payload(Hello::default().encode())
            .encode();
        session.handle_bytes(Time::ZERO, &hello);
        for _ in 0..50 {
            frames += 1;
            let bytes = random_frame(&mut dice);
            session.handle_bytes(Time::from_millis(frames), &bytes);
            assert!(session.served() <= CALLS_MAX && session.held() <= (1 << 20) + 70_000);
            if frames % 3 == 0 {
                output(&mut session);
            }
            while let Some(event) = session.poll_event() {
                if let Event::Request(request) = event {
                    if frames % 2 == 0 {
                        session.respond(request.id, Ext::default(), request.body);
                    }
                }
            }
            session.handle_timeout(Time::from_millis(frames));
        }
    }
    println!("{frames} frames to {sessions} sessions");
}
