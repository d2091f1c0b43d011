//! A snapshot: the whole state in one file, and nothing else.
//!
//! ```text
//!   "AQKV" | version u16 | 0 u16 | index u64 | term u64        network byte order
//!   item*                                                      leases, records, sessions each with its answers; ascending
//!   0 u8 | items u64 | crc32c u32                              of everything before it
//!
//!   item = kind u8 | length u32 | postcard(..)                 1 bounds  2 engine  3 lease  4 record  5 session  6 answer
//! ```
//!
//! Everything stands in one order only, so equal states are equal bytes. A reader takes nothing on trust: every length has a bound,
//! every item its place, and the state is handed out only when the checksum holds.

use std::io::{self, BufReader, Read, Write};
use std::ops::Bound;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Versioned};
use super::limits::Limits;
use super::state::{Position, StateMachine};

const MAGIC: &[u8; 4] = b"AQKV";
const VERSION: u16 = 1;

const END: u8 = 0;
const LIMITS: u8 = 1;
const ENGINE: u8 = 2;
const LEASE: u8 = 3;
const RECORD: u8 = 4;
const SESSION: u8 = 5;
const RESULT: u8 = 6;

/// What an engine may leave in a snapshot, in bytes: a position and a membership of hundreds of nodes are far less.
pub(super) const ENGINE_BYTES_MAX: usize = 1 << 20;
/// What postcard adds to keys, values and numbers of an item, in bytes; generous.
const ITEM_OVERHEAD: usize = 4 << 10;

/// Why a snapshot was not taken. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It could not be read.
    #[error("the snapshot cannot be read")]
    Io(#[from] io::Error),
    /// It ends before its end.
    #[error("the snapshot ends after {at} bytes, in its midst")]
    Truncated {
        /// Bytes that were there.
        at: u64,
    },
    /// It is something else.
    #[error("this is no snapshot")]
    NotASnapshot,
    /// It was written by another version.
    #[error("the snapshot has version {found}, this program reads {VERSION}")]
    Version {
        /// Which.
        found: u16,
    },
    /// It says what no state says.
    #[error("the snapshot is damaged at byte {at}: {what}")]
    Damaged {
        /// Where the item begins.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// Something in it was changed after it was written.
    #[error("the snapshot is damaged: checksum {found:08x}, not {expected:08x}")]
    Checksum {
        /// Of its content.
        found: u32,
        /// What it says.
        expected: u32,
    },
    /// Its cluster has other bounds than this node.
    #[error("the snapshot is of a cluster with other limits: {found:?}")]
    Limits {
        /// Those.
        found: Box<Limits>,
    },
}

/// Writes a snapshot of a state, in many small pieces: a file wants a `BufWriter`. How many bytes it has.
///
/// ```
/// use aqueduct::kv::{Limits, StateMachine, read_snapshot, write_snapshot};
///
/// let state = StateMachine::new(Limits::default());
/// let mut file = Vec::new();
/// write_snapshot(&state, &mut file)?;
/// assert_eq!(read_snapshot(&mut file.as_slice(), &Limits::default())?, state);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of `out`.
pub fn write_snapshot(state: &StateMachine, out: &mut impl Write) -> io::Result<u64> {
    let (store, sessions) = state.parts();
    let mut writer = SnapshotWriter::new(out, state.applied(), state.limits(), state.engine())?;
    for (id, ttl_ms) in store.leases() {
        writer.lease(id, ttl_ms)?;
    }
    for (key, record) in store.records_from(Bound::Unbounded) {
        writer.record(key, record)?;
    }
    for (client, session) in sessions.iter() {
        writer.session(client, session.ack_below())?;
        for (seq, answer) in session.results() {
            writer.result(seq, answer)?;
        }
    }
    writer.finish()
}

/// Writes a snapshot piece by piece: all leases, all records, all sessions each followed by its answers, each in ascending order.
///
/// For whoever has the state elsewhere than in a [`StateMachine`], on disk say.
#[derive(Debug)]
pub struct SnapshotWriter<'w, W> {
    out: &'w mut W,
    crc: u32,
    bytes: u64,
    items: u64,
}

impl<'w, W: Write> SnapshotWriter<'w, W> {
    /// Begins a snapshot of the state after `applied`.
    ///
    /// # Errors
    ///
    /// Those of `out`, here and below.
    pub fn new(
        out: &'w mut W,
        applied: Position,
        limits: &Limits,
        engine: &Bytes,
    ) -> io::Result<Self> {
        let mut writer = SnapshotWriter {
            out,
            crc: 0,
            bytes: 0,
            items: 0,
        };
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_be_bytes())?;
        writer.put(&[0, 0])?;
        writer.put(&applied.index.to_be_bytes())?;
        writer.put(&applied.term.to_be_bytes())?;
        writer.item(LIMITS, limits)?;
        writer.item(ENGINE, engine)?;
        Ok(writer)
    }

    /// A lease.
    pub fn lease(&mut self, id: u64, ttl_ms: u64) -> io::Result<()> {
        self.item(LEASE, &(id, ttl_ms))
    }

    /// A record.
    pub fn record(&mut self, key: &Bytes, record: &Versioned) -> io::Result<()> {
        self.item(RECORD, &(key, record))
    }

    /// A session.
    pub fn session(&mut self, client: u128, ack_below: u64) -> io::Result<()> {
        self.item(SESSION, &(client, ack_below))
    }

    /// An answer that the last session keeps.
    pub fn result(&mut self, seq: u64, answer: &Answer) -> io::Result<()> {
        self.item(RESULT, &(seq, answer))
    }

    /// Ends the snapshot. How many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.put(&[END])?;
        let items = self.items;
        self.put(&items.to_be_bytes())?;
        let crc = self.crc;
        self.put(&crc.to_be_bytes())?;
        self.out.flush()?;
        Ok(self.bytes)
    }

    fn item<T: Serialize>(&mut self, kind: u8, item: &T) -> io::Result<()> {
        let body = postcard::to_stdvec(item).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.items += 1;
        self.put(&[kind])?;
        self.put(&length.to_be_bytes())?;
        self.put(&body)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.out.write_all(bytes)
    }
}

/// Reads a snapshot: the state as it was.
///
/// # Errors
///
/// Why it is none, or not a whole one, or one of a cluster with other bounds. Whatever the bytes are, this neither panics nor takes
/// more memory than the bounds allow.
pub fn read_snapshot(
    input: &mut impl Read,
    limits: &Limits,
) -> Result<StateMachine, SnapshotError> {
    let mut reader = Reader {
        input: &mut BufReader::new(input),
        crc: 0,
        at: 0,
        items: 0,
    };
    let applied = reader.head()?;
    let mut loader = Loader::new(*limits, applied);
    loop {
        let begin = reader.at;
        let damaged = |what| SnapshotError::Damaged { at: begin, what };
        let [kind] = reader.array()?;
        if kind == END {
            reader.end()?;
            return loader.finish().map_err(damaged);
        }
        let body = reader.body(loader.length_max(kind), begin)?;
        loader.take(kind, &body, begin)?;
    }
}

/// What stands first in a snapshot: how far in the log it is, and what the engine left. The rest is not looked at.
///
/// # Errors
///
/// As [`read_snapshot`], as far as that goes.
pub fn read_snapshot_head(
    input: &mut impl Read,
    limits: &Limits,
) -> Result<(Position, Bytes), SnapshotError> {
    let mut reader = Reader {
        input: &mut BufReader::new(input),
        crc: 0,
        at: 0,
        items: 0,
    };
    let applied = reader.head()?;
    let mut loader = Loader::new(*limits, applied);
    for expected in [LIMITS, ENGINE] {
        let begin = reader.at;
        let [kind] = reader.array()?;
        if kind != expected {
            let what = "it does not begin as it must";
            return Err(SnapshotError::Damaged { at: begin, what });
        }
        let body = reader.body(loader.length_max(kind), begin)?;
        loader.take(kind, &body, begin)?;
    }
    Ok((applied, loader.state.engine().clone()))
}

struct Reader<'r, R> {
    input: &'r mut R,
    crc: u32,
    at: u64,
    items: u64,
}

impl<R: Read> Reader<'_, R> {
    fn head(&mut self) -> Result<Position, SnapshotError> {
        if &self.array()? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let found = u16::from_be_bytes(self.array()?);
        if found != VERSION {
            return Err(SnapshotError::Version { found });
        }
        if self.array()? != [0, 0] {
            let what = "what is reserved is used";
            return Err(SnapshotError::Damaged { at: 6, what });
        }
        let index = u64::from_be_bytes(self.array()?);
        let term = u64::from_be_bytes(self.array()?);
        Ok(Position { index, term })
    }

    fn body(&mut self, length_max: usize, begin: u64) -> Result<Vec<u8>, SnapshotError> {
        let length = u32::from_be_bytes(self.array()?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > length_max {
            let what = "an item of no known kind, or too long";
            return Err(SnapshotError::Damaged { at: begin, what });
        }
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        self.items += 1;
        Ok(body)
    }

    fn end(&mut self) -> Result<(), SnapshotError> {
        let at = self.at;
        let items = u64::from_be_bytes(self.array()?);
        let found = self.crc;
        let expected = u32::from_be_bytes(self.array()?);
        if found != expected {
            return Err(SnapshotError::Checksum { found, expected });
        }
        if items != self.items {
            let what = "another number of items";
            return Err(SnapshotError::Damaged { at, what });
        }
        match self.input.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(SnapshotError::Damaged {
                at: self.at,
                what: "something follows its end",
            }),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), SnapshotError> {
        let at = self.at;
        self.input
            .read_exact(into)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => SnapshotError::Truncated { at },
                _ => SnapshotError::Io(error),
            })?;
        self.crc = crc32c::crc32c_append(self.crc, into);
        self.at += u64::try_from(into.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

/// Puts items into a state, each where it belongs.
struct Loader {
    limits: Limits,
    state: StateMachine,
    /// The last item: nothing may stand before what is smaller.
    last: Place,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Head,
    Limits,
    Engine,
    Lease(u64),
    Record(Bytes),
    /// An answer is behind its session, which has none.
    Session(u128, Option<u64>),
}

impl Loader {
    fn new(limits: Limits, applied: Position) -> Self {
        let mut state = StateMachine::new(limits);
        state.set_applied(applied);
        Loader {
            limits,
            state,
            last: Place::Head,
        }
    }

    fn length_max(&self, kind: u8) -> usize {
        let limits = &self.limits;
        let carried = match kind {
            LIMITS | LEASE | SESSION => 0,
            ENGINE => ENGINE_BYTES_MAX,
            RECORD => limits.key_bytes + limits.value_bytes,
            RESULT => limits.value_bytes.max(limits.txn_bytes) + 64 * limits.txn_ops,
            _ => return 0,
        };
        carried + ITEM_OVERHEAD
    }

    fn take(&mut self, kind: u8, body: &[u8], at: u64) -> Result<(), SnapshotError> {
        let damaged = |what| SnapshotError::Damaged { at, what };
        let before = self.last.clone();
        let fits = match kind {
            LIMITS => self.take_limits(body, at)?,
            ENGINE => {
                self.state.set_engine(decode(body).map_err(damaged)?);
                self.last = Place::Engine;
                true
            }
            LEASE => self.take_lease(decode(body).map_err(damaged)?),
            RECORD => self.take_record(decode(body).map_err(damaged)?),
            SESSION => self.take_session(decode(body).map_err(damaged)?),
            RESULT => self.take_result(decode(body).map_err(damaged)?),
            _ => return Err(damaged("an item of no known kind")),
        };
        if self.last <= before {
            return Err(damaged("an item out of order"));
        }
        fits.then_some(())
            .ok_or(damaged("an item that no state has"))
    }

    fn take_limits(&mut self, body: &[u8], at: u64) -> Result<bool, SnapshotError> {
        let found: Limits = decode(body).map_err(|what| SnapshotError::Damaged { at, what })?;
        self.last = Place::Limits;
        if found != self.limits {
            let found = Box::new(found);
            return Err(SnapshotError::Limits { found });
        }
        Ok(true)
    }

    fn take_lease(&mut self, (id, ttl_ms): (u64, u64)) -> bool {
        self.last = Place::Lease(id);
        let (store, _) = self.state.parts_mut();
        store.insert_lease(id, ttl_ms) && store.lease_count() <= self.limits.leases
    }

    fn take_record(&mut self, (key, record): (Bytes, Versioned)) -> bool {
        self.last = Place::Record(key.clone());
        let (store, _) = self.state.parts_mut();
        store.insert_record(key, record) && store.bytes() <= self.limits.store_bytes
    }

    fn take_session(&mut self, (client, ack_below): (u128, u64)) -> bool {
        self.last = Place::Session(client, None);
        let (_, sessions) = self.state.parts_mut();
        sessions.insert(client, ack_below) && sessions.len() <= self.limits.sessions
    }

    fn take_result(&mut self, (seq, answer): (u64, Answer)) -> bool {
        let Place::Session(client, _) = self.last else {
            return false;
        };
        self.last = Place::Session(client, Some(seq));
        let (_, sessions) = self.state.parts_mut();
        sessions.insert_result(client, seq, answer)
    }

    fn finish(self) -> Result<StateMachine, &'static str> {
        if self.last < Place::Engine {
            return Err("it ends before it has begun");
        }
        Ok(self.state)
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, &'static str> {
    match postcard::take_from_bytes(body) {
        Ok((item, [])) => Ok(item),
        Ok(_) => Err("an item longer than what it says"),
        Err(_) => Err("an item that cannot be read"),
    }
}
