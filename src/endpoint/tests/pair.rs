//! Two endpoints with real connections between them.

use std::collections::VecDeque;

use super::*;
use crate::connection::{Event, Linger, ReadError};
use crate::error::CloseReason;

/// One socket: an endpoint, its connections, and what they said.
struct Peer {
    address: SocketAddr,
    endpoint: Endpoint,
    live: Vec<(Handle, Connection)>,
    failed: Vec<CloseReason>,
}

impl Peer {
    fn new(address: &str, seed: u8) -> Peer {
        let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), [seed; 32]);
        endpoint.set_listening(Listening::Yes, &Config::new());
        Peer {
            address: self::address(address),
            endpoint,
            live: Vec::new(),
            failed: Vec::new(),
        }
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.live.last_mut().expect("a connection").1
    }

    fn receive(&mut self, now: Time, meta: &Meta, datagram: &[u8], wire: &mut Wire) {
        let mut reply = Batch::new();
        let len = datagram.len();
        let (handle, packet) = match self
            .endpoint
            .handle_datagram(now, meta, datagram, &mut reply)
        {
            Route::Connection(handle, packet) => (handle, packet),
            Route::Arrival(arrival, packet) => {
                let config = Arc::new(Config::new());
                let (handle, connection) = self.endpoint.accept(now, arrival, config);
                self.live.push((handle, connection));
                (handle, packet)
            }
            Route::Reply(transmit) => {
                wire.push_back((self.address, transmit.to, reply.bytes().to_vec()));
                return;
            }
            Route::Drop(_) => return,
        };
        let found = self.live.iter_mut().find(|live| live.0 == handle);
        let (_, connection) = found.expect("no route leads to a connection that is gone");
        connection.handle_packet(now, meta, &packet, len);
    }

    /// Takes out of the connections all that they have to say (C1).
    fn drain(&mut self, now: Time, wire: &mut Wire) {
        let mut batch = Batch::new();
        for (handle, connection) in &mut self.live {
            if connection.poll_timeout().is_some_and(|due| due.at <= now) {
                connection.handle_timeout(now);
            }
            while let Some(transmit) = connection.poll_transmit(now, &mut batch) {
                let sent = batch.datagrams().map(<[u8]>::to_vec);
                wire.extend(sent.map(|bytes| (self.address, transmit.to, bytes)));
                batch.clear();
            }
            while let Some(event) = connection.poll_event() {
                match event {
                    Event::Opened { peer_cid } => self.endpoint.on_opened(*handle, peer_cid),
                    Event::Failed(reason) => self.failed.push(reason),
                    Event::Closed(farewell) => self.endpoint.remove(now, *handle, farewell),
                    _ => {}
                }
            }
        }
    }
}

/// Datagrams under way: from, to, bytes.
type Wire = VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>;

/// Lets everything that is on its way arrive, at once and in order, for `millis` milliseconds.
fn run(start: Time, millis: u64, peers: &mut [Peer; 2]) -> Time {
    let mut wire = Wire::new();
    for milli in 0..millis {
        let now = start + Duration::from_millis(milli);
        loop {
            for peer in peers.iter_mut() {
                peer.drain(now, &mut wire);
            }
            let Some((from, to, bytes)) = wire.pop_front() else {
                break;
            };
            let peer = peers.iter_mut().find(|peer| peer.address == to);
            peer.expect("somebody")
                .receive(now, &meta(from), &bytes, &mut wire);
        }
    }
    start + Duration::from_millis(millis)
}

fn opened() -> (Time, [Peer; 2]) {
    let mut peers = [
        Peer::new("192.0.2.1:4000", 1),
        Peer::new("192.0.2.2:4000", 2),
    ];
    let to = peers[1].address;
    let config = Arc::new(Config::new());
    let made = peers[0]
        .endpoint
        .connect(secs(1), to, config)
        .expect("begins");
    peers[0].live.push(made);
    peers[0]
        .connection()
        .write(b"request")
        .expect_err("it still opens");
    let now = run(secs(1), 50, &mut peers);
    (now, peers)
}

fn read(peer: &mut Peer) -> Vec<u8> {
    let mut buffer = [0; 100];
    let len = peer
        .connection()
        .read(&mut buffer)
        .expect("something to read");
    buffer[..len].to_vec()
}

#[test]
fn a_connection_opens_carries_and_ends_in_time_wait_and_spent() {
    let (now, mut peers) = opened();
    assert_eq!(
        peers[1].live.len(),
        1,
        "the client proves itself before it has data"
    );
    assert!(peers.iter_mut().all(|peer| peer.connection().is_open()));
    peers[0].connection().write(b"request").expect("open");
    peers[1].connection().write(b"answer").expect("open");
    let now = run(now, 50, &mut peers);
    assert_eq!(read(&mut peers[1]), b"request");
    assert_eq!(read(&mut peers[0]), b"answer");

    peers[0].connection().release(now, Linger::Background);
    let now = run(now, 50, &mut peers);
    assert_eq!(read(&mut peers[1]), b"");
    peers[1].connection().release(now, Linger::Background);
    let now = run(now, 2_000, &mut peers);
    let [client, server] = &peers;
    assert_eq!((client.endpoint.len(), server.endpoint.len()), (0, 0));
    assert_eq!(
        (
            client.endpoint.time_wait_len(),
            server.endpoint.time_wait_len()
        ),
        (1, 0)
    );
    assert_eq!(
        (client.endpoint.spent.len(), server.endpoint.spent.len()),
        (0, 1)
    );
    assert!(client.failed.is_empty() && server.failed.is_empty());
    for peer in &mut peers {
        peer.endpoint.handle_timeout(now + Duration::from_secs(61));
        assert_eq!(peer.endpoint.poll_timeout(), None);
        assert!(super::leaving::capacity(&peer.endpoint) < 100);
    }
}

/// H09 with a client that listens, and its reason.
#[test]
fn a_connection_to_nobody_is_refused() {
    let mut peers = [
        Peer::new("192.0.2.1:4000", 1),
        Peer::new("192.0.2.2:4000", 2),
    ];
    peers[1]
        .endpoint
        .set_listening(Listening::No, &Config::new());
    let to = peers[1].address;
    let made = peers[0]
        .endpoint
        .connect(secs(1), to, Arc::new(Config::new()));
    peers[0].live.push(made.expect("begins"));
    run(secs(1), 50, &mut peers);
    assert_eq!(peers[0].failed, [CloseReason::Refused]);
    assert_eq!(peers[0].endpoint.len(), 0);
    assert_eq!(peers[1].endpoint.len(), 0);
}

/// H11.
#[test]
fn a_rendezvous_makes_one_connection_on_each_side() {
    let mut peers = [
        Peer::new("192.0.2.1:4000", 1),
        Peer::new("192.0.2.2:4000", 2),
    ];
    let addresses = [peers[1].address, peers[0].address];
    for (peer, to) in peers.iter_mut().zip(addresses) {
        let config = Arc::new(Config::new());
        let made = peer
            .endpoint
            .connect_rendezvous(secs(1), to, 0x70cc, config);
        peer.live.push(made.expect("begins"));
    }
    let now = run(secs(1), 50, &mut peers);
    for peer in &mut peers {
        assert!(peer.connection().is_open());
        assert_eq!((peer.live.len(), peer.endpoint.len()), (1, 1));
        peer.connection().write(b"hello").expect("open");
    }
    run(now, 50, &mut peers);
    for peer in &mut peers {
        assert_eq!(read(peer), b"hello");
    }
}

/// R07: a peer that restarted is found out in one round trip.
#[test]
fn a_peer_that_lost_its_state_ends_the_stream() {
    let (now, mut peers) = opened();
    peers[1] = Peer::new("192.0.2.2:4000", 3);
    peers[0]
        .connection()
        .write(b"are you there?")
        .expect("open");
    run(now, 50, &mut peers);
    assert_eq!(peers[0].failed, [CloseReason::Forgotten]);
    let mut buffer = [0; 9];
    let error = peers[0].connection().read(&mut buffer);
    assert_eq!(error, Err(ReadError::Failed(CloseReason::Forgotten)));
    assert!(peers[1].live.is_empty() && peers[1].endpoint.is_empty());
}

/// C06 and C17: the last acknowledgement was lost, the FIN comes again.
#[test]
fn a_fin_that_comes_again_is_answered_from_time_wait() {
    let (now, mut peers) = opened();
    peers[0].connection().release(now, Linger::Background);
    let now = run(now, 50, &mut peers);
    peers[1].connection().release(now, Linger::Background);
    // The server's FIN arrives, what the client says to it does not.
    let mut lost = Wire::new();
    let mut sent = Wire::new();
    peers[1].drain(now, &mut sent);
    for (from, _, bytes) in sent {
        peers[0].receive(now, &meta(from), &bytes, &mut lost);
    }
    peers[0].drain(now, &mut lost);
    assert_eq!(peers[0].endpoint.time_wait_len(), 1);
    assert_eq!(peers[1].endpoint.len(), 1, "it knows nothing yet");
    run(now, 3_000, &mut peers);
    assert_eq!(peers[1].endpoint.len(), 0);
    assert!(peers[1].failed.is_empty());
}
