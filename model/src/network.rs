//! UDP in memory: what is sent arrives at once, in order, and without an end of room.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::poll::{Interest, Registry, Token};
use super::sync::{Mutex, held};
use super::world::world;
use crate::limits::SLAB_BYTES;
use crate::runtime::socket::{IcmpReport, SendFailure, SocketOptions, Train};
use crate::wire::{Meta, Slab, Transmit};

/// What has arrived at a socket.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Arrived>);

#[derive(Debug, Default)]
struct Arrived {
    datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    watcher: Option<(Registry, Token)>,
}

impl Inbox {
    fn lock(&self) -> super::MutexGuard<'_, Arrived> {
        held(self.0.lock())
    }

    fn push(&self, from: SocketAddr, datagram: &[u8]) {
        let mut arrived = self.lock();
        arrived.datagrams.push_back((from, datagram.to_vec()));
        let watcher = arrived.watcher.clone();
        drop(arrived);
        if let Some((registry, token)) = watcher {
            registry.tell(token, Interest::READABLE);
        }
    }
}

/// Memory to receive into.
#[derive(Debug)]
pub(crate) struct Receiver(Vec<u8>);

impl Receiver {
    pub(crate) fn new() -> Self {
        Receiver(Vec::new())
    }

    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        &self.0[..len.min(self.0.len())]
    }

    pub(crate) fn slab(&self) -> Option<&Arc<Slab>> {
        None
    }
}

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct Socket {
    address: SocketAddr,
    peer: Option<SocketAddr>,
    inbox: Arc<Inbox>,
}

impl Socket {
    pub(crate) fn open(options: &SocketOptions) -> io::Result<Self> {
        let mut world = world();
        let mut address = options.bind;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        if address.port() == 0 {
            world.next_port += 1;
            address.set_port(world.next_port);
        }
        if world.inboxes.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let inbox = Arc::new(Inbox::default());
        world.inboxes.insert(address, inbox.clone());
        Ok(Socket {
            address,
            peer: options.peer,
            inbox,
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    pub(crate) fn receive_buffer(&self) -> usize {
        8 << 20
    }

    pub(crate) fn set_ttl(&self, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn ttl(&self) -> io::Result<u32> {
        Ok(64)
    }

    pub(crate) fn receive(&self, into: &mut Receiver) -> io::Result<Train> {
        let (from, datagram) = match self.inbox.lock().datagrams.pop_front() {
            Some(next) => next,
            None => return Err(io::ErrorKind::WouldBlock.into()),
        };
        into.0 = datagram;
        assert!(into.0.len() <= SLAB_BYTES, "a datagram of 64 KiB and more");
        Ok(Train {
            meta: Meta {
                from,
                to_ip: None,
                ecn: None,
            },
            len: into.0.len(),
            stride: into.0.len(),
            truncated: false,
            drops: None,
        })
    }

    pub(crate) fn receive_error(&self, _: &mut Receiver) -> Option<IcmpReport> {
        None
    }

    pub(crate) fn send(
        &self,
        to: &Transmit,
        bytes: &[u8],
        segment: usize,
    ) -> Result<(), SendFailure> {
        let to = self.peer.unwrap_or(to.to);
        let mut world = world();
        if world.to_lose > 0 {
            world.to_lose -= 1;
            return Ok(());
        }
        let inbox = world.inboxes.get(&to).cloned();
        drop(world);
        if let Some(inbox) = inbox {
            for datagram in bytes.chunks(segment.max(1)) {
                inbox.push(self.address, datagram);
            }
        }
        Ok(())
    }

    pub(super) fn watch(&mut self, registry: Registry, token: Token) {
        let mut arrived = self.inbox.lock();
        if !arrived.datagrams.is_empty() {
            registry.tell(token, Interest::READABLE);
        }
        arrived.watcher = Some((registry, token));
    }

    pub(super) fn unwatch(&mut self) {
        self.inbox.lock().watcher = None;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        world().inboxes.remove(&self.address);
    }
}
