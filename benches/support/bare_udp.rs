//! UDP with nothing on top: the ceiling for what stands on it.
//!
//! Bulk: datagrams that carry their connection and offset, sent in batches by GSO and received by
//! GRO where the kernel has them. The server answers now and then with its count, and the client keeps
//! at most [`WINDOW`] bytes unanswered: without that the kernel would drop most of them. What is lost
//! all the same is not sent again, and does not count.
//!
//! Ping-pong: one datagram each way, by plain blocking calls.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::support::carrier::Carrier;
use crate::support::pattern::Pattern;
use crate::support::statistics::nanos;
use crate::support::works::{Bulk, Idle};
use crate::support::{cpu, now, peer};

/// The UDP payload that fits an Ethernet frame with room for tunnels.
const DATAGRAM: usize = 1_452;
/// Connection and offset.
const HEADER: usize = 16;
/// Datagrams in one system call: as many as GSO takes bytes.
const BATCH: usize = 44;
/// Bytes without an answer, at most; well below the receive buffer.
const WINDOW: u64 = 1 << 20;
/// The server answers whenever so many bytes have come.
const ANSWER_EVERY: u64 = 256 << 10;
/// Set in the connection's number of a datagram that wants an answer at once.
const ANSWER_NOW: u64 = 1 << 63;
/// Asked of the kernel for both directions.
const SOCKET_BUFFER: usize = 4 << 20;
/// After this time without an answer, what is on its way is lost.
const PATIENCE: Duration = Duration::from_millis(200);
/// Room for one batch as GRO delivers it.
const RECEIVE: usize = 65_536;

/// Bare UDP, with the server for one of its two works.
pub(crate) enum BareUdp {
    Bulk,
    PingPong,
}

impl Carrier for BareUdp {
    fn name(&self) -> &'static str {
        "bare UDP"
    }

    fn serve(&self) -> io::Result<()> {
        match self {
            BareUdp::Bulk => serve_bulk(),
            BareUdp::PingPong => serve_ping_pong(),
        }
    }

    fn bulk(&self, server: SocketAddr, number: u64, write: usize, total: u64) -> io::Result<Bulk> {
        bulk(server, number, write, total)
    }

    fn ping_pong(&self, server: SocketAddr, size: usize, count: u64) -> io::Result<Vec<u64>> {
        ping_pong(server, size, count)
    }

    fn connects(&self, _: SocketAddr, _: u64) -> io::Result<Option<Duration>> {
        Ok(None)
    }

    fn idle(&self, _: SocketAddr, _: u64, _: Duration) -> io::Result<Option<Idle>> {
        Ok(None)
    }
}

struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    fn bind() -> io::Result<Socket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let options = socket2::SockRef::from(&socket);
        options.set_recv_buffer_size(SOCKET_BUFFER)?;
        options.set_send_buffer_size(SOCKET_BUFFER)?;
        let state = UdpSocketState::new((&socket).into())?;
        // Both sides wait in the system call, as blocking streams do.
        socket.set_nonblocking(false)?;
        Ok(Socket { socket, state })
    }

    /// Receives one batch; returns its sender, its bytes and the size of its datagrams.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(SocketAddr, usize, usize)> {
        let mut meta = [RecvMeta::default()];
        self.state.recv(
            (&self.socket).into(),
            &mut [IoSliceMut::new(buffer)],
            &mut meta,
        )?;
        let [
            RecvMeta {
                addr, len, stride, ..
            },
        ] = meta;
        Ok((addr, len, stride))
    }

    fn send(&self, destination: SocketAddr, contents: &[u8], segment: usize) -> io::Result<()> {
        let segment_size = (contents.len() > segment).then_some(segment);
        let transmit = Transmit {
            destination,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }
}

/// Serves the bulk work for ever: answers with `[connection, bytes so far, wrong so far,
/// processor time in nanoseconds]`.
///
/// # Errors
///
/// The socket's error.
fn serve_bulk() -> io::Result<()> {
    let socket = Socket::bind()?;
    peer::announce(socket.socket.local_addr()?)?;
    let pattern = Pattern::new();
    let mut buffer = vec![0; RECEIVE];
    let [mut current, mut bytes, mut wrong, mut answered] = [0; 4];
    loop {
        let (client, length, stride) = socket.receive(&mut buffer)?;
        let mut wanted = false;
        for datagram in buffer[..length].chunks(stride.max(1)) {
            let Some((connection, offset, data)) = parse(datagram) else {
                continue;
            };
            wanted |= connection & ANSWER_NOW != 0;
            let connection = connection & !ANSWER_NOW;
            if connection != current {
                [current, bytes, wrong, answered] = [connection, 0, 0, 0];
            }
            bytes += u64::try_from(data.len()).unwrap_or(0);
            wrong += u64::from(!pattern.matches(connection, offset, data));
        }
        if wanted || bytes - answered >= ANSWER_EVERY {
            answered = bytes;
            let answer = [current, bytes, wrong, nanos(cpu::time())].map(u64::to_be_bytes);
            let answer = answer.concat();
            socket.send(client, &answer, answer.len())?;
        }
    }
}

fn parse(datagram: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (connection, rest) = datagram.split_first_chunk()?;
    let (offset, data) = rest.split_first_chunk()?;
    Some((
        u64::from_be_bytes(*connection),
        u64::from_be_bytes(*offset),
        data,
    ))
}

/// What the server answered last.
#[derive(Clone, Copy, Default)]
struct Answer {
    bytes: u64,
    wrong: u64,
    processor: Duration,
}

/// Sends `total` bytes, `write` bytes in one system call, or as many as GSO takes. A write that is
/// no larger than a datagram is one datagram.
///
/// # Errors
///
/// The socket's error, or that a datagram arrived changed.
fn bulk(server: SocketAddr, connection: u64, write: usize, total: u64) -> io::Result<Bulk> {
    let mut client = Client::new(server, connection)?;
    let data = write.min(DATAGRAM - HEADER);
    let (segment, per_call) = (data + HEADER, (write / data).clamp(1, BATCH));
    let (begin, processor) = (now(), cpu::time());
    let mut first = None;
    let mut batch = Vec::new();
    let mut offset = 0;
    while offset < total {
        batch.clear();
        for _ in 0..per_call {
            let next = offset + u64::try_from(data).unwrap_or(0);
            // The first answer tells where the server's processor time began, the last ends it.
            client.append(&mut batch, offset, data, offset == 0 || next >= total);
            offset = next;
        }
        client.socket.send(server, &batch, segment)?;
        client.hear(offset, WINDOW)?;
        first = first.or(client.heard.map(|answer| answer.processor));
    }
    client.hear(offset, 0)?;
    let elapsed = begin.elapsed();
    let last = client.heard.unwrap_or_default();
    if last.wrong > 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a datagram arrived changed",
        ));
    }
    let theirs = last.processor.saturating_sub(first.unwrap_or_default());
    let processor = cpu::time().saturating_sub(processor) + theirs;
    Ok(Bulk {
        arrived: last.bytes,
        elapsed,
        processor,
    })
}

struct Client {
    socket: Socket,
    connection: u64,
    pattern: Pattern,
    heard: Option<Answer>,
    /// Bytes that were given up.
    lost: u64,
}

impl Client {
    fn new(server: SocketAddr, connection: u64) -> io::Result<Client> {
        let socket = Socket::bind()?;
        socket.socket.connect(server)?;
        socket.socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Client {
            socket,
            connection,
            pattern: Pattern::new(),
            heard: None,
            lost: 0,
        })
    }

    fn append(&self, batch: &mut Vec<u8>, offset: u64, data: usize, answer_now: bool) {
        let flag = if answer_now { ANSWER_NOW } else { 0 };
        batch.extend((self.connection | flag).to_be_bytes());
        batch.extend(offset.to_be_bytes());
        batch.extend(self.pattern.slice(self.connection, offset, data));
    }

    /// Waits until no more than `window` of the `sent` bytes are without an answer.
    fn hear(&mut self, sent: u64, window: u64) -> io::Result<()> {
        let mut buffer = [0; 64];
        loop {
            let arrived = self.heard.map_or(0, |answer| answer.bytes);
            if sent.saturating_sub(arrived + self.lost) <= window {
                return Ok(());
            }
            match self.socket.receive(&mut buffer) {
                Ok((_, length, _)) => self.take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.lost = sent.saturating_sub(arrived);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, answer: &[u8]) {
        let mut numbers = answer
            .chunks_exact(8)
            .filter_map(|number| Some(u64::from_be_bytes(number.try_into().ok()?)));
        let mut next = || numbers.next().unwrap_or(0);
        let [connection, bytes, wrong, processor] = [next(), next(), next(), next()];
        if connection == self.connection {
            self.heard = Some(Answer {
                bytes,
                wrong,
                processor: Duration::from_nanos(processor),
            });
        }
    }
}

/// Serves the ping-pong work for ever: sends every datagram back.
///
/// # Errors
///
/// The socket's error.
fn serve_ping_pong() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    peer::announce(socket.local_addr()?)?;
    let mut buffer = vec![0; RECEIVE];
    loop {
        let (length, client) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], client)?;
    }
}

/// As the ping-pong of streams; a datagram that is lost ends it with an error.
///
/// # Errors
///
/// The socket's error, or that something else came back.
fn ping_pong(server: SocketAddr, size: usize, count: u64) -> io::Result<Vec<u64>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let pattern = Pattern::new();
    let mut answer = vec![0; size];
    let mut times = Vec::new();
    for number in 0..count + count / 10 {
        let message = pattern.slice(number, 0, size);
        let begin = now();
        socket.send(message)?;
        let length = socket.recv(&mut answer)?;
        let time = begin.elapsed();
        if answer[..length] != *message {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "something else came back",
            ));
        }
        if number >= count / 10 {
            times.push(nanos(time));
        }
    }
    times.sort_unstable();
    Ok(times)
}
