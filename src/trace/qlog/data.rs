//! The `data` of events, and the header: structures that serialise to qlog's field names.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use super::Millis;
use crate::error::CloseReason;
use crate::time::Timer;
use crate::trace::{self, About, LossTrigger, Stage};
use crate::wire::PacketNumber;

/// Bits in a byte: qlog counts rates in bits.
const BITS: u64 = 8;

/// The first record of the sequence (main schema, `QlogFileSeq`).
#[derive(Serialize)]
pub(super) struct Header {
    qlog_version: &'static str,
    qlog_format: &'static str,
    title: &'static str,
    trace: Trace,
}

#[derive(Serialize)]
struct Trace {
    title: String,
    vantage_point: VantagePoint,
    common_fields: CommonFields,
}

#[derive(Serialize)]
struct VantagePoint {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct CommonFields {
    /// The same in the traces of both ends (main schema, "group_id"; QUIC's name for it is ODCID).
    #[serde(rename = "ODCID")]
    id: String,
    protocol_type: [&'static str; 1],
    reference_time: Millis,
    time_format: &'static str,
}

impl Header {
    pub(super) fn new(about: &About) -> Self {
        let id = format!("{:016x}", about.id.get());
        Header {
            qlog_version: "0.3",
            qlog_format: "JSON-SEQ",
            title: concat!("aqueduct ", env!("CARGO_PKG_VERSION")),
            trace: Trace {
                title: format!("{} to {}", about.local, about.remote),
                vantage_point: VantagePoint {
                    name: concat!("aqueduct ", env!("CARGO_PKG_VERSION")),
                    kind: about.role.name(),
                },
                common_fields: CommonFields {
                    id,
                    protocol_type: ["AQUEDUCT"],
                    reference_time: Millis::of(about.wall.unwrap_or_default()),
                    time_format: "relative",
                },
            },
        }
    }
}

/// `ConnectivityConnectionStarted`.
#[derive(Serialize)]
pub(super) struct ConnectionStarted {
    ip_version: &'static str,
    src_ip: IpAddr,
    dst_ip: IpAddr,
    protocol: &'static str,
    src_port: u16,
    dst_port: u16,
}

impl ConnectionStarted {
    pub(super) fn new(about: &About) -> Self {
        let ip_version = if about.remote.is_ipv4() { "v4" } else { "v6" };
        ConnectionStarted {
            ip_version,
            src_ip: about.local.ip(),
            dst_ip: about.remote.ip(),
            protocol: "AQUEDUCT",
            src_port: about.local.port(),
            dst_port: about.remote.port(),
        }
    }
}

/// `TransportParametersSet`.
#[derive(Serialize)]
pub(super) struct Parameters {
    owner: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_idle_timeout: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_udp_payload_size: Option<u16>,
    max_ack_delay: u128,
    initial_max_data: u64,
}

impl Parameters {
    pub(super) fn new(terms: &trace::Parameters) -> Self {
        Parameters {
            owner: if terms.is_own { "local" } else { "remote" },
            max_idle_timeout: terms.idle_timeout.map(|time| time.as_millis()),
            max_udp_payload_size: terms.max_datagram,
            max_ack_delay: terms.max_ack_delay.as_millis(),
            initial_max_data: terms.window,
        }
    }
}

/// `TransportPacketsAcked`.
#[derive(Serialize)]
pub(super) struct Numbers<'r> {
    packet_numbers: Each<'r>,
}

impl<'r> Numbers<'r> {
    pub(super) fn new(ranges: &'r [RangeInclusive<PacketNumber>]) -> Self {
        Numbers {
            packet_numbers: Each(ranges),
        }
    }
}

/// Every number of some ranges.
struct Each<'r>(&'r [RangeInclusive<PacketNumber>]);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.0.iter();
        serializer.collect_seq(all.flat_map(|range| range.start().get()..=range.end().get()))
    }
}

/// `RecoveryPacketLost`.
#[derive(Serialize)]
pub(super) struct Lost {
    header: LostHeader,
    trigger: &'static str,
}

#[derive(Serialize)]
struct LostHeader {
    packet_type: &'static str,
    packet_number: u64,
}

impl Lost {
    pub(super) fn new(number: PacketNumber, trigger: LossTrigger) -> Self {
        Lost {
            header: LostHeader {
                packet_type: "1RTT",
                packet_number: number.get(),
            },
            trigger: match trigger {
                LossTrigger::Reordering => "reordering_threshold",
                LossTrigger::Time => "time_threshold",
            },
        }
    }
}

/// Data of one word.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word<'w> {
    Cause(&'w str),
    Limit(&'w str),
    New(&'w str),
}

/// No data.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// `RecoveryLossTimerUpdated`, or a deadline that QUIC does not have.
#[derive(Serialize)]
pub(super) struct TimerData {
    timer_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'static str>,
}

/// A deadline that came: the name of its event, and the data.
pub(super) fn timer(timer: Timer) -> (&'static str, TimerData) {
    let own = |timer_type| {
        let data = TimerData {
            timer_type,
            event_type: None,
        };
        ("aqueduct:timer_expired", data)
    };
    let loss = |timer_type| {
        let data = TimerData {
            timer_type,
            event_type: Some("expired"),
        };
        ("recovery:loss_timer_updated", data)
    };
    match timer {
        Timer::Loss => loss("ack"),
        Timer::Probe => loss("pto"),
        Timer::Syn => own("syn"),
        Timer::Connect => own("connect"),
        Timer::Pacing => own("pacing"),
        Timer::AckDelay => own("ack_delay"),
        Timer::ZeroWindow => own("zero_window"),
        Timer::KeepAlive => own("keep_alive"),
        Timer::Idle => own("idle"),
        Timer::User => own("user"),
        Timer::Path => own("path"),
        Timer::Liveness => own("liveness"),
        Timer::Linger => own("linger"),
        Timer::FinWait2 => own("fin_wait_2"),
        Timer::Rest => own("rest"),
        Timer::Silence => own("silence"),
    }
}

/// `RecoveryMetricsUpdated`, and how fast the path delivered.
#[derive(Serialize)]
pub(super) struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    min_rtt: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smoothed_rtt: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_rtt: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_variance: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pto_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    congestion_window: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in_flight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssthresh: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_in_flight: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pacing_rate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_rate: Option<u64>,
}

impl Metrics {
    pub(super) fn new(news: &trace::Metrics) -> Self {
        let bits = |bytes: u64| bytes.saturating_mul(BITS);
        Metrics {
            min_rtt: news.min_rtt.map(Millis::of),
            smoothed_rtt: news.srtt.map(Millis::of),
            latest_rtt: news.latest_rtt.map(Millis::of),
            rtt_variance: news.rttvar.map(Millis::of),
            pto_count: news.pto_count,
            congestion_window: news.cwnd,
            bytes_in_flight: news.bytes_in_flight,
            ssthresh: news.ssthresh,
            packets_in_flight: news.packets_in_flight,
            pacing_rate: news.pacing_rate.map(bits),
            delivery_rate: news.delivery_rate.map(bits),
        }
    }
}

/// `RecoveryCongestionStateUpdated`.
#[derive(Serialize)]
pub(super) struct Congestion {
    #[serde(skip_serializing_if = "str::is_empty")]
    old: &'static str,
    new: &'static str,
    algorithm: &'static str,
}

impl Congestion {
    pub(super) fn new(algorithm: &'static str, old: &'static str, new: &'static str) -> Self {
        Congestion {
            old,
            new,
            algorithm,
        }
    }
}

/// `ConnectivityConnectionStateUpdated`.
#[derive(Serialize)]
pub(super) struct State {
    new: &'static str,
    tcp_state: &'static str,
}

impl State {
    pub(super) fn new(stage: Stage, name: &'static str) -> Self {
        State {
            new: match stage {
                Stage::Attempted => "attempted",
                Stage::HandshakeStarted => "handshake_started",
                Stage::HandshakeConfirmed => "handshake_confirmed",
                Stage::Closing => "closing",
                Stage::Closed => "closed",
            },
            tcp_state: name,
        }
    }
}

/// `ConnectivityMTUUpdated`.
#[derive(Serialize)]
pub(super) struct Mtu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old: Option<u16>,
    pub(super) new: u16,
}

/// Where packets go from now on.
#[derive(Serialize)]
pub(super) struct Path {
    dst_ip: IpAddr,
    dst_port: u16,
}

impl Path {
    pub(super) fn new(remote: &SocketAddr) -> Self {
        Path {
            dst_ip: remote.ip(),
            dst_port: remote.port(),
        }
    }
}

/// `ConnectivityConnectionClosed`.
#[derive(Serialize)]
pub(super) struct Closed {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    trigger: &'static str,
}

impl Closed {
    pub(super) fn new(reason: Option<&CloseReason>) -> Self {
        Closed {
            reason: reason.map(CloseReason::to_string),
            trigger: match reason {
                None => "clean",
                Some(CloseReason::ConnectTimedOut { .. }) => "handshake_timeout",
                Some(CloseReason::Idle { .. } | CloseReason::TimedOut { .. }) => "idle_timeout",
                Some(CloseReason::Version) => "version_mismatch",
                Some(CloseReason::Forgotten) => "stateless_reset",
                Some(CloseReason::Aborted(_) | CloseReason::Reset(_)) => "application",
                Some(_) => "error",
            },
        }
    }
}
