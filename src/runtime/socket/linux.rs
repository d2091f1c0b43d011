//! The Linux socket: segmentation offload both ways, the error queue, the count of drops.
//!
//! It does not use `quinn-udp` as the other platforms do, for four reasons: the control buffer of its
//! receive has no room for `SO_RXQ_OVFL`; it does not read the error queue; a connected socket may send
//! without naming the address again, which spares the kernel a route look-up for each call; and it opens
//! two IPv6 sockets to find out what the kernel can do, each time, which costs ten times as much as
//! opening the socket itself (the kernel patches its code when the first GRO socket of a family comes).

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mio::event::Source;
use mio::{Interest, Registry, Token};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::sockopt::{
    IpRecvTos, Ipv4PacketInfo, Ipv4RecvErr, Ipv6RecvErr, Ipv6RecvPacketInfo, Ipv6RecvTClass,
    RxqOvfl, UdpGroSegment,
};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmsg,
    sendmmsg, sendmsg, setsockopt,
};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ip_tos,
    set_ipv6_mtu_discover, set_ipv6_tclass,
};
use socket2::SockRef;

use super::{IcmpReport, SendFailure, SocketOptions, Train, is_ipv4, open_plain};
use crate::connection::IcmpError;
use crate::runtime::slabs::Slabs;
use crate::wire::{Ecn, Meta, Slab, Transmit};

/// Messages in a row with other ECN bits than the socket's, after which it takes theirs.
const STRAYS_MAX: u8 = 3;

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    io: std::net::UdpSocket,
    v4: bool,
    connected: bool,
    /// The ECN bits of all that leaves, unless a datagram brings its own.
    tos: AtomicU8,
    /// Messages with other bits since the last one with these.
    strays: AtomicU8,
}

/// Memory to receive into; one serves any number of sockets.
#[derive(Debug)]
pub(crate) struct Receiver {
    slabs: Slabs,
    control: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Receiver {
            slabs: Slabs::new(),
            control: cmsg_space!(
                libc::in6_pktinfo,
                libc::in_pktinfo,
                libc::c_int,
                libc::c_int,
                u32,
                [u8; size_of::<libc::sock_extended_err>() + size_of::<libc::sockaddr_in6>()]
            ),
        }
    }

    /// The first `len` bytes received.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        self.slabs.bytes(len)
    }

    /// Where they lie.
    pub(crate) fn slab(&self) -> Option<&Arc<Slab>> {
        Some(self.slabs.latest())
    }
}

impl Socket {
    /// Opens a socket.
    pub(crate) fn open(options: &SocketOptions) -> io::Result<Self> {
        let io = open_plain(options)?;
        let v4 = options.bind.is_ipv4();
        let connected = options.peer.is_some();
        // Sent datagrams are never cut to pieces on the way, and none is refused because of an estimate.
        set_ip_mtu_discover(&io, Ipv4PathMtuDiscovery::PROBE)?;
        if !v4 {
            set_ipv6_mtu_discover(&io, Ipv6PathMtuDiscovery::PROBE)?;
        }
        for errno in wishes(&io, v4, connected).into_iter().flatten() {
            tracing::debug!(%errno, "a socket option is not supported");
        }
        Ok(Socket {
            io,
            v4,
            connected,
            tos: AtomicU8::new(ecn_bits(None)),
            strays: AtomicU8::new(0),
        })
    }

    /// Its own address.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Bytes of its receive buffer, as the system counts them; 0 if it does not say.
    pub(crate) fn receive_buffer(&self) -> usize {
        SockRef::from(&self.io).recv_buffer_size().unwrap_or(0)
    }

    /// Sets the time to live (or hop limit) of what leaves.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        super::set_ttl(&SockRef::from(&self.io), self.v4, ttl)
    }

    /// The time to live (or hop limit) of what leaves.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        super::ttl(&SockRef::from(&self.io), self.v4)
    }

    /// Receives one train of datagrams.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; any other says nothing about the socket's future.
    pub(crate) fn receive(&self, into: &mut Receiver) -> io::Result<Train> {
        let Receiver { slabs, control } = into;
        let mut slices = [IoSliceMut::new(slabs.space())];
        let message = recvmsg::<SockaddrStorage>(
            self.io.as_raw_fd(),
            &mut slices,
            Some(control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let from = message
            .address
            .as_ref()
            .and_then(socket_addr)
            .ok_or(Errno::EAFNOSUPPORT)?;
        let mut train = Train {
            meta: Meta {
                from,
                to_ip: None,
                ecn: None,
            },
            len: message.bytes,
            stride: message.bytes,
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            drops: None,
        };
        for note in message.cmsgs().into_iter().flatten() {
            train.note(&note);
        }
        Ok(train)
    }

    /// Takes one ICMP error from the error queue; the packet that it quotes lies in `into` then.
    pub(crate) fn receive_error(&self, into: &mut Receiver) -> Option<IcmpReport> {
        let Receiver { slabs, control } = into;
        let mut slices = [IoSliceMut::new(slabs.space())];
        let message = recvmsg::<SockaddrStorage>(
            self.io.as_raw_fd(),
            &mut slices,
            Some(control),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )
        .ok()?;
        let error = message
            .cmsgs()
            .into_iter()
            .flatten()
            .find_map(|note| icmp_error(&note));
        Some(IcmpReport {
            to: message.address.as_ref().and_then(socket_addr)?,
            quoted: message.bytes,
            error,
        })
    }

    /// Sends datagrams of `segment` bytes each, but the last, in one call.
    ///
    /// # Errors
    /// See [`SendFailure`]; nothing was sent then.
    pub(crate) fn send(
        &self,
        to: &Transmit,
        bytes: &[u8],
        segment: usize,
    ) -> Result<(), SendFailure> {
        let batch = segment < bytes.len();
        let Ok(segment) = u16::try_from(segment) else {
            return Err(SendFailure::Lost);
        };
        let mut notes = [const { None }; 3];
        notes[0] = batch.then_some(ControlMessage::UdpGsoSegments(&segment));
        let (tos, class) = (ecn_bits(to.ecn), i32::from(ecn_bits(to.ecn)));
        if self.needs_tos(tos) {
            notes[1] = Some(if is_ipv4(&to.to) {
                ControlMessage::Ipv4Tos(&tos)
            } else {
                ControlMessage::Ipv6TClass(&class)
            });
        }
        let source = to.from_ip.map(Source4or6::new);
        notes[2] = source.as_ref().map(Source4or6::note);
        self.send_message(&to.to, bytes, notes)
            .map_err(|errno| SendFailure::of(&errno.into(), batch))
    }

    /// Whether datagrams with these ECN bits must bring them along.
    ///
    /// On the socket of one stream a mark beside the datagram makes the kernel look up the route again (2.9 µs
    /// for a small one instead of 2.5), so the socket's own bits follow the stream; but not for a bare ACK now
    /// and then. On a shared socket streams with and without a mark take turns, on any thread, and the route
    /// is looked up anyway: there the mark beside the datagram costs 0.1 µs for each call.
    fn needs_tos(&self, tos: u8) -> bool {
        if !self.connected {
            return tos != 0;
        }
        if self.tos.load(Ordering::Relaxed) == tos {
            self.strays.store(0, Ordering::Relaxed);
            return false;
        }
        if self.strays.fetch_add(1, Ordering::Relaxed) < STRAYS_MAX {
            return true;
        }
        self.set_tos(tos);
        false
    }

    /// Marks all that leaves from now on. If that fails nothing is marked, as the peer's counts will tell.
    fn set_tos(&self, tos: u8) {
        self.strays.store(0, Ordering::Relaxed);
        self.tos.store(tos, Ordering::Relaxed);
        let set = set_ip_tos(&self.io, tos).and_then(|()| match self.v4 {
            true => Ok(()),
            false => set_ipv6_tclass(&self.io, tos.into()),
        });
        if let Err(errno) = set {
            tracing::debug!(%errno, "ECN marks are not supported");
        }
    }

    /// Sends a batch without other notes.
    fn send_segments(
        &self,
        to: Option<SockaddrStorage>,
        bytes: &[u8],
        segment: &u16,
    ) -> Result<(), Errno> {
        // Where a thread ends its header is gone, and what the exit of the process drains is still to be sent.
        let sent = SEGMENTED
            .try_with(|headers| self.send_with(&mut headers.borrow_mut(), to, bytes, segment));
        sent.unwrap_or_else(|_| self.send_with(&mut segmented(), to, bytes, segment))
    }

    fn send_with(
        &self,
        headers: &mut MultiHeaders<SockaddrStorage>,
        to: Option<SockaddrStorage>,
        bytes: &[u8],
        segment: &u16,
    ) -> Result<(), Errno> {
        let slices = [[IoSlice::new(bytes)]];
        let notes = [ControlMessage::UdpGsoSegments(segment)];
        loop {
            let sent = sendmmsg(
                self.io.as_raw_fd(),
                headers,
                &slices,
                [to],
                notes,
                MsgFlags::MSG_DONTWAIT,
            );
            match sent {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }

    fn send_message(
        &self,
        to: &SocketAddr,
        bytes: &[u8],
        notes: [Option<ControlMessage<'_>>; 3],
    ) -> Result<(), Errno> {
        let address = (!self.connected).then(|| SockaddrStorage::from(*to));
        if let [Some(ControlMessage::UdpGsoSegments(segment)), None, None] = &notes {
            return self.send_segments(address, bytes, segment);
        }
        // A message without notes, which is every small one, allocates nothing below.
        let (mut used, mut count) = ([ControlMessage::UdpGsoSegments(&0); 3], 0);
        for note in notes.into_iter().flatten() {
            used[count] = note;
            count += 1;
        }
        let slices = [IoSlice::new(bytes)];
        loop {
            let sent = sendmsg(
                self.io.as_raw_fd(),
                &slices,
                &used[..count],
                MsgFlags::MSG_DONTWAIT,
                address.as_ref(),
            );
            match sent {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

thread_local! {
    /// The header of a batch that has no other note than the size of its segments: the batch allocates nothing.
    static SEGMENTED: RefCell<MultiHeaders<SockaddrStorage>> =
        RefCell::new(segmented());
}

fn segmented() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(1, Some(cmsg_space!(u16)))
}

/// Sets the options without which a socket works all the same, only worse: batches arrive one by one, a
/// peer that is gone is found out by a timeout, drops are not counted. What the kernel refused.
fn wishes(io: &std::net::UdpSocket, v4: bool, connected: bool) -> [Option<Errno>; 6] {
    // IPv6 sockets may carry IPv4 too, and then get its marks.
    let (mut ecn, mut errors, mut addresses) = (Ok(()), Ok(()), Ok(()));
    if !v4 {
        ecn = setsockopt(io, Ipv6RecvTClass, &true);
        errors = setsockopt(io, Ipv6RecvErr, &true);
    }
    if !connected {
        addresses = if v4 {
            setsockopt(io, Ipv4PacketInfo, &true)
        } else {
            setsockopt(io, Ipv6RecvPacketInfo, &true)
        };
    }
    [
        setsockopt(io, UdpGroSegment, &true),
        setsockopt(io, IpRecvTos, &true).and(ecn),
        setsockopt(io, Ipv4RecvErr, &true),
        errors,
        addresses,
        setsockopt(io, RxqOvfl, &1),
    ]
    .map(Result::err)
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        mio::unix::SourceFd(&self.io.as_fd().as_raw_fd()).register(registry, token, what)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        mio::unix::SourceFd(&self.io.as_fd().as_raw_fd()).reregister(registry, token, what)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        mio::unix::SourceFd(&self.io.as_fd().as_raw_fd()).deregister(registry)
    }
}

impl Train {
    /// Takes in what a control message says.
    fn note(&mut self, note: &ControlMessageOwned) {
        match note {
            ControlMessageOwned::UdpGroSegments(stride) => {
                self.stride = usize::try_from(*stride).unwrap_or(self.len);
            }
            ControlMessageOwned::Ipv4Tos(tos) => self.meta.ecn = ecn(i32::from(*tos)),
            ControlMessageOwned::Ipv6TClass(class) => self.meta.ecn = ecn(*class),
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let ip = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                self.meta.to_ip = Some(IpAddr::V4(ip));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                self.meta.to_ip = Some(IpAddr::V6(ip));
            }
            ControlMessageOwned::RxqOvfl(drops) => self.drops = Some(*drops),
            _ => {}
        }
    }
}

/// The local address that a datagram shall come from, as the kernel wants it.
enum Source4or6 {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source4or6 {
    fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Source4or6::V4(libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }),
            IpAddr::V6(ip) => Source4or6::V6(libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            }),
        }
    }

    fn note(&self) -> ControlMessage<'_> {
        match self {
            Source4or6::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Source4or6::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = address.as_sockaddr_in6()?;
    Some(std::net::SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into())
}

/// What an entry of the error queue says, if it is ICMP and this crate believes it.
fn icmp_error(note: &ControlMessageOwned) -> Option<IcmpError> {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) =
        note
    else {
        return None;
    };
    if ![libc::SO_EE_ORIGIN_ICMP, libc::SO_EE_ORIGIN_ICMP6].contains(&error.ee_origin) {
        return None;
    }
    match Errno::from_raw(i32::try_from(error.ee_errno).ok()?) {
        Errno::ECONNREFUSED => Some(IcmpError::PortUnreachable),
        Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EACCES => Some(IcmpError::Unreachable),
        _ => None,
    }
}

fn ecn(bits: i32) -> Option<Ecn> {
    match bits & 0b11 {
        0b01 => Some(Ecn::Ect1),
        0b10 => Some(Ecn::Ect0),
        0b11 => Some(Ecn::Ce),
        _ => None,
    }
}

fn ecn_bits(ecn: Option<Ecn>) -> u8 {
    match ecn {
        None => 0b00,
        Some(Ecn::Ect1) => 0b01,
        Some(Ecn::Ect0) => 0b10,
        Some(Ecn::Ce) => 0b11,
    }
}
