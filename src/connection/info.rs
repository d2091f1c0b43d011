//! Numbers for people, like `TCP_INFO`.

use std::time::Duration;

/// The RFC 9293 state that a connection's two halves amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum TcpState {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// A snapshot of one connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The state, in the words of RFC 9293.
    pub state: TcpState,
    /// Smoothed round trip, once measured.
    pub srtt: Option<Duration>,
    /// Smallest round trip seen.
    pub min_rtt: Option<Duration>,
    /// Mean deviation of the round trip.
    pub rttvar: Duration,
    /// Congestion window, bytes.
    pub cwnd: u64,
    /// Slow-start threshold, bytes.
    pub ssthresh: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// Pacing rate, bytes a second.
    pub pacing_rate: u64,
    /// The largest datagram in use, bytes.
    pub path_mtu: u16,
    /// Stream bytes taken by `write`.
    pub bytes_written: u64,
    /// Stream bytes acknowledged by the peer.
    pub bytes_acked: u64,
    /// Stream bytes sent again.
    pub bytes_retransmitted: u64,
    /// Stream bytes received in order.
    pub bytes_received: u64,
    /// Numbered packets sent.
    pub packets_sent: u64,
    /// Datagrams received and taken.
    pub packets_received: u64,
    /// Packets acknowledged.
    pub packets_acked: u64,
    /// Packets declared lost.
    pub packets_lost: u64,
    /// Packets declared lost that had arrived.
    pub packets_spurious: u64,
    /// Packets that carried repeated data.
    pub packets_retransmitted: u64,
    /// Duplicate packets received.
    pub packets_duplicate: u64,
    /// In-order bytes that the peer's application has not read.
    pub unread_at_peer: u32,
    /// Time since anything valid came from the peer.
    pub since_heard: Duration,
    /// Age of the oldest unacknowledged packet.
    pub oldest_unacked: Option<Duration>,
    /// The peer's incarnation, if it said one.
    pub peer_incarnation: Option<u64>,
    /// The code of the RST that ended the connection, sent or received.
    pub reset_code: Option<u16>,
    /// Datagrams that the kernel dropped because this socket's receive buffer was full (the whole socket).
    pub socket_drops: u64,
}
