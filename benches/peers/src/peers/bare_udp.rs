//! UDP with nothing on top: the ceiling for what stands on it.
//!
//! Bulk: datagrams that carry their connection and offset (and a CRC-32 over all of it if asked to), 44
//! in a system call by GSO, received by GRO. Without the copy the payload is gathered from where it
//! stands, and compared where it arrives; with it there is one more copy on each side, as any transport
//! makes whose `write` and `read` are those of a stream. The server answers now and then with its count,
//! and the client keeps at most [`WINDOW`] bytes unanswered: without that the kernel would drop most of
//! them. What is lost all the same is not sent again, and does not count.
//!
//! Ping-pong: one datagram each way. Both sides block in their calls, or never sleep.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
};

use crate::pattern::Pattern;
use crate::scenarios::{Amount, Figures, Scenario, Works, bulk, ping_pong, wide, wrong};
use crate::system::{self, nanos, now};

/// The UDP payload that fits an Ethernet frame with room for tunnels.
const DATAGRAM: usize = 1_452;
/// Connection and offset, then the CRC of those and the data, or zero.
const HEADER: usize = 20;
const CRC_AT: usize = 16;
const DATA: usize = DATAGRAM - HEADER;
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
/// What of the bytes may be lost until the run does not count, one in so many.
const LOST: u64 = 100;

/// Bare UDP, in one of its modes.
#[derive(Clone, Copy, Default)]
pub(crate) struct BareUdp {
    /// A CRC-32 over each datagram.
    pub(crate) crc: bool,
    /// One more copy on each side.
    pub(crate) copy: bool,
    /// Never sleep.
    pub(crate) spin: bool,
}

impl Works for BareUdp {
    fn serve(&self, scenario: Scenario, at: SocketAddr, _: &Amount) -> io::Result<()> {
        let socket = Socket::bind(at, self.spin)?;
        system::announce(socket.0.local_addr()?)?;
        match scenario {
            Scenario::Bulk | Scenario::Veth => serve_bulk(*self, &socket),
            _ => serve_ping_pong(&socket),
        }
    }

    fn measure(
        &self,
        scenario: Scenario,
        server: SocketAddr,
        amount: &Amount,
    ) -> io::Result<Figures> {
        let socket = Socket::bind((Ipv4Addr::UNSPECIFIED, 0).into(), self.spin)?;
        socket.0.connect(server)?;
        socket.0.set_read_timeout(Some(PATIENCE))?;
        match scenario {
            Scenario::Bulk | Scenario::Veth => send_bulk(*self, socket, amount.time()),
            _ => play(&socket, amount.time()),
        }
    }
}

/// A socket whose receives wait in the system call, or spin.
struct Socket(UdpSocket);

impl Socket {
    fn bind(at: SocketAddr, spin: bool) -> io::Result<Socket> {
        let socket = UdpSocket::bind(at)?;
        let options = socket2::SockRef::from(&socket);
        options.set_recv_buffer_size(SOCKET_BUFFER)?;
        options.set_send_buffer_size(SOCKET_BUFFER)?;
        setsockopt(&socket, UdpGroSegment, &true)?;
        socket.set_nonblocking(spin)?;
        Ok(Socket(socket))
    }

    /// Receives one batch; returns its sender, its bytes and the size of its datagrams.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(SocketAddr, usize, usize)> {
        let begin = now();
        loop {
            match self.receive_once(buffer) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && begin.elapsed() < PATIENCE => {}
                outcome => return outcome,
            }
        }
    }

    fn receive_once(&self, buffer: &mut [u8]) -> io::Result<(SocketAddr, usize, usize)> {
        let mut into = [IoSliceMut::new(buffer)];
        let mut notes = nix::cmsg_space!(i32);
        let fd = self.0.as_raw_fd();
        let got = recvmsg::<SockaddrIn>(fd, &mut into, Some(&mut notes), MsgFlags::empty())?;
        let stride = got.cmsgs()?.find_map(|note| match note {
            ControlMessageOwned::UdpGroSegments(stride) => usize::try_from(stride).ok(),
            _ => None,
        });
        let from = got.address.map_or_else(
            || (Ipv4Addr::UNSPECIFIED, 0).into(),
            |from| SocketAddr::from((from.ip(), from.port())),
        );
        Ok((from, got.bytes, stride.unwrap_or(got.bytes).max(1)))
    }

    /// Sends what the slices hold together as datagrams of [`DATAGRAM`] bytes.
    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<()> {
        let size = u16::try_from(DATAGRAM).expect("a datagram is small");
        let notes = [ControlMessage::UdpGsoSegments(&size)];
        let fd = self.0.as_raw_fd();
        loop {
            match sendmsg::<()>(fd, slices, &notes, MsgFlags::empty(), None) {
                Err(nix::errno::Errno::EAGAIN) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }
}

/// The checksum of a datagram whose own field is zero.
fn checksum(head: &[u8], data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(data);
    hasher.finalize()
}

/// Serves the bulk work for ever: answers with `[connection, bytes so far, wrong so far,
/// processor time in nanoseconds]`.
fn serve_bulk(mode: BareUdp, socket: &Socket) -> io::Result<()> {
    let pattern = Pattern::new();
    let mut buffer = vec![0; RECEIVE];
    let mut copied = vec![0; RECEIVE];
    let [mut current, mut bytes, mut wrong, mut answered] = [0; 4];
    loop {
        let (client, length, stride) = match socket.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            outcome => outcome?,
        };
        let mut wanted = false;
        let mut place = 0;
        for datagram in buffer[..length].chunks(stride) {
            let Some((connection, offset, mut data)) = parse(mode, datagram) else {
                wrong += 1;
                continue;
            };
            wanted |= connection & ANSWER_NOW != 0;
            let connection = connection & !ANSWER_NOW;
            if connection != current {
                [current, bytes, wrong, answered] = [connection, 0, 0, 0];
            }
            if mode.copy {
                let to = place..place + data.len();
                copied[to.clone()].copy_from_slice(data);
                place = to.end;
                data = &copied[to];
            }
            bytes += wide(data.len());
            wrong += u64::from(!pattern.matches(connection, offset, data));
        }
        if wanted || bytes - answered >= ANSWER_EVERY {
            answered = bytes;
            let answer = [current, bytes, wrong, nanos(system::processor_time())];
            let answer = answer.map(u64::to_be_bytes).concat();
            socket.0.send_to(&answer, client)?;
        }
    }
}

fn parse(mode: BareUdp, datagram: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (head, data) = datagram.split_at_checked(HEADER)?;
    let (connection, rest) = head.split_first_chunk()?;
    let (offset, crc) = rest.split_first_chunk()?;
    let crc = u32::from_be_bytes(crc.try_into().ok()?);
    if mode.crc && crc != checksum(&head[..CRC_AT], data) {
        return None;
    }
    let [connection, offset] = [connection, offset].map(|bytes| u64::from_be_bytes(*bytes));
    Some((connection, offset, data))
}

/// What the server answered last.
#[derive(Clone, Copy, Default)]
struct Answer {
    bytes: u64,
    wrong: u64,
    processor: Duration,
}

struct Client {
    mode: BareUdp,
    socket: Socket,
    connection: u64,
    pattern: Pattern,
    /// Space of the headers, or of whole datagrams.
    space: Vec<u8>,
    heard: Option<Answer>,
    /// Bytes that were given up.
    lost: u64,
}

/// Sends for a time.
fn send_bulk(mode: BareUdp, socket: Socket, time: Duration) -> io::Result<Figures> {
    let mut client = Client {
        mode,
        socket,
        connection: u64::from(std::process::id()),
        pattern: Pattern::new(),
        space: Vec::new(),
        heard: None,
        lost: 0,
    };
    let (begin, processor) = (now(), system::processor_time());
    let mut first = None;
    let mut offset = 0;
    let mut goes_on = true;
    while goes_on {
        goes_on = begin.elapsed() < time;
        // The first answer tells where the server's processor time began, the last ends it.
        offset = client.send(offset, offset == 0 || !goes_on)?;
        client.hear(offset, WINDOW)?;
        first = first.or(client.heard.map(|answer| answer.processor));
    }
    client.hear(offset, 0)?;
    let elapsed = begin.elapsed();
    let last = client.heard.unwrap_or_default();
    if last.wrong > 0 {
        return Err(wrong("a datagram arrived changed"));
    }
    if offset.saturating_sub(last.bytes) > offset / LOST {
        return Err(wrong("too many datagrams were lost"));
    }
    let theirs = last.processor.saturating_sub(first.unwrap_or_default());
    let processor = system::processor_time() - processor + theirs;
    Ok(bulk::rates(last.bytes, elapsed, processor))
}

impl Client {
    /// Sends one batch from `offset` on; where the next begins.
    fn send(&mut self, offset: u64, answer_now: bool) -> io::Result<u64> {
        self.space.clear();
        let flag = if answer_now { ANSWER_NOW } else { 0 };
        let mut end = offset;
        for _ in 0..BATCH {
            let data = self.pattern.slice(self.connection, end, DATA);
            let mut head = [0; HEADER];
            head[..8].copy_from_slice(&(self.connection | flag).to_be_bytes());
            head[8..CRC_AT].copy_from_slice(&end.to_be_bytes());
            if self.mode.crc {
                let crc = checksum(&head[..CRC_AT], data);
                head[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
            }
            self.space.extend(head);
            if self.mode.copy {
                self.space.extend(data);
            }
            end += wide(DATA);
        }
        if self.mode.copy {
            self.socket.send(&[IoSlice::new(&self.space)])?;
        } else {
            let mut slices = [IoSlice::new(&[]); 2 * BATCH];
            let mut from = offset;
            for (pair, head) in slices.chunks_mut(2).zip(self.space.chunks(HEADER)) {
                pair[0] = IoSlice::new(head);
                pair[1] = IoSlice::new(self.pattern.slice(self.connection, from, DATA));
                from += wide(DATA);
            }
            self.socket.send(&slices)?;
        }
        Ok(end)
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
fn serve_ping_pong(socket: &Socket) -> io::Result<()> {
    let mut buffer = vec![0; RECEIVE];
    loop {
        match socket.0.recv_from(&mut buffer) {
            Ok((length, client)) => drop(socket.0.send_to(&buffer[..length], client)?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// As the ping-pong of streams; a datagram that is lost ends it with an error.
fn play(socket: &Socket, time: Duration) -> io::Result<Figures> {
    let pattern = Pattern::new();
    let mut answer = [0; ping_pong::MESSAGE];
    let mut game = ping_pong::Game::new(time);
    for number in 0.. {
        if !game.goes_on() {
            break;
        }
        let message = pattern.slice(number, 0, ping_pong::MESSAGE);
        let begin = now();
        socket.0.send(message)?;
        let length = loop {
            match socket.0.recv(&mut answer) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && begin.elapsed() < PATIENCE => {}
                outcome => break outcome?,
            }
        };
        game.count(begin);
        if answer[..length] != *message {
            return Err(wrong("something else came back"));
        }
    }
    Ok(game.end())
}
