//! Every bound of the crate, with its reason (docs/ARCHITECTURE.md, "Limits").

use std::time::Duration;

/// The smallest datagram limit that a peer may have: QUIC's, and what every path of today carries.
pub const DATAGRAM_MIN: usize = 1200;
/// Largest UDP payload over IPv4.
pub const DATAGRAM_MAX_V4: usize = 65_507;
/// Largest UDP payload over IPv6 that keeps the IP packet below 65,536 bytes.
pub const DATAGRAM_MAX_V6: usize = 65_487;
/// A SYN is padded to this, so that no SYNACK is longer than its SYN.
pub const SYN_BYTES: usize = 256;

/// Datagrams in one batch: what the kernel segments in one call.
pub const BATCH_DATAGRAMS_MAX: usize = 64;
/// Datagrams of 1,472 bytes in one batch: what leaves back to back where nothing less is configured.
pub const BURST_SEGMENTS: u16 = 44;
/// Bytes in one batch: one UDP payload.
pub const BATCH_BYTES_MAX: usize = 65_507;

/// Further ranges that an ACK block may carry.
pub const ACK_RANGES_DECODE_MAX: usize = 64;
/// Further ranges that this side puts into an ACK block.
pub const ACK_RANGES_ENCODE_MAX: usize = 32;
/// Ranges of received packet numbers that are remembered.
pub const RECEIVED_RANGES_MAX: usize = 256;
/// Holes in the received stream; one more and the segment that would make it is not taken.
pub const GAPS_MAX: usize = 1_024;
/// What one receive call may fill: the largest train of datagrams that a kernel puts together.
pub const SLAB_BYTES: usize = 1 << 16;
/// The unit in which memory for received data is allocated.
pub const CHUNK_BYTES: usize = 2_048;

/// Datagrams of the application that wait in one direction of a connection; one more and the oldest is dropped.
pub const DATAGRAMS_QUEUED_MAX: usize = 128;
/// Bytes that those may have together.
pub const DATAGRAM_BYTES_QUEUED_MAX: usize = 128 << 10;

/// Bytes of a cookie or of a token.
pub const COOKIE_BYTES_MAX: usize = 112;
/// How long a cookie is good.
pub const COOKIE_LIFE: Duration = Duration::from_secs(30);
/// How often the key of the cookies changes; two keys are live.
pub const COOKIE_KEY_PERIOD: Duration = Duration::from_secs(60);

/// Entries of the TIME_WAIT table.
pub const TIME_WAIT_MAX: usize = 262_144;
/// Milliseconds between two answers of one TIME_WAIT entry: a peer repeats a FIN after a round trip or
/// more, who sends faster wants something else.
pub const TIME_WAIT_ANSWER_GAP: u16 = 10;
/// Connection ids of connections that closed lately.
pub const SPENT_MAX: usize = 1_048_576;
/// How long a closed connection's id stays spent: longer than a cookie lives.
pub const SPENT_LIFE: Duration = Duration::from_secs(60);

/// Answers a second without a connection, for one socket.
pub const ANSWERS_PER_SECOND: u32 = 1_000;
/// Answers a second without a connection, towards one /24 or /56.
pub const ANSWERS_PER_NETWORK: u32 = 10;
/// Slots of the table that counts them.
pub const ANSWER_SLOTS: usize = 4_096;

/// Acknowledgements of unsent packets that are taken for strays before the connection is closed.
pub const UNSENT_ACKS_MAX: u32 = 8;
/// How far above the largest received number a RST may be.
pub const RST_AHEAD_MAX: u64 = 1 << 24;
/// The longest back-off of a probe (RFC 6298 s2.5 allows 60 s).
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// FIN_WAIT_2 without an owner ends after this.
pub const FIN_WAIT_2_LIFE: Duration = Duration::from_secs(60);

/// Events of a traced connection that wait for its driver, which takes them after every input: more than one
/// acknowledgement or timeout of 200,000 packets in flight makes.
pub const TRACE_RECORDS_MAX: usize = 1 << 18;
