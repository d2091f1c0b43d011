//! Datagrams beside the stream, over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::{Listener, Stream};

use crate::support::wait::{assert_bytes, bytes, each_ip, eventually};

fn pair(addr: SocketAddr, config: &Config) -> (Stream, Stream) {
    let listener = Listener::bind(addr).expect("a free port");
    let to = listener.local_addr().expect("bound");
    let client = Stream::connect_with(to, config).expect("a listener");
    let (server, _) = listener.accept().expect("a connection");
    (client, server)
}

#[test]
fn datagrams_arrive_beside_a_stream_that_nobody_reads() {
    each_ip(|addr| {
        let (mut client, mut server) = pair(addr, &Config::default());
        client.write_all(&bytes(1, 100_000)).expect("open");
        let mut buf = [0; 1_500];
        for number in 0..100_u8 {
            client.send_datagram(&[number; 900]).expect("open");
            server.send_datagram(&[number, 1]).expect("open");
            let len = server.recv_datagram(&mut buf).expect("loopback loses none");
            assert_eq!(&buf[..len], [number; 900]);
            assert_eq!(client.recv_datagram(&mut buf).expect("likewise"), 2);
            assert_eq!(buf[0], number);
        }
        client.shutdown(Shutdown::Write).expect("open");
        let mut stream = Vec::new();
        server.read_to_end(&mut stream).expect("a clean end");
        assert_eq!(stream.len(), 100_000);
        assert_bytes(1, &stream);
    });
}

#[test]
fn a_buffer_that_is_too_small_cuts_the_datagram_off() {
    each_ip(|addr| {
        let (client, server) = pair(addr, &Config::default());
        client.send_datagram(b"twelve bytes").expect("open");
        client.send_datagram(b"next").expect("open");
        let mut buf = [0; 6];
        assert_eq!(server.recv_datagram(&mut buf).expect("there"), 6);
        assert_eq!(&buf, b"twelve");
        assert_eq!(server.recv_datagram(&mut buf).expect("there"), 4);
    });
}

#[test]
fn errors_of_datagrams_have_their_kinds() {
    each_ip(|addr| {
        let (client, server) = pair(addr, &Config::default());
        let kind_of = |result: std::io::Result<()>| result.expect_err("refused").kind();
        let max = client.datagram_len_max().expect("the server takes them");
        assert!(max >= 1_168);
        assert_eq!(
            kind_of(client.send_datagram(&vec![0; 70_000])),
            ErrorKind::InvalidInput
        );

        server
            .set_read_timeout(Some(Duration::from_millis(1)))
            .expect("not zero");
        let error = server.recv_datagram(&mut [0; 9]).expect_err("nothing came");
        assert_eq!(
            error.kind(),
            if cfg!(windows) {
                ErrorKind::TimedOut
            } else {
                ErrorKind::WouldBlock
            }
        );
        server.set_read_timeout(None).expect("none");

        client.shutdown(Shutdown::Write).expect("open");
        assert_eq!(kind_of(client.send_datagram(b"x")), ErrorKind::NotConnected);
        let error = server
            .recv_datagram(&mut [0; 9])
            .expect_err("no more can come");
        assert_eq!(error.kind(), ErrorKind::NotConnected);

        // The client of this pair takes none.
        let (_client, server) = pair(addr, &Config::default().with_datagram_max(0));
        assert_eq!(server.datagram_len_max(), None);
        assert_eq!(kind_of(server.send_datagram(b"x")), ErrorKind::Unsupported);
    });
}

#[test]
fn datagrams_that_nobody_takes_are_counted() {
    each_ip(|addr| {
        let (client, server) = pair(addr, &Config::default());
        let mut sent = 0;
        eventually("the queue of the server overflows", || {
            client.send_datagram(&[1; 100]).expect("open");
            sent += 1;
            server.info().datagrams_unread >= 10
        });
        let info = client.info();
        assert!(info.datagrams_sent + info.datagrams_unsent <= sent);
    });
}
