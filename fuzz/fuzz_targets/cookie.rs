//! Datagrams that try to open a connection without a good cookie, and to draw more than they cost.
//!
//! The one good cookie of the run is known to nobody but the target, so an arrival that does not carry it is a
//! forgery that was believed.

#![no_main]

use std::net::SocketAddr;
use std::sync::Arc;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::endpoint::{Endpoint, Listening, Route};
use aqueduct::time::Time;
use aqueduct::wire::{
    self, Batch, Body, ConnectionId, Kind, Meta, Opening, Options, PacketBuilder, PacketNumber,
    Window, integrity,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: [u8; 32],
    attempts: Vec<Attempt>,
}

#[derive(Arbitrary, Debug)]
enum Attempt {
    /// The good cookie with these bytes changed, after so many milliseconds, from this port.
    Changed {
        at: u8,
        mask: u8,
        other_id: u8,
        later: u32,
        port: u16,
    },
    /// A cookie made up.
    Invented(Vec<u8>),
    /// Any datagram, its checksum put right.
    Datagram(Vec<u8>),
}

const MINTED: Time = Time::from_millis(100_000);
const PORT: u16 = 40_000;

fn meta(port: u16) -> Meta {
    Meta {
        from: SocketAddr::from(([192, 0, 2, 7], port)),
        to_ip: None,
        ecn: None,
    }
}

fn third(dcid: ConnectionId, cookie: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 300];
    let mut packet = PacketBuilder::new(&mut buffer, Kind::Data, Some(dcid), PacketNumber::new(1));
    packet.options(&Options {
        cookie: Some(cookie),
        ..Options::default()
    });
    let len = packet.finish();
    buffer.truncate(len);
    buffer
}

/// The server's id and cookie.
fn good_cookie(endpoint: &mut Endpoint, reply: &mut Batch) -> (ConnectionId, Vec<u8>) {
    let mut buffer = [0; 256];
    let mut packet = PacketBuilder::new(&mut buffer, Kind::Syn, None, PacketNumber::new(1));
    packet.opening(&Opening {
        cid: ConnectionId::new(8).expect("not 0"),
        max_datagram: 1_200,
        window: Window::new(1_000),
        clock: 0,
        service: 0,
    });
    let len = packet.finish();
    let route = endpoint.handle_datagram(MINTED, &meta(PORT), &buffer[..len], reply);
    assert!(matches!(route, Route::Reply(_)));
    let packet = wire::decode(reply.bytes()).expect("a packet");
    let Body::SynAck(opening) = packet.body else {
        panic!("no SYNACK");
    };
    let cookie = packet.options.cookie.expect("a cookie").to_vec();
    (opening.cid, cookie)
}

fuzz_target!(|input: Input| {
    let mut endpoint = Endpoint::new(Arc::new(EndpointConfig::new()), input.seed);
    endpoint.set_listening(Listening::Yes, &Config::new());
    let mut reply = Batch::new();
    let (cid, good) = good_cookie(&mut endpoint, &mut reply);

    for attempt in &input.attempts {
        let (mut dcid, mut cookie, mut now, mut port) = (cid, good.clone(), MINTED, PORT);
        let datagram = match attempt {
            Attempt::Changed {
                at,
                mask,
                other_id,
                later,
                port: from,
            } => {
                let at = usize::from(*at) % cookie.len();
                cookie[at] ^= mask;
                dcid = ConnectionId::new(cid.get() ^ u64::from(*other_id)).unwrap_or(cid);
                now = Time::from_millis(100_000 + u64::from(*later));
                port = *from;
                third(dcid, &cookie)
            }
            Attempt::Invented(bytes) => {
                cookie = bytes.iter().copied().take(112).collect();
                third(dcid, &cookie)
            }
            Attempt::Datagram(bytes) => {
                let mut bytes = bytes.clone();
                if bytes.len() >= 32 {
                    let checksum = integrity::checksum(&bytes).to_be_bytes();
                    bytes[4..8].copy_from_slice(&checksum);
                }
                bytes
            }
        };
        reply.clear();
        match endpoint.handle_datagram(now, &meta(port), &datagram, &mut reply) {
            Route::Arrival(..) => {
                let is_in_time = now <= Time::from_millis(130_000);
                assert!(cookie == good && dcid == cid && port == PORT && is_in_time);
                assert!(!matches!(attempt, Attempt::Datagram(_)));
            }
            Route::Reply(_) => assert!(reply.bytes().len() <= datagram.len()),
            Route::Connection(..) => panic!("there is no connection"),
            Route::Drop(_) => assert!(reply.is_empty()),
        }
        assert!(endpoint.is_empty());
        assert_eq!(endpoint.poll_timeout(), None);
    }
});
