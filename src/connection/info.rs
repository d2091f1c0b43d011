//! Numbers for people, like `TCP_INFO`.

use std::fmt;
use std::time::Duration;

use crate::recovery::EcnState;

/// The RFC 9293 s3.3.2 state that a connection's two halves amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TcpState {
    /// SYNs are sent, nothing was heard.
    SynSent,
    /// The handshake's last packet is under way.
    SynReceived,
    /// Both directions are open.
    Established,
    /// This side has finished; its FIN is not acknowledged.
    FinWait1,
    /// This side has finished, and the peer knows.
    FinWait2,
    /// The peer has finished, this side has not.
    CloseWait,
    /// Both have finished, this side first; its FIN is not acknowledged.
    Closing,
    /// Both have finished, the peer first; this side's FIN is not acknowledged.
    LastAck,
    /// Both have finished, this side first.
    TimeWait,
    /// Over.
    Closed,
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TcpState {
    /// The name in RFC 9293.
    pub(super) fn name(self) -> &'static str {
        match self {
            TcpState::SynSent => "SYN-SENT",
            TcpState::SynReceived => "SYN-RECEIVED",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait1 => "FIN-WAIT-1",
            TcpState::FinWait2 => "FIN-WAIT-2",
            TcpState::CloseWait => "CLOSE-WAIT",
            TcpState::Closing => "CLOSING",
            TcpState::LastAck => "LAST-ACK",
            TcpState::TimeWait => "TIME-WAIT",
            TcpState::Closed => "CLOSED",
        }
    }
}

/// A snapshot of one connection. Bytes are stream bytes unless a field says otherwise.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The state, in the words of RFC 9293.
    pub state: TcpState,
    /// Smoothed round trip, once measured (RFC 6298).
    pub srtt: Option<Duration>,
    /// Smallest round trip seen.
    pub min_rtt: Option<Duration>,
    /// Latest round trip measured.
    pub latest_rtt: Option<Duration>,
    /// Mean deviation of the round trip.
    pub rttvar: Duration,
    /// Congestion window, bytes of datagrams.
    pub cwnd: u64,
    /// Slow-start threshold, bytes of datagrams; `u64::MAX` before the first loss.
    pub ssthresh: u64,
    /// Bytes of datagrams in flight.
    pub bytes_in_flight: u64,
    /// Pacing rate, bytes a second; 0 when nothing is paced.
    pub pacing_rate: u64,
    /// The congestion control: "NewReno", "CUBIC", "BBR", or "custom".
    pub congestion: &'static str,
    /// What it is about at present: "slow start", ...; empty if it does not say.
    pub congestion_state: &'static str,
    /// How fast the path delivered, bytes of datagrams a second, when last the network or the peer's
    /// window, and not the application, set the pace: measured over a round trip, from packets that all left
    /// while more was waiting. `None` before; a connection that only ever sends a little never knows.
    pub delivery_rate: Option<u64>,
    /// Time since the connection opened, until all that it had to send was acknowledged, the FIN included. The
    /// four that follow are parts of it; in the rest it was sending, or waited for the socket.
    pub time_sending: Duration,
    /// Of that, time in which the application had given it nothing more to send.
    pub limited_by_application: Duration,
    /// Time in which data waited because the peer's window had no room for it.
    pub limited_by_window: Duration,
    /// Time in which data waited because the congestion window was full.
    pub limited_by_cwnd: Duration,
    /// Time in which data waited for the moment that the pacer had set.
    pub limited_by_pacing: Duration,
    /// The largest datagram in use, bytes.
    pub path_mtu: u16,
    /// How often datagrams of a size that had been in use were proven not to pass any more (RFC 8899 s4.3).
    pub black_holes: u64,
    /// Bytes taken by `write`.
    pub bytes_written: u64,
    /// Bytes sent at least once.
    pub bytes_sent: u64,
    /// Bytes acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes sent again.
    pub bytes_retransmitted: u64,
    /// Bytes received in order.
    pub bytes_received: u64,
    /// Bytes received that wait for `read`.
    pub bytes_unread: u64,
    /// Numbered packets sent.
    pub packets_sent: u64,
    /// Numbered packets received for the first time.
    pub packets_received: u64,
    /// Packets acknowledged.
    pub packets_acked: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost that turned out to have arrived.
    pub packets_spurious: u64,
    /// Whether packets are marked ECT(0), and what is known of the path in that respect (RFC 9000 s13.4).
    pub ecn: EcnState,
    /// Packets that the peer received with a congestion mark (CE).
    pub packets_marked: u64,
    /// Packets that are neither acknowledged nor declared lost.
    pub packets_in_flight: u64,
    /// Bytes of the datagrams of packets declared lost.
    pub bytes_lost: u64,
    /// Bytes of those that turned out to have arrived.
    pub bytes_spurious: u64,
    /// Packets sent that carried repeated data.
    pub packets_retransmitted: u64,
    /// Packets received more than once.
    pub packets_duplicate: u64,
    /// Packets received that broke a rule and were dropped.
    pub packets_rejected: u64,
    /// Unreliable datagrams sent.
    pub datagrams_sent: u64,
    /// Of those, declared lost.
    pub datagrams_lost: u64,
    /// Datagrams that were taken but dropped before they left: too many waited, or the path had become too narrow.
    pub datagrams_unsent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Of those, dropped because too many waited to be taken.
    pub datagrams_unread: u64,
    /// Probe timeouts in a row, now.
    pub pto_count: u32,
    /// In-order bytes that the peer's application has not read, as the peer last said.
    pub unread_at_peer: u32,
    /// Bytes that the peer allows beyond what it has acknowledged.
    pub window: u64,
    /// Time since anything valid came from the peer.
    pub since_heard: Duration,
    /// Age of the oldest packet in flight.
    pub oldest_unacked: Option<Duration>,
    /// The peer's incarnation, if it said one: another number means that it was restarted.
    pub peer_incarnation: Option<u64>,
    /// The code of the RST that ended the connection, sent or received.
    pub reset_code: Option<u16>,
    /// Datagrams that the kernel dropped because the receive buffer of this connection's socket was full.
    pub socket_drops: u64,
}

/// The counters that a connection keeps itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub bytes_retransmitted: u64,
    pub packets_retransmitted: u64,
    pub packets_duplicate: u64,
    pub packets_rejected: u64,
}
