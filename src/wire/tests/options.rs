use std::time::Duration;

use super::samples::{CLIENT, CLIENT_FIRST, SERVER, opening, packet};
use crate::wire::*;

/// A packet whose options are these bytes, padded to whole words.
fn with_options(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let dcid = if kind == Kind::Syn { 0 } else { CLIENT };
    let mut datagram = packet(kind, dcid, CLIENT_FIRST, |p| {
        if kind == Kind::Syn || kind == Kind::SynAck {
            p.opening(&opening(SERVER));
        }
    });
    let begin = usize::from(datagram[20]) * 4;
    datagram.truncate(begin);
    datagram.extend(bytes);
    datagram.resize(datagram.len().next_multiple_of(4), 0);
    datagram[20] = u8::try_from(datagram.len() / 4).expect("a header's length");
    if kind == Kind::Syn {
        datagram.resize(datagram.len().max(256), 0);
    } else if kind != Kind::SynAck {
        datagram[1] |= 0x20;
    }
    datagram
}

fn options(datagram: &[u8]) -> Result<Options<'_>, DecodeError> {
    decode(datagram).map(|packet| packet.options)
}

const KINDS: [Kind; 4] = [Kind::Syn, Kind::SynAck, Kind::Probe, Kind::Rst];

#[test]
fn every_option_is_read_as_it_stands_there() {
    let bytes = [
        &[0x81, 3, 1, 2, 3][..],
        &[0x02, 1, 9],
        &[0x03, 4, 0, 0, 0x1f, 0x40],
        &[0x04, 4, 0, 0, 0x75, 0x30],
        &[0x05, 2, 0x04, 0xb0],
        &[0x06, 4, 0, 0, 0, 1],
        &[0x07, 8, 1, 2, 3, 4, 5, 6, 7, 8],
    ]
    .concat();
    for kind in KINDS {
        let expected = Options {
            cookie: Some(&[1, 2, 3]),
            token: Some(&[9]),
            max_ack_delay: Some(Duration::from_millis(8)),
            idle_timeout: Some(Duration::from_secs(30)),
            dgram_max: Some(1_200),
            features: Some(1),
            incarnation: Some(0x0102_0304_0506_0708),
            unknown_critical: false,
            grease: false,
        };
        assert_eq!(options(&with_options(kind, &bytes)), Ok(expected));
    }
}

#[test]
fn what_is_not_known_and_not_critical_is_skipped() {
    for id in (0x08..0x80).chain([0x01]) {
        let twice = [id, 1, 0xff, id, 0, 0x05, 2, 0, 7];
        for kind in KINDS {
            let datagram = with_options(kind, &twice);
            let expected = Options {
                dgram_max: Some(7),
                ..Options::default()
            };
            assert_eq!(options(&datagram), Ok(expected), "{id:#04x}");
        }
    }
}

#[test]
fn what_is_critical_and_not_known_is_told_when_opening_and_dropped_otherwise() {
    // The option that is reserved for the secure mode is one of them.
    for id in (0x80..=0xff).filter(|id| *id != 0x81) {
        for kind in KINDS {
            let datagram = with_options(kind, &[id, 1, 7]);
            let expected = match kind {
                Kind::Syn | Kind::SynAck => Ok(Options {
                    unknown_critical: true,
                    ..Options::default()
                }),
                _ => Err(DecodeError::CriticalOption),
            };
            assert_eq!(options(&datagram), expected, "{id:#04x}");
        }
    }
}

#[test]
fn padding_may_stand_anywhere_and_have_any_length() {
    let whole: [&[u8]; 4] = [&[], &[0, 0], &[0, 5, 1, 2, 3, 4, 5], &[0, 0, 0, 1, 9]];
    // A byte at the very end has no room for a length.
    let at_the_end: [&[u8]; 2] = [&[0], &[0, 0, 0]];
    for before in whole {
        for after in whole.iter().chain(&at_the_end) {
            let bytes = [before, &[0x05, 2, 0, 7][..], after].concat();
            let expected = Options {
                dgram_max: Some(7),
                ..Options::default()
            };
            let datagram = with_options(Kind::Probe, &bytes);
            assert_eq!(options(&datagram), Ok(expected), "{before:?} {after:?}");
        }
    }
}

#[test]
fn a_known_option_has_its_length() {
    for (id, right) in [(0x03, 4), (0x04, 4), (0x05, 2), (0x06, 4), (0x07, 8)] {
        for len in (0..=20u8).filter(|len| *len != right) {
            let bytes = [&[id, len][..], &vec![1; len.into()]].concat();
            let datagram = with_options(Kind::Probe, &bytes);
            assert_eq!(options(&datagram), Err(DecodeError::OptionLength(id)));
        }
    }
    for id in [0x81, 0x02] {
        for len in [0u8, 1, 112] {
            let bytes = [&[id, len][..], &vec![1; len.into()]].concat();
            assert!(options(&with_options(Kind::Probe, &bytes)).is_ok());
        }
        let bytes = [&[id, 113][..], &[1; 113]].concat();
        let datagram = with_options(Kind::Probe, &bytes);
        assert_eq!(options(&datagram), Err(DecodeError::OptionLength(id)));
    }
}

#[test]
fn a_known_option_stands_there_once() {
    let values: [(u8, &[u8]); 7] = [
        (0x81, &[1]),
        (0x02, &[1]),
        (0x03, &[0; 4]),
        (0x04, &[0; 4]),
        (0x05, &[0; 2]),
        (0x06, &[0; 4]),
        (0x07, &[0; 8]),
    ];
    for (id, value) in values {
        let len = u8::try_from(value.len()).expect("short");
        let one = [&[id, len][..], value].concat();
        let datagram = with_options(Kind::Probe, &[&one[..], &one].concat());
        assert_eq!(options(&datagram), Err(DecodeError::OptionTwice(id)));
    }
}

#[test]
fn an_option_ends_within_the_header() {
    for bytes in [
        &[0x2a, 3, 0, 0][..],
        &[0x2a, 255],
        &[0, 4, 0, 0],
        &[0x05, 1, 0, 0x2a],
    ] {
        let datagram = with_options(Kind::Probe, bytes);
        let error = options(&datagram).expect_err("too long");
        let expected = match bytes[0] {
            0x05 => DecodeError::OptionLength(0x05),
            _ => DecodeError::OptionBeyondEnd,
        };
        assert_eq!(error, expected, "{bytes:?}");
    }
    // Nothing but the last byte of all may be an id without a length, and only that of PAD.
    let datagram = with_options(Kind::Probe, &[0x2a, 1, 0, 0x2a]);
    assert_eq!(options(&datagram), Err(DecodeError::OptionBeyondEnd));
}

#[test]
fn what_is_written_is_a_whole_number_of_words() {
    for len in 0..=112 {
        let cookie = vec![0xab; len];
        let given = Options {
            cookie: Some(&cookie),
            ..Options::default()
        };
        let datagram = packet(Kind::Probe, CLIENT, 1, |p| p.options(&given));
        assert_eq!(datagram.len() % 4, 0);
        assert_eq!(options(&datagram), Ok(given));
    }
    let none = packet(Kind::Probe, CLIENT, 1, |p| p.options(&Options::default()));
    assert_eq!((none.len(), none[1]), (32, 0), "no options, no EXT");
}

#[test]
fn durations_too_long_for_their_field_become_the_longest() {
    let given = Options {
        max_ack_delay: Some(Duration::MAX),
        idle_timeout: Some(Duration::MAX),
        ..Options::default()
    };
    let datagram = packet(Kind::Probe, CLIENT, 1, |p| p.options(&given));
    let expected = Options {
        max_ack_delay: Some(Duration::from_micros(u32::MAX.into())),
        idle_timeout: Some(Duration::from_millis(u32::MAX.into())),
        ..Options::default()
    };
    assert_eq!(options(&datagram), Ok(expected));
}
