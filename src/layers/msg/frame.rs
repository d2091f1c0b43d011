//! Frames: what stands on the stream (docs/LAYERS.md, "Frames"). Bytes to [`Frame`] and back; every bound is checked before
//! memory is taken.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::ext::{EXT_BYTES_MAX, Ext};

/// Bytes of the fixed head.
pub const HEAD_BYTES: usize = 16;
/// What a side may say that it takes: payload of one frame, bytes.
pub const FRAME_BYTES_MAX: u32 = 16 << 20;
/// The least that it must take: so no sender of bodies needs to know more.
pub const FRAME_BYTES_MIN: u32 = 64 << 10;

mod flag {
    pub(super) const EXT: u8 = 0x01;
    pub(super) const CRITICAL: u8 = 0x02;
    pub(super) const MORE: u8 = 0x04;
    pub(super) const REFUSED: u8 = 0x08;
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Who is there; the first frame in each direction.
    Hello,
    /// A call begins.
    Request,
    /// Its answer begins.
    Response,
    /// It failed.
    Error,
    /// The caller does not want the answer any more.
    Cancel,
    /// A message that nobody answers.
    Oneway,
    /// To be sent back.
    Ping,
    /// Sent back.
    Pong,
    /// No further call is taken.
    GoAway,
    /// More of a body.
    Chunk,
    /// The end of a body.
    End,
    /// More of a body may be sent.
    Credit,
}

impl Kind {
    /// All of them, in the order of their numbers on the wire.
    pub const ALL: [Kind; 12] = [
        Kind::Hello,
        Kind::Request,
        Kind::Response,
        Kind::Error,
        Kind::Cancel,
        Kind::Oneway,
        Kind::Ping,
        Kind::Pong,
        Kind::GoAway,
        Kind::Chunk,
        Kind::End,
        Kind::Credit,
    ];

    fn of(byte: u8) -> Option<Self> {
        Kind::ALL.get(usize::from(byte)).copied()
    }

    fn byte(self) -> u8 {
        let at = Kind::ALL.iter().position(|kind| *kind == self);
        at.and_then(|at| u8::try_from(at).ok())
            .expect("every kind is in the table of twelve")
    }
}

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// More of the body follows, in CHUNK and END.
    pub more: bool,
    /// ERROR: the call was not executed.
    pub refused: bool,
    /// REQUEST, ONEWAY: which method. ERROR: the code.
    pub method: u16,
    /// The call; 0: the connection.
    pub id: u64,
    /// What stands beside the payload.
    pub ext: Ext,
    /// The payload.
    pub payload: Bytes,
}

/// Bytes that are no frame: the stream cannot be read on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame longer than this side takes.
    #[error("a frame of {len} bytes, where at most {max} are taken")]
    TooLong {
        /// What its head says, bytes.
        len: u32,
        /// What this side takes.
        max: u32,
    },
    /// More beside the payload than is allowed.
    #[error("{0} bytes of extensions")]
    ExtTooLong(u16),
    /// An extension of the wrong length, or twice the same.
    #[error("extension {0} is malformed")]
    Ext(u8),
    /// A kind that is not known, and that must not be skipped.
    #[error("frame kind {0} is not known, and must not be skipped")]
    Unknown(u8),
}

impl Frame {
    /// A frame without anything but its kind and its call.
    pub fn new(kind: Kind, id: u64) -> Self {
        Frame {
            kind,
            more: false,
            refused: false,
            method: 0,
            id,
            ext: Ext::default(),
            payload: Bytes::new(),
        }
    }

    /// The same with a payload.
    #[must_use]
    pub fn with_payload(mut self, payload: Bytes) -> Self {
        self.payload = payload;
        self
    }

    /// The frame as bytes.
    ///
    /// # Panics
    /// If payload or extensions are longer than any frame may be; callers bound both.
    pub fn encode(&self) -> Bytes {
        let ext = self.ext.encode();
        let len = u32::try_from(self.payload.len()).expect("a payload is bounded by the caller");
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + 2 + ext.len() + self.payload.len());
        let mut flags = 0;
        for (set, bit) in [
            (!ext.is_empty(), flag::EXT),
            (self.more, flag::MORE),
            (self.refused, flag::REFUSED),
        ] {
            flags |= if set { bit } else { 0 };
        }
        bytes.put_u8(self.kind.byte());
        bytes.put_u8(flags);
        bytes.put_u16(self.method);
        bytes.put_u32(len);
        bytes.put_u64(self.id);
        if !ext.is_empty() {
            bytes.put_u16(u16::try_from(ext.len()).expect("extensions are bounded by the caller"));
            bytes.put_slice(&ext);
        }
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }
}

/// Takes bytes as they come, gives whole frames.
///
/// ```
/// use aqueduct::msg::{Frame, Kind, Parser};
///
/// let bytes = Frame::new(Kind::Ping, 0).with_payload(vec![1; 16].into()).encode();
/// let mut parser = Parser::new(1 << 20);
/// parser.push(&bytes[..10]);
/// assert_eq!(parser.next(), Ok(None));
/// parser.push(&bytes[10..]);
/// assert_eq!(parser.next().expect("no error").expect("a frame").kind, Kind::Ping);
/// ```
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    max: u32,
}

/// The head of a frame, as far as its length goes.
struct Head {
    ext: usize,
    payload: usize,
}

impl Parser {
    /// A parser that takes frames with payloads of up to `max` bytes.
    pub fn new(max: u32) -> Self {
        Parser {
            buffer: BytesMut::new(),
            max,
        }
    }

    /// Takes longer frames, or only shorter ones, from the next on.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// Takes bytes. Call [`Parser::next`] until it has no more before pushing on: then never more than one frame and what was
    /// pushed last is held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame. Kinds that are not known are skipped if they may be.
    ///
    /// # Errors
    /// [`FrameError`]: nothing that follows can be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot say that more must come first"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        while let Some(head) = self.head()? {
            let ext_at = HEAD_BYTES + if head.ext > 0 { 2 } else { 0 };
            let whole = ext_at + head.ext + head.payload;
            if self.buffer.len() < whole {
                return Ok(None);
            }
            // A copy: whoever keeps a byte of it does not keep all that came with it.
            let mut frame = Bytes::copy_from_slice(&self.buffer[..whole]);
            self.buffer.advance(whole);
            let (kind, flags) = (frame.get_u8(), frame.get_u8());
            let (method, _, id) = (frame.get_u16(), frame.get_u32(), frame.get_u64());
            let Some(kind) = Kind::of(kind) else {
                if flags & flag::CRITICAL != 0 {
                    return Err(FrameError::Unknown(kind));
                }
                continue;
            };
            frame.advance(ext_at - HEAD_BYTES);
            let ext = Ext::decode(frame.split_to(head.ext))?;
            return Ok(Some(Frame {
                kind,
                more: flags & flag::MORE != 0,
                refused: flags & flag::REFUSED != 0,
                method,
                id,
                ext,
                payload: frame,
            }));
        }
        Ok(None)
    }

    /// How long the first frame is, once that can be told; checked before anything of it is waited for.
    fn head(&self) -> Result<Option<Head>, FrameError> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let (flags, mut len) = (head[1], &head[4..8]);
        let len = len.get_u32();
        if len > self.max {
            return Err(FrameError::TooLong { len, max: self.max });
        }
        let payload = usize::try_from(len).unwrap_or(usize::MAX);
        if flags & flag::EXT == 0 {
            return Ok(Some(Head { ext: 0, payload }));
        }
        let Some((ext, _)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let ext = u16::from_be_bytes(*ext);
        if usize::from(ext) > EXT_BYTES_MAX || ext == 0 {
            return Err(FrameError::ExtTooLong(ext));
        }
        let ext = usize::from(ext);
        Ok(Some(Head { ext, payload }))
    }
}
