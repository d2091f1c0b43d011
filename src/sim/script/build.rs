//! From notation to bytes: the packets that the script's peer sends.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::sim::content;
use crate::wire::{
    AckFields, ConnectionId, Flags, Kind, Offset, Opening, Options, PacketBuilder, PacketNumber,
    Window, integrity,
};

use super::line::parse_seconds;
use super::notation::Notation;
use super::numbers::Numbers;

/// The stream whose content the endpoint writes, and the one that the script's peer writes.
pub(super) const OURS: u64 = 1;
pub(super) const THEIRS: u64 = 2;
/// The first packet number of the script's peer.
pub(super) const FIRST: u64 = 1_000;
/// The cookie of a script that plays the server.
const COOKIE: [u8; 16] = *b"a script's proof";
/// The largest datagram that a script can write.
const DATAGRAM: usize = 65_507;

/// What the script's peer knows of one connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) cid: ConnectionId,
    /// The endpoint's connection of this peer, in order of creation.
    pub(super) line: Option<usize>,
    pub(super) their_cid: Option<ConnectionId>,
    pub(super) their_first: Option<PacketNumber>,
    pub(super) their_clock: u32,
    pub(super) their_service: u64,
    pub(super) cookie: Vec<u8>,
    pub(super) challenge: u64,
    pub(super) next: u64,
    pub(super) numbers: Numbers,
    up: u64,
    credit: u64,
    unread: u32,
    acks: u64,
}

impl Peer {
    pub(super) fn new(number: u64) -> Self {
        Peer {
            cid: ConnectionId::new(0xC11E_4700_0000_0000 + number).expect("not 0"),
            line: None,
            their_cid: None,
            their_first: None,
            their_clock: 0,
            their_service: 0,
            cookie: COOKIE.to_vec(),
            challenge: 0,
            next: 0,
            numbers: Numbers::default(),
            up: 0,
            credit: 65_536,
            unread: 0,
            acks: 0,
        }
    }

    /// The datagram that a notation means.
    pub(super) fn build(&mut self, packet: &Notation) -> Result<Vec<u8>, String> {
        if packet.kind == "raw" {
            return parse_hex(&packet.argument);
        }
        if packet.kind == "zeros" {
            let len = packet
                .argument
                .parse()
                .map_err(|_| "no number of zeros".to_owned())?;
            return Ok(vec![0; len]);
        }
        let mut bytes = vec![0; DATAGRAM];
        let len = self.write(packet, &mut bytes)?;
        bytes.truncate(len);
        self.patch(packet, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, packet: &Notation, bytes: &mut [u8]) -> Result<usize, String> {
        let kind = kind_of(&packet.kind)?;
        let pn = self.number_for(packet, kind)?;
        let number = PacketNumber::new(pn);
        let dcid = self.dcid(packet, kind)?;
        let cookie = self.cookie_for(packet);
        let mut builder = PacketBuilder::new(bytes, kind, dcid, number);
        builder.flags(Flags {
            fin: packet.has("F"),
            imm: packet.has("I"),
            push: packet.has("H"),
            retransmitted: packet.has("X"),
        });
        match kind {
            Kind::Syn | Kind::SynAck => builder.opening(&self.opening(packet, kind)?),
            Kind::Data => {
                let (start, _) = data_range(packet)?;
                builder.offset(start);
                let tracked = packet.number::<u64>("tracked")?.unwrap_or(0);
                builder.aux(u16::try_from(pn - (FIRST + tracked).min(pn)).unwrap_or(u16::MAX));
            }
            Kind::Ack => {
                self.acks = packet.number("num")?.unwrap_or(self.acks + 1);
                builder.offset(self.acks);
            }
            Kind::Rst => {
                builder.aux(packet.number("code")?.unwrap_or(0));
                builder.offset(packet.number("highest")?.unwrap_or(0));
            }
            Kind::Probe => builder.aux(u16::from(packet.kind == "PM")),
            Kind::Path => {
                builder.aux(u16::from(packet.kind == "PR"));
                builder.offset(packet.number("nonce")?.unwrap_or(self.challenge));
            }
            _ => {}
        }
        if packet.field("ack").is_some() || kind == Kind::Ack {
            let (fields, ranges) = self.ack(packet)?;
            builder.ack(&fields, ranges.into_iter(), 0);
        }
        builder.options(&Options {
            cookie: cookie.as_deref(),
            grease: packet.has("unknown"),
            ..Options::default()
        });
        if kind == Kind::Data || packet.range.is_some() {
            let (start, end) = data_range(packet)?;
            let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
            if len > builder.room() {
                return Err(format!("{len} bytes do not fit a datagram"));
            }
            let mut payload = vec![0; len];
            content::fill(
                packet.number("content")?.unwrap_or(THEIRS),
                start,
                &mut payload,
            );
            builder.payload(&payload);
        }
        builder.pad_to(packet.number("size")?.unwrap_or(0));
        Ok(builder.finish())
    }

    /// What no honest sender would write.
    fn patch(&mut self, packet: &Notation, bytes: &mut Vec<u8>) -> Result<(), String> {
        if let Some(version) = packet.number::<u8>("version")? {
            bytes[0] = (version << 4) | (bytes[0] & 15);
            self.seal(bytes);
        }
        if packet.has("critical") {
            let end = usize::from(bytes[20]) * 4;
            bytes.splice(end..end, [0xFA, 2, 0, 0]);
            bytes[20] += 1;
            if bytes[0] & 15 != 1 {
                bytes[1] |= 0x20;
            } else {
                bytes.truncate(bytes.len() - 4);
            }
            self.seal(bytes);
        }
        if packet.has("reserved") {
            bytes[1] |= 0x80;
            self.seal(bytes);
        }
        if let Some(bit) = packet.number::<usize>("flip")? {
            let byte = bytes.get_mut(bit / 8).ok_or("no such bit")?;
            *byte ^= 1 << (bit % 8);
        }
        Ok(())
    }

    fn seal(&self, bytes: &mut [u8]) {
        let sum = integrity::checksum(bytes);
        bytes[4..8].copy_from_slice(&sum.to_be_bytes());
    }

    fn number_for(&mut self, packet: &Notation, kind: Kind) -> Result<u64, String> {
        let is_numbered = matches!(kind, Kind::Data | Kind::Dgram | Kind::Probe | Kind::Path);
        if kind == Kind::Syn || kind == Kind::SynAck {
            return Ok(FIRST);
        }
        if packet.field("pn") == Some("echo") {
            return self
                .their_first
                .map(PacketNumber::get)
                .ok_or_else(nothing_sent);
        }
        let wanted: Option<i64> = packet.number("pn")?;
        if kind == Kind::Unknown {
            let first = self.their_first.ok_or_else(nothing_sent)?;
            let distance = self.numbers.distance(wanted.unwrap_or(0));
            return Ok(first.get().wrapping_add_signed(distance));
        }
        let relative = wanted.unwrap_or_else(|| i64::try_from(self.next).unwrap_or(0));
        if is_numbered {
            self.next = self.next.max(u64::try_from(relative + 1).unwrap_or(0));
        }
        FIRST
            .checked_add_signed(relative)
            .ok_or_else(|| "no packet number".to_owned())
    }

    fn dcid(&self, packet: &Notation, kind: Kind) -> Result<Option<ConnectionId>, String> {
        match packet.field("cid") {
            Some("wrong") => return Ok(ConnectionId::new(0xBAD0_BAD0_BAD0_BAD0)),
            Some(other) => return Err(format!("cid {other}: only `wrong` is known")),
            None if kind == Kind::Syn => return Ok(None),
            // It repeats the id that the endpoint's packet was for.
            None if kind == Kind::Unknown => return Ok(Some(self.cid)),
            None => {}
        }
        self.their_cid
            .map(Some)
            .ok_or_else(|| "the endpoint has named no connection".to_owned())
    }

    fn cookie_for(&self, packet: &Notation) -> Option<Vec<u8>> {
        let wanted = packet.field("cookie");
        let is_due = wanted.is_some() || packet.kind == "SA";
        let mut cookie = is_due.then(|| self.cookie.clone())?;
        if wanted == Some("flip") {
            let middle = cookie.len() / 2;
            cookie[middle] ^= 4;
        }
        Some(cookie)
    }

    fn opening(&self, packet: &Notation, kind: Kind) -> Result<Opening, String> {
        let clock = match (packet.field("clock"), kind) {
            (Some("wrong"), _) => self.their_clock ^ 0x5555,
            (Some(_), _) => packet.number("clock")?.unwrap_or(0),
            (None, Kind::SynAck) => self.their_clock,
            (None, _) => 77,
        };
        Ok(Opening {
            cid: self.cid,
            max_datagram: packet.number("maxdg")?.unwrap_or(1_472),
            window: Window::saturating(packet.number("win")?.unwrap_or(self.credit)),
            clock,
            service: packet.number("service")?.unwrap_or(self.their_service),
        })
    }

    fn ack(
        &mut self,
        packet: &Notation,
    ) -> Result<(AckFields, Vec<RangeInclusive<PacketNumber>>), String> {
        self.up = packet.number("up")?.unwrap_or(self.up);
        self.credit = packet.number("cr")?.unwrap_or(self.credit);
        self.unread = packet.number("unread")?.unwrap_or(0);
        let fields = AckFields {
            delay: packet
                .field("delay")
                .map_or(Ok(Duration::ZERO), parse_seconds)?,
            dropped: packet.has("dropped"),
            ack_offset: Offset::new(self.up),
            window: Window::saturating(self.credit.saturating_sub(self.up)),
            unread: self.unread,
            ecn: None,
        };
        let first = self.their_first.ok_or_else(nothing_sent)?.get();
        let last = self.numbers.count() - 1;
        let mut ranges = match packet.field("ack") {
            Some("none") => vec![(-1, -1)],
            Some("all") | None => self.numbers.ranges(last.min(0), last),
            Some("every") => vec![(-1, self.numbers.distance(last))],
            Some(list) => parse_ranges(list)?
                .into_iter()
                .flat_map(|(low, high)| self.numbers.ranges(low, high))
                .collect(),
        };
        ranges.sort_unstable_by(|a, b| b.cmp(a));
        let absolute = |n: i64| PacketNumber::new(first.wrapping_add_signed(n));
        let ranges = ranges
            .into_iter()
            .map(|(low, high)| absolute(low)..=absolute(high));
        Ok((fields, ranges.collect()))
    }
}

/// The address that a script calls so: a letter for the host, a digit for the port.
pub(super) fn address(name: &str) -> Result<SocketAddr, String> {
    let bytes = name.as_bytes();
    let host = bytes.first().filter(|byte| byte.is_ascii_lowercase());
    let port = match bytes.get(1) {
        None => Some(1),
        Some(digit) => char::from(*digit)
            .to_digit(10)
            .and_then(|digit| u16::try_from(digit).ok()),
    };
    match (host, port, bytes.len()) {
        (Some(host), Some(port), 1 | 2) => Ok(SocketAddr::from((
            [192, 0, 2, host - b'a' + 1],
            40_000 + port,
        ))),
        _ => Err(format!(
            "{name} is no address: a letter, and a digit perhaps"
        )),
    }
}

fn kind_of(name: &str) -> Result<Kind, String> {
    Ok(match name {
        "S" => Kind::Syn,
        "SA" => Kind::SynAck,
        "D" => Kind::Data,
        "A" => Kind::Ack,
        "G" => Kind::Dgram,
        "R" => Kind::Rst,
        "P" | "PM" => Kind::Probe,
        "PC" | "PR" => Kind::Path,
        "U" => Kind::Unknown,
        _ => return Err(format!("{name} cannot be injected")),
    })
}

fn data_range(packet: &Notation) -> Result<(u64, u64), String> {
    let (start, end) = packet
        .range
        .clone()
        .ok_or("DATA needs its bytes, as 0:100")?;
    let parse = |text: String| text.parse().map_err(|_| format!("{text} is no offset"));
    Ok((parse(start)?, parse(end)?))
}

fn nothing_sent() -> String {
    "the endpoint has sent nothing".to_owned()
}

fn parse_ranges(list: &str) -> Result<Vec<(i64, i64)>, String> {
    let number = |text: &str| {
        text.parse::<i64>()
            .map_err(|_| format!("{text} is no number"))
    };
    let range = |part: &str| match part.split_once('-') {
        Some((low, high)) => Ok((number(low)?, number(high)?)),
        None => number(part).map(|only| (only, only)),
    };
    list.split(',').map(range).collect()
}

fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.ok_or_else(|| format!("{text} is not hexadecimal"))?;
    Ok(digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Body};

    #[test]
    fn ranges_are_read_lowest_first() {
        assert_eq!(parse_ranges("0-3,5"), Ok(vec![(0, 3), (5, 5)]));
    }

    #[test]
    fn hexadecimal_becomes_bytes() {
        assert_eq!(parse_hex("00fF10"), Ok(vec![0, 255, 16]));
        assert!(parse_hex("0g").is_err());
    }

    #[test]
    fn what_is_built_reads_as_it_was_written() {
        let mut peer = Peer::new(1);
        peer.their_cid = ConnectionId::new(9);
        peer.their_first = Some(PacketNumber::new(500));
        let words: Vec<String> = "D 10:30 F ack 0-3,5 up 7 cr 100 cookie"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let bytes = peer
            .build(&Notation::parse(&words).expect("a packet"))
            .expect("built");
        let packet = wire::decode(&bytes).expect("well-formed");
        let ack = packet.ack.expect("an ACK block");
        assert_eq!(
            (ack.fields.ack_offset.get(), ack.fields.window.get()),
            (7, 93)
        );
        assert!(packet.flags.fin && packet.options.cookie == Some(&COOKIE[..]));
        let Body::Data(data) = packet.body else {
            panic!("DATA");
        };
        assert_eq!(content::mismatch(THEIRS, 10, data.payload), None);
        let first = PacketNumber::new(500);
        let ranges = ack.expand(PacketNumber::new(505), first).expect("valid");
        assert_eq!(ranges.iter().count(), 2);
    }
}
