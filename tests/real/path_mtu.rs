//! The path MTU over real interfaces: two network namespaces with a pair of virtual Ethernet devices.
//!
//! This needs root, `ip` and `unshare`; where they are missing the tests say SKIPPED and why. The children
//! are this test binary, run again inside a namespace.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aqueduct::{Listener, Stream};

use crate::alone;
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

/// What the child is to do, and where.
const ROLE: &str = "AQUEDUCT_TEST_PATH_ROLE";
const PEER: &str = "AQUEDUCT_TEST_PATH_PEER";
/// Bytes of a transfer in which the size is found.
const BYTES: usize = 24 << 20;

/// Not a test by itself: the life of a child in its namespace.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let peer: SocketAddr = env::var(PEER)
        .expect("set with the role")
        .parse()
        .expect("an address");
    match role.as_str() {
        "reads" => read(peer),
        "writes" => write(peer),
        "gives" => give(peer),
        "takes" => take(peer),
        other => panic!("no such role: {other}"),
    }
}

/// Reads one stream to its end and compares every byte.
fn read(at: SocketAddr) {
    let listener = Listener::bind(at).expect("a free port");
    println!("listening");
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut got = Vec::new();
    stream.read_to_end(&mut got).expect("a clean end");
    assert_eq!(got.len(), BYTES);
    assert_bytes(9, &got);
    println!("complete");
}

/// Writes in two halves, says after each which size is in use, and waits between them for a line.
fn write(to: SocketAddr) {
    let data = bytes(9, BYTES);
    let mut stream = Stream::connect(to).expect("somebody listens");
    for half in data.chunks(BYTES / 2) {
        stream.write_all(half).expect("open");
        let info = stream.info();
        println!("mtu {} holes {}", info.path_mtu, info.black_holes);
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("the parent");
    }
    let delivered = stream.close(Duration::from_secs(30));
    println!("delivered {}", delivered.is_ok());
}

/// Writes one stream to whoever comes.
fn give(at: SocketAddr) {
    let listener = Listener::bind(at).expect("a free port");
    println!("listening");
    let (mut stream, _) = listener.accept().expect("a connection");
    stream.write_all(&bytes(9, BYTES)).expect("open");
    let delivered = stream.close(Duration::from_secs(30));
    println!("delivered {}", delivered.is_ok());
}

/// Only reads: says when a quarter has come, and compares every byte at the end.
fn take(from: SocketAddr) {
    let mut stream = Stream::connect(from).expect("somebody listens");
    let mut got = vec![0; BYTES / 4];
    stream.read_exact(&mut got).expect("open");
    println!("a quarter");
    stream.read_to_end(&mut got).expect("a clean end");
    assert_eq!(got.len(), BYTES);
    assert_bytes(9, &got);
    println!("complete");
}

fn run(program: &str, words: &str) -> std::io::Result<Output> {
    Command::new(program)
        .args(words.split_whitespace())
        .output()
}

/// Two namespaces, `HOST 1` at 10.77.0.1 and fd77::1, `HOST 2` at .2 and ::2, and a link between them.
pub(crate) struct Link {
    names: [String; 2],
}

impl Link {
    /// A link of which the interfaces take IP packets of `mtu` bytes; `None` where that cannot be made.
    pub(crate) fn new(mtu: u32) -> Option<Link> {
        let names = [1, 2].map(|host| format!("aq{}h{host}", std::process::id()));
        let link = Link { names };
        let [a, b] = link.names.clone();
        for name in [&a, &b] {
            let made = run("ip", &format!("netns add {name}"));
            let made = made.map_err(|error| error.to_string());
            let complaint = match made {
                Ok(output) if output.status.success() => continue,
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => error,
            };
            println!("SKIPPED: no network namespace can be made here ({complaint})");
            return None;
        }
        let pair = format!("link add v netns {a} type veth peer name v netns {b}");
        if !run("ip", &pair).is_ok_and(|output| output.status.success()) {
            println!("SKIPPED: no virtual Ethernet devices can be made here");
            return None;
        }
        for (host, name) in [(1, &a), (2, &b)] {
            link.ip(name, &format!("addr add 10.77.0.{host}/24 dev v"));
            link.ip(name, &format!("addr add fd77::{host}/64 dev v nodad"));
            // A batch that is cut into datagrams only behind the device would pass whatever its MTU.
            link.ip(name, &format!("link set v mtu {mtu} gso_max_segs 1 up"));
        }
        Some(link)
    }

    /// Changes something of one side.
    pub(crate) fn change(&self, host: usize, words: &str) {
        self.ip(&self.names[host], words);
    }

    fn ip(&self, name: &str, words: &str) {
        let output = run("ip", &format!("-n {name} {words}")).expect("it ran before");
        assert!(output.status.success(), "{words}: {output:?}");
    }

    /// Lets one side send 40 Mbit/s; whether that can be done here.
    fn slow_down(&self, host: usize) -> bool {
        let name = &self.names[host];
        let shape = "tc qdisc add dev v root tbf rate 40mbit burst 16k latency 30ms";
        run("ip", &format!("netns exec {name} {shape}")).is_ok_and(|output| output.status.success())
    }

    /// Sets the MTU of one side.
    fn set_mtu(&self, host: usize, mtu: u32) {
        self.ip(&self.names[host], &format!("link set v mtu {mtu}"));
    }

    fn spawn(
        &self,
        host: usize,
        role: &str,
        peer: &str,
    ) -> (Child, BufReader<std::process::ChildStdout>) {
        let this = env::current_exe().expect("this binary");
        // Should it hang, it ends, and so does the test.
        let mut child = Command::new("timeout")
            .args(["50", "ip", "netns", "exec", &self.names[host]])
            .arg(this)
            .args([
                "--exact",
                "path_mtu::child",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(PEER, peer)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary runs");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        (child, said)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = run("ip", &format!("netns del {name}"));
        }
    }
}

/// Reads lines until one has `word`; what follows it.
fn hear(said: &mut impl BufRead, word: &str) -> String {
    let mut line = String::new();
    while said.read_line(&mut line).expect("text") > 0 {
        if let Some((_, rest)) = line.split_once(word) {
            return rest.trim().to_owned();
        }
        line.clear();
    }
    panic!("the child ended and did not say {word:?}");
}

/// A transfer over `link` from host 1 to `to`; `between` is done after the first half. The sizes in use
/// after each half, and the black holes at the end.
pub(crate) fn transfer(link: &Link, to: &str, between: impl FnOnce(&Link)) -> ([u32; 2], u32) {
    let (mut reader, mut reader_said) = link.spawn(1, "reads", to);
    hear(&mut reader_said, "listening");
    let (mut writer, mut said) = link.spawn(0, "writes", to);
    let mut stdin = writer.stdin.take().expect("piped");
    let mut sizes = [0; 2];
    let (mut holes, mut between) = (0, Some(between));
    for size in &mut sizes {
        let words = hear(&mut said, "mtu ");
        let (found, rest) = words.split_once(" holes ").expect("both");
        (*size, holes) = (
            found.parse().expect("a number"),
            rest.parse().expect("a number"),
        );
        if let Some(between) = between.take() {
            between(link);
        }
        stdin.write_all(b"on\n").expect("the child reads");
    }
    assert_eq!(hear(&mut said, "delivered "), "true");
    hear(&mut reader_said, "complete");
    assert!(writer.wait().expect("it ends").success());
    assert!(reader.wait().expect("it ends").success());
    (sizes, holes)
}

/// A download from host 1 at `from` to host 0, slow enough that `between` happens in its midst; false where no path
/// can be made slow.
pub(crate) fn download(link: &Link, from: &str, between: impl FnOnce(&Link)) -> bool {
    if !link.slow_down(1) {
        println!("SKIPPED: no rate can be set here");
        return false;
    }
    let (mut writer, mut writer_said) = link.spawn(1, "gives", from);
    hear(&mut writer_said, "listening");
    let (mut reader, mut reader_said) = link.spawn(0, "takes", from);
    hear(&mut reader_said, "a quarter");
    between(link);
    hear(&mut reader_said, "complete");
    assert_eq!(hear(&mut writer_said, "delivered "), "true");
    assert!(writer.wait().expect("it ends").success());
    assert!(reader.wait().expect("it ends").success());
    true
}

/// Whether `found` is what a path of this many bytes carries, to sixteen.
fn assert_found(found: u32, carries: u32) {
    assert!(
        (carries - 15..=carries).contains(&found),
        "{found} of {carries}"
    );
}

#[test]
fn the_mtu_of_an_interface_is_found() {
    let _alone = alone();
    for mtu in [1_280, 1_500, 9_000] {
        let Some(link) = Link::new(mtu) else { return };
        for (to, headers) in [("10.77.0.2:700", 28), ("[fd77::2]:700", 48)] {
            let (sizes, holes) = transfer(&link, to, |_| {});
            println!("{mtu}, {to}: {sizes:?}");
            assert_found(sizes[0], mtu - headers);
            assert_found(sizes[1], mtu - headers);
            assert_eq!(holes, 0);
        }
    }
}

/// L14 and P03 on real sockets: the own interface takes less than before, and says `EMSGSIZE`.
#[test]
fn an_interface_that_shrinks_in_mid_transfer_is_no_loss_and_no_end() {
    let _alone = alone();
    let Some(link) = Link::new(9_000) else { return };
    let (sizes, holes) = transfer(&link, "10.77.0.2:700", |link| link.set_mtu(0, 1_400));
    println!("{sizes:?}");
    assert_found(sizes[0], 8_972);
    assert_found(sizes[1], 1_372);
    assert_eq!(holes, 0);
}

/// The far side drops what is longer than its interface takes, and nobody says so.
#[test]
fn a_path_that_shrinks_in_mid_transfer_goes_on_with_small_datagrams() {
    let _alone = alone();
    let Some(link) = Link::new(1_500) else { return };
    let (sizes, holes) = transfer(&link, "10.77.0.2:700", |link| link.set_mtu(1, 1_280));
    println!("{sizes:?}");
    assert_found(sizes[0], 1_472);
    assert_eq!((sizes[1], holes), (1_200, 1));
}

#[test]
fn loopback_is_found() {
    let _alone = alone();
    each_ip(|addr| {
        let listener = Listener::bind(addr).expect("a free port");
        let mut client = Stream::connect(listener.local_addr().expect("bound")).expect("open");
        let (mut server, _) = listener.accept().expect("a connection");
        let reader = std::thread::spawn(move || std::io::copy(&mut server, &mut std::io::sink()));
        client.write_all(&bytes(1, 1 << 20)).expect("open");
        eventually("the size is found", || client.info().path_mtu == 16_336);
        drop(client);
        assert_eq!(
            reader.join().expect("no panic").expect("a clean end"),
            1 << 20
        );
    });
}
