//! A UDP socket in use: where it is, what it could not send yet, which paths take no offload.
//!
//! Any thread may send. While the socket is full it is *stalled*: what was built stays here in order, no
//! more is built, and the loop sends it when the socket says that it has room.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::cell::Cell;
use super::lock;
use super::platform::{
    AtomicBool, AtomicU64, Interest, Mutex, Registry, RwLock, RwLockReadGuard, RwLockWriteGuard,
    Token,
};
use super::socket::{IcmpReport, Receiver, SendFailure, Socket, SocketOptions, Train};
use crate::time::Time;
use crate::wire::{Batch, Transmit};

/// How long a path that refused an offloaded batch gets its datagrams one by one.
const OFFLOAD_PAUSE: Duration = Duration::from_secs(60);
/// Paths without offload that are remembered; one more forgets the oldest, which is then tried again.
const OFFLOAD_PATHS_MAX: usize = 64;

/// Time between two tries to open another socket in the place of one whose address has gone.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);

/// How often datagrams wait for a queue below the socket before they count as lost: others wait behind them.
const CONGESTED_TRIES_MAX: u8 = 3;

/// A UDP socket of a shard.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) token: Token,
    pub(crate) local: SocketAddr,
    /// Bytes of the socket's receive buffer, as the system counts them; 0 if it does not say.
    pub(crate) receive_buffer: usize,
    /// Whether it serves one stream alone and goes with it.
    pub(crate) single: bool,
    /// How it was opened.
    options: SocketOptions,
    /// When it was last tried to open another socket in its place.
    reopened_at: Mutex<Option<Time>>,
    /// `None` once it is closed.
    socket: RwLock<Option<Socket>>,
    stalled: AtomicBool,
    backlog: Mutex<Backlog>,
    /// Whether `without_offload` has any entry: spares its lock on the hot path.
    has_pauses: AtomicBool,
    without_offload: Mutex<VecDeque<(IpAddr, Time)>>,
    drops: AtomicU64,
    /// Whether the loop has it on its list of sockets to read; only the loop looks.
    pub(crate) is_ready: AtomicBool,
    /// Failures that the next sends shall have, instead of being tried.
    #[cfg(test)]
    faults: Mutex<VecDeque<SendFailure>>,
}

/// What waits for a full socket.
#[derive(Debug, Default)]
struct Backlog {
    unsent: VecDeque<Unsent>,
    starved: Vec<Arc<Cell>>,
}

/// Datagrams that were built, and counted as sent, before the socket turned out to be full.
#[derive(Debug)]
struct Unsent {
    to: Transmit,
    bytes: Vec<u8>,
    segment: usize,
    /// How often a congested queue has turned it away.
    tries: u8,
}

/// Why a socket takes nothing now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stall {
    /// It will say when it has room.
    Full,
    /// Nobody will say: try again soon.
    Congested,
}

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// It left, or is as good as lost.
    All,
    /// The socket did not take all of it: the port keeps the rest.
    Stalled(Stall),
    /// The interface takes no datagrams of this size; `before` of them had left.
    TooLarge { before: usize },
    /// This host has no way to the peer, or no longer the socket's address; `before` of them had left. The
    /// others are as good as lost.
    Away { before: usize },
}

/// How far the sending of a batch came.
struct Stuck {
    /// Bytes that were sent.
    at: usize,
    why: Hindrance,
}

/// What stopped a batch.
#[derive(Clone, Copy)]
enum Hindrance {
    Stall(Stall),
    TooLarge,
    Away,
}

impl Port {
    /// Opens a socket and has its events go to `token`.
    pub(crate) fn open(
        registry: &Registry,
        token: Token,
        options: &SocketOptions,
    ) -> io::Result<Self> {
        let mut socket = Socket::open(options)?;
        let local = socket.local_addr()?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        Ok(Port {
            token,
            local,
            receive_buffer: socket.receive_buffer(),
            single: options.peer.is_some(),
            options: *options,
            reopened_at: Mutex::default(),
            socket: RwLock::new(Some(socket)),
            stalled: AtomicBool::new(false),
            backlog: Mutex::default(),
            has_pauses: AtomicBool::new(false),
            without_offload: Mutex::default(),
            drops: AtomicU64::new(0),
            is_ready: AtomicBool::new(false),
            #[cfg(test)]
            faults: Mutex::default(),
        })
    }

    /// Closes the socket, whoever still holds the port.
    pub(crate) fn close(&self, registry: &Registry) {
        let Some(mut socket) = self.write_socket().take() else {
            return;
        };
        // Linux forgets a socket with its last descriptor.
        if cfg!(all(target_os = "linux", not(model))) {
            return;
        }
        if let Err(error) = registry.deregister(&mut socket) {
            tracing::debug!(%error, "a socket could not be deregistered");
        }
    }

    /// Opens another socket in the place of one stream's, if this host now has another address towards the peer.
    /// True if it has: the stream goes on from there. Otherwise the socket stays, and may serve again when the
    /// address has come back. A socket whose address was chosen, or which many share, is never replaced.
    pub(crate) fn reopen(&self, now: Time, registry: &Registry) -> bool {
        if !self.single || !self.may_reopen(now) {
            return false;
        }
        match self.replace(registry) {
            Ok(moved) => moved,
            Err(error) => {
                tracing::debug!(%error, "no other socket could be opened");
                false
            }
        }
    }

    /// Whether this host no longer has the address of one stream's socket.
    pub(crate) fn has_lost_address(&self) -> bool {
        if !self.single {
            return false;
        }
        let Ok(local) = self.with_socket(Socket::local_addr) else {
            return false;
        };
        // The whole address, as one of a link alone is nothing without its scope.
        let mut any_port = local;
        any_port.set_port(0);
        let bound = UdpSocket::bind(any_port);
        bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
    }

    fn may_reopen(&self, now: Time) -> bool {
        let mut reopened_at = lock(&self.reopened_at);
        let may = reopened_at.is_none_or(|at| at + REOPEN_PAUSE <= now);
        if may {
            *reopened_at = Some(now);
        }
        may
    }

    fn replace(&self, registry: &Registry) -> io::Result<bool> {
        let mut new = Socket::open(&self.options)?;
        let address = new.local_addr()?;
        let mut socket = self.write_socket();
        let Some(old) = socket.as_mut() else {
            return Ok(false);
        };
        if old.local_addr()?.ip() == address.ip() {
            return Ok(false);
        }
        new.set_ttl(old.ttl()?)?;
        let interest = self.interest();
        registry.register(&mut new, self.token, interest)?;
        if let Err(error) = registry.deregister(old) {
            tracing::debug!(%error, "a socket could not be deregistered");
        }
        tracing::info!(was = %self.local, is = %address, "this host's address has changed");
        *socket = Some(new);
        Ok(true)
    }

    /// Sends a batch. Keeps what a full socket does not take; the caller then tells the loop why.
    pub(crate) fn send(&self, now: Time, to: &Transmit, batch: &Batch) -> Sent {
        let is_wildcard = self.local.ip().is_unspecified();
        let to = Transmit {
            from_ip: to.from_ip.filter(|_| is_wildcard),
            ..*to
        };
        let segment = batch.segment_size();
        let Err(stuck) = self.try_send(now, &to, batch.bytes(), segment) else {
            return Sent::All;
        };
        let before = stuck.at / segment.max(1);
        let why = match stuck.why {
            Hindrance::Stall(why) => why,
            Hindrance::TooLarge => return Sent::TooLarge { before },
            Hindrance::Away => return Sent::Away { before },
        };
        let mut backlog = lock(&self.backlog);
        backlog.unsent.push_back(Unsent {
            to,
            bytes: batch.bytes()[stuck.at..].to_vec(),
            segment,
            tries: 0,
        });
        self.stalled.store(true, Ordering::Release);
        Sent::Stalled(why)
    }

    /// Whether the socket is full: build nothing for it.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    /// Has `cell` drained once the socket has room; false if it has room already.
    pub(crate) fn park(&self, cell: &Arc<Cell>) -> bool {
        let mut backlog = lock(&self.backlog);
        let stalled = self.is_stalled();
        if stalled {
            backlog.starved.push(cell.clone());
        }
        stalled
    }

    /// Sends what was kept. `Ok`: all of it, and these connections want to go on.
    pub(crate) fn flush(&self, now: Time) -> Result<Vec<Arc<Cell>>, Stall> {
        let mut backlog = lock(&self.backlog);
        while let Some(unsent) = backlog.unsent.front_mut() {
            if let Err(stuck) = self.try_send(now, &unsent.to, &unsent.bytes, unsent.segment) {
                if stuck.at == 0 && matches!(stuck.why, Hindrance::Stall(Stall::Congested)) {
                    unsent.tries += 1;
                } else {
                    unsent.tries = 0;
                }
                if unsent.tries >= CONGESTED_TRIES_MAX {
                    // Not a full queue: a device that drops what its other end does not take says the same.
                    self.send_and_forget(unsent);
                } else if let Hindrance::Stall(why) = stuck.why {
                    unsent.bytes.drain(..stuck.at);
                    return Err(why);
                }
                // It waited, and its connection has sent others since: it is as good as lost on the way.
            }
            backlog.unsent.pop_front();
        }
        self.stalled.store(false, Ordering::Release);
        Ok(std::mem::take(&mut backlog.starved))
    }

    /// Asks for an event when the socket has room, while it is full. Whether it is full is looked up under
    /// the lock that guards it, so that of two threads that come here the last one is right.
    pub(crate) fn watch_writable(&self, registry: &Registry) {
        let _backlog = lock(&self.backlog);
        let interest = self.interest();
        let mut socket = self.write_socket();
        let Some(socket) = socket.as_mut() else {
            return;
        };
        if let Err(error) = registry.reregister(socket, self.token, interest) {
            tracing::warn!(%error, "a socket could not be watched");
        }
    }

    /// The events that it wants to hear of.
    fn interest(&self) -> Interest {
        if self.is_stalled() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        }
    }

    /// Receives one train of datagrams; `WouldBlock` when there is none.
    pub(crate) fn receive(&self, into: &mut Receiver) -> io::Result<Train> {
        let train = self.with_socket(|socket| socket.receive(into))?;
        if let Some(drops) = train.drops {
            self.drops.store(drops.into(), Ordering::Relaxed);
        }
        Ok(train)
    }

    /// Takes one ICMP error off the socket's queue.
    pub(crate) fn receive_error(&self, into: &mut Receiver) -> Option<IcmpReport> {
        self.read_socket().as_ref()?.receive_error(into)
    }

    /// Datagrams that the kernel dropped because the receive buffer was full.
    pub(crate) fn drops(&self) -> u64 {
        self.drops.load(Ordering::Relaxed)
    }

    /// Sets the time to live of what the socket sends, for all its connections.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.with_socket(|socket| socket.set_ttl(ttl))
    }

    /// The time to live of what the socket sends.
    pub(crate) fn ttl(&self) -> io::Result<u32> {
        self.with_socket(Socket::ttl)
    }

    /// Sends one by one what the device takes; the rest is as good as lost on the way.
    fn send_and_forget(&self, unsent: &Unsent) {
        for datagram in unsent.bytes.chunks(unsent.segment.max(1)) {
            let _ = self.send_once(&unsent.to, datagram, unsent.segment);
        }
    }

    fn try_send(
        &self,
        now: Time,
        to: &Transmit,
        bytes: &[u8],
        segment: usize,
    ) -> Result<(), Stuck> {
        let is_batch = bytes.len() > segment;
        let mut refused = false;
        if is_batch && !self.is_paused(now, to.to.ip()) {
            match self.send_once(to, bytes, segment) {
                Err(SendFailure::Offload) => refused = true,
                sent => return settle(sent, 0),
            }
        }
        for (index, datagram) in bytes.chunks(segment.max(1)).enumerate() {
            let sent = self.send_once(to, datagram, segment);
            settle(sent, index * segment)?;
            // Kernels refuse a batch of datagrams that are too large, or have nowhere to go, in the same words:
            // only now is it sure that it was not that.
            if sent.is_ok() && std::mem::take(&mut refused) {
                self.pause_offload(now, to.to.ip());
            }
        }
        Ok(())
    }

    /// Sends; again if the first try may only have brought the news of an earlier packet.
    fn send_once(&self, to: &Transmit, bytes: &[u8], segment: usize) -> Result<(), SendFailure> {
        let socket = self.read_socket();
        let Some(socket) = socket.as_ref() else {
            return Err(SendFailure::Lost);
        };
        match self.hand_down(socket, to, bytes, segment) {
            Err(SendFailure::Poisoned | SendFailure::TooLarge | SendFailure::Away) => {
                self.hand_down(socket, to, bytes, segment)
            }
            sent => sent,
        }
    }

    #[cfg(not(test))]
    fn hand_down(
        &self,
        socket: &Socket,
        to: &Transmit,
        bytes: &[u8],
        segment: usize,
    ) -> Result<(), SendFailure> {
        socket.send(to, bytes, segment)
    }

    #[cfg(test)]
    fn hand_down(
        &self,
        socket: &Socket,
        to: &Transmit,
        bytes: &[u8],
        segment: usize,
    ) -> Result<(), SendFailure> {
        match lock(&self.faults).pop_front() {
            Some(fault) => Err(fault),
            None => socket.send(to, bytes, segment),
        }
    }

    fn is_paused(&self, now: Time, ip: IpAddr) -> bool {
        if !self.has_pauses.load(Ordering::Relaxed) {
            return false;
        }
        let mut paths = lock(&self.without_offload);
        while paths.front().is_some_and(|(_, until)| *until <= now) {
            paths.pop_front();
        }
        self.has_pauses.store(!paths.is_empty(), Ordering::Relaxed);
        paths.iter().any(|(path, _)| *path == ip)
    }

    fn pause_offload(&self, now: Time, ip: IpAddr) {
        tracing::info!(%ip, "this path refuses offloaded batches; sending datagram by datagram");
        let mut paths = lock(&self.without_offload);
        if paths.len() == OFFLOAD_PATHS_MAX {
            paths.pop_front();
        }
        paths.push_back((ip, now + OFFLOAD_PAUSE));
        self.has_pauses.store(true, Ordering::Relaxed);
    }

    fn with_socket<T>(&self, act: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        match self.read_socket().as_ref() {
            Some(socket) => act(socket),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn read_socket(&self) -> RwLockReadGuard<'_, Option<Socket>> {
        self.socket.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_socket(&self) -> RwLockWriteGuard<'_, Option<Socket>> {
        self.socket.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a try to send means for the rest of its batch: apart from a full socket, datagrams that are too large
/// and a way that is gone, anything counts as sent.
fn settle(sent: Result<(), SendFailure>, at: usize) -> Result<(), Stuck> {
    let why = match sent {
        Err(SendFailure::Full) => Hindrance::Stall(Stall::Full),
        Err(SendFailure::Congested) => Hindrance::Stall(Stall::Congested),
        Err(SendFailure::TooLarge) => Hindrance::TooLarge,
        Err(SendFailure::Away) => Hindrance::Away,
        Ok(()) | Err(SendFailure::Poisoned | SendFailure::Offload | SendFailure::Lost) => {
            return Ok(());
        }
    };
    Err(Stuck { at, why })
}

#[cfg(test)]
mod tests;
