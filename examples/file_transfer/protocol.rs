//! What sender and receiver say to each other, over one reliable byte stream.
//!
//! The sender begins with 8 bytes, [`PREFACE`]. After them both sides send frames:
//!
//! ```text
//!  0        1                                   5
//! +--------+-----------------------------------+------------------ - - -
//! | kind   | length of the body, 32 bits       | body
//! +--------+-----------------------------------+------------------ - - -
//! ```
//!
//! | kind | frame | from | body |
//! |---|---|---|---|
//! | 1 | `Offer` | sender | size of the file (64 bits), 1 if it wants to resume (8 bits), name (UTF-8) |
//! | 2 | `Part` | receiver | bytes it has (64 bits), their SHA-256 (32 bytes) |
//! | 3 | `Start` | sender | where the data begins: 0, or what the receiver has (64 bits) |
//! | 4 | `Data` | sender | 1 to [`DATA_MAX`] bytes of the file |
//! | 5 | `End` | sender | SHA-256 of the whole file (32 bytes) |
//! | 6 | `Verified` | receiver | SHA-256 of the file, now in place (32 bytes) |
//! | 7 | `Failed` | both | problem (8 bits), sentence for people (UTF-8, at most [`TEXT_MAX`] bytes) |
//!
//! Numbers are in network byte order. For each file, in turn:
//!
//! ```text
//! sender     Offer -->            Start, Data, Data, .., End -->
//! receiver             <-- Part                                   <-- Verified
//! ```
//!
//! `Failed` may stand in the place of any frame and ends everything; the receiver may send it while
//! data is still coming in. The sender closes the stream after the last file.
//!
//! No length is trusted: each kind has its bounds, checked before a byte of the body is read, and a
//! control frame never needs more than [`BODY_MAX`] bytes of memory.

use std::io::{self, Read, Write};

use crate::digest::Digest;

/// The first bytes of a sender: the protocol's name and its version.
pub(crate) const PREFACE: [u8; 8] = *b"aqfile\x00\x01";
/// The most bytes of a file in one frame.
pub(crate) const DATA_MAX: usize = 256 << 10;
/// The longest file name, bytes: what file systems allow, less the `.part` of the receiver.
pub(crate) const NAME_MAX: usize = 250;
/// The longest sentence in a `Failed` frame, bytes.
pub(crate) const TEXT_MAX: usize = 512;
/// The longest body of a frame other than `Data`, bytes.
pub(crate) const BODY_MAX: usize = 1 + TEXT_MAX;
/// Kind and length.
pub(crate) const HEADER: usize = 5;

const DIGEST: usize = 32;

/// One frame; of `Data` only the header, its bytes follow on the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    Offer {
        size: u64,
        resume: bool,
        name: String,
    },
    Part {
        length: u64,
        digest: Digest,
    },
    Start {
        offset: u64,
    },
    Data {
        length: usize,
    },
    End {
        digest: Digest,
    },
    Verified {
        digest: Digest,
    },
    Failed {
        problem: Problem,
        text: String,
    },
}

/// Why a side gave up, in a form that the other side can act on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    /// Anything that has no number of its own.
    Other,
    /// The file exists already, and may not be overwritten.
    Exists,
    /// The name could leave the directory, or is no name.
    BadName,
    /// Another sender is sending a file of this name.
    Busy,
    /// The receiver's disk is full.
    DiskFull,
    /// The receiver may not write there.
    NotWritable,
    /// What arrived is not what was sent.
    DigestMismatch,
    /// The other side broke this protocol.
    Protocol,
}

impl Problem {
    const ALL: [Problem; 8] = [
        Problem::Other,
        Problem::Exists,
        Problem::BadName,
        Problem::Busy,
        Problem::DiskFull,
        Problem::NotWritable,
        Problem::DigestMismatch,
        Problem::Protocol,
    ];

    fn code(self) -> u8 {
        let position = Problem::ALL.iter().position(|problem| *problem == self);
        position
            .and_then(|position| u8::try_from(position).ok())
            .unwrap_or(0)
    }

    /// The problem with this number; an unknown one, of a later version, is `Other`.
    fn from_code(code: u8) -> Problem {
        Problem::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Problem::Other)
    }
}

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The stream ended between two frames.
    #[error("the stream ended")]
    Ended,
    /// The stream failed, or ended inside a frame.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// The bytes are not a frame of this protocol.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Frame {
    /// Writes the frame; of `Data` only the header.
    pub(crate) fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let (kind, body) = self.encode();
        let length = match self {
            Frame::Data { length } => *length,
            _ => body.len(),
        };
        let mut bytes = data_header(length).to_vec();
        bytes[0] = kind;
        bytes.extend_from_slice(&body);
        stream.write_all(&bytes)
    }

    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Frame::Offer { size, resume, name } => {
                let mut body = size.to_be_bytes().to_vec();
                body.push(u8::from(*resume));
                body.extend_from_slice(name.as_bytes());
                (1, body)
            }
            Frame::Part { length, digest } => {
                let mut body = length.to_be_bytes().to_vec();
                body.extend_from_slice(&digest.0);
                (2, body)
            }
            Frame::Start { offset } => (3, offset.to_be_bytes().to_vec()),
            Frame::Data { .. } => (4, Vec::new()),
            Frame::End { digest } => (5, digest.0.to_vec()),
            Frame::Verified { digest } => (6, digest.0.to_vec()),
            Frame::Failed { problem, text } => {
                let mut body = vec![problem.code()];
                body.extend_from_slice(shortened(text).as_bytes());
                (7, body)
            }
        }
    }

    /// Reads one frame; of `Data` only the header.
    ///
    /// # Errors
    ///
    /// The stream's error, its end, or that the bytes are no frame.
    pub(crate) fn read(stream: &mut impl Read) -> Result<Frame, FrameError> {
        let mut header = [0; HEADER];
        if !read_or_end(stream, &mut header)? {
            return Err(FrameError::Ended);
        }
        let [kind, length @ ..] = header;
        let length = usize::try_from(u32::from_be_bytes(length))
            .map_err(|_| FrameError::Malformed("a frame is too long"))?;
        let allowed = match kind {
            1 => 10..=9 + NAME_MAX,
            2 => 8 + DIGEST..=8 + DIGEST,
            3 => 8..=8,
            4 => 1..=DATA_MAX,
            5 | 6 => DIGEST..=DIGEST,
            7 => 1..=1 + TEXT_MAX,
            _ => return Err(FrameError::Malformed("a frame is of no known kind")),
        };
        if !allowed.contains(&length) {
            return Err(FrameError::Malformed(
                "the length of a frame is out of its bounds",
            ));
        }
        if kind == 4 {
            return Ok(Frame::Data { length });
        }
        let mut body = [0; BODY_MAX];
        let body = &mut body[..length];
        stream.read_exact(body)?;
        Frame::decode(kind, body)
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Frame, FrameError> {
        let mut fields = Fields(body);
        Ok(match kind {
            1 => Frame::Offer {
                size: fields.number()?,
                resume: fields.take::<1>()? != [0],
                name: fields.text()?,
            },
            2 => Frame::Part {
                length: fields.number()?,
                digest: Digest(fields.take()?),
            },
            3 => Frame::Start {
                offset: fields.number()?,
            },
            5 => Frame::End {
                digest: Digest(fields.take()?),
            },
            6 => Frame::Verified {
                digest: Digest(fields.take()?),
            },
            _ => {
                let [code] = fields.take()?;
                Frame::Failed {
                    problem: Problem::from_code(code),
                    text: printable(&fields.text()?),
                }
            }
        })
    }
}

/// The header of a `Data` frame, for a sender that keeps header and bytes in one buffer.
pub(crate) fn data_header(length: usize) -> [u8; HEADER] {
    let length = u32::try_from(length).expect("no frame is longer than DATA_MAX");
    let [a, b, c, d] = length.to_be_bytes();
    [4, a, b, c, d]
}

/// Reads exactly `buffer`; `false` if the stream ended before its first byte.
fn read_or_end(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let first = loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first > 0 {
        stream.read_exact(&mut buffer[first..])?;
    }
    Ok(first > 0)
}

/// The part of a body that is not decoded yet.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or(FrameError::Malformed("a frame is too short"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn number(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<String, FrameError> {
        let text = std::str::from_utf8(self.0);
        Ok(text
            .map_err(|_| FrameError::Malformed("a text is not UTF-8"))?
            .to_owned())
    }
}

/// The peer's words without what could move the cursor of a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

/// At most `TEXT_MAX` bytes of `text`, cut between two characters.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_frame() -> Vec<Frame> {
        let digest = Digest([7; 32]);
        vec![
            Frame::Offer {
                size: u64::MAX,
                resume: true,
                name: "größe.txt".into(),
            },
            Frame::Part {
                length: 1 << 40,
                digest,
            },
            Frame::Start { offset: 5 },
            Frame::Data { length: DATA_MAX },
            Frame::End { digest },
            Frame::Verified { digest },
            Frame::Failed {
                problem: Problem::DiskFull,
                text: "no space left".into(),
            },
        ]
    }

    fn encoded(frame: &Frame) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_frame_reads_back_as_it_was_written() {
        for frame in every_frame() {
            assert_eq!(Frame::read(&mut &encoded(&frame)[..]).unwrap(), frame);
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_an_error_and_only_a_cut_before_it_is_an_end() {
        for frame in every_frame() {
            let bytes = encoded(&frame);
            for length in 0..bytes.len() {
                let error = Frame::read(&mut &bytes[..length]).unwrap_err();
                assert_eq!(
                    matches!(error, FrameError::Ended),
                    length == 0,
                    "{frame:?}, {length}"
                );
            }
        }
    }

    #[test]
    fn no_kind_takes_a_length_that_would_need_much_memory() {
        for kind in 0..=u8::MAX {
            let bytes = [kind, 0xff, 0xff, 0xff, 0xff];
            let error = Frame::read(&mut &bytes[..]).unwrap_err();
            assert!(
                matches!(error, FrameError::Malformed(_)),
                "kind {kind}: {error}"
            );
        }
    }

    #[test]
    fn an_empty_data_frame_is_refused_as_it_would_make_no_progress() {
        assert!(matches!(
            Frame::read(&mut &[4, 0, 0, 0, 0][..]),
            Err(FrameError::Malformed(_))
        ));
    }

    #[test]
    fn every_problem_has_a_number_of_its_own() {
        for problem in Problem::ALL {
            assert_eq!(Problem::from_code(problem.code()), problem);
        }
        assert_eq!(Problem::from_code(200), Problem::Other);
    }

    #[test]
    fn words_of_the_peer_are_bounded_and_cannot_drive_the_terminal() {
        let text = format!("\x1b[2J{}", "é".repeat(TEXT_MAX));
        let bytes = encoded(&Frame::Failed {
            problem: Problem::Other,
            text,
        });
        let Frame::Failed { text, .. } = Frame::read(&mut &bytes[..]).unwrap() else {
            panic!()
        };
        assert!(text.len() <= TEXT_MAX && text.starts_with("?[2Jé"));
    }
}
