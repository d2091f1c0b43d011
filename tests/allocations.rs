//! A stream that flows allocates nothing: neither for a packet nor for a batch, on either side.
//!
//! All allocations of the process are counted, whichever thread makes them; so this file has one test.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aqueduct::{Listener, Stream};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MIB: usize = 1 << 20;
/// What flows in one measurement.
const FLOW: usize = 64 * MIB;
/// Measurements until the first without an allocation: windows and queues still grow in some of them.
const FLOWS_MAX: usize = 100;

/// The byte at a place: a period that divides no size used here.
fn fill(block: &mut [u8], from: usize) {
    for (at, byte) in (from..).zip(block) {
        *byte = (at % 251) as u8;
    }
}

/// Whether these are the bytes at a place, compared with a longer pattern.
fn is_pattern(pattern: &[u8], from: usize, bytes: &[u8]) -> bool {
    let start = from % 251;
    bytes == &pattern[start..start + bytes.len()]
}

fn send(mut client: Stream, stop: &AtomicBool) {
    let mut pattern = vec![0; 64 * 1_024 + 251];
    fill(&mut pattern, 0);
    let mut at = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let start = at % 251;
        client
            .write_all(&pattern[start..start + 64 * 1_024])
            .expect("open");
        at += 64 * 1_024;
    }
}

/// How many allocations a flow makes, in all threads.
fn allocations(server: &mut Stream, pattern: &[u8], space: &mut [u8], at: &mut usize) -> usize {
    let region = Region::new(COUNTED);
    let end = *at + FLOW;
    while *at < end {
        let len = server.read(space).expect("open");
        assert!(is_pattern(pattern, *at, &space[..len]), "other bytes");
        *at += len;
    }
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn a_steady_stream_allocates_nothing() {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let client = Stream::connect(address).expect("a listener");
    let (mut server, _) = listener.accept().expect("a client");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| send(client, &stop));
        let mut pattern = vec![0; 256 * 1_024 + 251];
        fill(&mut pattern, 0);
        let (mut space, mut at) = (vec![0; 256 * 1_024], 0);
        let mut counts = Vec::with_capacity(FLOWS_MAX);
        let steady = (0..FLOWS_MAX).any(|_| {
            let count = allocations(&mut server, &pattern, &mut space, &mut at);
            counts.push(count);
            count == 0
        });
        stop.store(true, Ordering::Relaxed);
        while server.read(&mut space).expect("open") > 0 {}
        println!("allocations in each {} MiB: {counts:?}", FLOW / MIB);
        assert!(steady, "allocations in each {} MiB: {counts:?}", FLOW / MIB);
    });
}
