//! What twenty thousand connections cost that have nothing to say, all on one socket of each side.
//!
//! All memory of the process is counted, whichever thread holds it; so this file has one test.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::thread;

use aqueduct::{Endpoint, EndpointConfig, Stream};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use wait::eventually;

#[path = "support/wait.rs"]
#[allow(dead_code, reason = "this test needs only a part")]
mod wait;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 20_000;
/// Bytes of one side of an idle connection, with its share of all tables, traces compiled in: 3,925 measured at
/// 10,000, and 3,878 at 100,000.
const BYTES_MAX: usize = 4_352;

/// Bytes that are allocated now, beyond those when the region began.
fn live(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated)
}

/// A byte each way.
fn greet(client: &mut Stream, server: &mut Stream, number: usize) {
    let byte = [(number % 251) as u8];
    let mut got = [0];
    client.write_all(&byte).expect("open");
    server.read_exact(&mut got).expect("open");
    assert_eq!(got, byte);
    server.write_all(&got).expect("open");
    client.read_exact(&mut got).expect("open");
    assert_eq!(got, byte);
}

#[test]
fn twenty_thousand_idle_connections_cost_little() {
    let server = Endpoint::builder()
        .endpoint_config(EndpointConfig::default())
        .bind((Ipv4Addr::LOCALHOST, 0))
        .expect("a free port");
    let address = server.local_addr().expect("bound");
    let listener = server.listen().expect("one listener");
    let client = Endpoint::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let region = Region::new(COUNTED);
    let mut held = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut ours = client.connect(address).expect("a listener");
        let (mut theirs, _) = listener.accept().expect("a client");
        greet(&mut ours, &mut theirs, number);
        held.push((ours, theirs));
    }
    let busy = live(&region) / (2 * CONNECTIONS);
    eventually("they give back what they do not need", || {
        live(&region) / (2 * CONNECTIONS) <= BYTES_MAX
    });
    println!(
        "{busy} bytes a side after the last byte, {} at rest",
        live(&region) / (2 * CONNECTIONS)
    );
    // They are as good as new.
    for (number, (ours, theirs)) in held.iter_mut().enumerate().step_by(997) {
        greet(ours, theirs, number);
    }
    thread::scope(|scope| {
        scope.spawn(|| drop(held));
    });
}
