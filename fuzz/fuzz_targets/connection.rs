//! One connection, anything from its peer, its application and its clock: it never panics, its memory is bounded,
//! what it sends is well-formed, and it comes to rest.

#![no_main]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aqueduct::config::{Config, Keepalive};
use aqueduct::connection::{ActiveOpen, Connection, IcmpError, Linger, PassiveOpen};
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::limits::{CHUNK_BYTES, DATAGRAM_BYTES_QUEUED_MAX};
use aqueduct::time::Time;
use aqueduct::wire::{
    self, AckFields, Batch, ConnectionId, Flags, Kind, Meta, Offset, Opening, Options,
    PacketBuilder, PacketNumber, TruncatedNumber, Window, integrity,
};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const LOCAL_FIRST: u64 = 1_000;
const PEER_FIRST: u64 = 2_000;
/// Outputs after one input that no connection needs.
const ROUNDS_MAX: usize = 10_000;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    active: bool,
    window: u16,
    send_buffer: u16,
    user_timeout: Option<u8>,
    keepalive: bool,
    nodelay: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Packet(Packet, Vec<Mutation>),
    Raw(Vec<u8>),
    Advance(u32),
    Fire,
    Write(u16),
    Read(u16),
    Peek(u16),
    ShutdownWrite,
    ShutdownRead,
    Close,
    Linger(u16),
    Abort(u16),
    Icmp(Option<i16>),
    Fail,
    TakeError,
    UserTimeout(Option<u8>),
    SendDatagram(u16),
    RecvDatagram,
}

#[derive(Arbitrary, Debug)]
struct Packet {
    kind: u8,
    number: i16,
    from: u8,
    fin: bool,
    imm: bool,
    offset: u32,
    len: u16,
    aux: u16,
    ack: Option<Ack>,
    cookie: bool,
}

#[derive(Arbitrary, Debug)]
struct Ack {
    ranges: Vec<(u8, u8)>,
    largest: u16,
    offset: u32,
    window: u32,
    unread: u16,
    delay: u16,
}

/// A byte that is changed before the checksum is put right again.
#[derive(Arbitrary, Debug)]
struct Mutation {
    at: u16,
    xor: u8,
}

struct Driver {
    now: Time,
    connection: Connection,
    batch: Batch,
    memory_max: usize,
}

fuzz_target!(|input: Input| {
    let mut driver = Driver::new(&input);
    driver.drain();
    for op in &input.ops {
        driver.apply(op);
        driver.drain();
        assert!(driver.connection.memory() <= driver.memory_max, "memory beyond the buffers");
    }
    // Left alone it comes to rest: nothing more to wait for, or its timers far apart.
    for _ in 0..200 {
        driver.apply(&Op::Fire);
        driver.drain();
    }
});

impl Driver {
    fn new(input: &Input) -> Self {
        let keepalive = Keepalive {
            idle: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            count: 3,
        };
        let window = u32::from(input.window).max(4_096);
        let buffer = usize::from(input.send_buffer).max(4_096);
        let config = Config::default()
            .with_receive_window(window)
            .with_send_buffer(buffer)
            .with_nodelay(input.nodelay)
            .with_user_timeout(input.user_timeout.map(|secs| seconds(secs)))
            .with_keepalive(input.keepalive.then_some(keepalive));
        let now = Time::from_millis(1_000);
        let config = Arc::new(config);
        let connection = if input.active {
            Connection::connect(now, active_open(), config, input.seed)
        } else {
            Connection::accept(now, passive_open(window), config, input.seed)
        };
        let window = usize::try_from(window).expect("fits");
        // A ring and its growth on the sending side; whole chunks on the receiving side.
        let memory_max = 4 * buffer.next_power_of_two()
            + 2 * window
            + 4 * CHUNK_BYTES
            + 2 * DATAGRAM_BYTES_QUEUED_MAX;
        Driver { now, connection, batch: Batch::new(), memory_max }
    }

    fn apply(&mut self, op: &Op) {
        let (now, connection) = (self.now, &mut self.connection);
        match op {
            Op::Packet(packet, mutations) => {
                let mut bytes = packet.build(self.connection.local_cid());
                for Mutation { at, xor } in mutations {
                    let at = usize::from(*at) % bytes.len();
                    bytes[at] ^= xor;
                }
                if !mutations.is_empty() {
                    let sum = integrity::checksum(&bytes);
                    bytes[4..8].copy_from_slice(&sum.to_be_bytes());
                }
                self.receive(packet.from, &bytes);
            }
            Op::Raw(bytes) => self.receive(0, bytes),
            Op::Advance(micros) => self.now += Duration::from_micros(u64::from(*micros)),
            Op::Fire => self.fire(),
            Op::Write(len) => drop(connection.write(&vec![7; usize::from(*len)])),
            Op::Read(len) => drop(connection.read(&mut vec![0; usize::from(*len)])),
            Op::Peek(len) => drop(connection.peek(&mut vec![0; usize::from(*len)])),
            Op::SendDatagram(len) => drop(connection.send_datagram(&vec![7; usize::from(*len)])),
            Op::RecvDatagram => drop(connection.recv_datagram()),
            Op::ShutdownWrite => connection.shutdown_write(),
            Op::ShutdownRead => connection.shutdown_read(),
            Op::Close => connection.release(now, Linger::Background),
            Op::Linger(millis) => {
                let time = Duration::from_millis(u64::from(*millis));
                connection.release(now, Linger::For(time));
            }
            Op::Abort(code) => connection.abort(ResetCode::from_application(*code)),
            Op::Icmp(number) => {
                let quoted = number.map(|number| TruncatedNumber::new(low(LOCAL_FIRST, number)));
                connection.handle_icmp(now, IcmpError::PortUnreachable, quoted);
            }
            Op::Fail => connection.fail(CloseReason::LoopEnded),
            Op::TakeError => drop(connection.take_error()),
            Op::UserTimeout(secs) => {
                connection.set_user_timeout(now, secs.map(|secs| seconds(secs)));
            }
        }
    }

    fn receive(&mut self, from: u8, bytes: &[u8]) {
        if let Ok(packet) = wire::decode(bytes) {
            let meta = Meta { from: address(from), to_ip: None, ecn: None };
            self.connection.handle_packet(self.now, &meta, &packet, bytes.len());
        }
    }

    fn fire(&mut self) {
        if let Some(deadline) = self.connection.poll_timeout() {
            self.now = self.now.max(deadline.at);
            self.connection.handle_timeout(self.now);
        }
    }

    /// The drain rule; every datagram must be a packet.
    fn drain(&mut self) {
        for round in 0.. {
            assert!(round < ROUNDS_MAX, "output without end");
            self.batch.clear();
            let transmit = self.connection.poll_transmit(self.now, &mut self.batch);
            assert_eq!(transmit.is_some(), !self.batch.is_empty());
            for datagram in self.batch.datagrams() {
                assert!(integrity::is_intact(datagram), "a wrong checksum");
                wire::decode(datagram).expect("what is sent can be decoded");
            }
            if transmit.is_none() && self.connection.poll_event().is_none() {
                break;
            }
        }
        let _ = self.connection.info(self.now);
    }
}

impl Packet {
    fn build(&self, dcid: ConnectionId) -> Vec<u8> {
        const KINDS: [Kind; 10] = [
            Kind::Data,
            Kind::Data,
            Kind::Ack,
            Kind::Probe,
            Kind::Path,
            Kind::Rst,
            Kind::Unknown,
            Kind::SynAck,
            Kind::Syn,
            Kind::Dgram,
        ];
        let kind = KINDS[usize::from(self.kind) % KINDS.len()];
        let mut bytes = vec![0; 70_000];
        let dcid = (kind != Kind::Syn).then_some(dcid);
        let number = TruncatedNumber::new(low(PEER_FIRST, self.number));
        let mut packet = PacketBuilder::new(&mut bytes, kind, dcid, number);
        let is_data = kind == Kind::Data;
        packet.flags(Flags { fin: self.fin && is_data, imm: self.imm, ..Flags::default() });
        match kind {
            Kind::Syn | Kind::SynAck => packet.opening(&opening(self)),
            _ => {
                packet.aux(if kind == Kind::Probe || kind == Kind::Path { self.aux % 2 } else { self.aux });
                packet.offset(u64::from(self.offset));
            }
        }
        let numbered = matches!(kind, Kind::Data | Kind::Dgram | Kind::Probe | Kind::Path);
        match &self.ack {
            Some(ack) if numbered || kind == Kind::Ack => ack.write(&mut packet),
            None if kind == Kind::Ack => Ack::nothing().write(&mut packet),
            _ => {}
        }
        if self.cookie && (numbered || kind == Kind::SynAck) {
            packet.options(&Options { cookie: Some(&[9; 16]), ..Options::default() });
        }
        if is_data || kind == Kind::Dgram {
            packet.payload(&vec![self.offset.to_le_bytes()[0]; usize::from(self.len).min(60_000)]);
        }
        let len = packet.finish();
        bytes.truncate(len);
        bytes
    }
}

impl Ack {
    fn nothing() -> Self {
        Ack { ranges: Vec::new(), largest: 0, offset: 0, window: 65_536, unread: 0, delay: 0 }
    }

    fn write(&self, packet: &mut PacketBuilder<'_>) {
        let fields = AckFields {
            delay: Duration::from_micros(8 * u64::from(self.delay)),
            dropped: false,
            ack_offset: Offset::new(u64::from(self.offset)),
            window: Window::new(self.window),
            unread: u32::from(self.unread).min(self.offset),
            ecn: None,
        };
        let mut high = LOCAL_FIRST - 1 + u64::from(self.largest % 512);
        let mut ranges = Vec::new();
        for (len, gap) in self.ranges.iter().chain(&[(0, 0)]).take(40) {
            let start = high.saturating_sub(u64::from(*len)).max(1);
            ranges.push(PacketNumber::new(start)..=PacketNumber::new(high));
            let Some(next) = start.checked_sub(u64::from(*gap) + 2).filter(|next| *next > 0) else {
                break;
            };
            high = next;
        }
        packet.ack(&fields, ranges.into_iter(), 0);
    }
}

fn opening(packet: &Packet) -> Opening {
    Opening {
        cid: ConnectionId::new(u64::from(packet.offset) + 1).expect("not 0"),
        max_datagram: packet.len,
        window: Window::new(u32::from(packet.aux)),
        // The clock of the first SYN, which left at one second.
        clock: 1_000_000,
        service: 0,
    }
}

fn active_open() -> ActiveOpen {
    ActiveOpen {
        remote: address(0),
        local_cid: ConnectionId::new(1).expect("not 0"),
        local_first: PacketNumber::new(LOCAL_FIRST),
        service: 0,
        incarnation: 3,
        cached_rtt: None,
    }
}

fn passive_open(window: u32) -> PassiveOpen {
    PassiveOpen {
        remote: address(0),
        local_ip: None,
        local_cid: ConnectionId::new(1).expect("not 0"),
        peer_cid: ConnectionId::new(2).expect("not 0"),
        local_first: PacketNumber::new(LOCAL_FIRST),
        peer_first: PacketNumber::new(PEER_FIRST),
        window: Window::new(20_000),
        promised_window: Window::new(window),
        max_datagram: 1_472,
        rtt: Some(Duration::from_millis(10)),
        max_ack_delay: None,
        idle_timeout: None,
        dgram_max: Some(1_100),
        features: None,
        incarnation: None,
    }
}

fn address(from: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + from / 64], 4_000 + u16::from(from % 64)))
}

fn seconds(secs: u8) -> Duration {
    Duration::from_secs(1 + u64::from(secs))
}

fn low(first: u64, delta: i16) -> u32 {
    let number = first.saturating_add_signed(i64::from(delta) / 16);
    u32::try_from(number).expect("small")
}
