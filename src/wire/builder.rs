//! Writes one packet into the caller's buffer; never allocates.

use std::ops::RangeInclusive;

use super::{AckFields, ConnectionId, Flags, Kind, Opening, Options, PacketNumber};

/// A packet under construction. Order: header fields, opening, ack, options, payload, finish.
#[derive(Debug)]
pub struct PacketBuilder<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> PacketBuilder<'b> {
    /// Begins a packet of this kind in `buffer`, whose length is the most that the datagram may have.
    ///
    /// # Panics
    /// If the buffer is shorter than what is written into it: here and in every method below.
    pub fn new(
        buffer: &'b mut [u8],
        _kind: Kind,
        _dcid: Option<ConnectionId>,
        _pn: PacketNumber,
    ) -> Self {
        PacketBuilder { buffer, len: 0 }
    }

    /// Sets flags.
    pub fn flags(&mut self, _flags: Flags) {
        todo!()
    }

    /// Sets the field whose meaning depends on the kind.
    pub fn aux(&mut self, _aux: u16) {
        todo!()
    }

    /// Sets the offset field.
    pub fn offset(&mut self, _offset: u64) {
        todo!()
    }

    /// The fixed part of SYN and SYNACK (own cid, datagram limit, window, clock, service).
    pub fn opening(&mut self, _opening: &Opening) {
        todo!()
    }

    /// An ACK block. `ranges`: the numbers received, highest range first, at least one; only as many of
    /// the further ones are written as `ACK_RANGES_ENCODE_MAX` and the buffer allow, leaving `reserve` bytes.
    pub fn ack(
        &mut self,
        _fields: &AckFields,
        _ranges: impl Iterator<Item = RangeInclusive<PacketNumber>>,
        _reserve: usize,
    ) {
        todo!()
    }

    /// Options.
    pub fn options(&mut self, _options: &Options<'_>) {
        todo!()
    }

    /// Bytes that a payload may still have. The header is complete after this: no more options or ACK.
    pub fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// Appends to the payload.
    pub fn payload(&mut self, _data: &[u8]) {
        todo!()
    }

    /// Zero padding up to a datagram of `len` bytes; nothing if it is longer already.
    pub fn pad_to(&mut self, _len: usize) {
        todo!()
    }

    /// Writes lengths and checksum; the length of the datagram.
    pub fn finish(self) -> usize {
        todo!()
    }
}
