//! The opening of a connection: what SYN and SYNACK say, and the options of every packet.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]

use std::time::Duration;

use super::decode::Reader;
use super::layout::option;
use super::{ConnectionId, DecodeError, Window};
use crate::limits::COOKIE_BYTES_MAX;

/// The fixed part of a SYN or a SYNACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The sender's own connection id.
    pub cid: ConnectionId,
    /// The largest datagram that the sender accepts, bytes.
    pub max_datagram: u16,
    /// The peer's right edge until the first ACK block.
    pub window: Window,
    /// The sender's microsecond clock (SYNACK: the SYN's, echoed).
    pub clock: u32,
    /// 0, or a rendezvous token (SYNACK: echoed).
    pub service: u64,
}

/// The options (TLVs) of a packet; an absent one is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options<'d> {
    /// COOKIE: proof of the client's address.
    pub cookie: Option<&'d [u8]>,
    /// TOKEN: for early data.
    pub token: Option<&'d [u8]>,
    /// MAX_ACK_DELAY: the longest that its sender delays an acknowledgement.
    pub max_ack_delay: Option<Duration>,
    /// IDLE_TIMEOUT.
    pub idle_timeout: Option<Duration>,
    /// DGRAM_MAX: the largest DGRAM payload accepted.
    pub dgram_max: Option<u16>,
    /// FEATURES: a set of bits.
    pub features: Option<u32>,
    /// INCARNATION: random at each start of the endpoint.
    pub incarnation: Option<u64>,
    /// Whether an unknown critical option was there (decoding only).
    pub unknown_critical: bool,
    /// Whether to add the unknown option 0x2A, so that peers keep skipping (encoding only).
    pub grease: bool,
}

impl Opening {
    /// Takes the fixed part that follows the base header, whose `offset` is `cid`.
    pub(super) fn decode(
        cid: ConnectionId,
        max_datagram: u16,
        header: &mut Reader<'_>,
    ) -> Option<Self> {
        Some(Opening {
            cid,
            max_datagram,
            window: Window::new(header.u32()?),
            clock: header.u32()?,
            service: header.u64()?,
        })
    }
}

impl Options<'_> {
    /// The bit of FEATURES that says: ACK blocks from here count ECN marks.
    pub const ECN_FEEDBACK: u32 = 1;
}

impl<'d> Options<'d> {
    /// All options of a header; `bytes` ends where the header ends.
    pub(super) fn decode(bytes: &'d [u8]) -> Result<Self, DecodeError> {
        let mut options = Options::default();
        let mut rest = Reader(bytes);
        // Every turn takes at least the id.
        while let Some(&[id]) = rest.take() {
            if id == option::PAD && rest.is_empty() {
                // The last byte of the padding to whole words has no room for a length.
                break;
            }
            let len = rest.take().map(|&[len]| usize::from(len));
            let value = len.and_then(|len| rest.slice(len));
            options.take(id, value.ok_or(DecodeError::OptionBeyondEnd)?)?;
        }
        Ok(options)
    }

    /// Notes one option.
    fn take(&mut self, id: u8, value: &'d [u8]) -> Result<(), DecodeError> {
        match id {
            option::PAD => {}
            option::COOKIE => once(id, &mut self.cookie, opaque(value))?,
            option::TOKEN => once(id, &mut self.token, opaque(value))?,
            option::MAX_ACK_DELAY => {
                let delay = number(value).map(|micros| u64::from(u32::from_be_bytes(micros)));
                once(
                    id,
                    &mut self.max_ack_delay,
                    delay.map(Duration::from_micros),
                )?;
            }
            option::IDLE_TIMEOUT => {
                let timeout = number(value).map(|millis| u64::from(u32::from_be_bytes(millis)));
                once(
                    id,
                    &mut self.idle_timeout,
                    timeout.map(Duration::from_millis),
                )?;
            }
            option::DGRAM_MAX => {
                once(
                    id,
                    &mut self.dgram_max,
                    number(value).map(u16::from_be_bytes),
                )?;
            }
            option::FEATURES => {
                once(
                    id,
                    &mut self.features,
                    number(value).map(u32::from_be_bytes),
                )?;
            }
            option::INCARNATION => {
                once(
                    id,
                    &mut self.incarnation,
                    number(value).map(u64::from_be_bytes),
                )?;
            }
            unknown => self.unknown_critical |= unknown & option::CRITICAL != 0,
        }
        Ok(())
    }
}

/// Puts the value of an option into its place; `None` is a value of a wrong length.
fn once<T>(id: u8, place: &mut Option<T>, value: Option<T>) -> Result<(), DecodeError> {
    let value = value.ok_or(DecodeError::OptionLength(id))?;
    match place.replace(value) {
        Some(_) => Err(DecodeError::OptionTwice(id)),
        None => Ok(()),
    }
}

/// The bytes of a value that is a number of this width.
fn number<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

/// A value that only its sender can read.
fn opaque(value: &[u8]) -> Option<&[u8]> {
    (value.len() <= COOKIE_BYTES_MAX).then_some(value)
}
