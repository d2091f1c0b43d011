//! What nodes say to each other, as bodies of calls (docs/WIRE.md, section 17).
//!
//! ```text
//! request:   group u64 | wire u16 | postcard(request)
//! answer:    0 u8 | postcard(response)      or      1 u8 | kind u8 | UTF-8 text
//! snapshot:  group u64 | wire u16 | len u32 | postcard(vote, meta) | (len u32 | bytes)* | 0 u32 | crc32c u32 | bytes u64
//! ```

use bytes::{Buf, BufMut, Bytes};
use openraft::{CommittedLeaderId, NodeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layers::msg::{Codec, CodecError, Postcard};

/// `AppendEntries`: entries, or a heartbeat, or the question of a read.
pub const APPEND: u16 = 0x0101;
/// `RequestVote`.
pub const VOTE: u16 = 0x0102;
/// One piece of a snapshot, as openraft 0.9 itself cuts it.
pub const INSTALL_CHUNK: u16 = 0x0103;
/// A whole snapshot, as a stream.
pub const SNAPSHOT: u16 = 0x0104;

/// The messages of openraft 0.9.
const WIRE_0_9: u16 = 0x0009;
/// Set where openraft's feature `single-term-leader` has changed the layout of leader ids.
const WIRE_SINGLE_TERM: u16 = 0x0100;

/// Bytes before the request.
pub(super) const HEAD_BYTES: usize = 10;
/// Bytes of a snapshot's vote and meta: the membership is in them.
pub(super) const META_BYTES_MAX: usize = 1 << 20;
/// Bytes behind a snapshot's data: the empty piece, the sum, the count.
pub(super) const END_BYTES: usize = 16;

/// The version of the messages: that of openraft, and whether this build has one leader a term. It is in HELLO and in every request, so
/// that nodes of different builds do not misread each other.
pub fn wire_version<N: NodeId>() -> u16 {
    // A leader id is the term alone, or the term and the node: the second is longer.
    let id = CommittedLeaderId::<N>::new(1, N::default());
    let is_single = Postcard.encode(&id).is_ok_and(|bytes| bytes.len() == 1);
    WIRE_0_9 | if is_single { WIRE_SINGLE_TERM } else { 0 }
}

/// Why the other side has no response. Travels as a number and a text, never as an error type of openraft's: those change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FaultKind {
    /// Its Raft has stopped: a disk that failed, a panic, a shutdown.
    Fatal,
    /// It has no such group.
    NoGroup,
    /// It has another version of the messages.
    WireVersion,
    /// It cannot read the request.
    Malformed,
    /// A piece of a snapshot does not continue the one before.
    SnapshotMismatch,
    /// A snapshot arrived damaged or cut off.
    SnapshotBroken,
    /// One of a later version.
    Other(u8),
}

impl FaultKind {
    fn number(self) -> u8 {
        match self {
            FaultKind::Fatal => 1,
            FaultKind::NoGroup => 2,
            FaultKind::WireVersion => 3,
            FaultKind::Malformed => 4,
            FaultKind::SnapshotMismatch => 5,
            FaultKind::SnapshotBroken => 6,
            FaultKind::Other(number) => number,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            1 => FaultKind::Fatal,
            2 => FaultKind::NoGroup,
            3 => FaultKind::WireVersion,
            4 => FaultKind::Malformed,
            5 => FaultKind::SnapshotMismatch,
            6 => FaultKind::SnapshotBroken,
            number => FaultKind::Other(number),
        }
    }
}

/// The other side's failure.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the peer answers {kind:?}: {text}")]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// For people.
    pub text: String,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, text: impl ToString) -> Self {
        let text = text.to_string();
        Fault { kind, text }
    }
}

/// The longest text of a fault, bytes; a longer one is cut.
const TEXT_BYTES_MAX: usize = 1_024;

/// Which group a request is for, and in which version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) group: u64,
    pub(super) wire: u16,
}

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let mut to = &mut bytes[..];
        to.put_u64(self.group);
        to.put_u16(self.wire);
        bytes
    }

    /// A request with this head.
    pub(super) fn request<T: Serialize>(self, value: &T) -> Result<Bytes, CodecError> {
        let body = postcard::to_extend(value, self.encode().to_vec())
            .map_err(|error| CodecError::new(&error.to_string()))?;
        Ok(body.into())
    }

    /// Takes the head off a request; none if it is shorter.
    pub(super) fn split(body: &mut Bytes) -> Option<Self> {
        let group = body.try_get_u64().ok()?;
        let wire = body.try_get_u16().ok()?;
        Some(Head { group, wire })
    }
}

/// An answer.
pub(super) fn answer<T: Serialize>(response: &Result<T, Fault>) -> Bytes {
    let encoded = match response {
        Ok(value) => postcard::to_extend(value, vec![0])
            .map_err(|error| Fault::new(FaultKind::Malformed, error)),
        Err(fault) => Err(fault.clone()),
    };
    let body = encoded.unwrap_or_else(|fault| {
        let mut end = fault.text.len().min(TEXT_BYTES_MAX);
        while !fault.text.is_char_boundary(end) {
            end -= 1;
        }
        [&[1, fault.kind.number()], &fault.text.as_bytes()[..end]].concat()
    });
    body.into()
}

/// Reads an answer. Bytes that are none are an error of the outer kind.
pub(super) fn read_answer<T: DeserializeOwned>(
    mut body: Bytes,
) -> Result<Result<T, Fault>, CodecError> {
    match body.try_get_u8() {
        Ok(0) => Postcard.decode(&body).map(Ok),
        Ok(1) => {
            let kind = body
                .try_get_u8()
                .map_err(|_| CodecError::new("a fault without a kind"))?;
            let text = &body[..body.len().min(TEXT_BYTES_MAX)];
            let fault = Fault::new(FaultKind::of(kind), String::from_utf8_lossy(text));
            Ok(Err(fault))
        }
        _ => Err(CodecError::new("neither a response nor a fault")),
    }
}

/// What ends the data of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct End {
    pub(super) crc32c: u32,
    pub(super) bytes: u64,
}

impl End {
    /// Counts a piece of the data.
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.crc32c = crc32c::crc32c_append(self.crc32c, piece);
        self.bytes += u64::try_from(piece.len()).expect("a length");
    }

    /// The empty piece, and this.
    pub(super) fn encode(self) -> [u8; END_BYTES] {
        let mut bytes = [0; END_BYTES];
        let mut to = &mut bytes[..];
        to.put_u32(0);
        to.put_u32(self.crc32c);
        to.put_u64(self.bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::Vote;
    use openraft::raft::{VoteRequest, VoteResponse};

    use super::{Fault, FaultKind, Head, answer, read_answer, wire_version};
    use crate::layers::msg::{Codec, Postcard};

    #[test]
    fn a_request_is_laid_out_as_documented() {
        let head = Head {
            group: 0x0102_0304_0506_0708,
            wire: 0x0009,
        };
        let request = VoteRequest::<u64>::new(Vote::new(5, 3), None);
        let body = head.request(&request).expect("it has an encoding");
        // The leader id is term and, in the usual mode, node; then committed; then no log id.
        assert_eq!(
            &body[..],
            [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 5, 3, 0, 0],
            "group, wire, postcard"
        );
        let mut body = body;
        assert_eq!(Head::split(&mut body), Some(head));
        assert_eq!(Postcard.decode::<VoteRequest<u64>>(&body), Ok(request));
        assert_eq!(Head::split(&mut Bytes::from_static(&[0; 9])), None);
    }

    #[test]
    fn an_answer_is_a_response_or_a_kind_and_a_text() {
        let response = VoteResponse::<u64>::new(Vote::new(5, 3), None, true);
        let body = answer(&Ok(response.clone()));
        assert_eq!(body[0], 0);
        assert_eq!(read_answer::<VoteResponse<u64>>(body), Ok(Ok(response)));

        let fault = Fault::new(FaultKind::Fatal, "the disk");
        let body = answer::<()>(&Err(fault.clone()));
        assert_eq!(&body[..], b"\x01\x01the disk");
        assert_eq!(read_answer::<()>(body), Ok(Err(fault)));
    }

    #[test]
    fn no_answer_of_a_peer_is_more_than_an_error() {
        for body in [&b""[..], b"\x02", b"\x01", b"\x00\xff", b"\x00\x05\x06"] {
            let body = Bytes::copy_from_slice(body);
            assert!(read_answer::<bool>(body.clone()).is_err(), "{body:?}");
        }
        let long = [&[1, 200][..], &[0xff; 10_000]].concat();
        let Ok(Err(fault)) = read_answer::<bool>(long.into()) else {
            panic!("a fault of a later version is a fault");
        };
        assert_eq!(fault.kind, FaultKind::Other(200));
        assert!(fault.text.chars().count() <= 1_024);
        let fault = Fault::new(FaultKind::Fatal, "é".repeat(2_000));
        assert!(answer::<()>(&Err(fault)).len() <= 1_026);
    }

    #[test]
    fn the_version_says_how_many_leaders_a_term_has() {
        assert_eq!(wire_version::<u64>(), 0x0009);
        assert_eq!(wire_version::<u8>(), 0x0009);
    }
}
