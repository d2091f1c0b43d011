//! Numbers of recovery and congestion control, of which a trace tells those that changed.

use std::time::Duration;

/// Numbers for a graph over time; `None`: not known, or not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Smallest round trip.
    pub min_rtt: Option<Duration>,
    /// Smoothed round trip.
    pub srtt: Option<Duration>,
    /// Latest round trip.
    pub latest_rtt: Option<Duration>,
    /// Mean deviation of the round trip.
    pub rttvar: Option<Duration>,
    /// Probe timeouts in a row.
    pub pto_count: Option<u32>,
    /// Congestion window, bytes of datagrams.
    pub cwnd: Option<u64>,
    /// Slow-start threshold, bytes of datagrams; `None` before the first loss.
    pub ssthresh: Option<u64>,
    /// Bytes of datagrams in flight.
    pub bytes_in_flight: Option<u64>,
    /// Packets in flight.
    pub packets_in_flight: Option<u64>,
    /// Pacing rate, bytes a second; 0 when nothing is paced.
    pub pacing_rate: Option<u64>,
    /// How fast the path delivered, bytes of datagrams a second.
    pub delivery_rate: Option<u64>,
}

impl Metrics {
    /// What of `present` is news to somebody who was told this; he is told it now.
    pub fn news(&mut self, present: &Metrics) -> Metrics {
        Metrics {
            min_rtt: news(&mut self.min_rtt, present.min_rtt),
            srtt: news(&mut self.srtt, present.srtt),
            latest_rtt: news(&mut self.latest_rtt, present.latest_rtt),
            rttvar: news(&mut self.rttvar, present.rttvar),
            pto_count: news(&mut self.pto_count, present.pto_count),
            cwnd: news(&mut self.cwnd, present.cwnd),
            ssthresh: news(&mut self.ssthresh, present.ssthresh),
            bytes_in_flight: news(&mut self.bytes_in_flight, present.bytes_in_flight),
            packets_in_flight: news(&mut self.packets_in_flight, present.packets_in_flight),
            pacing_rate: news(&mut self.pacing_rate, present.pacing_rate),
            delivery_rate: news(&mut self.delivery_rate, present.delivery_rate),
        }
    }
}

fn news<T: Copy + PartialEq>(told: &mut Option<T>, present: Option<T>) -> Option<T> {
    if present.is_none() || *told == present {
        return None;
    }
    *told = present;
    present
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_news() {
        let mut told = Metrics::default();
        let first = Metrics {
            cwnd: Some(12_000),
            pacing_rate: Some(0),
            ..Metrics::default()
        };
        assert_eq!(told.news(&first), first);
        assert_eq!(told.news(&first), Metrics::default());
        let second = Metrics {
            cwnd: Some(13_000),
            pacing_rate: None,
            ..first
        };
        let news = told.news(&second);
        assert_eq!((news.cwnd, news.pacing_rate), (Some(13_000), None));
        assert_eq!(told.pacing_rate, Some(0), "not known is no news");
    }
}
