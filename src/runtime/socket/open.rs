//! Opening a plain UDP socket, and the options that all systems have.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Protocol, SockRef, Type};

use super::SocketOptions;

/// Opens a plain socket. Address reuse stays off: a second bind of a port must fail.
pub(super) fn open_plain(options: &SocketOptions) -> io::Result<std::net::UdpSocket> {
    let socket = new_nonblocking(Domain::for_address(options.bind))?;
    match options.peer {
        // The kernel chooses the local address, in the same call.
        Some(peer) if options.bind.port() == 0 && options.bind.ip().is_unspecified() => {
            socket.connect(&peer.into())?;
        }
        Some(peer) => {
            socket.bind(&options.bind.into())?;
            socket.connect(&peer.into())?;
        }
        None => socket.bind(&options.bind.into())?,
    }
    widen(&socket, options.buffer);
    Ok(socket.into())
}

#[cfg(target_os = "linux")]
fn new_nonblocking(domain: Domain) -> io::Result<socket2::Socket> {
    socket2::Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))
}

#[cfg(not(target_os = "linux"))]
fn new_nonblocking(domain: Domain) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Asks for large kernel buffers. A refusal is not fatal: the stream is slower, not wrong.
fn widen(socket: &socket2::Socket, bytes: usize) {
    let _ = socket.set_recv_buffer_size(bytes);
    let _ = socket.set_send_buffer_size(bytes);
    // What the kernel grants is the same for all sockets that ask for as much: read it back once.
    if READ_BACK.swap(bytes, Ordering::Relaxed) != bytes {
        warn_if_small(
            bytes,
            socket.recv_buffer_size().unwrap_or(0),
            "net.core.rmem_max",
        );
        warn_if_small(
            bytes,
            socket.send_buffer_size().unwrap_or(0),
            "net.core.wmem_max",
        );
    }
}

/// The buffer size whose grant was read back last.
static READ_BACK: AtomicUsize = AtomicUsize::new(0);

/// Tells the operator what to do about buffers that stay small; half of what was asked still serves well.
fn warn_if_small(asked: usize, granted: usize, sysctl: &str) {
    if granted < asked / 2 {
        tracing::warn!(
            asked,
            granted,
            "the kernel grants small UDP buffers and may drop datagrams; raise sysctl {sysctl}"
        );
    }
}

/// Sets the time to live of what `socket` sends; `v4` tells its family.
pub(super) fn set_ttl(socket: &SockRef<'_>, v4: bool, ttl: u32) -> io::Result<()> {
    if v4 {
        socket.set_ttl_v4(ttl)
    } else {
        socket.set_unicast_hops_v6(ttl)
    }
}

/// The time to live of what `socket` sends.
pub(super) fn ttl(socket: &SockRef<'_>, v4: bool) -> io::Result<u32> {
    if v4 {
        socket.ttl_v4()
    } else {
        socket.unicast_hops_v6()
    }
}

/// Whether an address is IPv4, plainly or mapped into IPv6.
pub(super) fn is_ipv4(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    }
}
