//! The example `echo` as its users meet it: as processes, by what they print and return.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::io::{Read, Write};
use std::net::Shutdown;

use aqueduct::{Listener, Stream};
use example_program::Running;

#[allow(dead_code, reason = "this test needs only a part")]
mod example_program;

fn start(arguments: &[&str]) -> Running {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    example_program::start("echo", &arguments)
}

/// A running server, and where it listens.
fn server() -> (Running, String) {
    let mut server = start(&["server", "127.0.0.1:0"]);
    let line = server.line();
    let address = line.strip_prefix("listening on ");
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    (server, address)
}

#[test]
fn many_clients_at_once_get_their_own_bytes_back() {
    let (_server, address) = server();
    let clients: Vec<_> = [("1", "1"), ("64", "40"), ("1000", "20"), ("64KiB", "10")]
        .into_iter()
        .map(|(size, count)| {
            let options = ["--size", size, "--count", count, "--interval", "0ms"];
            let client = start(&[&["client", &address][..], &options].concat());
            (client, count)
        })
        .collect();
    for (client, count) in clients {
        let output = client.finish();
        output.expect(0);
        let answers = output
            .stdout
            .lines()
            .filter(|line| line.contains(" time="))
            .count();
        assert_eq!(answers.to_string(), count);
        let summary = format!("{count} round trips, all intact");
        assert!(output.stdout.contains(&summary), "{output:?}");
        assert!(output.stdout.contains("min/p50/p99/max = "), "{output:?}");
    }
}

#[test]
fn the_server_sends_back_everything_and_then_ends() {
    let (_server, address) = server();
    let mut stream = Stream::connect(&address).unwrap();
    stream.write_all(b"aqueduct").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"aqueduct");
}

#[test]
fn a_client_notices_when_something_else_comes_back() {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = start(&["client", &address, "--size", "4"]);
    let (mut stream, _) = listener.accept().unwrap();
    let mut message = [0; 4];
    stream.read_exact(&mut message).unwrap();
    message[3] ^= 1;
    stream.write_all(&message).unwrap();
    client.finish().expect_error(1, "something else came back");
}

#[test]
fn a_client_without_a_server_says_so() {
    let free = Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = start(&["client", &free.to_string()]);
    client.finish().expect_error(1, "nobody listens");
}

#[test]
fn a_client_whose_server_is_killed_ends_with_an_error() {
    let (server, address) = server();
    let mut client = start(&[
        "client",
        &address,
        "--count",
        "1000000",
        "--interval",
        "1ms",
    ]);
    assert!(client.line().contains("seq=1 "));
    server.kill();
    client.finish().expect_error(1, &address);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_client_with_its_summary_and_a_server_in_order() {
    let (server, address) = server();
    let mut client = start(&["client", &address, "--interval", "1000s"]);
    assert!(client.line().contains("seq=1 "));
    client.interrupt();
    let output = client.finish();
    output.expect(0);
    assert!(
        output.stdout.contains("1 round trips, all intact"),
        "{output:?}"
    );
    server.interrupt();
    server.finish().expect(0);
}
