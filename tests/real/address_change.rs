//! A client whose address changes under a transfer, over real sockets.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::{Listener, Stream};

use crate::alone;
use crate::support::relay::{Impairment, Relay};
use crate::support::wait::{assert_bytes, bytes, each_ip};

/// Bytes of a transfer, and how often the port changes under it.
const BYTES: usize = 32 << 20;
const CHANGES: usize = 8;

/// The client sends; between two pieces the relay forgets it.
#[test]
fn an_upload_survives_new_ports_without_a_lost_byte() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        let relay = Relay::start(listener.local_addr().expect("bound"), Impairment::default());
        let mut client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
        let (mut server, peer) = listener.accept().expect("a connection");
        let reader = thread::spawn(move || {
            let mut got = Vec::new();
            server.read_to_end(&mut got).expect("a clean end");
            let now = server.peer_addr().expect("open");
            (got, now)
        });
        for piece in bytes(3, BYTES).chunks(BYTES / CHANGES) {
            client.write_all(piece).expect("open");
            relay.rebind();
        }
        client.shutdown(Shutdown::Write).expect("open");
        let (got, peer_now) = reader.join().expect("no panic");
        assert_eq!(got.len(), BYTES);
        assert_bytes(3, &got);
        assert_eq!(peer_now, peer, "what accept said holds");
        println!(
            "{CHANGES} new ports under {BYTES} bytes up: {:?}",
            client.info().srtt
        );
    });
}

/// The server sends; each piece is asked for, from another port than the one before.
#[test]
fn a_server_follows_its_client_to_every_new_port() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        let relay = Relay::start(listener.local_addr().expect("bound"), Impairment::default());
        let mut client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
        let (mut server, _) = listener.accept().expect("a connection");
        let sender = thread::spawn(move || {
            let data = bytes(4, BYTES);
            let mut question = [0];
            for piece in data.chunks(BYTES / CHANGES) {
                server.read_exact(&mut question).expect("open");
                server.write_all(piece).expect("open");
            }
        });
        let mut got = vec![0; BYTES];
        for piece in got.chunks_mut(BYTES / CHANGES) {
            relay.rebind();
            client.write_all(b"?").expect("open");
            client.read_exact(piece).expect("open");
        }
        assert_bytes(4, &got);
        sender.join().expect("no panic");
    });
}

/// The server sends without being asked, and the client only reads: when data stops in its midst the client asks, and
/// the server sees the new port. With each algorithm, for a window that empties waits in its own way.
#[test]
fn a_download_survives_new_ports_of_a_client_that_only_reads() {
    let _alone = alone();
    each_ip(|addr| {
        for congestion in [
            Congestion::NewReno,
            Congestion::Cubic,
            Congestion::Bbr,
            Congestion::Auto,
        ] {
            let config = Config::default().with_congestion(congestion.clone());
            let listener = Listener::bind_with(addr, &config).expect("a free port");
            let relay = Relay::start(listener.local_addr().expect("bound"), Impairment::default());
            let mut client = Stream::connect(relay.addr()).expect("the relay leads to a listener");
            let (mut server, _) = listener.accept().expect("a connection");
            let sender = thread::spawn(move || {
                server.write_all(&bytes(5, BYTES)).expect("open");
                server.close(Duration::from_secs(30)).expect("all is read");
            });
            let mut got = vec![0; BYTES];
            for (number, piece) in got.chunks_mut(BYTES / CHANGES).enumerate() {
                // Behind the last piece nothing stops in its midst.
                if number > 0 {
                    relay.rebind();
                }
                client.read_exact(piece).expect("open");
            }
            assert_bytes(5, &got);
            assert_eq!(client.read(&mut [0]).expect("a clean end"), 0);
            println!("{congestion:?}: {CHANGES} new ports under {BYTES} bytes down");
            drop(client);
            sender.join().expect("no panic");
        }
    });
}
