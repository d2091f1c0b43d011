//! Resets: reported once, by whichever call comes first, and never before what had arrived.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::super::set_linger;
use super::{TcpListener, TcpStream, await_reset, kind, pair};
use crate::support::wait::each_ip;

/// A pair whose accepted end is closed with unread data: the other end gets a reset.
fn reset_pair(addr: std::net::SocketAddr) -> TcpStream {
    let (mut ours, peer) = pair(addr);
    ours.write_all(b"unread").expect("open");
    assert_eq!(peer.peek(&mut [0; 16]).expect("it arrives"), 6);
    drop(peer);
    await_reset(&ours);
    ours
}

#[test]
fn row_03_a_reset_is_read_once_then_the_end_and_writes_break() {
    each_ip(|addr| {
        let mut ours = reset_pair(addr);
        assert_eq!(kind(ours.read(&mut [0; 8])), ErrorKind::ConnectionReset);
        for _ in 0..3 {
            assert_eq!(ours.read(&mut [0; 8]).expect("said once"), 0);
            assert_eq!(kind(ours.write(b"x")), ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn row_04_a_reset_is_written_once_then_broken_pipe_and_reads_end() {
    each_ip(|addr| {
        let mut ours = reset_pair(addr);
        assert_eq!(kind(ours.write(b"x")), ErrorKind::ConnectionReset);
        for _ in 0..3 {
            assert_eq!(kind(ours.write(b"x")), ErrorKind::BrokenPipe);
            assert_eq!(ours.read(&mut [0; 8]).expect("said once"), 0);
        }
    });
}

#[test]
fn row_04_take_error_takes_the_reset() {
    each_ip(|addr| {
        let mut ours = reset_pair(addr);
        let error = ours
            .take_error()
            .expect("asking works")
            .expect("an error is pending");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(
            ours.take_error().expect("asking works").is_none(),
            "taken once"
        );
        assert_eq!(ours.read(&mut [0; 8]).expect("said already"), 0);
        assert_eq!(kind(ours.write(b"x")), ErrorKind::BrokenPipe);
    });
}

#[test]
fn row_04_peek_takes_the_reset_too() {
    each_ip(|addr| {
        let mut ours = reset_pair(addr);
        assert_eq!(kind(ours.peek(&mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(ours.read(&mut [0; 8]).expect("said already"), 0);
    });
}

#[test]
fn row_04_clones_share_the_one_report() {
    each_ip(|addr| {
        let mut ours = reset_pair(addr);
        let mut clone = ours.try_clone().expect("a clone");
        assert_eq!(kind(clone.read(&mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(
            ours.read(&mut [0; 8]).expect("said already, to the clone"),
            0
        );
    });
}

#[test]
fn row_05_what_arrived_before_the_reset_is_read_first() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.write_all(b"unread").expect("open");
        assert_eq!(peer.peek(&mut [0; 16]).expect("it arrives"), 6);
        peer.write_all(b"answer").expect("open");
        assert_eq!(ours.peek(&mut [0; 16]).expect("it arrives"), 6);
        drop(peer);
        await_reset(&ours);
        let mut got = [0; 6];
        ours.read_exact(&mut got).expect("it had arrived");
        assert_eq!(&got, b"answer");
        assert_eq!(kind(ours.read(&mut got)), ErrorKind::ConnectionReset);
        assert_eq!(ours.read(&mut got).expect("said once"), 0);
    });
}

#[test]
fn row_06_linger_zero_resets_after_what_arrived() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        peer.write_all(b"arrived").expect("open");
        assert_eq!(ours.peek(&mut [0; 16]).expect("it arrives"), 7);
        set_linger(&peer, Some(Duration::ZERO)).expect("open");
        drop(peer);
        await_reset(&ours);
        let mut got = [0; 7];
        ours.read_exact(&mut got).expect("it had arrived");
        assert_eq!(&got, b"arrived");
        assert_eq!(kind(ours.read(&mut got)), ErrorKind::ConnectionReset);
    });
}

#[test]
fn row_06_linger_waits_for_the_delivery() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        set_linger(&peer, Some(Duration::from_secs(5))).expect("open");
        peer.write_all(b"delivered").expect("open");
        drop(peer);
        let mut got = String::new();
        ours.read_to_string(&mut got).expect("a clean end");
        assert_eq!(got, "delivered");
    });
}

#[test]
fn row_15_a_listener_that_goes_resets_whom_it_never_accepted() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(addr).expect("the backlog takes it");
        drop(listener);
        await_reset(&client);
        assert_eq!(kind(client.read(&mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(client.read(&mut [0; 8]).expect("said once"), 0);
        assert_eq!(kind(client.write(b"x")), ErrorKind::BrokenPipe);
    });
}

#[test]
fn row_17_a_connection_that_was_reset_is_still_accepted() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let client = TcpStream::connect(addr).expect("the backlog takes it");
        set_linger(&client, Some(Duration::ZERO)).expect("open");
        drop(client);
        let (mut server, _) = listener.accept().expect("it waits in the backlog");
        assert_eq!(kind(server.read(&mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(server.read(&mut [0; 8]).expect("said once"), 0);
    });
}
