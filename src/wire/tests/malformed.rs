//! One datagram for each reason to drop one.

use super::samples::{
    CLIENT, CLIENT_FIRST, SERVER, cid, fields, one_of_each, opening, packet, range,
};
use crate::wire::*;

/// The sample of this kind with other bytes at one place.
fn patched(kind: &str, at: usize, bytes: &[u8]) -> Vec<u8> {
    let samples = one_of_each();
    let sample = samples.into_iter().find(|(name, _)| *name == kind);
    let (_, mut datagram) = sample.expect("a sample of this kind");
    datagram[at..at + bytes.len()].copy_from_slice(bytes);
    datagram
}

fn error(datagram: &[u8]) -> DecodeError {
    decode(datagram).expect_err("a malformed datagram")
}

#[test]
fn what_is_shorter_than_a_header_is_truncated() {
    for len in 0..32 {
        assert_eq!(error(&[0x13; 32][..len]), DecodeError::Truncated);
        assert_eq!(glance(&[0x13; 32][..len]), Err(DecodeError::Truncated));
    }
}

#[test]
fn all_versions_but_one_are_foreign() {
    for version in (0..16).filter(|version| *version != VERSION) {
        let datagram = patched("DATA", 0, &[(version << 4) | 3]);
        assert_eq!(error(&datagram), DecodeError::Version(version));
        assert_eq!(glance(&datagram), Err(DecodeError::Version(version)));
    }
}

#[test]
fn a_syn_of_another_version_tells_all_that_its_answer_needs() {
    for version in (0..16).filter(|version| *version != VERSION) {
        let syn = patched("SYN", 0, &[(version << 4) | 1]);
        let Err(DecodeError::ForeignSyn(syn)) = glance(&syn) else {
            panic!("a SYN of version {version}");
        };
        assert_eq!((syn.version, syn.cid), (version, cid(CLIENT)));

        let mut buffer = [0; 256];
        let mut answer = PacketBuilder::new(&mut buffer, Kind::Versions, Some(syn.cid), syn.pn);
        answer.version(syn.version);
        answer.payload(&[VERSION]);
        let len = answer.finish();
        assert_eq!(len, 33);
        assert_eq!((buffer[0], buffer[32]), ((version << 4) | 15, VERSION));
        // Whoever speaks that version reads the answer as we read one of ours.
        buffer[0] = (VERSION << 4) | 15;
        let answer = decode(&buffer[..len]).expect("VERSIONS");
        assert_eq!((answer.dcid, answer.pn.get()), (Some(cid(CLIENT)), 1_000));
        assert_eq!(answer.body, Body::Versions(&[VERSION]));
    }
}

#[test]
fn a_foreign_syn_that_could_be_abused_is_not_answered() {
    let foreign = patched("SYN", 0, &[0x21]);
    assert_eq!(error(&foreign[..255]), DecodeError::ShortSyn);
    let mut addressed = foreign.clone();
    addressed[8] = 1;
    assert_eq!(error(&addressed), DecodeError::AddressedSyn);
    let mut nameless = foreign;
    nameless[24..32].fill(0);
    assert_eq!(error(&nameless), DecodeError::ZeroId);
}

#[test]
fn all_types_but_ten_are_unknown() {
    for bits in [0, 10, 11, 12, 13, 14] {
        let datagram = patched("DATA", 0, &[0x10 | bits]);
        assert_eq!(error(&datagram), DecodeError::Kind(bits));
    }
}

#[test]
fn ids_stand_where_they_must_and_nowhere_else() {
    for (kind, _) in one_of_each() {
        match kind {
            "SYN" => {
                let addressed = patched(kind, 15, &[1]);
                assert_eq!(error(&addressed), DecodeError::AddressedSyn);
            }
            "VERSIONS" => {}
            _ => {
                let nameless = patched(kind, 8, &[0; 8]);
                assert_eq!(error(&nameless), DecodeError::ZeroId, "{kind}");
            }
        }
    }
    assert_eq!(error(&patched("SYN", 24, &[0; 8])), DecodeError::ZeroId);
    assert_eq!(error(&patched("SYNACK", 24, &[0; 8])), DecodeError::ZeroId);
}

#[test]
fn a_syn_is_padded() {
    let syn = patched("SYN", 0, &[]);
    assert_eq!(syn.len(), 256);
    assert_eq!(error(&syn[..255]), DecodeError::ShortSyn);
    assert_eq!(glance(&syn[..255]), Err(DecodeError::ShortSyn));
}

#[test]
fn nobody_opens_with_number_zero() {
    for kind in ["SYN", "SYNACK"] {
        let datagram = patched(kind, 16, &[0; 4]);
        assert_eq!(error(&datagram), DecodeError::FirstNumber);
    }
}

#[test]
fn reserved_channels_are_dropped() {
    for channel in 1..=u8::MAX {
        let datagram = patched("DATA", 21, &[channel]);
        assert_eq!(error(&datagram), DecodeError::Channel(channel));
    }
}

#[test]
fn flags_belong_to_types() {
    const FIN: u8 = 0x01;
    const ACK: u8 = 0x02;
    const PSH: u8 = 0x08;
    const EXT: u8 = 0x20;
    let numbered = ["DATA", "DGRAM", "PROBE", "PATH"];
    for (kind, datagram) in one_of_each() {
        if kind == "VERSIONS" {
            continue;
        }
        let drops = |flags: u8| decode(&patched(kind, 1, &[flags])) == Err(DecodeError::Flags);
        let ack = datagram[1] & ACK;
        assert_eq!(drops(ack | FIN), kind != "DATA", "FIN in {kind}");
        assert_eq!(drops(ack | PSH), kind != "DATA", "PSH in {kind}");
        let may_ack = numbered.contains(&kind) || kind == "ACK";
        assert_eq!(drops(ACK), !may_ack, "ACK in {kind}");
        assert_eq!(drops(0), kind == "ACK", "no ACK in {kind}");
        assert_eq!(drops(ack | EXT), kind.starts_with("SYN"), "EXT in {kind}");
    }
}

#[test]
fn flags_without_a_meaning_here_change_nothing() {
    for (kind, datagram) in one_of_each() {
        if kind == "VERSIONS" {
            continue;
        }
        let plain = decode(&datagram).expect("a sample");
        // The key phase of the secure mode, and the reserved bit.
        let marked = patched(kind, 1, &[datagram[1] | 0x90]);
        assert_eq!(decode(&marked).as_ref(), Ok(&plain), "{kind}");
    }
}

#[test]
fn lengths_agree_with_each_other() {
    for words in 0..8 {
        let datagram = patched("DATA", 20, &[words]);
        assert_eq!(error(&datagram), DecodeError::HeaderTooShort);
    }
    let cases = [
        (patched("DGRAM", 20, &[255]), DecodeError::HeaderBeyondEnd),
        (patched("PATH", 20, &[9]), DecodeError::HeaderBeyondEnd),
        (patched("DGRAM", 2, &[0, 3]), DecodeError::PayloadBeyondEnd),
        (
            patched("DGRAM", 2, &[255; 2]),
            DecodeError::PayloadBeyondEnd,
        ),
        (patched("DGRAM", 2, &[0, 1]), DecodeError::Padding),
        (patched("PROBE", 47, &[1]), DecodeError::Padding),
        (
            patched("PROBE", 2, &[0, 16]),
            DecodeError::UnexpectedPayload,
        ),
        // Words that neither the type nor a flag explains.
        (patched("PROBE", 20, &[9]), DecodeError::HeaderLength),
        // An ACK block that the header has no room for: of its fixed part, a range, the counters.
        (patched("PROBE", 1, &[0x02]), DecodeError::HeaderLength),
        (patched("ACK", 38, &[3]), DecodeError::HeaderLength),
        (patched("ACK", 38, &[64]), DecodeError::HeaderLength),
        (patched("ACK", 20, &[21]), DecodeError::Padding),
        (patched("SYNACK", 20, &[8]), DecodeError::Padding),
    ];
    for (datagram, expected) in cases {
        assert_eq!(error(&datagram), expected);
    }
}

#[test]
fn an_ack_block_ends_where_the_header_ends() {
    let block = |p: &mut PacketBuilder<'_>| {
        let ecn = Some(EcnCounts::default());
        let ranges = [range(9, 9), range(5, 6)];
        p.ack(&AckFields { ecn, ..fields() }, ranges.into_iter(), 0);
    };
    let whole = packet(Kind::Ack, CLIENT, 1, block);
    assert_eq!((whole.len(), whole[20]), (32 + 28 + 8 + 12, 20));
    for words in 8..20 {
        let len = usize::from(words) * 4;
        let mut cut = whole[..len].to_vec();
        cut[20] = words;
        assert_eq!(error(&cut), DecodeError::HeaderLength, "{words} words");
    }
    let mut long = whole;
    long.extend([0; 4]);
    long[20] = 21;
    assert_eq!(error(&long), DecodeError::HeaderLength);
}

#[test]
fn an_opening_ends_where_the_header_ends() {
    let whole = packet(Kind::SynAck, CLIENT, 1, |p| p.opening(&opening(SERVER)));
    for words in 8..12 {
        let mut cut = whole[..usize::from(words) * 4].to_vec();
        cut[20] = words;
        assert_eq!(error(&cut), DecodeError::HeaderLength, "{words} words");
    }
}

#[test]
fn types_without_payload_have_none() {
    for kind in [
        Kind::SynAck,
        Kind::Ack,
        Kind::Rst,
        Kind::Probe,
        Kind::Path,
        Kind::Unknown,
    ] {
        let mut datagram = packet(kind, CLIENT, CLIENT_FIRST, |p| match kind {
            Kind::SynAck => p.opening(&opening(SERVER)),
            Kind::Ack => p.ack(&fields(), [range(1, 1)].into_iter(), 0),
            _ => {}
        });
        assert_eq!(decode(&datagram).map(|packet| packet.kind()), Ok(kind));
        datagram.push(0);
        datagram[3] = 1;
        assert_eq!(error(&datagram), DecodeError::UnexpectedPayload);
    }
}

#[test]
fn probes_for_unknown_purposes_are_dropped() {
    for purpose in [2, 256, u16::MAX] {
        for kind in ["PROBE", "PATH"] {
            let datagram = patched(kind, 22, &purpose.to_be_bytes());
            assert_eq!(error(&datagram), DecodeError::Purpose(purpose));
        }
    }
}

#[test]
fn nobody_leaves_more_unread_than_he_received() {
    let datagram = patched("ACK", 40, &[0; 8]);
    assert_eq!(error(&datagram), DecodeError::AckUnread);
}

#[test]
fn a_quote_needs_only_its_first_twenty_bytes() {
    for (name, datagram) in one_of_each() {
        for len in 0..=datagram.len().min(60) {
            let quoted = quoted(&datagram[..len]);
            if len < 20 || name == "VERSIONS" {
                assert_eq!(quoted, None, "{name}, {len} bytes");
                continue;
            }
            let packet = decode(&datagram).expect("a sample");
            let expected = (packet.kind(), packet.dcid, packet.pn);
            assert_eq!(quoted, Some(expected), "{name}, {len} bytes");
        }
    }
    assert_eq!(quoted(&patched("DATA", 8, &[0; 8])), None);
    assert_eq!(quoted(&patched("SYN", 8, &[1; 8])), None);
    assert_eq!(quoted(&patched("DATA", 0, &[0x1e])), None);
}
