//! Reads a trace: records of JSON, each after a record separator (RFC 7464).

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What stands before each record.
const RECORD_SEPARATOR: u8 = 0x1e;
/// No record of a trace is longer; a file that is none may be one line of gigabytes.
const RECORD_MAX: u64 = 16 << 20;

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    #[error("{} cannot be read: {error}", .path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    #[error(
        "{} is no trace: it does not begin with a qlog header in JSON-SEQ", .0.display()
    )]
    NoHeader(PathBuf),
    #[error("{} is qlog {version}; only 0.3 can be read", .path.display())]
    Version { path: PathBuf, version: String },
    #[error("{}, record {number}: {what}", .path.display())]
    Broken {
        path: PathBuf,
        number: usize,
        what: String,
    },
    #[error("{} holds no events", .0.display())]
    NoEvents(PathBuf),
}

#[derive(Deserialize)]
struct Header {
    qlog_version: String,
    qlog_format: String,
    #[serde(default)]
    title: String,
    trace: Trace,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(default)]
    title: String,
    vantage_point: Option<VantagePoint>,
}

#[derive(Deserialize)]
struct VantagePoint {
    #[serde(rename = "type")]
    kind: String,
}

/// One event; what a picture does not need is skipped.
#[derive(Deserialize)]
pub(crate) struct Event {
    /// Milliseconds since the trace began.
    pub(crate) time: f64,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) data: Data,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Data {
    pub(crate) header: PacketHeader,
    pub(crate) frames: Vec<Frame>,
    pub(crate) retransmission: bool,
    pub(crate) owner: String,
    pub(crate) initial_max_data: Option<f64>,
    pub(crate) congestion_window: Option<f64>,
    pub(crate) ssthresh: Option<f64>,
    pub(crate) bytes_in_flight: Option<f64>,
    pub(crate) min_rtt: Option<f64>,
    pub(crate) smoothed_rtt: Option<f64>,
    pub(crate) latest_rtt: Option<f64>,
    pub(crate) pacing_rate: Option<f64>,
    pub(crate) delivery_rate: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct PacketHeader {
    pub(crate) packet_number: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Frame {
    pub(crate) frame_type: String,
    pub(crate) offset: f64,
    pub(crate) length: f64,
    pub(crate) ack_offset: f64,
    pub(crate) maximum: f64,
}

/// Reads a trace and hands on its events, in order; the title of the whole.
///
/// A last record that is cut short is left out: whoever wrote it was stopped.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Event)) -> Result<String, TraceError> {
    let unreadable = |error| TraceError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut records = Records::new(File::open(path).map_err(unreadable)?);
    let Some(first) = records.next().map_err(unreadable)? else {
        return Err(TraceError::Empty(path.to_owned()));
    };
    let title = title(path, first)?;
    let mut events = 0;
    while let Some(record) = records.next().map_err(unreadable)? {
        match serde_json::from_slice::<Event>(record) {
            Ok(event) => {
                events += 1;
                each(event);
            }
            Err(error) if error.is_eof() && records.is_at_end().map_err(unreadable)? => break,
            Err(error) => {
                return Err(TraceError::Broken {
                    path: path.to_owned(),
                    number: records.number,
                    what: error.to_string(),
                });
            }
        }
    }
    if events == 0 {
        return Err(TraceError::NoEvents(path.to_owned()));
    }
    Ok(title)
}

fn title(path: &Path, record: &[u8]) -> Result<String, TraceError> {
    let header: Header = serde_json::from_slice(record)
        .ok()
        .filter(|header: &Header| header.qlog_format == "JSON-SEQ")
        .ok_or_else(|| TraceError::NoHeader(path.to_owned()))?;
    if header.qlog_version != "0.3" {
        return Err(TraceError::Version {
            path: path.to_owned(),
            version: header.qlog_version,
        });
    }
    let side = header.trace.vantage_point.map(|point| point.kind);
    Ok(format!(
        "{}: {} ({})",
        header.title,
        header.trace.title,
        side.unwrap_or_default()
    ))
}

/// The records of a file, one after the other.
struct Records {
    file: BufReader<File>,
    record: Vec<u8>,
    /// The number of the latest record, from 1.
    number: usize,
}

impl Records {
    fn new(file: File) -> Self {
        Records {
            file: BufReader::with_capacity(1 << 20, file),
            record: Vec::new(),
            number: 0,
        }
    }

    /// The next record that is not empty.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            self.record.clear();
            let mut limited = io::Read::take(&mut self.file, RECORD_MAX);
            if limited.read_until(RECORD_SEPARATOR, &mut self.record)? == 0 {
                return Ok(None);
            }
            if self.record.last() == Some(&RECORD_SEPARATOR) {
                self.record.pop();
            }
            if !self.record.trim_ascii().is_empty() {
                self.number += 1;
                return Ok(Some(self.record.trim_ascii()));
            }
        }
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.file.fill_buf()?.is_empty())
    }
}
