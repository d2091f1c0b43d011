//! The eleven cases over the blocking face.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aqueduct::{Listener, Stream};

use crate::support::random::Random;
use crate::support::wait::{assert_bytes, bytes, watched};
use crate::{BASIC, RACERS, ROUNDS, TRIES, Tally};

const SHORT: Duration = Duration::from_millis(1);

fn pair() -> (Stream, Stream) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let client = Stream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Writes the stream `seed` in pieces of all sizes.
fn write_in_pieces(stream: &mut Stream, seed: u64) {
    let mut random = Random::new(seed);
    let all = bytes(seed, BASIC);
    let mut at = 0;
    while at < all.len() {
        let to = all.len().min(at + 1 + random.below(100_000));
        at += stream.write(&all[at..to]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

/// Counts what comes, until the end.
fn count(mut stream: Stream) -> JoinHandle<Tally> {
    thread::spawn(move || {
        let mut tally = Tally::default();
        let mut buf = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buf).unwrap() {
                0 => return tally,
                len => tally.add(&buf[..len]),
            }
        }
    })
}

#[test]
fn basic_input_and_output() {
    watched(|| {
        let (client, server) = pair();
        let ends = [(client, 1), (server, 2)].map(|(mut stream, seed)| {
            let mut writer = stream.try_clone().unwrap();
            let writing = thread::spawn(move || write_in_pieces(&mut writer, seed));
            thread::spawn(move || {
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                assert_eq!(got.len(), BASIC);
                assert_bytes(3 - seed, &got);
                writing.join().unwrap();
            })
        });
        for end in ends {
            end.join().unwrap();
        }
    });
}

#[test]
fn ping_pong() {
    watched(|| {
        let (mut client, mut server) = pair();
        let answering = thread::spawn(move || {
            for round in 0..ROUNDS {
                let mut buf = [0; 8];
                server.read_exact(&mut buf).unwrap();
                assert_eq!(u64::from_be_bytes(buf), 2 * round);
                server.write_all(&(2 * round + 1).to_be_bytes()).unwrap();
            }
        });
        for round in 0..ROUNDS {
            client.write_all(&(2 * round).to_be_bytes()).unwrap();
            let mut buf = [0; 8];
            client.read_exact(&mut buf).unwrap();
            assert_eq!(u64::from_be_bytes(buf), 2 * round + 1);
        }
        answering.join().unwrap();
    });
}

#[test]
fn racing_readers_share_what_comes() {
    watched(|| {
        let (mut client, server) = pair();
        let sent = bytes(3, 1 << 20);
        let mut expected = Tally::default();
        expected.add(&sent);
        let writing = thread::spawn(move || client.write_all(&sent).unwrap());
        server.set_read_timeout(Some(SHORT)).unwrap();
        let racing: Vec<_> = (0..RACERS)
            .map(|_| {
                let mut stream = server.try_clone().unwrap();
                thread::spawn(move || {
                    let mut tally = Tally::default();
                    for _ in 0..TRIES {
                        let mut buf = [0; 1_000];
                        match stream.read(&mut buf) {
                            Ok(len) => tally.add(&buf[..len]),
                            Err(error) => assert!(is_timeout(&error), "{error}"),
                        }
                    }
                    tally
                })
            })
            .collect();
        let raced = racing.into_iter().map(|racer| racer.join().unwrap());
        let raced = raced.fold(Tally::default(), Tally::with);
        server.set_read_timeout(None).unwrap();
        let rest = count(server);
        writing.join().unwrap();
        assert_eq!(raced.with(rest.join().unwrap()), expected);
    });
}

#[test]
fn racing_writers_lose_nothing_that_was_taken() {
    watched(|| {
        let (client, server) = pair();
        let counting = count(server);
        client.set_write_timeout(Some(SHORT)).unwrap();
        let racing: Vec<_> = (0_u64..)
            .take(RACERS)
            .map(|seed| {
                let mut stream = client.try_clone().unwrap();
                thread::spawn(move || {
                    let bytes = bytes(seed, 100_000);
                    let mut tally = Tally::default();
                    for _ in 0..TRIES {
                        match stream.write(&bytes) {
                            Ok(len) => tally.add(&bytes[..len]),
                            Err(error) => assert!(is_timeout(&error), "{error}"),
                        }
                    }
                    tally
                })
            })
            .collect();
        let raced = racing.into_iter().map(|racer| racer.join().unwrap());
        let raced = raced.fold(Tally::default(), Tally::with);
        drop(client);
        assert_eq!(counting.join().unwrap(), raced);
    });
}

#[test]
fn a_read_timeout_takes_nothing() {
    watched(|| {
        let (mut client, mut server) = pair();
        server.set_read_timeout(Some(SHORT)).unwrap();
        for round in 0..3 {
            let error = server.read(&mut [0; 8]).unwrap_err();
            assert!(is_timeout(&error), "{error}");
            client.write_all(&[round; 8]).unwrap();
            client
                .wait_delivered(aqueduct::Delivered::Acked, Duration::from_secs(20))
                .unwrap();
            let mut buf = [0; 8];
            server.read_exact(&mut buf).unwrap();
            assert_eq!(buf, [round; 8]);
        }
    });
}

#[test]
fn a_write_timeout_loses_nothing_that_was_taken() {
    watched(|| {
        let (mut client, server) = pair();
        client.set_write_timeout(Some(SHORT)).unwrap();
        let chunk = bytes(4, 100_000);
        let mut taken = Tally::default();
        let error = loop {
            match client.write(&chunk) {
                Ok(len) => taken.add(&chunk[..len]),
                Err(error) => break error,
            }
        };
        assert!(is_timeout(&error), "{error}");
        let counting = count(server);
        client.set_write_timeout(None).unwrap();
        client.write_all(&chunk).unwrap();
        taken.add(&chunk);
        drop(client);
        assert_eq!(counting.join().unwrap(), taken);
    });
}

#[test]
fn a_time_that_is_over_at_once_stops_what_would_wait() {
    watched(|| {
        let (mut client, mut server) = pair();
        let zero = server.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
        let instant = Some(Duration::from_nanos(1));
        server.set_read_timeout(instant).unwrap();
        assert!(is_timeout(&server.read(&mut [0; 8]).unwrap_err()));
        // What need not wait is done all the same.
        client.set_write_timeout(instant).unwrap();
        client.write_all(b"in time").unwrap();
        server.set_read_timeout(None).unwrap();
        server.read_exact(&mut [0; 7]).unwrap();
    });
}

/// Both directions blocked, with this limit: both come back. Then the limit goes, and all is as before.
fn both_directions_come_back(limit: Duration) {
    let (mut client, mut server) = pair();
    client.set_write_timeout(Some(limit)).unwrap();
    client.set_read_timeout(Some(limit)).unwrap();
    let mut writer = client.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let mut taken = 0;
        loop {
            match writer.write(&[7; 100_000]) {
                Ok(len) => taken += len,
                Err(error) => return (taken, error),
            }
        }
    });
    assert!(is_timeout(&client.read(&mut [0; 8]).unwrap_err()));
    let (taken, error) = writing.join().unwrap();
    assert!(is_timeout(&error), "{error}");
    client.set_write_timeout(None).unwrap();
    client.set_read_timeout(None).unwrap();
    let reading = thread::spawn(move || {
        let mut got = vec![0; taken];
        server.read_exact(&mut got).unwrap();
        assert!(got.iter().all(|byte| *byte == 7));
        server.write_all(b"got it").unwrap();
    });
    client.read_exact(&mut [0; 6]).unwrap();
    reading.join().unwrap();
}

#[test]
fn a_present_limit_ends_both_directions() {
    watched(|| both_directions_come_back(Duration::from_nanos(1)));
}

#[test]
fn a_future_limit_ends_both_directions() {
    watched(|| both_directions_come_back(Duration::from_millis(100)));
}

#[test]
fn closing_ends_what_waits_with_a_limit() {
    watched(|| {
        let (client, _server) = pair();
        client
            .set_read_timeout(Some(Duration::from_secs(50)))
            .unwrap();
        client
            .set_write_timeout(Some(Duration::from_secs(50)))
            .unwrap();
        let mut reader = client.try_clone().unwrap();
        let reading = thread::spawn(move || reader.read(&mut [0; 8]));
        let mut writer = client.try_clone().unwrap();
        let writing = thread::spawn(move || {
            loop {
                if let Err(error) = writer.write(&[7; 100_000]) {
                    return error;
                }
            }
        });
        // Whether they wait already or come later makes no difference.
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), 0);
        assert_eq!(writing.join().unwrap().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn all_methods_at_once() {
    watched(|| {
        let (client, mut server) = pair();
        let echo = thread::spawn(move || {
            let mut buf = [0; 1_024];
            while let Ok(len) = server.read(&mut buf) {
                if len == 0 || server.write_all(&buf[..len]).is_err() {
                    return;
                }
            }
        });
        client.set_read_timeout(Some(SHORT)).unwrap();
        client.set_write_timeout(Some(SHORT)).unwrap();
        let methods: [fn(&Stream); 8] = [
            |mut stream| drop(stream.read(&mut [0; 1_024])),
            |mut stream| drop(stream.write(&[1; 1_024])),
            |stream| drop(stream.peek(&mut [0; 16])),
            |stream| stream.set_read_timeout(Some(SHORT)).unwrap(),
            |stream| stream.set_write_timeout(Some(SHORT)).unwrap(),
            |stream| assert!(stream.local_addr().is_ok() && stream.peer_addr().is_ok()),
            |stream| stream.set_nodelay(true).unwrap(),
            |stream| assert!(stream.info().path_mtu > 0 && stream.take_error().unwrap().is_none()),
        ];
        let threads: Vec<_> = methods
            .into_iter()
            .flat_map(|method| [method; 3])
            .map(|method| {
                let stream = client.try_clone().unwrap();
                thread::spawn(move || (0..100).for_each(|_| method(&stream)))
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        client.abort(300);
        echo.join().unwrap();
    });
}
