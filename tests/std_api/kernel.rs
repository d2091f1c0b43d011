//! The cases over the kernel's TCP: this checks the oracle.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

pub(crate) use std::net::{TcpListener, TcpStream};

/// Whether the names above are those of the kernel's TCP.
pub(crate) const KERNEL: bool = true;

/// `set_linger`, which std has not made stable.
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    SockRef::from(stream).set_linger(linger)
}

/// `linger`, likewise.
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    SockRef::from(stream).linger()
}

/// A listener with room for two connections: `listen(1)`, as the kernel counts.
pub(crate) fn listen_for_two(addr: SocketAddr) -> io::Result<TcpListener> {
    listen_with_backlog(addr, 1)
}

/// `listen(2)` with this backlog.
fn listen_with_backlog(addr: SocketAddr, backlog: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog.into())?;
    Ok(socket.into())
}

/// An address whose host takes SYNs and never answers, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct BlackHole {
    listener: TcpListener,
    _fillers: Vec<TcpStream>,
}

impl BlackHole {
    /// A listener whose backlog is full: the kernel drops further SYNs.
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let listener = listen_with_backlog(addr, 0).expect("a listener");
        let addr = listener.local_addr().expect("its address");
        let connect = |_| TcpStream::connect_timeout(&addr, Duration::from_millis(200)).ok();
        // Two would do; the kernel counts generously.
        let _fillers = (0..4).map_while(connect).collect();
        BlackHole { listener, _fillers }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("its address")
    }
}

#[path = "cases/mod.rs"]
mod cases;
