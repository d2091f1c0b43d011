//! The example `file_transfer` as its users meet it: as processes, by what they print, leave on the
//! disk and return, in success and in every failure that its help lists.
//!
//! Where a peer has to misbehave, the test plays it itself, with the example's own frames.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use digest::{Digest, Hasher};
use example_program::Running;
use protocol::{Frame, PREFACE, Problem};
use transport::{Listener, Stream};

#[path = "../examples/file_transfer/digest.rs"]
mod digest;
mod example_program;
#[path = "../examples/file_transfer/protocol.rs"]
mod protocol;
#[path = "../examples/support/transport.rs"]
#[allow(
    dead_code,
    reason = "the test plays only parts of what the example does"
)]
mod transport;

const EXAMPLE: &str = "file_transfer";

fn start(arguments: &[String]) -> Running {
    example_program::start(EXAMPLE, arguments)
}

/// A directory with a place for what is sent and one for what arrives.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("from")).unwrap();
        fs::create_dir(root.path().join("into")).unwrap();
        Place { root }
    }

    fn source(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.root.path().join("from").join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A file that is longer than any test waits for, and takes no room on the disk.
    fn endless_source(&self) -> PathBuf {
        let path = self.source("endless", b"");
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(8 << 30)
            .unwrap();
        path
    }

    fn inbox(&self) -> PathBuf {
        self.root.path().join("into")
    }

    fn arrived(&self, name: &str) -> Vec<u8> {
        fs::read(self.inbox().join(name)).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.inbox().join(name).exists()
    }

    fn receiver(&self, options: &[&str]) -> Receiver {
        let mut arguments = receive_into(&self.inbox());
        arguments.extend(options.iter().map(ToString::to_string));
        Receiver::start(start(&arguments))
    }
}

fn receive_into(directory: &Path) -> Vec<String> {
    let directory = directory.to_str().unwrap();
    ["receive", "127.0.0.1:0", "--into", directory]
        .map(String::from)
        .to_vec()
}

/// A running `receive`.
struct Receiver {
    process: Running,
    address: String,
}

impl Receiver {
    fn start(mut process: Running) -> Receiver {
        let line = process.line();
        let address = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line}"));
        Receiver {
            address: address.to_owned(),
            process,
        }
    }

    /// A sender that this test plays: connected, and past the greeting.
    fn played_sender(&self) -> Stream {
        let mut stream = Stream::connect(&self.address).unwrap();
        stream.write_all(&PREFACE).unwrap();
        stream
    }
}

fn send(files: &[&Path], options: &[&str], address: &str) -> Running {
    let mut arguments = vec!["send".to_owned()];
    arguments.extend(options.iter().map(ToString::to_string));
    arguments.extend(files.iter().map(|file| file.to_str().unwrap().to_owned()));
    arguments.push(address.to_owned());
    start(&arguments)
}

/// Bytes that no shift of themselves equals.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.digest()
}

/// Offers a file and starts it where the receiver says.
fn offer(mut stream: &Stream, name: &str, size: usize) -> Frame {
    let size = u64::try_from(size).unwrap();
    Frame::Offer {
        size,
        resume: true,
        name: name.into(),
    }
    .write(&mut stream)
    .unwrap();
    let reply = Frame::read(&mut stream).unwrap();
    if let Frame::Part { length, .. } = reply {
        Frame::Start { offset: length }.write(&mut stream).unwrap();
    }
    reply
}

fn data(mut stream: &Stream, bytes: &[u8]) {
    Frame::Data {
        length: bytes.len(),
    }
    .write(&mut stream)
    .unwrap();
    stream.write_all(bytes).unwrap();
}

#[test]
fn without_arguments_a_random_file_is_sent_and_verified() {
    let output = start(&["--size", "3MiB", "--seed", "5"].map(String::from)).finish();
    output.expect(0);
    let last = output.stdout.lines().last().unwrap();
    let words: Vec<_> = last.split(' ').collect();
    assert_eq!(words[..2], ["verified:", "sha256"]);
    assert!(words[2].len() == 64 && words[2].bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(words[3..6], ["3145728", "bytes", "in"]);
    assert_eq!(words[7], "s");
    assert_eq!(words[9], "MiB/s),");
    assert_eq!(words[11], "retransmitted");
}

#[test]
fn a_bad_network_in_between_costs_time_and_no_byte() {
    let faults = "--loss 0.05 --delay 2ms --reorder 0.1 --duplicate 0.02 --corrupt 0.01 --seed 7";
    let mut arguments = vec!["--size".to_owned(), "2MiB".to_owned()];
    arguments.extend(faults.split(' ').map(String::from));
    let output = start(&arguments).finish();
    output.expect(0);
    let relay = output
        .stdout
        .lines()
        .find(|line| line.starts_with("relay: "));
    let relay = relay.unwrap_or_else(|| panic!("no relay: {output:?}"));
    assert!(
        !relay.contains(" 0 lost") && !relay.contains(" 0 corrupted"),
        "{relay}"
    );
    let verified = output.stdout.lines().last().unwrap();
    assert!(verified.contains(" 2097152 bytes in "), "{verified}");
    assert!(!verified.contains(", 0 retransmitted"), "{verified}");
}

#[test]
fn several_files_keep_their_names_and_their_bytes() {
    let place = Place::new();
    let receiver = place.receiver(&["--once"]);
    let files = [
        ("empty", 0),
        ("one", 1),
        ("größe.bin", 262_145),
        ("two words", 3_000_000),
    ];
    let paths = files.map(|(name, length)| place.source(name, &content(length)));
    let output = send(
        &paths.each_ref().map(PathBuf::as_path),
        &[],
        &receiver.address,
    )
    .finish();
    output.expect(0);
    for (name, length) in files {
        assert_eq!(place.arrived(name), content(length), "{name}");
        let digest = sha256(&content(length));
        let line = format!("verified: sha256 {digest} {length} bytes in ");
        assert!(output.stdout.contains(&line), "{}", output.stdout);
    }
    let output = receiver.process.finish();
    output.expect(0);
    assert_eq!(output.stdout.matches("verified: ").count(), files.len());
    assert_eq!(fs::read_dir(place.inbox()).unwrap().count(), files.len());
}

#[test]
fn two_senders_are_served_at_the_same_time() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    let waiting = receiver.played_sender();
    assert!(matches!(
        offer(&waiting, "waiting", 4),
        Frame::Part { length: 0, .. }
    ));
    let path = place.source("quick", b"quick");
    send(&[&path], &[], &receiver.address).finish().expect(0);
    data(&waiting, b"wait");
    Frame::End {
        digest: sha256(b"wait"),
    }
    .write(&mut &waiting)
    .unwrap();
    assert!(matches!(
        Frame::read(&mut &waiting).unwrap(),
        Frame::Verified { .. }
    ));
    assert_eq!(place.arrived("quick"), b"quick");
    assert_eq!(place.arrived("waiting"), b"wait");
}

#[test]
fn a_file_that_exists_is_refused_without_force_and_replaced_with_it() {
    let place = Place::new();
    fs::write(place.inbox().join("a"), "old").unwrap();
    let path = place.source("a", b"new");
    let receiver = place.receiver(&["--once"]);
    let output = send(&[&path], &[], &receiver.address).finish();
    output.expect_error(10, "a exists already");
    receiver
        .process
        .finish()
        .expect_error(10, "a exists already");
    assert_eq!(place.arrived("a"), b"old");

    let receiver = place.receiver(&["--once", "--force"]);
    send(&[&path], &[], &receiver.address).finish().expect(0);
    receiver.process.finish().expect(0);
    assert_eq!(place.arrived("a"), b"new");
}

#[test]
fn a_broken_transfer_leaves_a_part_and_resume_sends_only_the_rest() {
    let place = Place::new();
    let (whole, half) = (content(2_000_000), 1_000_000);
    let receiver = place.receiver(&["--once"]);
    let stream = receiver.played_sender();
    offer(&stream, "a", whole.len());
    whole[..half]
        .chunks(100_000)
        .for_each(|chunk| data(&stream, chunk));
    drop(stream);
    receiver
        .process
        .finish()
        .expect_error(8, "the peer is gone in the middle of a");
    assert!(!place.has("a"));
    assert_eq!(place.arrived("a.part"), whole[..half]);

    let receiver = place.receiver(&["--once"]);
    let path = place.source("a", &whole);
    let output = send(&[&path], &["--resume"], &receiver.address).finish();
    output.expect(0);
    assert!(
        output.stdout.contains("976.5 KiB of it were there already"),
        "{}",
        output.stdout
    );
    receiver.process.finish().expect(0);
    assert_eq!(place.arrived("a"), whole);
    assert!(!place.has("a.part"));
}

#[test]
fn a_part_of_another_file_is_noticed_and_sent_anew() {
    let place = Place::new();
    fs::write(place.inbox().join("a.part"), "something else").unwrap();
    let receiver = place.receiver(&["--once"]);
    let path = place.source("a", &content(300_000));
    let output = send(&[&path], &["--resume"], &receiver.address).finish();
    output.expect(0);
    assert!(
        !output.stdout.contains("there already"),
        "{}",
        output.stdout
    );
    receiver.process.finish().expect(0);
    assert_eq!(place.arrived("a"), content(300_000));
}

#[test]
fn no_name_of_a_sender_leaves_the_directory() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    for name in [
        "../evil",
        "/evil",
        "..",
        "a/../../evil",
        "C:evil",
        "..\\evil",
        "nul\0",
    ] {
        let stream = receiver.played_sender();
        let reply = offer(&stream, name, 4);
        let Frame::Failed { problem, text } = reply else {
            panic!("{name:?} was taken: {reply:?}")
        };
        assert_eq!(problem, Problem::BadName, "{name:?}: {text}");
    }
    assert_eq!(fs::read_dir(place.inbox()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.root.path()).unwrap().count(), 2);
}

#[test]
fn a_missing_file_is_reported_before_anybody_is_asked() {
    let place = Place::new();
    let output = send(&[&place.root.path().join("missing")], &[], "127.0.0.1:9").finish();
    output.expect_error(3, "missing");
    let output = send(&[place.root.path()], &[], "127.0.0.1:9").finish();
    output.expect_error(3, "not a plain file");
}

#[test]
fn two_files_of_one_name_are_reported_before_anybody_is_asked() {
    let place = Place::new();
    let one = place.source("a", b"one");
    let two = place.inbox().join("a");
    fs::write(&two, "two").unwrap();
    send(&[&one, &two], &[], "127.0.0.1:9")
        .finish()
        .expect_error(3, "of the same name");
}

#[test]
fn a_directory_that_takes_no_files_is_reported_at_once() {
    let place = Place::new();
    let file = place.source("file", b"");
    for directory in [place.root.path().join("missing"), file] {
        start(&receive_into(&directory))
            .finish()
            .expect_error(4, "cannot write into");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_both_sides_and_keeps_what_arrived() {
    let place = Place::new();
    let mut arguments = receive_into(&place.inbox());
    arguments.push("--once".to_owned());
    let receiver = Receiver::start(example_program::start_with_full_disk(
        EXAMPLE,
        &place.inbox(),
        &arguments,
    ));
    let path = place.source("big", &content(8_000_000));
    send(&[&path], &[], &receiver.address)
        .finish()
        .expect_error(5, "the disk is full");
    receiver
        .process
        .finish()
        .expect_error(5, "the disk is full");
    assert!(!place.has("big"));
}

#[test]
fn a_name_that_does_not_resolve_is_reported() {
    let place = Place::new();
    let path = place.source("a", b"a");
    send(&[&path], &[], "no.such.host.invalid:9")
        .finish()
        .expect_error(6, "cannot resolve");
    send(&[&path], &[], "127.0.0.1")
        .finish()
        .expect_error(6, "cannot resolve");
}

#[test]
fn a_port_where_nobody_listens_is_reported() {
    let place = Place::new();
    let path = place.source("a", b"a");
    // The port was free a moment ago, and the kernel does not give it out again soon.
    let free = Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    send(&[&path], &[], &free.to_string())
        .finish()
        .expect_error(7, "nobody listens");
}

#[test]
fn a_receiver_that_is_killed_ends_the_sender() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    let sender = send(&[&place.endless_source()], &[], &receiver.address);
    example_program::wait_for_bytes(&place.inbox().join("endless.part"));
    receiver.process.kill();
    let output = sender.finish();
    output.expect_error(8, "the peer is gone in the middle of endless");
    // The cause, not what a write says that comes after it.
    assert!(
        !output.stderr.contains("takes no more data"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_sender_that_is_killed_ends_its_transfer_and_leaves_the_part() {
    let place = Place::new();
    let receiver = place.receiver(&["--once"]);
    let sender = send(&[&place.endless_source()], &[], &receiver.address);
    example_program::wait_for_bytes(&place.inbox().join("endless.part"));
    sender.kill();
    receiver
        .process
        .finish()
        .expect_error(8, "the peer is gone in the middle of endless");
    assert!(place.has("endless.part") && !place.has("endless"));
}

#[test]
fn a_resumed_send_waits_until_the_receiver_notices_that_the_one_before_was_killed() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    let path = place.endless_source();
    let killed = send(&[&path], &[], &receiver.address);
    let part = place.inbox().join("endless.part");
    example_program::wait_for_bytes(&part);
    killed.kill();
    // An end, far enough behind all that may still be in the receiver's buffers.
    let size = part.metadata().unwrap().len() + (64 << 20);
    let source = fs::OpenOptions::new().write(true).open(&path).unwrap();
    source.set_len(size).unwrap();

    let small = place.source("small", b"small");
    let output = send(&[&small, &path], &["--resume"], &receiver.address).finish();
    output.expect(0);
    assert_eq!(output.stdout.matches("sent small").count(), 1, "{output:?}");
    assert!(
        output.stdout.contains("of it were there already"),
        "{output:?}"
    );
    let arrived = place.inbox().join("endless").metadata().unwrap();
    assert_eq!(arrived.len(), size);
}

#[test]
fn a_sender_does_not_wait_for_another_one_for_ever() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    let other = receiver.played_sender();
    offer(&other, "a", 4);
    let path = place.source("a", b"abcd");
    let output = send(&[&path], &["--resume"], &receiver.address).finish();
    output.expect_error(10, "another sender, still after 15s; try again later");
    let waits = "a is being received from another sender; waiting up to 15s for its end";
    assert_eq!(output.stderr.matches(waits).count(), 1, "{output:?}");
    assert!(place.has("a.part") && !place.has("a"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_sender_and_the_receiver_keeps_the_part() {
    let place = Place::new();
    let receiver = place.receiver(&["--once"]);
    let sender = send(&[&place.endless_source()], &[], &receiver.address);
    example_program::wait_for_bytes(&place.inbox().join("endless.part"));
    sender.interrupt();
    sender
        .finish()
        .expect_error(130, "--resume goes on where this ended");
    receiver.process.finish().expect_error(8, "endless");
    assert!(place.has("endless.part") && !place.has("endless"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_receiver_that_waits_and_one_that_receives() {
    let place = Place::new();
    let receiver = place.receiver(&[]);
    receiver.process.interrupt();
    receiver.process.finish().expect_error(130, "interrupted");

    let receiver = place.receiver(&[]);
    let sender = send(&[&place.endless_source()], &[], &receiver.address);
    example_program::wait_for_bytes(&place.inbox().join("endless.part"));
    receiver.process.interrupt();
    receiver.process.finish().expect_error(130, "interrupted");
    let output = sender.finish();
    assert!([8, 10].contains(&output.code), "{output:?}");
    assert!(place.has("endless.part") && !place.has("endless"));
}

#[test]
fn a_wrong_digest_is_reported_by_the_receiver_and_nothing_is_kept() {
    let place = Place::new();
    let receiver = place.receiver(&["--once"]);
    let stream = receiver.played_sender();
    offer(&stream, "a", 4);
    data(&stream, b"abcd");
    Frame::End {
        digest: sha256(b"abce"),
    }
    .write(&mut &stream)
    .unwrap();
    let reply = Frame::read(&mut &stream).unwrap();
    assert!(
        matches!(
            reply,
            Frame::Failed {
                problem: Problem::DigestMismatch,
                ..
            }
        ),
        "{reply:?}"
    );
    drop(stream);
    receiver
        .process
        .finish()
        .expect_error(9, "the digest does not match");
    assert_eq!(fs::read_dir(place.inbox()).unwrap().count(), 0);
}

/// Plays a receiver that takes a file of 4 bytes and then answers `reply`.
fn play_receiver(listener: &Listener, reply: &Frame) {
    let (stream, _) = listener.accept().unwrap();
    let mut preface = [0; PREFACE.len()];
    (&stream).read_exact(&mut preface).unwrap();
    assert_eq!(preface, PREFACE);
    let offered = Frame::read(&mut &stream).unwrap();
    assert_eq!(
        offered,
        Frame::Offer {
            size: 4,
            resume: false,
            name: "a".into()
        }
    );
    Frame::Part {
        length: 0,
        digest: sha256(b""),
    }
    .write(&mut &stream)
    .unwrap();
    assert_eq!(
        Frame::read(&mut &stream).unwrap(),
        Frame::Start { offset: 0 }
    );
    assert_eq!(
        Frame::read(&mut &stream).unwrap(),
        Frame::Data { length: 4 }
    );
    let mut bytes = [0; 4];
    (&stream).read_exact(&mut bytes).unwrap();
    assert_eq!(
        Frame::read(&mut &stream).unwrap(),
        Frame::End {
            digest: sha256(&bytes)
        }
    );
    reply.write(&mut &stream).unwrap();
    // Waits for the sender to have read it and gone.
    let _ = (&stream).read(&mut [0]);
}

#[test]
fn a_wrong_digest_is_reported_by_the_sender() {
    let place = Place::new();
    let path = place.source("a", b"abcd");
    let text = "the digest does not match".to_owned();
    let replies = [
        Frame::Failed {
            problem: Problem::DigestMismatch,
            text,
        },
        Frame::Verified {
            digest: sha256(b"abce"),
        },
    ];
    for reply in replies {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let sender = send(&[&path], &[], &address);
        play_receiver(&listener, &reply);
        sender.finish().expect_error(9, "the digest does not match");
    }
}

#[test]
fn a_peer_that_speaks_something_else_is_turned_away() {
    let place = Place::new();
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"aqfile\x00\x02......"] {
        let receiver = place.receiver(&["--once"]);
        let mut stream = Stream::connect(&receiver.address).unwrap();
        stream.write_all(nonsense).unwrap();
        drop(stream);
        receiver
            .process
            .finish()
            .expect_error(11, "broke the protocol");
    }
    let broken = [
        &[9, 0, 0, 0, 0][..],
        &[1, 0xff, 0xff, 0xff, 0xff],
        &[4, 0, 0, 0, 1, 0],
    ];
    for frame in broken {
        let receiver = place.receiver(&["--once"]);
        let mut stream = receiver.played_sender();
        stream.write_all(frame).unwrap();
        let reply = Frame::read(&mut stream).unwrap();
        assert!(
            matches!(
                reply,
                Frame::Failed {
                    problem: Problem::Protocol,
                    ..
                }
            ),
            "{reply:?}"
        );
        drop(stream);
        receiver
            .process
            .finish()
            .expect_error(11, "broke the protocol");
    }
}

#[test]
fn a_sender_cannot_send_more_than_it_offered() {
    let place = Place::new();
    let receiver = place.receiver(&["--once"]);
    let stream = receiver.played_sender();
    offer(&stream, "a", 4);
    data(&stream, b"abcde");
    let reply = Frame::read(&mut &stream).unwrap();
    assert!(
        matches!(
            reply,
            Frame::Failed {
                problem: Problem::Protocol,
                ..
            }
        ),
        "{reply:?}"
    );
    drop(stream);
    receiver
        .process
        .finish()
        .expect_error(11, "more than it offered");
    assert_eq!(place.arrived("a.part"), b"");
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    for arguments in [
        &["--loss", "1.5"][..],
        &["--size", "much"],
        &["send", "file"],
        &["receive"],
    ] {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        assert_eq!(start(&arguments).finish().code, 2, "{arguments:?}");
    }
}
