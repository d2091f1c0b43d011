//! Many connections over one socket: nobody's slowness is another's, and nobody is left behind.

use std::io::{Read, Write};
use std::thread;

use aqueduct::{Endpoint, Listener, Stream};

use super::alone;
use super::support::wait::{byte_at, watched};

/// Streams that nobody reads at the other end.
const SLOW: usize = 4;
/// Streams that all send at once.
const SENDERS: u64 = 64;
/// Bytes that each of them sends.
const LENGTH: usize = 200_000;

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| byte_at(seed, at)).collect()
}

/// A client whose streams share a socket, and a listener.
fn both() -> (Endpoint, Listener) {
    let client = Endpoint::bind("127.0.0.1:0").expect("loopback");
    (client, Listener::bind("127.0.0.1:0").expect("loopback"))
}

fn open(client: &Endpoint, listener: &Listener) -> (Stream, Stream) {
    let stream = client
        .connect(listener.local_addr().expect("loopback"))
        .expect("loopback");
    (stream, listener.accept().expect("loopback").0)
}

#[test]
fn a_peer_that_never_reads_stalls_no_other() {
    let _alone = alone();
    watched(|| {
        let (client, listener) = both();
        let (slow, unread): (Vec<_>, Vec<_>) = (0..SLOW).map(|_| open(&client, &listener)).unzip();
        // Filled until nothing more is taken: both windows are shut, and their owners go on waiting.
        let writers: Vec<_> = slow
            .iter()
            .map(|stream| {
                let mut stream = stream.try_clone().unwrap();
                thread::spawn(move || while stream.write(&[9; 32 << 10]).is_ok() {})
            })
            .collect();
        let (mut near, mut far) = open(&client, &listener);
        let echo = thread::spawn(move || {
            let mut buffer = vec![0; LENGTH];
            far.read_exact(&mut buffer).unwrap();
            far.write_all(&buffer).unwrap();
        });
        let sent = pattern(1, LENGTH);
        near.write_all(&sent).unwrap();
        let mut back = vec![0; LENGTH];
        near.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
        echo.join().unwrap();
        for stream in &slow {
            stream.abort(256);
        }
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        drop(unread);
    });
}

#[test]
fn all_who_send_at_once_come_to_their_end() {
    let _alone = alone();
    watched(|| {
        let (client, listener) = both();
        let pairs: Vec<_> = (0..SENDERS).map(|_| open(&client, &listener)).collect();
        let mut threads = Vec::new();
        for (seed, (mut near, mut far)) in (0..).zip(pairs) {
            threads.push(thread::spawn(move || {
                near.write_all(&pattern(seed, LENGTH)).unwrap();
                near.read_exact(&mut [0]).unwrap();
            }));
            threads.push(thread::spawn(move || {
                let mut got = vec![0; LENGTH];
                far.read_exact(&mut got).unwrap();
                assert!(got == pattern(seed, LENGTH), "stream {seed} is another");
                far.write_all(&[1]).unwrap();
            }));
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}
