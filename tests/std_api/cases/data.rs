//! Bytes: every one of them, once, in order, however they are written and read.

use std::io::{BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;

use super::{KERNEL, TcpListener, TcpStream, kind, pair};
use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

#[test]
fn row_19_an_idle_stream_takes_writes_and_has_nothing_to_read() {
    each_ip(|addr| {
        let (mut ours, _peer) = pair(addr);
        ours.set_nonblocking(true).expect("open");
        assert_eq!(kind(ours.read(&mut [0; 8])), ErrorKind::WouldBlock);
        assert_eq!(kind(ours.peek(&mut [0; 8])), ErrorKind::WouldBlock);
        assert_eq!(ours.write(b"room").expect("the send buffer is empty"), 4);
    });
}

#[test]
fn row_19_after_a_fin_reads_do_not_block_and_writes_are_taken() {
    each_ip(|addr| {
        let (mut ours, peer) = pair(addr);
        peer.shutdown(Shutdown::Write).expect("open");
        assert_eq!(ours.peek(&mut [0; 8]).expect("the end"), 0);
        ours.set_nonblocking(true).expect("open");
        assert_eq!(ours.read(&mut [0; 8]).expect("the end"), 0);
        assert_eq!(ours.write(b"room").expect("open in this direction"), 4);
    });
}

#[test]
fn row_19_full_buffers_block_writes_and_a_reader_makes_room() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        ours.set_nonblocking(true).expect("open");
        let (block, mut written) = (vec![1; 1 << 20], 0);
        let error = loop {
            match ours.write(&block) {
                Ok(n) => written += n,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let mut got = vec![0; written];
        peer.read_exact(&mut got)
            .expect("all that was taken arrives");
        eventually("there is room again", || ours.write(b"x").is_ok());
    });
}

#[test]
fn row_20_peek_leaves_the_data_where_it_is() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        peer.write_all(b"peeked").expect("open");
        for _ in 0..3 {
            let mut got = [0; 16];
            assert_eq!(ours.peek(&mut got).expect("it arrives"), 6);
            assert_eq!(&got[..6], b"peeked");
        }
        let mut short = [0; 3];
        assert_eq!(ours.peek(&mut short).expect("data"), 3);
        assert_eq!(&short, b"pee");
        let mut got = [0; 16];
        assert_eq!(ours.read(&mut got).expect("data"), 6);
        drop(peer);
        assert_eq!(ours.peek(&mut got).expect("the end"), 0);
        assert_eq!(ours.read(&mut got).expect("the end"), 0);
    });
}

#[test]
fn row_20_reading_into_nothing_is_zero() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        if !KERNEL {
            // Linux waits for data even then; we answer at once.
            assert_eq!(ours.read(&mut []).expect("nothing was asked for"), 0);
        }
        peer.write_all(b"x").expect("open");
        assert_eq!(ours.peek(&mut [0; 1]).expect("data"), 1);
        assert_eq!(ours.read(&mut []).expect("nothing was asked for"), 0);
        assert_eq!(ours.read(&mut [0; 8]).expect("the data is still there"), 1);
    });
}

#[test]
fn row_20_writing_nothing_is_zero() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        assert_eq!(ours.write(&[]).expect("open"), 0);
        ours.write_all(b"then something").expect("open");
        let mut got = [0; 14];
        peer.read_exact(&mut got).expect("open");
        assert_eq!(&got, b"then something");
    });
}

#[test]
fn row_24_two_readers_get_every_byte_once() {
    each_ip(|addr| {
        let (ours, mut peer) = pair(addr);
        let total = 400_000;
        let seen = Arc::new(Mutex::new(Vec::with_capacity(total)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (mut clone, seen) = (ours.try_clone().expect("a clone"), Arc::clone(&seen));
                thread::spawn(move || {
                    let mut buf = [0; 4 * 997];
                    loop {
                        let n = clone.read(&mut buf).expect("no error");
                        if n == 0 {
                            return;
                        }
                        seen.lock().expect("no panic").extend_from_slice(&buf[..n]);
                    }
                })
            })
            .collect();
        let data = bytes(24, total);
        peer.write_all(&data).expect("open");
        drop(peer);
        for reader in readers {
            reader.join().expect("no panic");
        }
        // Which reader got what is open; that every byte was got once is not.
        let (mut seen, mut data) = (seen.lock().expect("no panic").clone(), data);
        seen.sort_unstable();
        data.sort_unstable();
        assert!(seen == data, "{} bytes of {total}, or others", seen.len());
    });
}

#[test]
fn row_24_two_writers_do_not_mix_within_a_call_that_fits() {
    each_ip(|addr| {
        const RECORD: usize = 100;
        let (ours, mut peer) = pair(addr);
        let writers: Vec<_> = (1..=2_u8)
            .map(|who| {
                let mut clone = ours.try_clone().expect("a clone");
                thread::spawn(move || {
                    for _ in 0..500 {
                        assert_eq!(clone.write(&[who; RECORD]).expect("open"), RECORD);
                    }
                })
            })
            .collect();
        drop(ours);
        let mut counts = [0; 3];
        let mut record = [0; RECORD];
        for _ in 0..1_000 {
            peer.read_exact(&mut record).expect("a whole record");
            assert!(
                record.iter().all(|byte| *byte == record[0]),
                "a record of one writer"
            );
            counts[usize::from(record[0])] += 1;
        }
        assert_eq!(counts, [0, 500, 500]);
        assert_eq!(peer.read(&mut record).expect("the end"), 0);
        for writer in writers {
            writer.join().expect("no panic");
        }
    });
}

#[test]
fn vectored_calls_use_every_slice() {
    each_ip(|addr| {
        let (mut ours, mut peer) = pair(addr);
        let parts = [
            IoSlice::new(b""),
            IoSlice::new(b"ab"),
            IoSlice::new(b"cdef"),
        ];
        assert_eq!(ours.write_vectored(&parts).expect("open"), 6);
        assert_eq!(peer.peek(&mut [0; 8]).expect("it arrives"), 6);
        let (mut a, mut b, mut c) = ([0; 1], [0; 2], [0; 8]);
        let mut slices = [
            IoSliceMut::new(&mut a),
            IoSliceMut::new(&mut b),
            IoSliceMut::new(&mut c),
        ];
        assert_eq!(peer.read_vectored(&mut slices).expect("data"), 6);
        assert_eq!((&a, &b, &c[..3]), (b"a", b"bc", &b"def"[..]));
    });
}

#[test]
fn references_read_and_write_too() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        (&ours).write_all(b"by reference").expect("open");
        (&ours).flush().expect("nothing to do");
        let mut got = [0; 12];
        (&peer).read_exact(&mut got).expect("open");
        assert_eq!(&got, b"by reference");
    });
}

#[test]
fn lines_and_copies_work_as_on_any_stream() {
    each_ip(|addr| {
        let (ours, peer) = pair(addr);
        let echo = thread::spawn(move || std::io::copy(&mut &peer, &mut &peer).expect("no error"));
        (&ours).write_all(b"one\ntwo\n").expect("open");
        ours.shutdown(Shutdown::Write).expect("open");
        let lines: Vec<_> = BufReader::new(&ours)
            .lines()
            .collect::<Result<_, _>>()
            .expect("a clean end");
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(echo.join().expect("no panic"), 8);
    });
}

#[test]
fn small_messages_go_back_and_forth_without_waiting_for_each_other() {
    each_ip(|addr| {
        // Two small writes, then a read: what Nagle and delayed acknowledgements make slow.
        let (mut ours, mut peer) = pair(addr);
        if KERNEL {
            // Nagle's algorithm would wait 40 ms for each delayed acknowledgement; we never wait for one.
            ours.set_nodelay(true).expect("open");
        }
        let echo = thread::spawn(move || {
            let mut got = [0; 4];
            for _ in 0..200 {
                peer.read_exact(&mut got).expect("open");
                peer.write_all(&got).expect("open");
            }
        });
        for n in 0..200_u16 {
            let [a, b] = n.to_be_bytes();
            ours.write_all(&[a, b]).expect("open");
            ours.write_all(&[b, a]).expect("open");
            let mut got = [0; 4];
            ours.read_exact(&mut got).expect("open");
            assert_eq!(got, [a, b, b, a]);
        }
        echo.join().expect("no panic");
    });
}

#[test]
fn both_directions_carry_much_at_once() {
    each_ip(|addr| {
        let (client, server) = pair(addr);
        let directions = [(client, 1, 2), (server, 2, 1)].map(|(stream, mine, theirs)| {
            thread::spawn(move || {
                let reader = stream.try_clone().expect("a clone");
                let reader = thread::spawn(move || {
                    let mut got = Vec::new();
                    (&reader).read_to_end(&mut got).expect("a clean end");
                    assert_eq!(got.len(), 5 << 20);
                    assert_bytes(theirs, &got);
                });
                (&stream).write_all(&bytes(mine, 5 << 20)).expect("open");
                stream.shutdown(Shutdown::Write).expect("open");
                reader.join().expect("all arrived");
            })
        });
        for direction in directions {
            direction.join().expect("no panic");
        }
    });
}

#[test]
fn every_chunk_size_arrives_whole() {
    each_ip(|addr| {
        let listener = TcpListener::bind(addr).expect("a free port");
        let addr = listener.local_addr().expect("an address");
        for chunk in [1, 2, 1_199, 1_200, 1_201, 1_472, 65_507, 65_536, 300_000] {
            let total = if chunk < 100 { 3_000 } else { 600_000 };
            let sender = thread::spawn(move || {
                let mut client = TcpStream::connect(addr).expect("a connection");
                for piece in bytes(chunk, total).chunks(usize::try_from(chunk).expect("small")) {
                    client.write_all(piece).expect("open");
                }
            });
            let (mut server, _) = listener.accept().expect("a connection");
            let mut got = Vec::new();
            server.read_to_end(&mut got).expect("a clean end");
            assert_eq!(got.len(), total);
            assert_bytes(chunk, &got);
            sender.join().expect("no panic");
        }
    });
}
