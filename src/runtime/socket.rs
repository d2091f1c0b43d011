//! A UDP socket that never blocks, with the offloads that its platform has.
//!
//! The facade hides three things: batches (one call carries many datagrams where the kernel can), marks
//! (ECN, the local address), and what a send error means. It keeps no queue: [`super::port`] does.

#[cfg(all(target_os = "linux", not(model)))]
mod linux;
#[cfg(not(model))]
mod open;
#[cfg(all(any(not(target_os = "linux"), test), not(model)))]
#[cfg_attr(
    target_os = "linux",
    expect(dead_code, reason = "built here so that its tests run")
)]
mod portable;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::connection::IcmpError;
use crate::wire::Meta;

#[cfg(not(model))]
use open::{is_ipv4, open_plain, set_ttl, ttl};

#[cfg(all(target_os = "linux", not(model)))]
pub(crate) use linux::{Receiver, Socket};
#[cfg(all(not(target_os = "linux"), not(model)))]
pub(crate) use portable::{Receiver, Socket};

#[cfg(model)]
pub(crate) use super::model::{Receiver, Socket};

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

#[cfg(all(target_os = "linux", not(model)))]
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
#[cfg(any(not(target_os = "linux"), model))]
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

/// The address that means "any" in the family of `ip`.
fn unspecified_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
