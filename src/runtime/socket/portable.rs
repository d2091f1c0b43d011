//! The socket of every other platform: what `quinn-udp` offers there.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Source;
use mio::{Interest, Registry, Token};
use quinn_udp::{EcnCodepoint, RecvMeta, UdpSocketState};
use socket2::SockRef;

use super::{IcmpReport, SendFailure, SocketOptions, Train, open_plain};
use crate::connection::IcmpError;
use crate::runtime::slabs::Slabs;
use crate::wire::{Ecn, Meta, Slab, Transmit};

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    io: mio::net::UdpSocket,
    state: UdpSocketState,
    v4: bool,
    peer: Option<SocketAddr>,
}

/// Memory to receive into; one serves any number of sockets.
#[derive(Debug)]
pub(crate) struct Receiver {
    slabs: Slabs,
    /// The peer whose host refused a packet, until [`Socket::receive_error`] tells.
    refused_by: Option<SocketAddr>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Receiver {
            slabs: Slabs::new(),
            refused_by: None,
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
        let state = UdpSocketState::new((&io).into())?;
        Ok(Socket {
            io: mio::net::UdpSocket::from_std(io),
            state,
            v4: options.bind.is_ipv4(),
            peer: options.peer,
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
        let mut metas = [RecvMeta::default()];
        let mut slices = [IoSliceMut::new(into.slabs.space())];
        let received = self
            .io
            .try_io(|| self.state.recv((&self.io).into(), &mut slices, &mut metas));
        if let Err(error) = &received {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                into.refused_by = self.peer;
            }
        }
        received?;
        let [meta] = metas;
        Ok(Train {
            meta: Meta {
                from: meta.addr,
                to_ip: meta.dst_ip,
                ecn: meta.ecn.map(ecn),
            },
            len: meta.len,
            stride: meta.stride,
            truncated: false,
            drops: None,
        })
    }

    /// Takes one ICMP error. Here the kernel tells no more than that the only peer's port is closed: it
    /// quotes nothing, and counts only while connecting.
    pub(crate) fn receive_error(&self, into: &mut Receiver) -> Option<IcmpReport> {
        let to = into.refused_by.take()?;
        Some(IcmpReport {
            to,
            quoted: 0,
            error: Some(IcmpError::PortUnreachable),
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
        if batch && bytes.len().div_ceil(segment.max(1)) > self.state.max_gso_segments() {
            return Err(SendFailure::Offload);
        }
        let message = quinn_udp::Transmit {
            destination: to.to,
            ecn: to.ecn.map(ecn_codepoint),
            contents: bytes,
            segment_size: batch.then_some(segment),
            src_ip: to.from_ip,
        };
        self.io
            .try_io(|| self.state.try_send((&self.io).into(), &message))
            .map_err(|error| SendFailure::of(&error, batch))
    }
}

impl Source for Socket {
    fn register(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        self.io.register(registry, token, what)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, what: Interest) -> io::Result<()> {
        self.io.reregister(registry, token, what)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.io.deregister(registry)
    }
}

fn ecn(mark: EcnCodepoint) -> Ecn {
    match mark {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}

fn ecn_codepoint(mark: Ecn) -> EcnCodepoint {
    match mark {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}
