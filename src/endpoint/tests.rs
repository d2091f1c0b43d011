//! The endpoint without connections: what strangers, late packets and spoofers get.

mod abuse;
mod handshake;
mod leaving;
mod pair;

use super::*;
use crate::connection::LastAck;
use crate::wire::{Body, Flags, Offset, Opening, PacketBuilder, PacketNumber, integrity};

const CLIENT: &str = "192.0.2.7:40000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn id(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

fn secs(seconds: u64) -> Time {
    Time::from_millis(seconds * 1_000)
}

fn meta(from: SocketAddr) -> Meta {
    Meta {
        from,
        to_ip: None,
        ecn: None,
    }
}

/// A cheap generator whose seed is written beside its use.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.next() % end).expect("small")
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
    }
}

/// What became of a datagram, owned.
#[derive(Debug)]
enum Outcome {
    Connection(Handle, Kind),
    Arrival(Arrival),
    Reply(Vec<u8>),
    Drop(DropReason),
}

impl Outcome {
    fn reply(self) -> Vec<u8> {
        match self {
            Outcome::Reply(bytes) => bytes,
            other => panic!("no reply but {other:?}"),
        }
    }

    fn arrival(self) -> Arrival {
        match self {
            Outcome::Arrival(arrival) => arrival,
            other => panic!("no arrival but {other:?}"),
        }
    }

    fn drop_reason(self) -> DropReason {
        match self {
            Outcome::Drop(reason) => reason,
            other => panic!("not dropped but {other:?}"),
        }
    }
}

/// An endpoint and the batch of its driver.
struct Host {
    endpoint: Endpoint,
    reply: Batch,
}

impl Host {
    fn new(listening: Listening) -> Host {
        Host::with(listening, EndpointConfig::new())
    }

    fn with(listening: Listening, config: EndpointConfig) -> Host {
        let mut endpoint = Endpoint::new(Arc::new(config), [5; 32]);
        endpoint.set_listening(listening, &Config::new());
        Host {
            endpoint,
            reply: Batch::new(),
        }
    }

    fn listening(&mut self, listening: Listening) {
        self.endpoint.set_listening(listening, &Config::new());
    }

    fn receive(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) -> Outcome {
        self.receive_meta(now, &meta(from), datagram)
    }

    /// Feeds a datagram; checks what holds for every answer.
    fn receive_meta(&mut self, now: Time, meta: &Meta, datagram: &[u8]) -> Outcome {
        self.reply.clear();
        match self
            .endpoint
            .handle_datagram(now, meta, datagram, &mut self.reply)
        {
            Route::Connection(handle, packet) => Outcome::Connection(handle, packet.kind()),
            Route::Arrival(arrival, _) => Outcome::Arrival(arrival),
            Route::Drop(reason) => {
                assert!(self.reply.is_empty(), "nothing to send for a drop");
                Outcome::Drop(reason)
            }
            Route::Reply(transmit) => {
                assert_eq!(transmit.to, meta.from);
                assert_eq!(transmit.from_ip, meta.to_ip);
                assert_eq!(self.reply.len(), 1);
                let bytes = self.reply.bytes().to_vec();
                assert!(integrity::is_intact(&bytes));
                Outcome::Reply(bytes)
            }
        }
    }

    /// The SYNACK to a SYN.
    fn syn_ack(&mut self, now: Time, from: SocketAddr, syn: &[u8]) -> SynAck {
        SynAck::read(&self.receive(now, from, syn).reply())
    }

    /// A whole handshake of the client with this id.
    fn open(&mut self, now: Time, from: SocketAddr, cid: u64) -> (Handle, PassiveOpen) {
        let answer = self.syn_ack(now, from, &Syn::new(cid).bytes());
        let arrival = self.receive(now, from, &third(&answer)).arrival();
        let (handle, open, _seed) = self.endpoint.admit(arrival);
        (handle, open)
    }
}

/// What a test wants to see of a SYNACK.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SynAck {
    dcid: ConnectionId,
    pn: u32,
    opening: Opening,
    cookie: Vec<u8>,
    idle_timeout: Option<Duration>,
    incarnation: Option<u64>,
}

impl SynAck {
    fn read(bytes: &[u8]) -> SynAck {
        let packet = wire::decode(bytes).expect("a packet");
        let Body::SynAck(opening) = packet.body else {
            panic!("no SYNACK but {packet:?}");
        };
        SynAck {
            dcid: packet.dcid.expect("an id"),
            pn: packet.pn.get(),
            opening,
            cookie: packet.options.cookie.expect("a cookie").to_vec(),
            idle_timeout: packet.options.idle_timeout,
            incarnation: packet.options.incarnation,
        }
    }
}

/// A SYN to be.
#[derive(Clone, Copy, Debug)]
struct Syn {
    opening: Opening,
    options: Options<'static>,
    len: usize,
}

impl Syn {
    fn new(cid: u64) -> Syn {
        Syn {
            opening: Opening {
                cid: id(cid),
                max_datagram: 1_472,
                window: Window::new(100_000),
                clock: 77,
                service: 0,
            },
            options: Options::default(),
            len: 256,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        build(Kind::Syn, None, 1_000, |packet| {
            packet.opening(&self.opening);
            packet.options(&self.options);
            packet.pad_to(self.len);
        })
    }
}

fn build(
    kind: Kind,
    dcid: Option<ConnectionId>,
    number: u64,
    fill: impl FnOnce(&mut PacketBuilder<'_>),
) -> Vec<u8> {
    let mut buffer = vec![0; 2_000];
    let mut packet = PacketBuilder::new(&mut buffer, kind, dcid, PacketNumber::new(number));
    fill(&mut packet);
    let len = packet.finish();
    buffer.truncate(len);
    buffer
}

/// DATA with these payload bytes.
fn data(dcid: ConnectionId, number: u64, payload: &[u8]) -> Vec<u8> {
    build(Kind::Data, Some(dcid), number, |packet| {
        packet.payload(payload)
    })
}

fn fin(dcid: ConnectionId, number: u64) -> Vec<u8> {
    build(Kind::Data, Some(dcid), number, |packet| {
        packet.flags(Flags {
            fin: true,
            ..Flags::default()
        });
    })
}

/// DATA with a cookie, for our id.
fn with_cookie(dcid: ConnectionId, cookie: &[u8]) -> Vec<u8> {
    build(Kind::Data, Some(dcid), 1_000, |packet| {
        packet.options(&Options {
            cookie: Some(cookie),
            ..Options::default()
        });
        packet.payload(b"request");
    })
}

/// The third packet that a client sends upon a SYNACK.
fn third(answer: &SynAck) -> Vec<u8> {
    with_cookie(answer.opening.cid, &answer.cookie)
}

/// A packet that is never answered, of each kind that there is.
fn answers(dcid: ConnectionId) -> Vec<Vec<u8>> {
    let fields = crate::wire::AckFields {
        delay: Duration::ZERO,
        dropped: false,
        ack_offset: Offset::new(0),
        window: Window::new(0),
        unread: 0,
        ecn: None,
    };
    let number = PacketNumber::new(9);
    vec![
        build(Kind::Rst, Some(dcid), 9, |_| {}),
        build(Kind::Unknown, Some(dcid), 9, |_| {}),
        build(Kind::Versions, Some(dcid), 9, |packet| packet.payload(&[1])),
        build(Kind::Ack, Some(dcid), 9, |packet| {
            packet.offset(1);
            packet.ack(&fields, std::iter::once(number..=number), 0);
        }),
        build(Kind::SynAck, Some(dcid), 9, |packet| {
            packet.opening(&Syn::new(3).opening);
        }),
    ]
}

/// A numbered packet of each kind, without a cookie.
fn numbered(dcid: ConnectionId) -> Vec<Vec<u8>> {
    vec![
        data(dcid, 9, b""),
        data(dcid, 9, &[7; 1_000]),
        build(Kind::Dgram, Some(dcid), 9, |packet| packet.payload(b"x")),
        build(Kind::Probe, Some(dcid), 9, |_| {}),
        build(Kind::Path, Some(dcid), 9, |packet| packet.offset(1)),
    ]
}

fn last_ack(remote: SocketAddr) -> LastAck {
    LastAck {
        peer_cid: id(0xbeef),
        remote,
        largest: PacketNumber::new(0x1_0000_0005),
        ack_offset: Offset::new(12_346),
        next_number: PacketNumber::new(0x2_0000_0007),
        ack_number: 41,
        three_pto: Duration::from_millis(300),
    }
}
