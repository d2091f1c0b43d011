//! What a datagram costs before its connection sees it: garbage, strangers, and 10,000 live connections.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::endpoint::{Endpoint, Listening, Route};
use aqueduct::time::Time;
use aqueduct::wire::{
    self, Batch, Body, ConnectionId, Kind, Meta, Opening, Options, PacketBuilder, PacketNumber,
    Window,
};
use criterion::{Criterion, criterion_group, criterion_main};

const CONNECTIONS: u64 = 10_000;
/// A full datagram of an Ethernet path.
const FULL: usize = 1_472;
const NOW: Time = Time::from_millis(1_000);

fn client() -> Meta {
    Meta {
        from: SocketAddr::from(([192, 0, 2, 7], 40_000)),
        to_ip: None,
        ecn: None,
    }
}

fn id(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

fn build(
    kind: Kind,
    dcid: Option<ConnectionId>,
    fill: impl FnOnce(&mut PacketBuilder<'_>),
) -> Vec<u8> {
    let mut buffer = vec![0; FULL];
    let mut packet = PacketBuilder::new(&mut buffer, kind, dcid, PacketNumber::new(7));
    fill(&mut packet);
    let len = packet.finish();
    buffer.truncate(len);
    buffer
}

fn syn(cid: u64) -> Vec<u8> {
    build(Kind::Syn, None, |packet| {
        packet.opening(&Opening {
            cid: id(cid),
            max_datagram: 1_472,
            window: Window::new(1 << 18),
            clock: 1,
            service: 0,
        });
    })
}

fn data(dcid: ConnectionId, len: usize) -> Vec<u8> {
    build(Kind::Data, Some(dcid), |packet| {
        packet.payload(&vec![7; len - 32]);
    })
}

fn third(dcid: ConnectionId, cookie: &[u8]) -> Vec<u8> {
    build(Kind::Data, Some(dcid), |packet| {
        packet.options(&Options {
            cookie: Some(cookie),
            ..Options::default()
        });
    })
}

struct Host {
    endpoint: Endpoint,
    reply: Batch,
}

impl Host {
    fn new() -> Host {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), [5; 32]);
        endpoint.set_listening(Listening::Yes, &Config::new());
        Host {
            endpoint,
            reply: Batch::new(),
        }
    }

    fn receive<'d>(&mut self, datagram: &'d [u8]) -> Route<'d> {
        self.reply.clear();
        self.endpoint
            .handle_datagram(NOW, &client(), datagram, &mut self.reply)
    }

    /// Our id and the cookie that a SYN draws.
    fn cookie(&mut self, cid: u64) -> (ConnectionId, Vec<u8>) {
        assert!(matches!(self.receive(&syn(cid)), Route::Reply(_)));
        let packet = wire::decode(self.reply.bytes()).expect("a packet");
        let Body::SynAck(opening) = packet.body else {
            panic!("no SYNACK");
        };
        let cookie = packet.options.cookie.expect("a cookie");
        (opening.cid, cookie.to_vec())
    }

    /// A connection that a whole handshake opened; its id here.
    fn open(&mut self, cid: u64, config: &Arc<Config>) -> ConnectionId {
        let (dcid, cookie) = self.cookie(cid);
        let Route::Arrival(arrival, _) = self.receive(&third(dcid, &cookie)) else {
            panic!("no arrival");
        };
        self.endpoint.accept(NOW, arrival, config.clone());
        dcid
    }
}

fn route(c: &mut Criterion) {
    let mut host = Host::new();
    let config = Arc::new(Config::new());
    let ids: Vec<ConnectionId> = (1..=CONNECTIONS)
        .map(|cid| host.open(cid, &config))
        .collect();
    let mut group = c.benchmark_group("route");

    let garbage = vec![0xa5; FULL];
    group.bench_function("garbage", |b| {
        b.iter(|| assert!(matches!(host.receive(black_box(&garbage)), Route::Drop(_))));
    });
    let nobody = build(Kind::Rst, Some(id(5)), |_| {});
    group.bench_function("a RST for nobody", |b| {
        b.iter(|| assert!(matches!(host.receive(black_box(&nobody)), Route::Drop(_))));
    });
    for len in [32, FULL] {
        let mut spoiled = data(id(5), len);
        spoiled[31] ^= 1;
        group.bench_function(format!("{len} spoiled bytes for nobody"), |b| {
            b.iter(|| assert!(matches!(host.receive(black_box(&spoiled)), Route::Drop(_))));
        });
    }
    let (dcid, cookie) = host.cookie(CONNECTIONS + 1);
    let mut forged = cookie.clone();
    forged[9] ^= 1;
    let forged = third(dcid, &forged);
    group.bench_function("a forged cookie", |b| {
        b.iter(|| assert!(matches!(host.receive(black_box(&forged)), Route::Drop(_))));
    });
    let good = third(dcid, &cookie);
    group.bench_function("a good cookie", |b| {
        b.iter(|| assert!(matches!(host.receive(black_box(&good)), Route::Arrival(..))));
    });
    let stranger = syn(CONNECTIONS + 2);
    group.bench_function("a SYN, answered", |b| {
        b.iter(|| {
            assert!(matches!(
                host.receive(black_box(&stranger)),
                Route::Reply(_)
            ))
        });
    });

    for len in [32, FULL] {
        let packets: Vec<Vec<u8>> = ids.iter().map(|dcid| data(*dcid, len)).collect();
        group.bench_function(format!("{len} bytes, always one connection"), |b| {
            b.iter(|| {
                let route = host.receive(black_box(&packets[0]));
                assert!(matches!(route, Route::Connection(..)));
            });
        });
        let mut turn = packets.iter().cycle();
        group.bench_function(format!("{len} bytes, another connection each time"), |b| {
            b.iter(|| {
                let packet = turn.next().expect("a cycle has no end");
                assert!(matches!(
                    host.receive(black_box(packet)),
                    Route::Connection(..)
                ));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
