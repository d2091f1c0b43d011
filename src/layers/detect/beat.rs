//! [`Beat`]: one heartbeat as a datagram.

use std::time::Duration;

/// Bytes of a heartbeat.
pub const BEAT_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"AQHB";
const VERSION: u8 = 1;

/// A heartbeat: who beats, how often, and for the how manyth time.
///
/// ```text
/// "AQHB" | version 1 | 0 | interval, ms, 2 bytes | incarnation, 8 bytes | number, 8 bytes       network byte order
/// ```
///
/// ```
/// use aqueduct::detect::Beat;
/// use std::time::Duration;
///
/// let beat = Beat { interval: Duration::from_millis(100), incarnation: 77, number: 5 };
/// assert_eq!(Beat::decode(&beat.encode()), Some(beat));
/// assert_eq!(Beat::decode(b"something else"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    /// Until the next, whole milliseconds: 1 to 65,535.
    pub interval: Duration,
    /// Random at each start of the process that beats.
    pub incarnation: u64,
    /// Counts up from 1.
    pub number: u64,
}

impl Beat {
    /// The heartbeat as bytes. An interval out of range becomes the nearest in range.
    pub fn encode(&self) -> [u8; BEAT_BYTES] {
        let interval = u16::try_from(self.interval.as_millis())
            .unwrap_or(u16::MAX)
            .max(1);
        let mut bytes = [0; BEAT_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[6..8].copy_from_slice(&interval.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[16..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// The heartbeat in these bytes; `None` if they are none. Bytes behind it are ignored, for later versions.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (interval, rest) = rest.split_first_chunk::<2>()?;
        let (incarnation, rest) = rest.split_first_chunk::<8>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        let interval = u64::from(u16::from_be_bytes(*interval));
        let beat = Beat {
            interval: Duration::from_millis(interval),
            incarnation: u64::from_be_bytes(*incarnation),
            number: u64::from_be_bytes(*number),
        };
        let is_one = *magic == MAGIC && kind[0] == VERSION && interval > 0 && beat.number > 0;
        is_one.then_some(beat)
    }
}
