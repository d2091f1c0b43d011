//! Processes that end: killed, by `exit`, or by a panic. The child is this test binary, run again.

use std::env;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio, exit};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aqueduct::{Listener, Stream, drain};

use crate::alone;
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

/// What the child is to do, and the address it needs for that.
const ROLE: &str = "AQUEDUCT_TEST_ROLE";
const PEER: &str = "AQUEDUCT_TEST_PEER";

/// Not a test by itself: the life of the child process.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let peer: SocketAddr = env::var(PEER)
        .expect("set with the role")
        .parse()
        .expect("an address");
    match role.as_str() {
        "reads for ever" => read_for_ever(peer),
        "writes, drops, drains and exits" => {
            let mut stream = Stream::connect(peer).expect("the parent listens");
            stream.write_all(&bytes(3, 1 << 20)).expect("open");
            drop(stream);
            assert!(drain(Duration::from_secs(30)), "the parent reads");
            exit(0);
        }
        other => panic!("no such role: {other}"),
    }
}

/// Listens on a port of `addr`, says which, and reads whatever comes.
fn read_for_ever(addr: SocketAddr) {
    let listener = Listener::bind(addr).expect("a free port");
    println!("listening {}", listener.local_addr().expect("bound"));
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    }
}

fn spawn_child(role: &str, peer: SocketAddr) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "process::child",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(PEER, peer.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this binary runs");
    let said = BufReader::new(child.stdout.take().expect("piped"));
    (child, said)
}

/// A child that listens, and where.
fn spawn_reader(addr: SocketAddr) -> (Child, SocketAddr) {
    let (child, said) = spawn_child("reads for ever", addr);
    for line in said.lines() {
        // The test harness of the child talks on the same line.
        if let Some((_, to)) = line.expect("text").split_once("listening ") {
            return (child, to.trim().parse().expect("an address"));
        }
    }
    panic!("the child did not say where it listens");
}

#[test]
fn row_25_a_killed_peer_is_noticed_within_a_second_by_whoever_sends() {
    let _alone = alone();
    each_ip(|addr| {
        let (mut child, to) = spawn_reader(addr);
        let mut stream = Stream::connect(to).expect("the child listens");
        let (report, reported) = mpsc::channel();
        let sender = thread::spawn(move || {
            let block = bytes(1, 64 << 10);
            loop {
                if let Err(error) = stream.write_all(&block) {
                    let _ = report.send(error.kind());
                    return;
                }
                let _ = report.send(ErrorKind::Other);
            }
        });
        for _ in 0..32 {
            assert_eq!(reported.recv().expect("it sends"), ErrorKind::Other);
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
        // From here on the kernel knows that the port is closed.
        let ended = loop {
            match reported.recv_timeout(Duration::from_secs(1)) {
                Ok(ErrorKind::Other) => {}
                Ok(kind) => break kind,
                Err(_) => panic!("no error within a second of the peer's death"),
            }
        };
        assert_eq!(ended, ErrorKind::ConnectionReset);
        sender.join().expect("no panic");
    });
}

#[test]
fn row_25_a_killed_peer_is_noticed_by_a_silent_reader_as_soon_as_it_writes() {
    let _alone = alone();
    each_ip(|addr| {
        let (mut child, to) = spawn_reader(addr);
        let mut stream = Stream::connect(to).expect("the child listens");
        stream.write_all(b"hello").expect("open");
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
        let mut kind = None;
        eventually("a write or its answer fails", || {
            kind = stream
                .write(b"still there?")
                .err()
                .map(|error| error.kind());
            kind.is_some()
        });
        assert_eq!(kind, Some(ErrorKind::ConnectionReset));
        assert_eq!(stream.read(&mut [0; 1]).expect("said once"), 0);
    });
}

#[test]
fn row_25_a_killed_client_costs_the_server_one_connection_only() {
    let _alone = alone();
    each_ip(|addr| {
        // The child is the server of this one; a second client must not notice the first one's end.
        let (mut child, to) = spawn_reader(addr);
        let first = Stream::connect(to).expect("the child listens");
        let mut second = Stream::connect(to).expect("the child listens");
        first.abort(999);
        drop(first);
        second.write_all(&bytes(2, 200_000)).expect("open");
        second
            .wait_delivered(aqueduct::Delivered::Read, Duration::from_secs(30))
            .expect("the child reads on");
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
    });
}

#[test]
fn row_21_a_process_that_drains_before_its_exit_loses_nothing() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        let to = listener.local_addr().expect("bound");
        let (mut child, _said) = spawn_child("writes, drops, drains and exits", to);
        let (mut stream, _) = listener.accept().expect("the child connects");
        let mut got = Vec::new();
        stream.read_to_end(&mut got).expect("a clean end");
        assert_eq!(got.len(), 1 << 20);
        assert_bytes(3, &got);
        assert!(
            child.wait().expect("it ends").success(),
            "the child ended well"
        );
    });
}
