//! Halves that own their stream together.

use std::fmt;
use std::mem;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Stream;
use super::split::{any_half, reading_half, writing_half};

/// The owned half to read from: see [`Stream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<Stream>,
}

/// The owned half to write to: see [`Stream::into_split`]. Dropping it ends the writing side.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<Stream>,
    ends_writing: bool,
}

/// Halves that do not belong together, given back.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves of two different streams")
    }
}

impl std::error::Error for ReuniteError {}

pub(super) fn split(stream: Stream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Arc::new(stream);
    let reader = OwnedReadHalf {
        stream: stream.clone(),
    };
    let writer = OwnedWriteHalf {
        stream,
        ends_writing: true,
    };
    (reader, writer)
}

fn reunite(reader: OwnedReadHalf, writer: OwnedWriteHalf) -> Result<Stream, ReuniteError> {
    if !Arc::ptr_eq(&reader.stream, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.forget();
    Ok(Arc::into_inner(reader.stream).expect("there are two halves, and one has gone"))
}

impl OwnedReadHalf {
    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// If they are of two streams, with both.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<Stream, ReuniteError> {
        reunite(self, other)
    }
}

impl OwnedWriteHalf {
    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// If they are of two streams, with both.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<Stream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops the half without ending the writing side: that ends with the other half then.
    pub fn forget(mut self) {
        self.ends_writing = false;
        drop(self);
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if mem::take(&mut self.ends_writing) {
            // Of a connection that is over there is nothing left to end.
            let _ = self.stream.shut_writing();
        }
    }
}

reading_half!(OwnedReadHalf);
writing_half!(OwnedWriteHalf);
any_half!(OwnedReadHalf);
any_half!(OwnedWriteHalf);
