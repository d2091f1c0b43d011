//! The cases, in chapters; compiled once for the kernel's TCP and once for aqueduct.

use std::io;
use std::net::SocketAddr;

use super::{KERNEL, TcpListener, TcpStream};

mod close;
mod connect;
mod data;
mod listen;
mod options;
mod reset;
mod shutdown;
mod timeouts;
mod traits;

/// A connected pair on `addr` (port 0): the end that connected, and the end that was accepted.
fn pair(addr: SocketAddr) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(addr).expect("a free port");
    pair_with(&listener)
}

/// A connected pair through this listener.
fn pair_with(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let addr = listener
        .local_addr()
        .expect("a bound listener has an address");
    let client = TcpStream::connect(addr).expect("a listener answers");
    let (server, from) = listener.accept().expect("a connection waits");
    assert_eq!(
        from,
        client.local_addr().expect("an address"),
        "accept says who connected"
    );
    (client, server)
}

/// The kind of the error that this must be.
#[track_caller]
fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("an error").kind()
}

/// Waits until a reset (or another end) has arrived: `peer_addr` then knows no peer, and consumes no error.
#[track_caller]
fn await_reset(stream: &TcpStream) {
    crate::support::wait::eventually("the reset arrives", || stream.peer_addr().is_err());
}
