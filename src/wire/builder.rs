//! Writes one packet into the caller's buffer; never allocates.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::layout::{
    ACK_LEN, BASE_LEN, DELAY_UNIT, ECN_LEN, OPENING_LEN, RANGE_LEN, WORD, ack_flag, at, flag,
    option,
};
use super::{
    AckFields, ConnectionId, EcnCounts, Flags, Kind, Opening, Options, PacketNumber,
    TruncatedNumber, VERSION, integrity,
};
use crate::limits::{ACK_RANGES_ENCODE_MAX, COOKIE_BYTES_MAX, SYN_BYTES};

/// A packet under construction. Order: header fields, opening, ack, options, payload, finish.
///
/// What it writes can be decoded; a call that would break that (a payload in an ACK, an ACK block in a
/// SYN, the parts in another order) is a mistake of the caller, which debug builds assert.
///
/// ```
/// use aqueduct::wire::{AckFields, ConnectionId, Kind, Offset, PacketBuilder, PacketNumber, Window};
///
/// let mut buffer = [0; 1200];
/// let dcid = ConnectionId::new(42);
/// let mut packet = PacketBuilder::new(&mut buffer, Kind::Ack, dcid, PacketNumber::new(9));
/// packet.offset(1);
/// let fields = AckFields {
///     delay: std::time::Duration::ZERO,
///     dropped: false,
///     ack_offset: Offset::new(500),
///     window: Window::new(65_536),
///     unread: 0,
///     ecn: None,
/// };
/// let received = [PacketNumber::new(5)..=PacketNumber::new(8)];
/// packet.ack(&fields, received.into_iter(), 0);
/// assert_eq!(packet.finish(), 32 + 28);
/// ```
#[derive(Debug)]
pub struct PacketBuilder<'b> {
    buffer: &'b mut [u8],
    kind: Kind,
    version: u8,
    flags: u8,
    dcid: u64,
    pn: TruncatedNumber,
    aux: u16,
    offset: u64,
    /// Bytes written so far, the base header included, which `finish` fills.
    len: usize,
    /// Where the header ends; the end of what is written until there is a payload or padding.
    header_len: usize,
    payload_len: usize,
}

impl<'b> PacketBuilder<'b> {
    /// Begins a packet of this kind in `buffer`, whose length is the most that the datagram may have.
    ///
    /// `pn` is a [`PacketNumber`], or a [`TruncatedNumber`] where an answer repeats one that it got.
    ///
    /// # Panics
    /// If the buffer is shorter than what is written into it: here and in every method below.
    pub fn new(
        buffer: &'b mut [u8],
        kind: Kind,
        dcid: Option<ConnectionId>,
        pn: impl Into<TruncatedNumber>,
    ) -> Self {
        debug_assert_eq!(
            dcid.is_none(),
            kind == Kind::Syn,
            "every packet but a SYN has a receiver's id"
        );
        PacketBuilder {
            buffer,
            kind,
            version: VERSION,
            flags: 0,
            dcid: dcid.map_or(0, ConnectionId::get),
            pn: pn.into(),
            aux: 0,
            offset: 0,
            len: BASE_LEN,
            header_len: BASE_LEN,
            payload_len: 0,
        }
    }

    /// Another version than this crate's: only for VERSIONS, which carries that of its SYN.
    pub fn version(&mut self, version: u8) {
        debug_assert!(
            version == VERSION || self.kind == Kind::Versions,
            "only VERSIONS speaks for another version"
        );
        debug_assert!(version < 16, "a version has four bits");
        self.version = version;
    }

    /// Sets flags.
    pub fn flags(&mut self, flags: Flags) {
        debug_assert!(
            self.kind == Kind::Data || !(flags.fin || flags.push),
            "only DATA has FIN and PSH"
        );
        self.set_flag(flag::FIN, flags.fin);
        self.set_flag(flag::IMM, flags.imm);
        self.set_flag(flag::PSH, flags.push);
        self.set_flag(flag::RETX, flags.retransmitted);
    }

    /// Sets the bit that receivers ignore; senders set it at random, so that they keep ignoring it.
    pub fn reserved_bit(&mut self, set: bool) {
        self.set_flag(flag::RESERVED, set);
    }

    /// Sets the field whose meaning depends on the kind.
    pub fn aux(&mut self, aux: u16) {
        self.aux = aux;
    }

    /// Sets the offset field.
    pub fn offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The fixed part of SYN and SYNACK (own cid, datagram limit, window, clock, service).
    pub fn opening(&mut self, opening: &Opening) {
        debug_assert!(self.kind.is_opening(), "only SYN and SYNACK open");
        debug_assert_eq!(self.len, BASE_LEN, "the opening follows the base header");
        self.offset(opening.cid.get());
        self.aux(opening.max_datagram);
        let part: &mut [u8] = self.extend_header(OPENING_LEN);
        part[..4].copy_from_slice(&opening.window.get().to_be_bytes());
        part[4..8].copy_from_slice(&opening.clock.to_be_bytes());
        part[8..].copy_from_slice(&opening.service.to_be_bytes());
    }

    /// An ACK block. `ranges`: the numbers received, highest range first, at least one; only as many of
    /// the further ones are written as `ACK_RANGES_ENCODE_MAX` and the buffer allow, leaving `reserve` bytes.
    ///
    /// # Panics
    /// If there is no range.
    pub fn ack(
        &mut self,
        fields: &AckFields,
        mut ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>,
        reserve: usize,
    ) {
        debug_assert!(self.kind.may_carry_ack(), "this kind carries no ACK block");
        debug_assert!(
            u64::from(fields.unread) <= fields.ack_offset.get(),
            "what is unread was received"
        );
        let top = ranges.next().expect("an ACK block has a range");
        let ecn_len = fields.ecn.map_or(0, |_| ECN_LEN);
        self.set_flag(flag::ACK, true);
        let block_at = self.len;
        self.extend_header(ACK_LEN);
        let (run, is_whole) = count_below(&top);
        let spare = self.room().saturating_sub(ecn_len + reserve);
        let count = match is_whole {
            true => self.further_ranges(*top.start(), ranges, spare / RANGE_LEN),
            // A run that is cut hides where it begins: nothing can follow.
            false => 0,
        };
        if let Some(counts) = fields.ecn {
            self.ecn_counts(counts);
        }

        let block = &mut self.buffer[block_at..block_at + ACK_LEN];
        block[..4].copy_from_slice(&top.end().truncate().get().to_be_bytes());
        block[4..6].copy_from_slice(&delay_units(fields.delay).to_be_bytes());
        block[6] = count;
        block[7] = ack_flags(fields);
        block[8..16].copy_from_slice(&fields.ack_offset.get().to_be_bytes());
        block[16..20].copy_from_slice(&fields.window.get().to_be_bytes());
        block[20..24].copy_from_slice(&fields.unread.to_be_bytes());
        block[24..].copy_from_slice(&run.to_be_bytes());
    }

    /// Options.
    ///
    /// # Panics
    /// If a cookie or token is longer than `COOKIE_BYTES_MAX`.
    pub fn options(&mut self, options: &Options<'_>) {
        let begin = self.len;
        if let Some(cookie) = options.cookie {
            self.opaque(option::COOKIE, cookie);
        }
        if let Some(token) = options.token {
            self.opaque(option::TOKEN, token);
        }
        if let Some(delay) = options.max_ack_delay {
            self.option(option::MAX_ACK_DELAY, &saturate(delay.as_micros()));
        }
        if let Some(timeout) = options.idle_timeout {
            self.option(option::IDLE_TIMEOUT, &saturate(timeout.as_millis()));
        }
        if let Some(bytes) = options.dgram_max {
            self.option(option::DGRAM_MAX, &bytes.to_be_bytes());
        }
        if let Some(bits) = options.features {
            self.option(option::FEATURES, &bits.to_be_bytes());
        }
        if let Some(incarnation) = options.incarnation {
            self.option(option::INCARNATION, &incarnation.to_be_bytes());
        }
        if options.grease {
            self.option(option::GREASE, &[]);
        }
        let len = self.len - begin;
        self.extend_header(len.next_multiple_of(WORD) - len).fill(0);
        self.set_flag(flag::EXT, len > 0 && !self.kind.is_opening());
    }

    /// Bytes that a payload may still have. The header is complete after this: no more options or ACK.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// Appends to the payload.
    pub fn payload(&mut self, data: &[u8]) {
        debug_assert!(
            data.is_empty() || self.kind.may_carry_payload(),
            "this kind has no payload"
        );
        debug_assert_eq!(
            self.len,
            self.header_len + self.payload_len,
            "no payload behind the padding"
        );
        self.buffer[self.len..self.len + data.len()].copy_from_slice(data);
        self.len += data.len();
        self.payload_len += data.len();
    }

    /// Zero padding up to a datagram of `len` bytes; nothing if it is longer already.
    pub fn pad_to(&mut self, len: usize) {
        if len > self.len {
            self.buffer[self.len..len].fill(0);
            self.len = len;
        }
    }

    /// Writes lengths and checksum; the length of the datagram. A SYN is padded to its least length.
    ///
    /// # Panics
    /// If the payload is longer than a datagram can be.
    pub fn finish(mut self) -> usize {
        if self.kind == Kind::Syn {
            self.pad_to(SYN_BYTES);
        }
        debug_assert!(
            self.kind != Kind::Ack || self.flags & flag::ACK != 0,
            "an ACK has an ACK block"
        );
        debug_assert!(
            !self.kind.is_opening() || self.header_len >= BASE_LEN + OPENING_LEN,
            "SYN and SYNACK have an opening"
        );
        let base = self.base();
        let datagram = &mut self.buffer[..self.len];
        datagram[..BASE_LEN].copy_from_slice(&base);
        let checksum = integrity::checksum(datagram).to_be_bytes();
        datagram[at::CHECKSUM..at::DCID].copy_from_slice(&checksum);
        self.len
    }

    /// The base header, its checksum still zero.
    fn base(&self) -> [u8; BASE_LEN] {
        let words = u8::try_from(self.header_len / WORD).expect("all parts together fit a header");
        let payload_len = u16::try_from(self.payload_len).expect("a payload fits a datagram");
        let mut base = [0; BASE_LEN];
        base[at::VERSION_TYPE] = (self.version << 4) | self.kind.bits();
        base[at::FLAGS] = self.flags;
        base[at::PAYLOAD_LEN..at::CHECKSUM].copy_from_slice(&payload_len.to_be_bytes());
        base[at::DCID..at::PN].copy_from_slice(&self.dcid.to_be_bytes());
        base[at::PN..at::HEADER_WORDS].copy_from_slice(&self.pn.get().to_be_bytes());
        base[at::HEADER_WORDS] = words;
        base[at::AUX..at::OFFSET].copy_from_slice(&self.aux.to_be_bytes());
        base[at::OFFSET..].copy_from_slice(&self.offset.to_be_bytes());
        base
    }

    /// Writes up to `max` ranges that lie below `start`; how many.
    fn further_ranges(
        &mut self,
        mut start: PacketNumber,
        ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>,
        max: usize,
    ) -> u8 {
        let mut count = 0;
        for range in ranges.take(max.min(ACK_RANGES_ENCODE_MAX)) {
            debug_assert!(
                range.end().plus(1) < start && range.start() <= range.end(),
                "ranges go down, with a gap between any two"
            );
            let gap = start.since(*range.end()).checked_sub(2).map(u32::try_from);
            // Too far below to be said, and so is all that follows.
            let Some(Ok(gap)) = gap else { break };
            let (len, is_whole) = count_below(&range);
            let part = self.extend_header(RANGE_LEN);
            part[..4].copy_from_slice(&gap.to_be_bytes());
            part[4..].copy_from_slice(&len.to_be_bytes());
            count += 1;
            start = *range.start();
            if !is_whole {
                break;
            }
        }
        count
    }

    fn ecn_counts(&mut self, counts: EcnCounts) {
        let part = self.extend_header(ECN_LEN);
        part[..4].copy_from_slice(&counts.ect0.to_be_bytes());
        part[4..8].copy_from_slice(&counts.ect1.to_be_bytes());
        part[8..].copy_from_slice(&counts.ce.to_be_bytes());
    }

    fn opaque(&mut self, id: u8, value: &[u8]) {
        assert!(
            value.len() <= COOKIE_BYTES_MAX,
            "a cookie or token is at most {COOKIE_BYTES_MAX} bytes long"
        );
        self.option(id, value);
    }

    fn option(&mut self, id: u8, value: &[u8]) {
        let len = u8::try_from(value.len()).expect("a value's length fits a byte");
        let part = self.extend_header(2 + value.len());
        part[..2].copy_from_slice(&[id, len]);
        part[2..].copy_from_slice(value);
    }

    /// The next `len` bytes of the header.
    fn extend_header(&mut self, len: usize) -> &mut [u8] {
        debug_assert_eq!(
            self.len, self.header_len,
            "no header behind a payload or padding"
        );
        let begin = self.len;
        self.len += len;
        self.header_len = self.len;
        &mut self.buffer[begin..self.len]
    }

    fn set_flag(&mut self, bit: u8, set: bool) {
        self.flags = if set {
            self.flags | bit
        } else {
            self.flags & !bit
        };
    }
}

/// How many numbers of the range lie below its end, as far as the field can say, and whether that is all.
fn count_below(range: &RangeInclusive<PacketNumber>) -> (u32, bool) {
    let count = u32::try_from(range.end().since(*range.start()));
    (count.unwrap_or(u32::MAX), count.is_ok())
}

fn ack_flags(fields: &AckFields) -> u8 {
    let ecn = if fields.ecn.is_some() {
        ack_flag::ECN
    } else {
        0
    };
    let dropped = if fields.dropped { ack_flag::DROPPED } else { 0 };
    ecn | dropped
}

fn delay_units(delay: Duration) -> u16 {
    u16::try_from(delay.as_micros() / u128::from(DELAY_UNIT)).unwrap_or(u16::MAX)
}

fn saturate(number: u128) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes()
}
