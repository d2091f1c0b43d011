//! The end of a process, from its main thread. There is no test harness here, as it would put other threads
//! between `main` and what is tested: this binary is the parent, and, run again, each of the children.

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::io::{Read, Write};
use std::process::{Command, exit};

use aqueduct::{Listener, Stream};

/// What the child is to do, and the address it needs for that.
const ROLE: &str = "AQUEDUCT_TEST_ROLE";
const PEER: &str = "AQUEDUCT_TEST_PEER";
/// More than fits into a window, so that much of it is unsent when the child ends.
const BYTES: usize = 900_000;

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return child(&role);
    }
    for role in ["returns from main", "exits", "exits with the stream open"] {
        support::wait::watched(move || everything_arrives_from_a_child_that(role));
        println!("test row_21_everything_arrives_from_a_process_that {role} ... ok");
    }
    println!("\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
}

fn child(role: &str) {
    let peer = env::var(PEER).expect("set with the role");
    let mut stream = Stream::connect(peer).expect("the parent listens");
    stream
        .write_all(&vec![7; BYTES])
        .expect("the send buffer takes it");
    match role {
        "returns from main" => {}
        "exits" => {
            drop(stream);
            exit(0)
        }
        "exits with the stream open" => exit(0),
        other => panic!("no such role: {other}"),
    }
}

fn everything_arrives_from_a_child_that(role: &str) {
    let listener = Listener::bind("127.0.0.1:0").expect("a free port");
    let to = listener.local_addr().expect("bound");
    let mut child = Command::new(env::current_exe().expect("this binary"))
        .env(ROLE, role)
        .env(PEER, to.to_string())
        .spawn()
        .expect("this binary runs");
    let (mut stream, _) = listener.accept().expect("the child connects");
    let mut got = vec![0; BYTES];
    stream.read_exact(&mut got).expect("all of it arrives");
    assert!(got.iter().all(|byte| *byte == 7), "{role}: other bytes");
    if role != "exits with the stream open" {
        // A stream that was dropped said so before the process ended.
        assert_eq!(stream.read(&mut [0; 1]).expect("a clean end"), 0, "{role}");
    }
    assert!(
        child.wait().expect("it ends").success(),
        "{role}: the child failed"
    );
}
