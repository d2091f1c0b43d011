//! Timeouts of reads and writes.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::{kind, pair};
use crate::support::wait::each_ip;

/// A whole number of the kernel's ticks, whatever their rate is: it rounds other timeouts up.
const SHORT: Duration = Duration::from_millis(40);

#[test]
fn row_13_a_read_timeout_is_would_block_and_the_stream_lives_on() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.set_read_timeout(Some(SHORT)).expect("open");
        assert_eq!(kind(ours.read(&mut [0; 8])), ErrorKind::WouldBlock);
        assert_eq!(kind(ours.peek(&mut [0; 8])), ErrorKind::WouldBlock);
        peer.write_all(b"late").expect("open");
        ours.set_read_timeout(None).expect("open");
        let mut got = [0; 4];
        ours.read_exact(&mut got).expect("it arrives");
        assert_eq!(&got, b"late");
    });
}

#[test]
fn row_13_a_write_timeout_returns_what_was_moved_and_then_would_block() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.set_write_timeout(Some(SHORT)).expect("open");
        let data = vec![7; 32 << 20];
        let mut moved = ours.write(&data).expect("some bytes fit");
        assert!(moved < data.len(), "the peer does not read");
        // Buffers may still have drained into the peer's: go on until nothing moves.
        let error = loop {
            match ours.write(&data[moved..]) {
                Ok(n) => moved += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(ours);
        let mut got = Vec::new();
        peer.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), moved, "exactly what the writes said");
    });
}

#[test]
fn timeouts_are_kept_as_they_were_set_and_zero_is_refused() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        assert_eq!(ours.read_timeout().expect("open"), None);
        assert_eq!(ours.write_timeout().expect("open"), None);
        for timeout in [Some(Duration::from_secs(15_410)), Some(SHORT), None] {
            ours.set_read_timeout(timeout).expect("open");
            assert_eq!(ours.read_timeout().expect("open"), timeout);
            ours.set_write_timeout(timeout).expect("open");
            assert_eq!(ours.write_timeout().expect("open"), timeout);
        }
        assert_eq!(
            kind(ours.set_read_timeout(Some(Duration::ZERO))),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            kind(ours.set_write_timeout(Some(Duration::ZERO))),
            ErrorKind::InvalidInput
        );
    });
}

#[test]
fn clones_share_their_timeouts() {
    each_ip(|addr| {
        let (ours, _peer) = pair(addr);
        let clone = ours.try_clone().expect("a clone");
        ours.set_read_timeout(Some(SHORT)).expect("open");
        assert_eq!(clone.read_timeout().expect("open"), Some(SHORT));
    });
}

#[test]
fn a_timeout_does_not_end_a_read_that_finds_data() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.set_read_timeout(Some(Duration::from_secs(3600)))
            .expect("open");
        peer.write_all(b"data").expect("open");
        let mut got = [0; 4];
        ours.read_exact(&mut got).expect("it arrives long before");
        assert_eq!(&got, b"data");
    });
}
