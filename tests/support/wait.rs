//! Addresses, a watchdog, waiting for a condition, and bytes in which misplacement shows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No case takes longer: it hangs, and the test says so instead of hanging with it.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Looks at a condition, a millisecond apart: ten seconds.
const LOOKS_MAX: usize = 10_000;

/// The loopback addresses of this machine.
pub(crate) fn loopbacks() -> Vec<IpAddr> {
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let mut found = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    match UdpSocket::bind((v6, 0)) {
        Ok(_) => found.push(v6),
        Err(error) => println!("SKIPPED over IPv6: this machine has none ({error})"),
    }
    found
}

/// Runs the case over IPv4 and over IPv6, each under the watchdog; the address has port 0.
#[track_caller]
pub(crate) fn each_ip(case: impl Fn(SocketAddr) + Send + Sync + Clone + 'static) {
    for ip in loopbacks() {
        let case = case.clone();
        watched(move || case(SocketAddr::new(ip, 0)));
    }
}

/// Runs the case on a thread of its own, and fails if it has not come back when the watchdog barks.
#[track_caller]
pub(crate) fn watched(case: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(catch_unwind(AssertUnwindSafe(case))));
    match ended.recv_timeout(WATCHDOG) {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => panic!("the case hangs: no end within {WATCHDOG:?}"),
    }
}

/// Looks again and again until the condition holds, for what no call can wait for.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let (_never, silence) = mpsc::channel::<()>();
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        let _ = silence.recv_timeout(Duration::from_millis(1));
    }
    panic!("did not happen within ten seconds: {what}");
}

/// Bytes in which every misplacement shows: byte `at` of the stream `seed`.
pub(crate) fn byte_at(seed: u64, at: usize) -> u8 {
    let mixed = (at as u64 / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    mixed.wrapping_mul(0xd6e8_feb8_6659_fd93).to_be_bytes()[at % 8]
}

/// The first `len` bytes of the stream `seed`.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| byte_at(seed, at)).collect()
}

/// Fails at the first byte that is not the stream `seed`.
#[track_caller]
pub(crate) fn assert_bytes(seed: u64, got: &[u8]) {
    let wrong = got
        .iter()
        .enumerate()
        .find(|(at, byte)| **byte != byte_at(seed, *at));
    assert!(
        wrong.is_none(),
        "wrong byte at {:?} of {}",
        wrong.map(|(at, _)| at),
        got.len()
    );
}
