//! What went over the links: a hash of all of it, and the last of it as text.

use std::collections::VecDeque;
use std::fmt;

use crate::time::Time;

use super::HostId;
use super::random::{FNV_START, fnv1a_on};

/// Bytes of a datagram that the trace keeps: the base header and most of an ACK block.
const SEEN: usize = 64;
/// Bytes of a datagram that are hashed: the base header, whose checksum stands for all the rest.
const HASHED: usize = 32;

/// A record of every datagram sent and delivered.
///
/// Two runs with the same seed have the same hash, on every machine.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    count: u64,
    last: VecDeque<Record>,
    keep: usize,
}

/// What happened to a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Sent,
    Delivered,
}

/// One line of a trace.
#[derive(Clone, Copy, Debug)]
struct Record {
    at: Time,
    step: Step,
    from: HostId,
    to: HostId,
    len: usize,
    head: [u8; SEEN],
}

impl Trace {
    pub(super) fn new() -> Self {
        Trace {
            hash: FNV_START,
            count: 0,
            last: VecDeque::new(),
            keep: 40,
        }
    }

    /// FNV-1a (64 bits) of time, hosts, length and base header (its checksum stands for the rest) of everything sent and delivered.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Datagrams sent and delivered so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many of the latest datagrams [`fmt::Display`] shows (40 unless told; `usize::MAX`: all).
    pub fn keep(&mut self, records: usize) {
        self.keep = records;
    }

    pub(super) fn record(&mut self, at: Time, step: Step, from: HostId, to: HostId, bytes: &[u8]) {
        let seen = bytes.len().min(SEEN);
        let mut fixed = [0; 20];
        fixed[..8].copy_from_slice(&at.as_nanos().to_le_bytes());
        for (place, number) in [(8, from.0), (12, to.0), (16, bytes.len())] {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            fixed[place..place + 4].copy_from_slice(&number.to_le_bytes());
        }
        self.hash = fnv1a_on(self.hash, &fixed);
        self.hash = fnv1a_on(self.hash, &bytes[..seen.min(HASHED)]);
        self.count += 1;
        if self.keep == 0 {
            return;
        }
        if self.last.len() >= self.keep {
            self.last.pop_front();
        }
        let mut head = [0; SEEN];
        head[..seen].copy_from_slice(&bytes[..seen]);
        self.last.push_back(Record {
            at,
            step,
            from,
            to,
            len: bytes.len(),
            head,
        });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.last {
            writeln!(f, "{record}")?;
        }
        write!(f, "{} datagrams, hash {:016x}", self.count, self.hash)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Sent => "->",
            Step::Delivered => "=>",
        };
        let head = &self.head[..self.len.min(SEEN)];
        write!(
            f,
            "{:>12?} {} {step} {} {:>5} B  ",
            self.at, self.from.0, self.to.0, self.len
        )?;
        describe(f, head)
    }
}

/// What a header says, also a damaged one: nothing here trusts it.
pub(super) fn describe(f: &mut fmt::Formatter<'_>, head: &[u8]) -> fmt::Result {
    const NAMES: [&str; 10] = [
        "SYN", "SYNACK", "DATA", "ACK", "DGRAM", "RST", "PROBE", "PATH", "UNKNOWN", "?",
    ];
    let Some(header) = head.first_chunk::<32>() else {
        return write!(f, "(too short)");
    };
    let kind = match header[0] & 15 {
        15 => "VERSIONS",
        kind => NAMES
            .get(usize::from(kind).wrapping_sub(1))
            .copied()
            .unwrap_or("?"),
    };
    let flags = header[1];
    let len = u16::from_be_bytes([header[2], header[3]]);
    let (pn, offset) = (word(header, 16), long(header, 24));
    write!(
        f,
        "{kind:<7} pn {pn} at {offset} len {len} aux {}",
        u16::from_be_bytes([header[22], header[23]])
    )?;
    for (bit, name) in [
        (1, " FIN"),
        (4, " IMM"),
        (8, " PSH"),
        (0x20, " EXT"),
        (0x40, " RETX"),
    ] {
        if flags & bit != 0 {
            f.write_str(name)?;
        }
    }
    if flags & 2 != 0 && head.len() >= 60 {
        let (ack_pn, ranges, up_to, window) =
            (word(head, 32), head[38], long(head, 40), word(head, 48));
        write!(
            f,
            " | ack {ack_pn} +{ranges} ranges, to {up_to}, window {window}"
        )?;
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u32::from_be_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |word| u64::from_be_bytes(*word))
}

/// A datagram as a line of text: what its header says, or that it has none.
///
/// ```
/// use aqueduct::sim::Described;
///
/// assert_eq!(Described(&[1, 2, 3]).to_string(), "(too short)");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Described<'d>(pub &'d [u8]);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(f, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(trace: &mut Trace, at: u64, bytes: &[u8]) {
        trace.record(
            Time::from_nanos(at),
            Step::Sent,
            HostId(0),
            HostId(1),
            bytes,
        );
    }

    #[test]
    fn the_hash_sees_time_length_and_content() {
        let hash = |at, bytes: &[u8]| {
            let mut trace = Trace::new();
            record(&mut trace, at, bytes);
            trace.hash()
        };
        let base = hash(1, &[0; 100]);
        assert_eq!(base, hash(1, &[0; 100]));
        assert_ne!(base, hash(2, &[0; 100]));
        assert_ne!(base, hash(1, &[0; 101]));
        assert_ne!(base, hash(1, &[1; 100]));
        assert_ne!(hash(1, &[0; 10]), hash(1, &[1; 10]), "short ones too");
    }

    #[test]
    fn only_the_latest_lines_are_kept() {
        let mut trace = Trace::new();
        trace.keep(2);
        for at in 0..5 {
            record(&mut trace, at, &[0; 40]);
        }
        assert_eq!(trace.to_string().lines().count(), 3, "{trace}");
        assert_eq!(trace.count(), 5);
    }

    #[test]
    fn any_bytes_can_be_described() {
        for len in 0..SEEN {
            for byte in 0..=255 {
                assert!(!Described(&vec![byte; len]).to_string().is_empty());
            }
        }
    }
}
