use super::samples::{canonical, number};
use crate::wire::*;

/// Puts the right checksum in, as somebody who wants to do harm would.
fn repair(datagram: &mut [u8]) {
    if datagram.len() >= 32 {
        let sum = integrity::checksum(datagram);
        datagram[4..8].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Uses everything that decoding gives; nothing of it may panic, whatever the bytes were.
fn exercise(datagram: &[u8]) {
    let glanced = glance(datagram);
    let _ = quoted(datagram);
    let Ok(packet) = decode(datagram) else { return };
    let glanced = glanced.expect("what can be decoded passes the first look");
    assert_eq!((glanced.kind, glanced.dcid), (packet.kind(), packet.dcid));
    let Some(ack) = packet.ack else { return };
    for sent in [0, 1_500, 2_500, 1 << 32, 1 << 40, u64::MAX] {
        let Ok(ranges) = ack.expand(number(sent), number(1)) else {
            continue;
        };
        let mut above = None;
        for range in ranges.iter() {
            assert!(range.start() <= range.end());
            let gap = above.map_or(1, |above: PacketNumber| above.since(range.end().next()));
            assert!(gap > 0, "ranges do not touch");
            above = Some(*range.start());
        }
    }
}

#[test]
fn no_damaged_byte_goes_unnoticed_and_none_panics() {
    let mut cases = 0;
    for (name, mut datagram) in canonical() {
        assert!(integrity::is_intact(&datagram), "{name}");
        decode_or_versions(name, &datagram);
        for at in 0..datagram.len() {
            let original = datagram[at];
            for flip in 1..=u8::MAX {
                datagram[at] = original ^ flip;
                assert!(
                    !integrity::is_intact(&datagram),
                    "{name}: byte {at} ^ {flip:#04x}"
                );
                exercise(&datagram);
                let mut repaired = datagram.clone();
                repair(&mut repaired);
                exercise(&repaired);
                cases += 1;
            }
            datagram[at] = original;
        }
    }
    println!("{cases} mutations of one byte");
    assert!(cases > 200_000);
}

/// Every sample can be read, but for the one that answers a SYN of version 2.
fn decode_or_versions(name: &str, datagram: &[u8]) {
    match decode(datagram) {
        Ok(_) => {}
        Err(error) => assert_eq!((error, name), (DecodeError::Version(2), "VERSIONS")),
    }
}

#[test]
fn no_datagram_that_is_cut_short_is_taken() {
    let mut cases = 0;
    for (name, datagram) in canonical() {
        let contents = usize::from(datagram[20]) * 4
            + usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
        for len in 0..datagram.len() {
            let mut cut = datagram[..len].to_vec();
            assert!(!integrity::is_intact(&cut), "{name}: cut to {len}");
            exercise(&cut);
            repair(&mut cut);
            exercise(&cut);
            // Only padding may be missing, and of a SYN not even that.
            let is_whole = len >= contents && name != "VERSIONS" && !name.starts_with("SYN");
            assert_eq!(decode(&cut).is_ok(), is_whole, "{name}: cut to {len}");
            cases += 1;
        }
    }
    println!("{cases} truncations");
}

#[test]
fn every_flip_of_two_bits_in_a_header_is_noticed() {
    for (name, mut datagram) in canonical() {
        let bits = datagram.len().min(60) * 8;
        for first in 0..bits {
            datagram[first / 8] ^= 1 << (first % 8);
            for second in first + 1..bits {
                datagram[second / 8] ^= 1 << (second % 8);
                assert!(
                    !integrity::is_intact(&datagram),
                    "{name}: bits {first} and {second}"
                );
                datagram[second / 8] ^= 1 << (second % 8);
            }
            datagram[first / 8] ^= 1 << (first % 8);
        }
    }
}
