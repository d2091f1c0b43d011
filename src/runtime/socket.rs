//! A UDP socket that never blocks, with the offloads that its platform has.
//!
//! The facade hides three things: batches (one call carries many datagrams where the kernel can), marks
//! (ECN, the local address), and what a send error means. It keeps no queue: [`super::port`] does.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
#[cfg_attr(
    target_os = "linux",
    expect(dead_code, reason = "built here so that its tests run")
)]
mod portable;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Protocol, SockRef, Type};

use crate::connection::IcmpError;
use crate::wire::Meta;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Receiver, Socket};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Receiver, Socket};

/// Bytes that one receive call may return: the largest train of datagrams that a kernel puts together.
const TRAIN_BYTES_MAX: usize = 1 << 16;

/// Datagrams that arrived together from one peer: they fill the buffer, each `stride` bytes but the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Train {
    pub(crate) meta: Meta,
    /// Bytes in the buffer.
    pub(crate) len: usize,
    /// Bytes of each datagram but the last.
    pub(crate) stride: usize,
    /// Whether the kernel cut the datagram off: what is left of it is no use.
    pub(crate) truncated: bool,
    /// Datagrams that the kernel has dropped because the receive buffer was full, if it says so.
    pub(crate) drops: Option<u32>,
}

/// An ICMP error, and where in the buffer the packet of ours stands that it quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IcmpReport {
    /// Where our packet went.
    pub(crate) to: SocketAddr,
    /// Bytes of the packet in the buffer.
    pub(crate) quoted: usize,
    /// What happened to it; `None` for what this crate does not believe, as "packet too big".
    pub(crate) error: Option<IcmpError>,
}

/// What a failed send means (semantics are those of a datagram: no error of one send ends anything).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendFailure {
    /// The socket is full: nothing was sent, and it will say when it has room.
    Full,
    /// The queue below the socket is full: try again soon.
    Congested,
    /// The error belongs to an earlier packet, perhaps another peer's; nothing was sent.
    Poisoned,
    /// The datagrams are larger than the interface takes, if the second try says so too: the first may tell
    /// the news of an ICMP message, which anybody can forge.
    TooLarge,
    /// The path does not take offloaded batches.
    Offload,
    /// This host has no way to the peer, or no longer the address that the socket has, if the second try says
    /// so too: the first may tell the news of an ICMP message.
    Away,
    /// As good as lost on the way.
    Lost,
}

impl SendFailure {
    /// What the error of a send means; `batch` tells whether it was to be segmented below.
    fn of(error: &io::Error, batch: bool) -> SendFailure {
        use io::ErrorKind::{
            AddrNotAvailable, HostUnreachable, InvalidInput, NetworkDown, NetworkUnreachable,
            WouldBlock,
        };
        match error.kind() {
            WouldBlock => return SendFailure::Full,
            InvalidInput if batch => return SendFailure::Offload,
            // Linux says "invalid" of an IPv4 address that the host had when the socket was connected.
            InvalidInput | AddrNotAvailable | NetworkDown | NetworkUnreachable
            | HostUnreachable => return SendFailure::Away,
            _ => {}
        }
        match error.raw_os_error() {
            Some(code) if code == codes::EMSGSIZE => SendFailure::TooLarge,
            _ if is_news(error) => SendFailure::Poisoned,
            Some(code) if code == codes::ENOBUFS => SendFailure::Congested,
            Some(code) if code == codes::EIO && batch => SendFailure::Offload,
            _ => SendFailure::Lost,
        }
    }
}

/// Whether the error of a call tells of an earlier packet, by ICMP, and nothing about the call: the socket
/// goes on, and the same call may do better. Linux has more of these errors than `io::ErrorKind` has names.
pub(super) fn is_news(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    let kinds = [
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        NetworkUnreachable,
    ];
    let code = error.raw_os_error();
    kinds.contains(&error.kind()) || code.is_some_and(|code| codes::NEWS.contains(&code))
}

#[cfg(target_os = "linux")]
mod codes {
    use nix::libc;

    pub(super) const EMSGSIZE: i32 = libc::EMSGSIZE;
    /// What the kernel makes of the other ICMP messages about a packet.
    pub(super) const NEWS: [i32; 7] = [
        EMSGSIZE,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EACCES,
    ];
    pub(super) const ENOBUFS: i32 = nix::libc::ENOBUFS;
    pub(super) const EIO: i32 = nix::libc::EIO;
}
#[cfg(not(target_os = "linux"))]
mod codes {
    /// `EMSGSIZE` of macOS and the BSDs, `WSAEMSGSIZE` of Windows.
    pub(super) const EMSGSIZE: i32 = if cfg!(windows) { 10_040 } else { 40 };
    pub(super) const NEWS: [i32; 1] = [EMSGSIZE];
    /// `ENOBUFS` of macOS and the BSDs, `WSAENOBUFS` of Windows.
    pub(super) const ENOBUFS: i32 = if cfg!(windows) { 10_055 } else { 55 };
    pub(super) const EIO: i32 = 5;
}

/// What a socket is opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// The local address; port 0 lets the system choose.
    pub(crate) bind: SocketAddr,
    /// The only peer, if there is to be one: the kernel then tells at once that its port is closed.
    pub(crate) peer: Option<SocketAddr>,
    /// Bytes asked for each of the kernel's two buffers.
    pub(crate) buffer: usize,
}

impl SocketOptions {
    /// Options for a socket of one stream to `peer`.
    pub(crate) fn toward(peer: SocketAddr, buffer: usize) -> Self {
        SocketOptions {
            bind: SocketAddr::new(unspecified_like(peer.ip()), 0),
            peer: Some(peer),
            buffer,
        }
    }
}

/// Opens a plain socket. Address reuse stays off: a second bind of a port must fail.
fn open_plain(options: &SocketOptions) -> io::Result<std::net::UdpSocket> {
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

/// The address that means "any" in the family of `ip`.
fn unspecified_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Sets the time to live of what `socket` sends; `v4` tells its family.
fn set_ttl(socket: &SockRef<'_>, v4: bool, ttl: u32) -> io::Result<()> {
    if v4 {
        socket.set_ttl_v4(ttl)
    } else {
        socket.set_unicast_hops_v6(ttl)
    }
}

/// The time to live of what `socket` sends.
fn ttl(socket: &SockRef<'_>, v4: bool) -> io::Result<u32> {
    if v4 {
        socket.ttl_v4()
    } else {
        socket.unicast_hops_v6()
    }
}

/// Whether an address is IPv4, plainly or mapped into IPv6.
fn is_ipv4(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    }
}

#[cfg(test)]
mod tests;
