//! `shutdown` of either half, before and after.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;

use super::{KERNEL, await_reset, kind, pair};
use crate::support::wait::{assert_bytes, bytes, each_ip};

#[test]
fn row_07_shutdown_of_reading_answers_the_end_at_once() {
    each_ip(|addr| {
        let (mut ours, _peer) = pair(addr);
        ours.shutdown(Shutdown::Read).expect("open");
        assert_eq!(ours.read(&mut [0; 8]).expect("the end"), 0);
        assert_eq!(ours.peek(&mut [0; 8]).expect("the end"), 0);
        ours.write_all(b"the other half is open").expect("open");
    });
}

#[test]
fn row_07_shutdown_of_reading_wakes_blocked_readers() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        let (ready, began) = mpsc::channel();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (mut clone, ready) = (ours.try_clone().expect("a clone"), ready.clone());
                thread::spawn(move || {
                    ready.send(()).expect("somebody waits");
                    clone.read(&mut [0; 8]).expect("the end")
                })
            })
            .collect();
        for _ in 0..3 {
            began.recv().expect("a reader runs");
        }
        ours.shutdown(Shutdown::Read).expect("open");
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), 0);
        }
    });
}

#[test]
fn row_07_after_shutdown_of_reading_the_peer_can_still_write() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.shutdown(Shutdown::Read).expect("open");
        let writer = thread::spawn(move || peer.write_all(&bytes(7, 8 << 20)).map(|()| peer));
        if KERNEL {
            // Linux queues later data, and a reader still gets it: somebody must make room.
            let mut got = vec![0; 8 << 20];
            let mut filled = 0;
            while filled < got.len() {
                filled += ours.read(&mut got[filled..]).expect("no error");
            }
            assert_bytes(7, &got);
        }
        // We throw it away and keep the window open: nobody needs to read.
        let _peer = writer
            .join()
            .expect("no panic")
            .expect("the window stays open");
        assert_eq!(ours.read(&mut [0; 8]).expect("the end"), 0);
    });
}

#[test]
fn row_08_shutdown_of_reading_leaves_what_is_queued_readable() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        peer.write_all(b"queued").expect("taken");
        assert_eq!(ours.peek(&mut [0; 16]).expect("it arrives"), 6);
        ours.shutdown(Shutdown::Read).expect("open");
        let mut got = [0; 6];
        ours.read_exact(&mut got).expect("it was there before");
        assert_eq!(&got, b"queued");
        assert_eq!(ours.read(&mut got).expect("the end"), 0);
    });
}

#[test]
fn row_09_after_shutdown_of_writing_every_write_is_a_broken_pipe() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.write_all(b"before").expect("open");
        ours.shutdown(Shutdown::Write).expect("open");
        assert_eq!(kind(ours.write(b"after")), ErrorKind::BrokenPipe);
        assert_eq!(
            kind(ours.write(b"")),
            ErrorKind::BrokenPipe,
            "an empty one too"
        );
        ours.write_all(b"")
            .expect("std's loop never calls write for an empty slice");
        let mut got = String::new();
        peer.read_to_string(&mut got).expect("a clean end");
        assert_eq!(got, "before");
    });
}

#[test]
fn row_09_after_shutdown_of_writing_the_peer_can_still_send() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.shutdown(Shutdown::Write).expect("open");
        assert_eq!(peer.read(&mut [0; 8]).expect("the end"), 0);
        let writer = thread::spawn(move || peer.write_all(&bytes(9, 1 << 20)));
        let mut got = Vec::new();
        ours.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 1 << 20);
        assert_bytes(9, &got);
        writer.join().expect("no panic").expect("all was taken");
    });
}

#[test]
fn row_09_shutdown_twice_is_no_error() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        for how in [
            Shutdown::Write,
            Shutdown::Write,
            Shutdown::Read,
            Shutdown::Read,
            Shutdown::Both,
        ] {
            ours.shutdown(how).expect("the connection is there");
        }
    });
}

#[test]
fn row_09_shutdown_of_writing_wakes_a_blocked_writer() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        let mut clone = ours.try_clone().expect("a clone");
        let (ready, began) = mpsc::channel();
        let writer = thread::spawn(move || {
            let block = vec![0; 1 << 20];
            loop {
                let _ = ready.send(());
                if let Err(error) = clone.write(&block) {
                    return error.kind();
                }
            }
        });
        // The peer never reads, so one of the writes blocks; shut down whether or not it does so yet.
        began.recv().expect("the writer runs");
        ours.shutdown(Shutdown::Write).expect("open");
        assert_eq!(writer.join().expect("no panic"), ErrorKind::BrokenPipe);
    });
}

#[test]
fn row_09_shutdown_of_both_ends_both_directions() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.shutdown(Shutdown::Both).expect("open");
        assert_eq!(ours.read(&mut [0; 8]).expect("the end"), 0);
        assert_eq!(kind(ours.write(b"x")), ErrorKind::BrokenPipe);
        assert_eq!(peer.read(&mut [0; 8]).expect("the end"), 0);
    });
}

#[test]
fn row_10_after_a_reset_there_is_no_connection_to_shut_down() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        let local = ours.local_addr().expect("an address");
        (&ours).write_all(b"unread").expect("open");
        assert_eq!(peer.peek(&mut [0; 16]).expect("it arrives"), 6);
        drop(peer);
        await_reset(&ours);
        for how in [Shutdown::Write, Shutdown::Read, Shutdown::Both] {
            assert_eq!(kind(ours.shutdown(how)), ErrorKind::NotConnected);
        }
        assert_eq!(kind(ours.peer_addr()), ErrorKind::NotConnected);
        assert_eq!(ours.local_addr().expect("the socket is still there"), local);
    });
}
