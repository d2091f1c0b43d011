//! Traces: what they say is what happened, and taking them changes nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::connection::Info;
use aqueduct::sim::{Link, Loss, apps, seeds};
use aqueduct::trace::Traces;
use serde_json::Value;

use crate::{Pair, ms, secs};

/// Written to by several traces; each in one piece.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    fn traces(&self) -> Traces {
        let output = self.clone();
        Traces::new(move |_| Ok(Some(Box::new(output.clone()))))
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A trace, record by record: RFC 7464 s2.1 and s2.2.
fn records(text: &[u8]) -> Vec<Value> {
    assert_eq!(text.first(), Some(&0x1e), "each record has its separator");
    let records = text[1..].split(|byte| *byte == 0x1e);
    let parsed = records.map(|record| {
        assert_eq!(record.last(), Some(&b'\n'), "each record has its end");
        serde_json::from_slice(record).unwrap()
    });
    parsed.collect()
}

fn named<'r>(records: &'r [Value], name: &str) -> impl Iterator<Item = &'r Value> {
    let name = name.to_owned();
    records.iter().filter(move |record| record["name"] == *name)
}

/// Losses, late packets, duplicates, damage: every event that a path can cause.
fn rough() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(50_000)
        .delay(ms(10))
        .reordering_jitter(ms(4))
        .loss(Loss::bursts(0.01, 3.0))
        .duplicate(0.02, 2)
        .corrupt(0.01)
}

struct Run {
    client: Vec<u8>,
    server: Vec<u8>,
    hash: u64,
    infos: [Info; 2],
}

/// Sends so many bytes and as many back; stops before the connection is closed.
fn run(seed: u64, congestion: Congestion, is_traced: bool) -> Run {
    let mut pair = Pair::new(seed, rough());
    let (client, server) = (Memory::default(), Memory::default());
    let config = |memory: &Memory| {
        let config = Config::default().with_congestion(congestion.clone());
        if is_traced {
            config.with_traces(memory.traces())
        } else {
            config
        }
    };
    let (at_client, at_server) = (config(&client), config(&server));
    pair.sim
        .listen(pair.server, at_server, || apps::Transfer::send(3_000_000));
    let app = apps::Transfer::send(3_000_000);
    let key = pair.sim.connect(pair.client, pair.server, at_client, app);
    pair.sim.run_for(ms(900));
    let peer = pair.sim.peer(key).expect("it was accepted");
    let infos = [key, peer].map(|key| pair.sim.info(key).expect("it is open"));
    let hash = pair.sim.trace().hash();
    drop(pair);
    Run {
        client: client.take(),
        server: server.take(),
        hash,
        infos,
    }
}

/// What the trace says of each sent packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lot {
    Outstanding,
    Acked,
    Lost,
    Spurious,
}

fn number(record: &Value) -> Option<u64> {
    record["data"]["header"]["packet_number"].as_u64()
}

/// Follows each packet from its sending on: nothing happens to it that cannot.
fn lots(records: &[Value]) -> BTreeMap<u64, (u64, Lot)> {
    let mut lots = BTreeMap::new();
    for record in records {
        let numbers = || record["data"]["packet_numbers"].as_array().unwrap().iter();
        let mut turn = |number: u64, from: Lot, to: Lot| {
            let (_, lot) = lots.get_mut(&number).expect("it was sent before");
            assert_eq!(*lot, from, "packet {number} at {}", record["time"]);
            *lot = to;
        };
        match record["name"].as_str() {
            Some("transport:packet_sent") => {
                let size = record["data"]["raw"]["length"].as_u64().unwrap();
                if let Some(number) = number(record) {
                    let before = lots.insert(number, (size, Lot::Outstanding));
                    assert_eq!(before, None, "packet {number} is sent once");
                }
            }
            Some("transport:packets_acked") => {
                numbers().for_each(|it| turn(it.as_u64().unwrap(), Lot::Outstanding, Lot::Acked))
            }
            Some("aqueduct:packets_spurious") => {
                numbers().for_each(|it| turn(it.as_u64().unwrap(), Lot::Lost, Lot::Spurious));
            }
            Some("recovery:packet_lost") => {
                turn(number(record).unwrap(), Lot::Outstanding, Lot::Lost);
            }
            _ => {}
        }
    }
    lots
}

#[test]
fn a_trace_agrees_with_the_counters_of_its_connection() {
    for seed in seeds(1, 8) {
        for congestion in [Congestion::Cubic, Congestion::Bbr, Congestion::NewReno] {
            let run = run(seed, congestion.clone(), true);
            for (text, info) in [(&run.client, &run.infos[0]), (&run.server, &run.infos[1])] {
                println!("seed {seed}, {congestion:?}");
                agrees(&records(text), info);
            }
        }
    }
}

fn agrees(records: &[Value], info: &Info) {
    let lots = lots(records);
    let count = |wanted: &[Lot]| {
        let of = lots.values().filter(|(_, lot)| wanted.contains(lot));
        of.fold((0, 0), |(packets, bytes), (size, _)| {
            (packets + 1, bytes + size)
        })
    };
    let every = [Lot::Outstanding, Lot::Acked, Lot::Lost, Lot::Spurious];
    assert_eq!(count(&every).0, info.packets_sent);
    assert_eq!(count(&[Lot::Acked]).0, info.packets_acked);
    let lost = count(&[Lot::Lost, Lot::Spurious]);
    assert_eq!(lost, (info.packets_lost, info.bytes_lost));
    let spurious = count(&[Lot::Spurious]);
    assert_eq!(spurious, (info.packets_spurious, info.bytes_spurious));
    let flying = (info.packets_in_flight, info.bytes_in_flight);
    assert_eq!(count(&[Lot::Outstanding]), flying);

    let received = named(records, "transport:packet_received");
    let received = received.filter(|it| number(it).is_some()).count() as u64;
    assert_eq!(received, info.packets_received);
    let dropped = |why: &str| {
        let dropped = named(records, "transport:packet_dropped");
        dropped.filter(|it| it["data"]["trigger"] == *why).count() as u64
    };
    assert_eq!(dropped("duplicate"), info.packets_duplicate);
    assert_eq!(dropped("unexpected_packet"), info.packets_rejected);
    let repeated = named(records, "transport:packet_sent");
    let repeated = repeated.filter(|it| it["data"]["retransmission"] == true);
    assert_eq!(repeated.count() as u64, info.packets_retransmitted);
    let last = |field: &str| {
        let told = named(records, "recovery:metrics_updated");
        told.filter_map(|it| it["data"][field].as_u64()).last()
    };
    assert_eq!(last("congestion_window"), Some(info.cwnd));
    assert_eq!(last("bytes_in_flight"), Some(info.bytes_in_flight));
    assert_eq!(last("pacing_rate"), Some(info.pacing_rate * 8));
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_by_byte() {
    let first = run(5, Congestion::Bbr, true);
    let again = run(5, Congestion::Bbr, true);
    assert!(first.client == again.client && first.server == again.server);
    let other = run(6, Congestion::Bbr, true);
    assert!(first.client != other.client);
}

#[test]
fn a_trace_changes_no_packet() {
    for seed in seeds(20, 6) {
        for congestion in [Congestion::Cubic, Congestion::Bbr] {
            let traced = run(seed, congestion.clone(), true);
            let plain = run(seed, congestion, false);
            assert_eq!(traced.hash, plain.hash, "seed {seed}");
            assert!(plain.client.is_empty() && plain.server.is_empty());
        }
    }
}

/// A disk that is full from the beginning, or soon.
#[test]
fn an_output_that_fails_ends_the_trace_and_nothing_else() {
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or_else(|| io::Error::new(io::ErrorKind::StorageFull, "no space is left"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let upload = |config: Config| {
        let mut pair = Pair::new(9, rough());
        pair.listen(apps::Transfer::sink);
        let app = apps::Transfer::send(300_000);
        let key = pair.sim.connect(pair.client, pair.server, config, app);
        pair.run_to_close(key, secs(30));
        assert!(pair.sim.is_delivered(key));
        pair.sim.trace().hash()
    };
    let plain = upload(Config::default());
    for room in [0, 100_000] {
        let traces = Traces::new(move |_| Ok(Some(Box::new(Full(room)))));
        assert_eq!(upload(Config::default().with_traces(traces)), plain);
    }
    let refused = Traces::new(|_| Err(io::ErrorKind::PermissionDenied.into()));
    assert_eq!(upload(Config::default().with_traces(refused)), plain);
    let unwanted = Traces::new(|_| Ok(None));
    assert_eq!(upload(Config::default().with_traces(unwanted)), plain);
}

/// From the first packet to the last, each in its place.
#[test]
fn events_stand_in_the_order_in_which_they_happened() {
    let memory = Memory::default();
    let mut pair = Pair::new(3, Link::new().delay(ms(10)).loss(Loss::EveryNth(40)));
    pair.listen(apps::Transfer::sink);
    let config = Config::default().with_traces(memory.traces());
    let app = apps::Transfer::send(200_000);
    let key = pair.sim.connect(pair.client, pair.server, config, app);
    pair.run_to_close(key, secs(30));
    drop(pair);
    let records = records(&memory.take());
    header_is_complete(&records[0]);

    let events = &records[1..];
    let times = events.iter().map(|record| record["time"].as_f64().unwrap());
    assert!(times.is_sorted(), "time does not run backwards");
    for event in events {
        assert!(event["name"].as_str().unwrap().contains(':') && event["data"].is_object());
    }
    let position = |name: &str, holds: &dyn Fn(&Value) -> bool| {
        let found = events
            .iter()
            .position(|it| it["name"] == *name && holds(&it["data"]));
        found.unwrap_or_else(|| panic!("no {name}"))
    };
    let any = |_: &Value| true;
    let is = |field: &'static str, value: &'static str| move |it: &Value| it[field] == *value;
    let in_order = [
        position("connectivity:connection_started", &any),
        position(
            "connectivity:connection_state_updated",
            &is("new", "attempted"),
        ),
        position("transport:packet_sent", &is("kind", "SYN")),
        position("transport:packet_received", &is("kind", "SYNACK")),
        position("transport:parameters_set", &is("owner", "remote")),
        position("transport:packet_sent", &is("kind", "DATA")),
        position("transport:packets_acked", &any),
        position("recovery:packet_lost", &any),
        position("aqueduct:congestion", &is("cause", "loss")),
        position("transport:packet_sent", &|it| it["retransmission"] == true),
        position("connectivity:connection_closed", &is("trigger", "clean")),
    ];
    assert!(in_order.is_sorted(), "{in_order:?}");
    // What an acknowledgement does stands behind it.
    let first_loss = position("recovery:packet_lost", &any);
    let before = events[..first_loss].iter().rev();
    let cause = before
        .clone()
        .find(|it| it["name"] == "transport:packet_received");
    let cause = cause.expect("an acknowledgement overtook it");
    assert_eq!(cause["time"], events[first_loss]["time"]);
}

/// Required by draft-ietf-quic-qlog-main-schema, "QlogFileSeq", "TraceSeq", "CommonFields".
fn header_is_complete(header: &Value) {
    assert_eq!(header["qlog_version"], "0.3");
    assert_eq!(header["qlog_format"], "JSON-SEQ");
    let trace = &header["trace"];
    assert_eq!(trace["vantage_point"]["type"], "client");
    let common = &trace["common_fields"];
    assert_eq!(common["time_format"], "relative");
    assert_eq!(common["reference_time"], 0.0);
    assert!(common["ODCID"].is_string() && common["protocol_type"].is_array());
}

/// Required by draft-ietf-quic-qlog-quic-events of each event that has its name from there.
#[test]
fn every_event_has_the_fields_that_qlog_requires() {
    let run = run(11, Congestion::Cubic, true);
    let mut seen = BTreeMap::new();
    for record in records(&run.client)[1..].iter() {
        let (name, data) = (record["name"].as_str().unwrap(), &record["data"]);
        *seen.entry(name.to_owned()).or_insert(0) += 1;
        assert!(record["time"].is_f64(), "{record}");
        match name {
            "connectivity:connection_started" => {
                assert!(data["src_ip"].is_string() && data["dst_ip"].is_string());
            }
            "connectivity:connection_state_updated" => assert!(data["new"].is_string()),
            "connectivity:mtu_updated" => assert!(data["new"].is_u64()),
            "transport:packet_sent" | "transport:packet_received" => packet_is_complete(data),
            "transport:packets_acked" => {
                assert!(!data["packet_numbers"].as_array().unwrap().is_empty());
            }
            "recovery:packet_lost" => {
                assert!(data["header"]["packet_number"].is_u64());
                let trigger = data["trigger"].as_str().unwrap();
                assert!(["reordering_threshold", "time_threshold"].contains(&trigger));
            }
            "recovery:metrics_updated" => assert!(!data.as_object().unwrap().is_empty()),
            "recovery:congestion_state_updated" => assert!(data["new"].is_string()),
            "recovery:loss_timer_updated" => assert_eq!(data["event_type"], "expired"),
            _ => {}
        }
    }
    println!("{seen:?}");
    let packets = run.infos[0].packets_sent + run.infos[0].packets_received;
    let each = run.client.len() as f64 / packets as f64;
    println!("{each:.0} bytes for each packet sent or received");
    assert!(each < 1_000.0, "docs/TRACES.md says what a packet costs");
}

fn packet_is_complete(data: &Value) {
    let kinds = ["initial", "handshake", "0RTT", "1RTT", "stateless_reset"];
    assert!(kinds.contains(&data["header"]["packet_type"].as_str().unwrap()));
    assert!(data["raw"]["length"].is_u64());
    for frame in data["frames"].as_array().unwrap() {
        match frame["frame_type"].as_str().unwrap() {
            "stream" => {
                assert!(frame["stream_id"].is_u64() && frame["offset"].is_u64());
                assert!(frame["length"].is_u64());
            }
            "ack" => {
                for range in frame["acked_ranges"].as_array().unwrap() {
                    let range = range.as_array().unwrap();
                    let ends: Vec<_> = range.iter().map(|it| it.as_u64().unwrap()).collect();
                    assert!((1..=2).contains(&ends.len()) && ends.is_sorted());
                }
            }
            "max_data" => assert!(frame["maximum"].is_u64()),
            "ping" | "connection_close" => {}
            "path_challenge" | "path_response" => assert!(frame["data"].is_string()),
            other => panic!("no frame of qlog: {other}"),
        }
    }
}
