//! The one place of the examples that names the transport.
//!
//! Everything else uses `Listener` and `Stream` as a program uses `std::net::TcpListener` and
//! `TcpStream`, with the same names, calls and errors. What only aqueduct offers stands here.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aqueduct::config::Keepalive;

pub(crate) use aqueduct::{Listener, Stream};

/// A peer whose machine is gone is noticed after `idle`, and `count` times `interval`.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(5),
    interval: Duration::from_secs(3),
    count: 5,
};

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

/// Makes a silent end of the peer an error here, within seconds, even while nothing is written.
pub(crate) fn watch(stream: &Stream) -> io::Result<()> {
    stream.set_keepalive(Some(KEEPALIVE))
}

/// What `stream` had to send again so far.
pub(crate) fn repairs(stream: &Stream) -> Repairs {
    let info = stream.info();
    Repairs {
        packets: info.packets_retransmitted,
        bytes: info.bytes_retransmitted,
    }
}

/// Closes `stream`, and waits until the peer has everything, but never longer than `timeout`.
pub(crate) fn close(stream: Stream, timeout: Duration) {
    // Whoever cares whether it arrived has asked the peer already; the rest is politeness.
    let _ = stream.close(timeout);
}

/// Gives what was written the time to arrive before the process ends: nobody sends for it later.
pub(crate) fn drain(timeout: Duration) {
    if !aqueduct::drain(timeout) {
        eprintln!("the peer did not confirm the last bytes in {timeout:?}");
    }
}
