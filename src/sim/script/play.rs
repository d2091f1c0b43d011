//! Plays the lines of a script against the device.

use crate::time::Time;

use super::Report;
use super::build::{Peer, address};
use super::device::{Device, Sent};
use super::line::{Action, Line, When};
use super::notation::Notation;

/// How early or late a packet may be.
const TOLERANCE: std::time::Duration = std::time::Duration::from_micros(10);

/// A script being played.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) device: Device,
    pub(super) peers: Vec<Peer>,
    ignored: Vec<Notation>,
    /// The time of the line before.
    last: Time,
    log: Vec<String>,
    report: Report,
}

impl Player {
    pub(super) fn new() -> Self {
        let device = Device::new();
        Player {
            last: device.now,
            device,
            peers: vec![Peer::new(1)],
            ignored: Vec::new(),
            log: Vec::new(),
            report: Report::default(),
        }
    }

    /// The packets so far.
    pub(super) fn log(&self) -> &[String] {
        &self.log
    }

    pub(super) fn play(&mut self, line: &Line) -> Result<(), String> {
        let (from, to) = match line.when {
            When::Absolute(from, to) => (Device::at(from), Device::at(to)),
            When::Relative(from, to) => (self.last + from, self.last + to),
        };
        if let Action::Expect(packet) = &line.action {
            return self.expect(packet, from, to);
        }
        if from != to {
            return Err("only what the endpoint sends may have a span of time".to_owned());
        }
        if from < self.device.now {
            return Err(format!(
                "the time is {:?} already",
                Device::since_start(self.device.now)
            ));
        }
        self.device.advance(from)?;
        self.last = from;
        match &line.action {
            Action::Inject(packet) => self.inject(packet),
            Action::Verb(words) => self.verb(words),
            Action::Expect(_) => Ok(()),
        }
    }

    /// Nothing may be left over.
    pub(super) fn finish(&mut self) -> Result<Report, String> {
        self.nothing_waits()?;
        Ok(self.report)
    }

    fn inject(&mut self, packet: &Notation) -> Result<(), String> {
        self.nothing_waits()?;
        let from = address(packet.field("from").unwrap_or("a"))?;
        let bytes = self.peer(packet)?.build(packet)?;
        self.log.push(format!(
            "{:?} < {packet}",
            Device::since_start(self.device.now)
        ));
        self.report.injected += 1;
        self.device.receive(from, &bytes)?;
        self.match_lines();
        Ok(())
    }

    /// The peer of a packet's connection; a new one if the script never spoke of it.
    fn peer(&mut self, packet: &Notation) -> Result<&mut Peer, String> {
        let number = packet.number::<usize>("conn")?.unwrap_or(1);
        if !(1..=99).contains(&number) {
            return Err("connections have numbers from 1 to 99".to_owned());
        }
        while self.peers.len() < number {
            let next = u64::try_from(self.peers.len() + 1).expect("at most 99");
            self.peers.push(Peer::new(next));
        }
        Ok(&mut self.peers[number - 1])
    }

    /// Finds out which connection of the device belongs to which peer.
    fn match_lines(&mut self) {
        for (index, line) in self.device.lines.iter().enumerate() {
            let cid = line.core.peer_cid();
            for peer in self.peers.iter_mut().filter(|peer| Some(peer.cid) == cid) {
                peer.line = Some(index);
            }
        }
    }

    fn expect(&mut self, packet: &Notation, from: Time, to: Time) -> Result<(), String> {
        let to = to + TOLERANCE;
        loop {
            while let Some((sent, seen)) = self.next_sent()? {
                if self.is_ignored(&seen) && packet.matches(&seen).is_err() {
                    continue;
                }
                packet
                    .matches(&seen)
                    .map_err(|what| format!("{what}\n  it sent {seen}"))?;
                if sent.at + TOLERANCE < from || sent.at > to {
                    return Err(format!("it came at {:?}", Device::since_start(sent.at)));
                }
                self.last = sent.at;
                return Ok(());
            }
            match self.device.deadline() {
                Some(due) if due <= to => self.device.advance(due)?,
                _ => return Err("it was not sent".to_owned()),
            }
        }
    }

    /// The next packet that the endpoint sent, as a notation.
    fn next_sent(&mut self) -> Result<Option<(Sent, Notation)>, String> {
        let Some(sent) = self.device.sent.pop_front() else {
            return Ok(None);
        };
        let number = self.receiver(&sent);
        let mut seen = self.peers[number].read(sent.to, &sent.bytes)?;
        if self.peers.len() > 1 {
            seen.set("conn", number + 1);
        }
        self.log
            .push(format!("{:?} > {seen}", Device::since_start(sent.at)));
        self.report.emitted += 1;
        Ok(Some((sent, seen)))
    }

    /// Whom a packet is for; one with an unknown id goes to the first.
    fn receiver(&self, sent: &Sent) -> usize {
        let dcid = crate::wire::glance(&sent.bytes)
            .ok()
            .and_then(|glance| glance.dcid);
        self.peers
            .iter()
            .position(|peer| Some(peer.cid) == dcid)
            .unwrap_or(0)
    }

    fn is_ignored(&self, seen: &Notation) -> bool {
        self.ignored
            .iter()
            .any(|ignored| ignored.covers(seen).is_ok())
    }

    pub(super) fn ignore(&mut self, packet: Option<Notation>) {
        match packet {
            Some(packet) => self.ignored.push(packet),
            None => self.ignored.clear(),
        }
    }

    /// Every packet so far must have been expected.
    pub(super) fn nothing_waits(&mut self) -> Result<(), String> {
        while let Some((sent, seen)) = self.next_sent()? {
            if !self.is_ignored(&seen) {
                let at = Device::since_start(sent.at);
                return Err(format!("at {at:?} it sent, unexpected: {seen}"));
            }
        }
        Ok(())
    }
}
