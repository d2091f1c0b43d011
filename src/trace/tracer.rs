//! Where a driver writes the trace of one connection.

#[cfg(feature = "trace")]
use std::io;

#[cfg(feature = "trace")]
use crate::trace::{About, Record, Traces, Writer};

/// The trace of one connection, if its configuration asks for one; otherwise nothing, as without the feature.
#[derive(Debug, Default)]
pub struct Tracer {
    #[cfg(feature = "trace")]
    writer: Option<Box<Writer<Box<dyn io::Write + Send>>>>,
}

#[cfg(feature = "trace")]
impl Tracer {
    /// Opens the trace of a connection. That it cannot be opened is said, and harms nobody.
    pub(crate) fn open(traces: &Traces, about: &About) -> Self {
        let writer = match traces.open(about) {
            Ok(writer) => writer.map(|output| Box::new(Writer::new(output, about))),
            Err(error) => {
                tracing::warn!(%error, remote = %about.remote, "no trace: it cannot be opened");
                None
            }
        };
        Tracer { writer }
    }

    /// Whether there is anything to write to.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    pub(crate) fn write(&mut self, record: &Record) {
        let is_over = self.writer.as_mut().is_some_and(|writer| {
            writer.write(record);
            writer.has_failed()
        });
        if is_over {
            self.writer = None;
        }
    }

    /// Nothing more comes for a while, or ever.
    pub(crate) fn flush(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.flush();
        }
    }
}
