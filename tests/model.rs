//! Who takes the turns, explored: the crate's own runtime (`model/`), compiled over locks, threads, time and sockets of
//! a world in which a seeded scheduler chooses who goes on at each step.
//!
//! What is compiled is the source itself: `runtime` with its leader, background thread, waiters, mailbox, backlog and
//! timers, `net`, and the core. Only what stands below is replaced (`src/runtime/platform.rs` names it). In each
//! order of steps that is tried, everybody who waits for something that has come gets it, and soon:
//!
//! * no deadlock and no lost wake-up: when all threads wait and no time to come is of use to any, the run fails;
//! * no starvation, no wake-up by luck: time passes only while all wait, and a scenario in which nothing is lost may take
//!   no longer than [`SOON`], so that a timer that saves a wake-up is a failure, too;
//! * at the end all connections, sockets and threads are gone.
//!
//! `AQUEDUCT_MODEL=20000 cargo test --release --test model` runs each scenario so often, `AQUEDUCT_SEED` chooses the
//! orders. A failure prints shuttle's schedule beside the seed; the same seed fails again.
//!
//! # That it finds what it looks for
//!
//! Each of these lines, broken alone, fails the scenarios beside it within 100 runs:
//!
//! | broken | found by |
//! |---|---|
//! | `leader.rs`, `obtain`: `asked` stays set | all |
//! | `give_back`: the background thread tells nobody that it let go | all |
//! | `take_for_background`: it counts only those who wait, not that nobody leads | all |
//! | `Drop` of `Waiting`: nobody wakes a background thread that sleeps | `timeouts_end_…` |
//! | `try_take`: who asks for the turns does not wake the poll of who has them | `timeouts_end_…` |
//! | `make_way`: who accepts keeps the turns; or lets go and tells nobody | `who_accepts_…` |
//! | `mailbox.rs`: `take` leaves `woken` set, so that the next wake-up is none; or `wake` is none | `timeouts_end_…` |
//! | `cell.rs`, `drain`: readers, or writers, are not woken | `many_wait_…`, `one_stream_…` |
//! | `waiters.rs`, `any`: one waiter is overlooked | `many_wait_…`, `one_stream_…`, `who_accepts_…` |
//! | `backlog.rs`, `push`: who accepts is not woken | `who_accepts_…` |
//! | `Drop` of `Waiting`: who asked and gives up leaves `asked` set | `who_asks_…` |
//! | `cell.rs`, `wait_as`: nobody knows that this connection's thread sleeps in the poll | `a_shutdown_…` |
//! | `shard.rs`, `hurry`: an earlier deadline does not wake the loop | `the_background_…` |
//! | `Drop` of `Waiting`: who asked in the last moment is not told | `a_read_may_…`, within 8,000 runs |
//!
//! Not found, as nothing that waits depends on it: the wake-up of the background thread for others who wait when a leader
//! goes (a tick does the same a millisecond later), and one alone of the wake-ups of a leader's poll in `drain` and in
//! `wake_all` (either is enough for a shutdown).

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use aqueduct_model::config::{BusyPoll, Config};
use aqueduct_model::model::{SOON, elapsed, explore, finish, lose, sleep, spawn};
use aqueduct_model::{Delivered, Endpoint, Listener, Stream};

/// Runs of each scenario, unless `AQUEDUCT_MODEL` says otherwise.
const RUNS: usize = 100;

fn number(variable: &str, default: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

/// Explores `scenario`; where nothing is lost it must be over soon.
fn soon(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    explored(move || {
        scenario();
        let took = elapsed();
        assert!(took < SOON, "a timer had to save it: {took:?}");
    });
}

/// Explores `scenario`, however long it takes in the model.
fn explored(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let seed = number("AQUEDUCT_SEED", 4);
    println!("AQUEDUCT_SEED={seed}");
    explore(
        seed.try_into().expect("a usize fits"),
        number("AQUEDUCT_MODEL", RUNS),
        move || {
            scenario();
            finish();
        },
    );
}

fn endpoint(config: &Config) -> Endpoint {
    let builder = Endpoint::builder().config(config.clone());
    builder.bind("127.0.0.1:0").expect("a free port")
}

fn listener(config: &Config) -> (Listener, SocketAddr) {
    let listener = endpoint(config).listen().expect("the only listener");
    let address = listener.local_addr().expect("it has one");
    (listener, address)
}

fn with(busy_poll: BusyPoll) -> Config {
    Config::new().with_busy_poll(busy_poll)
}

fn receive(stream: &mut Stream, expected: &[u8]) {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).expect("all of it comes");
    assert_eq!(got, expected);
}

/// Sends back what comes, to its end.
fn echo(stream: &mut Stream) {
    let mut buffer = [0; 64];
    loop {
        let len = stream.read(&mut buffer).expect("no reset");
        if len == 0 {
            return;
        }
        stream.write_all(&buffer[..len]).expect("no reset");
    }
}

#[test]
fn a_ping_pong_of_two_threads() {
    for busy_poll in [BusyPoll::Off, BusyPoll::Always] {
        soon(move || {
            let (listener, address) = listener(&with(busy_poll));
            let server = spawn(move || echo(&mut listener.accept().expect("it comes").0));
            let mut client = Stream::connect_with(address, &with(busy_poll)).expect("it answers");
            for message in [b"ping", b"pong"] {
                client.write_all(message).expect("open");
                receive(&mut client, message);
            }
            drop(client);
            server.join();
        });
    }
}

#[test]
fn many_wait_on_one_socket() {
    soon(|| {
        let (listener, address) = listener(&with(BusyPoll::Off));
        let server = spawn(move || {
            let mut streams: Vec<Stream> = (0..2)
                .map(|_| listener.accept().expect("it comes").0)
                .collect();
            // In the order against that of the accepts, one of them written by another thread.
            let mut second = streams.pop().expect("two");
            let writing = spawn(move || second.write_all(b"to whom").expect("open"));
            let mut first = streams.pop().expect("two");
            first.write_all(b"to whom").expect("open");
            writing.join();
        });
        let all = endpoint(&with(BusyPoll::Off));
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let all = all.clone();
                spawn(move || {
                    let mut stream = all.connect(address).expect("it answers");
                    receive(&mut stream, b"to whom");
                })
            })
            .collect();
        drop(all);
        clients.into_iter().for_each(|client| client.join());
        server.join();
    });
}

#[test]
fn one_stream_is_read_and_written_by_two_threads_with_full_buffers() {
    let narrow = Config::new()
        .with_send_buffer(2_400)
        .with_receive_window(2_400);
    soon(move || {
        let (listener, address) = listener(&narrow);
        let message: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        let server = spawn(move || echo(&mut listener.accept().expect("it comes").0));
        let mut reading = Stream::connect_with(address, &narrow).expect("it answers");
        let mut writing = reading.try_clone().expect("a handle");
        let sent = message.clone();
        let writer = spawn(move || {
            writing.write_all(&sent).expect("open");
            writing.shutdown(Shutdown::Write).expect("open");
        });
        receive(&mut reading, &message);
        writer.join();
        drop(reading);
        server.join();
    });
}

#[test]
fn who_accepts_makes_way_for_who_reads() {
    soon(|| {
        let both = endpoint(&with(BusyPoll::Off));
        let address = both.local_addr().expect("it has one");
        let listener = both.listen().expect("the only one");
        let (one, other) = (listener.try_clone().expect("a handle"), listener);
        let first = spawn(move || echo(&mut one.accept().expect("it comes").0));
        let second = spawn(move || echo(&mut other.accept().expect("it comes").0));
        for message in [b"first", b"other"] {
            let mut client = Stream::connect(address).expect("it answers");
            client.write_all(message).expect("open");
            receive(&mut client, message);
        }
        first.join();
        second.join();
        drop(both);
    });
}

#[test]
fn one_thread_waits_for_two_sockets_in_turn() {
    soon(|| {
        let (listener, address) = listener(&with(BusyPoll::Off));
        let server = spawn(move || {
            let mut streams: Vec<Stream> = (0..2)
                .map(|_| listener.accept().expect("it comes").0)
                .collect();
            for _ in 0..2 {
                for stream in &mut streams {
                    receive(stream, b"x");
                    stream.write_all(b"y").expect("open");
                }
            }
        });
        let mut clients =
            [(); 2].map(|()| endpoint(&with(BusyPoll::Off)).connect(address).expect("up"));
        for _ in 0..2 {
            for client in &mut clients {
                client.write_all(b"x").expect("open");
            }
            for client in &mut clients {
                receive(client, b"y");
            }
        }
        server.join();
    });
}

#[test]
fn a_shutdown_by_another_thread_ends_a_wait() {
    // Of reading alone no packet tells: nothing comes back that would end the wait in its stead.
    for how in [Shutdown::Both, Shutdown::Read] {
        explored(move || {
            let (listener, address) = listener(&with(BusyPoll::Off));
            let mut reading = Stream::connect(address).expect("it answers");
            let closing = reading.try_clone().expect("a handle");
            let reader = spawn(move || reading.read(&mut [0; 8]).expect("no reset"));
            let (server, _) = listener.accept().expect("it comes");
            // The timers of the handshake are over then, and the reader sleeps in the poll.
            sleep(Duration::from_millis(40));
            let begin = elapsed();
            closing.shutdown(how).expect("open");
            assert_eq!(reader.join(), 0);
            assert!(elapsed() - begin < Duration::from_millis(5));
            drop((server, closing, listener));
        });
    }
}

#[test]
fn a_read_may_begin_while_an_accept_ends() {
    soon(|| {
        let (listener, address) = listener(&with(BusyPoll::Off));
        let mut first = Stream::connect(address).expect("it answers");
        let (mut server, _) = listener.accept().expect("it comes");
        let acceptor = spawn(move || drop(listener.accept().expect("it comes")));
        let reader = spawn(move || receive(&mut server, b"first"));
        let second = Stream::connect(address).expect("it answers");
        first.write_all(b"first").expect("open");
        reader.join();
        acceptor.join();
        drop((first, second));
    });
}

#[test]
fn who_asks_for_the_turns_and_gives_up_leaves_them_to_somebody() {
    explored(|| {
        let (listener, address) = listener(&with(BusyPoll::Off));
        let mut client = Stream::connect(address).expect("it answers");
        let (mut server, _) = listener.accept().expect("it comes");
        let at_once = Some(Duration::from_nanos(1));
        server.set_read_timeout(at_once).expect("not zero");
        for _ in 0..2 {
            // The shard's own thread takes the turns meanwhile.
            sleep(Duration::from_millis(5));
            let error = server.read(&mut [0; 8]).expect_err("nothing comes");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        client.write_all(b"x").expect("open");
        let acked = client.wait_delivered(Delivered::Acked, Duration::from_millis(30));
        acked.expect("somebody receives it");
        drop((server, listener));
    });
}

#[test]
fn the_background_repairs_what_is_lost_while_nobody_waits() {
    explored(|| {
        let (listener, address) = listener(&with(BusyPoll::Off));
        let server = spawn(move || receive(&mut listener.accept().expect("it comes").0, b"lost"));
        let mut client = Stream::connect(address).expect("it answers");
        // The shard's own thread sleeps then until it is told of an earlier deadline.
        sleep(Duration::from_millis(40));
        lose(1);
        client.write_all(b"lost").expect("open");
        server.join();
        assert!(elapsed() < Duration::from_millis(200), "{:?}", elapsed());
    });
}

#[test]
fn the_end_of_the_peer_ends_a_read() {
    for reset in [false, true] {
        soon(move || {
            let (listener, address) = listener(&with(BusyPoll::Off));
            let server = spawn(move || {
                let (stream, _) = listener.accept().expect("it comes");
                if reset {
                    stream.abort(300);
                }
            });
            // The reset may come before the connect returns.
            let read = |mut stream: Stream| stream.read(&mut [0; 8]);
            match Stream::connect(address).and_then(read) {
                Ok(len) => assert_eq!((len, reset), (0, false)),
                Err(error) => {
                    assert!(reset);
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                }
            }
            server.join();
        });
    }
}

#[test]
fn timeouts_end_waits_in_time() {
    explored(|| {
        let nowhere = "127.0.0.1:9".parse().expect("an address");
        let begin = elapsed();
        let limit = Duration::from_millis(70);
        let error = Stream::connect_timeout(&nowhere, limit).expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let took = elapsed() - begin;
        assert!(took >= limit && took < limit + SOON, "{took:?}");

        let (listener, address) = listener(&with(BusyPoll::Adaptive));
        let mut client = Stream::connect(address).expect("it answers");
        let (mut server, _) = listener.accept().expect("it comes");
        let idle = spawn(move || {
            server
                .set_read_timeout(Some(Duration::from_millis(30)))
                .expect("not zero");
            let begin = elapsed();
            let error = server.read(&mut [0; 8]).expect_err("nothing comes");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            let took = elapsed() - begin;
            assert!(
                took >= Duration::from_millis(30) && took < limit,
                "{took:?}"
            );
            server.write_all(b"late").expect("open");
        });
        receive(&mut client, b"late");
        idle.join();
        drop((client, listener));
    });
}
