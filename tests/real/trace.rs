//! Both ends of a transfer over loopback, each in a file of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use aqueduct::{Config, Endpoint};
use serde_json::Value;

use crate::alone;

const BYTES: usize = 3_000_000;

fn pattern() -> Vec<u8> {
    (0..BYTES).map(|at| (at / 7 % 251) as u8).collect()
}

/// The records of a trace.
fn records(text: &[u8]) -> Vec<Value> {
    let records = text.split(|byte| *byte == 0x1e).skip(1);
    records
        .map(|record| serde_json::from_slice(record).unwrap())
        .collect()
}

/// The bytes of the stream that packets of this kind of event carry, each counted once.
fn stream_bytes(records: &[Value], name: &str) -> u64 {
    let frames = records
        .iter()
        .filter(|record| record["name"] == *name)
        .flat_map(|record| record["data"]["frames"].as_array().unwrap())
        .filter(|frame| frame["frame_type"] == "stream");
    let ends =
        frames.map(|frame| frame["offset"].as_u64().unwrap() + frame["length"].as_u64().unwrap());
    ends.max().unwrap_or(0)
}

fn last(records: &[Value], field: &str) -> Option<u64> {
    let told = records.iter().rev();
    told.filter(|record| record["name"] == "recovery:metrics_updated")
        .find_map(|record| record["data"][field].as_u64())
}

#[test]
fn both_ends_of_a_transfer_write_what_they_did() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let traces = dir.path().join("traces");
    let bind = || {
        let config = Config::new().with_trace_dir(&traces);
        Endpoint::builder()
            .config(config)
            .bind("127.0.0.1:0")
            .unwrap()
    };
    let (here, there) = (bind(), bind());
    let listener = there.listen().unwrap();
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    });
    let mut stream = here.connect(there.local_addr().unwrap()).unwrap();
    stream.write_all(&pattern()).unwrap();
    let closed = stream.close(Duration::from_secs(20)).unwrap();
    println!("{closed:?}");
    assert!(reader.join().unwrap() == pattern(), "the same bytes");
    here.close(Duration::from_secs(20));
    there.close(Duration::from_secs(20));

    let mut files: Vec<_> = fs::read_dir(&traces)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_by_key(|path| path.to_string_lossy().contains("server"));
    let [client, server] = &files[..] else {
        panic!("a file for each end: {files:?}");
    };
    let id = |path: &std::path::Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.split('-').nth(1).unwrap().to_owned()
    };
    assert_eq!(id(client), id(server), "the same connection");
    let [client, server] = [client, server].map(|path| records(&fs::read(path).unwrap()));
    for (records, side) in [(&client, "client"), (&server, "server")] {
        assert_eq!(records[0]["trace"]["vantage_point"]["type"], side);
        let times = records[1..].iter().map(|it| it["time"].as_f64().unwrap());
        assert!(times.is_sorted());
        let closed = |it: &Value| it["name"] == "connectivity:connection_closed";
        let end = records.iter().find(|it| closed(it)).expect("it ended");
        assert_eq!(end["data"]["trigger"], "clean");
    }
    let bytes = BYTES as u64;
    assert_eq!(stream_bytes(&client, "transport:packet_sent"), bytes);
    assert_eq!(stream_bytes(&server, "transport:packet_received"), bytes);
    assert_eq!(last(&client, "packets_in_flight"), Some(0));
    assert!(last(&client, "congestion_window").is_some());
    // Real time: both began now, within a day.
    let reference = |records: &[Value]| {
        let common = &records[0]["trace"]["common_fields"];
        common["reference_time"].as_f64().unwrap()
    };
    assert!((reference(&client) - reference(&server)).abs() < 86_400_000.0);
    assert!(reference(&client) > 1.6e12, "milliseconds since 1970");
}
