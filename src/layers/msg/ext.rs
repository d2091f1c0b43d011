//! What stands beside a payload: deadline, idempotency key, clocks, trace, group.

use bytes::{Buf, BufMut, Bytes};

use super::frame::FrameError;

/// Bytes of all extensions of a frame.
pub const EXT_BYTES_MAX: usize = 8 << 10;

mod tag {
    pub(super) const DEADLINE: u8 = 1;
    pub(super) const IDEM: u8 = 2;
    pub(super) const LAMPORT: u8 = 3;
    pub(super) const VECTOR: u8 = 4;
    pub(super) const TRACE: u8 = 5;
    pub(super) const GROUP: u8 = 6;
}

/// Names one effect of one client: whoever repeats a call with the same key wants no second one (RIFL; Raft, section 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IdemKey {
    /// The client, random.
    pub client: u128,
    /// Its call, counted from 1.
    pub seq: u64,
    /// It has the answers of all calls below this one: they need not be kept.
    pub ack_below: u64,
}

/// The extensions of a frame, each at most once. Others are skipped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ext {
    /// Time that the caller has left, ms.
    pub deadline_ms: Option<u32>,
    /// The idempotency key.
    pub idem: Option<IdemKey>,
    /// The sender's Lamport clock.
    pub lamport: Option<u64>,
    /// The sender's vector clock, as [`VectorClock::to_bytes`](crate::clock::VectorClock::to_bytes) writes it.
    pub vector: Option<Bytes>,
    /// The trace that the call belongs to.
    pub trace: Option<[u8; 16]>,
    /// The group that it is for.
    pub group: Option<u64>,
}

impl Ext {
    /// Bytes that the extensions take in a frame.
    pub fn encoded_len(&self) -> usize {
        let fixed = |present: bool, len: usize| if present { 3 + len } else { 0 };
        fixed(self.deadline_ms.is_some(), 4)
            + fixed(self.idem.is_some(), 32)
            + fixed(self.lamport.is_some(), 8)
            + self.vector.as_ref().map_or(0, |clock| 3 + clock.len())
            + fixed(self.trace.is_some(), 16)
            + fixed(self.group.is_some(), 8)
    }

    /// The extensions as bytes: tag, length (2), value, one behind the other.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        let mut put = |tag: u8, value: &[u8]| {
            bytes.put_u8(tag);
            bytes.put_u16(u16::try_from(value.len()).expect("bounded by the caller"));
            bytes.put_slice(value);
        };
        if let Some(millis) = self.deadline_ms {
            put(tag::DEADLINE, &millis.to_be_bytes());
        }
        if let Some(key) = &self.idem {
            let mut value = [0; 32];
            value[..16].copy_from_slice(&key.client.to_be_bytes());
            value[16..24].copy_from_slice(&key.seq.to_be_bytes());
            value[24..].copy_from_slice(&key.ack_below.to_be_bytes());
            put(tag::IDEM, &value);
        }
        if let Some(stamp) = self.lamport {
            put(tag::LAMPORT, &stamp.to_be_bytes());
        }
        if let Some(clock) = &self.vector {
            put(tag::VECTOR, clock);
        }
        if let Some(trace) = &self.trace {
            put(tag::TRACE, trace);
        }
        if let Some(group) = self.group {
            put(tag::GROUP, &group.to_be_bytes());
        }
        bytes
    }

    pub(super) fn decode(mut bytes: Bytes) -> Result<Self, FrameError> {
        let mut ext = Ext::default();
        while bytes.has_remaining() {
            let tag = bytes.get_u8();
            let bad = FrameError::Ext(tag);
            let len = bytes.try_get_u16().map_err(|_| bad.clone())?;
            if bytes.len() < usize::from(len) {
                return Err(bad);
            }
            ext.take(tag, bytes.split_to(usize::from(len)))?;
        }
        Ok(ext)
    }

    fn take(&mut self, tag: u8, mut value: Bytes) -> Result<(), FrameError> {
        let (len, wanted) = (value.len(), |len| match tag {
            tag::DEADLINE => len == 4,
            tag::IDEM => len == 32,
            tag::LAMPORT | tag::GROUP => len == 8,
            tag::TRACE => len == 16,
            _ => true,
        });
        if !wanted(len) {
            return Err(FrameError::Ext(tag));
        }
        let twice = match tag {
            tag::DEADLINE => self.deadline_ms.replace(value.get_u32()).is_some(),
            tag::IDEM => {
                let key = IdemKey {
                    client: value.get_u128(),
                    seq: value.get_u64(),
                    ack_below: value.get_u64(),
                };
                self.idem.replace(key).is_some()
            }
            tag::LAMPORT => self.lamport.replace(value.get_u64()).is_some(),
            tag::VECTOR => self.vector.replace(value).is_some(),
            tag::TRACE => {
                let mut trace = [0; 16];
                value.copy_to_slice(&mut trace);
                self.trace.replace(trace).is_some()
            }
            tag::GROUP => self.group.replace(value.get_u64()).is_some(),
            _ => false,
        };
        if twice {
            Err(FrameError::Ext(tag))
        } else {
            Ok(())
        }
    }
}
