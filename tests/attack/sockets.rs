//! Attacks on real sockets, from addresses of the loopback network.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aqueduct::wire::{ConnectionId, Kind, PacketBuilder, PacketNumber};
use aqueduct::{Endpoint, EndpointConfig, Listener, Stream};

use crate::alone;
use crate::attacker::syn;
use crate::support::memory::{growth_kib, held};
use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes, eventually, watched};

/// Echoes whatever comes, over `connections` connections.
fn echo(listener: Listener, connections: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let serve = |stream: std::io::Result<Stream>| {
            let stream = stream.expect("a connection");
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream).expect("no error"))
        };
        let served: Vec<_> = listener.incoming().take(connections).map(serve).collect();
        for one in served {
            one.join().expect("no panic");
        }
    })
}

/// One connection that sends and gets back `len` bytes.
fn honest(to: SocketAddr, seed: u64, len: usize) {
    let mut stream = Stream::connect(to).expect("honest clients get in");
    stream.write_all(&bytes(seed, len)).expect("open");
    let mut got = vec![0; len];
    stream.read_exact(&mut got).expect("open");
    assert_bytes(seed, &got);
}

/// A socket with an address of its own in 127/8, if the system has the whole network on loopback.
fn spoofer(n: u32) -> UdpSocket {
    let [_, b, c, d] = (n + 2).to_be_bytes();
    UdpSocket::bind((Ipv4Addr::new(127, b, c, d), 0))
        .or_else(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .expect("a socket")
}

#[test]
fn attack_01_a_flood_of_syns_from_many_addresses_keeps_no_honest_client_out() {
    let _alone = alone();
    watched(|| {
        const SPOOFERS: u32 = 500;
        const EACH: u32 = 100;
        const HONEST: u64 = 50;
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = listener.local_addr().expect("bound");
        let server = echo(listener, HONEST.try_into().expect("few"));
        let before = held();
        let flood = thread::spawn(move || {
            let mut random = Random::new(1);
            for n in 0..SPOOFERS {
                let socket = spoofer(n);
                for _ in 0..EACH {
                    let cid = ConnectionId::new(random.next() | 1).expect("odd");
                    // A full socket buffer loses some of the flood: so be it.
                    let _ = socket.send_to(&syn(cid, PacketNumber::new(5), 65_536), to);
                }
            }
        });
        for seed in 0..HONEST {
            honest(to, seed, 10_000);
        }
        flood.join().expect("no panic");
        server.join().expect("every honest client was served");
        let grown = growth_kib(before);
        println!("{} SYNs: {grown} KiB more", SPOOFERS * EACH);
        assert!(grown < 32 << 10, "{grown} KiB");
    });
}

#[test]
fn attack_22_garbage_does_not_stop_a_transfer() {
    let _alone = alone();
    watched(|| {
        const BYTES: usize = 4 << 20;
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let floods: Vec<_> = (0..2)
            .map(|seed| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || garbage(to, seed, &stop))
            })
            .collect();
        let mut client = Stream::connect(to).expect("a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        let sender = thread::spawn(move || client.write_all(&bytes(22, BYTES)));
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), BYTES);
        assert_bytes(22, &got);
        sender.join().expect("no panic").expect("open");
        stop.store(true, Ordering::SeqCst);
        let sent: usize = floods
            .into_iter()
            .map(|flood| flood.join().expect("no panic"))
            .sum();
        println!("{sent} datagrams of garbage");
        assert!(sent > 0);
    });
}

/// Sends what no peer would send, until told to stop; at most a hundred thousand datagrams.
fn garbage(to: SocketAddr, seed: u64, stop: &AtomicBool) -> usize {
    let mut random = Random::new(seed);
    let socket = spoofer(u32::try_from(seed).expect("small"));
    let mut sent = 0;
    while sent < 100_000 && !stop.load(Ordering::SeqCst) {
        let len = random.below(1_400);
        let mut datagram = random.bytes(len);
        match sent % 4 {
            // Of no length at all.
            0 => datagram.clear(),
            // With our version and a random type.
            1 if len > 0 => datagram[0] = 0x10 | (datagram[0] & 15),
            // Whole, but for nobody.
            2 => datagram = stray(&mut random),
            _ => {}
        }
        sent += usize::from(socket.send_to(&datagram, to).is_ok());
    }
    sent
}

/// A right packet for a connection that does not exist.
fn stray(random: &mut Random) -> Vec<u8> {
    let kinds = [Kind::Probe, Kind::Data, Kind::Rst, Kind::Unknown];
    let kind = kinds[random.below(kinds.len())];
    let cid = ConnectionId::new(random.next() | 1).expect("odd");
    let mut buffer = vec![0; 64];
    let packet = PacketBuilder::new(
        &mut buffer,
        kind,
        Some(cid),
        PacketNumber::new(random.next()),
    );
    let len = packet.finish();
    buffer.truncate(len);
    buffer
}

#[test]
fn attack_17_half_a_handshake_holds_nothing() {
    let _alone = alone();
    watched(|| {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = listener.local_addr().expect("bound");
        let mut random = Random::new(17);
        let socket = spoofer(1);
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        // Every SYN is answered, nobody goes on.
        for _ in 0..2_000 {
            let cid = ConnectionId::new(random.next() | 1).expect("odd");
            socket
                .send_to(&syn(cid, PacketNumber::new(5), 65_536), to)
                .expect("room");
            let (len, _) = socket.recv_from(&mut [0; 1_500]).expect("a SYNACK");
            assert!(len <= 256, "not longer than the SYN");
        }
        let server = echo(listener, 1);
        honest(to, 17, 1_000);
        server.join().expect("served, and by the first accept");
    });
}

/// A crowd whose data nobody reads uses the endpoint's memory up: those that stand still are given up, both sides
/// learn it, and an honest client is served.
#[test]
fn attack_16_unread_connections_make_room_for_an_honest_client() {
    let _alone = alone();
    watched(|| {
        const CROWD: usize = 100;
        const BUDGET: usize = 4 << 20;
        let config = EndpointConfig::default().with_memory(BUDGET);
        let server = Endpoint::builder().endpoint_config(config);
        let server = server.bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to = server.local_addr().expect("bound");
        let listener = server.listen().expect("one listener");
        let from = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let crowded = from.local_addr().expect("bound");
        let unread = thread::spawn(move || {
            // Told apart by their address: a connection begins here with the first packet after its SYNACK, and where
            // memory was short for that one, the honest client is the first to come.
            let mut unread = Vec::new();
            let honest = loop {
                let (stream, peer) = listener.accept().expect("a connection");
                if peer != crowded {
                    break stream;
                }
                unread.push(stream);
            };
            let mut got = [0; 10_000];
            (&honest).read_exact(&mut got).expect("open");
            (&honest).write_all(&got).expect("open");
            (unread, honest, listener)
        });
        let data = vec![7; 256 << 10];
        let crowd: Vec<Stream> = (0..CROWD)
            .map(|_| {
                let stream = from.connect(to).expect("room is made");
                stream.set_nonblocking(true).expect("open");
                let taken = (&stream).write(&data).expect("the buffer takes it");
                assert_eq!(taken, data.len());
                stream
            })
            .collect();
        honest(to, 16, 10_000);
        let (unread, _honest, _listener) = unread.join().expect("no panic");
        let given_up = |streams: &[Stream], kind: ErrorKind| {
            let ended = streams.iter().filter(|stream| {
                let mut reader: &Stream = stream;
                let answer = reader.read(&mut [0]);
                answer.is_err_and(|error| error.kind() == kind)
            });
            ended.count()
        };
        for stream in &unread {
            stream.set_nonblocking(true).expect("a stream");
        }
        let ours = given_up(&unread, ErrorKind::ConnectionAborted);
        assert!(ours > 0, "who stood still was given up");
        let theirs = std::cell::Cell::new(0);
        eventually("the peers hear of it", || {
            theirs.set(theirs.get() + given_up(&crowd, ErrorKind::ConnectionReset));
            theirs.get() >= ours
        });
        println!("{ours} of {CROWD} given up, {} were told", theirs.get());
        assert!(ours < CROWD, "the others stay");
    });
}
