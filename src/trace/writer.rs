//! Events to text, text to an output.

use std::fmt;
use std::io;
use std::time::Duration;

use super::qlog;
use crate::time::Time;
use crate::trace::{About, Record};

/// Bytes that are written at once.
const CHUNK: usize = 64 << 10;
/// What is held back is written with the first event after this time.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Writes one trace as qlog 0.3, a sequence of JSON texts (RFC 7464).
///
/// The first error ends the trace, is told once as a warning, and goes no further.
///
/// ```
/// use aqueduct::time::Time;
/// use aqueduct::trace::{About, Event, Record, Role, Writer};
/// use aqueduct::wire::ConnectionId;
///
/// let about = About {
///     role: Role::Server,
///     id: ConnectionId::new(1).expect("not 0"),
///     local: "192.0.2.1:4000".parse().expect("an address"),
///     remote: "192.0.2.2:4000".parse().expect("an address"),
///     at: Time::from_millis(10),
///     wall: None,
/// };
/// let mut text = Vec::new();
/// let mut writer = Writer::new(&mut text, &about);
/// writer.write(&Record { at: Time::from_micros(12_500), event: Event::Undone });
/// drop(writer);
/// let text = String::from_utf8(text).expect("JSON is UTF-8");
/// assert!(text.starts_with("\u{1e}{\"qlog_version\":\"0.3\",\"qlog_format\":\"JSON-SEQ\""));
/// assert!(text.ends_with("\u{1e}{\"time\":2.5,\"name\":\"aqueduct:reduction_undone\",\"data\":{}}\n"));
/// ```
pub struct Writer<W: io::Write> {
    /// `None` after an error.
    output: Option<W>,
    buffer: Vec<u8>,
    began: Time,
    written_at: Time,
}

impl<W: io::Write> Writer<W> {
    /// A trace that begins with what it is about.
    pub fn new(output: W, about: &About) -> Self {
        let mut buffer = Vec::with_capacity(CHUNK + (CHUNK >> 2));
        qlog::header(&mut buffer, about);
        Writer {
            output: Some(output),
            buffer,
            began: about.at,
            written_at: about.at,
        }
    }

    /// Writes one event, now or with those that follow.
    pub fn write(&mut self, record: &Record) {
        if self.output.is_none() {
            return;
        }
        qlog::event(&mut self.buffer, self.began, record);
        if self.buffer.len() >= CHUNK || record.at - self.written_at >= HELD_BACK {
            self.written_at = record.at;
            self.flush();
        }
    }

    /// Writes what was held back.
    pub fn flush(&mut self) {
        let Some(output) = &mut self.output else {
            return;
        };
        let written = output.write_all(&self.buffer).and_then(|()| output.flush());
        self.buffer.clear();
        if let Err(error) = written {
            tracing::warn!(%error, "the trace ends here: it cannot be written");
            self.output = None;
            self.buffer = Vec::new();
        }
    }

    /// Whether an error has ended the trace.
    pub fn has_failed(&self) -> bool {
        self.output.is_none()
    }
}

impl<W: io::Write> Drop for Writer<W> {
    fn drop(&mut self) {
        self.flush();
    }
}

impl<W: io::Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("held_back", &self.buffer.len())
            .field("has_failed", &self.has_failed())
            .finish_non_exhaustive()
    }
}
