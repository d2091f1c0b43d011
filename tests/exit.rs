//! The end of a process, from its main thread. There is no test harness here, as it would put other threads
//! between `main` and what is tested: this binary is the parent, and, run again, each of the children.

#[path = "support/mod.rs"]
mod support;

use std::env;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

use aqueduct::{Listener, Stream, drain};

/// What the child is to do, and the address it needs for that.
const ROLE: &str = "AQUEDUCT_TEST_ROLE";
const PEER: &str = "AQUEDUCT_TEST_PEER";
const ROLES: [&str; 7] = [
    "returns from main",
    "exits",
    "exits with the stream open",
    WRITES_IN_MAIN,
    SHUTS_DOWN_IN_MAIN,
    BINDS_IN_MAIN,
    DRAINS,
];
const WRITES_IN_MAIN: &str = "opens the stream in a thread and writes in main";
const SHUTS_DOWN_IN_MAIN: &str = "opens and writes in a thread and shuts down in main";
const BINDS_IN_MAIN: &str = "opens and writes in a thread and binds in main";
const DRAINS: &str = "touches no stream in main and drains";
/// More than fits into a window, so that much of it is unsent when the child ends.
const BYTES: usize = 900_000;

fn main() {
    if let Ok(role) = env::var(ROLE) {
        return child(&role);
    }
    for role in ROLES {
        support::wait::watched(move || everything_arrives_from_a_child_that(role));
        println!("test row_21_everything_arrives_from_a_process_that {role} ... ok");
    }
    let passed = ROLES.len();
    println!(
        "\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
}

fn child(role: &str) {
    let peer = env::var(PEER).expect("set with the role");
    let connect = || Stream::connect(peer).expect("the parent listens");
    let write = |mut stream: Stream| {
        let data = vec![7; BYTES];
        stream.write_all(&data).expect("the send buffer takes it");
        stream
    };
    let stream = match role {
        WRITES_IN_MAIN => write(in_a_thread(connect)),
        SHUTS_DOWN_IN_MAIN | BINDS_IN_MAIN | DRAINS => in_a_thread(|| write(connect())),
        _ => write(connect()),
    };
    match role {
        "returns from main" | WRITES_IN_MAIN => {}
        SHUTS_DOWN_IN_MAIN => stream.shutdown(Shutdown::Write).expect("open"),
        BINDS_IN_MAIN => drop(Listener::bind("127.0.0.1:0").expect("a free port")),
        DRAINS => {
            drop(stream);
            assert!(drain(Duration::from_secs(30)), "the parent reads");
        }
        "exits" => {
            drop(stream);
            exit(0)
        }
        "exits with the stream open" => exit(0),
        other => panic!("no such role: {other}"),
    }
}

fn in_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join().expect("no panic"))
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
