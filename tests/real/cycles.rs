//! Connect, transfer, close, many times over: nothing may be left behind.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use aqueduct::config::EndpointConfig;
use aqueduct::{Endpoint, Listener, Stream};

use crate::alone;
use crate::support::memory::{growth_kib, held};
use crate::support::wait::watched;

/// Cycles through one port; another number with the environment variable `AQUEDUCT_CYCLES`.
const CYCLES: usize = 100_000;
/// An entry of TIME_WAIT and one of a spent id, with the maps around them; generous.
const BYTES_A_CYCLE: u64 = 300;
/// What allocator, stacks and buffers may take beside that, KiB.
const SLACK_KIB: u64 = 16 << 10;

fn cycles() -> usize {
    env::var("AQUEDUCT_CYCLES").map_or(CYCLES, |text| text.parse().expect("a number of cycles"))
}

/// One byte each way over every connection that comes, until one says stop.
fn serve(listener: &Listener) {
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).expect("its byte");
        stream.write_all(&byte).expect("open");
        // The client closes first, so that it holds the TIME_WAIT.
        assert_eq!(stream.read(&mut byte).expect("a clean end"), 0);
        if byte == [255] {
            return;
        }
    }
}

fn cycle(connect: impl Fn() -> Stream, byte: u8) {
    let mut stream = connect();
    stream.write_all(&[byte]).expect("open");
    let mut got = [0; 1];
    stream.read_exact(&mut got).expect("the answer");
    assert_eq!(got, [byte]);
}

#[test]
fn connecting_and_closing_through_one_port_leaves_nothing_behind() {
    let _alone = alone();
    let here = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let to = listener.local_addr().expect("bound");
    let server = thread::spawn(move || serve(&listener));
    let connect = || {
        here.connect(to)
            .expect("no port and no table ever runs out")
    };
    // The first ones fill pools and tables.
    for _ in 0..500 {
        cycle(connect, 1);
    }
    let (before, total) = (held(), cycles());
    for _ in 0..total {
        cycle(connect, 1);
    }
    let grown = growth_kib(before);
    println!("{total} cycles; {before:?} became {:?}", held());
    // TIME_WAIT is 60 s, so all of the entries may still be there; nothing else may.
    let entries = u64::try_from(total).expect("a count") * BYTES_A_CYCLE / 1_024;
    assert!(
        grown < SLACK_KIB + entries,
        "{grown} KiB more after {total} cycles"
    );
    let same = |now: crate::support::memory::Held| {
        before.is_none_or(|before| now.descriptors <= before.descriptors)
    };
    assert!(
        held().is_none_or(same),
        "descriptors: {before:?}, then {:?}",
        held()
    );
    cycle(connect, 255);
    server.join().expect("every connection was served");
}

#[test]
fn streams_with_a_socket_of_their_own_give_it_back() {
    let _alone = alone();
    watched(|| {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let to: SocketAddr = listener.local_addr().expect("bound");
        let server = thread::spawn(move || serve(&listener));
        let connect = || Stream::connect(to).expect("a listener");
        let before = held();
        for _ in 0..1_000 {
            cycle(connect, 1);
        }
        let few = || {
            let now = held();
            now.zip(before)
                .is_none_or(|(now, before)| now.descriptors < before.descriptors + 100)
        };
        crate::support::wait::eventually("the sockets are closed", few);
        cycle(connect, 255);
        server.join().expect("every connection was served");
    });
}

#[test]
fn a_short_time_wait_leaves_the_tables_empty() {
    let _alone = alone();
    watched(|| {
        let config = EndpointConfig::default().with_time_wait(std::time::Duration::from_millis(20));
        let bind = || {
            Endpoint::builder()
                .endpoint_config(config.clone())
                .bind((Ipv4Addr::LOCALHOST, 0))
        };
        let (here, there) = (bind().expect("a port"), bind().expect("a port"));
        let listener = there.listen().expect("the first");
        let to = there.local_addr().expect("bound");
        let server = thread::spawn(move || serve(&listener));
        for _ in 0..200 {
            cycle(|| here.connect(to).expect("a listener"), 1);
        }
        cycle(|| here.connect(to).expect("a listener"), 255);
        server.join().expect("every connection was served");
        let patience = std::time::Duration::from_secs(30);
        assert!(here.wait_idle(patience), "no connection is left");
        assert!(there.wait_idle(patience), "no connection is left");
    });
}
