//! What the events say over time, as series of points.

use std::collections::BTreeMap;

use crate::series::Series;
use crate::trace::{Data, Event};

/// Bits in a megabit.
const MEGA: f64 = 1e6;

/// All that is drawn. Times are seconds.
#[derive(Default)]
pub(crate) struct History {
    /// The end of what was sent, bytes of the stream.
    pub(crate) sent: Series,
    /// The pieces of the stream that were sent again: when, from where, to where.
    pub(crate) repeated: Vec<(f64, f64, f64)>,
    /// All below was acknowledged.
    pub(crate) acknowledged: Series,
    /// The edge of the peer's window.
    pub(crate) edge: Series,
    pub(crate) cwnd: Series,
    pub(crate) ssthresh: Series,
    pub(crate) bytes_in_flight: Series,
    /// Milliseconds.
    pub(crate) latest_rtt: Series,
    pub(crate) smoothed_rtt: Series,
    pub(crate) min_rtt: Series,
    /// Mbit/s.
    pub(crate) delivery_rate: Series,
    pub(crate) pacing_rate: Series,
    pub(crate) packets_sent: u64,
    pub(crate) packets_repeated: u64,
    pub(crate) packets_lost: u64,
    end: f64,
}

impl History {
    /// When the last event was.
    pub(crate) fn end(&self) -> f64 {
        self.end
    }

    pub(crate) fn add(&mut self, event: &Event) {
        let at = event.time / 1e3;
        self.end = self.end.max(at);
        let data = &event.data;
        match event.name.as_str() {
            "transport:packet_sent" => self.on_sent(at, data),
            "transport:packet_received" => self.on_received(at, data),
            "transport:parameters_set" if data.owner == "remote" => {
                self.edge.rise(at, data.initial_max_data.unwrap_or(0.0));
            }
            "recovery:packet_lost" => self.packets_lost += 1,
            "recovery:metrics_updated" => self.on_metrics(at, data),
            _ => {}
        }
    }

    fn on_sent(&mut self, at: f64, data: &Data) {
        self.packets_sent += u64::from(data.header.packet_number.is_some());
        self.packets_repeated += u64::from(data.retransmission);
        for frame in data.frames.iter().filter(|it| it.frame_type == "stream") {
            let end = frame.offset + frame.length;
            if data.retransmission {
                self.repeated.push((at, frame.offset, end));
            } else {
                self.sent.rise(at, end);
            }
        }
    }

    fn on_received(&mut self, at: f64, data: &Data) {
        for frame in &data.frames {
            match frame.frame_type.as_str() {
                "ack" => self.acknowledged.rise(at, frame.ack_offset),
                "max_data" => self.edge.rise(at, frame.maximum),
                _ => {}
            }
        }
    }

    fn on_metrics(&mut self, at: f64, data: &Data) {
        let news = [
            (&mut self.cwnd, data.congestion_window),
            (&mut self.ssthresh, data.ssthresh),
            (&mut self.bytes_in_flight, data.bytes_in_flight),
            (&mut self.latest_rtt, data.latest_rtt),
            (&mut self.smoothed_rtt, data.smoothed_rtt),
            (&mut self.min_rtt, data.min_rtt),
            (
                &mut self.delivery_rate,
                data.delivery_rate.map(|rate| rate / MEGA),
            ),
            (
                &mut self.pacing_rate,
                data.pacing_rate.map(|rate| rate / MEGA),
            ),
        ];
        for (series, value) in news {
            if let Some(value) = value {
                series.push(at, value);
            }
        }
    }

    /// The pieces sent again in this time, joined where they lie on the same pixels.
    pub(crate) fn repeated_pixels(
        &self,
        (from, to): (f64, f64),
        (columns, rows): (u32, u32),
        height: f64,
    ) -> Vec<(f64, f64, f64)> {
        let (column, row) = (
            (to - from) / f64::from(columns),
            height.max(1.0) / f64::from(rows),
        );
        let mut seen = BTreeMap::new();
        let visible = |(at, ..): &&(f64, f64, f64)| (from..=to).contains(at);
        for &(at, begin, end) in self.repeated.iter().filter(visible) {
            let pixel = (
                ((at - from) / column).floor() as i64,
                (begin / row).floor() as i64,
            );
            seen.entry(pixel)
                .or_insert((at, begin, end.max(begin + 2.0 * row)));
        }
        seen.into_values().collect()
    }
}
