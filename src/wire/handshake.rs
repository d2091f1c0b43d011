//! The opening of a connection: what SYN and SYNACK say, and the options of every packet.

use std::time::Duration;

use super::{ConnectionId, Window};

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
