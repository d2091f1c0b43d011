//! What a client asks of the server, and what it is told: the first and the last bytes of a flow.

use std::io::{self, Read, Write};
use std::time::Duration;

/// How long a flow lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// What arrives from `skip` to `until` counts, from the first byte on; then the server answers.
    Timed { skip: Duration, until: Duration },
    /// The server answers when so many bytes have come.
    Sized { bytes: u64 },
}

/// What the server saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Bytes that came before the time that counts.
    pub(crate) before: u64,
    /// Bytes that count.
    pub(crate) counted: u64,
    /// Whether every byte was right.
    pub(crate) right: bool,
}

impl Order {
    /// Its text, followed by `content`: in one write, or a segment of its own would take a place in TCP's first
    /// window, which counts segments.
    pub(crate) fn write(self, seed: u64, content: &[u8], to: &mut dyn Write) -> io::Result<()> {
        let (kind, first, second) = match self {
            Order::Timed { skip, until } => (0, skip.as_nanos() as u64, until.as_nanos() as u64),
            Order::Sized { bytes } => (1, bytes, 0),
        };
        let mut text = Vec::with_capacity(32 + content.len());
        for value in [kind, seed, first, second] {
            text.extend(u64::to_le_bytes(value));
        }
        text.extend(content);
        to.write_all(&text)
    }

    /// The order, and the seed of the content.
    pub(crate) fn read(from: &mut dyn Read) -> io::Result<(Order, u64)> {
        let [kind, seed, first, second] = read_words(from)?;
        let order = match kind {
            0 => Order::Timed {
                skip: Duration::from_nanos(first),
                until: Duration::from_nanos(second),
            },
            1 => Order::Sized { bytes: first },
            _ => return Err(io::Error::other("the client speaks another protocol")),
        };
        Ok((order, seed))
    }
}

impl Answer {
    pub(crate) fn write(self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&self.before.to_le_bytes())?;
        to.write_all(&self.counted.to_le_bytes())?;
        to.write_all(&u64::from(self.right).to_le_bytes())
    }

    pub(crate) fn read(from: &mut dyn Read) -> io::Result<Answer> {
        let [before, counted, right] = read_words(from)?;
        Ok(Answer {
            before,
            counted,
            right: right == 1,
        })
    }
}

fn read_words<const N: usize>(from: &mut dyn Read) -> io::Result<[u64; N]> {
    let mut words = [0; N];
    for word in &mut words {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        *word = u64::from_le_bytes(bytes);
    }
    Ok(words)
}
