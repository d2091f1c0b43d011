//! A bad stretch of network on one machine: a UDP relay that loses, delays, reorders, duplicates
//! and corrupts datagrams.
//!
//! Clients send to [`Relay::local_addr`]. The relay gives each of them a socket of its own towards
//! the target, so the target sees as many peers as there are, and passes datagrams both ways. It
//! does not look into them: any protocol over UDP can go through.
//!
//! What happens to the n-th datagram of one direction of one client depends on the seed alone. The
//! kernel still decides when each arrives, so a run repeats its faults, not its timing.
//!
//! One thread does all the work and sleeps in `poll` while there is none. Everything is bounded:
//! clients, datagrams held back, and work per turn.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use dice::Dice;

#[path = "dice.rs"]
pub(crate) mod dice;

/// Clients with a socket at the same time; a further one replaces the longest silent.
const CLIENTS_MAX: usize = 1_024;
/// Datagrams held back at the same time; a further one is dropped, as a full queue does.
const HELD_MAX: usize = 65_536;
/// Datagrams read from one socket before the others get their turn.
const TURN_MAX: usize = 64;
/// Asked of the kernel, so that a burst is lost by the dice and not by a small buffer.
const SOCKET_BUFFER: usize = 4 << 20;
/// The largest UDP payload, and one more byte.
const DATAGRAM_MAX: usize = 65_536;
/// How much longer than its neighbours a reordered datagram takes, at most.
const REORDER_MAX: Duration = Duration::from_millis(5);

const FRONT: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST_CLIENT: usize = 2;

/// What the relay does to each datagram, in both directions. Probabilities are from 0 to 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Impairments {
    /// Probability that a datagram vanishes.
    pub(crate) loss: f64,
    /// Added to the way in each direction; a round trip grows by twice this.
    pub(crate) delay: Duration,
    /// Probability that a datagram is held back while later ones pass.
    pub(crate) reorder: f64,
    /// Probability that a datagram arrives twice.
    pub(crate) duplicate: f64,
    /// Probability that one bit of a datagram flips.
    pub(crate) corrupt: f64,
    /// Where the dice start.
    pub(crate) seed: u64,
}

/// What a relay did so far, in datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Taken from a socket.
    pub(crate) received: u64,
    /// Handed to a socket, duplicates included.
    pub(crate) passed: u64,
    /// Lost by the dice.
    pub(crate) lost: u64,
    /// Held back while later ones passed.
    pub(crate) reordered: u64,
    /// Sent twice.
    pub(crate) duplicated: u64,
    /// Sent with a flipped bit.
    pub(crate) corrupted: u64,
    /// Dropped because a queue or a socket was full.
    pub(crate) overflowed: u64,
}

/// A running relay; dropping it stops its thread.
pub(crate) struct Relay {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay towards `target`, on a free port of the loopback address of the same family.
    ///
    /// # Errors
    ///
    /// What the system says to a new socket or thread.
    pub(crate) fn start(target: SocketAddr, impairments: Impairments) -> io::Result<Relay> {
        let front = bind(loopback_like(target))?;
        let local_addr = front.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("relay".into())
            .spawn(move || {
                let worker = Worker::new(poll, front, target, impairments, theirs);
                if let Err(error) = worker.and_then(Worker::run) {
                    eprintln!("the relay stopped: {error}");
                }
            })?;
        Ok(Relay {
            local_addr,
            shared,
            waker,
            thread: Some(thread),
        })
    }

    /// Where clients send to.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What the relay did so far; a datagram that just arrived may not be counted yet.
    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            received: read(&self.shared.received),
            passed: read(&self.shared.passed),
            lost: read(&self.shared.lost),
            reordered: read(&self.shared.reordered),
            duplicated: read(&self.shared.duplicated),
            corrupted: read(&self.shared.corrupted),
            overflowed: read(&self.shared.overflowed),
        }
    }

    /// Stops the relay; returns all that it did.
    pub(crate) fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let (Ok(()), Some(thread)) = (self.waker.wake(), self.thread.take()) {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    received: AtomicU64,
    passed: AtomicU64,
    lost: AtomicU64,
    reordered: AtomicU64,
    duplicated: AtomicU64,
    corrupted: AtomicU64,
    overflowed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The thread's own side: sockets, dice, and what is held back.
struct Worker {
    poll: Poll,
    front: Rc<UdpSocket>,
    target: SocketAddr,
    impairments: Impairments,
    shared: Arc<Shared>,
    clients: Vec<Client>,
    by_address: BTreeMap<SocketAddr, usize>,
    clients_seen: u64,
    ready: BTreeSet<Token>,
    held: BinaryHeap<Reverse<Held>>,
    held_ever: u64,
}

struct Client {
    address: SocketAddr,
    socket: Rc<UdpSocket>,
    to_target: Dice,
    to_client: Dice,
    last_heard: Instant,
}

/// A datagram on its way, ordered by the moment it leaves, then by its arrival.
struct Held {
    due: Instant,
    order: u64,
    exit: Exit,
    datagram: Vec<u8>,
}

/// Through which socket a datagram leaves.
#[derive(Clone)]
enum Exit {
    ToTarget(Rc<UdpSocket>),
    ToClient(SocketAddr),
}

impl Worker {
    fn new(
        poll: Poll,
        mut front: UdpSocket,
        target: SocketAddr,
        impairments: Impairments,
        shared: Arc<Shared>,
    ) -> io::Result<Worker> {
        poll.registry()
            .register(&mut front, FRONT, Interest::READABLE)?;
        Ok(Worker {
            poll,
            front: Rc::new(front),
            target,
            impairments,
            shared,
            clients: Vec::new(),
            by_address: BTreeMap::new(),
            clients_seen: 0,
            ready: BTreeSet::new(),
            held: BinaryHeap::new(),
            held_ever: 0,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; DATAGRAM_MAX];
        while !self.shared.stop.load(Relaxed) {
            match self.poll.poll(&mut events, self.sleep(now())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => self.ready.extend(events.iter().map(|event| event.token())),
            }
            self.release(now());
            for token in self.ready.clone() {
                if !self.receive(token, &mut buffer)? {
                    self.ready.remove(&token);
                }
            }
        }
        Ok(())
    }

    /// How long the thread may sleep: not at all with work left, for ever with nothing held.
    fn sleep(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let Reverse(next) = self.held.peek()?;
        Some(next.due.saturating_duration_since(now))
    }

    fn release(&mut self, now: Instant) {
        while self
            .held
            .peek()
            .is_some_and(|Reverse(next)| next.due <= now)
        {
            if let Some(Reverse(held)) = self.held.pop() {
                self.send(&held.exit, &held.datagram);
            }
        }
    }

    /// Takes what one socket has; `true` if it may have more.
    fn receive(&mut self, token: Token, buffer: &mut [u8]) -> io::Result<bool> {
        let client = match token {
            FRONT => None,
            WAKER => return Ok(false),
            Token(other) => Some(other - FIRST_CLIENT),
        };
        for _ in 0..TURN_MAX {
            let taken = match client {
                None => self.front.recv_from(buffer),
                Some(index) => {
                    let client = &self.clients[index];
                    client
                        .socket
                        .recv(buffer)
                        .map(|length| (length, client.address))
                }
            };
            match taken {
                Ok((length, address)) => {
                    count(&self.shared.received);
                    let index = match client {
                        None => self.client(address)?,
                        Some(index) => index,
                    };
                    self.carry(index, client.is_none(), &mut buffer[..length]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // A port that is closed at the far end is the sender's business, not the relay's.
                Err(_) => {}
            }
        }
        Ok(true)
    }

    /// The client with this address, made now if there is none.
    fn client(&mut self, address: SocketAddr) -> io::Result<usize> {
        if let Some(&index) = self.by_address.get(&address) {
            return Ok(index);
        }
        let mut client = Client::new(
            address,
            self.target,
            self.impairments.seed,
            self.clients_seen,
        )?;
        self.clients_seen += 1;
        let index = self.free_slot();
        let token = Token(index + FIRST_CLIENT);
        let socket = Rc::get_mut(&mut client.socket).expect("the socket was made just now");
        self.poll
            .registry()
            .register(socket, token, Interest::READABLE)?;
        self.by_address.insert(address, index);
        match self.clients.get_mut(index) {
            Some(old) => {
                self.by_address.remove(&old.address);
                *old = client;
            }
            None => self.clients.push(client),
        }
        Ok(index)
    }

    /// The next new index, or that of the client that was silent for the longest time.
    fn free_slot(&self) -> usize {
        if self.clients.len() < CLIENTS_MAX {
            return self.clients.len();
        }
        let silent = self
            .clients
            .iter()
            .enumerate()
            .min_by_key(|(_, client)| client.last_heard);
        silent.map_or(0, |(index, _)| index)
    }

    /// Throws the dice for one datagram, and sends or holds what is left of it.
    fn carry(&mut self, index: usize, to_target: bool, datagram: &mut [u8]) {
        let now = now();
        let client = &mut self.clients[index];
        client.last_heard = now;
        let (dice, exit) = if to_target {
            (
                &mut client.to_target,
                Exit::ToTarget(Rc::clone(&client.socket)),
            )
        } else {
            (&mut client.to_client, Exit::ToClient(client.address))
        };
        let fate = Fate::throw(dice, &self.impairments);
        if fate.lost {
            return count(&self.shared.lost);
        }
        if let Some(position) = fate.flipped_bit {
            flip(datagram, position);
            count(&self.shared.corrupted);
        }
        if fate.extra > Duration::ZERO {
            count(&self.shared.reordered);
        }
        if fate.twice {
            count(&self.shared.duplicated);
            self.forward(exit.clone(), datagram, now, self.impairments.delay);
        }
        self.forward(exit, datagram, now, self.impairments.delay + fate.extra);
    }

    fn forward(&mut self, exit: Exit, datagram: &[u8], now: Instant, delay: Duration) {
        if delay == Duration::ZERO {
            return self.send(&exit, datagram);
        }
        if self.held.len() >= HELD_MAX {
            return count(&self.shared.overflowed);
        }
        let (due, order) = (now + delay, self.held_ever);
        self.held_ever += 1;
        self.held.push(Reverse(Held {
            due,
            order,
            exit,
            datagram: datagram.to_vec(),
        }));
    }

    fn send(&self, exit: &Exit, datagram: &[u8]) {
        let sent = match exit {
            Exit::ToTarget(socket) => socket.send(datagram),
            Exit::ToClient(address) => self.front.send_to(datagram, *address),
        };
        // A full socket drops, as a full queue of a router does.
        count(if sent.is_ok() {
            &self.shared.passed
        } else {
            &self.shared.overflowed
        });
    }
}

impl Client {
    fn new(address: SocketAddr, target: SocketAddr, seed: u64, number: u64) -> io::Result<Client> {
        let socket = bind(loopback_like(target))?;
        socket.connect(target)?;
        Ok(Client {
            address,
            socket: Rc::new(socket),
            to_target: Dice::new(seed, number * 2),
            to_client: Dice::new(seed, number * 2 + 1),
            last_heard: now(),
        })
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

/// What the dice decided about one datagram.
#[derive(Debug, PartialEq)]
struct Fate {
    lost: bool,
    twice: bool,
    flipped_bit: Option<u64>,
    extra: Duration,
}

impl Fate {
    /// Always draws the same number of times, so that one setting does not move the others' faults.
    fn throw(dice: &mut Dice, impairments: &Impairments) -> Fate {
        let lost = dice.chance(impairments.loss);
        let twice = dice.chance(impairments.duplicate);
        let corrupt = dice.chance(impairments.corrupt);
        let late = dice.chance(impairments.reorder);
        let position = dice.next();
        let extra = REORDER_MAX.mul_f64(1.0 - dice.next_fraction());
        Fate {
            lost,
            twice,
            flipped_bit: corrupt.then_some(position),
            extra: if late { extra } else { Duration::ZERO },
        }
    }
}

/// Flips one bit of `datagram`; an empty one has none.
fn flip(datagram: &mut [u8], position: u64) {
    let bits = u64::try_from(datagram.len()).map_or(0, |length| length * 8);
    if bits == 0 {
        return;
    }
    let bit = position % bits;
    let byte = usize::try_from(bit / 8).expect("the byte is inside the datagram");
    datagram[byte] ^= 1 << (bit % 8);
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(SOCKET_BUFFER)?;
    options.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

/// A free port of the loopback address for a loopback target, of any address for a far one.
fn loopback_like(target: SocketAddr) -> SocketAddr {
    match target {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the relay delays real datagrams in real time"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
