//! A UDP relay that loses, doubles, reorders and damages what passes through it, by a seed.
//!
//! Every client gets a socket of its own towards the server, so the server sees as many addresses as there are.
//! One thread carries everything; it waits in `poll`, and for a datagram that it holds back at most some milliseconds.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use super::random::Random;

/// How often each thing happens to a datagram, from 0 to 1, and the seed that decides when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Impairment {
    /// It does not arrive.
    pub(crate) loss: f64,
    /// It arrives twice.
    pub(crate) duplicate: f64,
    /// It arrives after the next one.
    pub(crate) reorder: f64,
    /// One of its bits is flipped.
    pub(crate) corrupt: f64,
    /// Decides all of that.
    pub(crate) seed: u64,
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    addr: SocketAddr,
    shared: Arc<Shared>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    cut: AtomicBool,
    rebind: AtomicBool,
    carried: AtomicU64,
    lost: AtomicU64,
}

/// The relay's own socket, where clients send to; flow `n` has token `n + 2`.
const FRONT: Token = Token(0);
const WAKE: Token = Token(1);
/// Longest time for which a datagram is held back if none follows it.
const HOLD: Duration = Duration::from_millis(5);

impl Relay {
    /// Starts a relay to `server`, on a port of the same loopback address.
    pub(crate) fn start(server: SocketAddr, impairment: Impairment) -> Relay {
        println!("relay: {impairment:?}");
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), WAKE).expect("a waker");
        let mut front = bind(server.ip()).expect("a socket");
        poll.registry()
            .register(&mut front, FRONT, Interest::READABLE)
            .expect("registered");
        let addr = front.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let mut carrier = Carrier {
            poll,
            front,
            flows: Vec::new(),
            by_client: BTreeMap::new(),
            server,
            impairment,
            random: Random::new(impairment.seed),
            held: None,
            shared: Arc::clone(&shared),
        };
        let thread = thread::spawn(move || carrier.run());
        Relay {
            addr,
            shared,
            waker,
            thread: Some(thread),
        }
    }

    /// Where clients connect to.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on (until `cut(false)`) nothing arrives at all.
    pub(crate) fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
    }

    /// Gives every flow another port towards the server, as a NAT does that has forgotten them: what comes to
    /// the old ports is lost.
    pub(crate) fn rebind(&self) {
        self.shared.rebind.store(true, Ordering::SeqCst);
        self.waker.wake().expect("the relay's thread can be woken");
    }

    /// Datagrams carried, and datagrams lost on purpose.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.shared.carried.load(Ordering::SeqCst),
            self.shared.lost.load(Ordering::SeqCst),
        )
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.waker.wake().expect("the relay's thread can be woken");
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Flow {
    client: SocketAddr,
    socket: UdpSocket,
}

/// A datagram and which way it goes: `None` is to the server.
struct Passing {
    flow: usize,
    to_client: bool,
    bytes: Vec<u8>,
}

struct Carrier {
    poll: Poll,
    front: UdpSocket,
    flows: Vec<Flow>,
    by_client: BTreeMap<SocketAddr, usize>,
    server: SocketAddr,
    impairment: Impairment,
    random: Random,
    held: Option<Passing>,
    shared: Arc<Shared>,
}

impl Carrier {
    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; 65_536];
        while !self.shared.stop.load(Ordering::SeqCst) {
            let limit = self.held.is_some().then_some(HOLD);
            match self.poll.poll(&mut events, limit) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.expect("poll works"),
            }
            if self.shared.rebind.swap(false, Ordering::SeqCst) {
                self.rebind();
            }
            if events.is_empty() {
                self.release_held();
            }
            for event in &events {
                match event.token() {
                    FRONT => self.relay_clients(&mut buffer),
                    WAKE => {}
                    Token(token) => self.relay_server(token - 2, &mut buffer),
                }
            }
        }
    }

    fn rebind(&mut self) {
        for (index, flow) in self.flows.iter_mut().enumerate() {
            let mut socket = bind(self.server.ip()).expect("a socket with another port");
            let registry = self.poll.registry();
            registry
                .register(&mut socket, Token(index + 2), Interest::READABLE)
                .expect("registered");
            flow.socket = socket;
        }
    }

    fn relay_clients(&mut self, buffer: &mut [u8]) {
        // An ICMP error of an earlier send surfaces as an error here: there is no client to tell.
        while let Some((len, client)) = next(|| self.front.recv_from(buffer)) {
            let flow = self.flow_of(client);
            self.impair(Passing {
                flow,
                to_client: false,
                bytes: buffer[..len].to_vec(),
            });
        }
    }

    fn relay_server(&mut self, flow: usize, buffer: &mut [u8]) {
        while let Some((len, _)) = next(|| self.flows[flow].socket.recv_from(buffer)) {
            self.impair(Passing {
                flow,
                to_client: true,
                bytes: buffer[..len].to_vec(),
            });
        }
    }

    fn flow_of(&mut self, client: SocketAddr) -> usize {
        if let Some(flow) = self.by_client.get(&client) {
            return *flow;
        }
        let flow = self.flows.len();
        let mut socket = bind(self.server.ip()).expect("a socket for one more client");
        let registry = self.poll.registry();
        registry
            .register(&mut socket, Token(flow + 2), Interest::READABLE)
            .expect("registered");
        self.flows.push(Flow { client, socket });
        self.by_client.insert(client, flow);
        flow
    }

    fn impair(&mut self, mut passing: Passing) {
        if self.shared.cut.load(Ordering::SeqCst) || self.random.happens(self.impairment.loss) {
            self.shared.lost.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if self.random.happens(self.impairment.corrupt) && !passing.bytes.is_empty() {
            let bit = self.random.below(8 * passing.bytes.len());
            passing.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if self.random.happens(self.impairment.duplicate) {
            self.pass(&passing);
        }
        if self.held.is_none() && self.random.happens(self.impairment.reorder) {
            self.held = Some(passing);
            return;
        }
        self.pass(&passing);
        self.release_held();
    }

    fn release_held(&mut self) {
        if let Some(passing) = self.held.take() {
            self.pass(&passing);
        }
    }

    /// Sends it on. A full socket loses it, as a network would.
    fn pass(&self, passing: &Passing) {
        let flow = &self.flows[passing.flow];
        let _ = if passing.to_client {
            self.front.send_to(&passing.bytes, flow.client)
        } else {
            flow.socket.send_to(&passing.bytes, self.server)
        };
        self.shared.carried.fetch_add(1, Ordering::SeqCst);
    }
}

/// The next datagram; errors other than "none" concern datagrams sent earlier, and are passed over.
fn next(
    mut receive: impl FnMut() -> io::Result<(usize, SocketAddr)>,
) -> Option<(usize, SocketAddr)> {
    for _ in 0..64 {
        match receive() {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
    None
}

fn bind(ip: IpAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0))?;
    // What the system allows; less only loses more.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    Ok(socket)
}
