//! Two connections and a wire of vectors between them; the simulator does the large tests.

use super::*;
use crate::wire::{Batch, Body, ConnectionId, Ecn, Meta, Packet, decode};

mod closing;
mod datagrams;
mod gather;
mod hostile;
mod opening;
mod sizes;
mod transfer;

const CLIENT: &str = "192.0.2.1:1000";
const SERVER: &str = "192.0.2.2:2000";
const ONE_WAY: Duration = Duration::from_millis(10);

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn cid(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

/// A datagram on its way.
#[derive(Clone, Debug)]
struct Flying {
    at: Time,
    to_server: bool,
    bytes: Vec<u8>,
}

/// Whether a datagram arrives: its number, whether it goes to the server, and what it says.
pub(super) type Fate = Box<dyn FnMut(usize, bool, &Packet<'_>) -> bool>;

/// Two sides, the time, and what flies between them. `fate` says whether a datagram is lost.
pub(super) struct Pair {
    pub(super) now: Time,
    pub(super) client: Connection,
    server: Option<Connection>,
    config: Arc<Config>,
    flying: Vec<Flying>,
    pub(super) sent: Vec<(Time, bool, Vec<u8>)>,
    pub(super) fate: Fate,
    /// The largest datagram that the interfaces of both take.
    interface: usize,
    /// The largest datagram that the path carries; nobody is told.
    narrow: usize,
    events: [Vec<Event>; 2],
    /// Of the client and of the server.
    addresses: [SocketAddr; 2],
}

impl Pair {
    fn new(config: Config) -> Self {
        Pair::between([CLIENT, SERVER], config)
    }

    fn between(addresses: [&str; 2], config: Config) -> Self {
        let addresses = addresses.map(address);
        let config = Arc::new(config);
        let open = ActiveOpen {
            remote: addresses[1],
            local_cid: cid(11),
            local_first: PacketNumber::new(5_000),
            service: 0,
            incarnation: 1,
            cached_rtt: None,
        };
        Pair {
            now: Time::from_millis(1),
            client: Connection::connect(Time::from_millis(1), open, config.clone(), 1),
            server: None,
            config,
            flying: Vec::new(),
            sent: Vec::new(),
            fate: Box::new(|_, _, _| true),
            interface: 1_472,
            narrow: usize::MAX,
            events: Default::default(),
            addresses,
        }
    }

    /// A pair whose handshake is done, and quiet.
    pub(super) fn open(config: Config) -> Self {
        let mut pair = Pair::new(config);
        pair.settle();
        assert!(pair.client.is_open() && pair.server().is_open());
        pair
    }

    pub(super) fn server(&mut self) -> &mut Connection {
        self.server
            .as_mut()
            .expect("the server's connection exists")
    }

    /// Lets both sides send what they want to send now.
    fn transmit(&mut self) {
        let mut batch = Batch::new();
        for to_server in [true, false] {
            loop {
                let side = if to_server {
                    Some(&mut self.client)
                } else {
                    self.server.as_mut()
                };
                let Some(side) = side else { break };
                batch.clear();
                if side.poll_transmit(self.now, &mut batch).is_none() {
                    break;
                }
                if batch.segment_size() > self.interface {
                    side.handle_refused(self.now, &batch, 0);
                    continue;
                }
                assert!(!batch.is_empty(), "a transmit carries something");
                for bytes in batch.datagrams() {
                    let packet = decode(bytes).expect("what is sent can be read");
                    let number = self.sent.len();
                    self.sent.push((self.now, to_server, bytes.to_vec()));
                    let passes = bytes.len() <= self.narrow;
                    if (self.fate)(number, to_server, &packet) && passes {
                        let at = self.now + ONE_WAY;
                        self.flying.push(Flying {
                            at,
                            to_server,
                            bytes: bytes.to_vec(),
                        });
                    }
                }
            }
            let side = if to_server {
                Some(&mut self.client)
            } else {
                self.server.as_mut()
            };
            if let Some(side) = side {
                while let Some(event) = side.poll_event() {
                    self.events[usize::from(!to_server)].push(event);
                }
            }
        }
    }

    /// The next thing that happens; `None` if nothing ever will.
    fn next(&self) -> Option<Time> {
        let arrival = self.flying.iter().map(|flying| flying.at).min();
        let timers = [Some(&self.client), self.server.as_ref()];
        let timer = timers
            .into_iter()
            .flatten()
            .filter_map(Connection::poll_timeout);
        arrival
            .into_iter()
            .chain(timer.map(|deadline| deadline.at))
            .min()
    }

    /// Moves the time to `now` and lets happen what is due then.
    fn step(&mut self, now: Time) {
        assert!(
            now >= self.now,
            "a deadline in the past: {now:?} at {:?}",
            self.now
        );
        self.now = now;
        let (due, later) = self.flying.drain(..).partition(|flying| flying.at <= now);
        self.flying = later;
        let due: Vec<Flying> = due;
        for flying in due {
            self.deliver(flying.to_server, &flying.bytes);
        }
        for side in [Some(&mut self.client), self.server.as_mut()]
            .into_iter()
            .flatten()
        {
            if side
                .poll_timeout()
                .is_some_and(|deadline| deadline.at <= now)
            {
                side.handle_timeout(now);
            }
        }
        self.transmit();
    }

    fn deliver(&mut self, to_server: bool, bytes: &[u8]) {
        let packet = decode(bytes).expect("a packet");
        let from = self.addresses[usize::from(!to_server)];
        let meta = Meta {
            from,
            to_ip: None,
            ecn: None::<Ecn>,
        };
        let now = self.now;
        if !to_server {
            self.client.handle_packet(now, &meta, &packet, bytes.len());
        } else if let Some(server) = &mut self.server {
            server.handle_packet(now, &meta, &packet, bytes.len());
        } else if let Body::Syn(opening) = &packet.body {
            self.answer_syn(&packet, opening);
        } else if packet.options.cookie.is_some() {
            let mut server = self.accept(now);
            server.handle_packet(now, &meta, &packet, bytes.len());
            self.server = Some(server);
        }
    }

    /// What an endpoint does: a SYNACK, and nothing kept.
    fn answer_syn(&mut self, packet: &Packet<'_>, opening: &crate::wire::Opening) {
        use crate::wire::{Kind, Opening, Options, PacketBuilder};
        let mut buffer = [0; 256];
        let first = PacketNumber::new(9_000);
        let mut answer = PacketBuilder::new(&mut buffer, Kind::SynAck, Some(opening.cid), first);
        answer.opening(&Opening {
            cid: cid(22),
            max_datagram: 65_487,
            window: Window::new(self.config.receive_window()),
            clock: opening.clock,
            service: 0,
        });
        answer.options(&Options {
            cookie: Some(b"proof"),
            dgram_max: Some(self.config.datagram_max()),
            ..Options::default()
        });
        let len = answer.finish();
        assert!(packet.dcid.is_none());
        self.flying.push(Flying {
            at: self.now + ONE_WAY,
            to_server: false,
            bytes: buffer[..len].to_vec(),
        });
    }

    fn accept(&mut self, now: Time) -> Connection {
        let open = PassiveOpen {
            remote: self.addresses[0],
            local_ip: None,
            local_cid: cid(22),
            peer_cid: cid(11),
            local_first: PacketNumber::new(9_000),
            peer_first: PacketNumber::new(5_000),
            window: Window::new(self.config.receive_window()),
            promised_window: Window::new(self.config.receive_window()),
            max_datagram: 65_487,
            rtt: Some(2 * ONE_WAY),
            max_ack_delay: None,
            idle_timeout: None,
            dgram_max: Some(self.config.datagram_max()),
            features: None,
            incarnation: None,
        };
        Connection::accept(now, open, self.config.clone(), 2)
    }

    /// Lets time pass until `until`, or until nothing happens any more.
    fn run_until(&mut self, until: Time) {
        self.transmit();
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.step(next.max(self.now));
        }
        self.step(until.max(self.now));
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Long enough for everything but user timeouts.
    fn settle(&mut self) {
        self.run_for(Duration::from_secs(2));
    }

    /// Packets sent since `from` in `sent`, decoded for a look.
    fn kinds_since(&self, from: usize) -> Vec<(bool, &'static str)> {
        self.sent[from..]
            .iter()
            .map(|(_, to_server, bytes)| {
                let packet = decode(bytes).expect("a packet");
                let kind = match packet.body {
                    Body::Syn(_) => "SYN",
                    Body::SynAck(_) => "SYNACK",
                    Body::Data(_) if packet.flags.fin => "FIN",
                    Body::Data(_) => "DATA",
                    Body::Ack { .. } => "ACK",
                    Body::Probe(_) => "PROBE",
                    Body::Rst { .. } => "RST",
                    Body::Path(_) => "PATH",
                    _ => "other",
                };
                (*to_server, kind)
            })
            .collect()
    }
}

/// Every byte of a test stream is a function of its stream and offset.
fn byte_at(stream: u64, offset: u64) -> u8 {
    let mixed = (offset ^ (stream << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed.to_be_bytes()[2]
}

fn bytes_of(stream: u64, from: u64, len: usize) -> Vec<u8> {
    (from..)
        .take(len)
        .map(|offset| byte_at(stream, offset))
        .collect()
}

pub(super) fn read_all(connection: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buf = [0; 4_096];
    while let Ok(read @ 1..) = connection.read(&mut buf) {
        all.extend_from_slice(&buf[..read]);
    }
    all
}
