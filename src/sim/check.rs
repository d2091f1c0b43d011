//! What must hold after every event, seen from outside: from the packets, and from what a connection says of itself.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::connection::{Connection, Info, TcpState};
use crate::limits::{DATAGRAM_BYTES_QUEUED_MAX, DATAGRAM_MIN};
use crate::time::Time;
use crate::wire::{
    self, AckBlock, Body, ConnectionId, Packet, PacketNumber, ProbeKind, TruncatedNumber,
};

use super::ledger::Ledger;

/// Wakes without progress of time after which a connection is said to spin.
const SPINS_MAX: u32 = 1_000;
/// What a connection may hold beside its two buffers: unfinished chunks, sets of ranges, what it keeps to reuse.
const SPARE_BYTES: usize = (128 << 10) + 2 * DATAGRAM_BYTES_QUEUED_MAX;
/// The handshake's clock counts whole microseconds.
const CLOCK_UNIT: Duration = Duration::from_micros(1);
/// No datagram holds more bytes.
const DATAGRAM_LIMIT: u64 = 65_507;
/// How much more than it received a connection may send to an address that has proved nothing.
const UNPROVEN_FACTOR: u64 = 3;

/// What the simulator saw one connection send and receive.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// The last packet number sent; every further one must be higher.
    last_number: Option<PacketNumber>,
    /// The highest offset that the peer has allowed.
    credit: u64,
    /// The right edge, and the acknowledged offset, that this side said last.
    promised: u64,
    acknowledged: u64,
    state: Option<TcpState>,
    addresses: Vec<Address>,
    spinning: (Time, u32),
    cwnd: u64,
    in_flight: u64,
    packets_sent: u64,
    /// Datagrams with a number of their own, as the network saw them.
    numbered: u64,
    /// Bytes of memory that both buffers may hold (I8).
    memory_max: usize,
    /// The largest datagram that is no probe (I17).
    path_mtu: usize,
}

/// What went to and came from one address.
#[derive(Debug)]
struct Address {
    at: SocketAddr,
    received: u64,
    sent: u64,
    is_proven: bool,
}

impl Tap {
    /// The tap of a connection whose peer's first address needs no proof.
    pub(super) fn new(peer: SocketAddr, config: &Config) -> Self {
        let first = Address {
            at: peer,
            received: 0,
            sent: 0,
            is_proven: true,
        };
        let window = usize::try_from(config.receive_window_max()).unwrap_or(usize::MAX);
        // A vector doubles as it grows; what arrives lies in whole chunks.
        let memory_max = (2 * config.send_buffer_max()).saturating_add(window) + SPARE_BYTES;
        Tap {
            addresses: vec![first],
            memory_max,
            ..Tap::default()
        }
    }

    fn address(&mut self, at: SocketAddr) -> &mut Address {
        let known = self.addresses.iter().position(|address| address.at == at);
        let index = known.unwrap_or_else(|| {
            self.addresses.push(Address {
                at,
                received: 0,
                sent: 0,
                is_proven: false,
            });
            self.addresses.len() - 1
        });
        &mut self.addresses[index]
    }

    /// The connection is given a packet.
    pub(super) fn on_received(&mut self, from: SocketAddr, packet: &Packet<'_>, len: usize) {
        let address = self.address(from);
        address.received += u64::try_from(len).expect("a length");
        if let Body::Path(wire::PathMessage::Response(_)) = packet.body {
            address.is_proven = true;
        }
        if let Body::Syn(opening) | Body::SynAck(opening) = &packet.body {
            self.credit = self.credit.max(u64::from(opening.window.get()));
        }
        if let Some(ack) = &packet.ack {
            let edge = ack
                .fields
                .ack_offset
                .plus(u64::from(ack.fields.window.get()));
            self.credit = self.credit.max(edge.get());
        }
    }

    /// A transmit begins: remember what the congestion controller allows.
    pub(super) fn before_sending(&mut self, now: Time, connection: &Connection) {
        let info = connection.info(now);
        self.cwnd = connection.flight_limit();
        self.in_flight = info.bytes_in_flight;
        self.packets_sent = info.packets_sent;
        self.path_mtu = usize::from(info.path_mtu);
    }

    /// A transmit is done: I6, in flight within the window, two probes aside.
    pub(super) fn after_sending(&self, now: Time, connection: &Connection) -> Result<(), String> {
        let info = connection.info(now);
        let grown = info.bytes_in_flight.saturating_sub(self.in_flight);
        let over = info.bytes_in_flight.saturating_sub(self.cwnd);
        if grown == 0 || over == 0 {
            return Ok(());
        }
        let probes = info.packets_sent - self.packets_sent;
        if grown.min(over) <= 2 * u64::from(info.path_mtu).max(1_500) || probes <= 2 {
            return Ok(());
        }
        Err(format!(
            "I6: {} bytes in flight, window {}",
            info.bytes_in_flight, self.cwnd
        ))
    }

    /// The connection sent a datagram: I5, I7, I12, I17, and acknowledgements that only grow.
    pub(super) fn on_sent(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        flow: usize,
        peer: Option<ConnectionId>,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let packet = wire::decode(bytes).map_err(|error| format!("I18: sent garbage: {error}"))?;
        if !wire::integrity::is_intact(bytes) {
            return Err("I18: sent a wrong checksum".to_owned());
        }
        self.check_address(to, bytes.len())?;
        let is_mtu_probe = matches!(packet.body, Body::Probe(ProbeKind::Mtu));
        if bytes.len() > self.path_mtu.max(DATAGRAM_MIN) && !is_mtu_probe {
            return Err(format!(
                "I17: {} bytes on a path of {}",
                bytes.len(),
                self.path_mtu
            ));
        }
        if is_numbered(&packet) {
            self.check_number(packet.pn)?;
            ledger.flow_mut(flow).largest_sent = self.last_number.map(PacketNumber::get);
        }
        if let Body::Data(data) = &packet.body {
            let end = data.offset.plus_len(data.payload.len()).get();
            if end > self.credit && !data.payload.is_empty() {
                return Err(format!("I5: sent up to {end}, allowed {}", self.credit));
            }
            if end > ledger.flow(flow).written {
                return Err(format!(
                    "sent up to {end}, written {}",
                    ledger.flow(flow).written
                ));
            }
        }
        match &packet.ack {
            Some(ack) => self.check_ack(ack, peer, ledger),
            None => Ok(()),
        }
    }

    fn check_address(&mut self, to: SocketAddr, len: usize) -> Result<(), String> {
        let address = self.address(to);
        address.sent += u64::try_from(len).expect("a length");
        if !address.is_proven && address.sent > UNPROVEN_FACTOR * address.received {
            let Address {
                at, received, sent, ..
            } = address;
            return Err(format!("I7: {sent} bytes to {at}, which sent {received}"));
        }
        Ok(())
    }

    fn check_number(&mut self, number: TruncatedNumber) -> Result<(), String> {
        let number = match self.last_number {
            None => PacketNumber::new(u64::from(number.get())),
            Some(last) => {
                let number = number.expand(last.next());
                if number <= last {
                    return Err(format!("I12: number {number:?} after {last:?}"));
                }
                number
            }
        };
        self.last_number = Some(number);
        self.numbered += 1;
        Ok(())
    }

    fn check_ack(
        &mut self,
        ack: &AckBlock<'_>,
        peer: Option<ConnectionId>,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let acknowledged = ack.fields.ack_offset.get();
        let promised = acknowledged + u64::from(ack.fields.window.get());
        if acknowledged < self.acknowledged || promised + 1 < self.promised {
            let before = (self.acknowledged, self.promised);
            return Err(format!("I2: ({acknowledged}, {promised}) after {before:?}"));
        }
        (self.acknowledged, self.promised) = (acknowledged, promised);
        let Some(flow) = peer.and_then(|peer| ledger.find(peer)) else {
            return Ok(());
        };
        let flow = ledger.flow(flow);
        if acknowledged > flow.written + u64::from(flow.is_finished) {
            return Err(format!(
                "I4: acknowledged {acknowledged} of {} written",
                flow.written
            ));
        }
        let readable = acknowledged.saturating_sub(u64::from(ack.fields.unread));
        if !flow.is_cut && readable > flow.written + 1 {
            return Err(format!(
                "I4: says that {readable} of {} were read",
                flow.written
            ));
        }
        Ok(())
    }

    /// A timer of the connection fired: I9, no loop at one instant.
    pub(super) fn on_timer(&mut self, now: Time) -> Result<(), String> {
        let (since, count) = self.spinning;
        self.spinning = if since == now {
            (now, count + 1)
        } else {
            (now, 1)
        };
        if self.spinning.1 > SPINS_MAX {
            return Err(format!("I9: more than {SPINS_MAX} timeouts at {now:?}"));
        }
        Ok(())
    }

    /// Everything is drained: I8, I9, I10, I19, I20.
    pub(super) fn on_drained(
        &mut self,
        now: Time,
        connection: &Connection,
        rtt_min: Duration,
    ) -> Result<(), String> {
        let info = connection.info(now);
        if let Some(before) = self.state {
            if !may_become(before, info.state) {
                return Err(format!("I10: {before:?} became {:?}", info.state));
            }
        }
        self.state = Some(info.state);
        if let Some(rtt) = info.min_rtt.filter(|rtt| *rtt + CLOCK_UNIT < rtt_min) {
            return Err(format!(
                "I20: a round trip of {rtt:?} on a path of {rtt_min:?}"
            ));
        }
        if connection.memory() > self.memory_max {
            return Err(format!(
                "I8: {} bytes held, bound {}",
                connection.memory(),
                self.memory_max
            ));
        }
        if connection.state() == TcpState::Closed || connection.is_failed() {
            return Ok(());
        }
        let awaits = info.bytes_in_flight > 0
            || info.state == TcpState::SynSent
            || (connection.is_open() && !connection.is_all_acked());
        if awaits && connection.poll_timeout().is_none() {
            return Err(format!("I9: waits without a deadline: {info:?}"));
        }
        if connection.is_open() && info.cwnd < 1_200 {
            return Err(format!("I19: congestion window {}", info.cwnd));
        }
        Ok(())
    }

    /// I14: every packet that was sent is acknowledged, lost, or in flight, and only those in flight have an age.
    /// This is for connections that are not over: the end forgets what is in flight.
    pub(super) fn check_packets(&self, info: &Info) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("I14: {what}: {} seen, {info:?}", self.numbered));
        if info.packets_sent != self.numbered {
            return wrong("other packets were sent than are counted");
        }
        let in_flight = info.packets_in_flight;
        if info.packets_sent != info.packets_acked + info.packets_lost + in_flight {
            return wrong("packets came to an end that were not sent, or never came to one");
        }
        let limits = info.limited_by_application + info.limited_by_window;
        if info.time_sending < limits + info.limited_by_cwnd + info.limited_by_pacing {
            return wrong("a time was counted twice");
        }
        if (in_flight > 0) != info.oldest_unacked.is_some() {
            return wrong("packets in flight without an age, or none with one");
        }
        if info.bytes_in_flight > in_flight * DATAGRAM_LIMIT {
            return wrong("more bytes in flight than the packets hold");
        }
        if info.packets_spurious > info.packets_lost {
            return wrong("more packets lost by mistake than lost");
        }
        Ok(())
    }
}

/// Whether packets of this kind consume a packet number.
fn is_numbered(packet: &Packet<'_>) -> bool {
    matches!(
        packet.body,
        Body::Data(_) | Body::Dgram { .. } | Body::Probe(_) | Body::Path(_)
    )
}

/// Whether RFC 9293 figure 5 leads from one state to the other, in one step or several; RST leads to CLOSED.
fn may_become(from: TcpState, to: TcpState) -> bool {
    use TcpState::*;
    if from == to || to == Closed {
        return true;
    }
    match from {
        SynSent => true,
        SynReceived => to != SynSent,
        Established => !matches!(to, SynSent | SynReceived),
        FinWait1 => matches!(to, FinWait2 | Closing | TimeWait),
        FinWait2 | Closing => to == TimeWait,
        CloseWait => to == LastAck,
        LastAck | TimeWait | Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_lead_where_figure_5_says() {
        use TcpState::*;
        assert!(may_become(Established, TimeWait), "several steps at once");
        assert!(!may_become(FinWait2, Closing) && !may_become(CloseWait, FinWait1));
        assert!(!may_become(TimeWait, Established) && !may_become(Closed, SynSent));
    }

    #[test]
    fn a_loop_of_timeouts_at_one_instant_is_seen() {
        let mut tap = Tap::new(SocketAddr::from(([10, 0, 0, 1], 1)), &Config::default());
        for _ in 0..SPINS_MAX {
            assert!(tap.on_timer(Time::from_nanos(7)).is_ok());
        }
        assert!(tap.on_timer(Time::from_nanos(7)).is_err());
        assert!(tap.on_timer(Time::from_nanos(8)).is_ok());
    }

    #[test]
    fn more_than_three_times_what_came_from_an_unproven_address_is_seen() {
        let proven = SocketAddr::from(([10, 0, 0, 1], 1));
        let other = SocketAddr::from(([10, 0, 0, 2], 1));
        let mut tap = Tap::new(proven, &Config::default());
        assert!(tap.check_address(proven, 10_000).is_ok());
        tap.address(other).received = 100;
        assert!(tap.check_address(other, 300).is_ok());
        assert!(tap.check_address(other, 1).is_err());
    }
}
