//! From bytes to notation: the packets that the endpoint sent, as a script would write them.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use crate::error::ResetCode;
use crate::sim::content;
use crate::wire::{self, Body, Flags, Packet, PacketNumber, PathMessage, ProbeKind, integrity};

use super::build::{FIRST, OURS, Peer, address};
use super::notation::Notation;

impl Peer {
    /// The notation of a packet that the endpoint sent; learns from it what a peer learns.
    pub(super) fn read(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<Notation, String> {
        if !integrity::is_intact(bytes) {
            return Err("sent a wrong checksum".to_owned());
        }
        // VERSIONS carries the version of the SYN that it answers, whatever that is.
        if bytes.first().is_some_and(|first| first & 15 == 15) {
            let mut sent = Notation::new("V");
            sent.set("size", bytes.len());
            sent.set("to", name_of_address(to));
            return Ok(sent);
        }
        let packet = wire::decode(bytes).map_err(|error| format!("sent garbage: {error}"))?;
        let mut sent = Notation::new(name_of(&packet));
        if let Body::Data(data) = &packet.body {
            let end = data.offset.plus_len(data.payload.len()).get();
            sent.range = Some((data.offset.get().to_string(), end.to_string()));
            if content::mismatch(OURS, data.offset.get(), data.payload).is_some() {
                return Err(format!(
                    "bytes {}:{end} are not what was written",
                    data.offset.get()
                ));
            }
        }
        let Flags {
            fin,
            imm,
            push,
            retransmitted,
        } = packet.flags;
        for (flag, is_set) in [("F", fin), ("I", imm), ("H", push), ("X", retransmitted)] {
            sent.set_flag(flag, is_set);
        }
        self.learn(&packet);
        self.describe(&packet, &mut sent);
        sent.set("size", bytes.len());
        sent.set("to", name_of_address(to));
        Ok(sent)
    }

    fn learn(&mut self, packet: &Packet<'_>) {
        if let Body::Syn(opening) | Body::SynAck(opening) = &packet.body {
            self.their_cid = Some(opening.cid);
            self.their_clock = opening.clock;
            self.their_service = opening.service;
            self.their_first = Some(packet.pn.expand(PacketNumber::new(0)));
            if let Some(cookie) = packet.options.cookie {
                self.cookie = cookie.to_vec();
            }
        }
        if let Body::Path(PathMessage::Challenge(nonce)) = packet.body {
            self.challenge = nonce;
        }
        let is_numbered = matches!(
            packet.body,
            Body::Data(_) | Body::Dgram { .. } | Body::Probe(_) | Body::Path(_)
        );
        if let (true, Some(distance)) = (is_numbered, self.distance(packet)) {
            self.numbers.note(distance);
        }
    }

    /// How far the number of a packet of the endpoint is above its first.
    fn distance(&self, packet: &Packet<'_>) -> Option<u64> {
        let first = self.their_first?;
        packet.pn.expand(first).get().checked_sub(first.get())
    }

    fn describe(&self, packet: &Packet<'_>, sent: &mut Notation) {
        match &packet.body {
            Body::Syn(opening) | Body::SynAck(opening) => {
                sent.set("win", opening.window.get());
                sent.set("maxdg", opening.max_datagram);
                sent.set("service", opening.service);
                sent.set("clock", opening.clock);
            }
            Body::Unknown => {
                let relative = u64::from(packet.pn.get()).checked_sub(FIRST);
                sent.set("pn", relative.map_or("-".to_owned(), |pn| pn.to_string()));
            }
            _ => {
                if let Some(distance) = self.distance(packet) {
                    sent.set("pn", self.numbers.place(distance));
                    if let Body::Data(data) = &packet.body {
                        let tracked = distance.saturating_sub(u64::from(data.tracked));
                        sent.set("tracked", self.numbers.place(tracked));
                    }
                }
            }
        }
        match &packet.body {
            Body::Ack { number } => sent.set("num", number),
            Body::Rst { code, highest } => {
                sent.set("code", ResetCode::get(*code));
                sent.set("highest", highest.get());
            }
            Body::Path(PathMessage::Challenge(nonce) | PathMessage::Response(nonce)) => {
                sent.set("nonce", nonce);
            }
            _ => {}
        }
        if packet.options.cookie.is_some() {
            sent.set("cookie", "*");
        }
        self.describe_ack(packet, sent);
    }

    fn describe_ack(&self, packet: &Packet<'_>, sent: &mut Notation) {
        let Some(ack) = &packet.ack else {
            return;
        };
        let first = PacketNumber::new(FIRST);
        let ranges = ack.expand(PacketNumber::new(FIRST + self.next), first);
        sent.set(
            "ack",
            ranges.map_or("invalid".to_owned(), |ranges| write_ranges(ranges.iter())),
        );
        let up = ack.fields.ack_offset.get();
        sent.set("up", up);
        sent.set("cr", up + u64::from(ack.fields.window.get()));
        sent.set("unread", ack.fields.unread);
        sent.set("delay", ack.fields.delay.as_secs_f64());
        sent.set_flag("dropped", ack.fields.dropped);
    }
}

fn name_of_address(wanted: SocketAddr) -> String {
    let names = ('a'..='z').flat_map(|host| {
        let ports = (0..=9).map(move |port| format!("{host}{port}"));
        std::iter::once(host.to_string()).chain(ports)
    });
    let mut names = names.filter(|name| address(name) == Ok(wanted));
    names.next().unwrap_or_else(|| wanted.to_string())
}

fn name_of(packet: &Packet<'_>) -> &'static str {
    match &packet.body {
        Body::Syn(_) => "S",
        Body::SynAck(_) => "SA",
        Body::Data(_) => "D",
        Body::Ack { .. } => "A",
        Body::Dgram { .. } => "G",
        Body::Rst { .. } => "R",
        Body::Probe(ProbeKind::Liveness) => "P",
        Body::Probe(ProbeKind::Mtu) => "PM",
        Body::Path(PathMessage::Challenge(_)) => "PC",
        Body::Path(PathMessage::Response(_)) => "PR",
        Body::Unknown => "U",
        Body::Versions(_) => "V",
    }
}

fn write_ranges(ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>) -> String {
    let mut parts: Vec<String> = ranges
        .filter_map(|range| {
            let high = range.end().get().checked_sub(FIRST)?;
            // The number before the first counts as received, and says nothing.
            let low = range.start().get().max(FIRST) - FIRST;
            Some(if low == high {
                format!("{low}")
            } else {
                format!("{low}-{high}")
            })
        })
        .collect();
    parts.reverse();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names() {
        for name in ["a", "a2", "b", "z9"] {
            assert_eq!(name_of_address(address(name).expect("an address")), name);
        }
        assert!(address("A").is_err() && address("a22").is_err() && address("").is_err());
    }

    #[test]
    fn ranges_are_written_lowest_first() {
        let number = |n| PacketNumber::new(FIRST + n);
        let written = write_ranges([number(7)..=number(9), number(0)..=number(4)].into_iter());
        assert_eq!(written, "0-4,7-9");
        let nothing = PacketNumber::new(FIRST - 1);
        assert_eq!(write_ranges(std::iter::once(nothing..=nothing)), "none");
    }
}
