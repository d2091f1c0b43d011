use super::*;
use crate::wire::{Ecn, Transmit};

fn loopback() -> SocketOptions {
    SocketOptions {
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        peer: None,
        buffer: 1 << 20,
    }
}

fn to(to: SocketAddr) -> Transmit {
    Transmit {
        to,
        from_ip: None,
        ecn: None,
    }
}

/// Tries until there is an answer: loopback delivers at once, but on another processor's time.
fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000_000 {
        if let Some(answer) = attempt() {
            return answer;
        }
        std::thread::yield_now();
    }
    panic!("nothing came");
}

/// The same tests for both kinds of socket.
macro_rules! contract {
    ($name:ident, $module:ident) => {
        mod $name {
            use super::super::$module::{Receiver, Socket};
            use super::*;

            fn receive(socket: &Socket, into: &mut Receiver) -> Train {
                eventually(|| socket.receive(into).ok())
            }

            #[test]
            fn a_batch_arrives_as_the_datagrams_that_it_was_made_of() {
                let a = Socket::open(&loopback()).unwrap();
                let b = Socket::open(&loopback()).unwrap();
                let mut receiver = Receiver::new();
                let bytes: Vec<u8> = (0..u8::MAX).cycle().take(9_500).collect();
                a.send(&to(b.local_addr().unwrap()), &bytes, 1_000).unwrap();
                let mut got = Vec::new();
                let mut lens = Vec::new();
                while got.len() < bytes.len() {
                    let train = receive(&b, &mut receiver);
                    assert_eq!(train.meta.from, a.local_addr().unwrap());
                    let datagrams = receiver.bytes(train.len).chunks(train.stride);
                    lens.extend(datagrams.map(<[u8]>::len));
                    got.extend_from_slice(receiver.bytes(train.len));
                }
                assert_eq!(got, bytes);
                assert_eq!(lens, [[1_000; 9].as_slice(), &[500]].concat());
                let again = b.receive(&mut receiver).unwrap_err();
                assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
            }

            #[test]
            fn marks_and_addresses_come_with_the_datagram() {
                let a = Socket::open(&loopback()).unwrap();
                let any = SocketOptions {
                    bind: (Ipv4Addr::UNSPECIFIED, 0).into(),
                    ..loopback()
                };
                let b = Socket::open(&any).unwrap();
                let mut receiver = Receiver::new();
                let port = b.local_addr().unwrap().port();
                let marked = Transmit {
                    ecn: Some(Ecn::Ect0),
                    ..to((Ipv4Addr::LOCALHOST, port).into())
                };
                a.send(&marked, b"hello", 5).unwrap();
                let train = receive(&b, &mut receiver);
                assert_eq!(train.meta.ecn, Some(Ecn::Ect0));
                assert_eq!(train.meta.to_ip, Some(Ipv4Addr::LOCALHOST.into()));

                let other = Ipv4Addr::new(127, 0, 0, 2);
                let from_other = Transmit {
                    from_ip: Some(other.into()),
                    ..to(a.local_addr().unwrap())
                };
                b.send(&from_other, b"x", 1).unwrap();
                let train = receive(&a, &mut receiver);
                assert_eq!(train.meta.from, SocketAddr::from((other, port)));
            }

            #[test]
            fn ipv6_carries_marks_too() {
                let options = SocketOptions {
                    bind: (Ipv6Addr::LOCALHOST, 0).into(),
                    ..loopback()
                };
                let Ok(a) = Socket::open(&options) else {
                    return;
                };
                let mut receiver = Receiver::new();
                let marked = Transmit {
                    ecn: Some(Ecn::Ce),
                    ..to(a.local_addr().unwrap())
                };
                a.send(&marked, b"six", 3).unwrap();
                let train = receive(&a, &mut receiver);
                assert_eq!(train.meta.ecn, Some(Ecn::Ce));
                assert_eq!(train.meta.to_ip, Some(Ipv6Addr::LOCALHOST.into()));
                assert_eq!(receiver.bytes(train.len), b"six");
            }

            /// Both kinds of socket, both families: neighbours with other marks, and long runs of one mark.
            #[test]
            fn each_datagram_has_its_own_mark() {
                let (none, ect0, ce) = (None, Some(Ecn::Ect0), Some(Ecn::Ce));
                let runs = [
                    (none, 2),
                    (ect0, 1),
                    (none, 1),
                    (ect0, 9),
                    (none, 1),
                    (ect0, 2),
                ];
                let more = [
                    (ce, 1),
                    (Some(Ecn::Ect1), 6),
                    (none, 9),
                    (ect0, 1),
                    (none, 1),
                ];
                for ip in [
                    IpAddr::from(Ipv4Addr::LOCALHOST),
                    Ipv6Addr::LOCALHOST.into(),
                ] {
                    let options = SocketOptions {
                        bind: (ip, 0).into(),
                        ..loopback()
                    };
                    let Ok(b) = Socket::open(&options) else {
                        continue;
                    };
                    let address = b.local_addr().unwrap();
                    let mut receiver = Receiver::new();
                    for options in [options, SocketOptions::toward(address, 1 << 20)] {
                        let a = Socket::open(&options).unwrap();
                        for (mark, count) in runs.into_iter().chain(more) {
                            for _ in 0..count {
                                let marked = Transmit {
                                    ecn: mark,
                                    ..to(address)
                                };
                                a.send(&marked, b"mark", 4).unwrap();
                                let train = receive(&b, &mut receiver);
                                assert_eq!(train.meta.ecn, mark, "{options:?}");
                            }
                        }
                    }
                }
            }

            /// One mark for each train is exact only if the kernel puts no others into it.
            #[test]
            fn datagrams_of_different_marks_come_in_different_trains() {
                let b = Socket::open(&loopback()).unwrap();
                let address = b.local_addr().unwrap();
                let a = Socket::open(&SocketOptions::toward(address, 1 << 20)).unwrap();
                let marks = [Some(Ecn::Ect0), Some(Ecn::Ce), None, Some(Ecn::Ect0)];
                for (tag, mark) in (0..).zip(marks) {
                    let marked = Transmit {
                        ecn: mark,
                        ..to(address)
                    };
                    a.send(&marked, &[tag; 4_000], 1_000).unwrap();
                }
                let mut receiver = Receiver::new();
                let mut got = 0;
                while got < 16_000 {
                    let train = receive(&b, &mut receiver);
                    let bytes = receiver.bytes(train.len);
                    assert!(bytes.iter().all(|tag| *tag == bytes[0]));
                    assert_eq!(train.meta.ecn, marks[usize::from(bytes[0])]);
                    got += train.len;
                }
            }

            #[test]
            fn a_port_is_not_shared() {
                let a = Socket::open(&loopback()).unwrap();
                let same = SocketOptions {
                    bind: a.local_addr().unwrap(),
                    ..loopback()
                };
                let error = Socket::open(&same).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }

            #[test]
            fn a_connected_socket_hears_that_the_port_is_closed_and_still_sends() {
                let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
                let address = closed.local_addr().unwrap();
                drop(closed);
                let socket = Socket::open(&SocketOptions::toward(address, 1 << 20)).unwrap();
                let mut receiver = Receiver::new();
                socket.send(&to(address), b"quote me", 8).unwrap();
                let report = eventually(|| {
                    let _ = socket.receive(&mut receiver);
                    socket.receive_error(&mut receiver)
                });
                assert_eq!(report.to, address);
                assert_eq!(report.error, Some(IcmpError::PortUnreachable));
                assert!(b"quote me".starts_with(receiver.bytes(report.quoted)));
            }
        }
    };
}

#[cfg(target_os = "linux")]
contract!(on_linux, linux);
contract!(portably, portable);

#[cfg(target_os = "linux")]
#[test]
fn drops_of_a_full_receive_buffer_are_counted() {
    let a = Socket::open(&loopback()).unwrap();
    let small = SocketOptions {
        buffer: 4_096,
        ..loopback()
    };
    let b = Socket::open(&small).unwrap();
    let destination = to(b.local_addr().unwrap());
    for _ in 0..200 {
        a.send(&destination, &[7; 1_200], 1_200).unwrap();
    }
    // The count comes with a datagram that was queued after the drops.
    let mut receiver = Receiver::new();
    let mut drops = 0;
    while let Ok(train) = b.receive(&mut receiver) {
        drops = drops.max(train.drops.unwrap_or(0));
    }
    a.send(&destination, b"last", 4).unwrap();
    let last = eventually(|| b.receive(&mut receiver).ok());
    assert!(drops.max(last.drops.unwrap_or(0)) >= 100);
}

#[test]
fn errors_of_a_send_never_say_that_the_socket_is_broken() {
    use SendFailure::*;
    let of = |kind: io::ErrorKind, batch| SendFailure::of(&kind.into(), batch);
    assert_eq!(of(io::ErrorKind::WouldBlock, true), Full);
    assert_eq!(of(io::ErrorKind::ConnectionRefused, false), Poisoned);
    assert_eq!(of(io::ErrorKind::InvalidInput, true), Offload);
    for kind in [
        io::ErrorKind::InvalidInput,
        io::ErrorKind::AddrNotAvailable,
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkDown,
    ] {
        assert_eq!(of(kind, false), Away, "{kind:?}");
    }
    assert_eq!(of(io::ErrorKind::PermissionDenied, false), Lost);
    let raw = |code, batch| SendFailure::of(&io::Error::from_raw_os_error(code), batch);
    assert_eq!(raw(codes::ENOBUFS, true), Congested);
    assert_eq!(raw(codes::EMSGSIZE, true), TooLarge);
    assert_eq!(raw(codes::EMSGSIZE, false), TooLarge);
    assert_eq!(raw(codes::EIO, true), Offload);
    assert_eq!(raw(codes::EIO, false), Lost);
}
