//! The cases over aqueduct: the same words, with other imports.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use aqueduct::Endpoint;
use aqueduct::config::EndpointConfig;

pub(crate) use aqueduct::{Listener as TcpListener, Stream as TcpStream};

/// Whether the names above are those of the kernel's TCP.
pub(crate) const KERNEL: bool = false;

/// `set_linger`, as std has it.
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    stream.set_linger(linger)
}

/// `linger`, likewise.
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    stream.linger()
}

/// A listener with room for two connections: a backlog of 1, counted as the kernel does.
pub(crate) fn listen_for_two(addr: SocketAddr) -> io::Result<TcpListener> {
    let config = EndpointConfig::default().with_backlog(1);
    Endpoint::builder()
        .endpoint_config(config)
        .bind(addr)?
        .listen()
}

/// An address whose host takes SYNs and never answers, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct BlackHole(UdpSocket);

impl BlackHole {
    /// A UDP socket that nobody reads.
    pub(crate) fn new(addr: SocketAddr) -> Self {
        BlackHole(UdpSocket::bind(addr).expect("a free port"))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("its address")
    }
}

mod beyond;
mod datagrams;

#[path = "cases/mod.rs"]
mod cases;
