//! The peer closes, this side closes, both close.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Barrier};
use std::thread;

use super::{KERNEL, TcpListener, TcpStream, kind, pair, pair_with};
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

#[test]
fn row_01_after_a_clean_close_reads_answer_the_end_for_ever() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        drop(peer);
        for _ in 0..10 {
            assert_eq!(ours.read(&mut [0; 8]).expect("the end is no error"), 0);
        }
    });
}

#[test]
fn row_01_the_end_comes_after_every_byte() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        let sent = thread::spawn(move || peer.write_all(&bytes(1, 300_000)));
        let mut got = Vec::new();
        assert_eq!(ours.read_to_end(&mut got).expect("a clean end"), 300_000);
        assert_bytes(1, &got);
        sent.join().expect("no panic").expect("all was taken");
    });
}

#[test]
fn row_02_writes_to_a_peer_that_closed_end_in_broken_pipe_and_reads_still_in_the_end() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        drop(peer);
        assert_eq!(ours.read(&mut [0; 8]).expect("the end"), 0);
        // The first write may be taken: only its answer tells that nobody reads.
        let mut last = ours.write(b"anybody there?");
        if KERNEL {
            assert!(last.is_ok(), "the kernel takes the first write");
        }
        eventually("a write fails", || {
            last = ours.write(b"anybody there?");
            last.is_err()
        });
        assert_eq!(kind(last), ErrorKind::BrokenPipe);
        assert_eq!(
            kind(ours.write(b"again")),
            ErrorKind::BrokenPipe,
            "not once, but always"
        );
        assert_eq!(ours.read(&mut [0; 8]).expect("still the end"), 0);
    });
}

#[test]
fn row_21_what_was_written_before_a_drop_arrives_and_then_the_end() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        peer.write_all(b"last words")
            .expect("a small write is taken at once");
        drop(peer);
        let mut got = String::new();
        ours.read_to_string(&mut got).expect("a clean end");
        assert_eq!(got, "last words");
    });
}

#[test]
fn row_21_a_drop_with_much_unsent_returns_at_once_and_all_of_it_arrives() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        // As much as the buffers hold: nobody reads before the drop.
        let written = fill(&peer, 2);
        drop(peer);
        let mut got = Vec::new();
        ours.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), written);
        assert_bytes(2, &got);
    });
}

#[test]
fn row_22_a_drop_with_unread_data_resets() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        ours.write_all(b"never read").expect("a small write");
        assert_eq!(peer.peek(&mut [0; 32]).expect("it arrives"), 10);
        drop(peer);
        assert_eq!(kind(ours.read(&mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(ours.read(&mut [0; 8]).expect("the error was said once"), 0);
    });
}

#[test]
fn row_22_the_reset_does_not_overtake_what_was_sent_before_it() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        ours.write_all(b"never read").expect("a small write");
        assert_eq!(peer.peek(&mut [0; 32]).expect("it arrives"), 10);
        let written = fill(&peer, 3);
        drop(peer);
        let mut got = Vec::new();
        assert_eq!(kind(ours.read_to_end(&mut got)), ErrorKind::ConnectionReset);
        assert_bytes(3, &got);
        if KERNEL {
            assert!(got.len() < written, "the kernel throws its send queue away");
        } else {
            assert_eq!(
                got.len(),
                written,
                "the reset follows when our bytes are acknowledged"
            );
        }
    });
}

#[test]
fn row_23_a_simultaneous_close_delivers_both_directions() {
    each_ip(|addr| {
        let (client, server) = pair(addr);
        let gate = Arc::new(Barrier::new(2));
        let ends: Vec<_> = [(client, 4, 5), (server, 5, 4)]
            .into_iter()
            .map(|(mut stream, mine, theirs)| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || {
                    stream.write_all(&bytes(mine, 50_000)).expect("taken");
                    gate.wait();
                    stream.shutdown(Shutdown::Write).expect("open");
                    let mut got = Vec::new();
                    stream.read_to_end(&mut got).expect("a clean end");
                    assert_eq!(got.len(), 50_000);
                    assert_bytes(theirs, &got);
                })
            })
            .collect();
        for end in ends {
            end.join().expect("both ends agree");
        }
    });
}

#[test]
fn row_23_no_port_waits_after_a_close() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        for _ in 0..50 {
            let (client, mut server) = pair_with(&listener);
            // The client goes first, and so holds the TIME_WAIT.
            drop(client);
            assert_eq!(server.read(&mut [0; 1]).expect("the end"), 0);
        }
        drop(listener);
        let mut again = TcpListener::bind(addr);
        if !KERNEL {
            // Some round trips, in which a peer may still ask for the last acknowledgement.
            eventually("the port is free", || {
                if again.is_err() {
                    again = TcpListener::bind(addr);
                }
                again.is_ok()
            });
        }
        pair_with(&again.expect("a listener's port is free when it is gone"));
    });
}

#[test]
fn row_23_the_passive_side_may_close_first_and_its_port_is_free_again() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (mut client, server) = pair_with(&listener);
        drop(server);
        assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
        drop((client, listener));
        if KERNEL {
            TcpListener::bind(addr).expect("std's listeners set SO_REUSEADDR");
        } else {
            // Some round trips, in which the peer may still ask for the last acknowledgement.
            eventually("the port is free", || TcpListener::bind(addr).is_ok());
        }
    });
}

#[test]
fn a_clone_keeps_the_stream_open_and_the_last_one_closes_it() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        let mut clone = peer.try_clone().expect("a clone");
        drop(peer);
        clone.write_all(b"x").expect("still open");
        let mut got = [0; 1];
        ours.read_exact(&mut got).expect("still open");
        drop(clone);
        assert_eq!(ours.read(&mut got).expect("now the end"), 0);
    });
}

/// Writes the stream `seed` until no more is taken; how many bytes were.
fn fill(stream: &TcpStream, seed: u64) -> usize {
    let data = bytes(seed, 32 << 20);
    stream.set_nonblocking(true).expect("an open stream");
    let mut written = 0;
    loop {
        match (&mut &*stream).write(&data[written..]) {
            Ok(0) => panic!("no buffer is that large"),
            Ok(n) => written += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("cannot fill the buffers: {error}"),
        }
    }
    stream.set_nonblocking(false).expect("an open stream");
    assert!(written > 0, "an open stream takes something");
    written
}
