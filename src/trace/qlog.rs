//! Events in the words of qlog 0.3: one JSON text for each, between a record separator and a line feed (RFC 7464).
//!
//! Names are those of draft-ietf-quic-qlog-main-schema and draft-ietf-quic-qlog-quic-events. What QUIC does not have is
//! told beside it, in fields of its own and in events of the category `aqueduct`: readers skip what they do not know.

mod data;
mod packet;

use serde::{Serialize, Serializer};

use crate::time::Time;
use crate::trace::{About, Event, Record};

use data::{Nothing, Word};

/// RFC 7464 s2.2: before each text, so that a cut one harms no other.
const RECORD_SEPARATOR: u8 = 0x1e;

/// The first record: what the trace is, and where it was taken.
pub(super) fn header(buffer: &mut Vec<u8>, about: &About) {
    push(buffer, &data::Header::new(about));
    let started = data::ConnectionStarted::new(about);
    line(
        buffer,
        Millis(0),
        "connectivity:connection_started",
        &started,
    );
}

/// One event of a connection that began at `began`.
pub(super) fn event(buffer: &mut Vec<u8>, began: Time, record: &Record) {
    let at = Millis::between(began, record.at);
    let mut line = |name, data: &dyn Tell| data.tell(buffer, at, name);
    match &record.event {
        Event::Parameters(terms) => {
            line("transport:parameters_set", &data::Parameters::new(terms));
        }
        Event::Sent {
            packet,
            is_timeout_probe,
        } => {
            let data = packet::Packet::sent(packet, *is_timeout_probe);
            line("transport:packet_sent", &data);
        }
        Event::Received { packet, fate } => {
            let (name, data) = packet::Packet::received(packet, *fate);
            line(name, &data);
        }
        Event::Acked(ranges) => line("transport:packets_acked", &data::Numbers::new(ranges)),
        Event::Spurious(ranges) => line("aqueduct:packets_spurious", &data::Numbers::new(ranges)),
        Event::Lost { number, trigger } => {
            line("recovery:packet_lost", &data::Lost::new(*number, *trigger));
        }
        Event::Congested(cause) => line("aqueduct:congestion", &Word::Cause(cause)),
        Event::Undone => line("aqueduct:reduction_undone", &Nothing {}),
        Event::TimerFired(timer) => {
            let (name, data) = data::timer(*timer);
            line(name, &data);
        }
        Event::Metrics(metrics) => line("recovery:metrics_updated", &data::Metrics::new(metrics)),
        Event::Congestion {
            algorithm,
            old,
            new,
        } => line(
            "recovery:congestion_state_updated",
            &data::Congestion::new(algorithm, old, new),
        ),
        Event::State { stage, name } => line(
            "connectivity:connection_state_updated",
            &data::State::new(*stage, name),
        ),
        Event::Limited(limit) => line("aqueduct:sender_limited", &Word::Limit(limit)),
        Event::Mtu { old, new } => {
            line(
                "connectivity:mtu_updated",
                &data::Mtu {
                    old: *old,
                    new: *new,
                },
            );
        }
        Event::Ecn(new) => line("recovery:ecn_state_updated", &Word::New(new)),
        Event::Path(remote) => line("connectivity:path_updated", &data::Path::new(remote)),
        Event::Closed(reason) => {
            line(
                "connectivity:connection_closed",
                &data::Closed::new(reason.as_ref()),
            );
        }
        Event::Cut => line("aqueduct:trace_cut", &Nothing {}),
    }
}

/// Something that an event can have as its data.
trait Tell {
    fn tell(&self, buffer: &mut Vec<u8>, at: Millis, name: &'static str);
}

impl<D: Serialize> Tell for D {
    fn tell(&self, buffer: &mut Vec<u8>, at: Millis, name: &'static str) {
        line(buffer, at, name, self);
    }
}

fn line(buffer: &mut Vec<u8>, at: Millis, name: &'static str, data: &impl Serialize) {
    #[derive(Serialize)]
    struct Line<'d, D> {
        time: Millis,
        name: &'static str,
        data: &'d D,
    }
    push(
        buffer,
        &Line {
            time: at,
            name,
            data,
        },
    );
}

fn push(buffer: &mut Vec<u8>, text: &impl Serialize) {
    buffer.push(RECORD_SEPARATOR);
    let begin = buffer.len();
    // A Vec takes everything, and no key here is anything but a string: nothing of this can fail.
    if serde_json::to_writer(&mut *buffer, text).is_err() {
        buffer.truncate(begin);
    }
    buffer.push(b'\n');
}

/// Milliseconds, as a number with up to six decimals; the field is nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Millis(u64);

impl Millis {
    fn between(begin: Time, end: Time) -> Self {
        Millis(end.as_nanos().saturating_sub(begin.as_nanos()))
    }

    fn of(duration: std::time::Duration) -> Self {
        Millis(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Serialize for Millis {
    /// The double that is nearest to the decimal number, of which the shortest text is that number again: exact as
    /// long as the nanoseconds are below 2^53, which are a hundred days.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [high, low] = [self.0 >> 32, self.0 & 0xffff_ffff]
            .map(|half| f64::from(u32::try_from(half).unwrap_or(u32::MAX)));
        serializer.serialize_f64((high * 4_294_967_296.0 + low) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let text = |nanos| serde_json::to_string(&Millis(nanos)).unwrap();
        assert_eq!(text(0), "0.0");
        assert_eq!(text(1), "1e-6");
        assert_eq!(text(1_500_000), "1.5");
        assert_eq!(text(12_345_678_901_234), "12345678.901234");
        let mut nanos = 1_u64;
        while nanos < 1 << 53 {
            let read: f64 = text(nanos).parse().unwrap();
            assert_eq!((read * 1e6).round() as u64, nanos);
            nanos = nanos * 3 + 1;
        }
    }
}
